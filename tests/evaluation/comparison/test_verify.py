"""A result is believed only if its score files give it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.errors import DatasetError
from unmask.evaluation.comparison.result import read_result, write_result
from unmask.evaluation.comparison.scores import (
    Board,
    facts_path,
    items_path,
    scores_path,
    write_facts,
    write_items,
    write_scores,
)
from unmask.evaluation.comparison.tables import compare
from unmask.evaluation.comparison.verify import verify


@pytest.fixture
def out(tmp_path: Path, board: Board, make) -> Path:
    write_items(tmp_path, board.items)
    for (arm, seed), run in board.runs.items():
        write_scores(tmp_path, arm, seed, run.scores, board.items)
        write_facts(tmp_path, make.facts(arm, seed))
    read = Board.read(tmp_path, arms=board.arms, seeds=board.seeds, protocol="made")
    write_result(tmp_path, compare(read, reference="one", draws=100))
    return tmp_path


def _edit(out: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads((out / "result.json").read_text())
    change(data)
    (out / "result.json").write_text(json.dumps(data))


def test_a_result_agrees_with_its_files(out: Path, board: Board) -> None:
    assert verify(out) == []
    stated = read_result(out)
    assert len(stated.files) == 1 + 2 * len(board.runs)
    assert stated.main == compare(board, reference="one", draws=100).main


def test_a_changed_logit_is_found(out: Path) -> None:
    path = scores_path(out, "two", 1)
    table = pl.read_parquet(path)
    first = (pl.col("condition") == "clean") & (pl.col("item") == 0)
    moved = pl.when(first).then(pl.col("logit") + 9).otherwise(pl.col("logit"))
    metadata = {"arm": "two", "seed": "1"}
    table.with_columns(logit=moved).write_parquet(path, metadata=metadata)
    found = verify(out)
    assert any(line.startswith("files['scores/two/seed-1.parquet']") for line in found)
    assert any(line.startswith("main[1].auc.unseen.per_seed[1].value: 0.") for line in found)
    assert not any(line.startswith("main[0]") for line in found)


def test_the_same_scores_in_other_bytes_are_found(out: Path) -> None:
    path = items_path(out)
    pl.read_parquet(path).write_parquet(path, compression="snappy")
    (line,) = verify(out)
    assert line.startswith("files['items.parquet']: ")


def test_a_changed_number_is_found(out: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["sweep"]["means"][0]["auc"]["value"] += 1e-6

    _edit(out, change)
    (line,) = verify(out)
    assert line.startswith("sweep.means[0].auc.value: ")


def test_rounding_of_the_last_digits_is_no_difference(out: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["metrics"][0]["brier"]["value"] *= 1 + 1e-12

    _edit(out, change)
    assert verify(out) == []


def test_a_number_made_null_is_found(out: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["main"][0]["auc"]["seen"]["mean"].update(
            value=None, low=None, high=None, reason="hidden"
        )

    _edit(out, change)
    assert len(verify(out)) == 4


def test_a_row_left_out_is_found(out: Path) -> None:
    _edit(out, lambda data: data["controls"].pop())
    (line,) = verify(out)
    assert line == "controls: 5 entries in result.json, 6 when computed again"


def test_a_run_taken_away_is_found(out: Path) -> None:
    scores_path(out, "one", 2).unlink()
    facts_path(out, "one", 2).unlink()
    found = verify(out)
    assert "files['runs/one/seed-2.json']: in result.json, but not when computed again" in found
    assert "absent: 2 entries in result.json, 3 when computed again" in found


def test_files_that_cannot_be_read_are_a_difference(out: Path) -> None:
    scores_path(out, "one", 0).write_bytes(b"no")
    (line,) = verify(out)
    assert "no Parquet file" in line


def test_results_that_follow_no_schema_are_refused(out: Path) -> None:
    _edit(out, lambda data: data.update(schema="unmask.benchmark/2"))
    with pytest.raises(DatasetError, match=r"does not follow unmask.benchmark/1: schema"):
        verify(out)
    (out / "result.json").unlink()
    with pytest.raises(DatasetError, match=r"result.json cannot be read"):
        verify(out)


def test_tables_need_no_torch() -> None:
    code = "import sys, unmask.evaluation.comparison.verify; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
