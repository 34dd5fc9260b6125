"""Which face is followed, and that points and masks go where its pixels go."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.data.preparing.follow import Mask, choose, cut_mask, into_crop
from unmask.faces import FIVE_POINTS, crop_face
from unmask.types import Face, Frame, UInt8Image

SIZE = (160, 120)
LARGE, SMALL = (10, 30, 60, 80), (100, 40, 130, 70)


def face_at(x0: float, y0: float, x1: float, y1: float, turns: int = 0) -> Face:
    points = FIVE_POINTS * (x1 - x0, y1 - y0) + (x0, y0)
    return Face((x0, y0, x1, y1), points.astype(np.float32), 0.999, quarter_turns=turns)


def picture(*boxes: tuple[int, int, int, int]) -> UInt8Image:
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = 255
    return image


def mask_of(*boxes: tuple[int, int, int, int]) -> Mask:
    return picture(*boxes)[..., 0] > 0


@pytest.mark.parametrize(
    ("rule", "boxes"), [("largest", {LARGE}), ("mask", {SMALL}), ("all", {LARGE, SMALL})]
)
def test_rules_choose_the_track(rule, boxes):
    found = [[face_at(*LARGE), face_at(*SMALL)]] * 3
    masks = [mask_of((110, 50, 120, 60))] * 3
    tracks = [[0, 1]] * 3
    taken = choose(found, tracks, masks, rule)
    assert {(LARGE, SMALL)[number] for number in taken} == boxes


def test_largest_is_the_face_that_is_large_for_long():
    big, small = face_at(*LARGE), face_at(*SMALL)
    assert choose([[big, small], [small], [small]], [[0, 1], [1], [1]], None, "largest") == {1}
    assert choose([[big, small], [small]], [[0, 1], [1]], None, "largest") == {1}
    assert choose([[big], [small]], [[0], [1]], None, "largest") == {0}
    assert choose([[], []], [[], []], None, "all") == set()


def test_mask_rule_is_for_fakes_with_masks():
    found, tracks = [[face_at(*LARGE), face_at(*SMALL)]], [[0, 1]]
    assert choose(found, tracks, None, "mask") == {0}
    empty = [np.zeros((SIZE[1], SIZE[0]), bool)]
    assert choose(found, tracks, empty, "mask") == set()
    assert choose(found, tracks, [None], "mask") == set()
    # equally manipulated: the larger
    assert choose(found, tracks, [mask_of(SMALL, (10, 30, 40, 60))], "mask") == {0}


def test_the_mask_is_mirrored_where_the_crop_leaves_the_frame():
    face = face_at(0, 30, 40, 70)
    frame = Frame(picture((0, 30, 40, 70)))
    mask = frame.image[..., 0] > 0
    crop = crop_face(frame, face, margin=1.5)
    assert crop.box == (-10, 20, 50, 80)
    np.testing.assert_array_equal(cut_mask(mask, frame, face, 1.5), crop.image[..., 0] > 0)
    assert cut_mask(mask, frame, face, 1.5)[:, :10].any()


@pytest.mark.parametrize("turns", range(4))
def test_points_and_mask_turn_with_the_crop(turns):
    rng = np.random.default_rng(turns)
    image = np.zeros((90, 130, 3), np.uint8)
    cells = [(int(x), int(y)) for x, y in rng.integers((40, 25), (70, 55), (5, 2))]
    for level, (x, y) in enumerate(cells, 1):
        image[y, x] = 50 * level
    face = face_at(35, 20, 75, 60, turns)
    crop = crop_face(Frame(image), face)
    points = into_crop(np.array(cells) + 0.5, crop)
    assert points.dtype == np.float32
    for x, y, (column, row) in zip(*points.T, cells, strict=True):
        assert crop.image[int(y), int(x), 0] == image[row, column, 0]
    mask = cut_mask(image[..., 0] > 0, Frame(image), face, 1.3)
    np.testing.assert_array_equal(mask, crop.image[..., 0] > 0)
