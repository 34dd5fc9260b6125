"""`unmask evaluate --audit`: options, output, exit codes."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from unmask.apps.cli import app
from unmask.data.index import index_of, write_index


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """`pictures(root, fake=".jpg")`: real/ and fake/x/ with ten stills each; its folder."""

    def make(root: str = "set", fake: str = ".png") -> Path:
        base, rng = tmp_path / root, np.random.default_rng(0)
        for kind, suffix in (("real", ".png"), ("fake/x", fake)):
            (base / kind).mkdir(parents=True)
            for number in range(10):
                noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
                Image.fromarray(noise).save(base / kind / f"{kind[0]}{number}{suffix}")
        return base

    return make


def table(base: Path) -> Path:
    """A CSV beside the pictures."""
    lines = ["path,label,split,source,generator,identity"]
    for path in sorted(base.rglob("*.*")):
        number = int(path.stem[1:])
        side = ("train", "val", "test")[number % 3]
        fake = path.parent.name == "x"
        person = f"{side}{number}"
        lines.append(f"{path.relative_to(base)},{int(fake)},{side},studio,{'x' * fake},{person}")
    (base / "index.csv").write_text("\n".join(lines) + "\n")
    return base / "index.csv"


def test_a_clean_folder_passes(pictures: Callable[..., Path]) -> None:
    base = pictures()
    done = run("--audit", base)
    assert done.exit_code == 0, done.stderr
    first, *_, last = done.stdout.strip().splitlines()
    assert first == (f"{base}: 10 real and 10 fake videos or stills, 20 of 20 items measured")
    assert (
        last == "every container cue within 0.44 to 0.56 over all fakes, none surely beyond for one"
    )
    assert "only 10 real and 10 fake" in done.stderr
    verdicts = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[4:-2]}
    assert (verdicts["format"], verdicts["blur"], verdicts["crop_phase"]) == (
        "ok",
        "reported",
        "not",
    )


def test_a_planted_file_type_ends_with_1_and_is_named(pictures: Callable[..., Path]) -> None:
    base = pictures(fake=".jpg")
    done = run("--audit", base)
    assert done.exit_code == 1
    assert "LEAKS: " in done.stdout.splitlines()[-1]
    assert (
        f"unmask: {base}: format tells the classes apart, 0.500 from 0.5 (allowed: 0.06); "
        in done.stderr
    )
    assert "png in 100% of reals and 0% of fakes" in done.stderr or (
        "jpeg in 0% of reals and 100% of fakes" in done.stderr
    )


def test_the_bound_decides(pictures: Callable[..., Path]) -> None:
    base = pictures()
    for number in range(3):
        path = base / "fake" / "x" / f"f{number}.png"
        Image.open(path).resize((60, 64)).save(path)
    assert run("--audit", base, "--bound", 0.3).exit_code == 0
    done = run("--audit", base)
    assert done.exit_code == 1
    assert "width" in done.stdout.splitlines()[-1]
    assert run("--audit", base, "--bound", 0.5).exit_code == 2


@pytest.mark.parametrize("kind", ["csv", "parquet", "folder"])
def test_json_is_the_whole_audit_and_out_keeps_it(
    kind: str, pictures: Callable[..., Path], tmp_path: Path
) -> None:
    base = pictures(fake=".jpg")
    given = base
    if kind == "csv":
        given = table(base)
    if kind == "parquet":
        given = base / "index.parquet"
        rows = [
            {
                "video_id": f"set/{path.parent.name}/raw/{path.stem}",
                "path": str(path.relative_to(base)),
                "label": int(path.parent.name == "x"),
                "dataset": "set",
                "manipulation": "x" * (path.parent.name == "x"),
                "source": "studio",
            }
            for path in sorted(base.rglob("*.*"))
        ]
        write_index(index_of(base, rows), given)
    out = tmp_path / "audit.json"
    done = run("--audit", given, "--format", "json", "--out", out)
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert out.read_text() == done.stdout
    assert (found["schema"], found["protocol"]) == ("unmask.audit/1", None)
    (only,) = found["sets"]
    assert (only["name"], only["measured"], only["unreadable"]) == (str(given), 20, [])
    cues = {cue["cue"]: cue for cue in only["cues"]}
    assert cues["format"]["leaks"] is True
    assert cues["format"]["held_out"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert cues["blur"]["leaks"] is False
    assert run("--audit", given, "--out", out).exit_code == 1  # over an older audit


def test_out_leaves_other_files_alone(pictures: Callable[..., Path], tmp_path: Path) -> None:
    base = pictures()
    other = tmp_path / "notes.json"
    other.write_text("{}")
    done = run("--audit", base, "--out", other)
    assert (done.exit_code, other.read_text()) == (2, "{}")
    assert "is not an audit" in done.stderr
    assert "no folder" in run("--audit", base, "--out", tmp_path / "no" / "a.json").stderr


def test_unreadable_pictures_are_named_counted_and_end_with_3(
    pictures: Callable[..., Path],
) -> None:
    base = pictures()
    (base / "real" / "r3.png").write_bytes(b"junk")
    done = run("--audit", base)
    assert done.exit_code == 3
    assert f"unmask: {base}: The content of {base / 'real' / 'r3.png'}" in done.stderr
    assert "1 files could not be read (" in done.stderr
    assert "19 of 20 items measured" in done.stdout
    for path in (base / "real").iterdir():
        path.write_bytes(b"junk")
    done = run("--audit", base)
    assert done.exit_code == 4
    assert "nothing could be measured: 10 files cannot be read" in done.stdout


def test_a_leak_goes_before_an_unreadable_picture(pictures: Callable[..., Path]) -> None:
    base = pictures(fake=".jpg")
    (base / "real" / "r3.png").write_bytes(b"junk")
    assert run("--audit", base).exit_code == 1


def test_a_sample_is_said(pictures: Callable[..., Path]) -> None:
    done = run("--audit", pictures(), "--sample", 4)
    assert "8 of 20 items measured, at most 4 of a kind" in done.stdout


def test_protocols_are_listed() -> None:
    done = run("--protocols")
    assert done.exit_code == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert "ffpp-c23->celebdf-v2" in names
    listed = json.loads(run("--protocols", "--format", "json").stdout)
    assert [entry["name"] for entry in listed] == names


PROTOCOL = """
- name: x-in-x
  summary: for this test
  train: [{dataset: index, label: 0, splits: [train]}, {dataset: index, label: 1, splits: [train]}]
  val: [{dataset: index, label: 0, splits: [val]}, {dataset: index, label: 1, splits: [val]}]
  tests:
    unseen: [{dataset: index, label: 0, splits: [test]}, {dataset: index, label: 1, splits: [test]}]
  normalise: {side: 48}
