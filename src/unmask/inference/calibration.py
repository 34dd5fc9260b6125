"""Thresholds and probabilities, fitted on validation items that neither trained nor selected."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from unmask.metrics.bootstrap import wilson
from unmask.metrics.calibration import fit_platt, sigmoid, threshold_at_fpr
from unmask.models.checkpoint import Decision
from unmask.results import Calibrated, Threshold, Verdict

CLEAR_P = 0.3
"""Below this calibrated P(fake), at equal priors, a face shows no evidence."""


def fit_decision(
    real_logits: ArrayLike,
    fake_logits: ArrayLike,
    real_bands: ArrayLike,
    *,
    fpr: float = 0.01,
    measured_on: str,
    domain: str,
) -> Decision:
    """Fit slope, bias and both thresholds.

    `flag` is the smallest score that at most a share `fpr` of the reals reaches; `clear` is where
    the calibrated probability falls below `CLEAR_P`, and never above `flag`.

    Args:
        real_logits: (N,) of held-out reals. fake_logits: (M,) of held-out fakes.
        real_bands: (N, 14) log10 band energies of the reals, see `explain.log_bands`.
        fpr: allowed at `flag`.
        measured_on: the data in words, for the threshold's error rate.
        domain: the data in words, for the probability.

    Raises:
        ShapeError: one of the classes is empty.
    """
    reals, fakes = np.asarray(real_logits, float), np.asarray(fake_logits, float)
    bands = np.asarray(real_bands, float)
    labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
    slope, bias = fit_platt(np.r_[reals, fakes], labels)
    flag = min(1.0, threshold_at_fpr(sigmoid(reals), fpr))
    alarms = int((sigmoid(reals) >= flag).sum())
    at_clear = (np.log(CLEAR_P / (1 - CLEAR_P)) - bias) / slope if slope > 0 else -np.inf
    span = np.percentile(bands, 99.5, axis=0) - np.percentile(bands, 0.5, axis=0)
    limits = np.stack(
        [
            np.percentile(bands, 0.5, axis=0) - 0.25 * span,
            np.percentile(bands, 99.5, axis=0) + 0.25 * span,
        ],
        axis=1,
    )
    return Decision(
        slope=slope,
        bias=bias,
        flag=flag,
        clear=min(float(sigmoid(at_clear)), flag),
        fpr_at_flag=alarms / len(reals),
        ci95=wilson(alarms, len(reals)),
        measured_on=measured_on,
        domain=domain,
        bands=[tuple(row) for row in np.percentile(bands, [5, 50, 95], axis=0).T.tolist()],
        band_limits=[tuple(row) for row in limits.tolist()],
    )


def verdict_of(score: float, decision: Decision, *, reliable: bool) -> Verdict:
    """The verdict for a score in [0, 1]; an unreliable input is inconclusive whatever its score."""
    if not reliable:
        return "inconclusive"
    if score >= decision.flag:
        return "likely_manipulated"
    return "no_evidence_found" if score < decision.clear else "inconclusive"


def calibrated(logit: float, decision: Decision, *, in_domain: bool) -> Calibrated:
    """Probability and log10 likelihood ratio of a logit, at equal priors."""
    log_odds = decision.slope * logit + decision.bias
    return Calibrated(
        p_fake=float(sigmoid(log_odds)),
        log10_lr=log_odds / float(np.log(10)),
        domain=decision.domain,
        in_domain=in_domain,
    )


def threshold(decision: Decision) -> Threshold:
    """The part of a decision that every result states."""
    return Threshold(
        flag=decision.flag,
        clear=decision.clear,
        fpr_at_flag=decision.fpr_at_flag,
        ci95=decision.ci95,
        measured_on=decision.measured_on,
    )
