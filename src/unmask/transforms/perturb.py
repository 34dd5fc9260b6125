"""What happens to pictures on their way: compression, blur, noise, resizing.

Plain functions on (H, W, 3) uint8 RGB, used alike as augmentation (see `laundering`) and to measure
robustness.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator

from unmask.errors import ConfigError, ShapeError
from unmask.types import UInt8Image, check_rgb

Subsampling = Literal["4:2:0", "4:4:4"]
Kernel = Literal["nearest", "bilinear", "bicubic", "lanczos", "area"]

_JPEG_SIDE = 65_500
"""libjpeg's limit."""
_SUBSAMPLING = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}
_KERNELS: dict[str, int] = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}


def jpeg(
    image: UInt8Image,
    quality: int,
    subsampling: Subsampling = "4:2:0",
    phase: tuple[int, int] = (0, 0),
) -> UInt8Image:
    """Encode as JPEG and decode again.

    Args:
        image: (H, W, 3) uint8 RGB.
        quality: libjpeg's, 1 to 100.
        subsampling: of the chroma planes.
        phase: (x, y) in 0..7, where the first 8x8 block starts. The picture is mirrored outwards
            for the encoder and cut back, so its size stays.

    Raises:
        ConfigError: quality or phase out of range.
        ShapeError: not uint8 RGB, or a side over 65500 pixels.
    """
    check_rgb(image, "jpeg's image")
    if not 1 <= quality <= 100 or not all(0 <= p < 8 for p in phase):
        raise ConfigError(f"JPEG quality is 1..100, phase 0..7; got {quality}, {phase}.")
    left, top = (-phase[0]) % 8, (-phase[1]) % 8
    padded = cv2.copyMakeBorder(image, top, 0, left, 0, cv2.BORDER_REFLECT)
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        _SUBSAMPLING[subsampling],
    ]
    if max(padded.shape[:2]) > _JPEG_SIDE:
        raise ShapeError(f"A JPEG side is at most {_JPEG_SIDE} pixels; got {padded.shape[1::-1]}.")
    _, data = cv2.imencode(".jpg", padded[..., ::-1], options)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return np.ascontiguousarray(decoded[top:, left:])


def gaussian_blur(image: UInt8Image, sigma: float) -> UInt8Image:
    """Blur by a Gaussian of standard deviation `sigma` pixels; 0 leaves the picture as it is."""
    check_rgb(image, "gaussian_blur's image")
    if sigma < 0:
        raise ConfigError(f"Blur sigma must be >= 0; got {sigma}.")
    return image if sigma == 0 else cv2.GaussianBlur(image, (0, 0), sigma)


def gaussian_noise(image: UInt8Image, sigma: float, rng: Generator) -> UInt8Image:
    """Add white noise of standard deviation `sigma` grey levels, independent per channel."""
    check_rgb(image, "gaussian_noise's image")
    noise = rng.normal(0.0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def resize(image: UInt8Image, width: int, height: int, kernel: Kernel) -> UInt8Image:
    """Resample to (height, width) with one of OpenCV's kernels; `area` averages when shrinking."""
    check_rgb(image, "resize's image")
    if width < 1 or height < 1 or kernel not in _KERNELS:
        raise ConfigError(f"Cannot resize to {width} x {height} by {kernel!r}.")
    return np.asarray(cv2.resize(image, (width, height), interpolation=_KERNELS[kernel]))


def grid_shift(image: UInt8Image, x: int, y: int) -> UInt8Image:
    """Cut `x` columns and `y` rows off the left and top, moving the file's 8x8 grid."""
    check_rgb(image, "grid_shift's image")
    if not (0 <= x < image.shape[1] and 0 <= y < image.shape[0]):
        raise ConfigError(f"Cannot cut ({x}, {y}) off a picture of {image.shape[1::-1]}.")
    return np.ascontiguousarray(image[y:, x:])
