"""Intervals: Wilson against published literals, the bootstrap against what it must cover."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.bootstrap import bootstrap_interval, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (7, 20), (10, 10), (3, 1000)])
def test_wilson_equals_scipys(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_literals() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def mean_of(values: NDArray[np.float64], **options: object) -> tuple[float, float]:
    groups = options.pop("groups", range(len(values)))
    return bootstrap_interval(lambda ids: float(values[ids].mean()), groups, **options)  # type: ignore[arg-type]


def test_covers_the_mean_of_a_normal_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(150):
        low, high = mean_of(rng.normal(3.0, 1.0, 60), draws=200, level=0.9, seed=seed)
        hits += low <= 3.0 <= high
    # 150 trials at .9: a deviation of .0245 each
    assert 0.82 <= hits / 150 <= 0.97


def test_width_is_the_standard_errors() -> None:
    values = np.random.default_rng(1).normal(size=400)
    low, high = mean_of(values, draws=2000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_groups_are_drawn_whole() -> None:
    # 10 videos of 50 equal frames: as uncertain as 10 values, not as 500
    videos = np.random.default_rng(2).normal(size=10)
    frames, groups = np.repeat(videos, 50), np.repeat(np.arange(10), 50).tolist()
    low, high = mean_of(frames, groups=groups, draws=2000)
    assert high - low == pytest.approx(2 * 1.96 * videos.std() / np.sqrt(10), rel=0.12)
    seen: list[set[int]] = []
    bootstrap_interval(lambda ids: float(seen.append(set(ids.tolist())) or 0), groups, draws=100)
    assert all(not {50 * g for g in range(10)} & s or all(
        set(range(50 * g, 50 * g + 50)) <= s for g in range(10) if 50 * g in s) for s in seen
    )  # fmt: skip


def test_strata_keep_their_sizes() -> None:
    labels = np.array([0] * 30 + [1] * 3)
    shares: list[float] = []
    bootstrap_interval(
        lambda ids: shares.append(float(labels[ids].mean())) or 0.0,
        list(range(33)),
        strata=labels.tolist(),
        draws=200,
    )
    assert set(shares) == {labels.mean()}


def test_the_seed_decides() -> None:
    values = np.random.default_rng(3).normal(size=30)
    assert mean_of(values, seed=5) == mean_of(values, seed=5)
    assert mean_of(values, seed=5) != mean_of(values, seed=6)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match="got 3, 2"):
        wilson(3, 2)
    with pytest.raises(ShapeError, match="trials >= 1"):
        wilson(0, 0)
    with pytest.raises(ConfigError, match="100 draws"):
        mean_of(np.ones(3), draws=10)
    with pytest.raises(ConfigError, match=r"got 1000, 1\.5"):
        mean_of(np.ones(3), level=1.5)
    with pytest.raises(ShapeError, match="at least one item"):
        mean_of(np.ones(0))
    with pytest.raises(ShapeError, match="'a' lies in two strata"):
        mean_of(np.ones(2), groups=["a", "a"], strata=[0, 1])
