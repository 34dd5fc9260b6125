"""The block DCT against scipy in float64: any size, and grids that start anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from unmask.errors import ConfigError, ShapeError
from unmask.transforms.dct import (
    BlockDCT,
    DctOutput,
    band_energy,
    dct_matrix,
    luma,
    pad_to_blocks,
    top_left_off,
)

Array = NDArray[np.float64]


def picture(height: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(0, 255, (height, width))


def tensor(gray: Array) -> torch.Tensor:
    return torch.from_numpy(gray)[None, None].float()


def oracle(gray: Array, keep: NDArray[np.bool_], phase: tuple[int, int]) -> tuple[Array, Array]:
    """Masked coefficients in place and the residual, block by block, of the padded picture."""
    left, top = (-phase[0]) % 8, (-phase[1]) % 8
    right, bottom = (-(gray.shape[1] + left)) % 8, (-(gray.shape[0] + top)) % 8
    padded = np.pad(gray, ((top, bottom), (left, right)), mode="edge")
    coefficients, residual = np.empty_like(padded), np.empty_like(padded)
    for y in range(0, padded.shape[0], 8):
        for x in range(0, padded.shape[1], 8):
            block = dctn(padded[y : y + 8, x : x + 8], norm="ortho") * keep
            coefficients[y : y + 8, x : x + 8] = block
            residual[y : y + 8, x : x + 8] = idctn(block, norm="ortho")
    return coefficients, residual[top : top + gray.shape[0], left : left + gray.shape[1]]


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    phase=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    cutoff=st.integers(0, 7),
    seed=st.integers(0, 1000),
)
def test_all_outputs_equal_scipy(
    height: int, width: int, phase: tuple[int, int], cutoff: int, seed: int
) -> None:
    gray, keep = picture(height, width, seed), top_left_off(cutoff)
    coefficients, residual = oracle(gray, keep.numpy(), phase)
    got = BlockDCT("coefficients", keep)(tensor(gray), phase)[0, 0].numpy()
    np.testing.assert_allclose(got, coefficients, rtol=1e-5, atol=1e-3)
    got = BlockDCT("residual", keep)(tensor(gray), phase)[0, 0].numpy()
    np.testing.assert_allclose(got, residual, atol=1e-3)
    blocks = coefficients.reshape(coefficients.shape[0] // 8, 8, -1, 8).transpose(1, 3, 0, 2)
    got = BlockDCT("channels", keep)(tensor(gray), phase)[0].numpy()
    np.testing.assert_allclose(got, blocks[keep.numpy()], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size", [2, 8, 13])
def test_the_matrix_equals_scipys(size: int) -> None:
    expected = dctn(np.eye(size), axes=(0,), norm="ortho")
    np.testing.assert_allclose(dct_matrix(size).numpy(), expected, atol=1e-12)


def test_the_default_is_the_papers_high_pass() -> None:
    keep = top_left_off(4)
    assert int(keep.sum()) == 48
    assert not keep[:4, :4].any()
    assert BlockDCT("channels").channels == 48
    assert BlockDCT().channels == BlockDCT("coefficients").channels == 1


def test_energy_splits_by_parseval() -> None:
    gray = picture(48, 64)
    all_on = BlockDCT("coefficients", top_left_off(0))(tensor(gray))
    assert float(all_on.square().sum()) == pytest.approx(float((gray**2).sum()), rel=1e-5)
    high = BlockDCT("residual")(tensor(gray))
    low = tensor(gray) - high
    total = float(high.square().sum() + low.square().sum())
    assert total == pytest.approx(float((gray**2).sum()), rel=1e-5)


@pytest.mark.parametrize("phase", [(0, 0), (3, 5)])
@pytest.mark.parametrize("output", ["residual", "coefficients", "channels"])
def test_a_constant_picture_gives_zero(output: DctOutput, phase: tuple[int, int]) -> None:
    flat = torch.full((2, 1, 21, 34), 200.0)
    assert float(BlockDCT(output)(flat, phase).abs().max()) < 1e-3


def test_autocast_changes_nothing() -> None:
    gray, transform = tensor(picture(40, 40)), BlockDCT("residual")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = transform(gray)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, transform(gray), rtol=0, atol=0)


@pytest.mark.parametrize("output", ["residual", "coefficients", "channels"])
def test_the_gradient_is_the_transposed_map(output: DctOutput) -> None:
    transform, gray = BlockDCT(output), tensor(picture(11, 19)).requires_grad_()
    outward = torch.randn_like(transform(gray, (2, 6)))
    (transform(gray, (2, 6)) * outward).sum().backward()
    assert gray.grad is not None
    direction = torch.randn_like(gray)
    # the map is linear, so <g, T d> must equal <T' g, d>
    expected = float((transform(direction, (2, 6)) * outward).sum())
    assert float((gray.grad * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-2)


def test_the_phase_says_where_blocks_start() -> None:
    blocky = np.kron(picture(4, 4), np.ones((8, 8)))
    shifted = blocky[5:, 3:]  # blocks now start at x = 5, y = 3
    transform = BlockDCT("residual", top_left_off(1))
    assert float(transform(tensor(shifted), (5, 3)).abs().max()) < 1e-3
    assert float(transform(tensor(shifted)).abs().mean()) > 5


def test_padding_puts_the_input_where_it_says() -> None:
    gray = tensor(picture(9, 10))
    padded = pad_to_blocks(gray, (3, 6))
    assert padded.shape == (1, 1, 16, 16)
    torch.testing.assert_close(padded[..., 2:11, 5:15], gray)
    assert pad_to_blocks(gray[..., :8, :8]).shape == (1, 1, 8, 8)


def test_luma_is_bt601() -> None:
    corners = torch.eye(3)[:, :, None, None] * 255
    assert luma(corners).flatten().tolist() == pytest.approx([76.245, 149.685, 29.07])


def test_band_energy_is_the_mean_square_on_each_diagonal() -> None:
    gray = picture(19, 27, seed=4)
    power: Array = np.zeros((8, 8))
    for y in range(0, 16, 8):
        for x in range(0, 24, 8):
            power += dctn(gray[y : y + 8, x : x + 8], norm="ortho") ** 2 / 6
    diagonal = np.add.outer(np.arange(8), np.arange(8))
    expected = [power[diagonal == d].mean() for d in range(1, 15)]
    np.testing.assert_allclose(band_energy(tensor(gray))[0].numpy(), expected, rtol=1e-4)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"luma needs \(N, 3, H, W\)"):
        luma(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ShapeError, match="phase is"):
        pad_to_blocks(torch.zeros(1, 1, 8, 8), (8, 0))
    with pytest.raises(ShapeError, match="H, W > 0"):
        pad_to_blocks(torch.zeros(1, 1, 0, 8))
    with pytest.raises(ShapeError, match=r"block DCT needs \(N, 1, H, W\)"):
        BlockDCT()(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ShapeError, match="at least 8 x 8"):
        band_energy(torch.zeros(1, 1, 7, 20))
    with pytest.raises(ConfigError, match="cutoff"):
        top_left_off(9)
    with pytest.raises(ConfigError, match="one of"):
        BlockDCT("phase")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mask"):
        BlockDCT("residual", torch.zeros(8, 8, dtype=torch.bool))
