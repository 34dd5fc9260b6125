"""Which face of a video is cut out, and what goes through the same transform as its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.data.preparing.profile import FaceRule
from unmask.faces import crop_face
from unmask.types import Crop, Face, FloatArray, Frame

Mask = NDArray[np.bool_]


def choose(
    found: Sequence[Sequence[Face]],
    tracks: Sequence[Sequence[int]],
    masks: Sequence[Mask | None] | None,
    rule: FaceRule,
) -> set[int]:
    """The tracks to cut out.

    `largest` takes the track with the greatest sum of face sides over the frames, so the face that
    is there longest at the greatest size. `mask` takes the one whose boxes hold the most
    manipulated pixels, and of equals the largest; none where no box holds any. It applies to fakes
    that have masks: reals, which have nothing to go by, and other fakes get the largest. `all`
    takes every track.

    Args:
        found: the faces of each frame.
        tracks: their numbers, as `unmask.faces.link_faces` gives them.
        masks: (H, W) bool of each frame, None for a frame without; None for a video that is not to
            be chosen by masks.
        rule: see above.

    Returns:
        Track numbers; empty when there is no face, or none holds a manipulated pixel.
    """
    size: dict[int, float] = {}
    held: dict[int, int] = {}
    for i, (faces, numbers) in enumerate(zip(found, tracks, strict=True)):
        mask = masks[i] if masks is not None else None
        for face, number in zip(faces, numbers, strict=True):
            size[number] = size.get(number, 0.0) + face.side
            held[number] = held.get(number, 0) + (0 if mask is None else _inside(mask, face))
    if rule == "all":
        return set(size)
    if rule == "mask" and masks is not None:
        size = {number: side for number, side in size.items() if held[number]}
    else:
        held = dict.fromkeys(size, 0)
    return {max(size, key=lambda n: (held[n], size[n], -n))} if size else set()


def _inside(mask: Mask, face: Face) -> int:
    """Manipulated pixels in the face's box."""
    x0, y0, x1, y1 = (max(0, round(v)) for v in face.box)
    return int(np.count_nonzero(mask[y0:y1, x0:x1]))


def cut_mask(mask: Mask, frame: Frame, face: Face, margin: float) -> Mask:
    """The part of a mask that belongs to `crop_face(frame, face, margin=margin)`.

    It is cut by the same function as the pixels, so it is mirrored and turned where they are.

    Args:
        mask: (H, W) of the frame's size.

    Returns:
        (S, S) bool.
    """
    grey = np.where(mask, np.uint8(255), np.uint8(0))
    picture = Frame(np.repeat(grey[..., None], 3, axis=2), index=frame.index, time=frame.time)
    return np.asarray(crop_face(picture, face, margin=margin).image[..., 0] > 0)


def into_crop(points: ArrayLike, crop: Crop) -> FloatArray:
    """Points of the frame in the crop's own pixels, turned as the crop was.

    A quarter turn counter-clockwise takes continuous x, y of a square of side S to y, S - x.

    Args:
        points: (N, 2) x, y in the frame.

    Returns:
        (N, 2) float32.
    """
    moved = np.asarray(points, np.float32) - np.array(crop.box[:2], np.float32)
    side = np.float32(crop.box[2] - crop.box[0])
    for _ in range(crop.face.quarter_turns % 4):
        moved = np.stack([moved[:, 1], side - moved[:, 0]], axis=1)
    return np.asarray(moved, np.float32)


def holds_centre(face: Face, points: FloatArray) -> bool:
    """Whether landmarks are of this face: whether their middle lies in its box."""
    x, y = points.mean(axis=0)
    return bool(face.box[0] <= x <= face.box[2] and face.box[1] <= y <= face.box[3])
