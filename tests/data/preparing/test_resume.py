"""Killed, stopped, changed: a preparation continues, and comes out the same byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask.data.index import Index, index_of, write_index
from unmask.data.preparing import workers
from unmask.data.preparing.profile import Profile
from unmask.data.preparing.run import prepare, units_of
from unmask.errors import DatasetError, UnmaskError
from unmask.media import Limits

COUNT = 16
PLACE, SIZE = (0, 10, 220), (240, 240)
PROFILE = Profile(frames=2)
Calls = list[tuple[int, int]]


@pytest.fixture(scope="module")
def many(tmp_path_factory, write_clip, portrait_clip) -> Index:
    """Sixteen videos, of which one has no face and one is no video."""
    root = tmp_path_factory.mktemp("many")
    write_clip(root / "face.mp4", portrait_clip((0, PLACE), size=SIZE))
    write_clip(root / "none.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 8)
    (root / "broken.mp4").write_bytes(b"no video")
    shutil.copy(root / "face.mp4", root / "fake.mp4")
    faces = ("face", "fake")
    names = ["broken" if i == 7 else "none" if i == 5 else faces[i % 2] for i in range(COUNT)]
    rows = [
        {
            "video_id": f"many/{'m' if i % 2 else 'real'}/raw/{i:02}",
            "path": f"{name}.mp4",
            "label": i % 2,
            "dataset": "many",
            "manipulation": "m" if i % 2 else "",
            "source": "s",
            "identities": [str(i)],
            "split": ("train", "val", "test")[i % 3],
        }
        for i, name in enumerate(names)
    ]
    write_index(index_of(root, rows), root / "index.parquet")
    return index_of(root, rows)


@pytest.fixture
def three(many) -> Index:
    """The first three videos, all with a face."""
    return Index(many.root, many.table.head(3))


@pytest.fixture(scope="module")
def uninterrupted(many, tmp_path_factory) -> Path:
    """What one process makes of all sixteen in one go."""
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    prepare(many, out, dataset="index", profile=PROFILE)
    return out


def start(index: Index, out: Path) -> subprocess.Popen[str]:
    words = ["prepare", "index", str(index.root / "index.parquet"), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "unmask", *words, "--frames", "2", "--jobs", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def processes() -> dict[int, int]:
    """Process -> its parent, of those that have not ended."""
    words = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    lines = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return {int(pid): int(parent) for pid, parent, state in fields if state[0] != "Z"}


def descendants(pid: int) -> set[int]:
    parents = processes()
    found: set[int] = set()
    more = {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def test_a_killed_run_continues_to_the_same_bytes(many, uninterrupted, tmp_path, contents):
    """Two processes and then one, against one in one go."""
    out = tmp_path / "out"
    journal = out / "records.jsonl"
    process = start(many, out)
    wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 2, process)
    family = descendants(process.pid)
    assert len(family) >= 4  # two that cut, two that decode
    process.kill()
    process.communicate(timeout=60)
    until = time.monotonic() + 20
    while family & processes().keys() and time.monotonic() < until:
        time.sleep(0.05)
    assert not family & processes().keys(), "orphans"
    finished = journal.read_bytes().count(b"\n")
    assert 2 <= finished < COUNT
    assert not (out / "index.parquet").exists()

    calls: Calls = []
    done = prepare(many, out, dataset="index", profile=PROFILE, progress=lambda *n: calls.append(n))
    assert calls == [(n, COUNT - finished) for n in range(COUNT - finished + 1)]
    assert done.kept == finished
    assert contents(out) == contents(uninterrupted)
    assert {"index.parquet", "coverage.json", "coverage.jsonl"} <= contents(out).keys()


def test_a_kill_at_any_moment_leaves_nothing_wrong(three, tmp_path, contents):
    """The journal torn anywhere, and what it does not vouch for half written or left over."""
    out = tmp_path / "out"
    prepare(three, out, dataset="d", profile=PROFILE)
    whole, journal = contents(out), (out / "records.jsonl").read_bytes()
    lines = journal.splitlines(keepends=True)
    for kept, torn in ((0, b""), (1, lines[1][:1]), (2, lines[2][:-1])):
        (out / "records.jsonl").write_bytes(b"".join(lines[:kept]) + torn)
        (out / "index.parquet").unlink()
        for line in lines[kept:]:
            crop = out / json.loads(line)["crops"][0]["path"]
            crop.write_bytes(crop.read_bytes()[:100])
            (crop.parent / "999999.png").write_bytes(b"of a run before")
        done = prepare(three, out, dataset="d", profile=PROFILE)
        assert done.kept == kept
        assert contents(out) == whole, (kept, torn)
        assert (out / "records.jsonl").read_bytes() == journal


def test_a_crop_that_was_deleted_comes_back(three, tmp_path, contents):
    out = tmp_path / "out"
    prepare(three, out, dataset="d", profile=PROFILE)
    whole = contents(out)
    next(out.rglob("crops/**/*.png")).unlink()
    assert prepare(three, out, dataset="d", profile=PROFILE).kept == 2
    assert contents(out) == whole


def test_a_second_run_does_nothing_and_writes_the_same(three, tmp_path, contents, monkeypatch):
    out = tmp_path / "out"
    first = prepare(three, out, dataset="d", profile=PROFILE)
    before = contents(out)
    monkeypatch.setattr(workers, "_maker", lambda setup: pytest.fail("began again"))
    calls: Calls = []
    again = prepare(three, out, dataset="d", profile=PROFILE, progress=lambda *n: calls.append(n))
    assert (first.kept, again.kept, calls) == (0, 3, [(0, 0)])
    assert contents(out) == before


def test_what_changed_or_may_have_passed_is_done_again(tmp_path, write_clip, portrait_clip):
    root, out = tmp_path / "in", tmp_path / "out"
    write_clip(root / "a.mp4", portrait_clip((0, PLACE), size=SIZE))
    row = {"label": 0, "dataset": "d", "source": "s", "identities": []}
    index = index_of(root, [{**row, "video_id": n, "path": f"{n}.mp4"} for n in ("a", "b")])
    first = prepare(index, out, dataset="d", profile=PROFILE)
    assert first.coverage.total.lost == {"missing": 2}
    write_clip(root / "b.mp4", portrait_clip((1, PLACE), size=SIZE))
    second = prepare(index, out, dataset="d", profile=PROFILE)
    assert (second.kept, second.coverage.total.crops) == (1, 4)
    write_clip(root / "a.mp4", portrait_clip((2, PLACE), size=SIZE)[:1])
    third = prepare(index, out, dataset="d", profile=PROFILE)
    assert (third.kept, third.coverage.total.crops) == (1, 3)
    assert len(list((out / "crops").rglob("*.png"))) == 3


def test_new_splits_cost_no_new_crops(three, tmp_path):
    out = tmp_path / "out"
    prepare(three, out, dataset="d", profile=PROFILE)
    rows = [{**row, "split": "test"} for row in three.table.rows(named=True)]
    again = prepare(index_of(three.root, rows), out, dataset="d", profile=PROFILE)
    assert again.kept == 3


def test_only_one_run_at_a_time(three, tmp_path):
    out = tmp_path / "out"

    def second(done: int, total: int) -> None:
        with pytest.raises(DatasetError, match="Another `unmask prepare`"):
            prepare(three, out, dataset="d", profile=PROFILE)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(three, out, dataset="d", profile=PROFILE, progress=second)


def test_a_journal_that_is_something_else_is_refused(three, tmp_path):
    out = tmp_path / "out"
    prepare(three, out, dataset="d", profile=PROFILE)
    (out / "records.jsonl").write_text("{}\n")
    with pytest.raises(DatasetError, match="line 1, is not a record"):
        prepare(three, out, dataset="d", profile=PROFILE)


def test_a_full_disk_is_told_and_not_taken_for_the_videos_fault(three, tmp_path, monkeypatch):
    def full(path: Path, picture: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unmask.data.preparing.video._write_png", full)
    with pytest.raises(DatasetError, match="No space left"):
        prepare(three, tmp_path / "out", dataset="d", profile=PROFILE)
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == b""


@pytest.mark.parametrize("ready", [True, False])
def test_a_process_that_dies(many, tmp_path, monkeypatch, ready):
    """It costs one video; one that never came up says that nothing can be done."""
    units = units_of(many)[:2]
    setup = workers.Setup(many.root, tmp_path / "out", PROFILE, Limits())
    give = workers._Worker.give

    def fatal(worker: Any, unit: Any) -> None:
        give(worker, unit)
        if unit is units[1]:
            worker.process.kill()
            worker.ready = ready

    monkeypatch.setattr(workers._Worker, "give", fatal)
    if not ready:
        with pytest.raises(UnmaskError, match="could not start"):
            list(workers.run_units(units, setup, 2))
        return
    records = {r.video_id: r for r in workers.run_units(units, setup, 2)}
    lost = [[note.reason for note in records[unit.video_id].notes] for unit in units]
    assert lost == [[], ["worker_crashed"]]
    assert not records[units[1].video_id].final
