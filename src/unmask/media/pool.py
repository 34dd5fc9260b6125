"""Decode many inputs in processes that may die of a file without taking anything with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from types import TracebackType

from unmask.errors import ConfigError
from unmask.media.decoded import Failure, Media
from unmask.media.limits import Limits
from unmask.media.process import Worker
from unmask.media.wire import WireError

_LOOK_AHEAD = 2  # inputs per process that are being decoded or wait for their turn
_TICK_SECONDS = 1.0
_DEATHS = (EOFError, OSError, WireError, ValueError)


class DecodePool:
    """Long-lived decoding processes; a context manager.

    A file that hangs, crashes or swells costs its process and gets its reason; a new process takes
    over. Memory is bounded: at most `2 * jobs` inputs are decoded ahead of the caller, in the
    order in which they were asked for.

    Args:
        jobs: number of processes.
        max_frames: the most frames to take of a clip.
        limits: what one file may cost. The time and memory limits are enforced from outside the
            decoder (memory on Linux only).

    Raises:
        ConfigError: `jobs` or `max_frames` is below 1.

    >>> with DecodePool(jobs=2) as pool:
    ...     [outcome.error.reason for outcome in pool.map(["no such file"])]
    ['missing']
    """

    def __init__(
        self,
        jobs: int,
        *,
        max_frames: int = 32,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        _task: str = "unmask.media.reader:try_decode",
    ) -> None:
        if jobs < 1 or max_frames < 1:
            raise ConfigError(
                f"jobs and max_frames must be at least 1; got {jobs} and {max_frames}."
            )
        self._jobs, self._max_frames, self._limits, self._task = jobs, max_frames, limits, _task
        self._workers: list[Worker] = []
        self._open = self._mapping = False

    def __enter__(self) -> DecodePool:
        self._open = True
        self._refill()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes. Decoding has no side effects, so none needs to finish."""
        self._open = False
        while self._workers:
            self._workers.pop().kill()

    def map(self, paths: Iterable[str]) -> Iterator[Media | Failure]:
        """Decode `paths`, which may be endless and are read only as far as there is room.

        Args:
            paths: of the inputs.

        Yields:
            One outcome per path, in the order of `paths`. Leaving early is fine.

        Raises:
            ConfigError: outside `with`, or while another `map` of this pool is unfinished.
            UnmaskError: no decoding process can be started.
        """
        self._check_open()
        if self._mapping:
            raise ConfigError("This DecodePool is still busy with an earlier map.")
        self._mapping = True
        try:
            yield from self._run(iter(paths))
        finally:
            self._mapping = False
            for worker in [w for w in self._workers if w.ticket is not None]:
                self._workers.remove(worker)
                worker.kill()

    def _check_open(self) -> None:
        if not self._open:
            raise ConfigError("DecodePool works inside `with DecodePool(...) as pool:` only.")

    def _run(self, paths: Iterator[str]) -> Iterator[Media | Failure]:
        done: dict[int, Media | Failure] = {}
        taken = given = 0
        more = True
        while more or given < taken:
            self._check_open()  # it may have been closed while the caller had the last outcome
            self._collect(done, 0.0)
            self._refill()
            idle = [worker for worker in self._workers if worker.idle]
            while more and idle and taken - given < _LOOK_AHEAD * self._jobs:
                path = next(paths, None)
                if path is None:
                    more = False
                    break
                idle.pop().submit(taken, os.fspath(path))
                taken += 1
            if given in done:
                given += 1
                yield done.pop(given - 1)
            elif more or given < taken:
                self._collect(done, _TICK_SECONDS)

    def _refill(self) -> None:
        while self._open and len(self._workers) < self._jobs:
            self._workers.append(Worker(self._task, self._max_frames, self._limits))

    def _collect(self, done: dict[int, Media | Failure], patience: float) -> None:
        """Take in what the processes have to say, and part with the dead and the overdue."""
        if patience:
            patience = min(patience, *(worker.seconds_left for worker in self._workers))
            wait([worker.connection for worker in self._workers], patience)
        for worker in list(self._workers):
            ticket = worker.ticket
            try:
                outcome = worker.collect()
            except _DEATHS:
                outcome = self._part_with(worker, overdue=False)
            else:
                if outcome is None and worker.seconds_left == 0.0:
                    outcome = self._part_with(worker, overdue=True)
                elif isinstance(outcome, Failure) and outcome.error.reason == "out_of_memory":
                    # Its heap may be left in pieces: the next file deserves a fresh one.
                    self._workers.remove(worker)
                    worker.kill()
            if ticket is not None and outcome is not None:
                done[ticket] = outcome

    def _part_with(self, worker: Worker, *, overdue: bool) -> Failure:
        self._workers.remove(worker)
        return worker.obituary("overdue" if overdue else "died")
