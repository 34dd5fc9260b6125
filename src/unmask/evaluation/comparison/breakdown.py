"""A set by the way its fakes were made, and by where its pictures come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from unmask.evaluation.comparison.draws import NO_RUN, Areas, Draws, Flags, Indices
from unmask.evaluation.comparison.result import Estimate, GroupRow, Groups
from unmask.evaluation.comparison.scores import Board, Key
from unmask.evaluation.comparison.sets import fakes_of, lacking, members_of, set_names
from unmask.metrics.curve import Floats

LEAST = 10
"""Items of each class below which a part gets no number."""

GENERATORS = (
    "Fakes of one family against all reals of the set; where a set has several kinds of a family, "
    f"each kind too. Mean frame AUC over seeds; none with fewer than {LEAST} items of a class."
)
SOURCES = (
    "Fakes made from pictures of a source against reals of the same source, in one set. Mean "
    f"frame AUC over seeds; none with fewer than {LEAST} items of a class."
)


def generators(board: Board, draws: Draws) -> Groups:
    """Every family, and its kinds where there are several, by set."""
    rows: list[GroupRow] = []
    for name in set_names(board.items):
        inside = members_of(board.items, name)
        fake = fakes_of(board.items)[inside]
        reals, fakes = inside[~fake], inside[fake]
        kinds = _kinds(board.items[fakes])
        made = [(family, manipulation) for family, manipulation, _ in kinds]
        columns = np.stack([f for _, _, f in kinds], axis=1) if kinds else np.zeros((0, 0), bool)
        rows += _rows(board, draws, name, made, reals, fakes, columns)
    return Groups(note=GENERATORS, rows=tuple(rows))


def sources(board: Board, draws: Draws) -> Groups:
    """Every source by set."""
    rows: list[GroupRow] = []
    for name in set_names(board.items):
        inside = members_of(board.items, name)
        fake = fakes_of(board.items)[inside]
        source = np.asarray(board.items["source"].to_list(), np.str_)[inside]
        for one in np.unique(source):
            reals, fakes = inside[~fake & (source == one)], inside[fake & (source == one)]
            every = np.ones((len(fakes), 1), bool)
            rows += _rows(board, draws, name, [(str(one), None)], reals, fakes, every)
    return Groups(note=SOURCES, rows=tuple(rows))


def _kinds(fakes: pl.DataFrame) -> list[tuple[str, str | None, Flags]]:
    """(family, manipulation or None, which fakes): a family first, then its kinds if several."""
    family, manipulation = (
        np.asarray(fakes[name].to_list(), np.str_) for name in ("family", "manipulation")
    )
    found: list[tuple[str, str | None, Flags]] = []
    for one in np.unique(family):
        of = np.asarray(family == one)
        found.append((str(one), None, of))
        kinds = np.unique(manipulation[of])
        if len(kinds) > 1:
            found += [(str(one), str(kind), of & (manipulation == kind)) for kind in kinds]
    return found


def _rows(
    board: Board,
    draws: Draws,
    name: str,
    made: Sequence[tuple[str, str | None]],
    reals: Indices,
    fakes: Indices,
    columns: Flags,
) -> list[GroupRow]:
    sizes = columns.sum(0)
    enough = np.flatnonzero([lacking(len(reals), int(n), LEAST) is None for n in sizes])
    values = _areas(board, draws, reals, fakes, columns[:, enough]) if enough.size else {}
    rows = []
    for group, (family, manipulation) in enumerate(made):
        few = lacking(len(reals), int(sizes[group]), LEAST)
        auc: dict[str, Estimate] = {}
        for arm in board.arms:
            at = None if few else int(np.searchsorted(enough, group))
            found = [values[arm, s][at] for s in board.seeds_of(arm)] if at is not None else []
            auc[arm] = draws.estimate(draws.mean(found), few or NO_RUN)
        rows.append(
            GroupRow(
                set=name,
                name=family,
                manipulation=manipulation,
                reals=len(reals),
                fakes=int(sizes[group]),
                auc=auc,
            )
        )
    return rows


def _areas(
    board: Board, draws: Draws, reals: Indices, fakes: Indices, groups: Flags
) -> Mapping[Key, Floats]:
    """(arm, seed) -> (G, D + 1) areas of the clean scores."""
    areas, values = {}, {}
    for key, run in board.runs.items():
        logits = run.clean
        areas[key] = Areas.of(logits[reals], logits[fakes], groups)
        values[key] = np.empty((groups.shape[1], draws.rows))
    for rows, weights in draws.blocks(np.concatenate([reals, fakes])):
        of_reals, of_fakes = weights[:, : len(reals)], weights[:, len(reals) :]
        for key, area in areas.items():
            values[key][:, rows] = area(of_reals, of_fakes).T
    return values
