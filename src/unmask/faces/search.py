"""Faces of all frames of one input: how hard to look, so that every room finds the same ones."""

from __future__ import annotations

from collections.abc import Sequence

from unmask.faces.detect import FaceDetector, find_faces
from unmask.types import Face, Frame

FALLBACK_FRAMES = 3
"""Frames of a video in which rotated and tight faces are looked for, when no frame has another."""


def search_frames(
    frames: Sequence[Frame],
    detector: FaceDetector,
    *,
    stills: bool | None = None,
    max_faces: int = 8,
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
    """
    stills = len(frames) == 1 if stills is None else stills

    def look(frame: Frame, thorough: bool) -> list[Face]:
        return find_faces(frame, detector, max_faces=max_faces, thorough=thorough)

    found = [look(frame, stills) for frame in frames]
    if not stills and not any(found):
        step = max(1, len(frames) // FALLBACK_FRAMES)
        if any(find_faces(f, detector) for f in frames[step // 2 :: step][:FALLBACK_FRAMES]):
            found = [look(frame, True) for frame in frames]
    return found
