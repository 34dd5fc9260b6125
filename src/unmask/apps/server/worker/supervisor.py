"""Keeps the workers alive, tells the store of the dead, and does the store's upkeep."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from unmask.apps.server.contract import JobStore, new_id, utc_now
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.worker.process import STOP_S, Order
from unmask.errors import ConfigError

T = TypeVar("T")
COMMAND = (sys.executable, "-m", "unmask.apps.server.worker")
SWEEP_S = 15.0
"""Seconds between two rounds of upkeep."""
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before the first, second, ... start after a death; the last one for all further."""
STEADY_S = 60.0
"""A worker that lived this long did not die of its start: the pauses begin anew."""
MARGIN_S = 5.0
"""Beyond `STOP_S`, until a worker that was told to stop is killed."""


@dataclass(slots=True)
class _Place:
    """Room for one worker, and who is in it."""

    process: subprocess.Popen[bytes] | None = None
    worker: str = ""
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0


class Supervisor:
    """Starts worker processes and starts them again when they die.

    Args:
        settings: of the service; `settings.workers` processes are kept.
        jobs: the store's.
        say: tells a person.
        command: starts a worker that reads its `Order` from standard input.
    """

    def __init__(
        self,
        settings: ServerSettings,
        jobs: JobStore,
        *,
        say: Callable[[str], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._settings, self._jobs, self._say = settings, jobs, say
        self._command = tuple(command)
        self._places = [_Place() for _ in range(settings.workers)]
        self._next_sweep = 0.0
        self._failing = False

    @property
    def processes(self) -> list[int]:
        """Ids of the processes that run now."""
        return [place.process.pid for place in self._places if place.process is not None]

    def tick(self) -> None:
        """Look after everything; to be called a few times per second.

        Raises:
            ConfigError: a worker cannot work with these settings; it has said why.
        """
        now = time.monotonic()
        for place in self._places:
            if place.process is not None and place.process.poll() is not None:
                self._bury(place, now)
            if place.process is None and now >= place.due:
                self._start(place, now)
        if now >= self._next_sweep:
            self._next_sweep = now + min(SWEEP_S, self._settings.lease_s)
            self._ask(lambda: self._jobs.sweep(utc_now()))

    def stop(self) -> None:
        """End all workers in good order, and those that do not obey by force."""
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S + MARGIN_S
        for place in self._places:
            if place.process is None:
                continue
            with suppress(subprocess.TimeoutExpired):
                place.process.wait(max(0.0, deadline - time.monotonic()))
            if place.process.poll() is None:
                self._say(f"worker {place.worker[:8]} does not stop and is killed.")
                place.process.kill()
                place.process.wait()
            self._leave(place)

    def _start(self, place: _Place, now: float) -> None:
        place.worker, place.started = new_id(), now
        try:
            place.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # standard output is for data, of which it has none
                start_new_session=True,  # Ctrl-C is for this process, which stops the workers
            )
        except OSError as error:
            place.due = now + self._pause(place, now)
            self._say(f"no worker can be started: {error.strerror}.")
            return
        order = Order(settings=self._settings, worker=place.worker)
        assert place.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died; the next tick sees that
            place.process.stdin.write(order.model_dump_json().encode() + b"\n")
            place.process.stdin.flush()  # and stays open: its end is how a worker knows of ours

    def _bury(self, place: _Place, now: float) -> None:
        assert place.process is not None
        status = place.process.returncode
        lost = self._leave(place)
        if status == ConfigError.exit_code:
            raise ConfigError("The worker cannot work with these settings; its message is above.")
        pause = self._pause(place, now)
        place.due = now + pause
        self._say(
            f"worker {place.worker[:8]} ended ({_ending(status)}) with {lost} unfinished; "
            f"another starts in {pause:g} s."
        )

    def _pause(self, place: _Place, now: float) -> float:
        """Seconds to wait after one more death."""
        place.deaths = 1 if now - place.started >= STEADY_S else place.deaths + 1
        return BACK_OFF_S[min(place.deaths, len(BACK_OFF_S)) - 1]

    def _leave(self, place: _Place) -> int:
        """Tell the store that the worker is gone; returns how many jobs it still had."""
        assert place.process is not None
        assert place.process.stdin is not None
        with suppress(BrokenPipeError):
            place.process.stdin.close()
        place.process = None
        return self._ask(lambda: self._jobs.retire(place.worker)) or 0

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Ask the store; None where it does not answer: leases run out by themselves."""
        try:
            answer = question()
        except Exception as error:
            if not self._failing:
                self._say(f"the store does not answer: {type(error).__name__}: {error}")
            self._failing = True
            return None
        self._failing = False
        return answer


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"
