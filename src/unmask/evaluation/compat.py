"""What the field's flawed evaluations would report of the same scores, beside the honest numbers.

Each function takes the scores of one run, computes an AUC as it should be and as it is often
published, and gives the inflation, flawed less honest, with a paired interval: clusters of items
are drawn, and both numbers are taken from the same draws. Nothing here is a result to report; it
says how much of a published number such a choice can explain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.layout import CLEAN, ITEMS, SCORES, typed
from unmask.evaluation.compat_row import (
    Bootstrap,
    CompatRow,
    Ranking,
    Variant,
    absent_row,
    paired_row,
    without_intervals,
)
from unmask.media.sampling import spread
from unmask.metrics.aggregate import coverage
from unmask.metrics.calibration import sigmoid

Epochs = Mapping[int, tuple[float, pl.DataFrame]]
"""Epoch -> its validation AUC, and the test scores of its checkpoint."""

STILLS = "stills only: every video of this set has one frame"
ABOVE, BELOW = 2.0, -1.0
"""Scores of missing videos outside [0, 1]: they rank above, or below, whatever was scored."""


def scored_items(
    items: pl.DataFrame, scores: pl.DataFrame, set_name: str | None = None
) -> pl.DataFrame:
    """Items with the logits of one run as a column, as the functions here take them.

    Args:
        items: as items.parquet, or some rows of it, checked by `layout.checked_items`.
        scores: as a run's scores; of the conditions, `clean` is used.
        set_name: take the items of this test set only.

    Returns:
        Columns item, video_id, frame, label, cluster, logit; one row per item, in their order.

    Raises:
        ConfigError: no item, or none of that set.
        DatasetError: columns that do not fit, an item without a score or with two, or a logit
            that is not finite.
    """
    table = typed(items, ITEMS, "The table of items").with_row_index("_order")
    if set_name is not None:
        table = table.filter(pl.col("sets").list.contains(set_name))
    if not table.height:
        known = sorted(set(items["sets"].explode().drop_nulls().to_list()))
        raise ConfigError(
            f"There is no item{'' if set_name is None else f' of the set {set_name!r}'}.",
            f"The sets of the items are: {', '.join(known) or 'none'}.",
        )
    clean = typed(scores, SCORES, "The table of scores").filter(pl.col("condition") == CLEAN)
    joined = table.join(clean.select("item", "logit"), on="item", how="left").sort("_order")
    if joined.height != table.height or table["item"].is_duplicated().any():
        raise DatasetError("An item is listed or scored twice.", "Give the scores of one run.")
    bad = joined.filter(pl.col("logit").is_null() | ~pl.col("logit").is_finite())
    if bad.height:
        raise DatasetError(
            f"{bad.height} of {joined.height} items have no finite clean score; the first is item "
            f"{bad['item'][0]}.",
            "Score all items; what cannot be scored belongs on the list of expected videos only.",
        )
    return joined.select("item", "video_id", "frame", "label", "cluster", "logit")


def first_frames(scored: pl.DataFrame, n: int, bootstrap: Bootstrap | None = None) -> CompatRow:
    """Video AUC of the first n frames of each video, against n frames spread over it.

    Both are chosen from the frames that were scored, and averaged; videos with no more than n
    count with all of theirs on both sides.

    Args:
        scored: of `scored_items`.
        n: frames per video, at least 1.
        bootstrap: of the intervals.

    Raises:
        ConfigError: n < 1, or a bootstrap that cannot work.
        DatasetError: all items are of one cluster.
    """
    if n < 1:
        raise ConfigError(f"At least one frame of each video must be taken; got {n}.")
    if _stills_only(scored):
        return absent_row("first_frames", STILLS)
    rows = scored.with_row_index("row").sort("video_id", "frame", maintain_order=True)
    videos = rows.group_by("video_id", maintain_order=True).agg("row")["row"].to_list()
    longer = sum(len(video) > n for video in videos)
    if not longer:
        return absent_row("first_frames", f"no video of this set has more than {n} scored frames")
    spaced = [video[i] for video in videos for i in spread(len(video), n)]
    first = [row for video in videos for row in video[:n]]
    return paired_row(
        "first_frames",
        (bootstrap or Bootstrap()).of(scored),
        _videos(scored, rows=spaced),
        _videos(scored, rows=first),
        detail=f"{n} frames of each of {longer} videos that have more, of {len(videos)} in all",
    )


def merged_videos(scored: pl.DataFrame, bootstrap: Bootstrap | None = None) -> CompatRow:
    """Video AUC with videos merged by the last part of their id, against unique ids.

    A merged video has the mean score of all its frames, and is fake if any of them is. Stills are
    left as they are. Clusters that share a merged video are drawn together, in both numbers.

    Args:
        scored: of `scored_items`.
        bootstrap: of the intervals.

    Raises:
        ConfigError: a bootstrap that cannot work.
        DatasetError: all items are of one cluster.
    """
    if _stills_only(scored):
        return absent_row("merged_videos", STILLS)
    bootstrap = bootstrap or Bootstrap()
    stem = pl.lit("video:") + pl.col("video_id").str.split("/").list.last()
    still = pl.lit("still:") + pl.col("video_id")
    keys = scored.select(
        pl.when(pl.len().over("video_id") > 1).then(stem).otherwise(still).alias("key")
    )["key"].to_list()
    honest, flawed = _videos(scored), _videos(scored, keys=keys)
    joined = _joined(scored["cluster"].to_list(), keys)
    tied = len(set(joined)) < 2
    row = paired_row(
        "merged_videos",
        bootstrap.of(scored, None if tied else joined),
        honest,
        flawed,
        detail=f"{len(honest.fake)} videos become {len(flawed.fake)}",
    )
    return without_intervals(row, "merged videos tie all clusters together") if tied else row


def selected_on_test(
    items: pl.DataFrame,
    per_epoch: Epochs,
    set_name: str | None = None,
    bootstrap: Bootstrap | None = None,
) -> CompatRow:
    """Frame AUC of the checkpoint that is best on the test, against the one validation chose.

    Both choices are made once, on all items: the interval is that of two given checkpoints. Where
    epochs tie, validation takes the first, and the test the one validation chose, else the first.

    Args:
        items, set_name: as in `scored_items`.
        per_epoch: epoch -> its validation AUC and its test scores, in the layout of a run's.
        bootstrap: of the intervals.

    Raises:
        ConfigError: no epoch, a validation AUC outside [0, 1], or a bootstrap that cannot work.
        DatasetError: as `scored_items`, for any epoch; or all items are of one cluster.
    """
    odd = [epoch for epoch, (auc, _) in per_epoch.items() if not 0 <= auc <= 1]
    if not per_epoch or odd:
        raise ConfigError(
            f"Every epoch needs a validation AUC in [0, 1]; "
            f"{f'epoch {odd[0]} has {per_epoch[odd[0]][0]}' if odd else 'there is no epoch'}."
        )
    epochs = sorted(per_epoch)
    if len(epochs) == 1:
        return absent_row("test_selected", "there is one epoch only, so nothing is chosen")
    tables = {e: scored_items(items, per_epoch[e][1], set_name) for e in epochs}
    draws = (bootstrap or Bootstrap()).of(tables[epochs[0]])
    found = {epoch: _frames(table) for epoch, table in tables.items()}
    areas = {epoch: ranking.point() for epoch, ranking in found.items()}
    honest = max(epochs, key=lambda e: (per_epoch[e][0], -e))
    flawed = max(epochs, key=lambda e: (areas[e], e == honest, -e))
    return paired_row(
        "test_selected",
        draws,
        found[honest],
        found[flawed],
        detail=f"of {len(epochs)} epochs, validation chooses {honest} and the test {flawed}",
    )


def dropped_faces(
    scored: pl.DataFrame, expected: pl.DataFrame, bootstrap: Bootstrap | None = None
) -> CompatRow:
    """Video AUC of the videos that have a score, against its lower bound over all.

    `honest` is the AUC if every missing video were ranked as wrongly as can be, `best` if it were
    ranked rightly; the truth lies between, so the inflation is the most it can be.

    Args:
        scored: of `scored_items`.
        expected: the videos to be judged, each once, with columns video_id, label and cluster.
        bootstrap: of the intervals.

    Raises:
        ConfigError: a bootstrap that cannot work.
        DatasetError: a list that lacks a column, has nulls, names a video twice, or does not know
            a scored video or knows it with another label or cluster; or all are of one cluster.
    """
    videos = _expected_videos(scored, expected)
    return _bounded("dropped_faces", videos, None, bootstrap)


def half_scored(
    scored: pl.DataFrame, expected: pl.DataFrame, bootstrap: Bootstrap | None = None
) -> CompatRow:
    """Video AUC with 0.5 for every video without a score, against its lower bound over all.

    Args and errors: as in `dropped_faces`, and so are `honest` and `best`.
    """
    videos = _expected_videos(scored, expected)
    return _bounded("half_scored", videos, 0.5, bootstrap)


def frame_as_video(scored: pl.DataFrame, bootstrap: Bootstrap | None = None) -> CompatRow:
    """Frame AUC, against the video AUC for which it is taken; usually less, so not inflated.

    Args:
        scored: of `scored_items`.
        bootstrap: of the intervals.

    Raises:
        ConfigError: a bootstrap that cannot work.
        DatasetError: all items are of one cluster.
    """
    if _stills_only(scored):
        return absent_row("frame_as_video", STILLS)
    honest, flawed = _videos(scored), _frames(scored)
    detail = f"{len(flawed.fake)} frames of {len(honest.fake)} videos"
    draws = (bootstrap or Bootstrap()).of(scored)
    return paired_row("frame_as_video", draws, honest, flawed, detail=detail)


def compat_table(
    items: pl.DataFrame,
    scores: pl.DataFrame,
    *,
    frames: int,
    set_name: str | None = None,
    per_epoch: Epochs | None = None,
    expected: pl.DataFrame | None = None,
    bootstrap: Bootstrap | None = None,
) -> list[CompatRow]:
    """Every practice on the scores of one run, in the order of `PRACTICES`.

    Args:
        items, scores, set_name: as in `scored_items`.
        frames: n of `first_frames`.
        per_epoch: as in `selected_on_test`; None if only one checkpoint was scored.
        expected: as in `dropped_faces`; None if there is no such list.
        bootstrap: of the intervals.

    Raises:
        ConfigError, DatasetError: as the functions above.
    """
    scored = scored_items(items, scores, set_name)
    unlisted = "there is no list of the videos that should have been scored"
    return [
        first_frames(scored, frames, bootstrap),
        merged_videos(scored, bootstrap),
        absent_row("test_selected", "the test was scored with the chosen checkpoint only")
        if per_epoch is None
        else selected_on_test(items, per_epoch, set_name, bootstrap),
        absent_row("dropped_faces", unlisted)
        if expected is None
        else dropped_faces(scored, expected, bootstrap),
        absent_row("half_scored", unlisted)
        if expected is None
        else half_scored(scored, expected, bootstrap),
        frame_as_video(scored, bootstrap),
    ]


def _stills_only(scored: pl.DataFrame) -> bool:
    return not scored["video_id"].is_duplicated().any()


def _frames(scored: pl.DataFrame) -> Ranking:
    fake, logits = scored["label"].to_numpy() == 1, scored["logit"].to_numpy()
    return Ranking(np.arange(scored.height), fake, logits.astype(np.float64))


def _videos(
    scored: pl.DataFrame, *, rows: Sequence[int] | None = None, keys: Sequence[str] | None = None
) -> Ranking:
    """Mean P(fake) of some rows, all by default, of each video id, or of each key."""
    kept = np.arange(scored.height) if rows is None else np.asarray(rows, np.intp)
    names = np.asarray(scored["video_id"].to_list() if keys is None else keys, np.str_)[kept]
    _, first, unit = np.unique(names, return_index=True, return_inverse=True)
    probabilities = sigmoid(scored["logit"].to_numpy()[kept])
    fakes = np.bincount(unit, scored["label"].to_numpy()[kept])
    return Ranking(kept[first], fakes > 0, np.bincount(unit, probabilities) / np.bincount(unit))


def _joined(clusters: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Clusters, those that share a key under one name."""
    parent = {cluster: cluster for cluster in clusters}

    def root(cluster: str) -> str:
        while parent[cluster] != cluster:
            parent[cluster] = parent[parent[cluster]]
            cluster = parent[cluster]
        return cluster

    home: dict[str, str] = {}
    for cluster, key in zip(clusters, keys, strict=True):
        a, b = sorted((root(cluster), root(home.setdefault(key, cluster))))
        parent[b] = a
    return [root(cluster) for cluster in clusters]


