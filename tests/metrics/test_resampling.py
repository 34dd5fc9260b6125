"""The clustered bootstrap: what is drawn, how often it covers, BCa against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.bootstrap import Interval
from unmask.metrics.curve import Ranked
from unmask.metrics.delong import delong_test
from unmask.metrics.ranking import auc
from unmask.metrics.resampling import auc_difference, bootstrap, resample

Floats = NDArray[np.float64]


def drawn(labels: object, clusters: object, **options: int) -> Floats:
    return np.concatenate(list(resample(labels, clusters, **options).weights()))  # type: ignore[arg-type]


def auc_interval(labels: Floats, scores: Floats, clusters: object, **options: int) -> Interval:
    ranked = Ranked.of(labels, scores)
    draws = resample(labels, clusters, **options)  # type: ignore[arg-type]
    return bootstrap(lambda w: ranked.curves(w).auc()[:, None], draws)[0]


def test_clusters_are_drawn_whole_and_within_their_class() -> None:
    # reals a, b, c; fakes d, e; f, g hold both
    clusters = list("aabbbcdeeeffgg")
    labels = np.array([0] * 6 + [1] * 4 + [0, 1, 0, 1])
    weights = drawn(labels, clusters, draws=500)
    assert weights.shape == (500, 14)
    by_cluster = {c: weights[:, [i for i, d in enumerate(clusters) if d == c]] for c in "abcdefg"}
    for columns in by_cluster.values():
        assert (columns == columns[:, :1]).all()
    for kind, size in (("abc", 3), ("de", 2), ("fg", 2)):
        total = sum(by_cluster[c][:, 0] for c in kind)
        assert (total == size).all()
    # each cluster is drawn once on average and left out as often as chance has it
    a = by_cluster["a"][:, 0]
    assert a.mean() == pytest.approx(1, abs=0.12)
    assert (a == 0).mean() == pytest.approx((2 / 3) ** 3, abs=0.07)


def test_the_seed_decides_and_the_order_does_not() -> None:
    rng = np.random.default_rng(0)
    labels, clusters = np.repeat([0, 1], 20), [f"v{i // 4}" for i in range(40)]
    weights = drawn(labels, clusters, seed=3)
    np.testing.assert_array_equal(weights, drawn(labels, clusters, seed=3))
    assert (weights != drawn(labels, clusters, seed=4)).any()
    order = rng.permutation(40)
    again = drawn(labels[order], [clusters[i] for i in order], seed=3)
    np.testing.assert_array_equal(again, weights[:, order])
    # clusters are numbered by name, so that another run draws the same
    assert resample([0, 1, 0, 1], ["v2", "v3", "v0", "v1"]).members.tolist() == [2, 3, 0, 1]
    # the same clusters one level up get the same draws
    videos = sorted(set(clusters))
    above = drawn([labels[clusters.index(v)] for v in videos], videos, seed=3)
    np.testing.assert_array_equal(above, weights[:, [clusters.index(v) for v in videos]])


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, clusters = np.repeat([0, 1], 30), list(range(60))
    whole = drawn(labels, clusters, draws=100)
    monkeypatch.setattr("unmask.metrics.resampling.CELLS", 700)
    resamples = resample(labels, clusters, draws=100)
    assert len(list(resamples.weights())) == 10
    np.testing.assert_array_equal(np.concatenate(list(resamples.weights())), whole)
    left_out = np.concatenate(list(resamples.jackknife()))
    np.testing.assert_array_equal(left_out[resamples.members], 1 - np.eye(60))


def test_the_draws_are_aucs_of_the_repeated_items() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 25)
    scores, clusters = rng.integers(0, 9, 50) / 9, (np.arange(50) // 5).tolist()
    weights = drawn(labels, clusters, draws=100).astype(int)
    values = [auc(np.repeat(labels, w), np.repeat(scores, w)) for w in weights]
    interval = auc_interval(labels, scores, clusters, draws=100)
    assert (interval.low, interval.high) == pytest.approx(
        tuple(np.percentile(values, [2.5, 97.5])), abs=1e-12
    )
    assert interval.value == auc(labels, scores)


def test_clustered_intervals_cover_and_framewise_ones_do_not() -> None:
    rng = np.random.default_rng(5)
    videos, frames, trials = 60, 8, 150
    labels = np.repeat(np.arange(videos) % 2, frames)
    by_video = np.repeat(np.arange(videos), frames)
    truth = float(stats.norm.cdf(1.2 / np.sqrt(2 * (1 + 0.25))))
    covered = framewise = 0
    for seed in range(trials):
        scores = 1.2 * labels + rng.normal(size=videos)[by_video] + 0.5 * rng.normal(size=480)
        interval = auc_interval(labels, scores, by_video.tolist(), draws=200, seed=seed)
        covered += interval.low <= truth <= interval.high
        interval = auc_interval(labels, scores, list(range(480)), draws=200, seed=seed)
        framewise += interval.low <= truth <= interval.high
    # 150 trials at .95: a deviation of .018 each
    assert 0.89 <= covered / trials <= 0.99
    assert framewise / trials < 0.75


def test_bca_equals_scipys() -> None:
    rng = np.random.default_rng(0)
    # skewed, small and of unequal size: where BCa differs from the percentiles
    fakes, reals = rng.exponential(size=14) ** 2, rng.exponential(size=25)
    labels, values = np.repeat([1, 0], [14, 25]), np.r_[fakes, reals]

    def gap(weights: Floats) -> Floats:
        means = [
            weights[:, k] @ values[k] / weights[:, k].sum(1) for k in (labels == 1, labels == 0)
        ]
        return (means[0] - means[1])[:, None]

    resamples = resample(labels, range(39), draws=40_000, seed=1)
    expected = stats.bootstrap(
        (fakes, reals),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=40_000,
        method="BCa",
        rng=np.random.default_rng(2),
    ).confidence_interval
    mine = bootstrap(gap, resamples, method="bca")[0]
    plain = bootstrap(gap, resamples)[0]
    width = expected.high - expected.low
    assert mine.low == pytest.approx(expected.low, abs=0.02 * width)
    assert mine.high == pytest.approx(expected.high, abs=0.02 * width)
    assert plain.high < expected.high - 0.05 * width


def test_bca_is_its_formula_with_strata_of_unequal_size() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.exponential(size=6), rng.exponential(size=40) ** 3
    values, size = np.r_[x / 6, -y / 40], np.repeat([6, 40], [6, 40])
    fakes = np.arange(46) < 6

    def gap(weights: Floats) -> Floats:
        return sum(
            (weights[:, k] @ (values * size)[k] / weights[:, k].sum(1))[:, None]
            for k in (fakes, ~fakes)
        )  # type: ignore[return-value]

    resamples = resample(fakes, [f"{i:02d}" for i in range(46)], draws=500)
    draws = np.concatenate([gap(w)[:, 0] for w in resamples.weights()])
    # the influence of an item on a mean is its deviation
    deviation = [(x - x.mean()) / 6, -(y - y.mean()) / 40]
    a = sum((d**3).sum() for d in deviation) / (6 * sum((d**2).sum() for d in deviation) ** 1.5)
    z0 = stats.norm.ppf((draws < x.mean() - y.mean()).mean())
    tails = [z0 + (z0 + z) / (1 - a * (z0 + z)) for z in stats.norm.ppf([0.05, 0.95])]
    expected = np.quantile(draws, stats.norm.cdf(tails))
    mine = bootstrap(gap, resamples, level=0.9, method="bca")[0]
    assert (mine.low, mine.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_the_paired_difference_agrees_with_delong_on_independent_items() -> None:
    rng = np.random.default_rng(11)
    labels, shared = np.repeat([0, 1], 150), rng.normal(size=300)
    first = 1.3 * labels + shared + 0.5 * rng.normal(size=300)
    second = 1.1 * labels + shared + 0.5 * rng.normal(size=300)
    expected = delong_test(labels, first, second)
    for method in ("percentile", "bca"):
        test = auc_difference(labels, first, second, list(range(300)), draws=4000, method=method)  # type: ignore[arg-type]
        assert test.difference.value == pytest.approx(expected.difference.value, abs=1e-12)
        assert test.difference.low == pytest.approx(expected.difference.low, abs=0.005)
        assert test.difference.high == pytest.approx(expected.difference.high, abs=0.005)
        assert test.p == pytest.approx(expected.p, abs=0.03)
    # unpaired, the shared noise would drown it
    apart = auc_interval(labels, first, list(range(300)))
    assert expected.difference.high - expected.difference.low < 0.8 * (apart.high - apart.low)


def test_degenerate_draws_say_so() -> None:
    labels, scores = np.repeat([0, 1], 10), np.arange(20.0)
    perfect = auc_interval(labels, scores, list(range(20)))
    assert (perfect.value, perfect.low, perfect.high, perfect.degenerate) == (1, 1, 1, True)
    noisy = np.random.default_rng(0).normal(size=20)
    for method in ("percentile", "bca"):
        same = auc_difference(labels, noisy, np.exp(noisy), range(20), method=method)  # type: ignore[arg-type]
        assert (same.p, same.difference) == (1.0, Interval(0.0, 0.0, 0.0))
    worst = auc_difference(labels, scores, -scores, range(20), draws=999)
    assert worst.p == pytest.approx(2 / 1000)
    assert not auc_interval(labels, noisy, list(range(20))).degenerate


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match="both classes; got 3 reals and 0 fakes"):
        resample([0, 0, 0], "abc")
    with pytest.raises(ShapeError, match=r"'c'\) holds fakes only"):
        resample([0, 0, 1], "abc")
    with pytest.raises(ShapeError, match=r"'a'\) holds both: "):
        resample([0, 1, 0, 0, 1, 1], "aabcde")
    with pytest.raises(ShapeError, match=r"got \(3,\), 2"):
        resample([0, 1, 1], "ab")
    for nothing in (None, "", float("nan")):
        with pytest.raises(ShapeError, match="no cluster"):
            resample([0, 0, 1, 1], ["a", nothing, "c", "d"])
    with pytest.raises(ConfigError, match="got 99"):
        resample([0, 0, 1, 1], "abcd", draws=99)
    resamples = resample([0, 0, 1, 1], "abcd")
    with pytest.raises(ConfigError, match="got 95"):
        bootstrap(lambda w: w[:, :1], resamples, level=95)
    with pytest.raises(ConfigError, match="'basic'"):
        bootstrap(lambda w: w[:, :1], resamples, method="basic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one side"):
        bootstrap(lambda w: w.std(1, keepdims=True) + (w.std(1, keepdims=True) == 0) * -1,
                  resample(np.repeat([0, 1], 50), range(100)), method="bca")  # fmt: skip
