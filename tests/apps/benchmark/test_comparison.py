"""A comparison end to end, small: what it writes, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from click.testing import Result

from unmask.apps.benchmark import one
from unmask.data.index import index_of, read_index, write_index
from unmask.data.items import items_of
from unmask.evaluation.conditions import rendered
from unmask.metrics.calibration import threshold_at_fpr
from unmask.models.checkpoint import load_checkpoint, predict
from unmask.transforms.preprocess import to_tensors, to_views

Command = Callable[..., Result]
CONTROLS = ("control/re-encoded", "control/blurred", "control/grid-shifted")


def untrained(*_: object, **__: object) -> Path:
    raise AssertionError("a run was trained again")


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one, "train_on", untrained)


def undo(out: Path, arm: str, seed: int, *, weights: bool = False) -> None:
    """Take back what a run wrote last; on request what it trained, too."""
    (out / f"runs/{arm}/seed-{seed}.json").unlink()
    if weights:
        shutil.rmtree(out.with_name(f"{out.name}.work") / f"trained/{arm}-{seed}")


def result(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "result.json").read_text()))


def test_everything_is_written(done: Any) -> None:
    found = {p.relative_to(done.out).as_posix() for p in done.out.rglob("*") if p.is_file()}
    runs = [(arm, seed) for arm in ("airl", "meso") for seed in (0, 1)]
    assert found == {
        "plan.json", "items.parquet", "spectra.json", "result.json", "index.html",
        *(f"embeddings/{arm}.json" for arm in ("airl", "meso")),
        *(f"scores/{arm}/seed-{seed}.parquet" for arm, seed in runs),
        *(f"runs/{arm}/seed-{seed}.json" for arm, seed in runs),
    }  # fmt: skip
    assert done.said.stdout.splitlines()[-1] == str(done.out / "index.html")
    assert result(done.out)["absent"] == []
    groups = [g["group"] for g in json.loads((done.out / "spectra.json").read_text())]
    assert groups == ["real", "face_swap", "reenact"]
    assert "3 of 3 stylegan2 pictures are left out, being smaller than 128" in done.said.stderr
    embedding = json.loads((done.out / "embeddings/meso.json").read_text())
    assert sorted(set(embedding["group"])) == ["face_swap", "real", "reenact", "stylegan2"]
    assert len(embedding["group"]) == 2 * 4
    page = (done.out / "index.html").read_text()
    assert str(done.out.parent) not in page


def test_items_are_of_the_sets_they_are_tested_in(done: Any) -> None:
    items = pl.read_parquet(done.out / "items.parquet")
    found: dict[str, list[list[str]]] = {}
    for row in items.unique(("family", "source")).to_dicts():
        found.setdefault(row["family"], []).append(sorted(row["sets"]))
    assert sorted(found.pop("")) == [["gan", "seen", "unseen"], ["seen", "unseen"]]
    assert found == {
        "reenact": [["seen"]] * 2, "face_swap": [["unseen"]] * 2, "stylegan2": [["gan"]]
    }  # fmt: skip
    beside = items.filter((pl.col("label") == 0) & pl.col("sets").list.contains("gan"))
    assert beside["source"].unique().to_list() == ["ffhq"]
    assert not [path for path in items["path"] if path.startswith("/")]


def test_conditions_cover_what_they_should(done: Any) -> None:
    items = pl.read_parquet(done.out / "items.parquet")
    reals = items.filter(pl.col("label") == 0).height
    whole = {"clean": items.height, "blur+jpeg": items.height, **dict.fromkeys(CONTROLS, reals)}
    for seed in (0, 1):
        scores = pl.read_parquet(done.out / f"scores/meso/seed-{seed}.parquet")
        counts = dict(scores.group_by("condition").len().rows())
        swept = {name: n for name, n in counts.items() if name.startswith("sweep/")}
        assert counts == whole | swept
        assert len(swept) == (11 if seed == 0 else 0)
        assert set(swept.values()) == ({2} if seed == 0 else set())


def test_logits_are_of_the_items_they_stand_beside(done: Any, index: Path, column: Path) -> None:
    """Every score anew, by the literal definition, from the pictures named in items.parquet."""
    items = pl.read_parquet(done.out / "items.parquet").to_dicts()
    work = done.out.with_name("out.work")
    model, card = load_checkpoint(work / "trained/meso-0/meso-0.safetensors")

    def logit(image: np.ndarray[Any, Any]) -> float:
        tensors = to_tensors([to_views(image, card.input)], card.input)
        return float(predict(model, tensors)[0][0])

    table = read_index(index).table.select("path", "landmarks").rows()
    points = {path: np.array(five, np.float32).reshape(5, 2) for path, five in table}
    small = next(iter(points.values())) * np.float32(72 / 136)
    scores = pl.read_parquet(done.out / "scores/meso/seed-0.parquet")
    for condition in ("clean", "blur+jpeg", "control/grid-shifted", "sweep/gaussian_blur/3"):
        for number, given in scores.filter(condition=condition).select("item", "logit").rows():
            row = items[number]
            root = column.parent if row["dataset"] == "gan" else index.parent
            image = cv2.imread(str(root / row["path"]))[..., ::-1]
            five = points.get(row["path"], small)
            expected = logit(rendered(condition, np.ascontiguousarray(image), five, number))
            assert given == pytest.approx(expected, abs=1e-4), (condition, row["path"])


def test_the_threshold_is_of_the_validation_reals(done: Any, index: Path) -> None:
    facts = json.loads((done.out / "runs/airl/seed-1.json").read_text())
    work = done.out.with_name("out.work")
    model, card = load_checkpoint(work / "trained/airl-1/airl-1.safetensors")
    logits = []
    val = [i for i in items_of(read_index(index)) if i.split == "val" and i.label == 0]
    for number, item in enumerate(val):
        image = np.ascontiguousarray(cv2.imread(str(item.path))[..., ::-1])
        five = np.array(item.landmarks, np.float32).reshape(5, 2)
        views = to_views(rendered("clean", image, five, number), card.input)
        logits.append(float(predict(model, to_tensors([views], card.input))[0][0]))
    assert facts["threshold"] == pytest.approx(threshold_at_fpr(np.array(logits), 0.05), abs=1e-4)


def test_verify_agrees_until_a_logit_is_changed(done: Any, unmask: Command, tmp_path: Path) -> None:
    out = done.copy(tmp_path / "copy")
    agrees = unmask("--verify", out)
    assert (agrees.exit_code, agrees.stdout) == (0, f"{out}: the tables hold\n")
    path = out / "scores/meso/seed-1.parquet"
    first = (pl.col("condition") == "clean") & (pl.col("item") == 0)
    logit = pl.when(first).then(pl.col("logit") + 50).otherwise(pl.col("logit"))
    table = pl.read_parquet(path).with_columns(logit.cast(pl.Float32).alias("logit"))
    table.write_parquet(path, metadata={"arm": "meso", "seed": "1"})
    differs = unmask("--verify", out)
    assert differs.exit_code == 1
    assert "files['scores/meso/seed-1.parquet']" in differs.stderr
    assert "differences" in differs.stdout


def test_the_tables_alone_are_what_they_were(done: Any, unmask: Command, tmp_path: Path) -> None:
    out = done.copy(tmp_path / "copy")
    (out / "result.json").unlink()
    (out / "index.html").unlink()
    assert unmask("--out", out, "--tables-only").exit_code == 0
    for name in ("result.json", "index.html"):
        assert (out / name).read_bytes() == (done.out / name).read_bytes()


@pytest.mark.usefixtures("no_training")
def test_a_second_run_is_refused_and_resumes_to_nothing(done: Any, benchmark: Command) -> None:
    again = benchmark(done.out, done.table)
    assert again.exit_code == 2
    assert "already holds a comparison" in again.stderr
    before = {p: p.read_bytes() for p in done.out.rglob("*") if p.is_file()}
    resumed = benchmark(done.out, done.table, "--resume")
    assert resumed.exit_code == 0
    assert "4 runs, 4 of them done" in resumed.stderr
    assert {p: p.read_bytes() for p in done.out.rglob("*") if p.is_file()} == before


@pytest.mark.usefixtures("no_training")
def test_what_was_trained_is_scored_without_training(
    done: Any, benchmark: Command, tmp_path: Path
) -> None:
    """Killed between training and facts: the same scores, and the first seed's sweep again."""
    out = done.copy(tmp_path / "copy")
    undo(out, "airl", 0)
    resumed = benchmark(out, done.table, "--resume", "--seeds", "1,0")
    assert resumed.exit_code == 0, resumed.output
    for name in ("scores/airl/seed-0.parquet", "result.json"):
        kept = (done.out / name).read_bytes()
        assert name == "result.json" or (out / name).read_bytes() == kept


