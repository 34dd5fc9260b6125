"""All tables of a comparison from its score files, and nothing else."""

from __future__ import annotations

from unmask.errors import ConfigError
from unmask.evaluation.comparison.breakdown import generators, sources
from unmask.evaluation.comparison.conditions import blur_jpeg, controls
from unmask.evaluation.comparison.draws import INTERVALS
from unmask.evaluation.comparison.layout import UNSEEN
from unmask.evaluation.comparison.metrics import main_table, measure, metric_rows
from unmask.evaluation.comparison.paired import comparisons
from unmask.evaluation.comparison.points import curves
from unmask.evaluation.comparison.result import AbsentRun, CoverageRow, Result
from unmask.evaluation.comparison.robustness import sweep
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.sets import counts_of, draws_of, set_names


def compare(
    board: Board, *, reference: str, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Result:
    """Every table of a comparison; the same board gives the same result.

    Args:
        board: items and runs.
        reference: the arm that the others are compared with.
        draws: of the bootstrap, at least 100. seed: of the draws.
        level: coverage of the intervals; 1 - level is where a verdict is given.

    Raises:
        ConfigError: the reference is no arm, or draws, seed or level cannot work.
        DatasetError: all items are of one cluster.
    """
    if reference not in board.arms:
        raise ConfigError(
            f"The reference {reference!r} is no arm.", f"The arms are {', '.join(board.arms)}."
        )
    drawn = draws_of(board.items, draws=draws, seed=seed, level=level)
    found = measure(board, drawn)
    return Result(
        protocol=board.protocol,
        reference=reference,
        draws=draws,
        seed=seed,
        level=level,
        arms=board.arms,
        seeds=board.seeds,
        intervals=INTERVALS,
        sets={name: counts_of(board.items, name) for name in set_names(board.items)},
        main=main_table(board, drawn, found),
        metrics=metric_rows(board, drawn, found),
        comparisons=comparisons(board, drawn, found, reference),
        generators=generators(board, drawn),
        sources=sources(board, drawn),
        controls=controls(board, drawn),
        blur_jpeg=blur_jpeg(board, drawn, found),
        sweep=sweep(board, drawn),
        curves=curves(board, found[UNSEEN, "frame"]),
        coverage=_coverage(board),
        absent=tuple(AbsentRun(arm=arm, seed=s) for arm, s in board.absent),
        files=dict(sorted(board.files.items())),
    )


def _coverage(board: Board) -> tuple[CoverageRow, ...]:
    return tuple(
        CoverageRow(
            arm=arm,
            seed=seed,
            listed=board.items.height,
            scored=len(board.runs[arm, seed].clean),
        )
        for arm in board.arms
        for seed in board.seeds_of(arm)
    )
