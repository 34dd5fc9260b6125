"""DeLong: its definition written out, a worked example, permutations, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.delong import (
    delong_covariance,
    delong_interval,
    delong_test,
    delong_test_unpaired,
)
from unmask.metrics.ranking import auc

Floats = NDArray[np.float64]

# Albumin, total protein, K-G score and whether surgery failed, of 43 patients with ovarian cancer
# (DeLong, DeLong & Clarke-Pearson 1988, as reprinted in the SAS/STAT User's Guide, "The LOGISTIC
# Procedure", example "Comparing Receiver Operating Characteristic Curves"). 0 is the event.
PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6  5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0  4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7  8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1  5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2  5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6  5 1
"""


def by_definition(labels: Floats, table: Floats) -> tuple[Floats, Floats]:
    """Areas and covariance from every pair: psi(X, Y) = 1, 1/2, 0 for Y <, =, > X."""
    fake = labels == 1
    m, n = int(fake.sum()), int((~fake).sum())
    areas, v10, v01 = [], np.zeros((len(table), m)), np.zeros((len(table), n))
    for r, scores in enumerate(table):
        psi = np.zeros((m, n))
        for i, x in enumerate(scores[fake]):
            for j, y in enumerate(scores[~fake]):
                psi[i, j] = 1.0 if y < x else 0.5 if y == x else 0.0
        areas.append(psi.mean())
        v10[r], v01[r] = psi.mean(axis=1), psi.mean(axis=0)
    theta = np.array(areas)
    s10 = (v10 - theta[:, None]) @ (v10 - theta[:, None]).T / (m - 1)
    s01 = (v01 - theta[:, None]) @ (v01 - theta[:, None]).T / (n - 1)
    return theta, s10 / m + s01 / n


@st.composite
def tables(draw: st.DrawFn) -> tuple[Floats, Floats]:
    n = draw(st.integers(4, 20))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), float)
    labels[:4] = 0, 1, 0, 1
    values = st.integers(0, 4).map(float) | st.floats(-5, 5)
    rows = st.lists(values, min_size=n, max_size=n)
    return labels, np.array(draw(st.lists(rows, min_size=2, max_size=3)))


@settings(deadline=None)
@given(tables())
def test_midranks_give_what_the_definition_gives(data: tuple[Floats, Floats]) -> None:
    labels, table = data
    areas, covariance = delong_covariance(labels, table)
    expected_areas, expected = by_definition(labels, table)
    np.testing.assert_allclose(areas, expected_areas, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)
    assert areas[0] == pytest.approx(auc(labels, table[0]), abs=1e-12)
    test = delong_test(labels, table[0], table[1])
    variance = expected[0, 0] + expected[1, 1] - 2 * expected[0, 1]
    assert test.standard_error**2 == pytest.approx(variance, abs=1e-12)
    if test.standard_error > 1e-6:
        assert test.z == pytest.approx((areas[0] - areas[1]) / variance**0.5, rel=1e-6, abs=1e-9)
        assert test.p == pytest.approx(2 * norm.sf(abs(test.z or 0)), abs=1e-12)


def test_the_ovarian_cancer_example() -> None:
    rows = np.array(PATIENTS.split(), float).reshape(-1, 4)
    labels, kg = rows[:, 3] == 0, rows[:, 2]
    albumin, protein = -rows[:, 0], -rows[:, 1]
    assert (labels.sum(), len(labels)) == (12, 43)
    areas, covariance = delong_covariance(labels, np.stack([albumin, protein, kg]))
    np.testing.assert_allclose(areas, [0.7366, 0.6478, 0.7258], atol=5e-5)
    np.testing.assert_allclose(np.diag(covariance) ** 0.5, [0.0927, 0.1000, 0.1028], atol=5e-5)
    first, second = delong_test(labels, albumin, kg), delong_test(labels, protein, kg)
    for test, gap, error, low, high, p in (
        (first, 0.0108, 0.0953, -0.1761, 0.1976, 0.9102),
        (second, -0.0780, 0.1046, -0.2830, 0.1271, 0.4561),
    ):
        seen = (test.difference.value, test.standard_error, test.difference.low)
        assert seen == pytest.approx((gap, error, low), abs=5e-5)
        assert (test.difference.high, test.p) == pytest.approx((high, p), abs=5e-5)
    contrast = np.array([[1, 0, -1], [0, 1, -1]])
    gaps = contrast @ areas
    chi_square = gaps @ np.linalg.solve(contrast @ covariance @ contrast.T, gaps)
    assert chi_square == pytest.approx(2.5340, abs=5e-5)


def correlated(rng: np.random.Generator, n: int, a: float, b: float) -> tuple[Floats, ...]:
    """Labels and two models' scores that share half their noise."""
    labels = np.repeat([0.0, 1.0], n)
    shared = rng.normal(size=2 * n)
    scores = [d * labels + (shared + rng.normal(size=2 * n)) / 2**0.5 for d in (a, b)]
    return labels, *scores


@pytest.mark.parametrize(("seed", "b"), [(0, 1.0), (1, 1.25), (2, 1.4), (3, 0.6)])
def test_p_is_that_of_permutations(seed: int, b: float) -> None:
    rng = np.random.default_rng(seed)
    labels, first, second = correlated(rng, 80, 1.0, b)
    test = delong_test(labels, first, second)
    # under the null the two models' scores of an item may be exchanged (Bandos et al. 2005)
    gaps = []
    for _ in range(1500):
        swap = rng.random(160) < 0.5
        one, other = np.where(swap, second, first), np.where(swap, first, second)
        gaps.append(auc(labels, one) - auc(labels, other))
    p = float((np.abs(gaps) >= abs(test.difference.value) - 1e-12).mean())
    assert test.p == pytest.approx(p, abs=0.04)


