"""Perturbations: what each does to a picture, and that one drawn chain treats a pair alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from unmask.errors import ConfigError, ShapeError
from unmask.transforms import perturb
from unmask.types import UInt8Image


def texture(height: int = 96, width: int = 104, seed: int = 0) -> UInt8Image:
    """A picture with detail everywhere: smoothed noise plus a little white noise."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(height, width, 3)), (3, 3, 0)) * 400
    return np.clip(128 + smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def seam_columns(image: UInt8Image) -> int:
    """Which of the 8 columns (x mod 8) has the strongest mean step to its left neighbour."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    bend = np.abs(gray[:, 3:] - 3 * gray[:, 2:-1] + 3 * gray[:, 1:-2] - gray[:, :-3]).mean(0)
    return int(np.argmax([bend[(k - 2) % 8 :: 8].mean() for k in range(8)]))


@pytest.mark.parametrize("phase", [(0, 0), (3, 5), (7, 1), (4, 0)])
def test_jpegs_blocks_start_at_the_phase(phase: tuple[int, int]) -> None:
    coded = perturb.jpeg(texture(), 15, phase=phase)
    assert seam_columns(coded) == phase[0]
    assert seam_columns(np.ascontiguousarray(coded.transpose(1, 0, 2))) == phase[1]


def test_jpeg_at_phase_zero_is_opencvs() -> None:
    image = texture()
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    expected = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(perturb.jpeg(image, 80), expected)


def test_jpeg_keeps_channels_and_size() -> None:
    red = np.zeros((19, 21, 3), np.uint8)
    red[..., 0] = 200
    for sampling in ("4:2:0", "4:4:4"):
        coded = perturb.jpeg(red, 95, sampling, (6, 2))  # type: ignore[arg-type]
        assert coded.shape == red.shape
        assert np.abs(coded.astype(int) - red).max() <= 4


def test_jpeg_error_falls_with_quality() -> None:
    image = texture()
    errors = [float(np.mean((perturb.jpeg(image, q) - image.astype(float)) ** 2)) for q in
              (20, 60, 90, 100)]  # fmt: skip
    assert errors == sorted(errors, reverse=True)


def test_subsampling_is_honoured() -> None:
    chroma = np.full((32, 32, 3), 128, np.uint8)
    chroma[:, ::2] = (255, 0, 0)
    chroma[:, 1::2] = (0, 130, 0)  # about the same luma
    full = np.abs(perturb.jpeg(chroma, 95, "4:4:4").astype(int) - chroma).mean()
    halved = np.abs(perturb.jpeg(chroma, 95, "4:2:0").astype(int) - chroma).mean()
    assert halved > 10 * full


def test_blur_is_a_gaussian() -> None:
    image = texture()
    expected = gaussian_filter(image.astype(float), (1.5, 1.5, 0), mode="mirror")
    assert np.abs(perturb.gaussian_blur(image, 1.5) - expected).max() <= 1.5
    np.testing.assert_array_equal(perturb.gaussian_blur(image, 0.0), image)


def test_noise_has_its_level() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)
    noisy = perturb.gaussian_noise(flat, 5.0, np.random.default_rng(1)).astype(float) - 128
    assert abs(noisy.mean()) < 0.1
    # rounding to whole grey levels adds 1/12
    assert noisy.std() == pytest.approx(np.sqrt(25 + 1 / 12), rel=0.02)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02


def test_grid_shift_cuts_left_and_top() -> None:
    image = texture()
    np.testing.assert_array_equal(perturb.grid_shift(image, 3, 5), image[5:, 3:])
    assert seam_columns(perturb.grid_shift(perturb.jpeg(image, 15), 3, 5)) == 5


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic", "lanczos", "area"])
def test_resize_takes_width_then_height(kernel: perturb.Kernel) -> None:
    assert perturb.resize(texture(), 50, 70, kernel).shape == (70, 50, 3)


def test_what_cannot_work_is_refused() -> None:
    image = texture(20, 20)
    with pytest.raises(ConfigError, match=r"1\.\.100"):
        perturb.jpeg(image, 101)
    with pytest.raises(ConfigError, match=r"phase 0\.\.7"):
        perturb.jpeg(image, 90, phase=(8, 0))
    with pytest.raises(ShapeError, match="at most 65500 pixels"):
        perturb.jpeg(np.zeros((1, 65_501, 3), np.uint8), 90)
    with pytest.raises(ConfigError, match="sigma"):
        perturb.gaussian_blur(image, -1)
    with pytest.raises(ConfigError, match="0 x 5"):
        perturb.resize(image, 0, 5, "area")
    with pytest.raises(ConfigError, match="'cubic'"):
        perturb.resize(image, 5, 5, "cubic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"Cannot cut \(20, 0\)"):
        perturb.grid_shift(image, 20, 0)
    for change in (lambda i: perturb.jpeg(i, 90), lambda i: perturb.gaussian_blur(i, 1.0)):
        with pytest.raises(ShapeError, match="uint8 RGB"):
            change(np.zeros((4, 4), np.uint8))
