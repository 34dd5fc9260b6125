"""The face mesh against points that people placed, under motions of the picture, and its errors."""

from __future__ import annotations

import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from unmask.errors import MissingExtraError, ShapeError
from unmask.faces import MTCNNDetector, find_faces, mesh
from unmask.faces.align import warp_points
from unmask.faces.mesh import face_mesh, mesh_available
from unmask.types import Frame, UInt8Image

pytestmark = pytest.mark.skipif(not mesh_available(), reason="needs the extra 'landmarks'")
Read = Callable[[str], UInt8Image]

# Of the London Set's template of person 006, neutral, in the pixels of the test picture (half of
# the original's).
TEMPLATE = {"pupils": ((141.0, 166.0), (244.0, 171.0)), "mouth": ((153.5, 271.5), (231.0, 272.0))}
MOUTH_CORNERS = (61, 291)
EYE_CORNERS = ((33, 133), (362, 263))


@pytest.fixture(scope="module")
def face(picture: Read, detector: MTCNNDetector) -> tuple[UInt8Image, np.ndarray]:
    image = picture("london_006_03.jpg")
    return image, find_faces(Frame(image), detector)[0].landmarks


def test_points_lie_where_people_placed_them(face: tuple[UInt8Image, np.ndarray]) -> None:
    found = face_mesh(*face)
    assert found.points.shape == (468, 2)
    assert found.presence > 0.9
    unit = 103.0  # between the pupils
    corners = found.points[list(MOUTH_CORNERS)]
    assert np.linalg.norm(corners - TEMPLATE["mouth"], axis=1).max() < 0.06 * unit
    middles = np.array([found.points[list(pair)].mean(axis=0) for pair in EYE_CORNERS])
    # a pupil lies above the middle of its corners, and where the person looks
    assert np.linalg.norm(middles - TEMPLATE["pupils"], axis=1).max() < 0.09 * unit


@pytest.mark.parametrize(("degrees", "scale"), [(25.0, 1.0), (-60.0, 0.8), (180.0, 1.3)])
def test_the_mesh_moves_with_the_picture(
    face: tuple[UInt8Image, np.ndarray], degrees: float, scale: float
) -> None:
    image, five = face
    side = image.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, scale)
    turned = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    moved = face_mesh(turned, warp_points(five, matrix))
    expected = warp_points(face_mesh(image, five).points, matrix)
    assert np.linalg.norm(moved.points - expected, axis=1).mean() < 0.02 * 103 * scale


def test_it_forgives_an_inexact_start(face: tuple[UInt8Image, np.ndarray]) -> None:
    image, five = face
    shifted = five + np.array([6.0, -5.0])
    apart = face_mesh(image, shifted).points - face_mesh(image, five).points
    assert np.linalg.norm(apart, axis=1).mean() < 1.5


def test_it_knows_when_there_is_no_face() -> None:
    grass = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    five = np.array([[80, 80], [120, 80], [100, 100], [85, 120], [115, 120]])
    assert face_mesh(grass, five).presence < 0.5


def test_it_repeats_to_the_bit(face: tuple[UInt8Image, np.ndarray]) -> None:
    assert np.array_equal(face_mesh(*face).points, face_mesh(*face).points)


@pytest.mark.parametrize(
    ("five", "message"),
    [
        (np.zeros((4, 2)), r"five finite points \(5, 2\); got \(4, 2\)"),
        (np.full((5, 2), np.nan), "five finite points"),
        (np.ones((5, 2)), "coincide"),
    ],
)
def test_bad_points_are_refused(five: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        face_mesh(np.zeros((64, 64, 3), np.uint8), five)


def test_a_grey_array_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"face_mesh's image must be \(H, W, 3\)"):
        face_mesh(np.zeros((64, 64), np.uint8), np.eye(5, 2))


def test_without_the_extra_it_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh._network.cache_clear()
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    five = np.array([[80, 80], [120, 80], [100, 100], [85, 120], [115, 120]])
    with pytest.raises(MissingExtraError, match=r"unmask\[landmarks\]"):
        face_mesh(np.zeros((200, 200, 3), np.uint8), five)
