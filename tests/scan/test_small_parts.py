"""Counting, progress, interruption, heatmaps."""

from __future__ import annotations

import io
import os
import signal
from contextlib import nullcontext

import numpy as np
import pytest

from unmask.results import InputInfo, Result
from unmask.scan.heatmaps import OPACITY, overlay
from unmask.scan.interrupt import Interruptible
from unmask.scan.progress import Progress
from unmask.scan.tally import Tally


def result(verdict: str | None = None, reason: str = "no_face") -> Result:
    info = InputInfo(path="x")
    if verdict is None:
        return Result(input=info, status="not_applicable", reasons=[reason])
    return Result(input=info, status="scored", verdict=verdict, score=0.5)


def test_summary_counts_verdicts_and_reasons():
    tally = Tally()
    for one in (result("inconclusive"), result(), result(), result(reason="timeout")):
        tally.add(one, kept=one.status == "scored")
    assert tally.summary() == (
        "4 inputs: 1 inconclusive, 3 not scored (2 no_face, 1 timeout); coverage 25.0%; "
        "1 kept from an earlier run"
    )


@pytest.mark.parametrize(
    ("verdicts", "fail_on", "min_coverage", "code"),
    [
        ([None], {"flagged"}, 1.0, 4),
        (["likely_manipulated", None], {"flagged"}, 1.0, 1),
        (["likely_manipulated", None], set(), 1.0, 3),
        (["inconclusive"], {"flagged"}, 1.0, 0),
        (["inconclusive", None, None], {"inconclusive"}, 0.3, 1),
        (["no_evidence_found", None], {"flagged", "inconclusive"}, 0.5, 0),
    ],
)
def test_exit_code_precedence(verdicts, fail_on, min_coverage, code):
    tally = Tally()
    for verdict in verdicts:
        tally.add(result(verdict))
    assert tally.exit_code(min_coverage=min_coverage, fail_on=fail_on) == code


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def run_progress(terminal: bool, seconds: float) -> str:
    """What 10 inputs at `seconds` each write."""
    stream, now = Stream(terminal), [0.0]
    progress = Progress(stream, 10, clock=lambda: now[0])
    progress.start()
    for _ in range(10):
        now[0] += seconds
        progress.advance()
    progress.clear()
    return stream.getvalue()


def test_progress_draws_a_bar_on_a_terminal_and_takes_it_away():
    text = run_progress(True, 1.0)
    assert "\n" not in text
    assert "[############............] 5/10 (50%), 1.0 inputs/s, 0:05 left" in text
    assert text.endswith("\r\x1b[K")


def test_progress_writes_a_plain_line_now_and_then_elsewhere():
    assert run_progress(False, 1.0) == ""
    assert run_progress(False, 20.0).splitlines() == [
        f"{done}/10 ({10 * done}%), 0.1 inputs/s{left}"
        for done, left in zip(
            (2, 4, 6, 8, 10), (", 2:40 left", ", 2:00 left", ", 1:20 left", ", 0:40 left",
                               ", 0:00 left"), strict=True,
        )
    ]  # fmt: skip


def write_while_signalled(number: int, written: list[str], *, shielded: bool) -> None:
    with Interruptible() as guard, guard.shielded() if shielded else nullcontext():
        os.kill(os.getpid(), number)
        written.append("whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("shielded", [True, False])
def test_signal_waits_for_what_is_being_written_and_only_for_that(number, shielded):
    before, written = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt):
        write_while_signalled(number, written, shielded=shielded)
    assert written == (["whole"] if shielded else [])
    assert signal.getsignal(number) is before


def test_overlay_leaves_cold_pixels_and_blends_hot_ones():
    image = np.full((2, 2, 3), 100, np.uint8)
    heat = np.array([[0, 0], [0, 1]], np.float32)
    drawn = overlay(image, heat)
    assert (drawn[0] == 100).all()
    hottest = np.array([252, 255, 164])  # the last entry of the inferno colour map, RGB
    expected = np.rint(100 * (1 - OPACITY) + hottest * OPACITY)
    assert np.abs(drawn[1, 1] - expected).max() <= 1