def test_errs_and_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    truth, trials = float(norm.cdf(1.5 / 2**0.5)), 600
    rejected = unpaired = logit = linear = 0
    for _ in range(trials):
        labels, first, second = correlated(rng, 40, 1.5, 1.5)
        test = delong_test(labels, first, second)
        rejected += test.p is not None and test.p < 0.05
        _, _, other = correlated(rng, 40, 1.5, 1.5)
        apart = delong_test_unpaired(labels, first, labels, other)
        unpaired += apart.p is not None and apart.p < 0.05
        interval = delong_interval(labels, first)
        logit += interval.low <= truth <= interval.high
        interval = delong_interval(labels, first, scale="linear")
        linear += interval.low <= truth <= interval.high
    # 600 trials at .05: a deviation of .009 each
    assert 0.025 <= rejected / trials <= 0.08
    assert 0.025 <= unpaired / trials <= 0.08
    assert 0.925 <= logit / trials <= 0.98
    assert 0.90 <= linear / trials <= 0.98


def test_intervals_in_closed_form() -> None:
    labels, scores = np.array([0, 0, 0, 1, 1, 1]), np.array([1, 2, 4, 3, 5, 6.0])
    areas, covariance = by_definition(labels, scores[None])
    a, error = float(areas[0]), float(covariance[0, 0]) ** 0.5
    z = norm.ppf(0.95)
    linear = delong_interval(labels, scores, level=0.9, scale="linear")
    assert (linear.value, linear.low, linear.high) == pytest.approx((a, a - z * error, 1.0))
    logit = delong_interval(labels, scores, level=0.9)
    centre, half = np.log(a / (1 - a)), z * error / (a * (1 - a))
    ends = 1 / (1 + np.exp(-(centre - half))), 1 / (1 + np.exp(-(centre + half)))
    assert (logit.low, logit.high) == pytest.approx(ends)
    assert 0 < logit.low < a < logit.high < 1


def test_the_unpaired_variance_is_the_sum() -> None:
    rng = np.random.default_rng(3)
    labels, first, second = correlated(rng, 30, 1.0, 0.5)
    other = np.r_[labels, 1.0]
    more = np.r_[second, 9.0]
    test = delong_test_unpaired(labels, first, other, more)
    sums = by_definition(labels, first[None])[1] + by_definition(other, more[None])[1]
    assert test.standard_error**2 == pytest.approx(float(sums[0, 0]), abs=1e-12)
    assert test.z == pytest.approx((auc(labels, first) - auc(other, more)) / test.standard_error)


@pytest.mark.parametrize("n", [3, 7, 1000])
def test_without_spread_it_says_so(n: int) -> None:
    labels = np.repeat([0, 1], n)
    perfect, tied = np.arange(2.0 * n), np.zeros(2 * n)
    for scores, area in ((perfect, 1.0), (-perfect, 0.0), (tied, 0.5)):
        for scale in ("logit", "linear"):
            interval = delong_interval(labels, scores, scale=scale)  # type: ignore[arg-type]
            assert (interval.value, interval.low, interval.high) == (area, area, area)
            assert interval.degenerate
    equal = delong_test(labels, perfect, perfect**3)
    assert (equal.z, equal.p, equal.difference.value) == (0.0, 1.0, 0.0)
    assert delong_test_unpaired(labels, perfect, labels, perfect).p == 1.0
    unequal = delong_test(labels, perfect, tied)
    assert (unequal.z, unequal.p, unequal.difference.value) == (None, None, 0.5)
    assert unequal.difference.degenerate


@pytest.mark.parametrize("n", [11, 997])
def test_scores_that_rank_alike_have_p_1(n: int) -> None:
    rng = np.random.default_rng(n)
    labels, scores = np.r_[0, 0, 1, 1, rng.integers(0, 2, n)], rng.normal(size=n + 4)
    test = delong_test(labels, scores, np.exp(scores))
    assert (test.z, test.p, test.standard_error) == (0.0, 1.0, 0.0)
    assert not delong_interval(labels, scores).degenerate


def test_what_cannot_work_is_refused() -> None:
    four = [0.1, 0.2, 0.3, 0.4]
    with pytest.raises(ShapeError, match="both classes; got 4 reals and 0 fakes"):
        delong_test([0, 0, 0, 0], four, four)
    with pytest.raises(ShapeError, match="two of each class; got 3 reals and 1 fakes"):
        delong_interval([0, 0, 0, 1], four)
    with pytest.raises(ShapeError, match=r"\(4,\) and \(3,\)"):
        delong_test([0, 0, 1, 1], four, four[:3])
    with pytest.raises(ShapeError, match=r"\(models, items\); got \(4,\)"):
        delong_covariance([0, 0, 1, 1], four)
    with pytest.raises(ConfigError, match="got 95"):
        delong_interval([0, 0, 1, 1], four, level=95)
    with pytest.raises(ConfigError, match="'probit'"):
        delong_interval([0, 0, 1, 1], four, scale="probit")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="both classes"):
        delong_test_unpaired([0, 0, 1, 1], four, [1, 1, 1, 1], four)
