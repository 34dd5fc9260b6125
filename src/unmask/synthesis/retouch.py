"""Retouched faces: local warps, and skin made smooth.

`warp` moves features as beauty filters do, by the two local warps of Gustafsson 1993, "Interactive
Image Warping": scaling about a point and pushing from one point towards another, both with no
effect beyond a radius. `smooth` filters the skin and keeps its edges (bilateral: Tomasi & Manduchi
1998; guided: He, Sun & Tang 2013), leaves eyes, brows and lips alone, and at times whitens eyes
and teeth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis.blend import Alpha, Mask, composite, hull_alpha
from unmask.synthesis.shape import BROWS, HULLS, MOUTH, Points
from unmask.types import UInt8Image, check_rgb

Field = NDArray[np.float64]
"""(H, W, 2): where in the source each pixel's colour is taken from, x, y."""
FloatImage = NDArray[np.float32]
RETOUCHES: Final = ("warp", "smooth")

STILL: Final = 1 / 32
"""A pixel whose colour comes from nearer than this is left as it is: remap's smallest step."""
_KERNELS: Final = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
EYES: Final = ((*range(18, 23), *range(28, 31)), (*range(23, 28), *range(31, 34)))
"""Eyelids, left and right."""
NOSTRILS: Final = (64, 65, 69, 70, 170, 172, 179, 182)


def scale_at(field: Field, centre: Points, radius: float, amount: float) -> Field:
    """Gustafsson's local scaling: enlarges about `centre` for amount > 0, reduces for < 0.

    Args:
        field: (H, W, 2) places looked up so far; the result looks up through this warp as well.
        centre: (2,) x, y.
        radius: in pixels; nothing changes beyond it.
        amount: in [-1, 1); the centre is magnified by 1 / (1 - amount).
    """
    apart = field - centre
    distance = np.sqrt((apart**2).sum(axis=2, keepdims=True)) / radius
    factor = 1 - amount * (1 - np.minimum(distance, 1)) ** 2
    return np.asarray(centre + apart * factor)


def push(field: Field, start: Points, end: Points, radius: float) -> Field:
    """Gustafsson's local translation: what was at `start` comes to lie on the way to `end`.

    A push much shorter than the radius folds the picture over at the rim in the published form,
    whose slope there is 0.59 radius / distance; with radius x distance in place of the squared
    distance it is 0.59 for any push, and the middle is moved by
    (radius / (radius + distance))^2 of the way.

    Args:
        field: (H, W, 2) places looked up so far; the result looks up through this warp as well.
        start, end: (2,) x, y, less than `radius` apart.
        radius: in pixels around `start`; nothing changes beyond it.
    """
    motion = np.asarray(end - start, np.float64)
    length = max(float(np.linalg.norm(motion)), 1e-9)
    inside = np.maximum(radius**2 - ((field - start) ** 2).sum(axis=2, keepdims=True), 0)
    share = (inside / (inside + max(length, radius) * length)) ** 2
    return np.asarray(field - share * motion)


def larger_eyes(field: Field, landmarks: Points, amount: float) -> Field:
    unit = _unit(landmarks)
    for pupil in landmarks[:2]:
        field = scale_at(field, pupil, 0.48 * unit, 0.45 * amount)
    return field


def thinner_nose(field: Field, landmarks: Points, amount: float) -> Field:
    unit, middle = _unit(landmarks), landmarks[[52, 58, 55]].mean(axis=0)
    across = (landmarks[1] - landmarks[0]) / unit
    for wing, side in ((62, 1), (67, -1), (53, 0.6), (59, -0.6)):
        start = landmarks[wing]
        # no farther than most of the way to the middle
        room = 0.6 * abs(float((middle - start) @ across))
        field = push(
            field, start, start + across * side * min(0.13 * unit * amount, room), 0.3 * unit
        )
    return field


def slimmer_jaw(field: Field, landmarks: Points, amount: float) -> Field:
    unit, middle = _unit(landmarks), landmarks[[55, 90]].mean(axis=0)
    for place in (125, 126, 127, 131, 132, 133):
        start = landmarks[place]
        inward = middle - start
        inward = inward / max(float(np.linalg.norm(inward)), 1e-9)
        field = push(field, start, start + inward * 0.06 * unit * amount, 0.5 * unit)
    return field


