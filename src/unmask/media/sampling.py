"""Which frames of a clip to look at, and in how many stretches to decode them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

_WORTH_A_JUMP = 16
"""A jump costs about as much as decoding this many frames; nearer ones are reached by decoding."""


def spread(count: int, wanted: int) -> list[int]:
    """Choose frames evenly over a clip: the centre of each of `wanted` equal spans.

    Args:
        count: frames in the clip.
        wanted: frames to choose.

    Returns:
        min(count, wanted) distinct positions in ascending order, each in [0, count).

    >>> spread(100, 4)
    [12, 37, 62, 87]
    >>> spread(3, 8)
    [0, 1, 2]
    """
    if count <= wanted:
        return list(range(count))
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def stretches(wanted: Sequence[int], keys: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Plan the decoding: jump ahead to a key frame only where that saves work.

    On a short clip this is one stretch from the start; on a long one a stretch per wanted frame.
    It never decodes more frames than going through from the start would.

    Args:
        wanted: positions in ascending order.
        keys: positions of the key frames in ascending order.

    Returns:
        (where to start, wanted positions reached from there), in ascending order.

    >>> stretches([10, 500, 510, 900], keys=[0, 250, 490, 895])
    [(0, [10]), (490, [500, 510]), (895, [900])]
    """
    plan: list[tuple[int, list[int]]] = [(0, [])]
    reached = 0
    for goal in wanted:
        before = bisect_right(keys, goal)
        key = keys[before - 1] if before else 0
        if key - reached > _WORTH_A_JUMP:
            plan.append((key, []))
        plan[-1][1].append(goal)
        reached = goal
    return [stretch for stretch in plan if stretch[1]]
