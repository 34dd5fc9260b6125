"""Every metric of every run on a set, for all draws: what Table I and the metric rows rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unmask.evaluation.comparison.draws import NO_RUN, Draws, Flags
from unmask.evaluation.comparison.layout import SEEN
from unmask.evaluation.comparison.result import (
    Cell,
    Estimate,
    Level,
    MainRow,
    MetricRow,
    SeedValue,
)
from unmask.evaluation.comparison.scores import Board, Key
from unmask.evaluation.comparison.sets import Units, lacking, set_names
from unmask.metrics.calibration import calibration_errors
from unmask.metrics.curve import Floats, Ranked

METRICS = (
    "auc",
    "average_precision",
    "equal_error_rate",
    "balanced_accuracy",
    "tpr_at_fpr_1_percent",
    "tpr_at_fpr_01_percent",
    "fpr",
    "tpr",
    "ece",
    "brier",
)
"""Names of the rows of `Measured.values`."""


@dataclass(frozen=True)
class Measured:
    """A set at one level.

    Attributes:
        reals, fakes: number of frames or videos.
        values: (arm, seed) -> (10, D + 1), rows as `METRICS`; empty where a class is missing.
    """

    reals: int
    fakes: int
    values: Mapping[Key, Floats]

    def rows(self, board: Board, arm: str, metric: str) -> dict[int, Floats]:
        """Seed -> (D + 1,) of an arm; empty without runs."""
        row = METRICS.index(metric)
        if not self.values:
            return {}
        return {seed: self.values[arm, seed][row] for seed in board.seeds_of(arm)}


Measurements = Mapping[tuple[str, Level], Measured]


def measure(board: Board, draws: Draws) -> Measurements:
    """(set, level) -> all metrics of all runs."""
    found: dict[tuple[str, Level], Measured] = {}
    for name in set_names(board.items):
        frames, videos = Units.frames(board.items, name), Units.videos(board.items, name)
        found[name, "frame"] = _measured(board, draws, frames)
        # where every video is one frame, the frames' ranking is the videos'
        same = len(videos.first) == len(frames.first)
        found[name, "video"] = found[name, "frame"] if same else _measured(board, draws, videos)
    return found


def _measured(board: Board, draws: Draws, units: Units) -> Measured:
    reals, fakes = units.counts
    if not reals or not fakes:
        return Measured(reals, fakes, {})
    judged = {key: units.judged(run) for key, run in board.runs.items()}
    ranked = {key: Ranked.of(units.fake, scores) for key, (scores, _, _) in judged.items()}
    values = {key: np.full((len(METRICS), draws.rows), np.nan) for key in judged}
    for rows, weights in draws.blocks(units.first):
        kept = (weights[:, units.fake].sum(1) > 0) & (weights[:, ~units.fake].sum(1) > 0)
        place = np.arange(rows.start, rows.stop)[kept]
        weights = weights[kept]
        for key, (_, probabilities, threshold) in judged.items():
            values[key][:, place] = _metrics(
                ranked[key], units.fake, probabilities, threshold, weights
            )
    return Measured(reals, fakes, values)


def _metrics(
    ranked: Ranked, fake: Flags, probabilities: Floats, threshold: float, weights: Floats
) -> Floats:
    curves = ranked.curves(weights)
    false, true = curves.rates_at(threshold)
    y = fake.astype(np.float64)
    columns = {
        "auc": curves.auc(),
        "average_precision": curves.average_precision(),
        "equal_error_rate": curves.equal_error_rate(),
        "balanced_accuracy": (true + 1 - false) / 2,
        "tpr_at_fpr_1_percent": curves.tpr_at_fpr(0.01),
        "tpr_at_fpr_01_percent": curves.tpr_at_fpr(0.001),
        "fpr": false,
        "tpr": true,
        "ece": calibration_errors(y, probabilities, weights),
        "brier": (weights * (y - probabilities) ** 2).sum(1) / weights.sum(1),
    }
    return np.stack([columns[name] for name in METRICS])


def why_missing(board: Board, arm: str, measured: Measured) -> str:
    """Why a number of an arm on a set is null."""
    return lacking(measured.reals, measured.fakes) or (
        NO_RUN if not board.seeds_of(arm) else "a number is not finite"
    )


def cell(draws: Draws, rows: Mapping[int, Floats], missing: str) -> Cell:
    """Mean over seeds of (D + 1,) rows with its interval, and each seed's own value."""
    return Cell(
        mean=draws.estimate(draws.mean(list(rows.values())), missing),
        per_seed=tuple(SeedValue(seed=s, value=float(row[0])) for s, row in rows.items()),
    )


def main_table(board: Board, draws: Draws, found: Measurements) -> tuple[MainRow, ...]:
    """Table I, an arm a row."""
    rows = []
    for arm in board.arms:
        auc, drop = {}, {}
        seen = found[SEEN, "frame"]
        on_seen = seen.rows(board, arm, "auc")
        for name in set_names(board.items):
            measured = found[name, "frame"]
            missing = why_missing(board, arm, measured)
            here = measured.rows(board, arm, "auc")
            auc[name] = cell(draws, here, missing)
            if name != SEEN:
                both = {s: on_seen[s] - here[s] for s in here if s in on_seen}
                why = missing if not here else f"{SEEN}: {why_missing(board, arm, seen)}"
                drop[name] = cell(draws, both, why)
        rows.append(MainRow(arm=arm, auc=auc, drop=drop))
    return tuple(rows)


def metric_rows(board: Board, draws: Draws, found: Measurements) -> tuple[MetricRow, ...]:
    """All metrics by arm, set and level."""
    return tuple(
        _metric_row(board, draws, arm, name, level, found[name, level])
        for arm in board.arms
        for name, level in found
    )


def _metric_row(
    board: Board, draws: Draws, arm: str, name: str, level: Level, measured: Measured
) -> MetricRow:
    missing = why_missing(board, arm, measured)

    def estimate(metric: str) -> Estimate:
        return draws.estimate(draws.mean(list(measured.rows(board, arm, metric).values())), missing)

    return MetricRow(
        arm=arm,
        set=name,
        level=level,
        reals=measured.reals,
        fakes=measured.fakes,
        notes=_notes(measured.reals),
        **{metric: estimate(metric) for metric in METRICS},
    )


def _notes(reals: int) -> tuple[str, ...]:
    return tuple(
        f"{reals} reals, fewer than {least}: TPR at {share} FPR allows no false alarm at all, and "
        "is the share of fakes above the highest real."
        for share, least in (("1%", 100), ("0.1%", 1000))
        if 0 < reals < least
    )
