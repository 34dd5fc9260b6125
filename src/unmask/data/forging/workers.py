"""The processes that forge: a face at a time each, nothing left running when the work ends."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from unmask.data.forging.faces import find_face
from unmask.data.forging.forgery import Forged, Found, Settings, Source, Task
from unmask.data.forging.workshop import Workshop
from unmask.data.processes import end_with_parent, one_thread, without_interrupts
from unmask.errors import DatasetError, UnmaskError
from unmask.faces import FaceDetector, MTCNNDetector
from unmask.media import DecodePool, Failure, Limits, Media

_AHEAD = 2
"""Pieces of work per process that are handed out at a time."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What every process needs to know; `limits` are of decoding one input."""

    settings: Settings
    out: Path
    limits: Limits


class Bench:
    """One process's decoder, detector and workshop.

    Decoding happens in a process of its own, which a file may hang or crash.
    """

    def __init__(self, setup: Setup, pool: DecodePool, detector: FaceDetector) -> None:
        self._setup, self._pool, self._detector = setup, pool, detector
        self.workshop = Workshop(setup.settings, self._decode, setup.out)

    def do(self, work: Source | Task) -> Found | Forged:
        """Find the face of a source, or forge that of a task.

        Raises:
            OSError: a picture cannot be written.
        """
        return self.workshop.make(work) if isinstance(work, Task) else self.look(work)

    def look(self, source: Source) -> Found:
        """The face of a source."""
        return find_face(source, self._setup.settings, self._decode, self._detector)

    def _decode(self, path: str) -> Media | Failure:
        (outcome,) = self._pool.map([path])
        return outcome


@contextmanager
def bench(setup: Setup) -> Iterator[Bench]:
    """A bench of this process, with one thread."""
    with one_thread(), DecodePool(1, max_frames=1, limits=setup.limits) as pool:
        yield Bench(setup, pool, MTCNNDetector())


class Crew:
    """This process, or several, at work; a context manager.

    Nothing is started before there is something to do, and then once for all that follows.

    Args:
        setup: for every process.
        jobs: how many; with one, the work is done in this process.
    """

    def __init__(self, setup: Setup, jobs: int) -> None:
        self._setup, self._jobs = setup, jobs
        self._stack = ExitStack()
        self._bench: Bench | None = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def do(self, work: Sequence[Source | Task]) -> Iterator[Found | Forged]:
        """Do every piece of work, exactly one record each, as they are finished.

        Raises:
            DatasetError: forgeries cannot be written.
            UnmaskError: a process died.
        """
        try:
            if self._jobs > 1 and work:
                yield from self._in_processes(work)
            elif work:
                self._bench = self._bench or self._stack.enter_context(bench(self._setup))
                yield from map(self._bench.do, work)
        except BrokenProcessPool as error:
            raise UnmaskError(
                "A process that forges died, for want of memory perhaps.",
                "What is finished is kept: continue with --resume, and with fewer --jobs.",
            ) from error
        except OSError as error:
            raise DatasetError(
                f"Forgeries cannot be written to {self._setup.out}: {error}.",
                "Make room, then continue with --resume.",
            ) from error

    def _in_processes(self, work: Sequence[Source | Task]) -> Iterator[Found | Forged]:
        pool = self._pool = self._pool or self._started()
        waiting = iter(work)
        running: set[Future[Found | Forged]] = set()
        while True:
            while len(running) < _AHEAD * self._jobs:
                piece = next(waiting, None)
                if piece is None:
                    break
                with without_interrupts():
                    running.add(pool.submit(_do, piece))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._jobs, context, initializer=_begin, initargs=(self._setup,))
        self._stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        return pool


_HERE: list[Bench] = []
"""The bench of a working process, open until the process ends."""
_OPEN = ExitStack()


def _begin(setup: Setup) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    _HERE.append(_OPEN.enter_context(bench(setup)))


def _do(work: Source | Task) -> Found | Forged:
    return _HERE[0].do(work)
