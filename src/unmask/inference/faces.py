"""The faces of all frames of an input, cropped and linked into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.errors import MediaError
from unmask.faces import FaceDetector, crop_face, find_faces, link_faces
from unmask.inference.settings import Settings
from unmask.types import Crop, Face, Frame

FALLBACK_FRAMES = 3
"""Frames of a video in which rotated and tight faces are looked for, when no frame has another."""


@dataclass(frozen=True, slots=True)
class FoundFaces:
    """crops: of all frames, in order of time. tracks: each crop's track id, from 0."""

    crops: tuple[Crop, ...]
    tracks: tuple[int, ...]


def find_in_frames(
    frames: Sequence[Frame], detector: FaceDetector, settings: Settings
) -> FoundFaces:
    """Find, link and crop.

    A still gets the full search (tight crops, quarter turns). In a video frames without a face
    are common, so the full search, eight times as dear, is only run on a few of them, when no
    frame has an upright face; where it succeeds, all frames get it.

    Raises:
        MediaError: no face in any frame (not_applicable / no_face).
    """
    if len(frames) == 1:
        found = [find_faces(frames[0], detector, max_faces=settings.max_faces)]
    else:
        found = [
            find_faces(frame, detector, max_faces=settings.max_faces, thorough=False)
            for frame in frames
        ]
        if not any(found):
            step = max(1, len(frames) // FALLBACK_FRAMES)
            if any(find_faces(f, detector) for f in frames[step // 2 :: step][:FALLBACK_FRAMES]):
                found = [find_faces(f, detector, max_faces=settings.max_faces) for f in frames]
    if not any(found):
        raise MediaError(
            "not_applicable",
            "no_face",
            f"No face was found in {len(frames)} frame{'s' * (len(frames) > 1)}.",
            "unmask judges faces only; a face should be at least 40 pixels wide.",
        )
    return _crop(frames, found, settings)


def _crop(
    frames: Sequence[Frame], found: Sequence[Sequence[Face]], settings: Settings
) -> FoundFaces:
    ids = link_faces(found, [frame.time for frame in frames])
    crops, tracks = [], []
    for frame, faces, labels in zip(frames, found, ids, strict=True):
        for face, label in zip(faces, labels, strict=True):
            crops.append(crop_face(frame, face, margin=settings.margin))
            tracks.append(label)
    return FoundFaces(tuple(crops), tuple(tracks))
