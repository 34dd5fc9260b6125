"""The one path from pixels to tensors: native pixels stay, and windows lie where they are said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from unmask.errors import ShapeError
from unmask.transforms.preprocess import (
    InputSpec,
    Views,
    mask_view,
    normalise,
    to_tensors,
    to_views,
    window_in_crop,
)
from unmask.types import UInt8Image


def noise(side: int, seed: int = 0) -> UInt8Image:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(side=st.integers(64, 129), x=st.floats(0, 1), y=st.floats(0, 1))
def test_native_pixels_are_copies(side: int, x: float, y: float) -> None:
    crop, spec = noise(side), InputSpec(native_size=64, native_limit=None)
    native = to_views(crop, spec, offset=(x, y))["native"]
    top, left = round((side - 64) * y), round((side - 64) * x)
    np.testing.assert_array_equal(native, crop[top : top + 64, left : left + 64])


@pytest.mark.parametrize("side", [64, 65, 86])
def test_up_to_the_limit_nothing_is_resampled(side: int) -> None:
    crop, spec = noise(side), InputSpec(native_size=64, native_limit=1.35)
    x0, y0, x1, y1 = (int(v) for v in window_in_crop(side, spec))
    np.testing.assert_array_equal(to_views(crop, spec)["native"], crop[y0:y1, x0:x1])


def test_over_the_limit_the_face_still_fits() -> None:
    ramp = np.tile((np.arange(500) // 2).astype(np.uint8)[None, :, None], (500, 1, 3))
    spec = InputSpec(native_size=100, native_limit=1.25)
    native = to_views(ramp, spec)["native"].astype(float)
    x0, _, x1, _ = window_in_crop(500, spec)
    assert native[:, 0].mean() == pytest.approx((x0 + 1.5) / 2, abs=0.8)
    assert native[:, -1].mean() == pytest.approx((x1 - 2.5) / 2, abs=0.8)
    assert (x1 - x0) == pytest.approx(400)


def test_a_small_crop_keeps_its_pixels_and_grid() -> None:
    crop, spec = noise(40), InputSpec(native_size=64)
    native = to_views(crop, spec)["native"]
    np.testing.assert_array_equal(native[:40, :40], crop)
    np.testing.assert_array_equal(native[:40, 40:], crop[:, ::-1][:, :24])
    assert window_in_crop(40, spec) == (0.0, 0.0, 64.0, 64.0)


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(40, 420),
    size=st.integers(32, 128),
    limit=st.none() | st.sampled_from([1.0, 1.25, 1.35, 1.5, 1.75]),
)
def test_the_window_is_where_it_is_said(side: int, size: int, limit: float | None) -> None:
    spec = InputSpec(native_size=size, native_limit=limit)
    # red counts columns, green rows: each pixel says where in the crop it came from
    rows, columns = np.mgrid[:side, :side] * (255 / side)
    crop = np.stack([columns, rows, rows], 2).astype(np.uint8)
    native = to_views(crop, spec)["native"].astype(float)
    x0, y0, x1, _ = window_in_crop(side, spec)
    scale = (x1 - x0) / size
    inside = [i for i in range(size) if y0 + (i + 0.5) * scale < side - 1]
    for i in (inside[0], inside[len(inside) // 2], inside[-1]):
        expected = (x0 + (i + 0.5) * scale - 0.5) * 255 / side
        assert native[0, i, 0] == pytest.approx(expected, abs=2.1 + 128 / side)
        assert native[i, 0, 1] == pytest.approx(expected, abs=2.1 + 128 / side)


def test_window_and_views_reduce_to_the_same_side() -> None:
    # 282 * 1.75 = 493.5: rounding once here and once there differed by a pixel
    spec, crop = InputSpec(native_size=282, native_limit=1.75), np.zeros((777, 777, 3), np.uint8)
    crop[:, :] = (np.arange(777) * 255 / 777).astype(np.uint8)[None, :, None]
    x0, _, x1, _ = window_in_crop(777, spec)
    native = to_views(crop, spec)["native"].astype(float)
    step = np.array([(x0 + (i + 0.5) * (x1 - x0) / 282 - 0.5) * 255 / 777 for i in range(282)])
    assert abs((native.mean((0, 2)) - np.floor(step)).mean() - 0.0) < 0.6
    assert (x1 - x0) == pytest.approx(282 * 777 / 494)


def test_the_rgb_view_is_the_whole_crop() -> None:
    crop = np.zeros((300, 300, 3), np.uint8)
    crop[150:, :, 1] = 200
    spec = InputSpec(native_size=64, rgb_size=50)
    rgb = to_views(crop, spec)["rgb"]
    assert rgb.shape == (50, 50, 3)
    assert rgb[:25].max() == 0
    assert (rgb[25:, :, 1] == 200).all()
    assert to_views(noise(33), spec)["rgb"].shape == (50, 50, 3)
    assert "rgb" not in to_views(crop, InputSpec())


def test_tensors_are_normalised_beside_raw_native_pixels() -> None:
    spec = InputSpec(native_size=32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    crops = [noise(32, seed) for seed in (0, 1)]
    batch = to_tensors([to_views(crop, spec) for crop in crops], spec)
    expected = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float64)
    np.testing.assert_array_equal(batch["native"].numpy(), expected)
    mean, std = (np.array(v).reshape(1, 3, 1, 1) for v in (spec.mean, spec.std))
    exact = (expected / 255 - mean) / std
    # atol for pixels at the mean itself: float32 rounding of values of order 1
    np.testing.assert_allclose(batch["rgb"].numpy(), exact, rtol=1e-5, atol=1e-6)
    assert batch["rgb"].dtype == batch["native"].dtype == torch.float32
    torch.testing.assert_close(normalise(batch["native"], spec), batch["rgb"])


def test_the_rgb_tensor_comes_from_the_rgb_view() -> None:
    spec = InputSpec(native_size=32, rgb_size=48)
    batch = to_tensors([to_views(noise(90), spec)], spec)
    assert batch["native"].shape == (1, 3, 32, 32)
    assert batch["rgb"].shape == (1, 3, 48, 48)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one crop"):
        to_tensors([], InputSpec())
    views = [Views(native=noise(32)), Views(native=noise(33))]
    with pytest.raises(ShapeError, match="differ in size"):
        to_tensors(views, InputSpec(native_size=32))
    with pytest.raises(ShapeError, match="uint8 RGB"):
        to_views(np.zeros((4, 4, 3), np.float32), InputSpec())  # type: ignore[arg-type]
    for bad in ({"native_size": 8}, {"native_limit": 0.5}, {"std": (0, 1, 1)}, {"sise": 3}):
        with pytest.raises(ValidationError):
            InputSpec.model_validate(bad)


@settings(max_examples=60, deadline=None)
@given(side=st.integers(64, 129), x=st.floats(0, 1), y=st.floats(0, 1))
def test_aligned_windows_begin_with_the_crops_blocks(side: int, x: float, y: float) -> None:
    spec = InputSpec(native_size=64, native_limit=None)
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    crop = np.stack([columns, rows, rows], 2).astype(np.uint8)
    corner = to_views(crop, spec, offset=(x, y), aligned=True)["native"][0, 0, :2]
    free = to_views(crop, spec, offset=(x, y))["native"][0, 0, :2]
    assert (corner % 8 == 0).all()
    assert ((free.astype(int) - corner >= 0) & (free.astype(int) - corner < 8)).all()


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(30, 200),
    size=st.integers(32, 96),
    limit=st.none() | st.sampled_from([1.0, 1.35]),
    rgb_size=st.none() | st.integers(32, 120),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    aligned=st.booleans(),
)
def test_a_mask_takes_the_path_of_the_picture(
    side: int, size: int, limit: float | None, rgb_size: int | None, x: float, y: float,
    aligned: bool,
) -> None:  # fmt: skip
    """Painted as a grey picture, it comes out of `to_views` as out of `mask_view`."""
    spec = InputSpec(native_size=size, native_limit=limit, rgb_size=rgb_size)
    mask = np.zeros((side, side), np.uint8)
    mask[side // 5 : side // 2, side // 3 :] = 255
    picture = np.repeat(mask[..., None], 3, axis=2)
    views = to_views(picture, spec, offset=(x, y), aligned=aligned)
    seen = mask_view(mask, spec, offset=(x, y), aligned=aligned)
    expected = views["native" if rgb_size is None else "rgb"][..., 1]
    # one channel and three are resampled by different instructions, which round apart now and then
    np.testing.assert_allclose(seen.astype(int), expected.astype(int), atol=1)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.zeros((4, 4, 3), np.uint8)])
def test_what_is_no_mask_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"mask must be \(H, W\) uint8"):
        mask_view(mask, InputSpec())
