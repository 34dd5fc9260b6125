"""Variances of AUCs and tests between them, without a model of the scores.

DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, 837-845, by the midranks of Sun & Xu
(2014), IEEE Signal Processing Letters 21, 1389-1393: O(N log N) where the definition is O(N^2).

The items are taken to be independent. Frames of one video are not: give these functions video
scores, and use `resampling` for frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.bootstrap import Interval
from unmask.metrics.curve import Floats, both_classes
from unmask.metrics.ranking import midranks


@dataclass(frozen=True)
class AucTest:
    """Two AUCs and the two-sided test that they are equal.

    Attributes:
        auc_a, auc_b: the areas.
        difference: auc_a - auc_b with its interval (normal).
        standard_error: of the difference.
        z: difference / standard_error. Without any spread (standard_error 0) it is 0 for equal
            AUCs and None for unequal ones, e.g. 1 against 0.5: the normal approximation is then
            silent, which is neither evidence nor its absence.
        p: two-sided; 1 for AUCs equal without spread, None where z is.
    """

    auc_a: float
    auc_b: float
    difference: Interval
    standard_error: float
    z: float | None
    p: float | None


def _components(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Structural components as exact half-integers: for each fake how many reals it beats, for
    each real how many fakes beat it, ties counting half (V10 times n and V01 times m)."""
    y, s = both_classes(labels, scores)
    if min(y.sum(), (~y).sum()) < 2:
        raise ShapeError(
            f"A variance needs two of each class; got {int((~y).sum())} reals and "
            f"{int(y.sum())} fakes."
        )
    ranks = midranks(s)
    beaten = ranks[y] - midranks(s[y])
    beaten_by = y.sum() - (ranks[~y] - midranks(s[~y]))
    return beaten, beaten_by


def _covariance(wins: Floats, losses: Floats) -> Floats:
    """S10 / m + S01 / n of components (M, m) and (M, n)."""
    m, n = wins.shape[1], losses.shape[1]
    total = np.zeros((len(wins), len(wins)))
    for values, size, scale in ((wins, m, n), (losses, n, m)):
        # size times the deviation stays exact, so that no spread gives exactly 0
        deviation = size * values - values.sum(1, keepdims=True)
        total += deviation @ deviation.T / (float(size) ** 3 * (size - 1) * float(scale) ** 2)
    return total


def delong_covariance(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """AUCs (M,) of M models on the same items, and their covariance (M, M).

    Args:
        labels: (N,) of 0 and 1, at least two of each.
        scores: (M, N) finite.

    Raises:
        ShapeError: wrong shapes or values, or a class with fewer than two items.

    >>> areas, covariance = delong_covariance([0, 0, 1, 1], [[0.1, 0.4, 0.35, 0.8]])
    >>> areas.tolist(), covariance.tolist()
    ([0.75], [[0.125]])
    """
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or not len(table):
        raise ShapeError(f"scores must be (models, items); got {table.shape}.")
    parts = [_components(labels, row) for row in table]
    wins, losses = (np.stack([part[side] for part in parts]) for side in (0, 1))
    return wins.sum(1) / (wins.shape[1] * losses.shape[1]), _covariance(wins, losses)


def _normal(level: float) -> float:
    if not 0 < level < 1:
        raise ConfigError(f"level must lie in (0, 1); got {level}.")
    return NormalDist().inv_cdf((1 + level) / 2)


def delong_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    level: float = 0.95,
    scale: Literal["logit", "linear"] = "logit",
) -> Interval:
    """AUC of one model with its interval.

    On the logit scale, log(A / (1 - A)) +- z SE / (A (1 - A)), the interval stays inside (0, 1)
    and covers better when A is near 1 (Pepe 2003, ch. 5); the linear one is A +- z SE, cut
    to [0, 1]. Where every fake beats equally many reals and conversely (A = 1, 0, or all scores
    alike) the estimated variance is 0: the interval is then the point A, marked `degenerate`.

    Raises:
        ShapeError: as for `delong_covariance`. ConfigError: a level outside (0, 1).

    >>> delong_interval([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]).degenerate
    True
    """
    z = _normal(level)
    if scale not in ("logit", "linear"):
        raise ConfigError(f"scale must be 'logit' or 'linear'; got {scale!r}.")
    areas, covariance = delong_covariance(labels, np.asarray(scores)[None])
    area, error = float(areas[0]), sqrt(float(covariance[0, 0]))
    if not error:
        return Interval(area, area, area)
    if scale == "linear":
        return Interval(area, max(0.0, area - z * error), min(1.0, area + z * error))
    odds, spread = area / (1 - area), float(np.exp(z * error / (area * (1 - area))))
    return Interval(area, odds / (odds + spread), odds / (odds + 1 / spread))


def _test(area_a: float, area_b: float, variance: float, level: float) -> AucTest:
    quantile, error, gap = _normal(level), sqrt(variance), area_a - area_b
    if error:
        z: float | None = gap / error
    else:
        z = None if gap else 0.0
    p = None if z is None else erfc(abs(z) / sqrt(2))
    spread = quantile * error
    return AucTest(area_a, area_b, Interval(gap, gap - spread, gap + spread), error, z, p)


def delong_test(
    labels: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike, *, level: float = 0.95
) -> AucTest:
    """Two-sided test that two models have equal AUC on the same items (paired).

    z = (A_a - A_b) / sqrt(V_aa + V_bb - 2 V_ab). Scores that rank alike give z = 0 and p = 1.

    Args:
        labels: (N,) of 0 and 1, at least two of each.
        scores_a, scores_b: (N,), of the same items in the same order.
        level: coverage of the difference's interval.

    Raises:
        ShapeError: as for `delong_covariance`. ConfigError: a level outside (0, 1).

    >>> delong_test([0, 0, 1, 1], [1, 3, 2, 4], [10, 30, 20, 40]).p
    1.0
    """
    (wins_a, losses_a), (wins_b, losses_b) = (_components(labels, s) for s in (scores_a, scores_b))
    pairs = len(wins_a) * len(losses_a)
    # the variance of the difference straight from its components: exactly 0 for equal rankings
    variance = _covariance((wins_a - wins_b)[None], (losses_a - losses_b)[None])[0, 0]
    areas = float(wins_a.sum() / pairs), float(wins_b.sum() / pairs)
    return _test(*areas, float(variance), level)


def delong_test_unpaired(
    labels_a: ArrayLike,
    scores_a: ArrayLike,
    labels_b: ArrayLike,
    scores_b: ArrayLike,
    *,
    level: float = 0.95,
) -> AucTest:
    """Two-sided test that AUCs on two independent sets of items are equal.

    z = (A_a - A_b) / sqrt(V_a + V_b), normal. For the same items use `delong_test`, which is the
    sharper one.

    Raises:
        ShapeError: as for `delong_covariance`. ConfigError: a level outside (0, 1).
    """
    area_a, variance_a = delong_covariance(labels_a, np.asarray(scores_a)[None])
    area_b, variance_b = delong_covariance(labels_b, np.asarray(scores_b)[None])
    variance = float(variance_a[0, 0] + variance_b[0, 0])
    return _test(float(area_a[0]), float(area_b[0]), variance, level)
