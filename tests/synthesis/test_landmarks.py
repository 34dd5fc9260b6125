"""The 189 points of a face: against a person's own template, as a map, and where they come from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.errors import ShapeError
from unmask.faces.align import warp_points
from unmask.faces.mesh import Mesh, mesh_available
from unmask.synthesis import landmarks as room
from unmask.synthesis.landmarks import best_landmarks, fit_landmarks, landmarks_of_mesh, mesh_map
from unmask.synthesis.shape import FIVE, HULLS, dense_landmarks
from unmask.types import UInt8Image

needs_mesh = pytest.mark.skipif(not mesh_available(), reason="needs the extra 'landmarks'")
PICTURE = Path(__file__).parents[1] / "data" / "london_006_03.jpg"

# MTCNN's five points of the picture, as `find_faces` gives them to whole pixels.
DETECTED = np.array(
    [[143.0, 170.0], [243.0, 174.0], [194.0, 225.0], [150.0, 272.0], [233.0, 276.0]]
)
# The London Set's own template of this person (006_03), halved as the picture was: the pupils,
# brow, nose tip, mouth corners and chin by their numbers.
OWN = {
    0: (141.0, 166.0),
    1: (244.0, 171.0),
    55: (194.0, 242.5),
    87: (153.5, 271.5),
    93: (231.0, 272.0),
    129: (194.0, 341.0),
}
UNIT = 103.1


@pytest.fixture(scope="module")
def image() -> UInt8Image:
    picture = cv2.imread(str(PICTURE))
    assert picture is not None
    return np.ascontiguousarray(picture[..., ::-1])


@needs_mesh
def test_points_lie_near_the_persons_own_template(image: UInt8Image) -> None:
    fitted, mean = fit_landmarks(image, DETECTED), dense_landmarks(DETECTED)
    assert fitted.shape == (189, 2)

    def error(points: np.ndarray) -> float:
        return float(np.mean([np.linalg.norm(points[i] - at) / UNIT for i, at in OWN.items()]))

    assert error(fitted) < 0.04
    assert error(fitted) < error(mean)


def test_the_map_moves_turns_and_scales_with_the_mesh() -> None:
    rng = np.random.default_rng(0)
    mesh = rng.uniform(0, 100, (468, 2))
    mesh[mesh_map().control] = mesh_map().position * 80 + 120 + rng.normal(0, 2, (100, 2))
    turn = np.array([[0.6, -0.8, 30.0], [0.8, 0.6, -7.0]]) * [[2, 2, 1]]
    moved = landmarks_of_mesh(warp_points(mesh, turn))
    np.testing.assert_allclose(moved, warp_points(landmarks_of_mesh(mesh), turn), atol=1e-6)


def test_the_mean_mesh_gives_about_the_mean_shape() -> None:
    mesh = np.zeros((468, 2))
    mesh[mesh_map().control] = mesh_map().position
    points = landmarks_of_mesh(mesh)
    np.testing.assert_allclose(points, mesh_map().rest, atol=1e-6)
    pupils = points[list(FIVE[:2])]
    np.testing.assert_allclose(pupils, [[-0.5, 0], [0.5, 0]], atol=0.02)


def test_an_open_mouth_opens() -> None:
    """A lowered jaw must lower the chin and nothing above the nose."""
    rest = np.zeros((468, 2))
    rest[mesh_map().control] = mesh_map().position
    opened = rest.copy()
    below = opened[:, 1] > 1.05
    opened[below, 1] += 0.2
    moved = landmarks_of_mesh(opened) - landmarks_of_mesh(rest)
    chin, brows = moved[129, 1], moved[list(HULLS["upper"][:10]), 1]
    assert chin - np.median(brows) > 0.1


@pytest.mark.parametrize("mesh", [np.zeros((467, 2)), np.full((468, 2), np.inf)])
def test_a_bad_mesh_is_refused(mesh: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"finite points \(468, 2\)"):
        landmarks_of_mesh(mesh)


@needs_mesh
def test_the_best_landmarks_are_the_meshs(image: UInt8Image) -> None:
    points, source = best_landmarks(image, DETECTED)
    assert source == "mesh"
    np.testing.assert_array_equal(points, fit_landmarks(image, DETECTED))


@pytest.mark.parametrize("why", ["not installed", "no face"])
def test_otherwise_they_are_the_mean_shapes(
    image: UInt8Image, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "mesh_available", lambda: why != "not installed")
    monkeypatch.setattr(room, "face_mesh", lambda *_: Mesh(np.zeros((468, 2)), 0.2))
    points, source = best_landmarks(image, DETECTED)
    assert source == "mean_shape"
    np.testing.assert_array_equal(points, dense_landmarks(DETECTED))
    if why == "no face":
        with pytest.raises(ShapeError, match=r"finds no face .*0\.20"):
            fit_landmarks(image, DETECTED)
