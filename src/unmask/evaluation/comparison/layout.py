"""What items and scores must look like, checked before anything is computed from them."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unmask.errors import DatasetError
from unmask.transforms.levels import LEVELS, PERTURBATIONS

CLEAN, BLUR_JPEG, UNPERTURBED = "clean", "blur+jpeg", "sweep/none/0"
SEEN, UNSEEN = "seen", "unseen"

ITEMS: dict[str, pl.DataType] = {
    "item": pl.UInt32(),
    "path": pl.String(),
    "video_id": pl.String(),
    "frame": pl.Int32(),
    "label": pl.UInt8(),
    "dataset": pl.String(),
    "manipulation": pl.String(),
    "family": pl.String(),
    "source": pl.String(),
    "cluster": pl.String(),
    "sets": pl.List(pl.String()),
}
"""Columns of items.parquet, one row per test item; label 1 is fake."""

SCORES: dict[str, pl.DataType] = {
    "item": pl.UInt32(),
    "condition": pl.String(),
    "logit": pl.Float32(),
}
"""Columns of a run's scores, one row per item and condition; a positive logit says fake."""

_AGAIN = "Delete the file and run the benchmark again, which writes it anew."


def typed(table: pl.DataFrame, schema: dict[str, pl.DataType], file: str) -> pl.DataFrame:
    """The columns of `schema`, in its order and types.

    Raises:
        DatasetError: a column is missing, of another type, or has nulls.
    """
    if missing := [name for name in schema if name not in table.columns]:
        raise DatasetError(f"{file} lacks the columns {', '.join(missing)}.", _AGAIN)
    columns = []
    for name, kind in schema.items():
        try:
            column = table[name].cast(kind, strict=True)
        except pl.exceptions.PolarsError as error:
            raise DatasetError(
                f"{file}: column {name} is {table[name].dtype}, which does not fit {kind}.", _AGAIN
            ) from error
        if column.null_count():
            raise DatasetError(f"{file}: column {name} has {column.null_count()} nulls.", _AGAIN)
        columns.append(column)
    return pl.DataFrame(columns)


def checked_items(table: pl.DataFrame, file: str) -> pl.DataFrame:
    """The items as `ITEMS`, in order.

    Raises:
        DatasetError: columns that do not fit; item numbers that are not 0 to n - 1 in order; a
            label other than 0 and 1; a picture listed twice; an item without a set, cluster or
            video; a fake without a family, a real with one; a video of both labels or in two
            clusters.
    """
    items = typed(table, ITEMS, file)
    if not items.height:
        raise DatasetError(f"{file} lists no items.", _AGAIN)
    if (off := np.flatnonzero(items["item"].to_numpy() != np.arange(items.height))).size:
        row = int(off[0])
        raise DatasetError(
            f"{file}: items must be numbered 0 to {items.height - 1} without holes; row {row} has "
            f"number {items['item'][row]}.",
            _AGAIN,
        )
    fake, made = pl.col("label") == 1, pl.col("manipulation") != ""
    sets = pl.col("sets")
    rules = {
        "a label other than 0 (real) and 1 (fake)": pl.col("label") > 1,
        "a manipulation on a real, or a fake without one": fake != made,
        "a family on a real, or a fake without one": fake != (pl.col("family") != ""),
        "no video_id": pl.col("video_id") == "",
        "no cluster": pl.col("cluster") == "",
        "no test set": sets.list.len() == 0,
        "a test set without a name, or named twice": (sets.list.n_unique() != sets.list.len())
        | sets.list.eval(pl.element().is_null() | (pl.element() == "")).list.any(),
        "a path and frame that another item has": pl.struct("path", "frame").is_duplicated(),
    }
    for what, rule in rules.items():
        bad = items.filter(rule)
        if bad.height:
            raise DatasetError(
                f"{file}: {bad.height} items have {what}; the first is item {bad['item'][0]}, "
                f"{bad['path'][0]}.",
                "Mend the test index and run the benchmark again.",
            )
    _one_per_video(items, "label", file)
    _one_per_video(items, "cluster", file)
    return items


def _one_per_video(items: pl.DataFrame, column: str, file: str) -> None:
    torn = items.group_by("video_id").agg(pl.col(column).n_unique()).filter(pl.col(column) > 1)
    if torn.height:
        raise DatasetError(
            f"{file}: {torn.height} videos have more than one {column}; one is "
            f"{torn['video_id'].min()!r}.",
            "Give videos ids of their own in the test index and run the benchmark again.",
        )


