"""Re-upsampled faces: the trace that every up-sampling generator leaves, and nothing else.

A face is reduced and rebuilt at its size. Softness alone must not give the forgery away (a blurred
real is no forgery), so most rebuilt faces get lost high frequencies back: sharpened to the energy
of the original, partly with its own detail, or as grain. And since real pictures are enlarged by
bilinear, bicubic and Lanczos kernels every day, these only ever replace a region unless the whole
is asked for; the kernels that networks use (nearest + convolution, zero insertion, pixel shuffle)
may replace the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.errors import ConfigError
from unmask.synthesis.blend import Mask, composite, hull_alpha
from unmask.synthesis.shape import Points, region_points
from unmask.types import UInt8Image, check_rgb

FloatImage = NDArray[np.float32]
_CV2 = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "nearest": cv2.INTER_NEAREST_EXACT,
}
_BASE = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 16


def zero_insertion(small: FloatImage, rng: Generator) -> FloatImage:
    """Double the size as a transposed convolution does: zeros between, then a 4 x 4 kernel.

    The kernel is the bilinear one with random deviations, as training leaves it; its four phases
    differ in gain by a few per cent, which is the checkerboard of Odena et al. 2016.
    """
    kernel = _BASE * (1 + rng.normal(0, rng.uniform(0.01, 0.12), (4, 4))).astype(np.float32)
    kernel *= 4 / kernel.sum()
    height, width = small.shape[:2]
    spread = np.zeros((2 * height, 2 * width, 3), np.float32)
    spread[::2, ::2] = small
    # pixel i of `small` covers 2i and 2i + 1: from 2i it reaches back by one, on by two
    wide = cv2.filter2D(spread, -1, kernel, anchor=(2, 2), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(wide, np.float32)


def pixel_shuffle(small: FloatImage, rng: Generator) -> FloatImage:
    """Double the size as sub-pixel convolution does: one random 3 x 3 kernel per output phase."""
    height, width = small.shape[:2]
    out = np.empty((2 * height, 2 * width, 3), np.float32)
    for y in (0, 1):
        for x in (0, 1):
            kernel = np.outer(_tent(y), _tent(x)) + rng.normal(0, 0.015, (3, 3))
            kernel = (kernel / kernel.sum() * (1 + rng.normal(0, 0.008))).astype(np.float32)
            out[y::2, x::2] = cv2.filter2D(small, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return out


def nearest_conv(small: FloatImage, rng: Generator) -> FloatImage:
    """Double the size by repeating pixels, then a 3 x 3 convolution, as most decoders do now."""
    repeated = small.repeat(2, axis=0).repeat(2, axis=1)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16 * float(rng.uniform(0.3, 1.0))
    kernel[1, 1] += 1 - kernel.sum()
    kernel += rng.normal(0, 0.015, (3, 3))
    kernel = (kernel / kernel.sum()).astype(np.float32)
    smooth = cv2.filter2D(repeated, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth, np.float32)


def _tent(phase: int) -> NDArray[np.float64]:
    """Linear interpolation's three taps for the left or right half of a pixel."""
    return np.array([0.25, 0.75, 0.0] if phase == 0 else [0.0, 0.75, 0.25])


_DOUBLERS: dict[str, Callable[[FloatImage, Generator], FloatImage]] = {
    "nearest_conv": nearest_conv,
    "zero_insertion": zero_insertion,
    "pixel_shuffle": pixel_shuffle,
}
UPSAMPLERS: tuple[str, ...] = ("bilinear", "bicubic", "lanczos", *_DOUBLERS)
"""Those that are drawn when none is asked for."""
NAMED_UPSAMPLERS: tuple[str, ...] = (*UPSAMPLERS, "nearest")
"""Those that can be asked for. Bare nearest is never drawn: the default model was not trained on
its blocks, and a longer list would change what its seeds draw."""


def rebuild(face: UInt8Image, kind: str, factor: float, rng: Generator) -> FloatImage:
    """Reduce by `factor` and upsample back by `kind`: (H, W, 3) float32, 0-255, unclipped.

    The doublers upsample by 2 per stage, as networks do, so `factor` becomes 2 or 4 for them.

    Raises:
        ConfigError: `kind` is not one of `NAMED_UPSAMPLERS`.
    """
    if kind not in NAMED_UPSAMPLERS:
        known = ", ".join(NAMED_UPSAMPLERS)
        raise ConfigError(f"There is no upsampler {kind!r}; choose of {known}.")
    height, width = face.shape[:2]
    if kind in _DOUBLERS:
        return _doubled(face, kind, 1 if factor < 3 else 2, rng)[:height, :width]
    size = (max(4, int(np.ceil(width / factor))), max(4, int(np.ceil(height / factor))))
    small = cv2.resize(face.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=_CV2[kind]), np.float32)


