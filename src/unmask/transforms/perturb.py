"""What happens to pictures on their way: compression, blur, noise, resizing.

Plain functions on (H, W, 3) uint8 RGB, used alike as augmentation (`LaunderingPolicy`) and to
measure robustness. A chain drawn once is applied to both halves of a real/fake pair, so that no
step of it can tell the classes apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class LaunderingPolicy:
    """Draws the random chain a training pair goes through: resize, blur, noise, JPEG, JPEG.

    Attributes are probabilities, and ranges drawn uniformly. `strength` in [0, 1] given to
    `draw` scales all of them, so that training can begin on clean traces; only the first JPEG
    stays as likely as it was, at a quality of 90 or more, because every picture has one behind it.
    """

    resize_p: float = 0.4
    resize_scale: tuple[float, float] = (0.6, 1.4)
    blur_p: float = 0.3
    blur_sigma: tuple[float, float] = (0.2, 1.2)
    noise_p: float = 0.2
    noise_sigma: tuple[float, float] = (0.5, 4.0)
    jpeg_p: float = 0.9
    jpeg_quality: tuple[int, int] = (60, 100)
    second_jpeg_p: float = 0.3
    aligned_p: float = 0.5
    """Chance that a JPEG's grid begins in the picture's corner and not anywhere."""

    def draw(self, rng: Generator, strength: float = 1.0) -> Callable[[UInt8Image], UInt8Image]:
        """One chain; calling it on several pictures treats them exactly alike, noise included."""
        steps: list[Callable[[UInt8Image], UInt8Image]] = []
        if rng.random() < self.resize_p * strength:
            low, high = (1 + (s - 1) * strength for s in self.resize_scale)
            steps.append(_scale_step(float(rng.uniform(low, high)), rng))
        if rng.random() < self.blur_p * strength:
            sigma = float(rng.uniform(*self.blur_sigma)) * strength
            steps.append(lambda image: gaussian_blur(image, sigma))
        if rng.random() < self.noise_p * strength:
            level, seed = float(rng.uniform(*self.noise_sigma)) * strength, int(rng.integers(2**31))
            steps.append(lambda image: gaussian_noise(image, level, np.random.default_rng(seed)))
        for p in (self.jpeg_p, self.second_jpeg_p * strength):
            if rng.random() < p:
                steps.append(self._jpeg_step(rng, strength))
        return lambda image: _apply(steps, image)

    def _jpeg_step(self, rng: Generator, strength: float) -> Callable[[UInt8Image], UInt8Image]:
        low, high = self.jpeg_quality
        mild = min(max(low, 90), high)  # where the lower bound starts
        quality = int(rng.integers(round(mild + (low - mild) * strength), high + 1))
        sampling: Subsampling = "4:2:0" if rng.random() < 0.7 else "4:4:4"
        aligned = rng.random() < self.aligned_p
        phase = (0, 0) if aligned else (int(rng.integers(8)), int(rng.integers(8)))
        return lambda image: jpeg(image, quality, sampling, phase)


def _scale_step(scale: float, rng: Generator) -> Callable[[UInt8Image], UInt8Image]:
    kernels: tuple[Kernel, ...] = ("area", "bilinear", "bicubic", "lanczos")
    kernel = kernels[int(rng.integers(len(kernels)))]

    def step(image: UInt8Image) -> UInt8Image:
        height, width = (max(16, round(side * scale)) for side in image.shape[:2])
        return resize(image, width, height, kernel)

    return step


def _apply(steps: list[Callable[[UInt8Image], UInt8Image]], image: UInt8Image) -> UInt8Image:
    for step in steps:
        image = step(image)
    return image
