"""Dense landmarks from five points: the London Set's mean shape, brought onto a face.

The shape is the average of 102 neutral faces' 189-point templates (Face Research Lab London Set,
DeBruine & Jones 2017, doi 10.6084/m9.figshare.5047666.v5, CC BY 4.0), so landmarks need no model.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.faces.align import similarity, warp_points

Points = NDArray[np.float64]

FIVE = (0, 1, 55, 87, 93)
"""Indices of pupils, nose tip and mouth corners: MTCNN's five points."""
JAW = tuple(range(125, 134))
HAIRLINE = tuple(range(134, 145))
TEMPLES = (109, 110, 111, 112, 113, 114)
BROWS = tuple(range(71, 87))
LEFT_EYE_AND_BROW = (*range(71, 77), 83, 84, 18, 34, 40, 41, 45)
NOSE = tuple(range(50, 71))
MOUTH = tuple(range(87, 109))

HULLS: dict[str, tuple[int, ...]] = {
    "face": (*JAW, *TEMPLES, *BROWS),
    "face_and_forehead": (*JAW, *TEMPLES, *BROWS, *HAIRLINE),
    "inner": (*BROWS, *MOUTH, 49, 42, 156, 163, 165, 169),
    "upper": (*BROWS, *NOSE, *TEMPLES),
    "lower": (*NOSE, *MOUTH, *JAW),
}
"""Point sets whose convex hull is a region of the face."""


@cache
def mean_shape() -> Points:
    """(189, 2) x, y in units of the pupil distance; pupils near (-0.5, 0) and (0.5, 0)."""
    text = resources.files("unmask.synthesis").joinpath("mean_shape.csv").read_text("utf-8")
    return np.array([[float(v) for v in row.split(",")] for row in text.split()[1:]])


def dense_landmarks(five: NDArray[np.floating]) -> Points:
    """Mean shape brought onto a face's five points by the least-squares similarity.

    Args:
        five: (5, 2) x, y: eyes, nose, mouth corners, as in `Face.landmarks`.

    Returns:
        (189, 2) x, y in the same pixels.

    Raises:
        ShapeError: not (5, 2), or points that coincide.
    """
    five = np.asarray(five, dtype=np.float64)
    if five.shape != (5, 2) or not np.isfinite(five).all():
        raise ShapeError(f"dense_landmarks needs five finite points (5, 2); got {five.shape}.")
    if np.ptp(five, axis=0).max() < 1.0:
        raise ShapeError("dense_landmarks needs points that are at least a pixel apart.")
    shape = mean_shape()
    return np.asarray(warp_points(shape, similarity(shape[list(FIVE)], five)))


def region_points(landmarks: Points, rng: Generator, *, jitter: float = 0.04) -> Points:
    """Points of a random region of `HULLS`, moved by up to `jitter` of the pupil distance."""
    names = list(HULLS)
    chosen = HULLS[names[int(rng.integers(len(names)))]]
    unit = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    return landmarks[list(chosen)] + rng.normal(0.0, jitter * unit, (len(chosen), 2))
