"""From score files to tables and a page."""

from __future__ import annotations

import json
from pathlib import Path

from unmask.apps.benchmark.run import SPECTRA, SpectraFile, read_plan
from unmask.apps.report.comparison import write_comparison
from unmask.evaluation.comparison.result import write_result
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.tables import compare
from unmask.evaluation.embedding import EmbeddingMap

DRAWS = 2000
"""Of the bootstrap: with fewer, twelve tests at once could not find anything."""


def tabulate(out: Path) -> Path:
    """Write result.json and the page of an output folder from what it holds.

    Returns:
        Path of the page.

    Raises:
        ConfigError: the folder holds no comparison.
        DatasetError: its files do not fit each other, or no run is there.
    """
    plan = read_plan(out)
    table = plan.table
    board = Board.read(out, arms=tuple(table.arms), seeds=table.seeds, protocol=plan.protocol)
    result = compare(board, reference=table.reference, draws=DRAWS)
    write_result(out, result)
    maps = {
        path.stem: EmbeddingMap.model_validate_json(path.read_bytes())
        for path in sorted((out / "embeddings").glob("*.json"))
    }
    spectra = out / SPECTRA
    return write_comparison(
        result,
        out,
        budget={
            "Table": f"{table.name}: {table.summary}",
            "Budget": table.budget,
            "Trained on": ", ".join(plan.families),
            "Pictures without a usable face": json.dumps(plan.dropped) if plan.dropped else "none",
        },
        runs=[run.facts for run in board.runs.values()],
        embeddings={arm: maps[arm] for arm in table.arms if arm in maps},
        spectra=SpectraFile.validate_json(spectra.read_bytes()) if spectra.is_file() else [],
    )
