"""Frames are spread over the clip, and the decoding plan reaches each of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.media.sampling import spread, stretches


@pytest.mark.parametrize(
    ("count", "wanted", "expected"),
    [
        (100, 4, [12, 37, 62, 87]),
        (10, 3, [1, 5, 8]),
        (5, 1, [2]),
        (3, 8, [0, 1, 2]),
        (4, 4, [0, 1, 2, 3]),
        (0, 4, []),
    ],
)
def test_spread_literals(count: int, wanted: int, expected: list[int]) -> None:
    assert spread(count, wanted) == expected


@given(st.integers(1, 500_000), st.integers(1, 300))
def test_one_frame_of_each_equal_span(count: int, wanted: int) -> None:
    chosen = spread(count, wanted)
    n = min(count, wanted)
    assert len(set(chosen)) == n
    for i, position in enumerate(chosen):  # frame p lasts from p to p + 1: it meets span i
        assert i * count < (position + 1) * n
        assert position * n < (i + 1) * count


@given(
    st.sets(st.integers(0, 3000), min_size=1).map(sorted),
    st.sets(st.integers(0, 3000)).map(sorted),
)
def test_a_plan_reaches_all_and_never_costs_more_than_going_through(
    wanted: list[int], keys: list[int]
) -> None:
    plan = stretches(wanted, keys)
    assert [goal for _, goals in plan for goal in goals] == wanted
    assert all(start <= goals[0] and (start == 0 or start in keys) for start, goals in plan)
    assert sum(goals[-1] - start + 1 for start, goals in plan) <= wanted[-1] + 1


def test_short_clips_are_gone_through_and_long_ones_jumped_through() -> None:
    assert stretches([5, 15, 25], keys=[0, 12, 24]) == [(0, [5, 15, 25])]
    assert stretches([100, 5000], keys=list(range(0, 6000, 250))) == [(0, [100]), (5000, [5000])]
