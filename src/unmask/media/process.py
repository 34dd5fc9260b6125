"""The parent's side of one decoding process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any, Literal

from unmask.errors import MediaError, UnmaskError
from unmask.media import wire
from unmask.media.deadline import timed_out
from unmask.media.decoded import Failure, Media
from unmask.media.limits import Limits
from unmask.media.source import printable
from unmask.results import InputInfo

_GRACE_SECONDS = 1.0  # within it a decoder that checks the time reports by itself, with more detail
_START_SECONDS = 120.0
_BOOT = "import sys; sys.path[:] = {path!r}; from unmask.media.worker import main; main({fd})"


class Worker:
    """A decoding process and what it is doing.

    Started as a fresh interpreter that imports only the decoders. `multiprocessing.Process` would
    run the caller's `__main__` again: slow where that imports torch, endless where a script has no
    main guard, impossible where the program came from standard input.

    Args:
        task: "module:function" that decodes one path.
        max_frames, limits: for every path.

    Attributes:
        connection: readable when the process has something to say, or has died.
        ticket: number of the input it works on; None when idle or still starting.
        started: it has said that it is ready.
    """

    def __init__(self, task: str, max_frames: int, limits: Limits) -> None:
        self._max_frames, self._limits = max_frames, limits
        self.connection, theirs = Pipe()
        self.ticket: int | None = None
        self.started = False
        self._info = InputInfo.model_validate({"path": ""})
        self._expires = time.monotonic() + _START_SECONDS
        search = [os.path.abspath(entry) for entry in sys.path]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT.format(path=search, fd=theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Out of the terminal's process group: Ctrl-C must not reach it while it starts.
                start_new_session=True,
                # One thread per process: the processes are the parallelism.
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        settings = {"task": task, "max_frames": max_frames, "limits": limits.model_dump()}
        self._send("settings", settings)

    @property
    def idle(self) -> bool:
        """Whether it can take an input."""
        return self.started and self.ticket is None

    @property
    def seconds_left(self) -> float:
        """Until it is overdue; endless when idle."""
        return float("inf") if self.idle else max(0.0, self._expires - time.monotonic())

    def submit(self, ticket: int, path: str) -> None:
        """Give it an input. The time starts to run."""
        self.ticket = ticket
        self._info = InputInfo.model_validate({"path": printable(path)})
        self._expires = time.monotonic() + self._limits.timeout_s + _GRACE_SECONDS
        self._send("decode", {"path": path})

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        with suppress(OSError):  # it has died: reading from it will say so
            wire.send(self.connection, kind, **content)

    def collect(self) -> Media | Failure | None:
        """Read what it says, without waiting for more than one outcome.

        Returns:
            The outcome of its input; None when there is none yet.

        Raises:
            EOFError, OSError, wire.WireError: it has died, or must.
        """
        while self.connection.poll():
            message = wire.receive(self.connection)
            if message["kind"] == "ready":
                self.started = True
            elif message["kind"] == "known":
                self._info = InputInfo.model_validate(message["info"])
            else:
                outcome = wire.read_outcome(
                    self.connection, message, self._max_frames, self._limits
                )
                self.ticket = None
                return outcome
        if self._process.poll() is not None and not self.connection.poll():
            raise EOFError  # somebody else may hold the socket open
        return None

    def kill(self) -> int:
        """End it at once and wait for its end. Returns its exit status, minus the signal's number.

        An exit status from before is kept.
        """
        self._process.kill()
        status = self._process.wait()
        self.connection.close()
        return status

    def obituary(self, why: Literal["died", "overdue"]) -> Failure:
        """Kill it and say what became of its input.

        Raises:
            UnmaskError: it never got as far as taking one.
        """
        if why == "died":
            with suppress(subprocess.TimeoutExpired):  # the socket closes a moment before the end
                self._process.wait(timeout=5.0)
        status = self.kill()
        if not self.started:
            raise UnmaskError(
                f"A decoding process could not start ({_ending(status)}).",
                "Its message is above; `unmask doctor` checks the installation.",
            )
        if why == "overdue" or status == -signal.SIGALRM:
            return Failure(self._info, timed_out(self._limits.timeout_s))
        return Failure(
            self._info,
            MediaError(
                "error",
                "decoder_crashed",
                f"The decoder crashed on this file ({_ending(status)}).",
                "The file is damaged or hostile; other files are not affected.",
            ),
        )


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
