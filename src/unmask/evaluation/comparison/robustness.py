"""The sweep: every perturbation at every level, on one subset of `unseen`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unmask.evaluation.comparison.conditions import areas_under, conditions_of, logits_of
from unmask.evaluation.comparison.draws import Draws, Indices, shares
from unmask.evaluation.comparison.layout import UNPERTURBED
from unmask.evaluation.comparison.result import Sweep, SweepMean, SweepRow
from unmask.evaluation.comparison.scores import Board, Key
from unmask.evaluation.comparison.sets import fakes_of, lacking
from unmask.metrics.curve import Floats

NOTE = (
    "AUC, and FPR at the run's own threshold, on one subset of `unseen`; seeds that were swept. "
    "Intervals are from the same draws as everywhere. A level's mean is over the perturbations "
    "that all swept seeds of the arm have; level 0 is the subset as it is."
)
NONE_SWEPT = " No run was swept."

Place = tuple[str, int]
"""(perturbation, level)."""


def sweep(board: Board, draws: Draws) -> Sweep:
    """The sweep of every arm that has one."""
    baseline = logits_of(board, UNPERTURBED)
    seeds = {
        arm: tuple(s for s in board.seeds_of(arm) if (arm, s) in baseline) for arm in board.arms
    }
    if not baseline:
        return Sweep(note=NOTE + NONE_SWEPT, reals=None, fakes=None, seeds=seeds, rows=(), means=())
    items = next(iter(baseline.values()))[0]
    fakes = int(fakes_of(board.items)[items].sum())
    few = lacking(len(items) - fakes, fakes)
    found = {_place(name): _values(board, draws, name, items, few) for name in _ordered(board)}
    rows: list[SweepRow] = []
    means: list[SweepMean] = []
    for arm in board.arms:
        if seeds[arm]:
            rows += _rows(draws, arm, seeds[arm], found, few)
            means += _means(draws, arm, seeds[arm], found, few)
    return Sweep(
        note=NOTE,
        reals=len(items) - fakes,
        fakes=fakes,
        seeds=seeds,
        rows=tuple(rows),
        means=tuple(means),
    )


def _place(condition: str) -> Place:
    _, perturbation, level = condition.split("/")
    return perturbation, int(level)


def _ordered(board: Board) -> list[str]:
    """Conditions of the sweep, the baseline first."""
    names = conditions_of(board, "sweep/")
    return sorted(names, key=lambda name: (name != UNPERTURBED, _place(name)))


def _values(
    board: Board, draws: Draws, condition: str, items: Indices, few: str | None
) -> Mapping[Key, Floats]:
    """(arm, seed) -> (2, D + 1): AUC and FPR."""
    logits = logits_of(board, condition)
    fake = fakes_of(board.items)[items]
    values = {key: np.full((2, draws.rows), np.nan) for key in logits}
    if few is None:
        for key, areas in areas_under(board, draws, condition, items).items():
            values[key][0] = areas
    for rows, weights in draws.blocks(items[~fake]):
        for key, (_, scores) in logits.items():
            called = scores[~fake] >= board.runs[key].facts.threshold
            values[key][1, rows] = shares(weights, called)
    return values


def _rows(
    draws: Draws,
    arm: str,
    seeds: tuple[int, ...],
    found: Mapping[Place, Mapping[Key, Floats]],
    few: str | None,
) -> list[SweepRow]:
    rows = []
    for (perturbation, level), values in found.items():
        have = [values[arm, s] for s in seeds if (arm, s) in values]
        auc, fpr = (draws.mean([v[row] for v in have]) for row in (0, 1))
        why = (few if have else None) or f"no run of this arm was scored under {perturbation}"
        rows.append(
            SweepRow(
                arm=arm,
                perturbation=perturbation,
                level=level,
                auc=draws.estimate(auc, why),
                fpr=draws.estimate(fpr, why),
            )
        )
    return rows


def _means(
    draws: Draws,
    arm: str,
    seeds: tuple[int, ...],
    found: Mapping[Place, Mapping[Key, Floats]],
    few: str | None,
) -> list[SweepMean]:
    whole = {
        place: np.stack([values[arm, s] for s in seeds])  # (S, 2, D + 1)
        for place, values in found.items()
        if all((arm, s) in values for s in seeds)
    }
    means = []
    for level in sorted({level for _, level in found}):
        at = [values for (_, at_level), values in whole.items() if at_level == level]
        mean = np.mean(at, axis=0) if at else np.full((len(seeds), 2, draws.rows), np.nan)
        why = (few if at else None) or "no perturbation at this level in all swept seeds"
        means.append(
            SweepMean(
                arm=arm,
                level=level,
                perturbations=len(at),
                auc=draws.estimate(draws.mean(list(mean[:, 0])), why),
                fpr=draws.estimate(draws.mean(list(mean[:, 1])), why),
            )
        )
    return means
