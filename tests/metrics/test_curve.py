"""Weighted curves: an integer weight is a repetition, a real one is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from unmask.errors import ShapeError
from unmask.metrics import ranking
from unmask.metrics.curve import Ranked

Arrays = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


@st.composite
def weighted(draw: st.DrawFn) -> Arrays:
    """Labels, tied scores, and three rows of weights, each with both classes."""
    n = draw(st.integers(2, 25))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    labels[:2] = 0, 1
    scores = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)), float)
    rows = st.lists(st.integers(0, 3), min_size=n, max_size=n)
    weights = np.array(draw(st.lists(rows, min_size=3, max_size=3)))
    weights[:, :2] = np.maximum(weights[:, :2], 1)
    return labels, scores, weights


@settings(deadline=None)
@given(weighted())
def test_an_integer_weight_is_a_repetition(data: Arrays) -> None:
    labels, scores, weights = data
    curves = Ranked.of(labels, scores).curves(weights)
    false, true = curves.rates_at(3)
    for row, w in enumerate(weights):
        items = np.repeat(labels, w), np.repeat(scores, w)
        assert curves.auc()[row] == pytest.approx(ranking.auc(*items), abs=1e-12)
        assert curves.average_precision()[row] == pytest.approx(
            ranking.average_precision(*items), abs=1e-12
        )
        assert curves.equal_error_rate()[row] == pytest.approx(
            ranking.equal_error_rate(*items), abs=1e-12
        )
        for fpr in (0.0, 0.2, 0.5):
            assert curves.tpr_at_fpr(fpr)[row] == ranking.tpr_at_fpr(*items, fpr)
        assert (false[row], true[row]) == ranking.rates_at(*items, 3)


def test_a_real_weight_is_scikit_learns_sample_weight() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 300), rng.integers(0, 40, 300) / 40
    weights = rng.exponential(size=(4, 300))
    curves = Ranked.of(labels, scores).curves(weights)
    for row, w in enumerate(weights):
        assert curves.auc()[row] == pytest.approx(
            sk.roc_auc_score(labels, scores, sample_weight=w), abs=1e-12
        )
        assert curves.average_precision()[row] == pytest.approx(
            sk.average_precision_score(labels, scores, sample_weight=w), abs=1e-12
        )


def test_weights_that_cannot_work_are_refused() -> None:
    ranked = Ranked.of([0, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ShapeError, match=r"\(B, 3\).*got \(1, 2\)"):
        ranked.curves([[1, 1]])
    with pytest.raises(ShapeError, match=">= 0"):
        ranked.curves([[1, 1, -1]])
    with pytest.raises(ShapeError, match=">= 0"):
        ranked.curves([[1, 1, np.nan]])
    with pytest.raises(ShapeError, match="no reals or no fakes"):
        ranked.curves([[1, 1, 1], [0, 1, 1]])
