"""From frame scores to one score per video, and which videos have none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError

Floats = NDArray[np.float64]
Aggregation = Literal["mean", "log_odds", "top_k"]

CLIP = 1e-6  # a saturated score counts as 13.8 nats, so that one frame cannot outvote all others


@dataclass(frozen=True)
class VideoScores:
    """One row per video, in the order of their ids.

    Attributes:
        video_ids: V ids.
        labels: (V,) int64, 0 or 1.
        scores: (V,) float64.
        frames: (V,) int64, how many frames each score rests on.
    """

    video_ids: tuple[str, ...]
    labels: NDArray[np.int64]
    scores: Floats
    frames: NDArray[np.int64]


@dataclass(frozen=True)
class Coverage:
    """How much of what should have been scored was.

    Attributes:
        expected: number of videos on the list.
        missing: those of them without a score, sorted.
        unexpected: videos that have a score and are not on the list, sorted.
    """

    expected: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the list, in [0, 1]."""
        return 1 - len(self.missing) / self.expected


def _log_odds(scores: Floats) -> Floats:
    if scores.min() < 0 or scores.max() > 1:
        raise ShapeError(
            f"log_odds needs scores in [0, 1]; got {scores.min():g} to {scores.max():g}.",
            "Take 'mean' for scores that are no probabilities.",
        )
    p = np.clip(scores, CLIP, 1 - CLIP)
    return np.log(p) - np.log1p(-p)


def _top_mean(scores: Floats, video: NDArray[np.intp], frames: NDArray[np.int64], k: int) -> Floats:
    order = np.lexsort((-scores, video))
    place = np.arange(len(scores)) - np.repeat(np.cumsum(frames) - frames, frames)
    kept = order[place < k]
    return np.bincount(video[kept], scores[kept]) / np.minimum(frames, k)


def video_scores(
    video_ids: Sequence[str],
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    method: Aggregation = "mean",
    k: int = 5,
) -> VideoScores:
    """One score per video from those of its frames.

    Args:
        video_ids: the video of each frame.
        labels: (N,) of 0 and 1, the same for all frames of a video.
        scores: (N,) finite.
        method: "mean", as the field reports; "log_odds": sigmoid of the mean log-odds, the
            logarithmic opinion pool (Genest & Zidek 1986), with scores kept `CLIP` away from 0
            and 1;
            "top_k": mean of the k highest, for forgeries that do not last (all frames of a video
            that has fewer).
        k: see above.

    Raises:
        ShapeError: shapes differ, no frames, values that are no labels or not finite, a frame
            without a video id, a video with both labels, or log-odds of what is no probability.
        ConfigError: an unknown method, or k < 1.

    >>> video_scores(["a", "a", "b"], [1, 1, 0], [0.9, 0.7, 0.2]).scores.round(3).tolist()
    [0.8, 0.2]
    """
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.ndim != 1 or y.shape != s.shape or len(video_ids) != len(y) or not len(y):
        raise ShapeError(
            f"video_ids, labels and scores must be (N,) alike, N > 0; got {len(video_ids)}, "
            f"{y.shape} and {s.shape}."
        )
    if not np.isin(y, (0, 1)).all() or not np.isfinite(s).all():
        raise ShapeError("labels must be 0 (real) or 1 (fake), scores finite.")
    if method not in get_args(Aggregation):
        raise ConfigError(f"Unknown aggregation {method!r}; there are {get_args(Aggregation)}.")
    if k < 1:
        raise ConfigError(f"top_k needs k >= 1; got {k}.")
    if not all(isinstance(v, str) and v for v in video_ids):
        raise ShapeError("A frame has no video id; frames without one must not form a video.")
    ids, video = np.unique(np.asarray(video_ids, dtype=np.str_), return_inverse=True)
    frames = np.bincount(video).astype(np.int64)
    fakes = np.bincount(video, y).astype(np.int64)
    if (torn := np.flatnonzero((fakes > 0) & (fakes < frames))).size:
        raise ShapeError(
            f"{torn.size} videos have frames of both labels, the first is {str(ids[torn[0]])!r}.",
            "Give a real and its fakes different video ids.",
        )
    if method == "mean":
        values = np.bincount(video, s) / frames
    elif method == "log_odds":
        values = 1 / (1 + np.exp(-np.bincount(video, _log_odds(s)) / frames))
    else:
        values = _top_mean(s, video, frames, k)
    return VideoScores(tuple(ids.tolist()), (fakes > 0).astype(np.int64), values, frames)


def coverage(expected: Iterable[str], scored: Iterable[str]) -> Coverage:
    """Which videos of a list have no score. A metric says nothing about those.

    Args:
        expected: ids of the videos to be judged, each once.
        scored: ids that have a score; repeats do not matter.

    Raises:
        ShapeError: an empty list, or one that names a video twice.

    >>> coverage(["a", "b", "c"], ["a", "c", "c", "d"])
    Coverage(expected=3, missing=('b',), unexpected=('d',))
    """
    wanted, have = list(expected), set(scored)
    if not wanted or len(set(wanted)) < len(wanted):
        raise ShapeError(
            f"The expected videos must be some, each named once; got {len(wanted)} entries, "
            f"{len(set(wanted))} different."
        )
    missing, unexpected = set(wanted) - have, have - set(wanted)
    return Coverage(len(wanted), tuple(sorted(missing)), tuple(sorted(unexpected)))
