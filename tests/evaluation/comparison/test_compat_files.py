"""compat.json is what `compat_table` gives for every run, and follows from its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from unmask.errors import DatasetError
from unmask.evaluation.comparison.result import write_result
from unmask.evaluation.comparison.scores import Board, write_facts, write_items, write_scores
from unmask.evaluation.comparison.tables import compare
from unmask.evaluation.compat import compat_table
from unmask.evaluation.compat_files import (
    CompatFile,
    compat_path,
    epochs_path,
    expected_path,
    first_frames_of,
    make_compat,
    read_epochs,
    verify_compat,
    write_compat,
    write_epochs,
    write_expected,
)
from unmask.evaluation.compat_row import Bootstrap

FEW = Bootstrap(draws=100, seed=3, level=0.9)
LOST = {"video_id": "lost", "label": 1, "cluster": "nobody", "sets": ["unseen"]}
Folder = tuple[Path, Board]


def epochs_of(items: pl.DataFrame) -> pl.DataFrame:
    """Three epochs on `unseen`; validation likes epoch 1, the test epoch 2."""
    unseen = items.filter(pl.col("sets").list.contains("unseen"))
    rng = np.random.default_rng(0)
    tables = []
    for epoch, (auc, gain) in enumerate(((0.6, 0.0), (0.9, 1.0), (0.8, 3.0))):
        logits = gain * unseen["label"].to_numpy() + rng.normal(size=unseen.height)
        columns = {"epoch": epoch, "val_auc": auc, "item": unseen["item"], "logit": logits}
        tables.append(pl.DataFrame(columns))
    return pl.concat(tables)


@pytest.fixture
def folder(tmp_path: Path, make) -> Folder:
    """Two runs, one of them with epochs; a fake of `unseen` has no score."""
    table = make.items(people=12, frames=8)
    logits = {("one", seed): make.noisy(table, 1.0, seed) for seed in (0, 1)}
    made = make.board(table, logits, ("one",), (0, 1))
    write_items(tmp_path, made.items)
    for (arm, seed), run in made.runs.items():
        write_scores(tmp_path, arm, seed, run.scores, made.items)
        write_facts(tmp_path, make.facts(arm, seed))
    board = Board.read(tmp_path, arms=("one",), seeds=(0, 1), protocol="made")
    write_result(tmp_path, compare(board, reference="one", draws=100))
    sets = pl.col("sets").list.filter(pl.element() != "stylegan")
    videos = table.select("video_id", "label", "cluster", sets).unique()
    videos = videos.filter(pl.col("sets").list.len() > 0)
    write_expected(tmp_path, pl.concat([videos, pl.DataFrame([LOST])], how="vertical_relaxed"))
    write_epochs(tmp_path, "one", 0, epochs_of(table))
    return tmp_path, board


@pytest.fixture
def written(folder: Folder) -> CompatFile:
    found = make_compat(*folder, FEW)
    assert found is not None
    write_compat(folder[0], found)
    return found


def test_rows_are_those_of_every_run_and_test_of_the_protocol(
    folder: Folder, written: CompatFile
) -> None:
    out, board = folder
    keys = [(run.arm, run.seed, run.set) for run in written.runs]
    assert keys == [("one", seed, name) for seed in (0, 1) for name in ("seen", "unseen")]
    expected = pl.read_parquet(expected_path(out))
    for run in written.runs:
        epochs = read_epochs(out, "one", 0) if (run.seed, run.set) == (0, "unseen") else None
        rows = compat_table(
            board.items,
            board.runs[run.arm, run.seed].scores,
            frames=2,
            set_name=run.set,
            per_epoch=epochs,
            expected=expected.filter(pl.col("sets").list.contains(run.set)),
            bootstrap=FEW,
        )
        assert list(run.rows) == rows
    rows = {row.variant: row for row in written.runs[1].rows}
    assert rows["test_selected"].detail == "of 3 epochs, validation chooses 1 and the test 2"
    assert rows["dropped_faces"].coverage == pytest.approx(24 / 25)
    assert (written.frames, written.draws, written.seed, written.level) == (2, 100, 3, 0.9)
    assert set(written.files) == {"expected.parquet", "epochs/one/seed-0.parquet"}


def test_without_compat_there_is_nothing(folder: Folder) -> None:
    out, board = folder
    expected_path(out).unlink()
    assert make_compat(out, board, FEW) is None
    assert verify_compat(out) == []


@pytest.mark.parametrize(("frames", "wanted"), [(32, 8), (8, 2), (2, 1), (1, 1)])
def test_first_frames_are_a_quarter(make, frames: int, wanted: int) -> None:
    assert first_frames_of(make.items(people=2, frames=frames)) == wanted


def test_what_agrees_is_verified(folder: Folder, written: CompatFile) -> None:
    assert verify_compat(folder[0]) == []
    again = CompatFile.model_validate_json(compat_path(folder[0]).read_bytes())
    assert again == written


def test_a_changed_number_and_a_changed_file_are_found(folder: Folder, written: CompatFile) -> None:
    out, board = folder
    data = json.loads(compat_path(out).read_text())
    data["runs"][1]["rows"][2]["inflation"]["value"] += 1e-3
    compat_path(out).write_text(json.dumps(data))
    (line,) = verify_compat(out)
    assert line.startswith("compat.json['runs'][1]['rows'][2]['inflation']['value']: ")
    write_compat(out, written)
    write_epochs(out, "one", 0, epochs_of(board.items).with_columns(logit=-pl.col("logit")))
    lines = verify_compat(out)
    assert any("epochs/one/seed-0.parquet" in line for line in lines)
    assert any("['flawed']['value']" in line for line in lines)


def test_what_is_missing_is_said(folder: Folder, written: CompatFile) -> None:
    out, _ = folder
    compat_path(out).unlink()
    assert verify_compat(out) == ["compat.json cannot be read: No such file or directory"]
    compat_path(out).write_text("{}")
    (line,) = verify_compat(out)
    assert line.startswith("compat.json does not follow unmask.compat/1")
    write_compat(out, written)
    expected_path(out).unlink()
    assert verify_compat(out) == ["compat.json is there, but not expected.parquet"]


def test_epochs_that_do_not_fit_are_refused(folder: Folder) -> None:
    out, board = folder
    path = epochs_path(out, "one", 0)
    epochs_path(out, "one", 1).write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="holds epochs of arm 'one', seed '0'"):
        read_epochs(out, "one", 1)
    table = epochs_of(board.items)
    first = pl.col("item") == table["item"][0]
    write_epochs(out, "one", 1, table.with_columns(val_auc=pl.when(first).then(0.1).otherwise(0.2)))
    with pytest.raises(DatasetError, match="epoch 0 has two validation AUCs"):
        read_epochs(out, "one", 1)
    with pytest.raises(DatasetError, match="lacks the columns val_auc"):
        write_epochs(out, "one", 1, table.drop("val_auc"))
    write_epochs(out, "one", 1, table.filter(~first))
    with pytest.raises(DatasetError, match="no finite clean score"):
        make_compat(out, board, FEW)
    assert read_epochs(out, "two", 0) is None
