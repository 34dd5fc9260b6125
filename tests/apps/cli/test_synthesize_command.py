"""`unmask synthesize`: what it asks for, prints and ends with."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from unmask.apps.cli import app
from unmask.data.forging import run as forging
from unmask.data.forging import specimens
from unmask.data.forging.forgery import Settings
from unmask.data.forging.report import Missing, Report
from unmask.data.forging.run import Synthesized
from unmask.data.index import Index
from unmask.errors import DatasetError
from unmask.faces import mesh
from unmask.synthesis.families import SPECS

PICTURES = Path(__file__).parents[2] / "data"
Run = Callable[..., Result]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["synthesize", *map(str, words)])


@pytest.fixture
def reals(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    return folder


class Stub:
    """Stands for the work; says what it was asked."""

    missing: tuple[Missing, ...] = ()
    forgeries = 2
    error: BaseException | None = None

    def __call__(self, index: Index, out: Path, settings: Settings, **more: object) -> Synthesized:
        self.asked = (len(index), out, settings, more)
        if self.error:
            raise self.error
        made = Counter(dict.fromkeys(settings.families, self.forgeries))
        report = Report(settings, 2, 2, 2, made, Counter(mesh=2), list(self.missing))
        return Synthesized(out / "index.parquet" if self.forgeries else None, report)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(forging, "synthesize", made)
    return made


def test_the_index_is_printed_and_nothing_else(stub: Stub, reals: Path, tmp_path: Path) -> None:
    words = ("--family", "self_blend", "--family", "reupsample-nearest", "--per-face", 2)
    more = ("--seed", 7, "--limit", 9, "--encode", "jpeg", "--quality", 80, "--launder")
    done = run(reals, tmp_path / "out", *words, *more, "--resume", "--jobs", 3)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'out' / 'index.parquet'}\n")
    assert "4 forgeries beside 2 reals: self_blend 2, reupsample-nearest 2" in done.stderr
    count, out, settings, rest = stub.asked
    assert (count, out) == (2, tmp_path / "out")
    assert settings == Settings(
        families=("self_blend", "reupsample-nearest"), per_face=2, seed=7, limit=9,
        encode="jpeg", quality=80, launder=True,
        landmarks="mesh" if mesh.mesh_available() else "mean_shape",
    )  # fmt: skip
    assert (rest["resume"], rest["jobs"]) == (True, 3)


def test_all_is_every_family(stub: Stub, reals: Path, tmp_path: Path) -> None:
    assert run(reals, tmp_path / "out", "--family", "all").exit_code == 0
    assert stub.asked[2].families == tuple(SPECS)


def test_what_was_not_made_ends_with_3_and_its_reason(
    stub: Stub, reals: Path, tmp_path: Path
) -> None:
    stub.missing = (
        Missing("a.png", "", "no_face"),
        Missing("b.png", "morph", "no_donor"),
    )
    done = run(reals, tmp_path / "out", "--family", "self_blend")
    assert done.exit_code == 3
    assert "1 pictures gave none: no face was found (no_face)" in done.stderr
    assert "1 forgeries by morph were not made" in done.stderr
    assert "synthesis.json" in done.stderr


def test_nothing_made_ends_with_4(stub: Stub, reals: Path, tmp_path: Path) -> None:
    stub.forgeries, stub.missing = 0, (Missing("a.png", "", "no_face"),)
    done = run(reals, tmp_path / "out", "--family", "self_blend")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "there is no index" in done.stderr


def test_interrupted_ends_with_130_and_says_how_to_continue(
    stub: Stub, reals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["synthesize", str(reals), str(tmp_path / "out"), "--family", "self_blend"]
    monkeypatch.setattr(sys, "argv", ["unmask", *words])
    stub.error = KeyboardInterrupt()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 130
    assert f"Continue with: unmask {' '.join(words)} --resume" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "No family of forgeries is named"),
        (("--family", "unheard"), "Choose of: self_blend"),
        (("--family", "self_blend", "--quality", "0"), "quality"),
        (("--family", "self_blend", "--jobs", "0"), "jobs"),
    ],
)
def test_usage_errors_end_with_2(
    words: tuple[str, ...], message: str, stub: Stub, reals: Path, tmp_path: Path
) -> None:
    done = run(reals, tmp_path / "out", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_errors_of_the_work_end_with_2(stub: Stub, reals: Path, tmp_path: Path) -> None:
    stub.error = DatasetError("OUT holds something else.", "Choose another.")
    done = run(reals, tmp_path / "out", "--family", "self_blend")
    assert done.exit_code == 2
    assert "OUT holds something else.\n  Choose another." in done.stderr


def test_without_its_extra_it_names_it(
    monkeypatch: pytest.MonkeyPatch, reals: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = run(reals, tmp_path / "out", "--family", "self_blend")
    assert done.exit_code == 2
    assert "pip install 'unmask[data]'" in done.stderr


def test_a_gallery_alone_makes_no_data_set(
    stub: Stub, reals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def few(index: Index, settings: Settings, **_: object) -> list[specimens.Exhibit]:
        asked.append(settings.families)
        return [specimens.Exhibit("morph", SPECS["morph"], (), ("nobody there",))]

    monkeypatch.setattr(specimens, "specimens", few)
    done = run(reals, tmp_path / "out", "--gallery")
    page = tmp_path / "out" / "gallery.html"
    assert (done.exit_code, done.stdout) == (0, f"{page}\n")
    assert asked == [tuple(SPECS)]
    assert not hasattr(stub, "asked")
    assert "nobody there" in page.read_text()
    # a second time the page is replaced; what is not a gallery is not
    assert run(reals, tmp_path / "out", "--gallery").exit_code == 0
    page.write_text("a letter")
    done = run(reals, tmp_path / "out", "--gallery")
    assert (done.exit_code, page.read_text()) == (2, "a letter")


def test_a_killed_command_continues(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in sorted(PICTURES.glob("*.jpg")):
        (folder / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "out"
    words = [sys.executable, "-m", "unmask", "synthesize", str(folder), str(out)]
    words += ["--family", "self_blend", "--jobs", "1"]
    started = subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True)
    while started.poll() is None and not _lines(out / "faces.jsonl"):
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert not (out / "index.parquet").exists()
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{out / 'index.parquet'}\n"), done.stderr
    assert json.loads((out / "synthesis.json").read_text())["forgeries"] == {"self_blend": 4}


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_an_output_inside_the_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    done = run(tmp_path, tmp_path / "out", "--family", "self_blend")
    assert done.exit_code == 2
    assert "lies in IN" in done.stderr
    assert not (tmp_path / "out").exists()
