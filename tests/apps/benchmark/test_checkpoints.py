"""`unmask evaluate --model`: trained weights on the tests of a protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from unmask.apps.benchmark import checkpoints, tabulate
from unmask.apps.benchmark import run as running
from unmask.apps.cli import app
from unmask.evaluation.comparison.verify import verify

PROTOCOL = "reenact->face_swap"


def evaluate(*words: object) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulate, "DRAWS", 100)
        return CliRunner().invoke(app, ["evaluate", "--no-sweep", *map(str, words)])


@pytest.fixture(scope="module")
def weights(done: Any) -> list[Path]:
    """The weights of two arms of the finished comparison."""
    trained = done.out.with_name("out.work") / "trained"
    return [trained / name / f"{name}.safetensors" for name in ("meso-0", "airl-0")]


@pytest.fixture(scope="module")
def evaluated(
    done: Any, weights: list[Path], index: Path, column: Path, tmp_path_factory: Any
) -> Path:
    out = Path(tmp_path_factory.mktemp("evaluated")) / "out"
    models = [word for path in weights for word in ("--model", path)]
    sides = ("--unseen", f"gan={column}", "--beside", "gan=ffhq")
    where = ("--index", f"synthetic={index}", "--out", out)
    said = evaluate("--protocol", PROTOCOL, *where, *models, *sides)
    assert said.exit_code == 0, said.output
    assert said.stdout.strip().endswith(str(out / "index.html"))
    return out


def test_the_scores_are_those_of_the_comparison(evaluated: Path, done: Any) -> None:
    assert (evaluated / "items.parquet").read_bytes() == (done.out / "items.parquet").read_bytes()
    for name, arm in (("meso-0", "meso"), ("airl-0", "airl")):
        mine = pl.read_parquet(evaluated / f"scores/{name}/seed-0.parquet")
        theirs = pl.read_parquet(done.out / f"scores/{arm}/seed-0.parquet")
        theirs = theirs.filter(~pl.col("condition").str.starts_with("sweep/"))
        assert mine["condition"].to_list() == theirs["condition"].to_list()
        np.testing.assert_allclose(mine["logit"], theirs["logit"], atol=1e-5)


def test_the_threshold_is_of_the_validation_reals_where_the_card_has_none(
    evaluated: Path, done: Any
) -> None:
    mine = json.loads((evaluated / "runs/meso-0/seed-0.json").read_text())
    theirs = json.loads((done.out / "runs/meso/seed-0.json").read_text())
    assert mine["threshold"] == pytest.approx(theirs["threshold"], abs=1e-5)
    assert mine["threshold_of"] == "validation reals"


def test_the_tables_hold(evaluated: Path) -> None:
    assert verify(evaluated) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "unmask-default"), "needs a --protocol"),
        (("--model", "unmask-default", "--protocol", PROTOCOL), "needs --out"),
        (("--model", "unmask-default", "--audit", "x.csv"), "two questions"),
        (("--unseen", "a=b"), "go with --model"),
        ((), "Say what to evaluate"),
    ],
)
def test_a_command_line_that_cannot_work(words: tuple[str, ...], message: str) -> None:
    said = evaluate(*words)
    assert said.exit_code == 2
    assert message in said.stderr


def test_a_folder_that_holds_something_is_left_alone(
    done: Any, weights: list[Path], index: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    where = ("--index", f"synthetic={index}", "--out", tmp_path, "--work", tmp_path / "work")
    said = evaluate("--protocol", PROTOCOL, "--model", weights[0], *where)
    assert said.exit_code == 2
    assert "not empty" in said.stderr


def test_thresholds_at_the_ends_have_a_logit() -> None:
    assert checkpoints._logit(0.5) == 0
    assert checkpoints._logit(1.0) > 100 > -100 > checkpoints._logit(0.0)


def test_a_killed_process_is_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", os._exit)
    call: Callable[..., str] = running._in_process
    for _ in range(2):  # the second is not met by the first's broken pool
        with pytest.raises(BrokenProcessPool):
            call(9, [])
