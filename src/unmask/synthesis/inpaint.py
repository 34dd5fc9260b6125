"""Inpainted faces: a part of the face is removed and filled from what surrounds it.

Two fillings continue the picture inwards from the edge and leave it smooth: Telea 2004, "An Image
Inpainting Technique Based on the Fast Marching Method", and Bertalmio, Bertozzi & Sapiro 2001,
"Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting". The third, `patch_fill`, copies
texture. What is removed is a part of the face (an eye, the mouth, ...) or a free form: strokes as
in Yu et al. 2019, "Free-Form Image Inpainting with Gated Convolution", or blobs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis.blend import Mask, hull_alpha
from unmask.synthesis.patch_fill import patch_fill
from unmask.synthesis.shape import HULLS, MOUTH, Points
from unmask.types import UInt8Image, check_rgb

INPAINTERS: Final = ("telea", "navier_stokes", "patch")
_METHODS: Final = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}

PARTS: Final[dict[str, tuple[int, ...]]] = {
    "left_eye": (*range(18, 23), *range(28, 31), *range(34, 39), 45),
    "right_eye": (*range(23, 28), *range(31, 34), *range(39, 44), 48),
    "left_brow": (*range(71, 77), 83, 84),
    "right_brow": (*range(77, 83), 85, 86),
    "glasses": (34, 35, 36, 37, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49),
    "mouth": MOUTH,
    "nose": (52, 58, *range(61, 71), 170, 172),
    "left_cheek": (44, 165, 166, 158, 159, 160, 186),
    "right_cheek": (49, 168, 169, 161, 162, 163, 188),
    "forehead": (74, 75, 78, 79, 138, 140),
    "chin": (176, 178, 128, 129, 130),
}
"""Point sets whose convex hull is a part of the face."""


def strokes(landmarks: Points, shape: tuple[int, int], rng: Generator) -> Mask:
    """(H, W) bool: one to three thick crooked lines across the face."""
    unit = _unit(landmarks)
    drawn = np.zeros(shape, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        at = _within(landmarks, rng)
        angle = float(rng.uniform(0, 2 * np.pi))
        line = [at]
        for _ in range(int(rng.integers(3, 7))):
            angle += float(rng.uniform(-1.0, 1.0))
            step = float(rng.uniform(0.15, 0.45)) * unit
            at = at + step * np.array([np.cos(angle), np.sin(angle)])
            line.append(at)
        width = max(1, round(float(rng.uniform(0.08, 0.2)) * unit))
        cv2.polylines(drawn, [_pixels(np.array(line))], False, 1, width)
    return (drawn > 0) & _face(landmarks, shape)


def blobs(landmarks: Points, shape: tuple[int, int], rng: Generator) -> Mask:
    """(H, W) bool: one to three rounded shapes on the face."""
    unit = _unit(landmarks)
    drawn = np.zeros(shape, np.uint8)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    for _ in range(int(rng.integers(1, 4))):
        radius = float(rng.uniform(0.15, 0.38)) * unit
        waves = sum(
            float(rng.normal(0, 0.2 / order)) * np.cos(order * turn + float(rng.uniform(0, 6.28)))
            for order in (2, 3, 4)
        )
        reach = radius * np.clip(1 + waves, 0.4, 1.6)
        outline = np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.atleast_1d(reach)[:, None]
        cv2.fillPoly(drawn, [_pixels(_within(landmarks, rng) + outline)], 1)
    return (drawn > 0) & _face(landmarks, shape)


_FREE: Final[dict[str, Callable[[Points, tuple[int, int], Generator], Mask]]] = {
    "strokes": strokes,
    "blobs": blobs,
}
REGIONS: Final = (*PARTS, *_FREE)


def part(name: str, landmarks: Points, shape: tuple[int, int], rng: Generator) -> Mask:
    """(H, W) bool: the hull of a part of the face, a little larger, uneven and rounded."""
    unit = _unit(landmarks)
    points = landmarks[list(PARTS[name])]
    outward = points - points.mean(axis=0)
    length = np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    points = points + outward / length * float(rng.uniform(0.04, 0.14)) * unit
    points = points + rng.normal(0.0, 0.02 * unit, points.shape)
    hull = hull_alpha(shape, points)
    rounded: Mask = cv2.GaussianBlur(hull, (0, 0), max(0.05 * unit, 0.3)) > 0.5
    return rounded if rounded.any() else hull > 0.5


def draw_region(
    landmarks: Points, shape: tuple[int, int], rng: Generator, name: str | None = None
) -> Mask:
    """A region to remove.

    Args:
        landmarks: (189, 2) x, y.
        shape: (H, W) of the picture.
        rng: decides its form, and which it is when `name` is None.
        name: one of `REGIONS`.

    Returns:
        (H, W) bool, True at some pixels and not at all.

    Raises:
        ShapeError: the region lies outside the picture, or covers it.
        ConfigError: there is no region of that name.
    """
    name = name or REGIONS[int(rng.integers(len(REGIONS)))]
    if name not in REGIONS:
        raise ConfigError(f"There is no region {name!r}; choose of {', '.join(REGIONS)}.")
    if name in _FREE:
        region = _FREE[name](landmarks, shape, rng)
    else:
        region = part(name, landmarks, shape, rng)
    size = f"{shape[1]} x {shape[0]}"
    if not region.any():
        raise ShapeError(f"The landmarks put the {name} outside the {size} picture.")
    if region.all():
        raise ShapeError(f"The landmarks' {name} covers the whole {size} picture.")
    return region


def inpaint(
    face: UInt8Image,
    landmarks: Points,
    rng: Generator,
    kind: str | None = None,
    *,
    region: str | None = None,
) -> tuple[UInt8Image, Mask]:
    """Remove a region of the face and fill it.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels.
        rng: decides everything that is not given.
        kind: one of `INPAINTERS`; random when None.
        region: one of `REGIONS`; random when None.

    Returns:
        fake: like `face`. mask: (H, W) bool, exactly the region that was filled.

    Raises:
        ShapeError: bad picture, the region lies outside it, or leaves nothing to fill it from.
        ConfigError: unknown `kind` or `region`.
    """
    check_rgb(face, "inpaint's face")
    if kind is not None and kind not in INPAINTERS:
        raise ConfigError(f"There is no inpainter {kind!r}; choose of {', '.join(INPAINTERS)}.")
    kind = kind or INPAINTERS[int(rng.integers(len(INPAINTERS)))]
    hole = draw_region(landmarks, face.shape[:2], rng, region)
    if kind == "patch":
        return patch_fill(face, hole, rng), hole
    radius = max(2.0, float(rng.uniform(0.02, 0.08)) * _unit(landmarks))
    return continue_inwards(face, hole, kind, min(radius, 12.0)), hole


def continue_inwards(face: UInt8Image, hole: Mask, kind: str, radius: float) -> UInt8Image:
    """Fill by `telea` or `navier_stokes` from known pixels within `radius`."""
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    margin = int(np.ceil(radius)) + 2  # neither method looks farther
    window = (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )
    missing = hole[window]
    filled = cv2.inpaint(
        np.ascontiguousarray(face[window]), missing.astype(np.uint8), radius, _METHODS[kind]
    )
    out = face.copy()
    out[hole] = filled[missing]
    return out


def _unit(landmarks: Points) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def _pixels(points: Points) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.rint(points).astype(np.int32)


def _within(landmarks: Points, rng: Generator) -> Points:
    """A random place on the face: a convex combination of three points of its outline."""
    chosen = landmarks[rng.choice(HULLS["face_and_forehead"], 3, replace=False)]
    return np.asarray(rng.dirichlet((1.0, 1.0, 1.0)) @ chosen)


def _face(landmarks: Points, shape: tuple[int, int]) -> Mask:
    return hull_alpha(shape, landmarks[list(HULLS["face_and_forehead"])]) > 0.5
