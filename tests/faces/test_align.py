"""Crops against indexing, grid offsets against a marked picture, similarity against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import ShapeError
from unmask.faces import FIVE_POINTS, crop_face, cut, invert, similarity, warp_points
from unmask.types import Box, Face, Frame


def face(box: Box, turns: int = 0) -> Face:
    side = np.array(box[2:]) - box[:2]
    points = (np.array(box[:2]) + FIVE_POINTS * side).astype(np.float32)
    return Face(box, points, 0.99, quarter_turns=turns)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_crop_inside_is_the_pixels_themselves() -> None:
    image = noise(200, 300)
    crop = crop_face(Frame(image, index=4, time=0.5), face((100.0, 50.0, 150.0, 130.0)))
    assert crop.box == (73, 38, 177, 142)  # side round(1.3 * 80) = 104 around (125, 90)
    np.testing.assert_array_equal(crop.image, image[38:142, 73:177])
    assert (crop.frame_index, crop.time, crop.grid) == (4, 0.5, None)


def test_a_crop_is_a_copy() -> None:
    image = noise(200, 200)
    crop = crop_face(Frame(image), face((80.0, 80.0, 140.0, 140.0)))
    before = crop.image.copy()
    image[:] = 0
    np.testing.assert_array_equal(crop.image, before)


@pytest.mark.parametrize("margin", [1.0, 1.3, 2.0])
@pytest.mark.parametrize("side", [49.0, 60.4, 77.3])
def test_the_side_follows_the_margin(margin: float, side: float) -> None:
    box = (80.2, 70.7, 80.2 + 0.8 * side, 70.7 + side)
    crop = crop_face(Frame(noise(240, 240)), face(box), margin=margin)
    assert crop.image.shape[0] == crop.box[2] - crop.box[0] == round(margin * side)
    centre = np.array(crop.box).reshape(2, 2).mean(axis=0)
    assert np.abs(centre - np.array(box).reshape(2, 2).mean(axis=0)).max() <= 0.75


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_face_gives_an_upright_crop(turns: int) -> None:
    image = noise(160, 160)
    plain = crop_face(Frame(image), face((50.0, 60.0, 110.0, 120.0)))
    turned = crop_face(Frame(image), face((50.0, 60.0, 110.0, 120.0), turns))
    np.testing.assert_array_equal(turned.image, np.rot90(plain.image, turns))
    assert turned.box == plain.box


@given(
    grid=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    corner=st.tuples(st.integers(-30, 60), st.integers(-30, 60)),
    side=st.integers(41, 58),
    turns=st.integers(0, 3),
)
def test_the_grid_offset_is_where_marked_blocks_start(
    grid: tuple[int, int], corner: tuple[int, int], side: int, turns: int
) -> None:
    """Brute force: number the file's blocks and look where the numbers change in the crop."""
    x0, y0 = corner
    rows, columns = np.mgrid[:160, :160]
    blocks = np.zeros((160, 160, 3), np.uint8)
    blocks[..., 0] = (columns - grid[0] + 8) // 8
    blocks[..., 1] = (rows - grid[1] + 8) // 8
    # the middle of the box sits so that the square has exactly this corner and side
    box = (float(x0), float(y0), float(x0 + side), float(y0 + side))
    crop = crop_face(Frame(blocks, grid=grid), face(box, turns), margin=1.0)
    inside = np.pad(np.ones((160, 160), bool), 30)
    inside = np.rot90(inside[y0 + 30 : y0 + 30 + side, x0 + 30 : x0 + 30 + side], turns)
    assert crop.grid == (
        first_start(crop.image, inside),
        first_start(crop.image.swapaxes(0, 1), inside.T),
    )


def first_start(numbered: np.ndarray, inside: np.ndarray) -> int:
    """Column modulo 8 where the block numbers change, among pairs of pixels not mirrored."""
    changed = (numbered[:, 1:] != numbered[:, :-1]).any(axis=2) & inside[:, 1:] & inside[:, :-1]
    (start,) = {(int(column) + 1) % 8 for column in np.nonzero(changed.any(axis=0))[0]}
    return start


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (40, 60)])
@pytest.mark.parametrize("box", [(-9, -20, 25, 14), (0, 0, 34, 34), (-50, -50, 50, 50)])
def test_outside_is_mirrored_like_numpy_does(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    image = noise(*shape)
    x0, y0, x1, y1 = box
    wide = np.pad(image, ((60, 60), (60, 60), (0, 0)), mode="reflect")
    expected = wide[y0 + 60 : y1 + 60, x0 + 60 : x1 + 60]
    np.testing.assert_array_equal(cut(image, box), expected)


def test_a_face_outside_the_picture_is_refused() -> None:
    with pytest.raises(ShapeError, match="outside the 50x40 picture"):
        crop_face(Frame(noise(40, 50)), face((200.0, 200.0, 250.0, 250.0)))


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_margin_is_refused(margin: float) -> None:
    with pytest.raises(ShapeError, match="margin"):
        crop_face(Frame(noise(40, 50)), face((10.0, 10.0, 30.0, 30.0)), margin=margin)


def test_quality_is_that_of_the_crop() -> None:
    black = Frame(np.zeros((90, 90, 3), np.uint8))
    assert crop_face(black, face((20.0, 20.0, 60.0, 60.0))).quality == (
        "too_small",
        "too_blurry",
        "too_dark",
    )


@given(
    angle=st.floats(-3.14, 3.14),
    scale=st.floats(0.01, 100.0),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_similarity_recovers_a_known_one(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    known = np.column_stack([linear, shift])
    found = similarity(FIVE_POINTS, warp_points(FIVE_POINTS, known))
    np.testing.assert_allclose(found, known, rtol=1e-6, atol=1e-9 * (scale + 500))


@pytest.mark.parametrize("seed", range(5))
def test_similarity_is_the_least_squares_solution(seed: int) -> None:
    """Against numpy's solver on the linear problem u = a x - b y + c, v = b x + a y + d."""
    rng = np.random.default_rng(seed)
    source, target = rng.standard_normal((9, 2)) * 40, rng.standard_normal((9, 2)) * 3 + 8
    one, zero = np.ones(9), np.zeros(9)
    system = np.concatenate(
        [
            np.column_stack([source[:, 0], -source[:, 1], one, zero]),
            np.column_stack([source[:, 1], source[:, 0], zero, one]),
        ]
    )
    a, b, c, d = np.linalg.lstsq(system, target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose(similarity(source, target), [[a, -b, c], [b, a, d]], atol=1e-10)


def test_similarity_never_mirrors() -> None:
    matrix = similarity(FIVE_POINTS, FIVE_POINTS * [-1.0, 1.0])
    assert np.linalg.det(matrix[:, :2]) >= 0


def test_inverse_undoes() -> None:
    matrix = np.array([[1.5, -0.4, 12.0], [0.3, 2.0, -7.0]])
    points = np.random.default_rng(0).standard_normal((4, 5, 2))
    np.testing.assert_allclose(
        warp_points(warp_points(points, matrix), invert(matrix)), points, atol=1e-12
    )


def test_bad_points_and_maps_are_refused() -> None:
    with pytest.raises(ShapeError, match="equal arrays"):
        similarity(FIVE_POINTS, FIVE_POINTS[:4])
    with pytest.raises(ShapeError, match="coincide"):
        similarity(np.ones((5, 2)), FIVE_POINTS)
    with pytest.raises(ShapeError, match="invertible"):
        invert(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]))
    with pytest.raises(ShapeError, match="invertible"):
        invert(np.eye(3))
