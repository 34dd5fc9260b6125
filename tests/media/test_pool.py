"""Files that hang, crash or swell cost themselves only; order and memory are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.errors import ConfigError, UnmaskError
from unmask.media import DecodePool, Failure, Limits, Media, decode

TASK = """
    import os, signal, time
    from pathlib import Path
    import numpy as np
    from unmask.media import try_decode

    def run(path, **settings):
        outcome = try_decode(path, **settings)
        name = Path(path).name
        if name.startswith("hang"):
            time.sleep(1000)
        if name.startswith("slow"):
            time.sleep(0.3)
        if name.startswith("exit"):
            os._exit(3)
        if name.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("segv"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("raise"):
            raise KeyError("a bug in the task")
        return outcome
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "misbehave.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "misbehave:run"


def picture(folder: Path, name: str, value: int = 0, side: int = 8) -> str:
    path = folder / f"{name}.png"
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(path)
    return str(path)


def children() -> set[int]:
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "ppid=", "-o", "pid=", "-o", "args="],
        capture_output=True,
        text=True,
    ).stdout
    lines = [line.split(maxsplit=2) for line in listed.splitlines() if "unmask.media" in line]
    return {int(pid) for parent, pid, _ in lines if int(parent) == os.getpid()}


def reason(outcome: Media | Failure) -> str | None:
    return outcome.error.reason if isinstance(outcome, Failure) else None


def test_same_as_in_process_and_in_order(tmp_path: Path) -> None:
    paths = [picture(tmp_path, str(i), value=i) for i in range(20)]
    paths.insert(7, str(tmp_path / "gone.png"))
    with DecodePool(2) as pool:
        got = list(pool.map(paths))
    assert [outcome.info.path for outcome in got] == paths
    assert reason(got.pop(7)) == "missing"
    for value, outcome in enumerate(got):
        assert isinstance(outcome, Media)
        expected = decode(outcome.info.path)
        assert outcome.info == expected.info
        assert outcome.frames[0].image.tolist() == expected.frames[0].image.tolist()
        assert outcome.frames[0].image[0, 0, 0] == value
        assert outcome.frames[0].image.flags.owndata
        assert outcome.frames[0].image.flags.writeable


def test_slow_inputs_keep_their_place(tmp_path: Path, task: str) -> None:
    paths = [picture(tmp_path, name) for name in ("slow1", "a", "b", "slow2", "c")]
    with DecodePool(2, _task=task) as pool:
        assert [outcome.info.path for outcome in pool.map(paths)] == paths


def test_frames_of_a_clip_cross_with_all_they_carry(tmp_path: Path, clip) -> None:  # type: ignore[no-untyped-def]
    path = str(clip("a.mp4", size=(640, 360)))
    here = decode(path, max_frames=6)
    with DecodePool(1, max_frames=6) as pool:
        (there,) = pool.map([path])
    assert isinstance(there, Media)
    assert there.info == here.info
    for one, other in zip(there.frames, here.frames, strict=True):
        assert (one.index, one.time, one.grid) == (other.index, other.time, other.grid)
        assert np.array_equal(one.image, other.image)


def test_a_crash_costs_one_file(tmp_path: Path, task: str) -> None:
    names = ["a", "exit", "b", "kill", "segv", "raise", "c"]
    paths = [picture(tmp_path, name) for name in names]
    with DecodePool(2, _task=task) as pool:
        got = list(pool.map(paths))
    crashed = "decoder_crashed"
    assert [reason(o) for o in got] == [None, crashed, None, crashed, crashed, crashed, None]
    told = [o.error for o in got if isinstance(o, Failure)]
    assert {error.status for error in told} == {"error"}
    assert "exit status 3" in told[0].message
    assert "SIGKILL" in told[1].message
    assert "SIGSEGV" in told[2].message
    for outcome in got:  # the process told what it knew before it died
        assert outcome.info.sha256 is not None
        assert outcome.info.format == "png"


