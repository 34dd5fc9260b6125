"""The draws are those of `resampling`, and the fast areas those of `curve`."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.draws import Areas, Draws, shares
from unmask.metrics.curve import Ranked
from unmask.metrics.resampling import auc_difference, resample

RNG = np.random.default_rng(5)
FAKE = RNG.random(60) < 0.5
CLUSTERS = [f"c{i}" for i in RNG.integers(0, 25, 60)]


def _draws(**changes) -> Draws:
    options = {"draws": 200, "seed": 3, "level": 0.95, **changes}
    return Draws.of(FAKE, CLUSTERS, **options)


def test_clusters_are_drawn_as_resample_draws_them() -> None:
    draws = _draws()
    expected = np.concatenate(
        list(resample(FAKE.astype(int), CLUSTERS, draws=200, seed=3).weights())
    )
    weights = np.concatenate([w for _, w in draws.blocks(np.arange(60))])
    assert (weights[0] == 1).all()
    np.testing.assert_array_equal(weights[1:], expected)


def test_a_kind_of_one_cluster_is_drawn_with_the_largest() -> None:
    fake = np.array([0, 1] * 6 + [0])
    clusters = [f"both-{i // 2}" for i in range(12)] + ["reals"]
    draws = Draws.of(fake, clusters, draws=300, seed=0, level=0.9)
    assert (draws.counts.sum(1) == 7).all()
    assert len(set(draws.counts[1:, -1].tolist())) > 1


@pytest.mark.parametrize("bad", [{"draws": 99}, {"level": 1.0}, {"seed": -1}])
def test_settings_that_cannot_work_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="The bootstrap needs"):
        _draws(**bad)


def test_one_cluster_is_refused() -> None:
    with pytest.raises(DatasetError, match="one cluster"):
        Draws.of([0, 1], ["a", "a"], draws=100, seed=0, level=0.9)


def test_areas_are_those_of_the_curves() -> None:
    scores = RNG.integers(0, 9, 60).astype(float)  # many ties
    groups = RNG.random((int(FAKE.sum()), 3)) < 0.7
    weights = RNG.poisson(1.0, (50, 60)).astype(float)
    areas = Areas.of(scores[~FAKE], scores[FAKE], groups)(weights[:, ~FAKE], weights[:, FAKE])
    for g in range(3):
        chosen = ~FAKE
        chosen[np.flatnonzero(FAKE)[groups[:, g]]] = True
        expected = Ranked.of(FAKE[chosen], scores[chosen]).curves(weights[:, chosen]).auc()
        np.testing.assert_allclose(areas[:, g], expected, rtol=1e-14)


def test_draws_without_a_class_have_no_area() -> None:
    areas = Areas.of(np.array([0.0, 1.0]), np.array([2.0]))
    found = areas(np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]), np.array([[1.0], [1.0], [0.0]]))
    np.testing.assert_array_equal(found[:, 0], [1, np.nan, np.nan])


def test_shares_are_weighted_means() -> None:
    weights = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(shares(weights, np.array([True, False, True])), [0.25, np.nan])


def test_the_mean_over_seeds_spreads_as_it_should() -> None:
    """Constant over clusters, the draws vary by seeds alone: variance s^2 / S, here exactly."""
    values = np.array([0.5, 0.6, 0.9])
    draws = _draws(draws=20000)
    mean = draws.mean([np.full(draws.rows, v) for v in values])
    assert mean[0] == pytest.approx(values.mean())
    assert mean[1:].mean() == pytest.approx(values.mean(), abs=0.003)
    assert mean[1:].var() == pytest.approx(values.var(ddof=1) / 3, rel=0.03)


def test_one_seed_is_itself_and_none_is_nothing() -> None:
    draws = _draws()
    row = np.linspace(0, 1, draws.rows)
    np.testing.assert_array_equal(draws.mean([row]), row)
    assert draws.estimate(draws.mean([]), "none").model_dump() == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "none",
    }


def test_too_many_lost_draws_give_no_interval() -> None:
    draws = _draws()
    row = np.linspace(0.0, 1.0, draws.rows)
    row[1:3] = np.nan  # 2 of 200: still at the limit
    assert draws.estimate(row).low is not None
    assert draws.p_value(row) is not None
    row[3] = np.nan
    found = draws.estimate(row)
    assert (found.value, found.low) == (0.0, None)
    assert "too few clusters" in str(found.reason)
    assert draws.p_value(row) is None


def test_interval_and_p_are_those_of_the_paired_bootstrap() -> None:
    scores = RNG.normal(size=(2, 60)) + FAKE
    draws = _draws()
    weights = np.concatenate([w for _, w in draws.blocks(np.arange(60))])
    rows = [Areas.of(s[~FAKE], s[FAKE])(weights[:, ~FAKE], weights[:, FAKE])[:, 0] for s in scores]
    expected = auc_difference(FAKE.astype(int), *scores, CLUSTERS, draws=200, seed=3)
    found = draws.estimate(rows[0] - rows[1])
    assert found.value == pytest.approx(expected.difference.value)
    assert found.low == pytest.approx(expected.difference.low)
    assert found.high == pytest.approx(expected.difference.high)
    assert draws.p_value(rows[0] - rows[1]) == pytest.approx(expected.p)
