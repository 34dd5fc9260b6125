"""`unmask calibrate` on stand-ins: what counts, what is written, and every exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unmask.apps.cli import backend
from unmask.inference.own_reals import CalibrationFile

from .conftest import Command, FakeDetector


@pytest.fixture
def reals(folder: Path) -> Path:
    """Twelve reals in two folders, of which one scores as a fake does, and one occurs twice."""
    for name, count in (("phone", 8), ("archive", 4)):
        (folder / "own" / name).mkdir(parents=True)
        for k in range(count):
            word = "fake" if (name, k) == ("archive", 0) else "real"
            (folder / "own" / name / f"{k:02}.png").write_text(f"{word} {name} {k}")
    (folder / "own" / "phone" / "copy.png").write_text("real phone 0")
    return folder / "own"


def test_thresholds_by_folder(unmask: Command, reals: Path) -> None:
    done = unmask("calibrate", "own", "--out", "own.json", "--fpr", "0.25")
    assert done.exit_code == 0, done.output
    made = CalibrationFile.read(Path("own.json"))
    assert [(r.source, r.reals, r.flagged_before, r.flagged) for r in made.sources] == [
        ("own/archive", 4, 1, 1),
        ("own/phone", 8, 0, 0),
    ]
    assert made.left_out == {"same_content": 1}
    assert made.decision.flag < 0.5
    assert "own/archive" in done.stdout
    assert "Not counted, same_content: 1 (own/phone/copy.png)." in done.stderr
    assert "--calibration own.json" in done.stderr


def test_what_cannot_be_scored_is_counted_and_told(unmask: Command, reals: Path) -> None:
    (reals / "phone" / "none.png").write_text("noface")
    done = unmask("calibrate", "own", "--out", "own.json", "--fpr", "0.25")
    assert done.exit_code == 3
    assert json.loads(Path("own.json").read_text())["left_out"] == {
        "no_face": 1,
        "same_content": 1,
    }


def test_too_few_reals_write_nothing(unmask: Command, reals: Path) -> None:
    done = unmask("calibrate", "own", "--out", "own.json")
    assert done.exit_code == 2
    assert "12 reals were scored; a false-positive rate of 0.01 needs at least 100" in done.stderr
    assert not Path("own.json").exists()


def test_nothing_scored(unmask: Command, folder: Path) -> None:
    done = unmask("calibrate", "in/noface.png", "nowhere", "--out", "own.json")
    assert done.exit_code == 4
    assert "Not counted, missing: 1 (nowhere)." in done.stderr
    assert not Path("own.json").exists()


def test_an_existing_file_is_kept_unless_told(unmask: Command, reals: Path) -> None:
    Path("own.json").write_text("mine")
    words = ("calibrate", "own", "--out", "own.json", "--fpr", "0.25")
    done = unmask(*words)
    assert (done.exit_code, Path("own.json").read_text()) == (2, "mine")
    assert unmask(*words, "--overwrite").exit_code == 0
    assert unmask("calibrate", "own", "--out", "no/own.json").exit_code == 2


def test_scan_and_verify_pass_the_file_on(
    unmask: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, detector: FakeDetector
) -> None:
    given: list[object] = []

    def make(*words: object) -> FakeDetector:
        given.append(words[3])
        return detector

    monkeypatch.setattr(backend, "make_detector", make)
    assert unmask("scan", "in/real.png", "--out", "r.jsonl").exit_code == 0
    assert unmask("scan", "in/real.png", "--calibration", "own.json").exit_code == 0
    unmask("verify", "r.jsonl", "--calibration", "own.json")
    assert given == [None, Path("own.json"), Path("own.json")]
