"""Interrupting, killing and continuing a scan: every input once, none lost, none repeated."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unmask.results import Result

OUT = ("--out", "o.jsonl")

DRIVER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("fakes", {fakes!r})
fakes = sys.modules["fakes"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fakes)
fakes.backend.make_detector = lambda *_: fakes.FakeDetector()
fakes.backend.make_pool = fakes.fake_pool
import unmask.scan.local
unmask.scan.local.BATCH_ITEMS = 1
from unmask.apps.cli import main
sys.argv[0] = "unmask"
main()
"""


def recorded(path: str = "o.jsonl") -> list[Result]:
    return [Result.from_json(line) for line in Path(path).read_text().splitlines()]


def paths(path: str = "o.jsonl") -> list[str]:
    return [result.input.path for result in recorded(path)]


def test_torn_line_is_dropped_and_every_input_is_there_once(unmask, detector, folder):
    unmask("scan", "in", *OUT)
    whole = Path("o.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    Path("o.jsonl").write_bytes(lines[0] + lines[1] + lines[2][:40])
    detector.seen.clear()
    done = unmask("scan", "in", *OUT, "--resume", "--format", "jsonl")
    assert detector.seen == ["in/real.png", "in/unsure.png"]
    assert Path("o.jsonl").read_bytes() == whole
    assert done.stdout.encode() == whole
    assert "2 kept from an earlier run" in done.stderr
    assert done.exit_code == 3


def test_resume_of_a_finished_scan_does_nothing(unmask, detector, folder):
    unmask("scan", "in", *OUT)
    whole = Path("o.jsonl").read_bytes()
    detector.seen.clear()
    unmask("scan", "in", *OUT, "--resume")
    assert detector.seen == []
    assert Path("o.jsonl").read_bytes() == whole


def test_resume_without_a_file_starts_one(unmask, folder):
    unmask("scan", "in", *OUT, "--resume")
    assert len(recorded()) == 4


@pytest.mark.parametrize("content", ["real now", "fake"])
def test_changed_file_is_done_again(unmask, detector, folder, content):
    unmask("scan", "in", *OUT)
    Path("in/real.png").write_text(content)  # another size, then the same size
    detector.seen.clear()
    unmask("scan", "in", *OUT, "--resume")
    assert detector.seen == ["in/real.png"]
    assert sorted(paths()) == sorted({*paths()})
    assert len(paths()) == 4


def test_other_weights_do_all_again(unmask, detector, folder):
    unmask("scan", "in", *OUT)
    detector.weights_sha256 = "0" * 64
    detector.seen.clear()
    unmask("scan", "in", *OUT, "--resume")
    assert len(detector.seen) == 4
    assert {r.run.weights_sha256 for r in recorded()} == {"0" * 64}
    assert len(recorded()) == 4


def test_errors_are_retried_and_limits_when_one_is_given(unmask, detector, folder):
    for word in ("bug", "large", "broken"):
        Path(f"in/{word}.png").write_text(word)
    unmask("scan", "in", *OUT)
    detector.seen.clear()
    unmask("scan", "in", *OUT, "--resume")
    assert detector.seen == ["in/bug.png"]
    detector.seen.clear()
    unmask("scan", "in", *OUT, "--resume", "--max-megapixels", "500")
    assert detector.seen == ["in/bug.png", "in/large.png"]
    assert len(paths()) == len({*paths()}) == 7


def test_missing_file_that_appears_is_done(unmask, detector, folder):
    unmask("scan", "in", "late.png", *OUT)
    detector.seen.clear()
    unmask("scan", "in", "late.png", *OUT, "--resume")
    assert detector.seen == []
    Path("late.png").write_text("fake")
    unmask("scan", "in", "late.png", *OUT, "--resume")
    assert detector.seen == ["late.png"]
    assert recorded()[-1].verdict == "likely_manipulated"


def test_results_of_other_inputs_stay(unmask, folder):
    unmask("scan", "in/fake.png", *OUT)
    unmask("scan", "in/real.png", *OUT, "--resume")
    assert paths() == ["in/fake.png", "in/real.png"]


def test_file_that_holds_something_else_is_refused_and_left_alone(unmask, folder):
    Path("o.jsonl").write_text('{"a": 1}\n')
    done = unmask("scan", "in", *OUT, "--resume")
    assert done.exit_code == 2
    assert "is not a results file" in done.stderr
    assert Path("o.jsonl").read_text() == '{"a": 1}\n'


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    code = DRIVER.format(fakes=str(Path(__file__).with_name("conftest.py")))
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _slow_inputs(folder: Path, count: int) -> None:
    for index in range(count):
        (folder / "in" / f"slow{index:02}.png").write_text(f"slow {index}")


@pytest.mark.parametrize(
    ("number", "extra"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--report", "r.html"))]
)
def test_signal_ends_with_130_and_resume_completes(unmask, folder, number, extra):
    _slow_inputs(folder, 8)
    process = _start(folder, "scan", "in", *OUT, *extra)
    out = folder / "o.jsonl"
    while not (out.exists() and out.read_bytes().count(b"\n") >= 5):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"Continue with: unmask {' '.join(('scan', 'in', *OUT, *extra, '--resume'))}" in err
    assert (folder / "r.html").exists() == bool(extra)
    first = out.read_bytes()
    assert first.endswith(b"\n")
    assert 5 <= len(recorded()) < 12

    unmask("scan", "in", *OUT, "--resume")
    assert out.read_bytes().startswith(first)
    assert paths() == sorted(str(path.relative_to(folder)) for path in Path(folder, "in").iterdir())


def test_reader_that_leaves_is_no_traceback(folder):
    _slow_inputs(folder, 6)
    process = _start(folder, "scan", "in", *OUT, "--format", "jsonl")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["input"]["path"] == "in/fake.png"
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert len(paths()) == len({*paths()}) >= 2
