"""All that is reported of one model on one test set, at frame and at video level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from unmask.errors import ShapeError
from unmask.metrics.aggregate import Aggregation, Coverage, coverage, video_scores
from unmask.metrics.bootstrap import Interval
from unmask.metrics.calibration import calibration_errors
from unmask.metrics.curve import Floats, Ranked
from unmask.metrics.delong import delong_interval
from unmask.metrics.resampling import Resamples, bootstrap, resample


@dataclass(frozen=True)
class LevelSummary:
    """The metrics of one level, each with its bootstrap interval.

    Attributes:
        reals, fakes: number of items (frames or videos).
        auc, average_precision, equal_error_rate: see `ranking`.
        tpr_at_fpr_1_percent, tpr_at_fpr_01_percent: TPR at 1% and 0.1% FPR. With fewer than 100
            and 1000 reals these allow no false alarm at all.
        balanced_accuracy, fpr, tpr: at the stated threshold.
        brier: mean squared error of the scores as probabilities.
        ece, ece_mass: calibration error over bins of equal width and of equal mass. Noise only
            adds to it, so its interval leans upwards and may leave out the value.
    """

    reals: int
    fakes: int
    auc: Interval
    average_precision: Interval
    equal_error_rate: Interval
    tpr_at_fpr_1_percent: Interval
    tpr_at_fpr_01_percent: Interval
    balanced_accuracy: Interval
    fpr: Interval
    tpr: Interval
    brier: Interval
    ece: Interval
    ece_mass: Interval


@dataclass(frozen=True)
class Summary:
    """One model on one test set; `dataclasses.asdict` gives what JSON can hold.

    Attributes:
        frame, video: the metrics of each level. Never compare one level with the other.
        video_auc_delong: the video AUC with DeLong's logit interval, which takes the videos for
            independent; where clusters are larger than videos the bootstrap's is the one to trust.
        threshold: a score >= it is called fake.
        aggregation: how frames became videos.
        clusters: number of clusters that were drawn.
        draws, seed, level: of the bootstrap; level also of DeLong's interval.
        coverage: of the expected videos, None if there was no list.
    """

    frame: LevelSummary
    video: LevelSummary
    video_auc_delong: Interval
    threshold: float
    aggregation: Aggregation
    clusters: int
    draws: int
    seed: int
    level: float
    coverage: Coverage | None


def _level(
    labels: ArrayLike, scores: ArrayLike, resamples: Resamples, threshold: float, level: float
) -> LevelSummary:
    ranked = Ranked.of(labels, scores)
    y, p = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    errors = (y - p) ** 2

    def metrics(weights: Floats) -> Floats:
        curves = ranked.curves(weights)
        false, true = curves.rates_at(threshold)
        columns = [
            curves.auc(),
            curves.average_precision(),
            curves.equal_error_rate(),
            curves.tpr_at_fpr(0.01),
            curves.tpr_at_fpr(0.001),
            (true + 1 - false) / 2,
            false,
            true,
            weights @ errors / weights.sum(1),
            calibration_errors(y, p, weights),
            calibration_errors(y, p, weights, binning="mass"),
        ]
        return np.stack(columns, axis=1)

    fakes = int(y.sum())
    return LevelSummary(len(y) - fakes, fakes, *bootstrap(metrics, resamples, level=level))


def _video_clusters(
    video_ids: Sequence[str], clusters: Sequence[object], ordered: Sequence[str]
) -> list[object]:
    home: dict[str, object] = {}
    for video, cluster in zip(video_ids, clusters, strict=True):
        if home.setdefault(video, cluster) != cluster:
            raise ShapeError(
                f"Video {video!r} lies in two clusters, {home[video]!r} and {cluster!r}."
            )
    return [home[video] for video in ordered]


def summarize(
    labels: ArrayLike,
    scores: ArrayLike,
    video_ids: Sequence[str],
    *,
    threshold: float,
    clusters: Sequence[object] | None = None,
    expected: Iterable[str] | None = None,
    aggregation: Aggregation = "mean",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Summary:
    """Every metric at frame and video level; both levels on the same draws of clusters.

    Args:
        labels: (N,) of 0 and 1 per frame, one per video.
        scores: (N,) P(fake) in [0, 1].
        video_ids: the video of each frame.
        threshold: fixed beforehand, on other data.
        clusters: per frame, what is drawn together; a video lies in one of them. The videos
            themselves by default; better the person or the source film, where known.
        expected: ids of all videos that should have scores, for the coverage.
        aggregation: as in `video_scores`.
        draws, seed, level: of the bootstrap (percentile intervals).

    Raises:
        ShapeError: one class only, shapes that differ, scores outside [0, 1], a video with both
            labels or in two clusters, too few videos of a class, or a bad list of videos.
        ConfigError: a threshold, number of draws or level that cannot work.
    """
    videos = video_scores(video_ids, labels, scores, method=aggregation)
    groups = list(video_ids) if clusters is None else clusters
    if len(groups) != len(video_ids):
        raise ShapeError(
            f"clusters must be one per frame; got {len(groups)} for {len(video_ids)} frames."
        )
    by_video = _video_clusters(video_ids, groups, videos.video_ids)
    by_frame = resample(labels, groups, draws=draws, seed=seed)
    per_video = resample(videos.labels, by_video, draws=draws, seed=seed)
    return Summary(
        frame=_level(labels, scores, by_frame, threshold, level),
        video=_level(videos.labels, videos.scores, per_video, threshold, level),
        video_auc_delong=delong_interval(videos.labels, videos.scores, level=level),
        threshold=float(threshold),
        aggregation=aggregation,
        clusters=by_frame.clusters,
        draws=draws,
        seed=seed,
        level=level,
        coverage=None if expected is None else coverage(expected, videos.video_ids),
    )
