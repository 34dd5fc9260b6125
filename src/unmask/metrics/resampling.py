"""The bootstrap by clusters: frames of one video, or videos of one person, are drawn together.

Every statistic here takes weights, (B, N): how often each item was drawn, one draw a row. So a
thousand resamples of ten thousand frames are a few matrix operations, and whatever is computed
from the same weights (two models, frame and video level) is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.bootstrap import Interval
from unmask.metrics.curve import Floats, Ranked

Statistic = Callable[[Floats], Floats]
Method = Literal["percentile", "bca"]

CELLS = 1 << 20  # of a block of weights: 8 MB, which stays near the processor


@dataclass(frozen=True)
class Resamples:
    """Draws of whole clusters, made anew and alike on each pass.

    Attributes:
        members: (N,) the cluster of each item, 0 to C - 1.
        strata: per kind of cluster (only reals, only fakes, both) those clusters' numbers.
        draws: number of resamples.
        seed: of the draws.
    """

    members: NDArray[np.intp]
    strata: tuple[NDArray[np.intp], ...]
    draws: int
    seed: int

    @property
    def clusters(self) -> int:
        """C."""
        return sum(len(s) for s in self.strata)

    def _rows(self) -> int:
        return max(1, CELLS // max(len(self.members), self.clusters))

    def weights(self) -> Iterator[Floats]:
        """Blocks (b, N) of how often each item was drawn; `draws` rows in all."""
        rng, rows = np.random.default_rng(self.seed), self._rows()
        for start in range(0, self.draws, rows):
            counts = np.zeros((min(rows, self.draws - start), self.clusters))
            for row in counts:
                for pool in self.strata:
                    drawn = rng.integers(len(pool), size=len(pool))
                    row[pool] = np.bincount(drawn, minlength=len(pool))
            yield counts[:, self.members]

    def jackknife(self) -> Iterator[Floats]:
        """Blocks (b, N) of ones without one cluster's items; C rows in all, by number."""
        rows = self._rows()
        for start in range(0, self.clusters, rows):
            left_out = np.arange(start, min(start + rows, self.clusters))
            yield (left_out[:, None] != self.members).astype(np.float64)


def resample(
    labels: ArrayLike, clusters: Sequence[object], *, draws: int = 1000, seed: int = 0
) -> Resamples:
    """Draws of clusters with replacement, within strata by the classes a cluster holds.

    Clusters of reals only, of fakes only and with both are drawn apart, each as many as there
    are, so that no draw lacks a class. The draws do not depend on the order of the items, and two
    levels of the same clusters (frames and videos) get the same ones.

    Args:
        labels: (N,) of 0 and 1, both present.
        clusters: the cluster of each item: its video, or the person or source film it shows.
        draws: number of resamples, at least 100.
        seed: of the draws.

    Raises:
        ShapeError: lengths differ, values that are no labels, one class only, an item without a
            cluster, or a stratum of a single cluster, which cannot vary.
        ConfigError: too few draws.
    """
    y = np.asarray(labels)
    if y.ndim != 1 or len(clusters) != len(y):
        raise ShapeError(f"labels and clusters must be (N,) alike; got {y.shape}, {len(clusters)}.")
    Ranked.of(y, np.zeros(y.shape))  # refuses what are no labels, and one class only
    if draws < 100:
        raise ConfigError(f"The bootstrap needs >= 100 draws; got {draws}.")
    if any(c is None or c == "" or c != c for c in clusters):
        raise ShapeError("An item has no cluster; items without one must not be drawn as one.")
    number = {c: i for i, c in enumerate(sorted(set(clusters), key=str))}
    members = np.array([number[c] for c in clusters], np.intp)
    fakes = np.bincount(members, y == 1) > 0
    reals = np.bincount(members, y == 0) > 0
    kinds = {"reals": reals & ~fakes, "fakes": fakes & ~reals, "both": fakes & reals}
    for kind, chosen in kinds.items():
        if chosen.sum() == 1:
            raise ShapeError(
                f"Only one cluster ({next(c for c, i in number.items() if chosen[i])!r}) holds "
                f"{kind}{'' if kind == 'both' else ' only'}: drawing it again and again shows no "
                "spread.",
                "Score more videos, or cluster by something finer.",
            )
    strata = tuple(np.flatnonzero(chosen) for chosen in kinds.values() if chosen.any())
    return Resamples(members, strata, draws, seed)


