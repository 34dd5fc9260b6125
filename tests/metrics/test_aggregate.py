"""Frames to videos, literally and in any order, and which videos are missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.aggregate import CLIP, coverage, video_scores

IDS = ["b", "a", "b", "c", "b", "a"]
LABELS = [1, 0, 1, 1, 1, 0]
SCORES = [0.9, 0.2, 0.5, 1.0, 0.1, 0.4]


def test_videos_come_sorted_with_their_labels_and_counts() -> None:
    videos = video_scores(IDS, LABELS, SCORES)
    assert videos.video_ids == ("a", "b", "c")
    assert videos.labels.tolist() == [0, 1, 1]
    assert videos.frames.tolist() == [2, 3, 1]
    np.testing.assert_allclose(videos.scores, [0.3, 0.5, 1.0])


def test_log_odds_is_the_sigmoid_of_the_mean_logit() -> None:
    videos = video_scores(IDS, LABELS, SCORES, method="log_odds")
    expected = [expit(logit([0.2, 0.4]).mean()), expit(logit([0.9, 0.5, 0.1]).mean()), 1 - CLIP]
    np.testing.assert_allclose(videos.scores, expected, rtol=1e-12)
    # one saturated frame does not outvote twenty sure ones
    many = video_scores(["v"] * 21, [1] * 21, [1.0] + [0.01] * 20, method="log_odds")
    assert many.scores[0] < 0.05


def test_top_k_is_the_mean_of_the_highest() -> None:
    rng = np.random.default_rng(0)
    ids = [f"v{i}" for i in rng.integers(0, 30, 200)]
    scores = rng.integers(0, 8, 200) / 8
    for k in (1, 3, 7, 1000):
        videos = video_scores(ids, np.zeros(200), scores, method="top_k", k=k)
        for video, value in zip(videos.video_ids, videos.scores, strict=True):
            own = sorted((s for i, s in zip(ids, scores, strict=True) if i == video), reverse=True)
            assert value == pytest.approx(np.mean(own[:k]))


@pytest.mark.parametrize("method", ["mean", "log_odds", "top_k"])
def test_order_is_nothing(method: str) -> None:
    rng = np.random.default_rng(1)
    order = rng.permutation(6)
    one = video_scores(IDS, LABELS, SCORES, method=method, k=2)  # type: ignore[arg-type]
    shuffled = [[column[i] for i in order] for column in (IDS, LABELS, SCORES)]
    two = video_scores(*shuffled, method=method, k=2)  # type: ignore[arg-type]
    assert one.video_ids == two.video_ids
    np.testing.assert_allclose(one.scores, two.scores)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"1 videos have frames of both labels.*'b'"):
        video_scores(IDS, [1, 0, 1, 1, 0, 0], SCORES)
    with pytest.raises(ShapeError, match="no video id"):
        video_scores(["a", ""], [0, 1], [0.1, 0.2])
    with pytest.raises(ShapeError, match="no video id"):
        video_scores(["a", None], [0, 1], [0.1, 0.2])  # type: ignore[list-item]
    with pytest.raises(ShapeError, match="N > 0; got 1"):
        video_scores(["a"], [0, 1], [0.1, 0.2])
    with pytest.raises(ShapeError, match="N > 0"):
        video_scores([], [], [])
    with pytest.raises(ShapeError, match="finite"):
        video_scores(["a"], [0], [np.nan])
    with pytest.raises(ShapeError, match=r"0 \(real\) or 1 \(fake\)"):
        video_scores(["a"], [2], [0.5])
    with pytest.raises(ShapeError, match=r"\[0, 1\]; got -3 to 2"):
        video_scores(["a", "a"], [0, 0], [-3.0, 2.0], method="log_odds")
    with pytest.raises(ConfigError, match="'median'"):
        video_scores(["a"], [0], [0.5], method="median")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="got 0"):
        video_scores(["a"], [0], [0.5], method="top_k", k=0)


def test_coverage_names_what_is_missing() -> None:
    report = coverage(["c", "a", "b", "d"], ["a", "a", "e", "d"])
    assert (report.expected, report.missing, report.unexpected) == (4, ("b", "c"), ("e",))
    assert report.share == 0.5
    assert coverage(["a"], ["a"]).share == 1.0
    with pytest.raises(ShapeError, match="3 entries, 2 different"):
        coverage(["a", "b", "a"], [])
    with pytest.raises(ShapeError, match="0 entries"):
        coverage([], ["a"])
