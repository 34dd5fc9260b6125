"""AUC, ROC, TPR at FPR and EER against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import metrics as sk

from unmask.errors import ShapeError
from unmask.metrics.ranking import auc, equal_error_rate, midranks, roc_curve, tpr_at_fpr

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
def test_eer_is_where_the_curve_crosses(data: Arrays) -> None:
    labels, scores = data
    false, true, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    # brute force: walk the polygon finely and take where |FPR - FNR| is least
    t = np.linspace(0, len(false) - 1, 400 * (len(false) - 1) + 1)
    x, y = (np.interp(t, np.arange(len(false)), curve) for curve in (false, true))
    nearest = int(np.argmin(np.abs(x - (1 - y))))
    assert equal_error_rate(labels, scores) == pytest.approx(float(x[nearest]), abs=3e-3)


def test_closed_forms() -> None:
    labels = [0] * 50 + [1] * 50
    perfect, reversed_, tied = np.arange(100), -np.arange(100), np.zeros(100)
    assert (auc(labels, perfect), auc(labels, reversed_), auc(labels, tied)) == (1.0, 0.0, 0.5)
    assert equal_error_rate(labels, perfect) == 0.0
    assert equal_error_rate(labels, reversed_) == 1.0
    assert equal_error_rate(labels, tied) == 0.5
    assert tpr_at_fpr(labels, perfect, 0.01) == 1.0
    assert tpr_at_fpr(labels, tied, 0.5) == 0.0


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
    with pytest.raises(ShapeError, match="got 3 reals and 0 fakes"):
        auc([0, 0, 0], [0.1, 0.2, 0.3])
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
        roc_curve([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ShapeError, match="finite"):
        equal_error_rate([0, 1], [0.1, np.nan])
    with pytest.raises(ShapeError, match=r"0 \(real\) or 1 \(fake\)"):
        tpr_at_fpr([1, 2], [0.1, 0.2], 0.1)
