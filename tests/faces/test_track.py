"""Tracks on constructed sequences whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from unmask.errors import ShapeError
from unmask.faces import link_faces
from unmask.faces.track import MAX_GAP
from unmask.types import Face


def at(x: float, y: float = 100.0, side: float = 50.0) -> Face:
    half = side / 2
    return Face((x - half, y - half, x + half, y + half), np.zeros((5, 2), np.float32), 0.99)


def link(frames: Sequence[Sequence[Face]], step: float | None = 1.0) -> list[list[int]]:
    times = [None if step is None else i * step for i in range(len(frames))]
    return link_faces(frames, times)


def test_one_face_that_drifts_is_one_track() -> None:
    assert link([[at(100 + 20 * i)] for i in range(8)]) == [[0]] * 8


def test_two_faces_keep_their_numbers_when_their_order_changes() -> None:
    frames = [[at(100), at(300)], [at(305), at(95)], [at(110), at(290)]]
    assert link(frames) == [[0, 1], [1, 0], [0, 1]]


def test_faces_that_pass_each_other_in_small_steps_keep_their_numbers() -> None:
    """They pass at heights 40 apart, which only overlap tells at the moment of crossing."""
    frames = [[at(100 + 10 * i, 100), at(300 - 10 * i, 140)] for i in range(21)]
    assert link(frames, 0.1) == [[0, 1]] * 21


def test_a_small_face_passing_before_a_large_one_keeps_its_number() -> None:
    frames = [[at(200, 100, 160), at(100 + 20 * i, 120, 60)] for i in range(11)]
    assert link(frames, 0.2) == [[0, 1]] * 11


def test_a_face_missing_for_some_frames_is_taken_up_again() -> None:
    frames = [[at(100)], *([[]] * MAX_GAP), [at(110)]]
    assert link(frames)[-1] == [0]
    assert link([[at(100)], *([[]] * (MAX_GAP + 1)), [at(110)]])[-1] == [1]


def test_the_one_that_is_missing_is_not_replaced_by_the_other() -> None:
    assert link([[at(100), at(260)], [at(262)], [at(101), at(258)]]) == [[0, 1], [1], [0, 1]]


def test_a_cut_starts_new_tracks() -> None:
    before = [[at(100), at(220)]] * 3
    after = [[at(500, 300, 120), at(160, 110, 200)]] * 3
    assert link(before + after) == [[0, 1]] * 3 + [[2, 3]] * 3


def test_a_jump_in_size_is_another_face() -> None:
    assert link([[at(100, side=40)], [at(100, side=90)]]) == [[0], [1]]


def test_more_time_allows_more_way() -> None:
    frames = [[at(100)], [at(160)]]  # 1.2 sides apart
    assert link(frames, 0.1) == [[0], [1]]
    assert link(frames, 2.0) == [[0], [0]]
    assert link([[at(100)], [at(180)]], 1000.0) == [[0], [1]]  # 1.6: never


def test_nearest_pairs_win() -> None:
    """Both new faces are in reach of both old ones; total shift is smallest straight across."""
    assert link([[at(100), at(140)], [at(144), at(104)]]) == [[0, 1], [1, 0]]


def test_times_may_be_unknown() -> None:
    assert link([[at(100)], [at(110)], [at(400)]], None) == [[0], [0], [1]]


def test_a_number_occurs_once_per_frame() -> None:
    rng = np.random.default_rng(3)
    frames = [[at(*rng.uniform(50, 250, 2)) for _ in range(6)] for _ in range(20)]
    numbers = link(frames)
    assert [len(row) for row in numbers] == [6] * 20
    assert all(len(set(row)) == len(row) for row in numbers)
    seen = list(dict.fromkeys(n for row in numbers for n in row))
    assert seen == list(range(len(seen)))
    assert link(frames) == numbers


def test_nothing_gives_nothing() -> None:
    assert link_faces([], []) == []
    assert link_faces([[], []], [None, None]) == [[], []]


def test_wrong_times_are_refused() -> None:
    with pytest.raises(ShapeError, match="got 1 for 2 frames"):
        link_faces([[], []], [0.0])
    with pytest.raises(ShapeError, match="backwards"):
        link_faces([[], []], [1.0, 0.5])
