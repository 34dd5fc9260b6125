"""What keeps a network from taking softness for a trace: soft reals, and pairs equally sharp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from unmask.transforms.perturb import gaussian_blur
from unmask.transforms.spectrum import match_spectrum
from unmask.types import UInt8Image


def equalise(real: UInt8Image, fake: UInt8Image, rng: Generator) -> tuple[UInt8Image, UInt8Image]:
    """Give one half of a pair, drawn evenly, the radial spectrum of the other.

    A fake of another size than its real is resampled by nothing here: such a pair, and one of an
    odd width, comes back as it is.

    Args:
        real, fake: (H, W, 3) uint8 RGB.
        rng: draws which.
    """
    give_real = rng.random() < 0.5
    if real.shape != fake.shape or real.shape[1] % 2:
        return real, fake
    if give_real:
        return match_spectrum(real, fake), fake
    return real, match_spectrum(fake, real)


def soften(image: UInt8Image, rng: Generator) -> UInt8Image:
    """What happens to reals every day and proves nothing: mild blur, or enlargement."""
    if rng.random() < 0.5:
        return gaussian_blur(image, float(rng.uniform(0.4, 1.3)))
    side = image.shape[0]
    small = max(16, round(side / float(rng.uniform(1.2, 2.2))))
    kernels = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
    reduced = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(reduced, (side, side), interpolation=kernels[int(rng.integers(3))])
    return np.asarray(enlarged, np.uint8)