def checked_scores(table: pl.DataFrame, items: pl.DataFrame, file: str) -> pl.DataFrame:
    """The scores as `SCORES`, sorted by condition and item.

    `clean` and `blur+jpeg` must cover all items, `control/NAME` all reals, and `sweep/NAME/LEVEL`
    the items of `sweep/none/0`, which are of the set `unseen`. `clean` must be there.

    Raises:
        DatasetError: columns that do not fit; a logit that is not finite; an unknown item or
            condition; an item twice in a condition; a condition that lacks items or has others.
    """
    scores = typed(table, SCORES, file).sort("condition", "item")
    odd = scores.filter(~pl.col("logit").is_finite())
    if odd.height:
        raise DatasetError(
            f"{file}: {odd.height} logits are not finite; the first is {odd['logit'][0]} of item "
            f"{odd['item'][0]} under {odd['condition'][0]}.",
            "Train this run again; a network that gives such numbers has diverged.",
        )
    unknown = scores.filter(pl.col("item") >= items.height)
    if unknown.height:
        raise DatasetError(
            f"{file}: {unknown.height} scores are of items that items.parquet does not list; the "
            f"first is item {unknown['item'][0]} of {items.height}.",
            _AGAIN,
        )
    by_condition = {
        str(name): part["item"].to_numpy().astype(np.intp)
        for (name,), part in scores.partition_by(
            "condition", as_dict=True, maintain_order=True
        ).items()
    }
    if CLEAN not in by_condition:
        raise DatasetError(f"{file} has no scores of the condition {CLEAN!r}.", _AGAIN)
    for name, have in by_condition.items():
        _covers(name, have, expected_items(name, items, by_condition, file), file)
    return scores


def _covers(name: str, have: NDArray[np.intp], wanted: NDArray[np.intp], file: str) -> None:
    if (twice := np.flatnonzero(np.diff(have) == 0)).size:
        raise DatasetError(
            f"{file}: {twice.size} items are there twice under {name}; the first is item "
            f"{have[twice[0]]}.",
            _AGAIN,
        )
    covered = int(np.isin(wanted, have).sum())
    if covered < len(wanted):
        raise DatasetError(
            f"{file}: {name} covers {covered} of the {len(wanted)} items it must.", _AGAIN
        )
    if len(have) > len(wanted):
        extra = have[~np.isin(have, wanted)]
        raise DatasetError(
            f"{file}: {name} has {len(extra)} items it must not have; the first is item "
            f"{extra[0]}.",
            _AGAIN,
        )


def expected_items(
    condition: str, items: pl.DataFrame, have: dict[str, NDArray[np.intp]], file: str
) -> NDArray[np.intp]:
    """Item numbers, ascending, that a condition must cover; `have` holds those of all conditions.

    Raises:
        DatasetError: no such condition, or a sweep without its unperturbed baseline in `unseen`.
    """
    if condition in (CLEAN, BLUR_JPEG):
        return np.arange(items.height)
    if condition.startswith("control/") and condition != "control/":
        return np.flatnonzero(items["label"].to_numpy() == 0)
    if condition.startswith("sweep/") and (condition == UNPERTURBED or _is_sweep(condition)):
        if UNPERTURBED not in have:
            raise DatasetError(f"{file}: {condition} needs {UNPERTURBED} beside it.", _AGAIN)
        baseline = np.unique(have[UNPERTURBED])
        inside = items["sets"].list.contains(UNSEEN).to_numpy()[baseline]
        if not inside.all():
            raise DatasetError(
                f"{file}: the sweep is on items of {UNSEEN!r}, but {int((~inside).sum())} of its "
                f"{len(baseline)} are of other sets.",
                _AGAIN,
            )
        return baseline
    raise DatasetError(
        f"{file}: there is no condition {condition!r}.",
        f"There are {CLEAN}, {BLUR_JPEG}, control/NAME, {UNPERTURBED} and sweep/NAME/LEVEL.",
    )


def _is_sweep(condition: str) -> bool:
    parts = condition.split("/")
    levels = [str(level) for level in range(1, LEVELS + 1)]
    return len(parts) == 3 and parts[1] in PERTURBATIONS and parts[2] in levels
