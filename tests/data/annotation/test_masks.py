"""Masks as PNG: what is taken, what is refused, and in which words."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from unmask.data.annotation.masks import mask_from_png, mask_to_png
from unmask.errors import DatasetError, ShapeError

MASK = np.array([[0, 1, 1, 0, 0], [0, 0, 1, 0, 1], [1, 0, 0, 0, 0]], bool)
SIZE = (5, 3)
masks = arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20)))


def png(image: Image.Image, **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **more)
    return file.getvalue()


def grey(values: np.ndarray) -> bytes:
    return png(Image.fromarray(values.astype(np.uint8)))


def palette(indices: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def with_alpha(alpha: int) -> bytes:
    white = MASK.astype(np.uint8) * 255
    return png(Image.fromarray(np.dstack([white] * 3 + [np.full_like(white, alpha)]), "RGBA"))


@given(masks)
@settings(max_examples=60, deadline=None)
def test_a_mask_comes_back_as_it_was(mask: np.ndarray) -> None:
    back = mask_from_png(mask_to_png(mask), size=mask.shape[::-1])
    assert back.dtype == np.bool_
    np.testing.assert_array_equal(back, mask)


def test_one_bit_per_pixel_white_where_manipulated() -> None:
    data = mask_to_png(MASK)
    assert data[24] == 1  # bit depth in the header
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(read, MASK * 255)


@pytest.mark.parametrize(
    "data",
    [
        png(Image.fromarray(MASK)),
        grey(MASK * 255),
        grey(MASK.repeat(3).reshape(3, 5, 3) * 255),
        with_alpha(255),
        png(palette(MASK, (0, 0, 0), (128, 0, 0))),
        png(palette(MASK * 2, (0, 0, 0), (1, 1, 1), (0, 90, 7))),
        cv2.imencode(".png", MASK.astype(np.uint16) * 65535)[1].tobytes(),
        png(Image.fromarray(MASK).convert("LA")),
    ],
    ids=["1 bit", "grey", "rgb", "opaque", "palette", "unused colour", "16 bit", "grey alpha"],
)
def test_what_can_be_meant_in_one_way_is_taken(data: bytes) -> None:
    np.testing.assert_array_equal(mask_from_png(data, size=SIZE), MASK)


@pytest.mark.parametrize("value", [False, True])
def test_all_black_and_all_white_are_masks(value: bool) -> None:
    mask = np.full((3, 5), value)
    np.testing.assert_array_equal(mask_from_png(grey(mask * 255), size=SIZE), mask)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (grey(MASK * 200), r"has 2 grey levels \(0, 200\); a mask has only 0 and 255"),
        (grey(MASK), r"has 2 grey levels \(0, 1\)"),
        (grey(np.arange(15).reshape(3, 5) * 10), r"has 15 grey levels \(0, 10, 20, 30, \.\.\.\)"),
        (grey(np.full((3, 5), 9)), r"has 1 grey level \(9\)"),
        (cv2.imencode(".png", MASK.astype(np.uint16) * 255)[1].tobytes(), r"only 0 and 65535"),
        (png(palette(np.arange(15).reshape(3, 5) % 3, (0,) * 3, (9, 0, 0), (0, 9, 0))),
         "a palette of which 2 colours beside black are used"),
        (grey(np.dstack([MASK * 255, MASK * 0, MASK * 0])), "has 2 colours, other than black"),
        (with_alpha(254), "has transparent pixels"),
        (png(palette(MASK, (0, 0, 0), (9, 9, 9)), transparency=0), "has transparent pixels"),
        (cv2.imencode(".png", np.dstack([MASK.astype(np.uint16) * 65535] * 3))[1].tobytes(),
         "16 bits per channel and several channels"),
        (cv2.imencode(".jpg", MASK * np.uint8(255))[1].tobytes(), "is not a PNG file"),
        (b"", "is not a PNG file"),
        (grey(MASK * 255)[:-30], "is a damaged PNG file"),
        (grey(MASK.T * 255), "has 3x5 pixels, its picture 5x3"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=f"a.png .*{message}|a.png {message}"):
        mask_from_png(data, size=SIZE, what="a.png")


def test_the_size_is_looked_at_before_the_pixels() -> None:
    bomb = bytearray(grey(MASK * 255))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(DatasetError, match="has 60000x60000 pixels"):
        mask_from_png(bytes(bomb), size=SIZE)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 5)), np.zeros((3, 5, 1), bool), np.zeros((0, 5), bool)]
)
def test_only_a_bool_picture_is_written(bad: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"must be \(H, W\) bool"):
        mask_to_png(bad)
