"""Quality flags on pictures changed in one known way."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from unmask.errors import ShapeError
from unmask.faces import MTCNNDetector, assess, crop_face, find_faces
from unmask.faces.quality import luma_level, sharpness
from unmask.types import Crop, Frame, UInt8Image

Read = Callable[[str], UInt8Image]
NAMES = (
    "congress_A000055.jpg",
    "london_006_03.jpg",
    "london_024_03.jpg",
    "london_025_08.jpg",
)


@pytest.fixture(scope="module", params=NAMES)
def crop(request: pytest.FixtureRequest, picture: Read, detector: MTCNNDetector) -> Crop:
    frame = Frame(picture(request.param))
    return crop_face(frame, find_faces(frame, detector)[0])


def test_a_good_face_has_no_flag(crop: Crop) -> None:
    assert crop.quality == ()


def test_blur_of_a_fortieth_of_the_face_is_flagged(crop: Crop) -> None:
    side = crop.face.side
    blurred = cv2.GaussianBlur(crop.image, (0, 0), side / 40)
    assert assess(blurred, side) == ("too_blurry",)


def test_a_face_that_is_only_somewhat_blurred_is_told_apart(crop: Crop) -> None:
    """Between the two limits, which the blur is chosen to reach."""
    side = crop.face.side
    for share in np.linspace(300, 30, 100):
        flags = assess(cv2.GaussianBlur(crop.image, (0, 0), side / share), side)
        if flags:
            break
    assert flags == ("blurry",)


def test_noise_free_enlargement_is_flagged(crop: Crop) -> None:
    """A face brought up from 16 pixels has no more detail than those."""
    tiny = cv2.resize(crop.image, (16, 16), interpolation=cv2.INTER_AREA)
    large = cv2.resize(tiny, crop.image.shape[:2], interpolation=cv2.INTER_CUBIC)
    assert "too_blurry" in assess(large, crop.face.side)


def test_low_contrast_alone_is_not_blur(crop: Crop) -> None:
    pale = (crop.image.astype(float) * 0.4 + 100).astype(np.uint8)
    assert assess(pale, crop.face.side) == ()


def test_underexposure_is_flagged_and_half_the_light_is_not(crop: Crop) -> None:
    dark = (crop.image.astype(float) * 0.12).astype(np.uint8)
    assert "too_dark" in assess(dark, crop.face.side)
    half = (crop.image.astype(float) * 0.5).astype(np.uint8)
    assert "too_dark" not in assess(half, crop.face.side)


def test_small_faces_are_flagged_below_48_pixels(crop: Crop) -> None:
    for side, flagged in ((47, True), (48, False)):
        small = cv2.resize(crop.image, (62, 62), interpolation=cv2.INTER_AREA)
        assert ("too_small" in assess(small, side)) is flagged


def test_only_the_middle_decides() -> None:
    image = np.random.default_rng(0).integers(0, 256, (130, 130, 3), dtype=np.uint8)
    image[20:110, 20:110] = 10
    assert assess(image, 100.0) == ("too_blurry", "too_dark")


def test_sharpness_of_known_pictures() -> None:
    flat = np.full((64, 64), 90, np.uint8)
    assert sharpness(flat) == 0.0
    # white noise of variance v: Laplacian (4 + 16) v, gradients 2 v each
    grey = np.random.default_rng(2).integers(0, 256, (64, 64), dtype=np.uint8)
    assert sharpness(grey) == pytest.approx(20 / 4, rel=0.1)
    # cos(w x), mirrored at both ends onto itself: ((2 - 2 cos w) / (2 sin w))^2
    w = 2 * np.pi * 8 / 63
    wave = np.tile(np.rint(127 + 120 * np.cos(w * np.arange(64))), (64, 1)).astype(np.uint8)
    assert sharpness(wave) == pytest.approx(((2 - 2 * np.cos(w)) / (2 * np.sin(w))) ** 2, rel=0.05)


def test_luma_level_is_the_brightest_tenth() -> None:
    assert luma_level(np.arange(101, dtype=np.uint8)[None]) == 90.0


def test_a_float_picture_is_refused() -> None:
    with pytest.raises(ShapeError, match="uint8"):
        assess(np.zeros((60, 60, 3), np.float32), 50.0)  # type: ignore[arg-type]