def test_a_hang_ends_at_the_time_limit(tmp_path: Path, task: str) -> None:
    paths = [picture(tmp_path, name) for name in ("a", "hang", "b")]
    with DecodePool(1, limits=Limits(timeout_s=0.5), _task=task) as pool:
        got = list(pool.map(paths))
    assert [reason(outcome) for outcome in got] == [None, "timeout", None]
    assert isinstance(got[1], Failure)
    assert got[1].error.status == "limit_exceeded"
    assert got[1].info.sha256 is not None


def test_a_slow_caller_is_not_taken_for_a_slow_decoder(tmp_path: Path) -> None:
    paths = [picture(tmp_path, str(i), side=400) for i in range(4)]  # more than a socket holds
    with DecodePool(1, limits=Limits(timeout_s=0.5)) as pool:
        outcomes = pool.map(paths)
        got = [next(outcomes)]
        time.sleep(2.0)  # beyond the limit and its grace, with the next one decoded and waiting
        got += outcomes
    assert [reason(outcome) for outcome in got] == [None] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is Linux only")
def test_the_memory_limit(tmp_path: Path) -> None:
    paths = [picture(tmp_path, "a"), picture(tmp_path, "big", side=5000), picture(tmp_path, "b")]
    with DecodePool(1, limits=Limits(memory_bytes=100 * 2**20)) as pool:
        got = list(pool.map(paths))
    assert [reason(outcome) for outcome in got] == [None, "out_of_memory", None]
    assert isinstance(got[1], Failure)
    assert (got[1].error.status, got[1].info.width) == ("limit_exceeded", 5000)


def test_look_ahead_is_bounded_and_leaving_early_is_clean(tmp_path: Path) -> None:
    path = picture(tmp_path, "a")
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield path

    with DecodePool(2) as pool:
        outcomes = pool.map(endless())
        for given, _ in enumerate(outcomes, start=1):
            assert taken - given <= 4
            if given == 30:
                break
        outcomes.close()  # type: ignore[attr-defined]
        assert [reason(outcome) for outcome in pool.map([path])] == [None]


def test_nothing_is_left_running(tmp_path: Path, task: str) -> None:
    before = children()
    with DecodePool(2, _task=task) as pool:
        outcomes = pool.map([picture(tmp_path, "a"), picture(tmp_path, "hang")])
        next(outcomes)
        assert len(children() - before) == 2
    assert children() == before
    with pytest.raises(ConfigError, match="with"):
        next(outcomes)


def test_misuse_is_told() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        DecodePool(0)
    with pytest.raises(ConfigError, match="with"):
        next(DecodePool(1).map(["a"]))
    with DecodePool(1) as pool:
        first = pool.map(["a", "b"])
        next(first)
        with pytest.raises(ConfigError, match="busy"):
            next(pool.map(["c"]))


def test_a_process_that_cannot_start_is_no_fault_of_the_file() -> None:
    with (
        pytest.raises(UnmaskError, match="could not start"),
        DecodePool(1, _task="no_such_module:run") as pool,
    ):
        list(pool.map(["a.png"]))


SCRIPT = """
import sys
from unmask.media import DecodePool
with DecodePool(1) as pool:
    for outcome in pool.map(sys.argv[1:]):
        print(outcome.info.width, flush=True)
"""


@pytest.mark.parametrize("how", ["file without a main guard", "-c", "stdin"])
def test_from_any_kind_of_program(how: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    start = {"-c": ["-c", SCRIPT], "stdin": ["-"]}.get(how, [str(tmp_path / "script.py")])
    done = subprocess.run(
        [sys.executable, *start, picture(tmp_path, "a")],
        input=SCRIPT if how == "stdin" else "",
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("8\n", "", 0)


def test_ctrl_c_leaves_no_process_and_no_noise(tmp_path: Path, task: str) -> None:
    script = SCRIPT.replace("DecodePool(1)", f"DecodePool(2, _task={task!r})")
    program = subprocess.Popen(
        [sys.executable, "-c", script, picture(tmp_path, "a"), picture(tmp_path, "hang")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        # a shell starts what it puts in the background with SIGINT ignored, which is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "8\n"
    program.send_signal(signal.SIGINT)
    _, noise = program.communicate(timeout=60)  # ends only when no worker holds stderr open
    assert noise.rstrip().endswith("KeyboardInterrupt")
    assert noise.count("Traceback") == 1
