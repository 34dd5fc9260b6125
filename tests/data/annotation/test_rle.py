"""COCO's run lengths, held against values of the reference implementation and the definition.

The strings were made with pycocotools 2.0:
    mask.encode(np.asfortranarray(m.astype(np.uint8)))["counts"].decode()
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unmask.data.annotation.rle import decode_rle, encode_rle, fill_polygons, pack, unpack
from unmask.errors import DatasetError, ShapeError

masks = arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))
Y, X = np.mgrid[:200, :300]
DISC = (Y - 90) ** 2 + (X - 140) ** 2 < 40**2
DISC_STRING = (
    "jic0a0c58I6K4L4L4M2N2M4M2N2N2N2N2N2O0O2N2N2O0O2O0O2O0O2O000O2O0000"
    "0O2O00000000000000000000000000000001N1000001N10001N101N101N101N2N2"
    "N101N2N2N2N2N2N3L3N2N3L4L4L5J7Hb[g0"
)


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (np.zeros((3, 2), bool), "6"),
        (np.ones((3, 2), bool), "06"),
        (np.eye(4, dtype=bool), "01400000"),
        (DISC, DISC_STRING),
    ],
    ids=["none", "all", "diagonal", "disc"],
)
def test_as_the_reference_writes_it(mask: np.ndarray, text: str) -> None:
    assert encode_rle(mask) == {"size": list(mask.shape), "counts": text}
    np.testing.assert_array_equal(decode_rle({"size": list(mask.shape), "counts": text}), mask)


@given(masks)
@settings(max_examples=100, deadline=None)
def test_a_mask_comes_back_exactly(mask: np.ndarray) -> None:
    for packed in (True, False):
        back = decode_rle(encode_rle(mask, packed=packed))
        assert back.dtype == np.bool_
        np.testing.assert_array_equal(back, mask)


@given(masks)
@settings(max_examples=60, deadline=None)
def test_the_runs_are_those_down_the_columns(mask: np.ndarray) -> None:
    runs, value = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if bool(mask[row, column]) != value:
                runs.append(0)
                value = not value
            runs[-1] += 1
    assert encode_rle(mask, packed=False)["counts"] == runs


@given(st.lists(st.integers(0, 2**40)))
@settings(max_examples=100, deadline=None)
def test_any_run_lengths_survive_packing(counts: list[int]) -> None:
    text = pack(counts)
    assert unpack(text) == counts
    assert all(48 <= ord(letter) < 112 for letter in text)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, "its runs cover 3 pixels, but 2x2 are 4"),
        ({"size": [2, 2], "counts": [5, -1]}, "run lengths of 0 or more"),
        ({"size": [2, 2], "counts": [2.0, 2.0]}, "run lengths of 0 or more"),
        ({"size": [2], "counts": [2]}, r"size must be \[height, width\]"),
        ({"size": [0, 2], "counts": []}, r"size must be \[height, width\]"),
        ({"size": [2, 2], "counts": "é"}, "'é' is no character"),
        ({"size": [2, 2], "counts": "P"}, "cut off"),
        ({"size": [2, 2]}, "needs size and counts"),
        (None, "needs size and counts"),
    ],
)
def test_what_is_no_rle_is_refused(rle: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        decode_rle(rle)


def test_only_a_bool_picture_is_encoded() -> None:
    with pytest.raises(ShapeError):
        encode_rle(np.zeros((3, 3)))


@given(st.lists(st.tuples(st.floats(-3, 15), st.floats(-3, 13)), min_size=3, max_size=7))
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_in_a_polygon_when_its_centre_is(points: list[tuple[float, float]]) -> None:
    mask = fill_polygons([[v for point in points for v in point]], 10, 12)
    for row in range(10):
        for column in range(12):
            inside = False  # how often a ray to the left meets the outline
            for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
                if (y0 <= row + 0.5) != (y1 <= row + 0.5):
                    met = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                    if abs(met - column - 0.5) < 1e-9:
                        break  # on the outline: either is right
                    inside ^= met < column + 0.5
            else:
                assert mask[row, column] == inside


def test_a_polygon_fills_what_opencv_says_is_inside() -> None:
    polygon = [10.2, 20.7, 60.1, 25.3, 40.0, 70.9]
    outline = np.array(polygon, np.float32).reshape(-1, 1, 2)
    inside = [
        [cv2.pointPolygonTest(outline, (x + 0.5, y + 0.5), False) > 0 for x in range(80)]
        for y in range(100)
    ]
    np.testing.assert_array_equal(fill_polygons([polygon], 100, 80), inside)


def test_polygons_are_joined_and_cut_at_the_border() -> None:
    mask = fill_polygons([[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 99, 2, 99, 99, 2, 99]], 6, 7)
    expected = np.zeros((6, 7), bool)
    expected[:4, :4] = expected[2:, 2:] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "polygon", [[0, 0, 1, 1], [0, 0, 1, 1, 2], [0, 0, 1, 1, 2, np.nan], ["x"] * 6]
)
def test_what_is_no_polygon_is_refused(polygon: list[float]) -> None:
    with pytest.raises(DatasetError, match="polygon"):
        fill_polygons([polygon], 4, 4)
