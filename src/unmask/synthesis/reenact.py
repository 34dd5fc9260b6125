"""Reenactment: a face made to show another's expression by moving its own pixels.

Two-dimensional, after the warping stage of Averbuch-Elor et al., "Bringing Portraits to Life",
ACM Transactions on Graphics 36(6), 2017: landmarks of mouth, eyes and brows are moved, the
triangles between them follow, and a mouth that opens is filled.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from unmask.errors import ShapeError
from unmask.faces.align import Matrix, similarity
from unmask.synthesis import expression
from unmask.synthesis.blend import VISIBLE, Mask
from unmask.synthesis.lips import Lips, cavity, fill_mouth, found_lips
from unmask.synthesis.shape import JAW, Points, mean_shape
from unmask.synthesis.subject import Subject, checked, drawn_kind
from unmask.synthesis.warp import (
    CONTROL,
    apply,
    dense_map,
    displaced,
    face_triangles,
    framed,
    uncrossed,
    unfolded,
)
from unmask.types import UInt8Image

REENACT_KINDS = ("expression", "mouth")
_KERNELS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_IDENTITY = np.eye(2, 3)


def reenact(
    target: Subject, donor: Subject, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Give the target the donor's expression, or a drawn one where the two show the same.

    Landmarks that were brought on from a mean shape hold no expression; then a plausible one is
    drawn: mouth opened or narrowed, smile, brows raised or drawn together, eyes shut.

    Args:
        target: whose face is changed.
        donor: whose landmarks give the expression.
        rng: decides everything that is not given.
        kind: `expression` (mouth, jaw, eyes and brows) or `mouth` (lips only); random when None.

    Returns:
        fake: like the target's picture. mask: (H, W) bool, True where pixels were moved or filled.

    Raises:
        ShapeError: a bad picture, or landmarks that do not fit their picture.
        ConfigError: unknown `kind`.
    """
    target, donor = checked(target, "reenact's target"), checked(donor, "reenact's donor")
    kind = drawn_kind(kind, REENACT_KINDS, "reenact", rng)
    names = expression.MOUTH_MOVEMENTS if kind == "mouth" else expression.MOVEMENTS
    to_face = similarity(mean_shape(), target.landmarks)
    lips = found_lips(target.image, target.landmarks)
    amounts = _amounts(donor, target, names, lips, rng)
    moved = _moved(lips.landmarks, amounts, to_face, jaw=kind == "expression")

    shape = target.image.shape[:2]
    still = framed(lips.landmarks)
    to = unfolded(framed(moved, around=lips.landmarks), still)
    moved[list(CONTROL)] = to[: len(CONTROL)]
    field = dense_map(shape, to, still, face_triangles(), _IDENTITY)
    warped = apply(target.image, field, _KERNELS[int(rng.integers(len(_KERNELS)))])
    opening = cavity(shape, moved) if lips.closed else np.zeros(shape, np.float32)
    mask = displaced(field) | (opening > VISIBLE)
    if not mask.any():
        raise ShapeError(f"The landmarks lie outside the {shape[1]} x {shape[0]} picture.")
    filled = fill_mouth(warped, opening, moved, rng)
    return np.where(mask[..., None], filled, target.image), mask


def _amounts(
    donor: Subject, target: Subject, names: tuple[str, ...], lips: Lips, rng: Generator
) -> expression.Amounts:
    """What the donor does beyond the target, as far as the target's mouth can open; or a draw."""
    gain = float(rng.uniform(0.8, 1.2))
    lent = expression.difference(donor.landmarks, target.landmarks, names)
    amounts = {name: amount * gain for name, amount in lent.items()}
    amounts["open"] = float(np.clip(amounts["open"], *lips.room))
    if not expression.is_faint(amounts):
        return amounts
    return expression.drawn(rng, tuple(n for n in names if n != "open" or lips.closed))


def _moved(landmarks: Points, amounts: expression.Amounts, to_face: Matrix, *, jaw: bool) -> Points:
    """The landmarks after an expression; without `jaw` its outline and the chin's stay."""
    shift = expression.displacement(amounts)
    if not jaw:
        shift[list(JAW)] = 0
        shift[list(expression.CHIN)] *= 0.4
        shift[28:50], shift[164:170] = 0, 0  # lids and cheeks, which a smile moves too
    return uncrossed(landmarks + shift @ to_face[:, :2].T)
