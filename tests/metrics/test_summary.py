"""The summary is its parts: every number is that of the plain function, every interval paired."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, fields

import numpy as np
import pytest

from unmask.errors import ShapeError
from unmask.metrics import calibration, ranking
from unmask.metrics.aggregate import video_scores
from unmask.metrics.bootstrap import Interval, bootstrap_interval
from unmask.metrics.delong import delong_interval
from unmask.metrics.summary import LevelSummary, Summary, summarize

RNG = np.random.default_rng(0)
VIDEO = np.repeat(np.arange(60), 1 + np.arange(60) % 5)
IDS = [f"v{v:02d}" for v in VIDEO]
LABELS = VIDEO % 2
SCORES = 1 / (1 + np.exp(-(1.5 * LABELS - 0.6 + RNG.normal(size=60)[VIDEO] + RNG.normal(size=180))))
PLAIN = {
    "auc": ranking.auc,
    "average_precision": ranking.average_precision,
    "equal_error_rate": ranking.equal_error_rate,
    "tpr_at_fpr_1_percent": lambda y, s: ranking.tpr_at_fpr(y, s, 0.01),
    "tpr_at_fpr_01_percent": lambda y, s: ranking.tpr_at_fpr(y, s, 0.001),
    "balanced_accuracy": lambda y, s: ranking.balanced_accuracy(y, s, 0.55),
    "fpr": lambda y, s: ranking.rates_at(y, s, 0.55)[0],
    "tpr": lambda y, s: ranking.rates_at(y, s, 0.55)[1],
    "brier": calibration.brier,
    "ece": calibration.expected_calibration_error,
    "ece_mass": lambda y, s: calibration.expected_calibration_error(y, s, binning="mass"),
}


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarize(LABELS, SCORES, IDS, threshold=0.55, draws=400)


def test_every_number_is_that_of_its_function(summary: Summary) -> None:
    names = {f.name for f in fields(LevelSummary)} - {"reals", "fakes"}
    assert names == set(PLAIN)
    videos = video_scores(IDS, LABELS, SCORES)
    levels = ((summary.frame, LABELS, SCORES), (summary.video, videos.labels, videos.scores))
    for level, labels, scores in levels:
        assert (level.reals, level.fakes) == ((labels == 0).sum(), (labels == 1).sum())
        for name, measure in PLAIN.items():
            seen = getattr(level, name)
            assert seen.value == pytest.approx(measure(labels, scores), abs=1e-12), name
            assert seen.low < seen.high, name
    assert summary.frame.auc.value != summary.video.auc.value
    assert summary.video_auc_delong == delong_interval(videos.labels, videos.scores)


def test_every_interval_is_that_of_a_plain_bootstrap(summary: Summary) -> None:
    # another generator's draws of the same clusters: alike but for chance
    for name, measure in PLAIN.items():
        low, high = bootstrap_interval(
            lambda ids, measure=measure: measure(LABELS[ids], SCORES[ids]),  # type: ignore[misc]
            IDS,
            strata=LABELS.tolist(),
            draws=400,
            seed=1,
        )
        seen = getattr(summary.frame, name)
        slack = 0.25 * (high - low)
        assert seen.low == pytest.approx(low, abs=slack), name
        assert seen.high == pytest.approx(high, abs=slack), name


def test_tpr_at_small_fpr_with_reals_enough() -> None:
    # a fake just above each of the 100 highest of 2000 reals: n false alarms give n + 1 hits
    scores = np.r_[np.arange(2000), np.arange(1900, 2000) + 0.5] / 2000
    labels, ids = np.repeat([0, 1], [2000, 100]), [str(i) for i in range(2100)]
    frame = summarize(labels, scores, ids, threshold=0.5, draws=100).frame
    assert frame.tpr_at_fpr_1_percent.value == pytest.approx(0.21)
    assert frame.tpr_at_fpr_01_percent.value == pytest.approx(0.03)


def test_larger_clusters_are_drawn_at_both_levels() -> None:
    people = [f"p{v // 6}" for v in VIDEO]  # each with reals and fakes
    by_person = summarize(LABELS, SCORES, IDS, threshold=0.5, clusters=people, draws=200)
    assert by_person.clusters == 10
    assert (
        by_person.frame.auc.value == summarize(LABELS, SCORES, IDS, threshold=0.5).frame.auc.value
    )
    one_each = summarize(LABELS, SCORES, [f"{i}" for i in range(180)], threshold=0.5, draws=200)
    for name in PLAIN:
        frame, video = getattr(one_each.frame, name), getattr(one_each.video, name)
        assert astuple(frame) == pytest.approx(astuple(video), abs=1e-12)


def test_coverage_and_json(summary: Summary) -> None:
    assert summary.coverage is None
    report = summarize(
        LABELS, SCORES, IDS, threshold=0.5, expected=[*sorted(set(IDS)), "v99"], draws=100
    )
    assert report.coverage is not None
    assert report.coverage.missing == ("v99",)
    kept = json.loads(json.dumps(asdict(report), allow_nan=False))
    assert Interval(**kept["video"]["auc"]) == report.video.auc
    assert kept["coverage"]["missing"] == ["v99"]
    assert (kept["threshold"], kept["aggregation"], kept["draws"]) == (0.5, "mean", 100)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match="both classes; got 0 reals and 4 fakes"):
        summarize([1] * 4, [0.1, 0.2, 0.3, 0.4], list("abcd"), threshold=0.5)
    with pytest.raises(ShapeError, match=r"\[0, 1\]; got -1 to 2"):
        summarize([0, 0, 1, 1], [-1, 0.5, 1, 2], list("abcd"), threshold=0.5)
    with pytest.raises(ShapeError, match="Only one cluster"):
        summarize([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], list("aabc"), threshold=0.5)
    with pytest.raises(ShapeError, match="'a' lies in two clusters, 'x' and 'y'"):
        summarize([0, 0, 1], [0.1, 0.2, 0.3], list("aab"), threshold=0.5, clusters=list("xyz"))
    with pytest.raises(ShapeError, match="got 2 for 3 frames"):
        summarize([0, 0, 1], [0.1, 0.2, 0.3], list("abc"), threshold=0.5, clusters=list("xy"))
    with pytest.raises(ShapeError, match="both labels"):
        summarize([0, 1, 1], [0.1, 0.2, 0.3], list("aab"), threshold=0.5)
