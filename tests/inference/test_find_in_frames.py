"""Which frames are searched how hard, and how faces become crops and tracks."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.errors import MediaError
from unmask.inference.faces import find_in_frames
from unmask.inference.settings import Settings
from unmask.types import Face, Frame, UInt8Image

POINTS = np.array([[40, 45], [80, 45], [60, 65], [45, 85], [75, 85]], np.float32)


class Scripted:
    """Finds a face in frames whose red corner is 1; counts its looks."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, image: UInt8Image) -> list[Face]:
        self.looks += 1
        found = image[0, 0, 0] == 1
        return [Face((20.0, 20.0, 100.0, 100.0), POINTS, 0.9999)] if found else []


def frame(found: bool, index: int = 0, turned: bool = False) -> Frame:
    """A frame with a face: upright, or one that is only found after a quarter turn."""
    image = np.random.default_rng(index).integers(40, 250, (120, 120, 3), dtype=np.uint8)
    image[0, 0], image[0, -1] = (0, 0)
    if found:
        image[(0, -1) if turned else (0, 0)] = 1  # np.rot90 brings the right corner to the left
    return Frame(image, index=index, time=float(index))


def test_frames_of_a_video_are_looked_at_once() -> None:
    detector = Scripted()
    frames = [frame(i != 2, i) for i in range(6)]
    found = find_in_frames(frames, detector, Settings())
    assert detector.looks == 6
    assert [crop.frame_index for crop in found.crops] == [0, 1, 3, 4, 5]
    assert set(found.tracks) == {0}


def test_the_full_search_is_only_made_where_nothing_is_upright() -> None:
    detector = Scripted()
    frames = [frame(True, i, turned=True) for i in range(8)]
    found = find_in_frames(frames, detector, Settings())
    assert len(found.crops) == 8
    assert {crop.face.quarter_turns for crop in found.crops} == {1}


def test_a_video_without_faces_costs_a_few_full_searches_only() -> None:
    detector = Scripted()
    with pytest.raises(MediaError, match="No face was found in 30 frames") as caught:
        find_in_frames([frame(False, i) for i in range(30)], detector, Settings())
    assert (caught.value.status, caught.value.reason) == ("not_applicable", "no_face")
    assert detector.looks == 30 + 3 * 8


def test_a_still_gets_the_full_search() -> None:
    (crop,) = find_in_frames([frame(True, turned=True)], Scripted(), Settings()).crops
    assert crop.face.quarter_turns == 1
    with pytest.raises(MediaError, match=r"No face was found in 1 frame\."):
        find_in_frames([frame(False)], Scripted(), Settings())


def test_the_margin_sets_the_crops_side() -> None:
    for margin in (1.0, 1.3, 2.0):
        found = find_in_frames([frame(True)], Scripted(), Settings(margin=margin))
        assert found.crops[0].image.shape[0] == round(80 * margin)