def test_an_arm_and_a_seed_join(
    done: Any, benchmark: Command, write_table: Callable[..., Path], tmp_path: Path
) -> None:
    """Sweep and embedding stay those of the whole plan's first seed."""
    out = done.copy(tmp_path / "copy")
    arms = json.loads((out / "plan.json").read_text())["table"]["arms"]
    new = {"model": "meso4", "model_options": {"size": 64, "dropout": 0.1}}
    table = write_table(tmp_path, arms=arms | {"new": new})
    grown = benchmark(out, table, "--resume", "--seeds", "2", "--arms", "new")
    assert grown.exit_code == 0, grown.output
    assert "1 runs, 0 of them done" in grown.stderr
    kept = json.loads((out / "plan.json").read_text())["table"]
    assert (list(kept["arms"]), kept["seeds"]) == (["meso", "airl", "new"], [0, 1, 2])
    absent = [(run["arm"], run["seed"]) for run in result(out)["absent"]]
    assert absent == [("meso", 2), ("airl", 2), ("new", 0), ("new", 1)]
    names = pl.read_parquet(out / "scores/new/seed-2.parquet")["condition"].unique().to_list()
    assert sorted(names) == sorted(["clean", "blur+jpeg", *CONTROLS])
    assert not (out / "embeddings/new.json").exists()


