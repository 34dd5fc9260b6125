"""How thresholds are fitted, and what a score then means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from unmask.errors import ShapeError
from unmask.inference.calibration import calibrated, fit_decision, threshold, verdict_of
from unmask.metrics.bootstrap import wilson
from unmask.metrics.calibration import fit_platt, sigmoid
from unmask.models.checkpoint import CLEAR_P, Decision

WORDS = {"measured_on": "made-up reals", "domain": "made-up pictures"}


def samples(n: int = 400, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(-2, 1.2, n), rng.normal(2, 1.5, n // 2), rng.normal(0, 1, (n, 14))


def fitted(fpr: float = 0.01) -> Decision:
    return fit_decision(*samples(), fpr=fpr, **WORDS)


@pytest.mark.parametrize("fpr", [0.01, 0.05, 0.1])
def test_the_flag_holds_its_error_rate(fpr: float) -> None:
    reals, _, _ = samples()
    decision = fitted(fpr)
    share = float((sigmoid(reals) >= decision.flag).mean())
    assert share == decision.fpr_at_flag
    assert fpr - 1 / len(reals) <= share <= fpr
    assert decision.ci95 == wilson(round(share * len(reals)), len(reals))


def test_the_error_rate_holds_on_new_reals() -> None:
    new = np.random.default_rng(7).normal(-2, 1.2, 20_000)
    low, high = fitted(0.05).ci95
    assert low <= float((sigmoid(new) >= fitted(0.05).flag).mean()) <= high


def test_clear_is_where_the_probability_is_low() -> None:
    decision = fitted()
    assert decision.clear < decision.flag
    logit = np.log(decision.clear / (1 - decision.clear))
    assert sigmoid(decision.slope * logit + decision.bias) == pytest.approx(CLEAR_P)
    reals, fakes, _ = samples()
    labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
    assert (decision.slope, decision.bias) == fit_platt(np.r_[reals, fakes], labels)


def test_clear_never_lies_above_flag() -> None:
    rng = np.random.default_rng(1)
    decision = fit_decision(
        rng.normal(-6, 0.1, 300), rng.normal(6, 0.1, 300), rng.normal(size=(300, 14)), **WORDS
    )
    assert decision.clear == decision.flag
    assert verdict_of(decision.flag, decision, reliable=True) == "likely_manipulated"


def test_a_model_that_ranks_the_wrong_way_clears_nobody() -> None:
    reals, fakes, bands = samples()
    decision = fit_decision(-reals, -fakes, bands, **WORDS)
    assert (decision.slope, decision.clear) == (0.0, 0.0)
    assert verdict_of(0.0, decision, reliable=True) == "inconclusive"
    assert calibrated(5.0, decision, in_domain=True).p_fake == pytest.approx(0.5)


def test_the_limits_hold_the_reals_they_were_fitted_on() -> None:
    _, _, bands = samples()
    decision = fitted()
    limits = np.array(decision.band_limits)
    outside = ((bands < limits[:, 0]) | (bands > limits[:, 1])).sum(axis=1)
    assert (outside > 3).mean() == 0
    assert ((bands + 8 < limits[:, 0]) | (bands + 8 > limits[:, 1])).all()
    reference = np.percentile(bands, [5, 50, 95], axis=0).T
    np.testing.assert_allclose(decision.bands, reference)


def test_verdicts_at_the_edges() -> None:
    decision = fitted().model_copy(update={"flag": 0.8, "clear": 0.3})
    expected = {
        0.8: "likely_manipulated",
        np.nextafter(0.8, 0): "inconclusive",
        0.3: "inconclusive",
        np.nextafter(0.3, 0): "no_evidence_found",
    }
    for score, verdict in expected.items():
        assert verdict_of(float(score), decision, reliable=True) == verdict
        assert verdict_of(float(score), decision, reliable=False) == "inconclusive"


def test_every_result_states_the_threshold() -> None:
    decision = fitted()
    stated = threshold(decision).model_dump()
    assert stated == decision.model_dump(include=set(stated))


def test_a_decision_survives_its_card() -> None:
    decision = fitted()
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
    with pytest.raises(ValidationError):
        Decision.model_validate({**decision.model_dump(), "flag": 1.2})


def test_what_cannot_work_is_refused() -> None:
    reals, fakes, bands = samples(20)
    for bad in ((reals, [], bands), ([], fakes, bands)):
        with pytest.raises(ShapeError, match="A decision needs reals and fakes"):
            fit_decision(*bad, **WORDS)
    with pytest.raises(ShapeError, match=r"Band energies must be \(R, B\)"):
        fit_decision(reals, fakes, bands[0], **WORDS)
    with pytest.raises(ShapeError, match="finite"):
        fit_decision([np.nan, 0.1], [0.3], np.zeros((2, 14)), **WORDS)
