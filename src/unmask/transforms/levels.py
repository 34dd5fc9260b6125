"""Every perturbation at five levels, as ImageNet-C and DeeperForensics-1.0 have them.

The parameters are data (`PERTURBATIONS`), so that a robustness table can print what it measured.
What is drawn at random (a noise field, the direction of a motion, the shift of a grid) depends on
the seed alone and not on the level or on the picture's class: `perturb` with one seed treats both
halves of a real/fake pair alike.

Five severities: Hendrycks & Dietterich, ICLR 2019; Jiang et al., CVPR 2020. The values are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator

from unmask.errors import ConfigError
from unmask.transforms.blur import defocus_blur, motion_blur
from unmask.transforms.chains import messenger, reshare, social
from unmask.transforms.codecs import VideoCodec, double_jpeg, video_still, webp
from unmask.transforms.perturb import Kernel, gaussian_blur, gaussian_noise, jpeg
from unmask.transforms.pointwise import contrast, gamma, sensor_noise
from unmask.transforms.scale import rescale, resize_and_back
from unmask.types import UInt8Image, check_rgb

LEVELS = 5
Parameters = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One thing that happens to pictures, mild to severe.

    Attributes:
        change: (image, rng, **parameters of a level) -> image.
        levels: the parameters of levels 1 to 5, by the names that `change` takes.
        unit: what the parameters are measured in.
        keeps_size: whether the result has the picture's height and width.
    """

    change: Callable[..., UInt8Image]
    levels: tuple[Parameters, ...]
    unit: str
    keeps_size: bool = True

    def __call__(self, image: UInt8Image, level: int, rng: Generator) -> UInt8Image:
        """Apply a level to (H, W, 3) uint8 RGB; level 0 gives back the picture itself.

        Raises:
            ConfigError: a level outside 0..5.
            ShapeError: not uint8 RGB, or of a size that this perturbation cannot take.
        """
        _check_level(level)
        check_rgb(image, "A perturbation's image")
        return image if level == 0 else self.change(image, rng, **self.levels[level - 1])


def perturb(name: str, level: int, seed: int) -> Callable[[UInt8Image], UInt8Image]:
    """A perturbation with everything decided: the same picture gives the same result every time.

    Args:
        name: a key of `PERTURBATIONS`.
        level: 0 (unchanged) to 5.
        seed: of what is drawn, 0 or above. Use one per real/fake pair.

    Returns:
        A function of (H, W, 3) uint8 RGB that leaves its argument as it is. It can be pickled.

    Raises:
        ConfigError: no such perturbation, or level or seed out of range.

    >>> grey = np.full((8, 8, 3), 100, np.uint8)
    >>> int(perturb("contrast_low", 2, seed=0)(grey)[0, 0, 0])
    108
    """
    if name not in PERTURBATIONS:
        raise ConfigError(
            f"There is no perturbation {name!r}.", f"Choose one of: {', '.join(PERTURBATIONS)}."
        )
    _check_level(level)
    if seed < 0:
        raise ConfigError(f"A seed is 0 or above; got {seed}.")
    return partial(_perturbed, name, level, seed)


def _perturbed(name: str, level: int, seed: int, image: UInt8Image) -> UInt8Image:
    return PERTURBATIONS[name](image, level, np.random.default_rng(seed))


def _check_level(level: int) -> None:
    if level not in range(LEVELS + 1):
        raise ConfigError(f"A level is 0 (unchanged) to {LEVELS}; got {level}.")


def _levels(**columns: Sequence[float]) -> tuple[Parameters, ...]:
    rows = zip(*columns.values(), strict=True)
    return tuple(dict(zip(columns, row, strict=True)) for row in rows)


def _shift(rng: Generator) -> tuple[int, int]:
    """One of the 63 places a grid can be moved to, off its own."""
    place = int(rng.integers(1, 64))
    return place % 8, place // 8


def _jpeg(image: UInt8Image, rng: Generator, quality: int) -> UInt8Image:
    return jpeg(image, quality)


def _double_jpeg(image: UInt8Image, rng: Generator, first: int, second: int) -> UInt8Image:
    return double_jpeg(image, first, second, _shift(rng))


def _webp(image: UInt8Image, rng: Generator, quality: int) -> UInt8Image:
    return webp(image, quality)


def _video(codec: VideoCodec, image: UInt8Image, rng: Generator, crf: int) -> UInt8Image:
    return video_still(image, codec, crf)


def _gaussian_blur(image: UInt8Image, rng: Generator, sigma: float) -> UInt8Image:
    return gaussian_blur(image, sigma)


def _motion_blur(image: UInt8Image, rng: Generator, length: float) -> UInt8Image:
    return motion_blur(image, length, float(rng.uniform(0, 180)))


def _defocus_blur(image: UInt8Image, rng: Generator, radius: float) -> UInt8Image:
    return defocus_blur(image, radius)


def _gaussian_noise(image: UInt8Image, rng: Generator, sigma: float) -> UInt8Image:
    return gaussian_noise(image, sigma, rng)


def _sensor_noise(image: UInt8Image, rng: Generator, gain: float, read: float) -> UInt8Image:
    return sensor_noise(image, gain, read, rng)


def _resize(kernel: Kernel, image: UInt8Image, rng: Generator, scale: float) -> UInt8Image:
    return resize_and_back(image, scale, kernel)