def fuller_lips(field: Field, landmarks: Points, amount: float) -> Field:
    unit, middle = _unit(landmarks), landmarks[96]
    for place, side in ((89, 0.05), (91, 0.05), (105, 0.07), (107, 0.07)):
        outward = landmarks[place] - middle
        outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
        start = landmarks[place]
        field = push(field, start, start + outward * side * unit * amount, 0.28 * unit)
    return field


def lifted_corners(field: Field, landmarks: Points, amount: float) -> Field:
    unit = _unit(landmarks)
    for place, cheek in ((87, 165), (93, 168)):
        outward = landmarks[cheek] - landmarks[place]
        outward = outward / max(float(np.linalg.norm(outward)), 1e-9)
        start = landmarks[place]
        field = push(field, start, start + outward * 0.1 * unit * amount, 0.35 * unit)
    return field


WARPS: Final[dict[str, Callable[[Field, Points, float], Field]]] = {
    "larger_eyes": larger_eyes,
    "thinner_nose": thinner_nose,
    "slimmer_jaw": slimmer_jaw,
    "fuller_lips": fuller_lips,
    "lifted_corners": lifted_corners,
}
"""(field, landmarks, amount in 0 .. 1 or so) -> field."""


def warp(face: UInt8Image, landmarks: Points, rng: Generator) -> tuple[UInt8Image, Mask]:
    """One to three of `WARPS`; the mask holds every pixel that was moved."""
    height, width = face.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    home = np.stack([x, y], axis=2)
    field = home
    names = list(WARPS)
    for index in rng.permutation(len(names))[: int(rng.integers(1, 4))]:
        field = WARPS[names[int(index)]](field, landmarks, float(rng.uniform(0.4, 1.1)))
    kernel = _KERNELS[int(rng.integers(len(_KERNELS)))]
    moved: Mask = np.abs(field - home).max(axis=2) >= STILL
    if not moved.any():
        raise ShapeError(f"The landmarks lie outside the {width} x {height} picture.")
    fake = cv2.remap(
        face, field.astype(np.float32), None, kernel, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.where(moved[..., None], fake, face), moved


def guided(picture: FloatImage, radius: int, epsilon: float) -> FloatImage:
    """He et al.'s guided filter with each channel as its own guide (their eq. 5, 6 and 8).

    Args:
        picture: (H, W, C) float32.
        radius: of the box, in pixels.
        epsilon: variance below which detail is smoothed away, in squared units of the picture.
    """

    def mean(values: FloatImage) -> FloatImage:
        size = 2 * radius + 1
        return np.asarray(cv2.blur(values, (size, size), borderType=cv2.BORDER_REFLECT_101))

    average = mean(picture)
    variance = np.maximum(mean(picture * picture) - average * average, np.float32(0))
    slope = np.asarray(variance / (variance + epsilon), np.float32)
    rest = np.asarray(average * (1 - slope), np.float32)
    return np.asarray(mean(slope) * picture + mean(rest), np.float32)


def skin(face: UInt8Image, landmarks: Points) -> Alpha:
    """(H, W) float32 in [0, 1]: the face without eyes, brows, lips, nostrils, hair and glasses.

    Colours far from the cheeks' (in Lab, by their own spread) count as something else than skin.
    """
    shape, unit = face.shape[:2], _unit(landmarks)
    inside = hull_alpha(shape, landmarks[list(HULLS["face_and_forehead"])])
    brows = ((*BROWS[:6], 83, 84), (*BROWS[6:12], 85, 86))
    kept = np.zeros(shape, np.uint8)
    for points in (*EYES, *brows, MOUTH, NOSTRILS):
        hull = cv2.convexHull(np.rint(landmarks[list(points)]).astype(np.int32))
        cv2.fillConvexPoly(kept, hull, 1)
    reach = 2 * max(1, round(0.05 * unit)) + 1
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    region = cv2.erode(inside, ellipse) * (1 - cv2.dilate(kept, ellipse))
    if not region.any():
        region = inside
    alpha = region * _like_skin(face, region, unit)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.03 * unit, 0.5)), np.float32)


