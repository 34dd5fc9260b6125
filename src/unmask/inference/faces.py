"""The faces of all frames of an input, cropped and linked into tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.errors import MediaError
from unmask.faces import FaceDetector, MTCNNDetector, crop_face, link_faces, search_frames
from unmask.inference.compiled import DEVICE as OPENVINO
from unmask.inference.compiled import face_compiler
from unmask.inference.settings import Settings, torch_device
from unmask.models.crew import Crew
from unmask.types import Crop, Face, Frame


@dataclass(frozen=True, slots=True)
class FoundFaces:
    """crops: of all frames, in order of time. tracks: each crop's track id, from 0."""

    crops: tuple[Crop, ...]
    tracks: tuple[int, ...]


def packaged_detector(device: str) -> MTCNNDetector:
    """The packaged face detector, on a device as `--device` names it."""
    place = torch_device(device)
    if device != OPENVINO:
        return MTCNNDetector(place)
    return MTCNNDetector(place, compiler=face_compiler(Crew(place).size))


def find_in_frames(
    frames: Sequence[Frame],
    detector: FaceDetector,
    settings: Settings,
    crew: Crew | None = None,
) -> FoundFaces:
    """Find (as `unmask.faces.search_frames` says), link and crop; a crew shares the frames.

    Raises:
        MediaError: no face in any frame (not_applicable / no_face).
    """
    found = search_frames(
        frames, detector, max_faces=settings.max_faces, each=crew.map if crew else None
    )
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
