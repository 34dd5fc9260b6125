"""The face of a picture that is to be forged, and its 189 landmarks by the best means there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unmask.data.crops import MARGIN
from unmask.data.forging.forgery import Found, Settings, Source, flat
from unmask.data.preparing.follow import holds_centre, into_crop
from unmask.errors import ShapeError
from unmask.faces import FaceDetector, crop_face, find_faces
from unmask.media import Failure, Media
from unmask.synthesis.landmarks import LandmarkSource, best_landmarks
from unmask.synthesis.shape import FIVE, Points, dense_landmarks
from unmask.types import Frame, UInt8Image

Decode = Callable[[str], Media | Failure]
"""One path to what it holds."""
_TEMPLATE = 189
_FIVE = 5


def find_face(source: Source, settings: Settings, decode: Decode, detector: FaceDetector) -> Found:
    """The largest face of a picture, or why it gives none; never raises for a picture's sake.

    Landmarks are the picture's own where it came with all 189 and they are of this face; else
    those that the settings ask for.
    """
    common: dict[str, Any] = {"name": source.name, "key": source.key()}
    media = decode(source.path)
    if isinstance(media, Failure):
        return Found(**common, reason=media.error.reason, message=media.error.message)
    common["sha256"] = media.info.sha256 or ""
    try:
        fields = (_of_crop if source.crop else _of_picture)(
            source, media.frames[0], settings, detector
        )
    except ShapeError as error:
        return Found(**common, reason="not_forgeable", message=error.message)
    return Found(**common, **(fields or {"reason": "no_face"}))


def _of_picture(
    source: Source, frame: Frame, settings: Settings, detector: FaceDetector
) -> dict[str, Any] | None:
    faces = find_faces(frame, detector)
    if not faces:
        return None
    crop = crop_face(frame, faces[0], margin=MARGIN)
    five = into_crop(faces[0].landmarks, crop).astype(np.float64)
    own = np.array(source.points, np.float32).reshape(-1, 2)
    where = {"box": crop.box, "turns": faces[0].quarter_turns % 4}
    if len(own) == _TEMPLATE and holds_centre(faces[0], own):
        return {**where, **_points(five, into_crop(own, crop).astype(np.float64), "own")}
    return {**where, **_points(five, *_fitted(crop.image, five, settings))}


def _of_crop(
    source: Source, frame: Frame, settings: Settings, detector: FaceDetector
) -> dict[str, Any] | None:
    """The whole picture, and a face is only looked for where no points came with it."""
    own = np.array(source.points, np.float64).reshape(-1, 2)
    if len(own) == _TEMPLATE:
        return _points(own[list(FIVE)], own, "own")
    if len(own) != _FIVE:
        upright = [face for face in find_faces(frame, detector) if not face.quarter_turns]
        if not upright:
            return None
        own = upright[0].landmarks.astype(np.float64)
    return _points(own, *_fitted(frame.image, own, settings))


def _fitted(image: UInt8Image, five: Points, settings: Settings) -> tuple[Points, LandmarkSource]:
    if settings.landmarks == "mean_shape":
        return dense_landmarks(five), "mean_shape"
    return best_landmarks(image, five)


def _points(five: Points, landmarks: Points, source: LandmarkSource) -> dict[str, Any]:
    return {"five": flat(five), "landmarks": flat(landmarks), "source": source}
