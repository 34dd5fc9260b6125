"""One ROC curve, or thousands of reweighted ones at the cost of a cumulative sum each.

A bootstrap draw is a weighting of the same items by how often each was drawn. The scores are
sorted once; every metric below then takes all draws together and returns one value for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError

Floats = NDArray[np.float64]


def both_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Labels as bool and scores as float64, both (N,).

    Raises:
        ShapeError: shapes differ, values are no labels or not finite, or one class only.
    """
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.ndim != 1 or y.shape != s.shape:
        raise ShapeError(f"labels and scores must be (N,) alike; got {y.shape} and {s.shape}.")
    if not np.isin(y, (0, 1)).all() or not np.isfinite(s).all():
        raise ShapeError("labels must be 0 (real) or 1 (fake), scores finite.")
    if len(np.unique(y)) < 2:
        raise ShapeError(
            f"Ranking needs both classes; got {int((y == 0).sum())} reals and "
            f"{int((y == 1).sum())} fakes."
        )
    return y.astype(bool), s


@dataclass(frozen=True)
class Curves:
    """Weights of the items called fake at every threshold, for B weightings.

    Attributes:
        hits: (B, K + 1) weight of fakes with score >= threshold; the first column is 0.
        alarms: (B, K + 1) the same of reals.
        thresholds: (K + 1,) descending: +inf, then every distinct score.
    """

    hits: Floats
    alarms: Floats
    thresholds: Floats

    @property
    def tpr(self) -> Floats:
        """(B, K + 1) share of fakes called fake."""
        return self.hits / self.hits[:, -1:]

    @property
    def fpr(self) -> Floats:
        """(B, K + 1) share of reals called fake."""
        return self.alarms / self.alarms[:, -1:]

    def auc(self) -> Floats:
        """(B,) areas by trapezoids, which counts ties half (Hanley & McNeil 1982)."""
        strips = np.diff(self.alarms) * (self.hits[:, 1:] + self.hits[:, :-1])
        return np.asarray(strips.sum(1) / (2 * self.hits[:, -1] * self.alarms[:, -1]))

    def average_precision(self) -> Floats:
        """(B,) sum over thresholds of (R_k - R_{k-1}) P_k, R the recall and P the precision."""
        called = self.hits[:, 1:] + self.alarms[:, 1:]
        # weight 0 so far: recall is 0 as well, and the precision does not matter
        precision = self.hits[:, 1:] / np.where(called > 0, called, 1)
        return np.asarray((np.diff(self.hits) * precision).sum(1) / self.hits[:, -1])

    def equal_error_rate(self) -> Floats:
        """(B,) where the curve, joined by straight lines, has FPR = 1 - TPR."""
        false, rows = self.fpr, np.arange(len(self.hits))
        gap = false - (1 - self.tpr)
        after = np.argmax(gap >= 0, axis=1)  # at least 1: the curve starts with a gap of -1
        low, high = gap[rows, after - 1], gap[rows, after]
        start, end = false[rows, after - 1], false[rows, after]
        return np.asarray(start - low / (high - low) * (end - start))

    def tpr_at_fpr(self, fpr: float) -> Floats:
        """(B,) largest TPR of any threshold whose FPR does not exceed `fpr`."""
        if not 0 <= fpr <= 1:
            raise ConfigError(f"fpr must lie in [0, 1]; got {fpr}.")
        return np.asarray(np.where(self.fpr <= fpr, self.tpr, 0.0).max(1))

    def rates_at(self, threshold: float) -> tuple[Floats, Floats]:
        """FPR and TPR, (B,) each, of calling fake what has score >= threshold."""
        if np.isnan(threshold):
            raise ConfigError("The threshold is not a number.")
        column = max(int((self.thresholds >= threshold).sum()) - 1, 0)
        return self.fpr[:, column], self.tpr[:, column]


@dataclass(frozen=True)
class Ranked:
    """Items sorted by descending score, ready for any weighting.

    Attributes:
        fake: (N,) bool in sorted order.
        order: (N,) sorted position -> item.
        last: (K,) last sorted position of every distinct score.
        thresholds: (K + 1,) as in `Curves`.
    """

    fake: NDArray[np.bool_]
    order: NDArray[np.intp]
    last: NDArray[np.intp]
    thresholds: Floats

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> Ranked:
        """Sorts labels and scores, (N,) each; raises as `both_classes`."""
        y, s = both_classes(labels, scores)
        order = np.argsort(-s, kind="stable")
        last = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
        return cls(y[order], order, last, np.concatenate([[np.inf], s[order][last]]))

    def curves(self, weights: ArrayLike | None = None) -> Curves:
        """The curves of (B, N) weights >= 0, in the order the items were given; of one row of
        ones if there are none.

        Raises:
            ShapeError: weights of another shape, negative, or leaving a class without weight.
        """
        shape = (1, len(self.order))
        w = np.ones(shape) if weights is None else np.asarray(weights, np.float64)
        if w.ndim != 2 or w.shape[1] != shape[1] or (w.size and not w.min() >= 0):
            raise ShapeError(f"weights must be (B, {shape[1]}) and >= 0; got {w.shape}.")
        w = w[:, self.order]
        hits, alarms = (self._running(w, side) for side in (self.fake, ~self.fake))
        if not (hits[:, -1] > 0).all() or not (alarms[:, -1] > 0).all():
            raise ShapeError("A weighting leaves no reals or no fakes.")
        return Curves(hits, alarms, self.thresholds)

    def _running(self, weights: Floats, side: NDArray[np.bool_]) -> Floats:
        running = np.cumsum(weights * side, axis=1)[:, self.last]
        return np.concatenate([np.zeros((len(running), 1)), running], axis=1)
