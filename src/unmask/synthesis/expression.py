"""Expressions as a few named movements of the 189 landmarks, and what one face lends another.

Two people's landmarks differ by who they are and by what their faces do. Only the second is an
expression, so differences are read as amounts of six movements, set by hand after the actions
that the Facial Action Coding System names (Ekman & Friesen 1978).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.faces.align import similarity, warp_points
from unmask.synthesis.shape import BROWS, JAW, MOUTH, NOSE, Points, mean_shape

MOVEMENTS: tuple[str, ...] = ("open", "smile", "pucker", "raise", "furrow", "blink")
MOUTH_MOVEMENTS: tuple[str, ...] = ("open", "smile", "pucker")
"""Amounts 1: jaw dropped, smile, lips together, brows raised, brows drawn together, eyes shut."""
CHIN = tuple(range(174, 179))
CHEEKS = (159, 160, 162, 163, 165, 166, 168, 169)
_RIGID = (0, 1, 18, 22, 23, 27, *NOSE, *range(109, 115))
_LIDS = (19, 20, 21, 24, 25, 26, *range(28, 34))
_BOUNDS = {
    "open": (-1.0, 1.0),
    "smile": (-0.7, 1.2),
    "pucker": (-0.5, 1.0),
    "raise": (-0.5, 1.0),
    "furrow": (-0.5, 1.0),
    "blink": (-0.3, 1.0),
}
_AT_REST = 0.45
"""Amounts up to which most people's faces differ in rest (London Set, neutral)."""
_FAINT = 0.04
"""Largest movement, in pupil distances, that does not count as an expression."""

Amounts = dict[str, float]


@cache
def movement(name: str) -> Points:
    """(189, 2) displacement at amount 1, in pupil distances, for the upright mean shape."""
    moves = {
        "open": _open,
        "smile": _smile,
        "pucker": _pucker,
        "raise": _raise,
        "furrow": _furrow,
        "blink": _blink,
    }
    return moves[name](mean_shape())


def _open(shape: Points) -> Points:
    out = np.zeros_like(shape)
    x = np.abs(shape[:, 0])
    lower = list(range(99, 109))
    out[lower, 1] = 0.34 * (1 - (x[lower] / 0.36) ** 2)
    out[[*range(88, 93), *range(94, 99)], 1] = -0.02
    out[[87, 93]] = (0.04, 0.07), (-0.04, 0.07)
    chin = [*CHIN, *JAW]
    out[chin, 1] = 0.3 * (1 - (x[chin] / 1.05) ** 2).clip(0)
    out[[160, 163], 1] = 0.05
    return out


def _smile(shape: Points) -> Points:
    out = np.zeros_like(shape)
    lips = list(MOUTH)
    across = shape[lips, 0] / 0.4
    out[lips, 0] = 0.13 * across
    out[lips, 1] = 0.02 - 0.12 * across**2
    cheeks = list(CHEEKS)
    out[cheeks, 0] = 0.05 * np.sign(shape[cheeks, 0])
    out[cheeks, 1] = -0.05
    out[[44, 45, 48, 49], 1] = -0.04
    out[28:34, 1] = -0.02
    return out


def _pucker(shape: Points) -> Points:
    out = np.zeros_like(shape)
    lips = list(MOUTH)
    out[lips, 0] = -0.13 * shape[lips, 0] / 0.4
    middle = 1 - (np.abs(shape[:, 0]) / 0.4) ** 2
    out[88:93, 1] = -0.03 * middle[88:93]
    out[104:109, 1] = 0.03 * middle[104:109]
    return out


def _raise(shape: Points) -> Points:
    out = np.zeros_like(shape)
    out[list(BROWS), 1] = -0.13
    out[[71, 82], 1] = -0.08
    out[34:44, 1] = -0.03
    return out


def _furrow(shape: Points) -> Points:
    out = np.zeros_like(shape)
    brows = list(BROWS)
    inner = (1 - np.abs(shape[brows, 0])).clip(0)
    out[brows, 0] = -0.07 * np.sign(shape[brows, 0]) * inner
    out[brows, 1] = 0.09 * inner
    return out


def _blink(shape: Points) -> Points:
    out = np.zeros_like(shape)
    out[[19, 20, 21]] = (shape[[28, 29, 30]] - shape[[19, 20, 21]]) * 0.93
    out[[24, 25, 26]] = (shape[[31, 32, 33]] - shape[[24, 25, 26]]) * 0.93
    out[[0, 1], 1] = 0.095  # below the lid that comes down
    out[[35, 36, 37, 40, 41, 42], 1] = 0.07
    out[[34, 38, 39, 43], 1] = 0.02
    return out


def difference(donor: Points, target: Points, names: tuple[str, ...]) -> Amounts:
    """How far the donor makes each movement beyond the target, within plausible bounds.

    Both faces are brought onto the mean shape by points that no expression moves; the amounts are
    the least-squares fit of the movements to what then differs in lids, brows and, wherever it
    sits in the face, the mouth. Amounts by which faces in rest differ too count as none.

    Args:
        donor: (189, 2) landmarks.
        target: likewise.
        names: the movements to look for, of `MOVEMENTS`.
    """
    gap = _fitted(_upright(donor) - _upright(target))
    basis = np.stack([_fitted(movement(name)) for name in names], axis=1)
    amounts = np.linalg.lstsq(basis, gap, rcond=None)[0]
    amounts = np.where(np.abs(amounts) > _AT_REST, amounts, 0)
    return {n: float(np.clip(a, *_BOUNDS[n])) for n, a in zip(names, amounts, strict=True)}


def _fitted(shift: Points) -> NDArray[np.float64]:
    """The coordinates of a displacement that expressions are read from."""
    mouth = shift[list(MOUTH)]
    return np.concatenate([(mouth - mouth.mean(axis=0)).ravel(), shift[[*_LIDS, *BROWS]].ravel()])


def _upright(landmarks: Points) -> Points:
    rigid = list(_RIGID)
    to_mean = similarity(landmarks[rigid], mean_shape()[rigid])
    return np.asarray(warp_points(landmarks, to_mean))


def drawn(rng: Generator, names: tuple[str, ...]) -> Amounts:
    """A plausible expression: one movement that is easily seen, and a little of the others."""
    lead = names[int(rng.integers(len(names)))]
    amounts = {}
    for name in names:
        low, high = _BOUNDS[name]
        share = float(rng.uniform(0.5, 1.0) if name == lead else rng.uniform(-0.25, 0.25))
        amounts[name] = share * (high if share > 0 else -low)
    return amounts


def is_faint(amounts: Amounts) -> bool:
    """Whether nothing would be seen to move."""
    return float(np.linalg.norm(displacement(amounts), axis=1).max()) < _FAINT


def displacement(amounts: Amounts) -> Points:
    """(189, 2): the movements' sum, in pupil distances, for the upright mean shape."""
    total = np.zeros_like(mean_shape())
    for name, amount in amounts.items():
        total = total + amount * movement(name)
    return total
