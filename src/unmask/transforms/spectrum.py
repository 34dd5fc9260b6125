"""Give one picture the sharpness of another: the same energy at every spatial frequency.

A detector that is shown forgeries beside their originals first learns that forgeries are softer,
and then calls every soft picture forged. What is left when both have the same radial spectrum is
the trace itself: where the energy lies and how it hangs together, not how much there is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.transforms.dct import LUMA
from unmask.types import UInt8Image, check_rgb

GAIN = 8.0
"""No frequency is raised or lowered by more than this factor: noise cannot be made into detail."""
WIDTH = 1.0
"""Of a ring of frequencies, in cycles per picture."""


@lru_cache(16)
def _rings(height: int, width: int) -> NDArray[np.intp]:
    """(height, width // 2 + 1) ring of every coefficient of a real FFT, 0 the mean alone."""
    y = np.fft.fftfreq(height)[:, None] * min(height, width)
    x = np.fft.rfftfreq(width)[None] * min(height, width)
    return np.asarray(np.ceil(np.hypot(y, x) / WIDTH - 1e-9), np.intp)


def radial_power(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean power of luma's Fourier coefficients in every ring.

    Args:
        image: (H, W, 3) RGB, any float.

    Returns:
        (R,), ring 0 is the mean's.
    """
    return _radial_power(np.fft.rfft2(image, axes=(0, 1)))


def _radial_power(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Of a picture's channels, (H, W // 2 + 1, 3): the transform of luma is the luma of theirs."""
    return _mean_by_ring(np.abs(spectrum @ np.array(LUMA)) ** 2)


def _mean_by_ring(power: NDArray[np.float64]) -> NDArray[np.float64]:
    rings = _rings(power.shape[0], 2 * (power.shape[1] - 1))
    count = np.bincount(rings.ravel())
    total = np.bincount(rings.ravel(), power.ravel())
    return np.divide(total, count, out=np.zeros(len(count)), where=count > 0)


def match_spectrum(image: UInt8Image, like: UInt8Image) -> UInt8Image:
    """The picture with the radial power spectrum of another; phases stay its own.

    Every ring of frequencies is scaled by one gain for all channels, at most `GAIN` or 1 / `GAIN`,
    so nothing moves and no colour changes; the mean stays.

    Args:
        image: (H, W, 3) uint8 RGB, W even.
        like: of the same shape.

    Returns:
        (H, W, 3) uint8; rounding and clipping to 0..255 leave small differences.

    Raises:
        ShapeError: shapes differ, or an odd width.
    """
    check_rgb(image, "match_spectrum's image")
    check_rgb(like, "match_spectrum's other image")
    if image.shape != like.shape or image.shape[1] % 2:
        raise ShapeError(
            "match_spectrum takes two pictures of one shape and an even width; got "
            f"{image.shape} and {like.shape}."
        )
    pixels = image.astype(np.float64)
    spectrum = np.fft.rfft2(pixels, axes=(0, 1))
    mine, wanted = _radial_power(spectrum), radial_power(like.astype(np.float64))
    gain = np.sqrt((wanted + 1e-9) / (mine + 1e-9)).clip(1 / GAIN, GAIN)
    gain[0] = 1.0
    scaled = spectrum * gain[_rings(*image.shape[:2])][..., None]
    changed = np.fft.irfft2(scaled, s=image.shape[:2], axes=(0, 1))
    return np.rint(changed).clip(0, 255).astype(np.uint8)
