"""Other sizes: by a factor, down and back up again, or down to a limit."""

from __future__ import annotations

import cv2
import numpy as np

from unmask.errors import ConfigError
from unmask.transforms.perturb import Kernel, resize
from unmask.types import UInt8Image, check_rgb

_MAX_SCALE = 16.0


def rescale(image: UInt8Image, scale: float, kernel: Kernel) -> UInt8Image:
    """Resample to `scale` times the size, each side rounded and at least one pixel.

    Of the kernels only `area` looks at all pixels when shrinking; the others take the few around
    each point, as many programs do, and alias. `nearest` takes the pixel under the centre of the
    new one, as Pillow does; `perturb.resize` takes the one at its upper left corner, which moves
    the picture, so that more is lost by where it lies than by its size.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: above 0 and at most 16.
        kernel: as of `perturb.resize`.

    Raises:
        ConfigError: scale out of range, or no such kernel.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "rescale's image")
    if not 0 < scale <= _MAX_SCALE:
        raise ConfigError(f"A scale is above 0 and at most {_MAX_SCALE:.0f}; got {scale}.")
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return _resized(image, width, height, kernel)


def resize_and_back(image: UInt8Image, scale: float, kernel: Kernel) -> UInt8Image:
    """Shrink to `scale` times the size and enlarge to the old size, both by the same kernel.

    `area` is defined for shrinking only: it comes back by `bicubic`.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: above 0 and at most 1.
        kernel: as of `perturb.resize`.

    Raises:
        ConfigError: scale out of range, or no such kernel.
        ShapeError: not uint8 RGB.
    """
    if not 0 < scale <= 1:
        raise ConfigError(f"The scale to come back from is above 0 and at most 1; got {scale}.")
    small = rescale(image, scale, kernel)
    height, width = image.shape[:2]
    return _resized(small, width, height, "bicubic" if kernel == "area" else kernel)


def shrink_to(image: UInt8Image, width: int, height: int) -> UInt8Image:
    """Shrink, keeping the proportions, until the picture is within a limit; never enlarge.

    Args:
        image: (H, W, 3) uint8 RGB.
        width, height: the limit in pixels, each at least 1.

    Raises:
        ConfigError: a limit below one pixel.
        ShapeError: not uint8 RGB.
    """
    check_rgb(image, "shrink_to's image")
    if width < 1 or height < 1:
        raise ConfigError(f"A picture cannot be shrunk to within {width} x {height}.")
    scale = min(width / image.shape[1], height / image.shape[0])
    return image if scale >= 1 else rescale(image, scale, "area")


def _resized(image: UInt8Image, width: int, height: int, kernel: Kernel) -> UInt8Image:
    if kernel == "nearest":
        exact = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(exact, np.uint8)
    return resize(image, width, height, kernel)