"""


@pytest.fixture
def one_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.data.protocols import protocol

    (made,) = protocol.read_protocols(PROTOCOL, "test")
    monkeypatch.setattr(protocol, "protocols", lambda: {made.name: made})


@pytest.mark.usefixtures("one_protocol")
def test_the_sets_of_a_protocol_are_audited_apart(pictures: Callable[..., Path]) -> None:
    # the file types differ, but the protocol's step puts every picture through one chain
    given = table(pictures(fake=".jpg"))
    done = run("--audit", "--protocol", "x-in-x", "--index", f"index={given}", "--format", "json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["protocol"] == "x-in-x"
    assert [entry["name"] for entry in found["sets"]] == ["train", "val", "test unseen"]
    assert all(entry["normalised"] for entry in found["sets"])
    assert [entry["measured"] for entry in found["sets"]] == [8, 6, 6]
    assert "format" not in {cue["cue"] for cue in found["sets"][0]["cues"]}
    assert "train: 4 videos of index reals" in done.stderr


@pytest.mark.usefixtures("one_protocol")
def test_a_leaking_protocol_is_refused(pictures: Callable[..., Path]) -> None:
    given = table(pictures())
    text = given.read_text().replace("test2", "train0")
    given.write_text(text)
    done = run("--audit", "--protocol", "x-in-x", "--index", f"index={given}")
    assert done.exit_code == 2
    assert "train and test unseen share 1 identity (index/train0)" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Say what to evaluate"),
        (("--protocol", "x-in-x"), "Say what to evaluate"),
        (("--audit",), "--audit needs an INDEX"),
        (("--audit", "i.csv", "--protocol", "x-in-x"), "--audit i.csv names an index, and so"),
        (("--audit", "--protocol", "y"), "There is no protocol 'y'"),
        (("--audit", "--protocol", "x-in-x"), "x-in-x needs an index of index"),
        (("--audit", "--protocol", "x-in-x", "--index", "a"), "--index a must be DATASET=INDEX"),
        (("--audit", "none.parquet"), "There is no index none.parquet"),
        (("--audit", "none.csv"), "There is no index none.csv"),
    ],
)
@pytest.mark.usefixtures("one_protocol")
def test_what_cannot_be_meant_is_said(words: tuple[str, ...], message: str) -> None:
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.usefixtures("one_protocol")
def test_an_index_the_protocol_does_not_name(pictures: Callable[..., Path]) -> None:
    given = table(pictures())
    done = run("--audit", "--protocol", "x-in-x", "--index", f"b={given}")
    assert "x-in-x names no data set b" in done.stderr
    assert done.exit_code == 2


def test_without_its_extra_it_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = run("--audit", "x")
    assert "pip install 'unmask[data]'" in done.stderr
    assert done.exit_code == 2
