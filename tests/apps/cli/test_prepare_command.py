"""`unmask prepare`: what it prints where, how it ends, and what it refuses at once."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from unmask.apps.cli import app
from unmask.data.index import index_of, read_index, write_index

FACE = Path(__file__).parents[2] / "data" / "london_006_03.jpg"
Unmask = Callable[..., Result]


@pytest.fixture
def unmask() -> Unmask:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def write_clip(path: Path, *, face: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = cv2.resize(cv2.imread(str(FACE))[..., ::-1], (200, 200), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 200, 200, "yuv420p"
        for _ in range(4):
            picture = np.ascontiguousarray(image if face else np.full_like(image, 90))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """`real/` and `fake/` clips and an index of them, made by hand."""
    root = tmp_path / "data"
    write_clip(root / "real" / "a.mp4", face=True)
    write_clip(root / "fake" / "b.mp4", face=True)
    return table(root, ["real/a", "fake/b"])


def table(root: Path, names: list[str], times: int = 1) -> Path:
    rows = [
        {
            "video_id": f"d/{'m' if 'fake' in name else 'real'}/raw/{name}{n}",
            "path": f"{name}.mp4",
            "label": int("fake" in name),
            "dataset": "d",
            "manipulation": "m" if "fake" in name else "",
            "source": "s",
            "identities": [name],
        }
        for n in range(times)
        for name in names
    ]
    write_index(index_of(root, rows), root / "index.parquet")
    return root / "index.parquet"


def test_standard_output_is_the_path_of_the_index(unmask, data, tmp_path):
    out = tmp_path / "out"
    done = unmask("prepare", "index", data, "--out", out, "--frames", 2, "--jobs", 1)
    assert (done.exit_code, done.stdout) == (0, f"{out / 'index.parquet'}\n")
    assert read_index(out / "index.parquet").table["label"].to_list() == [0, 0, 1, 1]
    assert "d/real/raw" in done.stderr
    assert "d/m/raw" in done.stderr
    settings = json.loads((out / "profile.json").read_text())["settings"]
    assert (settings["frames"], settings["face"], settings["margin"]) == (2, "largest", 1.3)
    again = unmask("prepare", "index", data, "--out", out, "--frames", 2)
    assert again.stdout == done.stdout
    assert "2 videos were finished by an earlier run." in again.stderr


def test_a_data_set_is_read_by_its_name(unmask, data, tmp_path):
    out = tmp_path / "out"
    done = unmask("prepare", "folder", data.parent, "--out", out, "--frames", 1, "--jobs", 1)
    assert (done.exit_code, done.stdout) == (0, f"{out / 'index.parquet'}\n")
    assert read_index(out / "index.parquet").table["path"].len() == 2
    inside = unmask("prepare", "folder", data.parent, "--out", data.parent / "crops")
    assert inside.exit_code == 2
    assert "in the data set's own folder" in inside.stderr


def test_losses_end_with_3_and_nothing_with_4(unmask, data, tmp_path):
    root, out = data.parent, tmp_path / "out"
    write_clip(root / "real" / "empty.mp4", face=False)
    table(root, ["real/empty", "real/a"])
    done = unmask("prepare", "index", data, "--out", out, "--frames", 1, "--jobs", 1)
    assert (done.exit_code, done.stdout) == (3, f"{out / 'index.parquet'}\n")
    assert "1 frame lost, no_face: no face was found" in done.stderr
    assert "coverage.jsonl" in done.stderr
    table(root, ["real/empty"])
    none = unmask("prepare", "index", data, "--out", tmp_path / "none", "--jobs", 1)
    assert (none.exit_code, none.stdout) == (4, "")
    assert "not a single face" in none.stderr
    assert (tmp_path / "none" / "coverage.json").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nosuch", "."), "There is no reader for the data set 'nosuch'"),
        (("index", "gone.parquet"), "There is no index"),
        (("index", "."), "Missing option '--out'"),
        (("index", ".", "--out", "o", "--face", "left"), "Invalid value for '--face'"),
        (("index", ".", "--out", "o", "--frames", "0"), "Invalid value for '--frames'"),
    ],
)
def test_usage_errors_end_with_2_and_write_nothing(unmask, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    out = () if "--out" in words or "Missing" in told else ("--out", "o")
    done = unmask("prepare", *words, *out)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
    assert not (tmp_path / "o").exists()


def test_the_folder_s_own_profile_is_kept(unmask, data, tmp_path):
    words = ("prepare", "index", data, "--out", tmp_path / "out", "--jobs", 1)
    assert unmask(*words, "--frames", 1).exit_code == 0
    done = unmask(*words, "--frames", 2)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "frames 1 there, 2 here" in done.stderr


def test_without_polars_it_says_how_to_install(unmask, data, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "polars" else find(name, *a)
    )
    done = unmask("prepare", "index", data, "--out", "o")
    assert done.exit_code == 2
    assert "unmask prepare needs the package 'polars'" in done.stderr
    assert "pip install 'unmask[data]'" in done.stderr


def processes() -> dict[int, int]:
    """Process -> its parent, of those that have not ended."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True
    ).stdout
    lines = [line.split() for line in listed.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in lines if state[0] != "Z"}


def test_ctrl_c_ends_with_130_and_leaves_no_process(unmask, data, tmp_path):
    table(data.parent, ["real/a"], times=16)
    out = tmp_path / "out"
    words = ["prepare", "index", str(data), "--out", str(out), "--frames", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "unmask", *words, "--jobs", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = out / "records.jsonl"
    until = time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    parents = processes()
    family, more = set(), {process.pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - family
        family |= more
    assert len(family) >= 4  # two that cut, two that decode
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)  # ends only when no process holds them open
    assert (process.returncode, stdout) == (130, ""), stderr
    assert "Interrupted: " in stderr  # perhaps after a line of progress
    assert "The same command continues it." in stderr
    assert "Traceback" not in stderr
    assert not family & processes().keys()
    finished = journal.read_bytes().count(b"\n")
    assert 2 <= finished < 16
    done = unmask(*words, "--jobs", "1")
    assert done.exit_code == 0
    assert f"{finished} videos were finished by an earlier run." in done.stderr
