"""The chain that makes containers alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.data.protocols.normalise import Normalise
from unmask.errors import ShapeError
from unmask.transforms.perturb import jpeg

RNG = np.random.default_rng(0)
PICTURE = cv2.GaussianBlur(RNG.integers(0, 256, (240, 300, 3), np.uint8), (0, 0), 2.0)


def test_the_same_video_is_treated_alike_and_others_are_not() -> None:
    step = Normalise(side=128)
    one, again, other = (step.apply(PICTURE, v) for v in ("a/1", "a/1", "a/2"))
    assert one.shape == (128, 128, 3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, Normalise(side=128, seed=1).apply(PICTURE, "a/1"))


def test_the_window_is_the_middle_at_native_resolution() -> None:
    out = Normalise(side=128, jpeg_quality=(100, 100), subsampling=("4:4:4",)).apply(PICTURE, "v")
    assert np.abs(out.astype(int) - PICTURE[56:184, 86:214]).mean() < 1.0


def test_quality_is_drawn_from_the_range_alike_for_all() -> None:
    flat = Normalise(side=64, jpeg_quality=(60, 61))
    window = np.ascontiguousarray(PICTURE[88:152, 118:182])
    possible = [
        jpeg(window, quality, "4:2:0", (x, y))
        for quality in (60, 61)
        for x in range(8)
        for y in range(8)
    ]
    hits = [
        next(i for i, p in enumerate(possible) if np.array_equal(p, out))
        for out in (flat.apply(PICTURE, f"v{i}") for i in range(60))
    ]
    assert 20 < sum(hit < 64 for hit in hits) < 40
    assert len({hit % 64 for hit in hits}) > 25  # 60 draws of 64 phases


@pytest.mark.parametrize("shape", [(100, 300), (400, 300), (64, 64)])
def test_scale_brings_the_shorter_side_to_the_window(shape: tuple[int, int]) -> None:
    image = cv2.resize(PICTURE, shape[::-1])
    assert Normalise(size="scale", side=96).apply(image, "v").shape == (96, 96, 3)


@given(
    height=st.integers(40, 200),
    width=st.integers(40, 200),
    size=st.sampled_from(["window", "scale"]),
)
@settings(max_examples=40, deadline=None)
def test_the_mask_is_cut_as_the_picture_is(height: int, width: int, size: str) -> None:
    mask = np.zeros((height, width), bool)
    mask[height // 3 : 2 * height // 3, width // 4 : width // 2] = True
    image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
    step = Normalise.model_validate({"size": size, "side": 40, "jpeg_quality": (100, 100)})
    seen, kept = step.apply(image, "v")[..., 0] > 127, step.apply_mask(mask)
    assert kept.shape == seen.shape
    assert (seen != kept).mean() < (0.01 if size == "window" else 0.1)


def test_a_picture_below_the_window_is_refused() -> None:
    step = Normalise(side=256)
    assert not step.takes(300, 240)
    assert step.takes(256, 256)
    for call in (lambda: step.apply(PICTURE, "v"), lambda: step.apply_mask(PICTURE[..., 0] > 9)):
        with pytest.raises(ShapeError, match="300 x 240 pixels is smaller than the window of 256"):
            call()
    with pytest.raises(ShapeError, match="mask must be"):
        step.apply_mask(PICTURE[..., 0])


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="low, high"):
        Normalise(jpeg_quality=(90, 80))
