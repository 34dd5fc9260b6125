"""AUC, ROC, DET, AP, EER, TPR at FPR, balanced accuracy: scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, rankdata
from sklearn import metrics as sk

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.ranking import (
    auc,
    average_precision,
    balanced_accuracy,
    det_curve,
    equal_error_rate,
    midranks,
    probit,
    rates_at,
    roc_curve,
    tpr_at_fpr,
)

Arrays = tuple[NDArray[np.int64], NDArray[np.float64]]


@st.composite
def scored(draw: st.DrawFn) -> Arrays:
    """Labels of both classes and scores, often tied."""
    n = draw(st.integers(2, 40))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    labels[:2] = 0, 1
    values = st.floats(-50, 50) | st.integers(0, 3).map(float)
    return labels, np.array(draw(st.lists(values, min_size=n, max_size=n)))


@settings(deadline=None)
@given(scored())
def test_auc_and_roc_equal_scikit_learns(data: Arrays) -> None:
    labels, scores = data
    assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    expected = sk.roc_curve(labels, scores, drop_intermediate=False)
    for mine, theirs in zip(roc_curve(labels, scores), expected, strict=True):
        np.testing.assert_allclose(mine, theirs)


@settings(deadline=None)
@given(scored())
def test_tpr_at_fpr_is_the_best_threshold(data: Arrays) -> None:
    labels, scores = data
    for fpr in (0.0, 0.1, 0.34, 1.0):
        best = 0.0
        for threshold in [np.inf, *scores]:
            called = scores >= threshold
            if called[labels == 0].mean() <= fpr:
                best = max(best, float(called[labels == 1].mean()))
        assert tpr_at_fpr(labels, scores, fpr) == best


@settings(deadline=None)
@given(scored())
def test_eer_is_where_scikit_learns_roc_crosses(data: Arrays) -> None:
    labels, scores = data
    false, true, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    corners = np.arange(len(false))

    def gap(t: float) -> float:
        return float(np.interp(t, corners, false) - (1 - np.interp(t, corners, true)))

    t = brentq(gap, 0, len(false) - 1, xtol=1e-14, rtol=1e-15)
    expected = float(np.interp(t, corners, false))
    assert equal_error_rate(labels, scores) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(scored())
def test_average_precision_equals_scikit_learns(data: Arrays) -> None:
    expected = sk.average_precision_score(*data)
    assert average_precision(*data) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(scored(), st.integers(-1, 4).map(float))
def test_balanced_accuracy_equals_scikit_learns(data: Arrays, threshold: float) -> None:
    labels, scores = data
    called = scores >= threshold
    expected = sk.balanced_accuracy_score(labels, called)
    assert balanced_accuracy(labels, scores, threshold) == pytest.approx(expected, abs=1e-12)
    reals = labels == 0
    assert rates_at(labels, scores, threshold) == pytest.approx(
        (called[reals].mean(), called[~reals].mean()), abs=1e-12
    )


@settings(deadline=None)
@given(scored())
def test_det_curve_holds_scikit_learns(data: Arrays) -> None:
    false, miss, thresholds = det_curve(*data)
    # scikit-learn leaves out what lies before the last point without false alarms and after the
    # first without misses, and turns the order round
    keep = slice(int(np.flatnonzero(false == 0)[-1]), int(np.flatnonzero(miss == 0)[0]) + 1)
    expected = sk.det_curve(*data)
    for mine, theirs in zip((false, miss, thresholds), expected, strict=True):
        np.testing.assert_allclose(mine[keep][::-1], theirs, atol=1e-12)
    assert (false[0], miss[0], false[-1], miss[-1]) == (0, 1, 1, 0)


def test_probit_equals_scipys() -> None:
    rates = np.array([[0.0, 1e-6, 0.1], [0.5, 0.9, 1.0]])
    np.testing.assert_allclose(probit(rates), norm.ppf(rates), rtol=1e-12, atol=1e-15)
    for wrong in ([1.1], [np.nan], [-0.1]):
        with pytest.raises(ShapeError, match=r"\[0, 1\]"):
            probit(wrong)


def test_closed_forms() -> None:
    labels = [0] * 50 + [1] * 50
    perfect, reversed_, tied = np.arange(100), -np.arange(100), np.zeros(100)
    assert (auc(labels, perfect), auc(labels, reversed_), auc(labels, tied)) == (1.0, 0.0, 0.5)
    assert equal_error_rate(labels, perfect) == 0.0
    assert equal_error_rate(labels, reversed_) == 1.0
    assert equal_error_rate(labels, tied) == 0.5
    assert tpr_at_fpr(labels, perfect, 0.01) == 1.0
    assert tpr_at_fpr(labels, tied, 0.5) == 0.0
    assert (average_precision(labels, perfect), average_precision(labels, tied)) == (1.0, 0.5)
    assert balanced_accuracy(labels, perfect, np.inf) == 0.5
    assert balanced_accuracy(labels, perfect, -np.inf) == 0.5
    assert balanced_accuracy(labels, perfect, 50) == 1.0
    assert balanced_accuracy(labels, perfect, 51) == 0.99


def test_auc_does_not_depend_on_the_scores_scale() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 200), rng.normal(size=200)
    assert auc(labels, np.exp(scores)) == auc(labels, scores)
    assert auc(labels.astype(bool), scores) == auc(labels, scores)
    assert auc(1 - labels, -scores) == pytest.approx(auc(labels, scores))


def test_midranks_equal_scipys() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0, 1.0])
    np.testing.assert_array_equal(midranks(values), rankdata(values))


def test_what_cannot_work_is_refused() -> None:
    measures = (
        auc,
        average_precision,
        equal_error_rate,
        roc_curve,
        det_curve,
        lambda y, s: tpr_at_fpr(y, s, 0.1),
        lambda y, s: rates_at(y, s, 0.5),
        lambda y, s: balanced_accuracy(y, s, 0.5),
    )
    for measure in measures:
        with pytest.raises(ShapeError, match="both classes; got 3 reals and 0 fakes"):
            measure([0, 0, 0], [0.1, 0.2, 0.3])
        with pytest.raises(ShapeError, match="both classes; got 0 reals and 2 fakes"):
            measure([1, 1], [0.1, 0.2])
        with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
            measure([0, 1], [0.1, 0.2, 0.3])
        with pytest.raises(ShapeError, match="finite"):
            measure([0, 1], [0.1, np.nan])
        with pytest.raises(ShapeError, match=r"0 \(real\) or 1 \(fake\)"):
            measure([1, 2], [0.1, 0.2])
    with pytest.raises(ConfigError, match=r"\[0, 1\]; got -0.1"):
        tpr_at_fpr([0, 1], [0.1, 0.2], -0.1)
    with pytest.raises(ConfigError, match="not a number"):
        balanced_accuracy([0, 1], [0.1, 0.2], float("nan"))
