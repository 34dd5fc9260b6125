"""A worker whose judge is not a network, whose decoder misbehaves, and which dies when told to.

What a picture does is decided by the red of its first pixel, in steps of 10 (see `CODES`): a name
cannot, for every upload is called `media`. Run as a program it is a worker's process that takes
its `Order` from standard input; DEATHS names the steps at which it kills itself, one per start.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unmask.media import Failure, Media, try_decode
from unmask.results import Coverage, FaceFrame, FaceTrack, Result, Run

CODES = {"real": 200, "fake": 250, "hang": 10, "crash": 20, "bug": 30, "block": 40, "swell": 50}
TASK = "worker_double:decode"
BOX = (1.0, 1.0, 5.0, 5.0)


def _code(item: Media) -> str:
    level = int(item.frames[0].image[0, 0, 0])
    return next((name for name, code in CODES.items() if abs(code - level) < 5), "real")


def decode(path: str, **settings: Any) -> Media | Failure:
    outcome = try_decode(path, **settings)
    if isinstance(outcome, Media):
        if _code(outcome) == "hang":
            time.sleep(1000)
        if _code(outcome) == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
    return outcome


@dataclass
class Examined:
    result: Result
    evidence: tuple[()] = ()


class Judge:
    """Scores a picture by its brightness; `bug` raises, `block` waits for `gate`."""

    model, weights_sha256 = "double", "d" * 64

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.blocked = threading.Event()
        self.healthy = True
        self.batches: list[list[str]] = []

    def works(self) -> bool:
        return self.healthy

    def examine(
        self, items: Sequence[Media | Failure], *, max_frames: int, evidence: bool = False
    ) -> list[Examined]:
        self.batches.append([item.info.path for item in items])
        return [Examined(self._result(item, max_frames)) for item in items]

    def _result(self, item: Media | Failure, max_frames: int) -> Result:
        run = Run(
            tool="unmask test", model=self.model, weights_sha256=self.weights_sha256,
            settings_sha256="5" * 64, device="cpu", seconds=0.0, max_frames=max_frames,
        )  # fmt: skip
        if isinstance(item, Failure):
            error = item.error
            return Result(
                input=item.info, status=error.status, reasons=[error.reason],
                message=str(error), run=run,
            )  # fmt: skip
        code = _code(item)
        if code == "bug":
            raise RuntimeError("a bug in the judge")
        if code == "block":
            self.blocked.set()
            assert self.gate.wait(60)
        score = 0.9 if code == "fake" else 0.1
        return Result(
            input=item.info, status="scored", score=score, run=run,
            verdict="likely_manipulated" if code == "fake" else "no_evidence_found",
            coverage=Coverage(frames_read=len(item.frames), faces_scored=1),
            faces=[
                FaceTrack(id=0, score=score, frames=[FaceFrame(index=0, box=BOX, score=score)])
            ],
        )  # fmt: skip


class Mortal:
    """The job store as a worker sees it that is killed between two steps."""

    def __init__(self, jobs: Any, die_at: str, log: Path) -> None:
        self._jobs, self._die_at, self._log = jobs, die_at, log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def claim(self, worker: str, *, limit: int) -> Any:
        claims = self._jobs.claim(worker, limit=limit)
        if claims:
            self.reach("claimed")
        return claims

    def progress(self, claim: Any, stage: str, share: float) -> Any:
        kept = self._jobs.progress(claim, stage, share)
        self.reach(stage)
        return kept

    def finish(self, claim: Any, result: Result) -> Any:
        self.reach("finishing")
        kept = self._jobs.finish(claim, result)
        if kept:
            self._unsaid.append(claim.job)
        self.reach("finished")
        return kept

    @contextmanager
    def together(self) -> Iterator[None]:
        self._unsaid: list[str] = []
        with self._jobs.together():
            yield
        if self._unsaid:
            with self._log.open("a") as log:
                log.writelines(job + "\n" for job in self._unsaid)
            self.reach("recorded")

    def reach(self, step: str) -> None:
        if step == self._die_at:
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _next_death(data: Path) -> str:
    """The step at which this start ends: each start takes one of DEATHS."""
    starts = data / "starts"
    with starts.open("a") as file:
        file.write(".")
    deaths = os.environ.get("DEATHS", "").split(",")
    number = starts.stat().st_size - 1
    return deaths[number] if number < len(deaths) else ""


def main() -> None:
    from unmask.apps.server.store import open_store
    from unmask.apps.server.worker import loop, process

    order, _ = process.read_order(sys.stdin.buffer)
    process.follow(sys.stdin.buffer)
    if os.environ.get("DEATHS") == "start":
        sys.exit(7)
    if os.environ.get("DEATHS") == "configuration":
        sys.exit(2)
    data = order.settings.data
    store = open_store(order.settings)
    jobs = Mortal(store.jobs, _next_death(data), data / "finishes")
    judge = Judge()
    judge.gate.set()

    class DeadlyDecoders(loop.Decoders):
        """A poisoned file takes not only its decoder with it, but the whole worker."""

        def submit(self, claim: Any) -> None:
            super().submit(claim)
            jobs.reach("decoding")
            if claim.name.startswith("poison"):
                die()

    def make_loop(*given: Any, **named: Any) -> loop.Loop:
        return loop.Loop(*given, **named, task=TASK)

    loop.Decoders = DeadlyDecoders  # type: ignore[misc]
    process.Loop = make_loop  # type: ignore[assignment, misc]
    process.work(
        order, replace(store, jobs=jobs), judge,
        say=lambda text: print(f"double {os.getpid()}: {text}", file=sys.stderr, flush=True),
    )  # fmt: skip
    store.close()


if __name__ == "__main__":
    main()
