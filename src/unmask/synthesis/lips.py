"""The mouth of a face that is made to speak: is it closed, where, and what shows when it opens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.faces.align import similarity
from unmask.synthesis.blend import Alpha, Mask
from unmask.synthesis.expression import movement
from unmask.synthesis.shape import MOUTH, Points, mean_shape
from unmask.synthesis.warp import LOWER_LIP_EDGE, UPPER_LIP_EDGE
from unmask.types import UInt8Image

_CHEEKS = (44, 45, 48, 49, 165, 166, 168, 169, 170, 172)
_AJAR = 0.04
"""Gap between the inner lips, in pupil distances, from which a mouth is open by its landmarks."""


@dataclass(frozen=True, slots=True, eq=False)
class Lips:
    """What is known of a mouth.

    Attributes:
        landmarks: (189, 2), the mouth's moved onto the line between the lips where one was found.
        closed: the lips meet there, so that the mouth can open and what shows must be painted.
        room: least and greatest amount of the movement `open` that the picture bears: teeth that
            show already can be stretched a little, and a line not found cannot be opened.
    """

    landmarks: Points
    closed: bool
    room: tuple[float, float]


def found_lips(image: UInt8Image, landmarks: Points) -> Lips:
    """Look for the dark line between closed lips near where the landmarks have it.

    Fitted shapes miss the line by a few pixels, and a mouth that opens through a lip is no mouth.
    Teeth give open mouths away that are closed by their landmarks: they are paler than skin.
    """
    upper, lower = landmarks[list(UPPER_LIP_EDGE)], landmarks[list(LOWER_LIP_EDGE)]
    down = similarity(mean_shape(), landmarks)[:, 1]
    gap = float(((lower - upper) @ down).max() / (down @ down))
    if gap > _AJAR:
        amount = gap / float(movement("open")[:, 1].max())
        return Lips(landmarks, False, (-0.8 * amount, 0.4 * amount))
    steps = np.arange(-8, 9) * 0.02
    colours = _sampled(image, (upper + lower) / 2 + steps[:, None, None] * down)
    light = colours.mean(axis=(1, 2))
    best = 3 + int(light[3:-3].argmin())
    drop = min(light[best - 3], light[best + 3]) - light[best]
    skin = float(np.median(_redness(_sampled(image, landmarks[None, list(_CHEEKS)]))))
    lips = np.median(_redness(colours[max(best - 4, 0) : best + 5]), axis=1)
    # tried on 72 mouths: 23 of 24 at rest are found closed; two smiles with a slit of teeth are too
    if abs(steps[best]) > 0.05 or drop < 6 or skin < 0.02 or lips.min() < 0.75 * skin:
        return Lips(landmarks, False, (0.0, 0.0))
    found = landmarks.copy()
    found[list(MOUTH)] += steps[best] * down
    return Lips(found, True, (0.0, 1.0))


def _sampled(image: UInt8Image, at: Points) -> NDArray[np.float64]:
    """(M, N, 3) colours at (M, N, 2) points x, y; the edge's beyond the picture."""
    x, y = at.astype(np.float32).transpose(2, 0, 1)
    colours = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colours, np.float64)


def _redness(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Excess of red over green and blue, relative to lightness."""
    excess = colours[..., 0] - (colours[..., 1] + colours[..., 2]) / 2
    return np.asarray(excess / (colours.mean(axis=-1) + 10))


def cavity(shape: tuple[int, int], landmarks: Points) -> Alpha:
    """(H, W) float32 weight of the space between the lips, with an edge one pixel soft.

    All 0 where they are less than a pixel apart.
    """
    gap = landmarks[list(LOWER_LIP_EDGE)] - landmarks[list(UPPER_LIP_EDGE)]
    if float(np.linalg.norm(gap, axis=1).max()) < 1.0:
        return np.zeros(shape, np.float32)
    outline = landmarks[[MOUTH[0], *UPPER_LIP_EDGE, MOUTH[6], *reversed(LOWER_LIP_EDGE)]]
    area = np.zeros(shape, np.float32)
    corners = np.rint(outline * 16).clip(-(2**28), 2**28).astype(np.int32)
    cv2.fillPoly(area, [corners], 1.0, shift=4)
    return np.asarray(cv2.blur(area, (3, 3)), np.float32)


def fill_mouth(image: UInt8Image, opening: Alpha, landmarks: Points, rng: Generator) -> UInt8Image:
    """The picture with a dark mouth, sometimes with upper teeth, in its opening.

    The warp has stretched the shadow between the lips over it; that is darkened and reddened.
    """
    inside = opening > 0.5
    dark, teeth = float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.3, 0.75))
    with_teeth = rng.random() < 0.6
    around = _around(opening)
    if not inside.any():
        return image
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.float32)
    fill = smooth * np.array([1.0, 0.72, 0.72], np.float32) * dark
    if with_teeth and around.any():
        pale = float(image[around].mean()) * np.array([1.12, 1.08, 1.0], np.float32)
        row = _teeth(opening.shape, landmarks)[..., None] * teeth
        fill = fill * (1 - row) + pale * row
    weight = opening[..., None]
    mixed = fill * weight + image.astype(np.float32) * (1 - weight)
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), np.uint8)


def _teeth(shape: tuple[int, ...], landmarks: Points) -> Alpha:
    """(H, W) float32 weight of the upper teeth: a soft band below the upper lip."""
    upper, lower = landmarks[list(UPPER_LIP_EDGE)], landmarks[list(LOWER_LIP_EDGE)]
    band = np.concatenate([upper, (upper + (lower - upper) * 0.4)[::-1]])
    row = np.zeros(shape, np.float32)
    corners = np.rint(band * 16).clip(-(2**28), 2**28).astype(np.int32)
    cv2.fillPoly(row, [corners], 1.0, shift=4)
    gap = float(np.linalg.norm(lower - upper, axis=1).max())
    return np.asarray(cv2.GaussianBlur(row, (0, 0), max(0.6, gap * 0.1)), np.float32)


def _around(opening: Alpha) -> Mask:
    """A band around an opening."""
    wide = cv2.dilate(opening, np.ones((9, 9), np.uint8))
    return np.asarray((wide > 0.5) & (opening < 0.1))
