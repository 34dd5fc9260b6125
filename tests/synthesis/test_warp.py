"""Warps: exact where the map is affine, scipy's linear interpolation elsewhere, no folds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from unmask.errors import ShapeError
from unmask.faces.align import similarity, warp_points
from unmask.synthesis import warp
from unmask.synthesis.shape import MOUTH, Points, mean_shape

AFFINE = np.array([[0.9, 0.2, 6.0], [-0.15, 1.1, -4.0]])
TURN = np.array([[0.8, -0.6, 40.0], [0.6, 0.8, -20.0]])


def placed(scale: float = 40.0, x: float = 80.0, y: float = 60.0) -> Points:
    return mean_shape() * scale + (x, y)


def pixels(height: int, width: int) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y], axis=2).astype(np.float64)


def areas(points: Points, triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    a, b, c = points[triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2  # type: ignore[no-any-return]


def test_the_triangulation_is_scipys() -> None:
    triangles = warp.face_triangles()
    shape = mean_shape().copy()
    shape[list(warp.LOWER_LIP_EDGE), 1] += 0.03
    points = warp.framed(shape, around=mean_shape())
    expected = Delaunay(points).simplices
    assert {frozenset(t) for t in triangles.tolist()} == {frozenset(t) for t in expected.tolist()}
    assert triangles.max() == len(warp.CONTROL) + 15
    assert (areas(points, triangles) > 0).all()


def test_coinciding_points_are_triangulated_once() -> None:
    square = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10], [4, 5], [4, 5]])
    assert len(warp.delaunay(square)) == 4
    with pytest.raises(ShapeError, match="lie on one line"):
        warp.delaunay(np.array([[0.0, 0], [1, 1], [2, 2]]))


@pytest.mark.parametrize("matrix", [AFFINE, TURN, np.eye(2, 3)])
def test_an_affine_change_of_all_points_is_that_affine_map(matrix: Any) -> None:
    points = placed()
    source = warp_points(warp.framed(points), matrix)
    field = warp.dense_map((150, 170), warp.framed(points), source, warp.face_triangles(), matrix)
    np.testing.assert_allclose(field, warp_points(pixels(150, 170), matrix), atol=2e-3)


def test_between_moved_points_the_map_is_linear_interpolation() -> None:
    rng = np.random.default_rng(0)
    grid = pixels(7, 9).reshape(-1, 2) * (12, 12)
    to = grid + rng.uniform(-4, 4, grid.shape)
    source = to + rng.normal(0, 3, to.shape)
    triangulation = Delaunay(to)
    exact = LinearNDInterpolator(triangulation, source)(pixels(60, 90))
    field = warp.dense_map(
        (60, 90), to, source, triangulation.simplices.astype(np.int32), np.eye(2, 3)
    )
    error = np.hypot(*(field - exact).transpose(2, 0, 1))
    assert np.nanmedian(error) < 1e-4
    assert np.nanquantile(error, 0.9) < 0.1
    assert np.nanmax(error) < 2.5  # pixels on an edge may take the triangle on its other side


def test_thin_triangles_never_sample_from_far_away() -> None:
    to = np.array([[0.0, 0], [60, 0], [60, 60], [0, 60], [30, 30], [30.02, 30.5], [30.04, 31]])
    source = to.copy()
    source[4:] += [[9, 0], [-9, 4], [9, 8]]
    field = warp.dense_map(
        (61, 61), to, source, Delaunay(to).simplices.astype(np.int32), np.eye(2, 3)
    )
    assert np.isfinite(field).all()
    assert field.min() >= -1
    assert field.max() <= 61


def test_a_moved_face_is_moved_and_its_far_surroundings_follow(sample: Any) -> None:
    image, points = sample(160)
    matrix = np.array([[1.0, 0, 5], [0, 1.0, -3]])
    field = warp.face_map((160, 160), warp_points(points, matrix), points)
    np.testing.assert_allclose(field, pixels(160, 160) - (5, -3), atol=1e-3)
    moved = warp.apply(image, field)
    np.testing.assert_array_equal(moved[20:120, 20:120], image[23:123, 15:115])


def test_pixels_beyond_the_ring_follow_the_similarity() -> None:
    small = placed(8, 150, 40)
    field = warp.face_map((80, 300), warp_points(small, TURN), small)
    back = warp_points(pixels(80, 300), similarity(warp_points(small, TURN), small))
    np.testing.assert_allclose(field, back, atol=1e-3)


def test_displaced_and_within() -> None:
    field = pixels(6, 8).astype(np.float32)
    field[2, 3] += (0.04, 0)
    field[4, 5] += (0.0, 0.3)
    assert np.argwhere(warp.displaced(field)).tolist() == [[4, 5]]
    inside = warp.within(field + 2, (6, 7))
    assert inside[:4, :4].all()
    assert inside.sum() == 5 * 4  # x + 2 <= 6 and y + 2 <= 5


def test_settled_landmarks_keep_what_does_not_fold() -> None:
    points = placed(50, 128, 90)
    np.testing.assert_array_equal(warp.settled(points), points)
    turned = warp_points(points, TURN)
    np.testing.assert_allclose(warp.settled(turned), turned, atol=1e-9)


@pytest.mark.parametrize("strength", [0.03, 0.1, 0.5, 3.0])
def test_settled_landmarks_never_fold(strength: float) -> None:
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(0, strength, (189, 2))
        points = (mean_shape() + noise) * 50 + 100
        settled = warp.framed(warp.settled(points))
        assert (
            areas(settled, warp.face_triangles()).min()
            > -0.00051 * warp.pupil_distance(warp.settled(points)) ** 2
        )


def test_only_the_landmarks_at_fault_are_settled() -> None:
    points = placed(50, 128, 90)
    astray = points.copy()
    astray[74] += (0, 60)  # a brow's point on the cheek
    settled = warp.settled(astray)
    moved = np.linalg.norm(settled - astray, axis=1) > 0.5
    assert moved[74]
    assert moved.sum() < 40
    assert not moved[list(MOUTH)].any()
    assert np.linalg.norm(settled[74] - points[74]) < 30


def test_lips_that_cross_meet() -> None:
    points = placed()
    points[101, 1] -= 4  # the lower lip's edge above the upper's
    fixed = warp.uncrossed(points)
    np.testing.assert_allclose(fixed[101], fixed[96])
    np.testing.assert_allclose(fixed[101], (points[101] + points[96]) / 2)
    others = [i for i in range(189) if i not in (96, 101)]
    np.testing.assert_allclose(fixed[others], points[others], atol=0.2)


def test_landmarks_that_cannot_be_a_face_are_refused() -> None:
    for bad in (np.zeros((5, 2)), np.full((189, 2), np.nan), np.full((189, 2), 7.0)):
        with pytest.raises(ShapeError, match="landmarks"):
            warp.check_landmarks(bad, "a test")


def test_pupil_distance_is_the_units_length() -> None:
    assert warp.pupil_distance(placed(37.0)) == pytest.approx(37.0)
    assert warp.pupil_distance(warp_points(placed(37.0), TURN)) == pytest.approx(37.0)


def test_apply_is_one_remap(sample: Any) -> None:
    image, points = sample(96)
    field = warp.face_map((96, 96), points + 2.5, points)
    expected = cv2.remap(image, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    np.testing.assert_array_equal(warp.apply(image, field), expected)


@pytest.mark.parametrize("shape", [(1, 40, 3), (40, 1, 3), (2, 3, 3)])
def test_tiny_pictures_and_maps_that_lead_far_away_come_to_an_end(shape: Any) -> None:
    image = np.full(shape, 7, np.uint8)
    far = np.full((20, 30, 2), 1e9, np.float32)
    far[::2] *= -1
    for kernel in (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4):
        assert (warp.apply(image, far, kernel) == 7).all()
