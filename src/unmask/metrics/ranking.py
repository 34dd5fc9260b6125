"""How well scores rank fakes above reals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ShapeError

Floats = NDArray[np.float64]


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
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


def midranks(values: Floats) -> Floats:
    """1-based ranks, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: P(fake scores above real), ties counting half.

    Args:
        labels: (N,) of 0 and 1.
        scores: (N,) finite.

    Raises:
        ShapeError: wrong shapes or values, or one class only.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    y, s = _checked(labels, scores)
    fakes, reals = int(y.sum()), int((~y).sum())
    return float((midranks(s)[y].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """FPR, TPR and the threshold (score >= threshold is called fake) at every distinct score.

    Starts at (0, 0) with threshold +inf.
    """
    y, s = _checked(labels, scores)
    order = np.argsort(-s, kind="stable")
    last = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
    hits, alarms = np.cumsum(y[order])[last], np.cumsum(~y[order])[last]
    return (
        np.concatenate([[0.0], alarms / (~y).sum()]),
        np.concatenate([[0.0], hits / y.sum()]),
        np.concatenate([[np.inf], s[order][last]]),
    )


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """Largest TPR of any threshold whose FPR does not exceed `fpr`."""
    false, true, _ = roc_curve(labels, scores)
    return float(true[false <= fpr].max())


def equal_error_rate(labels: ArrayLike, scores: ArrayLike) -> float:
    """Where the ROC curve, joined by straight lines, has FPR = 1 - TPR."""
    false, true, _ = roc_curve(labels, scores)
    gap = false - (1 - true)
    above = int(np.argmax(gap >= 0))  # at least 1: the curve starts with a gap of -1
    share = -gap[above - 1] / (gap[above] - gap[above - 1])
    return float(false[above - 1] + share * (false[above] - false[above - 1]))
