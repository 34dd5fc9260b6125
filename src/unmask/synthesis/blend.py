"""Self-blended images: a face blended with a slightly changed copy of itself.

Written from Shiohara & Yamasaki 2022, "Detecting Deepfakes with Self-Blended Images", sections
3.2 and 4.1: the parameter ranges are the paper's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.synthesis.shape import Points, region_points
from unmask.types import UInt8Image, check_rgb

Mask = NDArray[np.bool_]
Alpha = NDArray[np.float32]

VISIBLE = 0.5 / 255
"""Alpha below this cannot change an 8-bit pixel by half a grey level."""


def hull_alpha(shape: tuple[int, int], points: Points) -> Alpha:
    """(H, W) float32, 1 inside the convex hull of `points` and 0 outside.

    Raises:
        ShapeError: the hull does not meet the picture.
    """
    hull = cv2.convexHull(np.rint(points).astype(np.int32))
    alpha = np.zeros(shape, np.float32)
    cv2.fillConvexPoly(alpha, hull, 1.0)
    if not alpha.any():
        raise ShapeError(f"The landmarks lie outside the {shape[1]} x {shape[0]} picture.")
    return alpha


def soften(alpha: Alpha, rng: Generator) -> Alpha:
    """Elastic deformation, two blurs and a blend ratio, as in the paper's mask generator.

    Raises:
        ShapeError: nothing of `alpha` is left in the picture.
    """
    alpha = elastic(alpha, rng, strength=50.0 * alpha.shape[0] / 380, sigma=7.0)
    for last in (False, True):
        size = 2 * int(rng.integers(2, 13)) + 1  # 5 .. 25
        alpha = cv2.GaussianBlur(alpha, (size, size), float(rng.uniform(5, 45)))
        # a small face is not left whole anywhere; without this its forgery would not show
        peak = float(alpha.max())
        if peak <= 0:
            raise ShapeError("The region to blend was moved out of the picture.")
        alpha = alpha / peak
        if not last:  # the second blur starts from what the first left whole: a seam inside
            alpha = (alpha >= 0.999).astype(np.float32)
    ratio = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)[int(rng.integers(6))]
    return np.asarray(np.clip(alpha, 0, 1) * ratio, np.float32)


def elastic(alpha: Alpha, rng: Generator, *, strength: float, sigma: float) -> Alpha:
    """Displace by a smooth random field (Simard et al. 2003): `strength` scales, `sigma` smooths.

    The field is drawn on a grid four times coarser than the picture, which for a field this
    smooth changes nothing visible and is an order of magnitude cheaper.
    """
    height, width = alpha.shape
    coarse = (max(2, height // 4), max(2, width // 4))
    fields = rng.uniform(-1, 1, (2, *coarse)).astype(np.float32)
    moved = [
        cv2.resize(cv2.GaussianBlur(f, (0, 0), sigma / 4), (width, height)) * (strength / 4)
        for f in fields
    ]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(cv2.remap(alpha, x + moved[0], y + moved[1], cv2.INTER_LINEAR), np.float32)


def colour_and_sharpness(image: UInt8Image, rng: Generator) -> UInt8Image:
    """RGB shift (p .3), HSV shift (p 1), brightness and contrast (p 1), then rescale or sharpen.

    The published bounds are scaled by one uniform draw per picture, so that faint differences
    are as frequent as bold ones.
    """
    amount = float(rng.random())
    out = image.astype(np.float32)
    if rng.random() < 0.3:
        out += rng.uniform(-20, 20, 3).astype(np.float32) * amount
    hsv = cv2.cvtColor(np.clip(out, 0, 255) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-0.3, 0.3) * 36 * amount) % 360
    hsv[..., 1:] = np.clip(hsv[..., 1:] * (1 + rng.uniform(-0.3, 0.3, 2) * amount), 0, 1)
    out = cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2RGB) * 255
    contrast, brightness = 1 + rng.uniform(-0.1, 0.1, 2) * amount
    mean = float(out.mean())
    changed = np.clip(np.rint((out - mean) * contrast + mean * brightness), 0, 255)
    pixels = changed.astype(np.uint8)
    return downscaled(pixels, rng) if rng.random() < 0.5 else sharpened(pixels, rng)


def downscaled(image: UInt8Image, rng: Generator) -> UInt8Image:
    """Down by 2 or 4 and back up: the source face of a forgery often has a lower resolution."""
    factor = 2 if rng.random() < 0.5 else 4
    height, width = image.shape[:2]
    small = cv2.resize(
        image, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA
    )
    kernels = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    kernel = kernels[int(rng.integers(3))]
    return np.asarray(cv2.resize(small, (width, height), interpolation=kernel))


def sharpened(image: UInt8Image, rng: Generator) -> UInt8Image:
    """Unsharp mask with a random weight of 0.2 to 0.5."""
    weight = float(rng.uniform(0.2, 0.5))
    blurred = cv2.GaussianBlur(image, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(image, 1 + weight, blurred, -weight, 0))


def affine(image: UInt8Image, alpha: Alpha, rng: Generator) -> tuple[UInt8Image, Alpha]:
    """Move picture and alpha alike: x by 3%, y by 1.5% of the side, scale 0.95 to 1.05."""
    height, width = alpha.shape
    scale = float(rng.uniform(0.95, 1.05))
    dx, dy = rng.uniform(-0.03, 0.03) * width, rng.uniform(-0.015, 0.015) * height
    matrix = np.array(
        [
            [scale, 0, (1 - scale) * width / 2 + dx],
            [0, scale, (1 - scale) * height / 2 + dy],
        ]
    )
    moved = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return moved, cv2.warpAffine(alpha, matrix, (width, height))


def composite(inner: UInt8Image, outer: UInt8Image, alpha: Alpha) -> tuple[UInt8Image, Mask]:
    """Alpha-blend `inner` over `outer`; the mask holds every pixel alpha can change."""
    weight = alpha[..., None]
    mixed = inner.astype(np.float32) * weight + outer.astype(np.float32) * (1 - weight)
    visible = alpha > VISIBLE
    fake = np.where(visible[..., None], np.rint(mixed), outer).astype(np.uint8)
    return fake, visible


def self_blend(
    face: UInt8Image, landmarks: Points, rng: Generator, *, ground: float = 0.0
) -> tuple[UInt8Image, Mask]:
    """Blend a face with a slightly transformed copy of itself.

    Colour and sharpness are changed on the copy; then it is moved and laid over through a
    softened hull of the landmarks. The seam looks the same from both sides, so the paper changes
    the ground instead half of the time; that tints pixels outside the mask too.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels, as from `shape.dense_landmarks`.
        rng: decides everything; the same state gives the same forgery.
        ground: chance that the ground is changed and not the copy: 0.5 as published, 0 for masks
            that cover every changed pixel.

    Returns:
        fake: like `face`. mask: (H, W) bool, True where the hull's alpha is visible.

    Raises:
        ShapeError: bad picture, or landmarks outside it.
    """
    check_rgb(face, "self_blend's face")
    inner, outer = face, face
    if rng.random() < 1 - ground:
        inner = colour_and_sharpness(face, rng)
    else:
        outer = colour_and_sharpness(face, rng)
    alpha = hull_alpha(face.shape[:2], region_points(landmarks, rng))
    inner, alpha = affine(inner, alpha, rng)
    return composite(inner, outer, soften(alpha, rng))
