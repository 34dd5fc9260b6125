"""The random chain that both halves of a training pair go through.

A chain drawn once is applied to the real and the fake, so that no step of it can tell the classes
apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator, default_rng

from unmask.transforms.blur import motion_blur
from unmask.transforms.codecs import video_still, webp
from unmask.transforms.perturb import (
    Kernel,
    Subsampling,
    gaussian_blur,
    gaussian_noise,
    jpeg,
    resize,
)
from unmask.transforms.pointwise import sensor_noise
from unmask.transforms.scale import resize_and_back
from unmask.types import UInt8Image


@dataclass(frozen=True, slots=True)
class LaunderingPolicy:
    """Draws the random chain of a training pair: resize, blur, noise, damage, codec, JPEG, JPEG.

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
    damage_p: float = 0.0
    """Chance of one of these: motion blur, strong noise, reduction and enlargement."""
    motion_length: tuple[float, float] = (2.0, 10.0)
    """In pixels, in any direction."""
    strong_sigma: tuple[float, float] = (4.0, 10.0)
    """In grey levels; half of strong noise is a sensor's instead, of `gain` and `read`."""
    gain: tuple[float, float] = (0.1, 0.6)
    read: tuple[float, float] = (1.0, 3.0)
    back_scale: tuple[float, float] = (0.4, 0.85)
    """To which it is reduced, and enlarged again by the same kernel."""
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
        if self.damage_p and rng.random() < self.damage_p * strength:
            steps.append(self._damage_step(rng))
        if self.codec_p and rng.random() < self.codec_p * strength:
            steps.append(self._codec_step(rng))
        for p in (self.jpeg_p, self.second_jpeg_p * strength):
            if rng.random() < p:
                steps.append(self._jpeg_step(rng, strength))
        return lambda image: _apply(steps, image)

    def _damage_step(self, rng: Generator) -> Callable[[UInt8Image], UInt8Image]:
        kind = int(rng.integers(3))
        if kind == 0:
            length, angle = float(rng.uniform(*self.motion_length)), float(rng.uniform(0, 180))
            return lambda image: motion_blur(image, length, angle)
        if kind == 1:
            scale, kernel = float(rng.uniform(*self.back_scale)), _kernel(rng, "nearest")
            return lambda image: resize_and_back(image, scale, kernel)
        seed = int(rng.integers(2**31))
        if rng.random() < 1 / 2:
            sigma = float(rng.uniform(*self.strong_sigma))
            return lambda image: gaussian_noise(image, sigma, default_rng(seed))
        gain, read = float(rng.uniform(*self.gain)), float(rng.uniform(*self.read))
        return lambda image: sensor_noise(image, gain, read, default_rng(seed))

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
    kernel = _kernel(rng)

    def step(image: UInt8Image) -> UInt8Image:
        height, width = (max(16, round(side * scale)) for side in image.shape[:2])
        return resize(image, width, height, kernel)

    return step


def _kernel(rng: Generator, *more: Kernel) -> Kernel:
    kernels: tuple[Kernel, ...] = ("area", "bilinear", "bicubic", "lanczos", *more)
    return kernels[int(rng.integers(len(kernels)))]


def _apply(steps: list[Callable[[UInt8Image], UInt8Image]], image: UInt8Image) -> UInt8Image:
    for step in steps:
        image = step(image)
    return image
