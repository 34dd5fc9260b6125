"""The random chain that both halves of a training pair go through.

A chain drawn once is applied to the real and the fake, so that no step of it can tell the classes
apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator, default_rng

from unmask.transforms.codecs import video_still, webp
from unmask.transforms.perturb import (
    Kernel,
    Subsampling,
    gaussian_blur,
    gaussian_noise,
    jpeg,
    resize,
)
from unmask.types import UInt8Image


@dataclass(frozen=True, slots=True)
class LaunderingPolicy:
    """Draws the random chain a training pair goes through: resize, blur, noise, codec, JPEG, JPEG.

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
    codec_p: float = 0.0
    """Chance that it was a still of a clip (two in three), or a WebP."""
    crf: tuple[int, int] = (18, 34)
    """Of H.264."""
    webp_quality: tuple[int, int] = (40, 95)

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
            steps.append(lambda image: gaussian_noise(image, level, default_rng(seed)))
        if self.codec_p and rng.random() < self.codec_p * strength:
            steps.append(self._codec_step(rng))
        for p in (self.jpeg_p, self.second_jpeg_p * strength):
            if rng.random() < p:
                steps.append(self._jpeg_step(rng, strength))
        return lambda image: _apply(steps, image)

    def _codec_step(self, rng: Generator) -> Callable[[UInt8Image], UInt8Image]:
        if rng.random() < 2 / 3:
            crf = int(rng.integers(self.crf[0], self.crf[1] + 1))
            return lambda image: video_still(image, "h264", crf)
        quality = int(rng.integers(self.webp_quality[0], self.webp_quality[1] + 1))
        return lambda image: webp(image, quality)

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