def _expected_videos(scored: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """The list with the column `score`, P(fake), null where there is none."""
    names = ("video_id", "label", "cluster")
    if missing := [name for name in names if name not in expected.columns]:
        raise DatasetError(
            f"The list of expected videos lacks the columns {', '.join(missing)}.",
            "Give every video once, with its id, label and cluster.",
        )
    listed = expected.select(pl.col(name).cast(ITEMS[name], strict=False) for name in names)
    bad = listed.filter(
        pl.col("video_id").is_duplicated()
        | pl.any_horizontal(pl.all().is_null())
        | (pl.col("label") > 1)
    )
    if bad.height:
        raise DatasetError(
            f"{bad.height} of {listed.height} expected videos are named twice, or have no id, "
            f"label or cluster, or a label other than 0 and 1; one is {bad['video_id'][0]!r}.",
            "Give every video once, with 0 for real and 1 for fake.",
        )
    ranking = _videos(scored)
    found = scored[ranking.first].select(names).with_columns(score=pl.Series(ranking.scores))
    unknown = found.join(listed, on=names, how="anti")
    if unknown.height:
        raise DatasetError(
            f"{unknown.height} scored videos are not on the list of expected videos, or have "
            f"another label or cluster there; the first is {unknown['video_id'].min()!r}.",
            "List all videos of the test set, with the labels and clusters of the items.",
        )
    return listed.join(found.select("video_id", "score"), on="video_id", how="left").sort(
        "video_id"
    )


def _bounded(
    variant: Variant, videos: pl.DataFrame, fill: float | None, bootstrap: Bootstrap | None
) -> CompatRow:
    """The flawed AUC scores what is missing with `fill`, or leaves it out for None."""
    draws = (bootstrap or Bootstrap()).of(videos)
    fake, rows = videos["label"].to_numpy() == 1, np.arange(videos.height)
    scores = videos["score"].to_numpy()
    known = np.isfinite(scores)

    def filled(reals: float, fakes: float) -> Ranking:
        return Ranking(rows, fake, np.where(known, scores, np.where(fake, fakes, reals)))

    if fill is None:
        flawed = Ranking(rows[known], fake[known], scores[known])
    else:
        flawed = filled(fill, fill)
    best, missing = filled(BELOW, ABOVE), int((~known).sum())
    row = paired_row(
        variant,
        draws,
        filled(ABOVE, BELOW),
        flawed,
        detail=f"{missing} of {len(known)} videos have no score: {int((~known & ~fake).sum())} "
        f"reals and {int((~known & fake).sum())} fakes",
    )
    covered = coverage(videos["video_id"], videos["video_id"].filter(pl.Series(known)))
    return row.model_copy(update={"best": best.estimate(draws), "coverage": covered.share})
