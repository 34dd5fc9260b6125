"""From a score to a decision: probabilities, thresholds and how far to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.bootstrap import wilson

Floats = NDArray[np.float64]
Binning = Literal["width", "mass"]


def sigmoid(logits: ArrayLike) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    x = np.asarray(logits, np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _checked(labels: ArrayLike, values: ArrayLike, what: str) -> tuple[Floats, Floats]:
    y, v = np.asarray(labels, np.float64), np.asarray(values, np.float64)
    if y.shape != v.shape or y.ndim != 1 or not len(y):
        raise ShapeError(f"labels and {what} must be (N,) alike; got {y.shape}, {v.shape}.")
    if not np.isin(y, (0, 1)).all() or not np.isfinite(v).all():
        raise ShapeError(f"labels must be 0 (real) or 1 (fake), {what} finite.")
    if what == "probabilities" and (v.min() < 0 or v.max() > 1):
        raise ShapeError(f"probabilities must lie in [0, 1]; got {v.min():g} to {v.max():g}.")
    return y, v


def fit_platt(
    logits: ArrayLike, labels: ArrayLike, *, balanced: bool = True
) -> tuple[float, float]:
    """Slope a >= 0 and bias b of P(fake) = sigmoid(a x + b) by maximum likelihood (Platt 1999).

    With `balanced`, both classes weigh the same whatever their numbers, so that the log-odds are a
    log likelihood ratio. Newton's method; targets are Platt's (n + 1) / (n + 2), which keeps
    separable data finite. Logits that rank the wrong way, or are all alike, carry no information:
    the slope is 0, the bias that of the classes' weights.

    Raises:
        ShapeError: shapes differ, a logit is not finite, or one class only.
    """
    y, x = _checked(labels, logits, "logits")
    if len(np.unique(y)) < 2:
        raise ShapeError(f"fit_platt needs both classes; got {len(y)} labels of {y[0]:g}.")
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = np.where(y == 1, 1 / positives, 1 / negatives) if balanced else np.ones_like(x)
    weight = weight / weight.sum()
    prior = float((weight * y).sum())
    flat = 0.0, float(np.log(prior / (1 - prior)))
    if not (spread := float(x.std())):
        return flat
    # standardised, so that Newton's method starts well whatever the logits' scale
    centre, theta = float(x.mean()), np.array([1.0, 0.0])
    design = np.stack([(x - centre) / spread, np.ones_like(x)], axis=1)

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
    if theta[0] <= 0:
        return flat
    slope = float(theta[0]) / spread
    return slope, float(theta[1]) - slope * centre


def threshold_at_fpr(real_scores: ArrayLike, fpr: float) -> float:
    """Smallest threshold t such that at most a share `fpr` of reals has score >= t.

    It lies just above a score that occurs, so it is met by no real beyond the allowed ones.

    Raises:
        ShapeError: no scores, or one that is not finite. ConfigError: fpr outside (0, 1).

    >>> threshold_at_fpr([0.1, 0.2, 0.3, 0.4], 0.25) > 0.3
    True
    """
    s = np.sort(np.asarray(real_scores, np.float64))[::-1]
    if s.ndim != 1 or not len(s) or not np.isfinite(s).all():
        raise ShapeError("threshold_at_fpr needs the finite scores of at least one real.")
    if not 0 < fpr < 1:
        raise ConfigError(f"fpr must lie in (0, 1); got {fpr}.")
    allowed = int(np.floor(fpr * len(s) + 1e-9))
    return float(np.nextafter(s[allowed], np.inf))


def decision_parameters(
    real_logits: Mapping[str, ArrayLike],
    fake_logits: ArrayLike,
    real_bands: ArrayLike,
    *,
    fpr: float,
    clear_p: float,
    parts: Mapping[str, ArrayLike] | None = None,
    part_fpr: float = 0.02,
) -> dict[str, Any]:
    """Everything numeric in a `models.checkpoint.Decision`, from held-out reals and fakes.

    `flag` is the smallest score that at most a share `fpr` of the reals reaches under every
    condition: the worst one decides, and its share is what is reported. Where there are `parts`, at
    most a share `part_fpr` of each reaches it, too. `clear` is where the calibrated P(fake) at
    equal priors falls below `clear_p`, and never above `flag`.

    Args:
        real_logits: condition (as they are, blurred, ...) -> (N,).
        fake_logits: (M,).
        real_bands: (R, B) log10 band energies of reals, of all conditions.
        fpr: allowed at `flag`. clear_p: see above.
        parts: name -> logits of a part of the reals, such as those of one source.
        part_fpr: allowed of each.

    Raises:
        ShapeError: a class or condition is empty, or the bands are not a table.
    """
    conditions = {name: np.asarray(v, np.float64) for name, v in real_logits.items()}
    fakes = np.asarray(fake_logits, np.float64)
    if not conditions or not len(fakes) or any(not len(v) for v in conditions.values()):
        sizes = {name: len(v) for name, v in conditions.items()}
        raise ShapeError(
            f"A decision needs reals and fakes; got reals {sizes}, {len(fakes)} fakes."
        )
    of_bands = band_parameters(real_bands)
    reals = np.concatenate(list(conditions.values()))
    slope, bias = fit_platt(np.r_[reals, fakes], np.r_[np.zeros(len(reals)), np.ones(len(fakes))])
    needed = [threshold_at_fpr(sigmoid(v), fpr) for v in conditions.values()]
    needed += [threshold_at_fpr(sigmoid(v), part_fpr) for v in (parts or {}).values()]
    flag = min(1.0, max(needed))
    alarms, trials = max(
        ((int((sigmoid(v) >= flag).sum()), len(v)) for v in conditions.values()),
        key=lambda count: count[0] / count[1],
    )
    at_clear = (np.log(clear_p / (1 - clear_p)) - bias) / slope if slope > 0 else -np.inf
    return {
        "slope": slope,
        "bias": bias,
        "flag": flag,
        "clear": min(float(sigmoid(at_clear)), flag),
        "fpr_at_flag": alarms / trials,
        "ci95": wilson(alarms, trials),
        **of_bands,
    }


def band_parameters(real_bands: ArrayLike) -> dict[str, Any]:
    """`bands` and `band_limits` of a `models.checkpoint.Decision`.

    The limits are the 0.5th and 99.5th percentile, and a quarter of the way between them beyond.

    Args:
        real_bands: (R, B) log10 band energies of reals.

    Raises:
        ShapeError: not a table with at least one row.
    """
    bands = np.asarray(real_bands, np.float64)
    if bands.ndim != 2 or not len(bands):
        raise ShapeError(f"Band energies must be (R, B) with R > 0; got {bands.shape}.")
    low, high = np.percentile(bands, [0.5, 99.5], axis=0)
    slack = 0.25 * (high - low)
    return {
        "bands": np.percentile(bands, [5, 50, 95], axis=0).T.tolist(),
        "band_limits": np.stack([low - slack, high + slack], axis=1).tolist(),
    }


def _both_classes(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
    y, p = _checked(labels, probabilities, "probabilities")
    if len(np.unique(y)) < 2:
        raise ShapeError(
            f"Calibration needs both classes; got {int((1 - y).sum())} reals and "
            f"{int(y.sum())} fakes."
        )
    return y, p


def expected_calibration_error(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = 15,
    binning: Binning = "width",
) -> float:
    """Mean gap between probability and frequency over bins, sum_b (n_b / N) |y_b - p_b|.

    Args:
        labels: (N,) of 0 and 1, both present.
        probabilities: (N,) in [0, 1].
        bins: number of bins.
        binning: "width": bins of equal width (Guo et al. 2017); "mass": of equal numbers of items
            (Nguyen & O'Connor 2015). Items of equal probability share a bin, that of the lowest
            ranked of them, so that the order of the items does not matter; where many are tied
            the bins' numbers differ.

    Raises:
        ShapeError: shapes differ, values that are no labels or probabilities, or one class only.
        ConfigError: fewer than one bin, or another binning.

    >>> round(expected_calibration_error([0, 1, 1, 1], [0.1, 0.2, 0.8, 0.9], 2, "mass"), 3)
    0.25
    """
    ones = np.ones((1, len(np.atleast_1d(np.asarray(labels)))))
    return float(calibration_errors(labels, probabilities, ones, bins, binning)[0])


def calibration_errors(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: Floats,
    bins: int = 15,
    binning: Binning = "width",
) -> Floats:
    """`expected_calibration_error` of (B, N) weightings of the items at once, (B,)."""
    y, p = _both_classes(labels, probabilities)
    if bins < 1 or binning not in get_args(Binning):
        raise ConfigError(f"ECE needs bins >= 1 of equal width or mass; got {bins}, {binning!r}.")
    order = np.argsort(p, kind="stable")
    p, gaps, w = p[order], (y - p)[order], weights[:, order]
    if binning == "width":
        index = np.broadcast_to((p * bins).astype(np.intp), w.shape)
    else:
        first = np.searchsorted(p, p)  # of the items tied with each
        below = np.cumsum(w, axis=1)[:, first] - w[:, first]
        index = (below * bins / w.sum(1, keepdims=True)).astype(np.intp)
    # one bincount for all rows: each has its own run of bins
    index = np.minimum(index, bins - 1) + bins * np.arange(len(w))[:, None]
    sums = np.bincount(index.ravel(), (w * gaps).ravel(), minlength=bins * len(w))
    return np.asarray(np.abs(sums.reshape(len(w), bins)).sum(1) / w.sum(1))


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label (Brier 1950).

    Raises:
        ShapeError: as for `expected_calibration_error`.

    >>> round(brier([0, 1], [0.1, 0.6]), 3)
    0.085
    """
    y, p = _both_classes(labels, probabilities)
    return float(np.mean((p - y) ** 2))
