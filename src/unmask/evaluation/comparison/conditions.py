"""What changes when the pictures do: controls on reals, blur with JPEG, and the full sweep."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unmask.evaluation.comparison.draws import NO_RUN, Areas, Draws, Indices, shares
from unmask.evaluation.comparison.layout import BLUR_JPEG
from unmask.evaluation.comparison.metrics import Measurements
from unmask.evaluation.comparison.result import BlurRow, ControlRow
from unmask.evaluation.comparison.scores import Board, Key
from unmask.evaluation.comparison.sets import fakes_of, lacking, members_of, set_names
from unmask.metrics.curve import Floats


def conditions_of(board: Board, prefix: str) -> list[str]:
    """Sorted names, of all runs, that begin with `prefix`."""
    names = {name for run in board.runs.values() for name in run.conditions}
    return sorted(name for name in names if name.startswith(prefix))


def logits_of(board: Board, condition: str) -> Mapping[Key, tuple[Indices, Floats]]:
    """(arm, seed) -> item numbers and logits, of the runs that have the condition."""
    found = {key: run.logits(condition) for key, run in board.runs.items()}
    return {key: pair for key, pair in found.items() if pair is not None}


def _why(board: Board, arm: str, condition: str) -> str:
    return f"no run of this arm was scored under {condition}" if board.seeds_of(arm) else NO_RUN


def controls(board: Board, draws: Draws) -> tuple[ControlRow, ...]:
    """Every arm under every control, on the reals of all sets.

    The reals as they are and changed are in the same draws, so `change` is paired.
    """
    reals = np.flatnonzero(~fakes_of(board.items))
    clean = {key: run.clean[reals] for key, run in board.runs.items()}
    rows = []
    for condition in conditions_of(board, "control/"):
        values = _control(board, draws, reals, clean, logits_of(board, condition))
        for arm in board.arms:
            seeds = tuple(s for s in board.seeds_of(arm) if (arm, s) in values)
            table = [draws.mean([values[arm, s][row] for s in seeds]) for row in range(4)]
            found = [draws.estimate(row, _why(board, arm, condition)) for row in table]
            rows.append(
                ControlRow(
                    arm=arm,
                    control=condition.removeprefix("control/"),
                    seeds=seeds,
                    reals=len(reals),
                    clean_fpr=found[0],
                    fpr=found[1],
                    change=found[2],
                    auc=found[3],
                )
            )
    return tuple(rows)


def _control(
    board: Board,
    draws: Draws,
    reals: Indices,
    clean: Mapping[Key, Floats],
    changed: Mapping[Key, tuple[Indices, Floats]],
) -> dict[Key, Floats]:
    """(arm, seed) -> (4, D + 1): FPR clean, FPR changed, their difference, AUC."""
    values = {key: np.empty((4, draws.rows)) for key in changed}
    areas = {key: Areas.of(clean[key], changed[key][1]) for key in changed}
    for rows, weights in draws.blocks(reals):
        for key, (_, logits) in changed.items():
            threshold = board.runs[key].facts.threshold
            before = shares(weights, clean[key] >= threshold)
            after = shares(weights, logits >= threshold)
            area = areas[key](weights, weights)[:, 0]
            values[key][:, rows] = np.stack([before, after, after - before, area])
    return values


def areas_under(board: Board, draws: Draws, condition: str, within: Indices) -> dict[Key, Floats]:
    """(arm, seed) -> (D + 1,) AUCs on those items of a condition that are in `within`.

    Both classes must be among them.
    """
    found = logits_of(board, condition)
    if not found:
        return {}
    items = next(iter(found.values()))[0]
    chosen = np.isin(items, within)
    fake = fakes_of(board.items)[items] & chosen
    real = chosen & ~fake
    areas = {key: Areas.of(pair[1][real], pair[1][fake]) for key, pair in found.items()}
    values = {key: np.empty(draws.rows) for key in areas}
    for rows, weights in draws.blocks(np.concatenate([items[real], items[fake]])):
        of_reals, of_fakes = np.split(weights, [int(real.sum())], axis=1)
        for key, area in areas.items():
            values[key][rows] = area(of_reals, of_fakes)[:, 0]
    return values


def blur_jpeg(board: Board, draws: Draws, measured: Measurements) -> tuple[BlurRow, ...]:
    """Every arm on every set as it is and under blur and JPEG; seeds that have both."""
    rows = []
    for name in set_names(board.items):
        of_set = measured[name, "frame"]
        few = lacking(of_set.reals, of_set.fakes)
        changed = {} if few else areas_under(board, draws, BLUR_JPEG, members_of(board.items, name))
        for arm in board.arms:
            before = of_set.rows(board, arm, "auc")
            seeds = tuple(s for s in before if (arm, s) in changed)
            clean = draws.mean([before[s] for s in seeds])
            after = draws.mean([changed[arm, s] for s in seeds])
            why = few or _why(board, arm, BLUR_JPEG)
            rows.append(
                BlurRow(
                    arm=arm,
                    set=name,
                    seeds=seeds,
                    clean=draws.estimate(clean, why),
                    changed=draws.estimate(after, why),
                    drop=draws.estimate(clean - after, why),
                )
            )
    return tuple(rows)
