"""Faces of all frames of one input: how hard to look, so that every room finds the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from unmask.faces.detect import FaceDetector, find_faces
from unmask.types import Face, Frame

FALLBACK_FRAMES = 3
"""Frames of a video in which rotated and tight faces are looked for, when no frame has another."""


Look = Callable[[Frame], list[Face]]
Each = Callable[[Look, Sequence[Frame]], list[list[Face]]]


def one_by_one(look: Look, frames: Sequence[Frame]) -> list[list[Face]]:
    """The faces of every frame, in this thread."""
    return [look(frame) for frame in frames]


def search_frames(
    frames: Sequence[Frame],
    detector: FaceDetector,
    *,
    stills: bool | None = None,
    max_faces: int = 8,
    each: Each | None = None,
) -> list[list[Face]]:
    """The faces of every frame, the largest first.

    Stills get the full search (tight crops, quarter turns). In a video frames without a face are
    common, so the full search, eight times as dear, is only run on a few of them, when no frame
    has an upright face; where it succeeds, all frames get it.

    Args:
        frames: of one input, in the order of time.
        detector: finds upright faces.
        stills: whether they are stills; when None a single frame is one.
        max_faces: at most so many per frame.
        each: applies a function to every frame, in their order; one after the other by default.
    """
    stills = len(frames) == 1 if stills is None else stills

    def look(frame: Frame, thorough: bool) -> list[Face]:
        return find_faces(frame, detector, max_faces=max_faces, thorough=thorough)

    each = each or one_by_one
    found = each(partial(look, thorough=stills), frames)
    if not stills and not any(found):
        step = max(1, len(frames) // FALLBACK_FRAMES)
        if any(find_faces(f, detector) for f in frames[step // 2 :: step][:FALLBACK_FRAMES]):
            found = each(partial(look, thorough=True), frames)
    return found