def _rescale(kernel: Kernel, image: UInt8Image, rng: Generator, scale: float) -> UInt8Image:
    return rescale(image, scale, kernel)


def _gamma(image: UInt8Image, rng: Generator, exponent: float) -> UInt8Image:
    return gamma(image, exponent)


def _contrast(image: UInt8Image, rng: Generator, factor: float) -> UInt8Image:
    return contrast(image, factor)


def _messenger(image: UInt8Image, rng: Generator, longer_side: int, quality: int) -> UInt8Image:
    return messenger(image, longer_side, quality)


def _social(
    image: UInt8Image, rng: Generator, width: int, worst_quality: int, best_quality: int
) -> UInt8Image:
    """The quality is drawn, as networks adapt it to the picture and the connection."""
    quality = worst_quality + round(float(rng.random()) * (best_quality - worst_quality))
    return social(image, width, quality)


def _reshare(
    image: UInt8Image, rng: Generator, longer_side: int, first: int, width: int, second: int
) -> UInt8Image:
    return reshare(image, (longer_side, first), (width, second), _shift(rng))


_DOWN = _levels(scale=(0.8, 0.65, 0.5, 0.35, 0.25))
_SCALE = "size relative to the picture's"
_QUALITY = "libjpeg quality"
_CRF = "constant rate factor, preset medium"
_CHAIN = "pixels, libjpeg quality"

PERTURBATIONS: Mapping[str, Perturbation] = {
    "jpeg": Perturbation(_jpeg, _levels(quality=(90, 75, 60, 40, 20)), _QUALITY),
    "double_jpeg": Perturbation(
        _double_jpeg,
        _levels(first=(90, 75, 60, 40, 25), second=(95, 85, 70, 50, 30)),
        _QUALITY,
    ),
    "webp": Perturbation(_webp, _levels(quality=(90, 75, 50, 30, 10)), "libwebp quality"),
    "h264": Perturbation(partial(_video, "h264"), _levels(crf=(18, 23, 28, 35, 40)), _CRF),
    "h265": Perturbation(partial(_video, "h265"), _levels(crf=(22, 28, 33, 39, 44)), _CRF),
    "gaussian_blur": Perturbation(
        _gaussian_blur, _levels(sigma=(0.6, 1.0, 1.6, 2.5, 4.0)), "pixels, standard deviation"
    ),
    "motion_blur": Perturbation(_motion_blur, _levels(length=(3, 5, 9, 13, 19)), "pixels"),
    "defocus_blur": Perturbation(
        _defocus_blur, _levels(radius=(1.0, 1.6, 2.5, 4.0, 6.0)), "pixels"
    ),
    "gaussian_noise": Perturbation(
        _gaussian_noise, _levels(sigma=(2, 4, 8, 14, 22)), "grey levels, standard deviation"
    ),
    "sensor_noise": Perturbation(
        _sensor_noise,
        _levels(gain=(0.05, 0.15, 0.5, 1.5, 4.0), read=(1, 1.5, 2.5, 4, 6)),
        "grey levels per photon; grey levels, standard deviation",
    ),
    "resize_nearest": Perturbation(partial(_resize, "nearest"), _DOWN, _SCALE),
    "resize_bilinear": Perturbation(partial(_resize, "bilinear"), _DOWN, _SCALE),
    "resize_bicubic": Perturbation(partial(_resize, "bicubic"), _DOWN, _SCALE),
    "resize_lanczos": Perturbation(partial(_resize, "lanczos"), _DOWN, _SCALE),
    "resize_area": Perturbation(partial(_resize, "area"), _DOWN, _SCALE),
    "downscale": Perturbation(partial(_rescale, "area"), _DOWN, _SCALE, keeps_size=False),
    "upscale": Perturbation(
        partial(_rescale, "bicubic"), _levels(scale=(1.25, 1.5, 2, 3, 4)), _SCALE, keeps_size=False
    ),
    "gamma_dark": Perturbation(_gamma, _levels(exponent=(1.15, 1.35, 1.6, 2.0, 2.6)), "exponent"),
    "gamma_bright": Perturbation(
        _gamma, _levels(exponent=(0.87, 0.74, 0.62, 0.5, 0.38)), "exponent"
    ),
    "contrast_low": Perturbation(_contrast, _levels(factor=(0.85, 0.7, 0.55, 0.4, 0.25)), "factor"),
    "contrast_high": Perturbation(_contrast, _levels(factor=(1.15, 1.35, 1.6, 2.0, 2.6)), "factor"),
    "messenger": Perturbation(
        _messenger,
        _levels(longer_side=(1600, 1280, 1024, 800, 640), quality=(85, 75, 65, 50, 35)),
        _CHAIN,
        keeps_size=False,
    ),
    "social": Perturbation(
        _social,
        _levels(
            width=(1440, 1080, 960, 720, 600),
            worst_quality=(80, 70, 60, 45, 30),
            best_quality=(90, 85, 75, 60, 45),
        ),
        _CHAIN,
        keeps_size=False,
    ),
    "reshare": Perturbation(
        _reshare,
        _levels(
            longer_side=(1600, 1280, 1024, 800, 640),
            first=(85, 75, 65, 50, 35),
            width=(1440, 1080, 960, 720, 600),
            second=(85, 78, 68, 52, 38),
        ),
        _CHAIN,
        keeps_size=False,
    ),
}
