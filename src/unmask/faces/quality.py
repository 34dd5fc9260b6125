"""Whether a face can be judged at all: large enough, sharp enough, bright enough. No torch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.types import UInt8Image, check_rgb

MIN_FACE_SIDE = 48.0
"""Pixels. Below this a face has fewer samples than the smallest network input uses."""
COMMON_SIDE = 64
MIN_SHARPNESS = 0.35
"""Of 1324 real faces (FFHQ, London Set, Congress) none is below 0.43; blurred by a Gaussian of
sigma 1/120 of the crop's side 99 % are below. Of forgeries so blurred few are still found."""
LEAST_SHARPNESS = 0.25
"""Down to it, no blurred real is flagged; with more blur, reals begin to be called fake
(benchmarks/results/blurred.json)."""
MIN_LUMA = 65.0
"""Of the same faces one is below 65; with 30 % of their light, at which reals begin to be called
fake, 86 % are. The least of the London Set's self-described groups: black 88 (26 people), west
asian 141 (20), east asian 146 (18), white 141 (138), so none is flagged."""


def assess(image: UInt8Image, face_side: float) -> tuple[str, ...]:
    """Quality flags of a face crop.

    Args:
        image: (S, S, 3) uint8 RGB, square, the face in its middle.
        face_side: the longer side of the face's box in pixels of `image`.

    Returns:
        The flags that apply, of `too_small`, `too_blurry` or `blurry`, `too_dark`, in that order.

    Raises:
        ShapeError: `image` is not uint8 RGB.
    """
    check_rgb(image, "image")
    face = central_luma(image, face_side)
    sharp = sharpness(face)
    flags = {
        "too_small": face_side < MIN_FACE_SIDE,
        "too_blurry": sharp < LEAST_SHARPNESS,
        "blurry": LEAST_SHARPNESS <= sharp < MIN_SHARPNESS,
        "too_dark": luma_level(face) < MIN_LUMA,
    }
    return tuple(flag for flag, applies in flags.items() if applies)


def sharpness(face: NDArray[np.uint8]) -> float:
    """How steep edges are against the face's size, whatever its resolution, contrast and light.

    The face is resized to `COMMON_SIDE` pixels; the measure is the energy of the Laplacian
    relative to the energy of the gradient, about the mean squared spatial frequency of the edges.

    Args:
        face: (H, W) uint8 luma of the face itself.

    Returns:
        0 for a flat picture, 5 for white noise; real faces 0.5 to 1.5.
    """
    small = cv2.resize(face, (COMMON_SIDE, COMMON_SIDE), interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float32)
    bend = cv2.Laplacian(grey, cv2.CV_32F, ksize=1)
    slopes = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1), cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1)
    # the constant: a flat picture has only rounding noise, which must not pass for detail
    gradient = sum(float((slope**2).mean()) for slope in slopes) + 0.25
    return float((bend**2).mean()) / gradient


def luma_level(face: NDArray[np.uint8]) -> float:
    """The 90th percentile of luma, 0 to 255.

    The brightest parts (eyes, highlights, forehead) tell light on the face; the mean would tell
    the colour of skin and hair.
    """
    flat = face.ravel()
    place = 0.9 * (flat.size - 1)
    below = int(place)
    above = min(below + 1, flat.size - 1)
    # np.percentile's linear interpolation, without its full sort
    ordered = np.partition(flat, (below, above))
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (place - below)


def central_luma(image: UInt8Image, face_side: float) -> NDArray[np.uint8]:
    """Luma of the middle square of side 0.8 x `face_side`: mostly skin, eyes and mouth.

    What quality is measured of; `image` and `face_side` as `assess` takes them.
    """
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    half = max(1.0, 0.4 * face_side)
    rows = slice(max(0, round(height / 2 - half)), min(height, round(height / 2 + half)))
    columns = slice(max(0, round(width / 2 - half)), min(width, round(width / 2 + half)))
    return grey[rows, columns]