def _doubled(face: UInt8Image, kind: str, stages: int, rng: Generator) -> FloatImage:
    """Reduce by exactly 2 ** stages and double as often: at least as large as `face`.

    Sides that do not divide are first filled up at the right and bottom: a factor of 3.95 down
    and 4 up would move the picture by up to 3 pixels.
    """
    factor = 2**stages
    right, bottom = ((-side) % factor for side in face.shape[1::-1])
    whole = cv2.copyMakeBorder(face, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // factor, whole.shape[0] // factor)
    out = np.asarray(
        cv2.resize(whole.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32
    )
    for _ in range(stages):
        out = _DOUBLERS[kind](out, rng)
    return out


def restore_energy(rebuilt: FloatImage, face: UInt8Image, rng: Generator) -> FloatImage:
    """Give a rebuilt face back high-frequency energy, in one of three ways or not at all."""
    mode = rng.random()
    if mode < 0.35:
        return rebuilt
    original = face.astype(np.float32)
    sigma = float(rng.uniform(0.8, 1.6))
    high: FloatImage = rebuilt - cv2.GaussianBlur(rebuilt, (0, 0), sigma)
    lost: FloatImage = original - cv2.GaussianBlur(original, (0, 0), sigma)
    if mode < 0.7:  # unsharp mask up to the original's energy
        gain = float(np.sqrt((lost.var() + 1e-3) / (high.var() + 1e-3)))
        return rebuilt + high * (min(gain, 4.0) - 1) * float(rng.uniform(0.5, 1.0))
    if mode < 0.85:  # part of the original's own detail
        return rebuilt + (original - rebuilt) * float(rng.uniform(0.2, 0.6))
    grain = rng.normal(0, 1, rebuilt.shape[:2]).astype(np.float32)[..., None]
    missing = max(float(lost.var() - high.var()), 0.0)
    return rebuilt + grain * float(np.sqrt(missing)) * float(rng.uniform(0.3, 1.0))


def region_alpha(
    shape: tuple[int, int], landmarks: Points, rng: Generator, *, whole: float
) -> NDArray[np.float32]:
    """All ones with probability `whole`, else a region's hull with a soft edge."""
    if rng.random() < whole:
        return np.ones(shape, np.float32)
    alpha = hull_alpha(shape, region_points(landmarks, rng))
    sigma = float(rng.uniform(0.01, 0.05)) * shape[0]
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.float32)


def reupsample(
    face: UInt8Image,
    landmarks: Points,
    rng: Generator,
    kind: str | None = None,
    *,
    whole: bool | None = None,
) -> tuple[UInt8Image, Mask]:
    """Replace the whole picture, or a soft region of it, by its re-upsampled self.

    Args:
        face: (H, W, 3) uint8 RGB.
        landmarks: (189, 2) x, y in its pixels.
        rng: decides everything that is not given.
        kind: one of `NAMED_UPSAMPLERS`; one of `UPSAMPLERS` is drawn when None.
        whole: True for the whole picture, False for a region; when None a region for the kernels
            of every day, and for those of networks the whole picture in 6 of 10.

    Returns:
        fake: like `face`. mask: (H, W) bool, True where the rebuilt pixels have visible weight.

    Raises:
        ShapeError: bad picture, or the region drawn lies outside it.
        ConfigError: unknown `kind`.
    """
    check_rgb(face, "reupsample's face")
    kind = kind or UPSAMPLERS[int(rng.integers(len(UPSAMPLERS)))]
    rebuilt = rebuild(face, kind, float(rng.uniform(1.5, 4.0)), rng)
    rebuilt = np.clip(np.rint(restore_energy(rebuilt, face, rng)), 0, 255)
    chance = (0.6 if kind in _DOUBLERS else 0.0) if whole is None else float(whole)
    alpha = region_alpha(face.shape[:2], landmarks, rng, whole=chance)
    return composite(rebuilt.astype(np.uint8), face, alpha)
