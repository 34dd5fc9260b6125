"""What happens to a test picture before it is scored: nothing, a control, or a perturbation.

Every picture goes through one JPEG at quality 90 on a random grid, real or fake, so that no class
comes with a history of its own: after a control, before a perturbation. Under `blur+jpeg` a JPEG
at quality 50 takes its place. What is drawn depends on (seed, condition, item) alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import Generator

from unmask.data.dataset import bounded
from unmask.data.scoring import CONTROLS, laundered
from unmask.errors import ConfigError
from unmask.evaluation.comparison.layout import BLUR_JPEG, CLEAN, UNPERTURBED
from unmask.transforms.levels import LEVELS, PERTURBATIONS, perturb
from unmask.transforms.perturb import gaussian_blur, jpeg
from unmask.types import FloatArray, UInt8Image

CONTROL, SWEEP = "control/", "sweep/"

BLUR_SIGMA, BLUR_QUALITY = 1.0, 50
"""Of `blur+jpeg`: pixels and libjpeg's quality. The AIRL paper gives no numbers for its own."""


def conditions(*, sweep: bool) -> list[str]:
    """Names of all conditions, `clean` first; those of the sweep only if asked for."""
    names = [CLEAN, *(CONTROL + name.removeprefix("real/") for name in CONTROLS), BLUR_JPEG]
    if sweep:
        names.append(UNPERTURBED)
        names += [
            f"{SWEEP}{name}/{level}" for name in PERTURBATIONS for level in range(1, LEVELS + 1)
        ]
    return names


def on_reals_only(condition: str) -> bool:
    """Whether a condition is a control: what must leave a real picture real."""
    return condition.startswith(CONTROL)


def in_sweep(condition: str) -> bool:
    """Whether a condition is of the perturbation sweep, which takes a part of the items."""
    return condition.startswith(SWEEP)


def rendered(
    condition: str, crop: UInt8Image, landmarks: FloatArray, item: int, *, seed: int = 0
) -> UInt8Image:
    """A test item's picture under a condition.

    Args:
        condition: one of `conditions`.
        crop: (S, S, 3) uint8 RGB.
        landmarks: (5, 2) x, y in its pixels.
        item: its number; with `seed` and the condition it decides everything that is drawn. How a
            large crop is reduced depends on the number alone, and is alike under all conditions.
        seed: of the comparison.

    Raises:
        ConfigError: no such condition.
    """
    face, points = bounded(crop, landmarks, np.random.default_rng([seed, 11, item]))
    rng = np.random.default_rng([seed, zlib.crc32(condition.encode()), item])
    return _change(condition, rng)(face, points)


def _change(condition: str, rng: Generator) -> Callable[[UInt8Image, FloatArray], UInt8Image]:
    if condition in (CLEAN, UNPERTURBED):
        return lambda face, points: laundered(face, rng)
    if condition == BLUR_JPEG:
        phase = (int(rng.integers(8)), int(rng.integers(8)))
        return lambda face, points: jpeg(
            gaussian_blur(face, BLUR_SIGMA), BLUR_QUALITY, "4:2:0", phase
        )
    name = condition.removeprefix(CONTROL)
    if name != condition and f"real/{name}" in CONTROLS:
        control = CONTROLS[f"real/{name}"]
        return lambda face, points: laundered(control(face, points, rng), rng)
    parts = condition.split("/")
    levels = [str(level) for level in range(1, LEVELS + 1)]
    if len(parts) == 3 and parts[0] + "/" == SWEEP and parts[2] in levels:
        step = perturb(parts[1], int(parts[2]), int(rng.integers(2**31)))
        return partial(_perturbed, step, rng)
    raise ConfigError(f"There is no condition {condition!r}.")


def _perturbed(
    step: Callable[[UInt8Image], UInt8Image], rng: Generator, face: UInt8Image, points: FloatArray
) -> UInt8Image:
    return step(laundered(face, rng))
