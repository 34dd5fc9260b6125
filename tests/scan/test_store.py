"""The results file: what is kept, what is dropped, and that nothing is half-replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unmask.errors import ConfigError
from unmask.results import InputInfo, Result, Run
from unmask.scan.store import ResultsFile, sha256_of

WEIGHTS, SETTINGS = "w", "s"
RUN = Run(tool="t", model="m", weights_sha256=WEIGHTS, settings_sha256=SETTINGS, device="cpu", seconds=0)  # fmt: skip  # noqa: E501


def no_face(path: str, run: Run | None = RUN) -> Result:
    info = InputInfo(path=path, bytes=os.path.getsize(path), sha256=sha256_of(path))
    return Result(input=info, status="not_applicable", reasons=["no_face"], run=run)


def resume(out: Path, paths: list[str], **changed: str) -> ResultsFile:
    hashes = {"weights_sha256": WEIGHTS, "settings_sha256": SETTINGS} | changed
    return ResultsFile.resume(out, paths, **hashes)


@pytest.fixture
def scanned(tmp_path, monkeypatch):
    """Three inputs and their results file; gives the file and the inputs."""
    monkeypatch.chdir(tmp_path)
    paths = ["a", "b", "c"]
    with ResultsFile.create(Path("o.jsonl")) as store:
        for path in paths:
            Path(path).write_text(path)
            store.append(no_face(path))
    return Path("o.jsonl"), paths


def test_all_is_kept_and_can_be_read_back(scanned):
    out, paths = scanned
    before = out.read_bytes()
    with resume(out, paths) as store:
        assert all(path in store for path in paths)
        assert [store.load(path) for path in reversed(paths)] == [no_face(p) for p in "cba"]
        assert "./a" in store
        assert os.path.abspath("a") in store
    assert out.read_bytes() == before


@pytest.mark.parametrize("changed", [{"weights_sha256": "x"}, {"settings_sha256": "x"}])
def test_other_weights_or_settings_drop_all(scanned, changed):
    out, paths = scanned
    with resume(out, paths, **changed) as store:
        assert not any(path in store for path in paths)
    assert out.read_bytes() == b""


def test_appended_lines_follow_the_kept_ones(scanned):
    out, paths = scanned
    Path("a").write_text("changed")
    with resume(out, paths) as store:
        assert [path in store for path in paths] == [False, True, True]
        store.append(no_face("a"))
        assert store.load("b") == no_face("b")
    read = [Result.from_json(line).input.path for line in out.read_text().splitlines()]
    assert read == ["b", "c", "a"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cut=st.integers(min_value=0, max_value=2000))
def test_whatever_a_kill_leaves_every_input_ends_up_there_once(scanned, cut):
    out, paths = scanned
    whole = b"".join(no_face(path).to_json().encode() + b"\n" for path in paths)
    out.write_bytes(whole[:cut])
    with resume(out, paths) as store:
        for path in paths:
            if path not in store:
                store.append(no_face(path))
    assert out.read_bytes() == whole


def test_last_of_several_lines_for_one_input_counts(scanned):
    out, paths = scanned
    newer = no_face("a").model_copy(update={"message": "newer"})
    with out.open("a") as handle:
        handle.write(newer.to_json() + "\n")
    with resume(out, paths) as store:
        assert store.load("a").message == "newer"
    assert len(out.read_text().splitlines()) == 3


def test_line_in_the_middle_that_is_no_result_is_refused(scanned):
    out, paths = scanned
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(lines[0] + "{]\n" + lines[1])
    before = out.read_bytes()
    with pytest.raises(ConfigError, match="line 2 is not a result"):
        resume(out, paths)
    assert out.read_bytes() == before
    assert [path.name for path in Path().glob("*.partial")] == []


def test_failed_replacement_leaves_the_old_file(scanned, monkeypatch):
    out, paths = scanned
    before = out.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        resume(out, paths, weights_sha256="x")
    assert out.read_bytes() == before


def test_result_without_hash_is_kept_while_size_stays(scanned):
    out, _ = scanned
    info = InputInfo(path="big", bytes=4)
    Path("big").write_text("1234")
    result = Result(input=info, status="limit_exceeded", reasons=["too_many_bytes"])
    out.write_text(result.to_json() + "\n")
    with resume(out, ["big"]) as store:
        assert "big" in store
    Path("big").write_text("12")
    with resume(out, ["big"]) as store:
        assert "big" not in store
