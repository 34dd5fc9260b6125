"""From a score to a decision: probabilities, thresholds and how far to trust them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError

Floats = NDArray[np.float64]


def sigmoid(logits: ArrayLike) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    x = np.asarray(logits, np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def fit_platt(logits: ArrayLike, labels: ArrayLike, *, balanced: bool = True) -> tuple[float, float]:
    """Slope a >= 0 and bias b of P(fake) = sigmoid(a x + b) by maximum likelihood (Platt 1999).

    With `balanced`, both classes weigh the same whatever their numbers, so that the log-odds are a
    log likelihood ratio. Newton's method; targets are Platt's (n + 1) / (n + 2), which keeps
    separable data finite.

    Raises:
        ShapeError: shapes differ or one class only.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(y)) < 2:
        raise ShapeError(f"fit_platt needs (N,) logits and labels of both classes; got {x.shape}.")
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = np.where(y == 1, 1 / positives, 1 / negatives) if balanced else np.ones_like(x)
    weight = weight / weight.sum()
    theta = np.array([1.0, 0.0])
    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(t: Floats) -> float:
        z = design @ t
        return float((weight * (np.logaddexp(0, z) - target * z)).sum())

    for _ in range(100):
        p = sigmoid(design @ theta)
        gradient = design.T @ (weight * (p - target))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-10 * np.eye(2)
        step, size, before = np.linalg.solve(hessian, gradient), 1.0, loss(theta)
        while size > 1e-8 and loss(theta - size * step) > before:
            size /= 2
        theta = theta - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    if theta[0] < 0:  # scores that rank the wrong way carry no information
        return 0.0, 0.0
    return float(theta[0]), float(theta[1])


def threshold_at_fpr(real_scores: ArrayLike, fpr: float) -> float:
    """Smallest threshold t such that at most a share `fpr` of reals has score >= t.

    It lies just above a score that occurs, so it is met by no real beyond the allowed ones.

    Raises:
        ShapeError: no scores. ConfigError: fpr outside (0, 1).

    >>> threshold_at_fpr([0.1, 0.2, 0.3, 0.4], 0.25) > 0.3
    True
    """
    s = np.sort(np.asarray(real_scores, np.float64))[::-1]
    if s.ndim != 1 or not len(s):
        raise ShapeError("threshold_at_fpr needs the scores of at least one real.")
    if not 0 < fpr < 1:
        raise ConfigError(f"fpr must lie in (0, 1); got {fpr}.")
    allowed = int(np.floor(fpr * len(s) + 1e-9))
    return float(np.nextafter(s[allowed], np.inf))


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Mean gap between probability and frequency over equal-width bins (Guo et al. 2017)."""
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if y.shape != p.shape or y.ndim != 1 or not len(y):
        raise ShapeError(f"labels and probabilities must be (N,) alike; got {y.shape}, {p.shape}.")
    index = np.minimum((p * bins).astype(int), bins - 1)
    total = sum(abs(y[index == b].sum() - p[index == b].sum()) for b in range(bins))
    return float(total / len(y))


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label (Brier 1950)."""
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if y.shape != p.shape or not y.size:
        raise ShapeError(f"labels and probabilities must be (N,) alike; got {y.shape}, {p.shape}.")
    return float(np.mean((p - y) ** 2))
