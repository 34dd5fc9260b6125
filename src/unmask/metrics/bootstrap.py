"""Intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ConfigError, ShapeError

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A number and how far it could be off.

    Attributes:
        value: the estimate from the items themselves.
        low, high: the interval.
    """

    value: float
    low: float
    high: float

    @property
    def degenerate(self) -> bool:
        """The interval is a point: the items show no spread at all (no mistake among them, or all
        scores alike). That is too little evidence for an interval, not certainty."""
        return self.low == self.high


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); honest also at 0 and at n small.

    Raises:
        ShapeError: no trials, or more successes than trials.

    >>> [round(v, 4) for v in wilson(1, 10)]
    [0.0179, 0.4042]
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ShapeError(f"wilson needs 0 <= successes <= trials >= 1; got {successes}, {trials}.")
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    groups: Sequence[object],
    *,
    strata: Sequence[object] | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic, resampling whole groups (videos, people).

    Args:
        statistic: from the indices of the chosen items to a number.
        groups: the group of each item; items of one group are drawn together.
        strata: per item, e.g. its label: groups are drawn within their stratum, so that every
            draw has both classes. A group must lie in one stratum.
        draws: number of resamples.
        level: coverage of the interval.
        seed: of the resampling.

    Raises:
        ConfigError: too few draws or a level outside (0, 1).
        ShapeError: no items, or a group in two strata.
    """
    if draws < 100 or not 0 < level < 1:
        raise ConfigError(
            f"bootstrap needs >= 100 draws and a level in (0, 1); got {draws}, {level}."
        )
    if not len(groups):
        raise ShapeError("bootstrap needs at least one item.")
    strata = strata if strata is not None else [0] * len(groups)
    members: dict[object, dict[object, list[int]]] = {}
    home: dict[object, object] = {}
    for index, (stratum, group) in enumerate(zip(strata, groups, strict=True)):
        if home.setdefault(group, stratum) != stratum:
            raise ShapeError(f"Group {group!r} lies in two strata, {home[group]!r}, {stratum!r}.")
        members.setdefault(stratum, {}).setdefault(group, []).append(index)
    pools = [[np.array(ids) for ids in by_group.values()] for by_group in members.values()]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = [pool[i] for pool in pools for i in rng.integers(len(pool), size=len(pool))]
        values.append(statistic(np.concatenate(chosen)))
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