def _acceleration(statistic: Statistic, resamples: Resamples) -> Floats:
    """sum l^3 / (6 (sum l^2)^1.5) over strata, l the jackknife influences by stratum size."""
    left = np.concatenate([statistic(w) for w in resamples.jackknife()])
    cubes, squares = np.zeros(left.shape[1]), np.zeros(left.shape[1])
    for pool in resamples.strata:
        n = len(pool)
        influence = (n - 1) * (left[pool].mean(0) - left[pool]) / n
        cubes, squares = cubes + (influence**3).sum(0), squares + (influence**2).sum(0)
    return np.where(squares > 0, cubes / (6 * np.where(squares > 0, squares, 1) ** 1.5), 0.0)


def _bca_tails(values: Floats, estimate: float, acceleration: float, tail: float) -> list[float]:
    normal = NormalDist()
    share = float((values < estimate).mean() + (values == estimate).mean() / 2)
    if not 0 < share < 1:
        raise ConfigError(
            "BCa cannot correct a statistic whose every resample lies on one side of it.",
            "Take method='percentile'.",
        )
    bias = normal.inv_cdf(share)
    steps = (bias + normal.inv_cdf(tail), bias + normal.inv_cdf(1 - tail))
    return [normal.cdf(bias + step / (1 - acceleration * step)) for step in steps]


def bootstrap(
    statistic: Statistic,
    resamples: Resamples,
    *,
    level: float = 0.95,
    method: Method = "percentile",
) -> list[Interval]:
    """Intervals of M numbers computed together.

    "percentile": the quantiles of the draws. "bca": corrected for bias and skewness (Efron 1987;
    influences summed over strata as in Davison & Hinkley 1997, ch. 5). It costs another pass over
    as many weightings as there are clusters and pays where the number lies near its bound.

    Args:
        statistic: from weights (B, N) to numbers (B, M), each row on its own.
        resamples: the draws, see `resample`.
        level: coverage.
        method: see above.

    Raises:
        ConfigError: a level outside (0, 1), an unknown method, or a bias BCa cannot correct.
    """
    return bootstrap_draws(statistic, resamples, level=level, method=method)[0]


def bootstrap_draws(
    statistic: Statistic, resamples: Resamples, *, level: float, method: Method
) -> tuple[list[Interval], Floats]:
    """`bootstrap` and the (draws, M) values its intervals come from."""
    if not 0 < level < 1 or method not in ("percentile", "bca"):
        raise ConfigError(f"Level in (0, 1), method percentile or bca; got {level}, {method!r}.")
    estimates = statistic(np.ones((1, len(resamples.members))))[0]
    values = np.concatenate([statistic(w) for w in resamples.weights()])
    tail = (1 - level) / 2
    tails = [[tail, 1 - tail]] * len(estimates)
    if method == "bca":
        skews = _acceleration(statistic, resamples)
        tails = [
            _bca_tails(column, float(estimate), float(skew), tail)
            for column, estimate, skew in zip(values.T, estimates, skews, strict=True)
        ]
    ends = [np.quantile(column, t) for column, t in zip(values.T, tails, strict=True)]
    intervals = [Interval(float(e), *map(float, lh)) for e, lh in zip(estimates, ends, strict=True)]
    return intervals, values


@dataclass(frozen=True)
class BootstrapDifference:
    """auc_a - auc_b on the same draws.

    Attributes:
        difference: with its interval.
        p: two-sided, 2 min(share of draws <= 0, share >= 0) with the estimate counted as a draw,
            so never below 2 / (draws + 1); 1 for scores that rank alike.
    """

    difference: Interval
    p: float


def auc_difference(
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    clusters: Sequence[object],
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "percentile",
) -> BootstrapDifference:
    """Paired bootstrap of the difference of two models' AUCs on the same items.

    Where items of a cluster are alike, as frames are, this is the test to use; `delong_test` takes
    them for independent.

    Args:
        labels, scores_a, scores_b: (N,) of the same items in the same order.
        clusters: of each item, as in `resample`; draws and seed likewise.
        level, method: as in `bootstrap`.

    Raises:
        ShapeError, ConfigError: as `auc`, `resample` and `bootstrap`.

    >>> auc_difference([0, 0, 1, 1], [1, 3, 2, 4], [2, 6, 4, 8], "abcd").p
    1.0
    """
    a, b = Ranked.of(labels, scores_a), Ranked.of(labels, scores_b)

    def gap(weights: Floats) -> Floats:
        return (a.curves(weights).auc() - b.curves(weights).auc())[:, None]

    resamples = resample(labels, clusters, draws=draws, seed=seed)
    (interval,), values = bootstrap_draws(gap, resamples, level=level, method=method)
    sides = int((values <= 0).sum()), int((values >= 0).sum())
    return BootstrapDifference(interval, min(1.0, 2 * (1 + min(sides)) / (1 + draws)))