def _like_skin(face: UInt8Image, region: Alpha, unit: float) -> Alpha:
    """(H, W) float32 in [0, 1]: 1 for the colours most of the region has, 0 far from them."""
    soft = cv2.GaussianBlur(face, (0, 0), max(0.03 * unit, 0.5)).astype(np.float32) / 255
    lab = cv2.cvtColor(soft, cv2.COLOR_RGB2LAB)
    colours = lab[region > 0.5]
    middle = np.median(colours, axis=0)
    # a robust deviation, and never less than what light does to one face
    spread = np.maximum(1.48 * np.median(np.abs(colours - middle), axis=0), (8.0, 3.0, 3.0))
    far = np.sqrt((((lab - middle) / spread) ** 2).sum(axis=2))
    return np.asarray(np.clip((4.5 - far) / 1.5, 0, 1), np.float32)


def smooth(face: UInt8Image, landmarks: Points, rng: Generator) -> tuple[UInt8Image, Mask]:
    """Smooth skin, at times white eyes and teeth; the mask holds every pixel that may change."""
    unit = _unit(landmarks)
    pixels = face.astype(np.float32)
    strength = float(rng.uniform(20, 60))
    if rng.random() < 0.5:
        reach = float(np.clip(unit * rng.uniform(0.06, 0.12), 2.0, 8.0))
        filtered = cv2.bilateralFilter(face, 0, strength, reach).astype(np.float32)
    else:
        radius = max(1, round(unit * float(rng.uniform(0.05, 0.12))))
        filtered = guided(pixels, radius, (0.5 * strength) ** 2)
    finest = pixels - cv2.GaussianBlur(pixels, (0, 0), 0.8)
    filtered = filtered + finest * float(rng.uniform(0, 0.35))  # pores, that it may look real
    alpha = skin(face, landmarks) * float(rng.uniform(0.6, 1.0))
    fake, mask = composite(_rounded(filtered), face, alpha)
    whiter = [points for points in (*EYES, MOUTH) if rng.random() < 0.35]
    for points in whiter:
        fake, more = whiten(fake, landmarks[list(points)], unit, float(rng.uniform(0.2, 0.5)))
        mask |= more
    return fake, mask


def whiten(
    face: UInt8Image, outline: Points, unit: float, amount: float
) -> tuple[UInt8Image, Mask]:
    """Take the colour out of the bright, pale pixels within an outline, and brighten them."""
    inside = np.zeros(face.shape[:2], np.float32)
    hull = cv2.convexHull(np.rint(outline).astype(np.int32))
    cv2.fillConvexPoly(inside, hull, 1.0)
    if not inside.any():
        return face, inside > 0
    pixels = face.astype(np.float32)
    light, pale = pixels.max(axis=2), pixels.min(axis=2) / np.maximum(pixels.max(axis=2), 1)
    bright = np.clip((light - np.median(light[inside > 0])) / 30 + 0.3, 0, 1)
    which = inside * bright * np.clip((pale - 0.68) / 0.12, 0, 1)
    alpha = cv2.GaussianBlur(which, (0, 0), max(0.012 * unit, 0.4)) * inside * amount
    white = _rounded(pixels + (light[..., None] - pixels) * 0.7 + 25)
    return composite(white, face, np.asarray(alpha, np.float32))


def retouch(
    face: UInt8Image, landmarks: Points, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Warp features or smooth the skin.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels.
        rng: decides everything that is not given.
        kind: one of `RETOUCHES`; random when None.

    Returns:
        fake: like `face`. mask: (H, W) bool, True where pixels were moved or filtered with visible
        weight.

    Raises:
        ShapeError: bad picture, or landmarks outside it.
        ConfigError: unknown `kind`.
    """
    check_rgb(face, "retouch's face")
    if kind is not None and kind not in RETOUCHES:
        raise ConfigError(f"There is no retouch {kind!r}; choose of {', '.join(RETOUCHES)}.")
    kind = kind or RETOUCHES[int(rng.integers(len(RETOUCHES)))]
    return (warp if kind == "warp" else smooth)(face, landmarks, rng)


def _unit(landmarks: Points) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def _rounded(picture: FloatImage) -> UInt8Image:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
