"""The processes that cut: one video at a time each, nothing left running when the work ends."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from unmask.data.preparing.journal import Note, Record
from unmask.data.preparing.profile import Profile
from unmask.data.preparing.shots import Unit
from unmask.data.preparing.video import VideoMaker
from unmask.data.processes import END_SECONDS, end_with_parent, one_thread, without_interrupts
from unmask.errors import DatasetError, UnmaskError
from unmask.media import DecodePool, Failure, Limits, Media

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Setup:
    """What every process needs to know: see `VideoMaker`; `limits` are of decoding one input."""

    root: Path
    out: Path
    profile: Profile
    limits: Limits


def run_units(units: Sequence[Unit], setup: Setup, jobs: int) -> Generator[Record]:
    """Prepare every unit, exactly one record each, as they are finished.

    With one job all but the decoding happens in this process. PyTorch and OpenCV have one thread
    per process, whatever `jobs` is: the processes are the parallelism, and the number of threads
    may change the last bit of a landmark.

    Raises:
        DatasetError: crops cannot be written.
        UnmaskError: no process can be started, or the detector's weights are damaged.
    """
    if min(jobs, len(units)) > 1:
        yield from _in_processes(units, setup, jobs)
    elif units:
        with one_thread(), _maker(setup) as maker:
            for unit in units:
                try:
                    yield maker.make(unit)
                except OSError as error:
                    raise _unwritable(setup.out, error) from error


def _unwritable(out: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"Crops cannot be written to {out}: {error}.", "Make room, then run the same command again."
    )


@contextmanager
def _maker(setup: Setup) -> Iterator[VideoMaker]:
    """A maker whose decoding happens in a process of its own, which a file may hang or crash."""
    from unmask.faces import MTCNNDetector

    with DecodePool(1, max_frames=setup.profile.frames, limits=setup.limits) as pool:

        def decode(paths: Sequence[str], max_frames: int) -> Generator[Media | Failure]:
            if max_frames <= setup.profile.frames:
                yield from pool.map(paths)
                return
            with DecodePool(1, max_frames=max_frames, limits=setup.limits) as other:
                yield from other.map(paths)

        yield VideoMaker(setup.root, setup.out, setup.profile, decode, MTCNNDetector())


class _Worker:
    """The parent's side of one process and the unit it has in hand."""

    def __init__(self, setup: Setup) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self.unit: Unit | None = None
        self.ready = False
        self.process = _SPAWN.Process(target=_serve, args=(theirs, setup), daemon=True)
        with without_interrupts():
            self.process.start()
        theirs.close()

    def give(self, unit: Unit) -> None:
        self.unit = unit
        with suppress(OSError):  # it has died: reading from it will say so
            self.connection.send(unit)

    def end(self) -> int | None:
        """End it and the decoding process it has; returns its exit status."""
        self.process.terminate()
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()
        return self.process.exitcode


def _in_processes(units: Sequence[Unit], setup: Setup, jobs: int) -> Iterator[Record]:
    waiting = deque(units)
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(setup))
                workers[-1].give(waiting.popleft())
            talking = wait([worker.connection for worker in workers])
            for worker in [w for w in workers if w.connection in talking]:
                record = _hear(worker, setup)
                if record is None:
                    continue
                if worker.unit is None and waiting:
                    worker.give(waiting.popleft())
                elif worker.unit is None:
                    workers.remove(worker)
                    worker.end()
                else:  # it died over its unit; the loop starts another
                    workers.remove(worker)
                yield record
    finally:
        for worker in workers:
            worker.process.terminate()  # all at once, then wait for each
        for worker in workers:
            worker.end()


def _hear(worker: _Worker, setup: Setup) -> Record | None:
    """The record of a worker's unit; None when it only said that it is ready."""
    assert worker.unit is not None
    try:
        kind, content = worker.connection.recv()
    except (EOFError, OSError):
        with suppress(OSError):
            worker.process.join(END_SECONDS)  # the pipe closes a moment before the end
        status = worker.end()
        if not worker.ready:
            raise UnmaskError(
                f"A process could not start (exit status {status}).",
                "Its message is above; `unmask doctor` checks the installation.",
            ) from None
        return _crashed(worker.unit, setup, status)
    if kind == "ready":
        worker.ready = True
        return None
    if kind == "failed":
        raise DatasetError(*content)
    worker.unit = None
    return Record.model_validate_json(content)


def _crashed(unit: Unit, setup: Setup, status: int | None) -> Record:
    told = f"The process that prepared it ended with exit status {status}."
    note = Note(frame=None, path=unit.parts[0].path, reason="worker_crashed", message=told)
    key = unit.key(setup.root)
    return Record(video_id=unit.video_id, key=key, asked=1, read=0, crops=(), notes=(note,))


def _serve(connection: Connection, setup: Setup) -> None:
    """The process: takes units, gives records, and ends with its parent."""
    signal.signal(signal.SIGTERM, _leave)  # so that the decoding process is ended too
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError), one_thread(), _maker(setup) as maker:
        connection.send(("ready", None))
        while True:
            unit = connection.recv()
            try:
                record = maker.make(unit)
            except UnmaskError as error:
                connection.send(("failed", (error.message, error.hint)))
                return
            except OSError as error:
                told = _unwritable(setup.out, error)
                connection.send(("failed", (told.message, told.hint)))
                return
            connection.send(("record", record.model_dump_json()))


def _leave(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, also while it ends
    raise SystemExit(128 + number)
