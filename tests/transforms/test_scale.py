"""Sizes after rescaling, and the chains that begin with it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from unmask.errors import ConfigError, ShapeError
from unmask.transforms.chains import messenger, reshare, social
from unmask.transforms.perturb import Kernel
from unmask.transforms.scale import rescale, resize_and_back, shrink_to
from unmask.types import UInt8Image

KERNELS: tuple[Kernel, ...] = ("nearest", "bilinear", "bicubic", "lanczos", "area")


def texture(height: int = 90, width: int = 120) -> UInt8Image:
    rng = np.random.default_rng(4)
    smooth = gaussian_filter(rng.normal(size=(height, width, 3)), (3, 3, 0)) * 400
    return np.clip(128 + smooth, 0, 255).astype(np.uint8)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    scale=st.floats(0.01, 4),
    kernel=st.sampled_from(KERNELS),
)
@settings(max_examples=60, deadline=None)
def test_sides_are_rounded_and_an_even_picture_stays_even(
    height: int, width: int, scale: float, kernel: Kernel
) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    other = rescale(image, scale, kernel)
    assert other.shape == (max(1, round(height * scale)), max(1, round(width * scale)), 3)
    assert (other == 77).all()
    np.testing.assert_array_equal(resize_and_back(image, min(1, scale), kernel), image)


@given(height=st.integers(1, 70), width=st.integers(1, 70), scale=st.floats(0.05, 3))
@settings(max_examples=60, deadline=None)
def test_nearest_is_pillows_and_does_not_move_the_picture(
    height: int, width: int, scale: float
) -> None:
    image = texture(height, width)
    other = rescale(image, scale, "nearest")
    expected = Image.fromarray(image).resize(other.shape[1::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(other, expected)


def test_area_halves_by_the_mean_of_four() -> None:
    image = texture()
    blocks = image.reshape(45, 2, 60, 2, 3).mean((1, 3))
    assert np.abs(rescale(image, 0.5, "area") - blocks).max() <= 0.5


@pytest.mark.parametrize("kernel", KERNELS)
def test_coming_back_loses_detail_and_keeps_the_rest(kernel: Kernel) -> None:
    image = texture()
    back = resize_and_back(image, 0.5, kernel)
    assert back.shape == image.shape
    assert 0 < np.abs(back.astype(float) - image).mean() < 8
    assert abs(back.mean() - image.mean()) < 0.5
    assert np.abs(back.astype(float) - image)[20:-20, 20:-20].max() < 60  # nothing has moved far
    np.testing.assert_array_equal(resize_and_back(image, 1, kernel), image)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    limit=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
@settings(max_examples=60, deadline=None)
def test_shrinking_stops_at_the_limit(height: int, width: int, limit: tuple[int, int]) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    out = shrink_to(image, *limit)
    new_height, new_width = out.shape[:2]
    assert new_width <= limit[0]
    assert new_height <= limit[1]
    if width <= limit[0] and height <= limit[1]:
        assert out.shape == image.shape
    else:  # one side reaches it
        assert new_width == limit[0] or new_height == limit[1]


def pillow_jpeg(image: UInt8Image, quality: int) -> UInt8Image:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(data).convert("RGB"))


def test_a_messenger_shrinks_and_encodes() -> None:
    image = texture()
    expected = pillow_jpeg(rescale(image, 0.5, "area"), 60)
    sent = messenger(image, 60, 60)
    assert sent.shape == (45, 60, 3)
    assert np.abs(sent.astype(float) - expected).mean() < 0.2
    assert np.abs(messenger(image, 120, 60).astype(float) - pillow_jpeg(image, 60)).mean() < 0.2


def test_a_feed_limits_the_width_only() -> None:
    assert social(texture(120, 90), 60).shape == (80, 60, 3)
    assert social(texture(300, 50), 60).shape == (300, 50, 3)


def test_the_defaults_are_1280_and_1080() -> None:
    wide = np.zeros((10, 2560, 3), np.uint8)
    assert messenger(wide).shape == (5, 1280, 3)
    assert messenger(wide.transpose(1, 0, 2)).shape == (1280, 5, 3)
    assert social(wide).shape == (4, 1080, 3)
    assert reshare(wide).shape == (4, 1080, 3)


def test_resharing_is_one_after_the_other() -> None:
    image = texture()
    expected = social(messenger(image, 100, 70), 80, 50, (3, 6))
    np.testing.assert_array_equal(reshare(image, (100, 70), (80, 50), (3, 6)), expected)


def test_what_cannot_work_is_refused() -> None:
    image = texture(20, 20)
    for scale in (0.0, -1.0, 16.5, float("nan")):
        with pytest.raises(ConfigError, match="at most 16"):
            rescale(image, scale, "area")
    for scale in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="at most 1"):
            resize_and_back(image, scale, "area")
    with pytest.raises(ConfigError, match="'cubic'"):
        rescale(image, 0.5, "cubic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="0 x 5"):
        shrink_to(image, 0, 5)
    with pytest.raises(ConfigError, match=r"1\.\.100"):
        messenger(image, 10, 0)
    with pytest.raises(ConfigError, match="0 x 20"):
        social(image, 0)
    for change in (
        lambda i: rescale(i, 0.5, "area"),
        lambda i: resize_and_back(i, 0.5, "area"),
        lambda i: shrink_to(i, 5, 5),
        messenger,
        social,
        reshare,
    ):
        with pytest.raises(ShapeError, match="uint8 RGB"):
            change(np.zeros((4, 4), np.uint8))
