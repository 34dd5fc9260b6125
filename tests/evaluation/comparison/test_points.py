"""Thinned curves keep their ends and the points where errors are rare."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.evaluation.comparison.points import MOST, thinned
from unmask.metrics.ranking import det_curve


def _curve(reals: int, fakes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [reals, fakes])
    fpr, fnr, _ = det_curve(labels, rng.normal(size=reals + fakes) + 1.5 * labels)
    return fpr, fnr


def test_short_curves_keep_their_corners() -> None:
    fpr, fnr = _curve(40, 40)
    kept = thinned(fpr, fnr)
    assert len(kept) < len(fpr)
    assert np.trapezoid(fnr[kept], fpr[kept]) == pytest.approx(np.trapezoid(fnr, fpr))


@pytest.mark.parametrize("size", [(2000, 3000), (20000, 20000)])
def test_long_curves_keep_what_matters(size: tuple[int, int]) -> None:
    fpr, fnr = _curve(*size)
    kept = thinned(fpr, fnr)
    assert 100 < len(kept) <= MOST
    assert (np.diff(kept) > 0).all()
    assert (fpr[kept[0]], fnr[kept[0]]) == (0, 1)
    assert (fpr[kept[-1]], fnr[kept[-1]]) == (1, 0)
    assert np.trapezoid(fnr[kept], fpr[kept]) == pytest.approx(np.trapezoid(fnr, fpr), abs=0.005)
    assert (fpr[kept] < 0.01).sum() > 15
    assert (fnr[kept] < 0.01).sum() > 15
    assert fpr[fpr > 0].min() in fpr[kept]
