"""From score files to tables and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from unmask.apps.benchmark.run import SPECTRA, SpectraFile, read_plan
from unmask.apps.report.comparison import write_comparison
from unmask.apps.report.comparison_maps import MapFiles
from unmask.evaluation.comparison.result import write_result
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.tables import compare
from unmask.evaluation.compat_files import make_compat, write_compat
from unmask.evaluation.embedding import EmbeddingMap

DRAWS = 2000
"""Of the bootstrap: with fewer, twelve tests at once could not find anything."""


def tabulate(out: Path) -> Path:
    """Write result.json and the page of a comparison from what its folder holds.

    Returns:
        Path of the page.

    Raises:
        ConfigError: the folder holds no comparison.
        DatasetError: its files do not fit each other, or no run is there.
    """
    plan = read_plan(out)
    table = plan.table
    board = Board.read(out, arms=tuple(table.arms), seeds=table.seeds, protocol=plan.protocol)
    about = {
        "Table": f"{table.name}: {table.summary}",
        "Budget": table.budget,
        "Trained on": ", ".join(plan.families),
        "Pictures without a usable face": json.dumps(plan.dropped) if plan.dropped else "none",
    }
    return write_tables(out, board, table.reference, about)


def write_tables(out: Path, board: Board, reference: str, about: Mapping[str, str]) -> Path:
    """Write result.json and the page of runs.

    Args:
        out: where they lie, and pictures for the page.
        board: the runs.
        reference: the arm that the others are tested against.
        about: what all were given, in words.

    Returns:
        Path of the page.
    """
    result = compare(board, reference=reference, draws=DRAWS)
    write_result(out, result)
    compat = make_compat(out, board)
    if compat is not None:
        write_compat(out, compat)
    maps = {
        path.stem: EmbeddingMap.model_validate_json(path.read_bytes())
        for path in sorted((out / "embeddings").glob("*.json"))
    }
    spectra = out / SPECTRA
    return write_comparison(
        result,
        out,
        budget=about,
        runs=[run.facts for run in board.runs.values()],
        embeddings={arm: maps[arm] for arm in board.arms if arm in maps},
        spectra=SpectraFile.validate_json(spectra.read_bytes()) if spectra.is_file() else [],
        compat=compat,
        maps=MapFiles.read(out),
    )
