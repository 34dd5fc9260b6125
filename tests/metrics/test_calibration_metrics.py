"""Platt scaling, thresholds, ECE and Brier against scikit-learn, closed forms and literals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.bootstrap import wilson
from unmask.metrics.calibration import (
    brier,
    calibration_errors,
    decision_parameters,
    expected_calibration_error,
    fit_platt,
    sigmoid,
    threshold_at_fpr,
)


def logits(reals: int, fakes: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = np.r_[np.zeros(reals, np.int64), np.ones(fakes, np.int64)]
    return np.random.default_rng(seed).normal(1.5 * labels - 0.4, 1.0), labels


def test_sigmoid_equals_scipys_without_overflow() -> None:
    x = np.array([-np.inf, -800.0, -3.0, 0.0, 1e-12, 5.0, 800.0, np.inf])
    with np.errstate(over="raise"):
        np.testing.assert_allclose(sigmoid(x), expit(x), rtol=1e-14)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("reals", "fakes"), [(200, 200), (300, 40), (7, 90)])
def test_platt_equals_a_weighted_logistic_regression(
    reals: int, fakes: int, balanced: bool
) -> None:
    x, y = logits(reals, fakes)
    slope, bias = fit_platt(x, y, balanced=balanced)
    # soft targets as two weighted copies of each item
    target = np.where(y == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    weight = np.where(y == 1, 1 / fakes, 1 / reals) if balanced else np.ones(len(y))
    weight = weight / weight.mean()
    model = LogisticRegression(C=1e10, tol=1e-12, max_iter=10_000)
    model.fit(
        np.r_[x, x][:, None],
        np.r_[np.ones(len(x)), np.zeros(len(x))],
        np.r_[weight * target, weight * (1 - target)],
    )
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert bias == pytest.approx(model.intercept_[0], rel=1e-4, abs=1e-4)


def test_balanced_platt_does_not_depend_on_the_share_of_fakes() -> None:
    x, y = logits(400, 400)
    more = np.r_[x, np.tile(x[y == 1], 9)], np.r_[y, np.ones(9 * 400)]
    np.testing.assert_allclose(fit_platt(*more), fit_platt(x, y), rtol=0.02, atol=0.01)


@pytest.mark.parametrize("scale", [1e-4, 1e3, 1e6])
def test_platt_follows_the_logits_scale_and_shift(scale: float) -> None:
    x, y = logits(150, 100)
    slope, bias = fit_platt(x, y)
    scaled, shifted = fit_platt(x * scale + 5 * scale, y)
    assert scaled * scale == pytest.approx(slope, rel=1e-6)
    assert shifted == pytest.approx(bias - 5 * slope, rel=1e-6)


def test_platt_stays_finite_on_separable_logits() -> None:
    slope, bias = fit_platt([-2, -1, -1.5, 1, 2, 1.5], [0, 0, 0, 1, 1, 1])
    assert 0.5 < slope < 5
    assert bias == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("x", [[2.0, 1.0, -1.0, -2.0, -3.0], [0.7] * 5])
def test_logits_without_information_give_the_prior(x: list[float]) -> None:
    labels = [0, 0, 1, 1, 1]
    assert fit_platt(x, labels) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert fit_platt(x, labels, balanced=False) == pytest.approx((0.0, np.log(3 / 2)))


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=50),
    st.floats(0.001, 0.99),
)
def test_the_threshold_is_the_smallest_that_holds(scores: list[float], fpr: float) -> None:
    real, threshold = np.array(scores), threshold_at_fpr(scores, fpr)
    assert (real >= threshold).mean() <= fpr + 1e-9
    assert (real >= np.nextafter(threshold, -np.inf)).mean() > fpr


def test_threshold_literals() -> None:
    scores = np.arange(1, 101) / 100
    assert threshold_at_fpr(scores, 0.01) == np.nextafter(0.99, 1)
    assert threshold_at_fpr(scores, 0.05) == np.nextafter(0.95, 1)
    assert threshold_at_fpr([0.2], 0.5) == np.nextafter(0.2, 1)


def test_the_worst_condition_sets_the_flag() -> None:
    rng = np.random.default_rng(3)
    plain, blurred = rng.normal(-2, 1, 500), rng.normal(-1, 1, 200)
    fakes, bands = rng.normal(2, 1, 300), rng.normal(size=(700, 14))
    numbers = decision_parameters(
        {"plain": plain, "blurred": blurred}, fakes, bands, fpr=0.02, clear_p=0.3
    )
    assert numbers["flag"] == threshold_at_fpr(sigmoid(blurred), 0.02)
    assert numbers["fpr_at_flag"] == 4 / 200
    assert numbers["ci95"] == wilson(4, 200)
    assert (sigmoid(plain) >= numbers["flag"]).mean() < 0.02
    labels = np.r_[np.zeros(700), np.ones(300)]
    logits_ = np.r_[plain, blurred, fakes]
    assert (numbers["slope"], numbers["bias"]) == fit_platt(logits_, labels)
    with pytest.raises(ShapeError, match=r"'blurred': 0"):
        decision_parameters({"plain": plain, "blurred": []}, fakes, bands, fpr=0.02, clear_p=0.3)


def test_no_part_of_the_reals_is_flagged_more_often_than_it_may() -> None:
    rng = np.random.default_rng(4)
    archive, phone = rng.normal(-3, 0.5, 900), rng.normal(0, 0.5, 100)
    whole, fakes, bands = np.r_[archive, phone], rng.normal(2, 1, 300), rng.normal(size=(9, 14))
    given: dict[str, Any] = {"fpr": 0.1, "clear_p": 0.5}
    loose = decision_parameters({"plain": whole}, fakes, bands, **given)
    assert (sigmoid(phone) >= loose["flag"]).mean() > 0.5  # few of all, but most of these
    parts = {"archive": archive, "phone": phone}
    strict = decision_parameters({"plain": whole}, fakes, bands, parts=parts, **given)
    assert strict["flag"] == threshold_at_fpr(sigmoid(phone), 0.02)
    assert strict["fpr_at_flag"] == 2 / 1000  # what is reported is still that of all


def test_ece_in_closed_form() -> None:
    # two bins of 15: in [.2, .267) 4 items, mean p .25, half fake; in [.8, .867) p .8, all fake
    probabilities, labels = [0.25] * 4 + [0.8] * 6, [0, 0, 1, 1] + [1] * 6
    expected = (4 * 0.25 + 6 * 0.2) / 10
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)
    assert expected_calibration_error([0, 1], [0.0, 1.0]) == 0.0
    assert expected_calibration_error([1, 0], [0.0, 1.0]) == 1.0
    assert expected_calibration_error([0, 1], [0.5, 0.5], bins=1) == 0.0


def test_calibrated_probabilities_have_a_small_ece() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    labels = rng.random(20_000) < p
    assert expected_calibration_error(labels, p) < 0.015
    assert expected_calibration_error(labels, p**3) > 0.1


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_ece_of_equal_mass_is_that_of_equal_slices(bins: int) -> None:
    rng = np.random.default_rng(4)
    p = rng.random(15 * 4 * 7) ** 2
    labels = rng.random(len(p)) < 0.3
    slices = np.split(np.argsort(p), bins)
    expected = sum(abs(labels[s].mean() - p[s].mean()) * len(s) / len(p) for s in slices)
    assert expected_calibration_error(labels, p, bins, "mass") == pytest.approx(expected, abs=1e-12)


def test_ece_of_equal_width_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(5)
    p, labels = rng.random(500), rng.integers(0, 2, 500)
    edges, expected = np.linspace(0, 1, 11), 0.0
    for low, high in pairwise(edges):
        inside = (p >= low) & (p < high)
        expected += abs(labels[inside].mean() - p[inside].mean()) * inside.mean()
    assert expected_calibration_error(labels, p, 10) == pytest.approx(expected, abs=1e-12)


binary = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(1, 4)), min_size=1, max_size=30
)


@settings(deadline=None)
@given(binary, st.sampled_from(["width", "mass"]), st.randoms())
def test_weights_are_repetitions_and_order_is_nothing(items, binning, random) -> None:  # type: ignore[no-untyped-def]
    items = [(0, 3, 1), (1, 3, 2), *items]
    y, p, w = (np.array(column, float) for column in zip(*items, strict=True))
    w[5::2] = 0
    n = w.astype(int)
    expected = expected_calibration_error(np.repeat(y, n), np.repeat(p / 8, n), 3, binning)
    both = calibration_errors(y, p / 8, np.stack([w, np.ones_like(w)]), 3, binning)
    assert both[0] == pytest.approx(expected, abs=1e-12)
    random.shuffle(items)
    y, p, _ = (np.array(column, float) for column in zip(*items, strict=True))
    assert expected_calibration_error(y, p / 8, 3, binning) == pytest.approx(both[1], abs=1e-12)


def test_brier_equals_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    labels, p = rng.integers(0, 2, 99), rng.random(99)
    assert brier(labels, p) == pytest.approx(brier_score_loss(labels, p), abs=1e-12)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match="both classes; got 2 labels of 1"):
        fit_platt([0.1, 0.2], [1, 1])
    with pytest.raises(ShapeError, match=r"0 \(real\) or 1 \(fake\)"):
        fit_platt([0.1, 0.2], [1, 2])
    with pytest.raises(ShapeError, match="finite"):
        fit_platt([0.1, np.nan], [0, 1])
    with pytest.raises(ShapeError, match="at least one real"):
        threshold_at_fpr([], 0.1)
    with pytest.raises(ShapeError, match="finite"):
        threshold_at_fpr([0.1, np.nan], 0.1)
    with pytest.raises(ConfigError, match=r"\(0, 1\); got 0"):
        threshold_at_fpr([0.1], 0)
    for measure in (brier, expected_calibration_error):
        with pytest.raises(ShapeError, match=r"\[0, 1\]; got -1 to 0.5"):
            measure([0, 1], [-1.0, 0.5])
        with pytest.raises(ShapeError, match="alike"):
            measure([0, 1], [0.5])
        with pytest.raises(ShapeError, match="both classes; got 0 reals and 2 fakes"):
            measure([1, 1], [0.2, 0.5])
        with pytest.raises(ShapeError, match="both classes; got 2 reals and 0 fakes"):
            measure([0, 0], [0.2, 0.5])
    with pytest.raises(ConfigError, match="bins >= 1"):
        expected_calibration_error([0, 1], [0.2, 0.5], 0)
    with pytest.raises(ConfigError, match="'depth'"):
        expected_calibration_error([0, 1], [0.2, 0.5], binning="depth")  # type: ignore[arg-type]
