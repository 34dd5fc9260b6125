"""Every arm against the reference on the same items and draws, with p values adjusted by Holm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from unmask.errors import ShapeError
from unmask.evaluation.comparison.draws import NO_RUN, Draws
from unmask.evaluation.comparison.layout import SEEN
from unmask.evaluation.comparison.metrics import Measured, Measurements, why_missing
from unmask.evaluation.comparison.result import (
    ComparisonRow,
    Comparisons,
    DelongRow,
    Verdict,
)
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.sets import Units, set_names
from unmask.metrics.curve import Floats
from unmask.metrics.delong import delong_test

Name = TypeVar("Name")
NOTE = (
    "Difference of the mean frame AUCs, arm less reference, on the same draws of clusters and "
    "seeds. p = 2 (1 + the smaller number of draws on one side of 0) / (1 + draws), adjusted by "
    "Holm over the arms of a set. A verdict is given where the adjusted p is at most 1 - level; "
    "no difference shown does not mean that there is none."
)
DELONG_NOTE = (
    "DeLong's test per seed takes the items for independent and knows nothing of training again. "
    "Frames of a video and pictures of a person are not independent, so its p values are too "
    "small there; the verdict does not rest on them."
)


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down adjusted p values (Holm 1979): each at most a level iff it is rejected there.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def p_values(
    draws: Draws, gaps: Mapping[Name, Floats]
) -> dict[Name, tuple[float | None, float | None]]:
    """Of each difference (D + 1,): p, and p by Holm over all that have one; None without a number.

    Args:
        draws: that the differences are of.
        gaps: name -> difference.
    """
    plain = {name: p for name, gap in gaps.items() if (p := draws.p_value(gap)) is not None}
    adjusted = dict(zip(plain, holm(list(plain.values())), strict=True))
    return {name: (plain.get(name), adjusted.get(name)) for name in gaps}


def comparisons(board: Board, draws: Draws, found: Measurements, reference: str) -> Comparisons:
    """All arms but the reference, on every set but `seen`."""
    rows: list[ComparisonRow] = []
    for name in set_names(board.items):
        if name != SEEN:
            rows += _of_set(board, draws, name, found[name, "frame"], reference)
    return Comparisons(note=NOTE, delong_note=DELONG_NOTE, rows=tuple(rows))


def _of_set(
    board: Board, draws: Draws, name: str, measured: Measured, reference: str
) -> list[ComparisonRow]:
    others = [arm for arm in board.arms if arm != reference]
    base = draws.mean(list(measured.rows(board, reference, "auc").values()))
    gaps = {
        arm: draws.mean(list(measured.rows(board, arm, "auc").values())) - base for arm in others
    }
    tested = p_values(draws, gaps)
    rows = []
    for arm in others:
        missing = why_missing(board, arm, measured)
        if board.seeds_of(arm) and not board.seeds_of(reference):
            missing = f"the reference: {NO_RUN}"
        p, p_holm = tested[arm]
        rows.append(
            ComparisonRow(
                arm=arm,
                set=name,
                difference=draws.estimate(gaps[arm], missing),
                p=p,
                p_holm=p_holm,
                verdict=None if p_holm is None else _verdict(gaps[arm][0], p_holm, draws.level),
                delong=_delong(board, name, arm, reference, draws.level) if measured.values else (),
            )
        )
    return rows


def _verdict(difference: float, p: float, level: float) -> Verdict:
    if p > 1 - level + 1e-12 or not difference:
        return "no difference shown"
    return "better" if difference > 0 else "worse"


def _delong(
    board: Board, name: str, arm: str, reference: str, level: float
) -> tuple[DelongRow, ...]:
    units, rows = Units.frames(board.items, name), []
    both = set(board.seeds_of(arm)) & set(board.seeds_of(reference))
    for seed in (s for s in board.seeds if s in both):
        scores = (units.judged(board.runs[who, seed])[0] for who in (arm, reference))
        try:
            test = delong_test(units.fake, *scores, level=level)
        except ShapeError:
            return ()  # fewer than two items of a class: the row's counts say so
        gap = test.difference
        rows.append(
            DelongRow(
                seed=seed,
                difference=gap.value,
                low=gap.low,
                high=gap.high,
                p=test.p,
                reason=None if test.p is not None else "the AUCs differ without any spread",
            )
        )
    return tuple(rows)
