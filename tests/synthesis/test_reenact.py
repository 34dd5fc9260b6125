"""Reenactment: expressions are read from landmarks, given to a face, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.errors import ConfigError
from unmask.faces.align import warp_points
from unmask.synthesis import expression, lips, reenact, warp
from unmask.synthesis.shape import BROWS, JAW, MOUTH, Points, mean_shape
from unmask.synthesis.subject import Subject

TURN = np.array([[0.96, -0.28, 60.0], [0.28, 0.96, 5.0]])


def face(scale: float = 50.0) -> Points:
    return mean_shape() * scale + (100, 85)


def showing(amounts: dict[str, float], scale: float = 50.0) -> Points:
    return (mean_shape() + expression.displacement(amounts)) * scale + (100, 85)


def drawn_face(side: int = 200, *, teeth: bool = False) -> Subject:
    """Skin, redder lips, and a dark line or pale teeth between them."""
    image = np.full((side, side, 3), (200, 160, 140), np.uint8)
    points = face()
    hull = cv2.convexHull(np.rint(points[list(MOUTH)]).astype(np.int32))
    cv2.fillConvexPoly(image, hull, (190, 90, 100))
    line = np.rint(points[[87, *range(94, 99), 93]]).astype(np.int32)
    cv2.polylines(image, [line], False, (70, 25, 30), 2)
    if teeth:
        cv2.polylines(image, [np.add(line, (0, 4))], False, (215, 210, 200), 4)
    grain = np.random.default_rng(0).normal(0, 2, image.shape)
    return Subject((image + grain).clip(0, 255).astype(np.uint8), points, "drawn")


@pytest.mark.parametrize("name", expression.MOVEMENTS)
def test_each_movement_is_read_back(name: str) -> None:
    found = expression.difference(showing({name: 0.8}), face(), expression.MOVEMENTS)
    for other, amount in found.items():
        assert amount == pytest.approx(0.8 if other == name else 0.0, abs=0.06)
    turned = warp_points(showing({name: 0.8}), TURN)
    again = expression.difference(turned, face(), expression.MOVEMENTS)
    assert again == pytest.approx(found, abs=1e-6)


def test_who_somebody_is_is_no_expression() -> None:
    """A longer face with the mouth elsewhere and small deviations everywhere."""
    rng = np.random.default_rng(0)
    points = face() * (1.0, 1.04) + rng.normal(0, 0.4, (189, 2))
    points[list(MOUTH)] += (2, 4)
    amounts = expression.difference(points, face(), expression.MOVEMENTS)
    assert expression.is_faint(amounts)


def test_movements_move_what_they_name_and_never_fold() -> None:
    moving = {
        name: set(np.flatnonzero(np.abs(expression.movement(name)).max(axis=1)))
        for name in expression.MOVEMENTS
    }
    assert moving["raise"] >= set(BROWS)
    assert not moving["raise"] & {*MOUTH, *JAW}
    assert moving["open"] >= {101, 106, 129}
    assert not moving["open"] & {*BROWS, 19, 20, 21}
    assert moving["blink"] == {0, 1, 19, 20, 21, 24, 25, 26, *range(34, 44)}
    assert expression.movement("open")[101, 1] > 0.3
    assert expression.movement("smile")[87, 0] < 0 < expression.movement("smile")[93, 0]
    for seed in range(30):
        amounts = expression.drawn(np.random.default_rng(seed), expression.MOVEMENTS)
        assert not expression.is_faint(amounts)
        points = warp.framed(showing(amounts), around=face())
        a, b, c = points[warp.face_triangles()].transpose(1, 0, 2)
        assert (np.cross(b - a, c - a) / 2).min() > -0.01 * 50**2


def test_the_donors_expression_arrives() -> None:
    """Brows of a painted face rise by what the donor's rose."""
    target = drawn_face()
    image = target.image.copy()
    for chain in (range(71, 77), range(78, 83)):
        line = np.rint(target.landmarks[list(chain)]).astype(np.int32)
        cv2.polylines(image, [line], False, (40, 30, 20), 3)
    target = replace(target, image=image)
    donor = Subject(image, showing({"raise": 0.9}), "donor")
    fake, mask = reenact.reenact(target, donor, np.random.default_rng(0), "expression")

    def brow(picture: Any) -> float:
        rows, _ = np.nonzero(picture[40:90].mean(axis=2) < 90)
        return float(rows.mean())

    risen = brow(image) - brow(fake)
    assert 0.6 * 0.9 * 0.13 * 50 < risen < 1.3 * 0.9 * 0.13 * 50
    assert not mask[110:].any()  # the mouth is still


