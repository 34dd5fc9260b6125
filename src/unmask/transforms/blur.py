"""Blur by a moving camera and by a lens out of focus; `perturb.gaussian_blur` is the third kind.

Each kernel is the picture of a point: what light from one point spreads over, as the share of it
that every pixel collects. Beyond its border the picture is mirrored, the border pixel not repeated.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.errors import ConfigError
from unmask.types import UInt8Image, check_rgb

_MAX_LENGTH = 255.0
_MAX_RADIUS = 64.0
_SUBSAMPLES = 32
"""Per side of a pixel, where the disc's edge is weighed: the area is right to about 1%."""


def motion_blur(image: UInt8Image, length: float, angle: float) -> UInt8Image:
    """Blur by even motion along a straight line while the shutter is open.

    Args:
        image: (H, W, 3) uint8 RGB.
        length: of the path in pixels, 1 to 255.
        angle: of the path in degrees counter-clockwise from the row, 0 <= angle < 180.

    Raises:
        ConfigError: length or angle out of range.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "motion_blur's image")
    return _filtered(image, motion_kernel(length, angle))


def defocus_blur(image: UInt8Image, radius: float) -> UInt8Image:
    """Blur by a lens out of focus, whose open aperture draws every point as an even disc.

    Args:
        image: (H, W, 3) uint8 RGB.
        radius: of the disc in pixels, above 0 and at most 64; up to 0.5 nothing changes.

    Raises:
        ConfigError: radius out of range.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "defocus_blur's image")
    return _filtered(image, defocus_kernel(radius))


@lru_cache(maxsize=64)
def motion_kernel(length: float, angle: float) -> NDArray[np.float64]:
    """(K, K) float64 that sums to 1, K odd: how much of the line lies in each pixel.

    A line of 3 pixels along the row is a third in each of three pixels:

    >>> motion_kernel(3, 0)[1].round(3).tolist()
    [0.333, 0.333, 0.333]
    """
    if not (1 <= length <= _MAX_LENGTH and 0 <= angle < 180):
        raise ConfigError(
            f"Motion blur takes a length of 1 to {_MAX_LENGTH:.0f} pixels and an angle from 0 to "
            f"below 180 degrees; got {length}, {angle}."
        )
    turn = math.radians(angle)
    half = math.ceil((length - 1) / 2)
    centres = np.arange(-half, half + 1, dtype=float)
    x_in, x_out = _crossing(centres, math.cos(turn), length)
    y_in, y_out = _crossing(centres, -math.sin(turn), length)  # rows count downwards
    inside = np.minimum(x_out[None, :], y_out[:, None]) - np.maximum(x_in[None, :], y_in[:, None])
    return _kernel(np.maximum(inside, 0.0))


def _crossing(
    centres: NDArray[np.float64], speed: float, length: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where along a path through 0 a unit slab around each centre is entered, and where left."""
    if abs(speed) < 1e-9:  # parallel to the slabs: all of the path lies in the middle one
        reach = np.where(centres == 0, length / 2, 0.0)
        return -reach, reach
    ends = (centres[None] + np.array([[-0.5], [0.5]])) / speed
    ends = np.clip(ends, -length / 2, length / 2)
    return ends.min(0), ends.max(0)


@lru_cache(maxsize=64)
def defocus_kernel(radius: float) -> NDArray[np.float64]:
    """(K, K) float64 that sums to 1, K odd: how much of the disc lies in each pixel."""
    if not 0 < radius <= _MAX_RADIUS:
        raise ConfigError(
            f"The radius of a defocus blur is above 0 and at most {_MAX_RADIUS:.0f} pixels; "
            f"got {radius}."
        )
    half = max(0, math.ceil(radius - 0.5))
    side = 2 * half + 1
    fine = (np.arange(side * _SUBSAMPLES) + 0.5) / _SUBSAMPLES - side / 2
    inside = fine[:, None] ** 2 + fine[None, :] ** 2 <= radius**2
    return _kernel(inside.reshape(side, _SUBSAMPLES, side, _SUBSAMPLES).sum((1, 3)).astype(float))


def _kernel(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = weights / weights.sum()
    weights.setflags(write=False)  # one array serves every caller
    return weights


def _filtered(image: UInt8Image, kernel: NDArray[np.float64]) -> UInt8Image:
    if kernel.size == 1:
        return image
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)
