"""`unmask benchmark`: command lines that cannot work. End to end: tests/apps/benchmark."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from unmask.apps.cli import app
from unmask.apps.cli import benchmark as module

PROTOCOL = "reenact->face_swap"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["benchmark", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((PROTOCOL,), "--out is missing"),
        (("--out", "OUT"), "A PROTOCOL is missing"),
        (("nothing", "--out", "OUT"), "nothing"),
        ((PROTOCOL, "--out", "OUT"), "needs an index of synthetic"),
        ((PROTOCOL, "--out", "OUT", "--index", "x"), "must be DATASET=INDEX"),
        ((PROTOCOL, "--out", "OUT", "--table", "none"), "There is no table 'none'"),
        ((PROTOCOL, "--out", "OUT", "--arms", "airl,x"), "has no arm x"),
        ((PROTOCOL, "--out", "OUT", "--seeds", "0,a"), "--seeds takes whole numbers, not 'a'"),
        ((PROTOCOL, "--out", "OUT", "--seeds", "²"), "--seeds takes whole numbers"),
        ((PROTOCOL, "--out", "OUT", "--seeds", "1,1"), "Seeds must differ"),
        ((PROTOCOL, "--out", "OUT", "--unseen", "x"), "--unseen x must be NAME=FAKES"),
        ((PROTOCOL, "--out", "OUT", "--beside", "=x"), "--beside =x must be NAME=SOURCE"),
        (
            (PROTOCOL, "--out", "OUT", "--unseen", "a=x", "--unseen", "a=y"),
            "--unseen a is given twice",
        ),
        ((PROTOCOL, "--out", "OUT", "--jobs", "0"), "--jobs"),
        ((PROTOCOL, "--out", "OUT", "--precision", "float16"), "--precision"),
        (("--out", "OUT", "--tables-only"), "holds no comparison: it has no plan.json"),
        (("--verify", "OUT"), "result.json"),
    ],
)
def test_a_command_line_that_cannot_work(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out"
    done = run(*(str(out) if word == "OUT" else word for word in words))
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert not out.exists()


def test_the_optional_part_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = run(PROTOCOL, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "pip install 'unmask[train]'" in done.stderr


@pytest.mark.parametrize("out", [".", "./", "a/..", "b"])
def test_work_lies_beside_the_output_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    seen: list[Path] = []
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(module, "_run", lambda *_, work, **__: seen.append(work) or [])
    monkeypatch.setattr(module, "_tabulate", lambda out: None)
    assert run(PROTOCOL, "--out", out).exit_code == 0
    assert seen == [tmp_path / ("here/b.work" if out == "b" else "here.work")]
