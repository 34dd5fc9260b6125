"""Which faces of successive frames are the same person's: by overlap and position only. No torch.

Sampled frames may lie seconds apart, so a face moves between them; what tells it from its
neighbours is that it stays near where it was, at about its size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.faces import boxes as bx
from unmask.types import Face

MAX_SHIFT = 1.0
"""Farthest a centre moves between looks, in face sides, before time adds to it."""
SHIFT_PER_SECOND = 0.25
"""What each second since the last look adds to that, in face sides."""
LARGEST_SHIFT = 1.5
MAX_RESIZE = 1.8
"""Largest change of the face's side, as a ratio."""
MAX_GAP = 5
"""Frames a face may be missing; after more, a face there is a new track."""


@dataclass(slots=True)
class _Track:
    """Where one face was last seen."""

    number: int
    face: Face
    frame: int
    time: float | None


def link_faces(frames: Sequence[Sequence[Face]], times: Sequence[float | None]) -> list[list[int]]:
    """A track number for every face of every frame.

    Each frame's faces are matched one to one with the tracks seen in the last `MAX_GAP` frames,
    the most similar pairs first; a face that fits none starts a track. After a cut to other faces
    at other places or sizes all tracks are therefore new.

    Args:
        frames: the faces found in each frame, in the order of time.
        times: seconds of each frame; None where unknown.

    Returns:
        Numbers from 0 in the order of first appearance, in the shape of `frames`. A number occurs
        at most once per frame.

    Raises:
        ShapeError: `frames` and `times` differ in length, or time runs backwards.
    """
    if len(frames) != len(times):
        raise ShapeError(f"Expected one time per frame; got {len(times)} for {len(frames)} frames.")
    known = [t for t in times if t is not None]
    if any(later < earlier for earlier, later in pairwise(known)):
        raise ShapeError("Frames must be in the order of time; the given times run backwards.")
    tracks: list[_Track] = []
    numbers: list[list[int]] = []
    for index, (faces, time) in enumerate(zip(frames, times, strict=True)):
        live = [track for track in tracks if index - track.frame <= MAX_GAP + 1]
        matched = _match(live, faces, time)
        row = []
        for position, face in enumerate(faces):
            track = matched.get(position)
            if track is None:
                track = _Track(len(tracks), face, index, time)
                tracks.append(track)
            track.face, track.frame, track.time = face, index, time
            row.append(track.number)
        numbers.append(row)
    return numbers


def _match(tracks: list[_Track], faces: Sequence[Face], time: float | None) -> dict[int, _Track]:
    """Position of a face -> its track, greedily from the most similar pair down."""
    pairs = [
        (-likeness(track.face, face, _elapsed(track, time)), track.number, position)
        for track in tracks
        for position, face in enumerate(faces)
    ]
    by_number = {track.number: track for track in tracks}
    matched: dict[int, _Track] = {}
    for cost, number, position in sorted(pairs):
        if cost < 0 and position not in matched and number in by_number:
            matched[position] = by_number.pop(number)
    return matched


def _elapsed(track: _Track, time: float | None) -> float:
    return 0.0 if time is None or track.time is None else time - track.time


def likeness(before: Face, after: Face, seconds: float) -> float:
    """How well `after` continues `before`, from 0 (not at all) to 2 (the same place and size).

    Overlap (IoU) decides between faces that touch; the distance of the centres, relative to the
    smaller face's side, decides between those that moved apart.
    """
    one, two = np.array(before.box, np.float64), np.array(after.box, np.float64)
    small, large = sorted((before.side, after.side))
    if large > MAX_RESIZE * small:
        return 0.0
    reach = min(MAX_SHIFT + SHIFT_PER_SECOND * seconds, LARGEST_SHIFT)
    shift = math.dist(_centre(one), _centre(two)) / small
    if shift >= reach:
        return 0.0
    return float(bx.overlap(one, two, over="union")) + 1.0 - shift / reach


def _centre(box: NDArray[np.float64]) -> tuple[float, float]:
    return float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