@pytest.mark.usefixtures("no_training")
def test_another_index_is_refused(
    done: Any, benchmark: Command, face_row: Any, all_rows: Any, tmp_path: Path
) -> None:
    rows = [*all_rows(tmp_path), face_row(tmp_path, "real/new", "new", "test")]
    write_index(index_of(tmp_path, rows), tmp_path / "index.parquet")
    other = benchmark(done.out, done.table, "--resume", index=tmp_path / "index.parquet")
    assert other.exit_code == 2
    assert "differs in the pictures" in other.stderr
    work = done.out.with_name("out.work")
    own = benchmark(tmp_path / "own", done.table, "--work", work, index=tmp_path / "index.parquet")
    assert own.exit_code == 2
    assert "holds views and runs of other pictures" in own.stderr


@pytest.mark.usefixtures("no_training")
def test_weights_of_another_configuration_are_not_scored(
    done: Any, benchmark: Command, write_table: Callable[..., Path], tmp_path: Path
) -> None:
    optim = {"epochs": 1, "batch_size": 4, "contrastive_weight": 0, "learning_rate": 1e-3}
    data = {"side": 64, "native_size": 64, "ramp_epochs": 0, "workers": 0}
    table = write_table(tmp_path, common={"data": data, "optim": optim})
    work = done.out.with_name("out.work")
    chosen = ("--arms", "meso", "--seeds", "1", "--work", work)
    said = benchmark(tmp_path / "out", table, *chosen)
    assert said.exit_code != 0
    assert "was trained with another configuration" in said.stderr
    assert not list((tmp_path / "out").glob("scores/*/*"))


@pytest.mark.parametrize("where", ["train_on", "write_facts"])
def test_a_failing_run_leaves_the_others_their_tables(
    done: Any, benchmark: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: object, **__: object) -> Path:
        raise KeyError("no such thing")

    out = done.copy(tmp_path / "copy")
    undo(out, "airl", 1, weights=where == "train_on")
    monkeypatch.setattr(one, where, broken)
    failed = benchmark(out, done.table, "--resume")
    assert failed.exit_code == 3, failed.output
    assert "unmask: airl-1: 'no such thing'" in failed.stderr
    assert result(out)["absent"] == [{"arm": "airl", "seed": 1}]
    assert not (out / "scores/airl/seed-1.parquet").exists()
    log = (out.with_name("copy.work") / "logs/airl-1.log").read_text()
    assert "KeyError: 'no such thing'" in log
