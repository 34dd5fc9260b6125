"""Morphs: one face between two people's, in shape and in texture.

Source: the two constructions of Makrushin, Neubert & Dittmann, "Automatic Generation and Detection
of Visually Faultless Facial Morphs", VISAPP 2017, after Ferrara, Franco & Maltoni, "The Magic
Passport", IJCB 2014: `full` averages the whole head, `face` sets the averaged inner face back into
the target's own head.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from unmask.errors import ShapeError
from unmask.faces.align import similarity, warp_points
from unmask.synthesis.blend import VISIBLE, Alpha, Mask, hull_alpha
from unmask.synthesis.colour import transfer
from unmask.synthesis.shape import BROWS, HULLS, JAW, TEMPLES, Points
from unmask.synthesis.subject import Subject, checked, drawn_kind, fitted
from unmask.synthesis.swap import feathered
from unmask.synthesis.warp import (
    Field,
    apply,
    dense_map,
    displaced,
    face_triangles,
    framed,
    pupil_distance,
    unfolded,
    within,
)
from unmask.types import UInt8Image

MORPH_KINDS = ("face", "full")
_HEAD = tuple(range(109, 158))
"""Temples, ears, jaw, hairline and hair: their hull is the head."""
_FEATURES = (*range(109), *range(158, 183))
"""Points of the inner face; the others are the head's outline."""


def morph(
    target: Subject, donor: Subject, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Mix two people's faces at 30 to 70%, in the target's surroundings.

    Args:
        target: whose pose and surroundings stay.
        donor: the other person.
        rng: decides everything that is not given.
        kind: `face` (features between the two, the target's own outline, hair and colours) or
            `full` (the head with its outline); random when None.

    Returns:
        fake: like the target's picture. mask: (H, W) bool, True where pixels were moved or mixed.

    Raises:
        ShapeError: a bad picture, or landmarks that do not fit their picture.
        ConfigError: unknown `kind`.
    """
    target, donor = checked(target, "morph's target"), checked(donor, "morph's donor")
    kind = drawn_kind(kind, MORPH_KINDS, "morph", rng)
    share = float(rng.uniform(0.3, 0.7))
    other = fitted(donor, target)
    between = _between(target.landmarks, other.landmarks, share, kind)
    shape = target.image.shape[:2]
    triangles, still = face_triangles(), framed(target.landmarks)
    to = unfolded(framed(between, around=target.landmarks), still)
    own = dense_map(shape, to, still, triangles, np.eye(2, 3))
    onto = similarity(target.landmarks, other.landmarks)
    theirs = dense_map(shape, to, framed(other.landmarks), triangles, onto)

    region = hull_alpha(shape, _outline(between, kind, rng)) * within(theirs, other.image.shape[:2])
    if not region.any():
        raise ShapeError("The donor's landmarks lie outside its picture.")
    kernel = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
    first, second = apply(target.image, own, kernel), apply(other.image, theirs, kernel)
    if kind == "face" or rng.random() < 0.5:
        second = transfer(second, first, region > 0, "reinhard")
    width = float(rng.uniform(0.1, 0.3)) * pupil_distance(target.landmarks)
    weight = share * feathered(region, max(1.5, width))
    return _mixed(target.image, first, second, weight, own)


def _between(first: Points, second: Points, share: float, kind: str) -> Points:
    """Landmarks `share` of the way from the first face to the second, laid over the first."""
    aligned = warp_points(second, similarity(second, first))
    moving = list(range(189) if kind == "full" else _FEATURES)
    out = first.copy()
    out[moving] += share * (aligned[moving] - first[moving])
    return out


def _outline(landmarks: Points, kind: str, rng: Generator) -> Points:
    """Corners of the region in which the two textures are mixed."""
    if kind == "full":
        return landmarks[list(_HEAD)]
    up = landmarks[list(BROWS)].mean(axis=0) - landmarks[list(JAW)].mean(axis=0)
    brows = landmarks[list(BROWS)] + up * float(rng.uniform(0.08, 0.18))
    sides = landmarks[[*JAW, *TEMPLES]]
    middle = landmarks[list(HULLS["face"])].mean(axis=0)
    return np.concatenate([brows, middle + (sides - middle) * float(rng.uniform(0.88, 0.97))])


def _mixed(
    ground: UInt8Image, first: UInt8Image, second: UInt8Image, weight: Alpha, own: Field
) -> tuple[UInt8Image, Mask]:
    """The two warped pictures mixed; where nothing moved or was mixed, the ground as it was."""
    mask = displaced(own) | (weight > VISIBLE)
    share = weight[..., None]
    mixed = second.astype(np.float32) * share + first.astype(np.float32) * (1 - share)
    return np.where(mask[..., None], np.rint(mixed).astype(np.uint8), ground), mask
