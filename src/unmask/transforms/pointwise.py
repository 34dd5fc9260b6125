"""What changes every pixel by itself: tone curves and the noise of a sensor."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.errors import ConfigError
from unmask.types import UInt8Image, check_rgb

MIDDLE_GREY = 127.5
"""The grey that a change of contrast leaves alone. A fixed one, not the picture's own mean: a
forgery changes the mean, and both halves of a pair must go through the same curve."""


def gamma(image: UInt8Image, exponent: float) -> UInt8Image:
    """Map v to 255 (v / 255) ** exponent, per channel: above 1 darkens, below 1 brightens.

    Args:
        image: (H, W, 3) uint8 RGB.
        exponent: above 0, finite.

    Raises:
        ConfigError: exponent out of range.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "gamma's image")
    if not (exponent > 0 and math.isfinite(exponent)):
        raise ConfigError(f"A gamma exponent is above 0 and finite; got {exponent}.")
    grey = np.arange(256, dtype=np.float64)
    return _rounded(255.0 * np.power(grey / 255.0, exponent))[image]


def contrast(image: UInt8Image, factor: float) -> UInt8Image:
    """Map v to 127.5 + factor (v - 127.5), clipped: below 1 flattens, above 1 hardens.

    Args:
        image: (H, W, 3) uint8 RGB.
        factor: 0 or above, finite.

    Raises:
        ConfigError: factor out of range.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "contrast's image")
    if not (factor >= 0 and math.isfinite(factor)):
        raise ConfigError(f"A contrast factor is 0 or above and finite; got {factor}.")
    return _rounded(MIDDLE_GREY + factor * (np.arange(256) - MIDDLE_GREY))[image]


def sensor_noise(image: UInt8Image, gain: float, read: float, rng: Generator) -> UInt8Image:
    """Add a sensor's noise: of variance gain * v + read ** 2 at grey level v, per channel.

    Photons arrive as a Poisson process and the amplifier adds Gaussian noise. Both are drawn as
    one normal field scaled by that deviation (the normal approximation of Foi et al., "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008), so
    that two pictures are treated alike wherever their pixels are alike; Poisson draws would fall
    out of step at the first pixel that differs. The model is a raw picture's; here it is laid
    over finished grey levels as they are.

    Args:
        image: (H, W, 3) uint8 RGB.
        gain: grey levels per counted photon, 0 to 255.
        read: standard deviation of the amplifier's share in grey levels, 0 to 255.
        rng: draws the field.

    Raises:
        ConfigError: gain or read out of range.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "sensor_noise's image")
    if not (0 <= gain <= 255 and 0 <= read <= 255):
        raise ConfigError(f"Sensor noise takes a gain and a read of 0..255; got {gain}, {read}.")
    grey = np.arange(256, dtype=np.float64)
    deviation = np.sqrt(gain * grey + read**2)
    return _rounded(image + deviation[image] * rng.standard_normal(image.shape))


def _rounded(values: NDArray[np.floating]) -> UInt8Image:
    clipped: UInt8Image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return clipped
