"""Which face a verdict rests on."""

from __future__ import annotations

import numpy as np

from unmask.inference.verdict import Scored
from unmask.types import Crop, Face


def crop(quality: tuple[str, ...] = ()) -> Crop:
    points = np.array([[2, 2], [6, 2], [4, 4], [2, 6], [6, 6]], np.float32)
    face = Face((0.0, 0.0, 8.0, 8.0), points, 0.99)
    return Crop(np.zeros((8, 8, 3), np.uint8), (0, 0, 8, 8), face, quality=quality)


def scored(rows: list[tuple[int, float, tuple[str, ...]]]) -> Scored:
    """From (track, logit, quality) per crop."""
    return Scored(
        [crop(quality) for _, _, quality in rows],
        [track for track, _, _ in rows],
        np.array([logit for _, logit, _ in rows]),
        np.zeros((len(rows), 14), np.float32),
    )


def test_the_highest_clear_face_decides_before_a_higher_blurry_one() -> None:
    faces = scored([(0, 2.0, ()), (1, 5.0, ("too_blurry",)), (2, 1.0, ())])
    assert faces.deciding() == 0


def test_a_blurry_face_decides_when_there_is_no_other() -> None:
    assert scored([(0, 2.0, ("too_blurry",)), (1, 5.0, ("too_small",))]).deciding() == 1


def test_one_clear_frame_makes_a_track_clear() -> None:
    rows = [(0, 1.0, ()), (0, 1.0, ()), (0, 1.0, ())]
    rows += [(1, 9.0, ("too_dark",)), (1, 3.0, ()), (1, 9.0, ("too_dark",))]
    assert scored(rows).deciding() == 1
    assert scored(rows).track_logit(1) == 3.0


def test_a_long_blurry_track_does_not_stand_back_for_a_short_clear_one() -> None:
    rows = [(0, 1.0, ("too_blurry",))] * 3 + [(1, 4.0, ())]
    assert scored(rows).deciding() == 0
