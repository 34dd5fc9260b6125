"""Thresholds and probabilities, fitted on validation items that neither trained nor selected."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.metrics.calibration import decision_parameters, sigmoid
from unmask.metrics.features import feature_distance
from unmask.models.checkpoint import CLEAR_P, Decision, FeatureDomain
from unmask.results import Calibrated, Threshold, Verdict


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
    numbers = decision_parameters(
        {"as they are": real_logits}, fake_logits, real_bands, fpr=fpr, clear_p=CLEAR_P
    )
    return Decision(**numbers, measured_on=measured_on, domain=domain)


def verdict_of(
    score: float, decision: Decision, *, reliable: bool, one_sided: bool = False
) -> Verdict:
    """The verdict for a score in [0, 1].

    Args:
        score, decision: what is compared.
        reliable: an unreliable input is inconclusive whatever its score.
        one_sided: only a finding counts; without one it is inconclusive.
    """
    if not reliable:
        return "inconclusive"
    if score >= decision.flag:
        return "likely_manipulated"
    cleared = score < decision.clear and not one_sided
    return "no_evidence_found" if cleared else "inconclusive"


def calibrated(logit: float, decision: Decision, *, in_domain: bool) -> Calibrated:
    """Probability at equal priors and, inside the domain it was fitted on, log10 likelihood ratio.

    Outside of it nobody knows how probable such a score is for either class.
    """
    log_odds = decision.slope * logit + decision.bias
    return Calibrated(
        p_fake=float(sigmoid(log_odds)),
        log10_lr=log_odds / float(np.log(10)) if in_domain else None,
        domain=decision.domain,
        in_domain=in_domain,
    )


def distances_from(known: FeatureDomain, embeddings: ArrayLike) -> NDArray[np.float64]:
    """(N,) how far (N, D) embeddings lie from what is known, see `metrics.features`."""
    return feature_distance(embeddings, **known.model_dump(exclude={"limit"}))


def threshold(decision: Decision) -> Threshold:
    """The part of a decision that every result states."""
    return Threshold(
        flag=decision.flag,
        clear=decision.clear,
        fpr_at_flag=decision.fpr_at_flag,
        ci95=decision.ci95,
        measured_on=decision.measured_on,
    )
