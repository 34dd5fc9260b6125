"""Motion and defocus blur, against kernels made by brute force and scipy's convolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter

from unmask.errors import ConfigError, ShapeError
from unmask.transforms.blur import defocus_blur, defocus_kernel, motion_blur, motion_kernel
from unmask.types import UInt8Image


def texture(height: int = 60, width: int = 71) -> UInt8Image:
    rng = np.random.default_rng(3)
    smooth = gaussian_filter(rng.normal(size=(height, width, 3)), (2, 2, 0)) * 300
    return np.clip(128 + smooth, 0, 255).astype(np.uint8)


def walked(length: float, angle: float, half: int) -> NDArray[np.float64]:
    """The share of a path's points that fall into each pixel, by walking it."""
    steps = (np.arange(400_000) + 0.5) / 400_000 * length - length / 2
    columns = np.rint(steps * np.cos(np.radians(angle))).astype(int) + half
    rows = np.rint(-steps * np.sin(np.radians(angle))).astype(int) + half
    counts = np.zeros((2 * half + 1, 2 * half + 1))
    np.add.at(counts, (rows, columns), 1 / steps.size)
    return counts


@pytest.mark.parametrize("length", [1.0, 2.0, 4.5, 9.0])
@pytest.mark.parametrize("angle", [0.0, 17.0, 63.4, 90.0, 135.5, 179.0])
def test_the_motion_kernel_is_the_path(length: float, angle: float) -> None:
    kernel = motion_kernel(length, angle)
    np.testing.assert_allclose(kernel, walked(length, angle, len(kernel) // 2), atol=2e-5)


@given(length=st.floats(1, 255), angle=st.floats(0, 180, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_motion_kernels_sum_to_one_and_are_symmetric(length: float, angle: float) -> None:
    kernel = motion_kernel(length, angle)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-9)


def test_the_angle_is_counter_clockwise() -> None:
    kernel = motion_kernel(9.0, 45.0)
    middle = len(kernel) // 2
    assert kernel[middle - 2, middle + 2] > 0.1  # two up, two to the right
    assert kernel[middle + 2, middle + 2] == 0


@pytest.mark.parametrize("radius", [0.8, 1.0, 2.5, 4.0, 9.3])
def test_the_defocus_kernel_is_a_disc(radius: float) -> None:
    kernel = defocus_kernel(radius)
    half = len(kernel) // 2
    offsets = np.arange(-half, half + 1)
    assert kernel.sum() == pytest.approx(1)
    assert kernel[half, half] == pytest.approx(1 / (np.pi * radius**2), rel=0.02)
    # the disc's area up to x is x sqrt(r^2 - x^2) + r^2 asin(x / r), and a constant
    edges = np.clip(np.append(offsets - 0.5, half + 0.5), -radius, radius)
    area = edges * np.sqrt(radius**2 - edges**2) + radius**2 * np.arcsin(edges / radius)
    np.testing.assert_allclose(kernel.sum(0), np.diff(area) / (np.pi * radius**2), atol=5e-3)
    np.testing.assert_array_equal(kernel, kernel.T)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    assert (kernel[distance > radius + 0.71] == 0).all()
    np.testing.assert_allclose(kernel[distance < radius - 0.71], kernel[half, half])


@pytest.mark.parametrize(("length", "angle"), [(3, 0), (7.5, 30), (21, 100), (64, 45)])
def test_motion_blur_is_a_mirrored_convolution(length: float, angle: float) -> None:
    image = texture()
    kernel = motion_kernel(length, angle)
    expected = np.stack(
        [convolve(image[..., c].astype(float), kernel, mode="mirror") for c in range(3)], -1
    )
    assert np.abs(motion_blur(image, length, angle) - expected).max() <= 0.51


@pytest.mark.parametrize("radius", [0.9, 3.0, 12.0])
def test_defocus_blur_is_a_mirrored_convolution(radius: float) -> None:
    image = texture()
    kernel = defocus_kernel(radius)
    expected = np.stack(
        [convolve(image[..., c].astype(float), kernel, mode="mirror") for c in range(3)], -1
    )
    assert np.abs(defocus_blur(image, radius) - expected).max() <= 0.51


def test_the_smallest_blurs_change_nothing() -> None:
    image = texture()
    np.testing.assert_array_equal(motion_blur(image, 1, 0), image)
    np.testing.assert_array_equal(defocus_blur(image, 0.5), image)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    length=st.floats(1, 80),
    angle=st.floats(0, 179.9),
    radius=st.floats(0.1, 30),
    tone=st.integers(0, 255),
)
@settings(max_examples=60, deadline=None)
def test_an_even_picture_of_any_size_stays_even(
    height: int, width: int, length: float, angle: float, radius: float, tone: int
) -> None:
    image = np.full((height, width, 3), tone, np.uint8)
    np.testing.assert_array_equal(motion_blur(image, length, angle), image)
    np.testing.assert_array_equal(defocus_blur(image, radius), image)


@pytest.mark.parametrize("length", [0.9, 255.5, float("nan")])
def test_impossible_lengths_are_refused(length: float) -> None:
    with pytest.raises(ConfigError, match="1 to 255 pixels"):
        motion_blur(texture(), length, 0)


@pytest.mark.parametrize("angle", [-1.0, 180.0])
def test_impossible_angles_are_refused(angle: float) -> None:
    with pytest.raises(ConfigError, match="below 180 degrees"):
        motion_blur(texture(), 5, angle)


@pytest.mark.parametrize("radius", [0.0, -1.0, 64.5, float("nan")])
def test_impossible_radii_are_refused(radius: float) -> None:
    with pytest.raises(ConfigError, match="at most 64 pixels"):
        defocus_blur(texture(), radius)


def test_a_cached_kernel_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        motion_kernel(5.0, 0.0)[0] = 1
    with pytest.raises(ShapeError, match="motion_blur's image"):
        motion_blur(np.zeros((4, 4), np.uint8), 3, 0)
    with pytest.raises(ShapeError, match="defocus_blur's image"):
        defocus_blur(np.zeros((4, 4), np.uint8), 3)