def test_faces_that_show_the_same_get_a_drawn_expression() -> None:
    target = drawn_face()
    moved = set()
    for seed in range(12):
        fake, mask = reenact.reenact(target, target, np.random.default_rng(seed), "expression")
        assert (np.abs(fake.astype(int) - target.image) > 2).any()
        moved.add(int(mask.sum()))
    assert len(moved) > 8


def test_mouth_moves_the_mouth_alone() -> None:
    target = drawn_face()
    above = int(target.landmarks[[44, 49], 1].max())
    left, right = target.landmarks[list(JAW), 0].min(), target.landmarks[list(JAW), 0].max()
    for seed in range(8):
        _, mask = reenact.reenact(target, target, np.random.default_rng(seed), "mouth")
        assert mask.any()
        assert not mask[:above].any()
        columns = np.flatnonzero(mask.any(axis=0))
        assert left - 4 <= columns.min() <= columns.max() <= right + 4


def test_lips_are_found_off_their_landmarks() -> None:
    target = drawn_face()
    exact = lips.found_lips(target.image, target.landmarks)
    assert exact.closed
    assert np.abs(exact.landmarks - target.landmarks).max() < 1.5
    astray = target.landmarks.copy()
    astray[list(MOUTH)] -= (0, 2)
    found = lips.found_lips(target.image, astray)
    assert found.closed
    assert np.abs(found.landmarks - target.landmarks).max() < 1.2


def test_teeth_and_open_mouths_are_not_opened_as_if_closed() -> None:
    smiling = drawn_face(teeth=True)
    seen = lips.found_lips(smiling.image, smiling.landmarks)
    assert not seen.closed
    assert seen.room == (0.0, 0.0)
    ajar = lips.found_lips(smiling.image, showing({"open": 0.3}))
    assert not ajar.closed
    assert ajar.room[0] == pytest.approx(-0.8 * 0.3, abs=0.03)
    assert ajar.room[1] == pytest.approx(0.4 * 0.3, abs=0.03)
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert not lips.found_lips(grey, face()).closed


def test_an_opened_mouth_is_dark_inside() -> None:
    target = drawn_face()
    donor = Subject(target.image, showing({"open": 0.9}), "donor")
    fake, mask = reenact.reenact(target, donor, np.random.default_rng(1), "expression")
    x, y = np.rint(target.landmarks[101] + (0, 0.9 * 0.34 * 50 * 0.8)).astype(int)
    assert fake[y, x].mean() < 70  # below the teeth
    assert target.image[y, x].mean() > 110
    assert mask[y, x]
    inside = lips.cavity((200, 200), showing({"open": 0.9}))
    assert inside[y, x] == 1
    assert lips.cavity((200, 200), face()).sum() == 0


def test_unmoved_pixels_are_the_targets(made: Any) -> None:
    for seed in range(4):
        target, (fake, mask) = made("reenact", seed)
        np.testing.assert_array_equal(fake[~mask], target.image[~mask])
        assert mask.mean() < 0.5


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ConfigError, match="expression, mouth"):
        reenact.reenact(drawn_face(), drawn_face(), np.random.default_rng(0), "gaze")
