"""How well scores rank fakes above reals."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from unmask.errors import ShapeError
from unmask.metrics.curve import Floats, Ranked


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
    return float(Ranked.of(labels, scores).curves().auc()[0])


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the precision-recall curve as a sum of steps, sum_k (R_k - R_{k-1}) P_k.

    Not interpolated, which would be too kind (Davis & Goadrich 2006). Unlike AUC it depends on
    the share of fakes: scores without information get that share.

    Raises:
        ShapeError: as for `auc`.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return float(Ranked.of(labels, scores).curves().average_precision()[0])


def rates_at(labels: ArrayLike, scores: ArrayLike, threshold: float) -> tuple[float, float]:
    """FPR and TPR of calling fake what has score >= threshold.

    Raises:
        ShapeError: as for `auc`. ConfigError: the threshold is not a number.

    >>> rates_at([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.4)
    (0.5, 0.5)
    """
    false, true = Ranked.of(labels, scores).curves().rates_at(threshold)
    return float(false[0]), float(true[0])


def balanced_accuracy(labels: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """(TPR + 1 - FPR) / 2 when score >= threshold is called fake (Brodersen et al. 2010).

    The threshold has to come from elsewhere: chosen on these very scores it flatters them.

    Raises:
        ShapeError: as for `auc`. ConfigError: the threshold is not a number.

    >>> balanced_accuracy([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.9], 0.5)
    0.8333333333333334
    """
    false, true = rates_at(labels, scores, threshold)
    return (true + 1 - false) / 2


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """FPR, TPR and the threshold (score >= threshold is called fake) at every distinct score.

    Starts at (0, 0) with threshold +inf.
    """
    curve = Ranked.of(labels, scores).curves()
    return curve.fpr[0], curve.tpr[0], curve.thresholds


def det_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """FPR, FNR and the threshold at every distinct score: the DET curve (Martin et al. 1997).

    All points are there, in the order of `roc_curve`, so from (0, 1) to (1, 0); on the axes of a
    DET plot, `probit`, those ends lie at infinity.

    >>> det_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])[1].tolist()
    [1.0, 0.5, 0.5, 0.0, 0.0]
    """
    curve = Ranked.of(labels, scores).curves()
    return curve.fpr[0], (curve.hits[0, -1] - curve.hits[0]) / curve.hits[0, -1], curve.thresholds


def probit(rates: ArrayLike) -> Floats:
    """Normal deviates of rates in [0, 1], any shape: -inf at 0, +inf at 1.

    Raises:
        ShapeError: a rate outside [0, 1].

    >>> probit([0.0, 0.5, 0.975]).round(2).tolist()
    [-inf, 0.0, 1.96]
    """
    r = np.asarray(rates, np.float64)
    if not ((r >= 0) & (r <= 1)).all():
        raise ShapeError("probit needs rates in [0, 1].")
    ends = {0.0: -np.inf, 1.0: np.inf}
    flat = [ends[v] if v in ends else NormalDist().inv_cdf(v) for v in r.ravel().tolist()]
    return np.array(flat, np.float64).reshape(r.shape)


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """Largest TPR of any threshold whose FPR does not exceed `fpr`.

    With fewer than 1 / fpr reals no false alarm is allowed at all, and the number says how many
    fakes score above the highest real.

    Raises:
        ShapeError: as for `auc`. ConfigError: fpr outside [0, 1].
    """
    return float(Ranked.of(labels, scores).curves().tpr_at_fpr(fpr)[0])


def equal_error_rate(labels: ArrayLike, scores: ArrayLike) -> float:
    """Where the ROC curve, joined by straight lines, has FPR = 1 - TPR."""
    return float(Ranked.of(labels, scores).curves().equal_error_rate()[0])
