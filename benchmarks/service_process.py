"""The service as a program of its own, and its processes as /proc shows them (Linux)."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

from record import ROOT
from sampling import Repeatedly
from service_client import ask

MARK = "UNMASK_BENCHMARK_RUN"
"""Variable of the environment that a service hands down: a process stays known by it, whoever its
parent is by now."""
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 2**20
READY_S = 180.0
STOP_S = 40.0
KINDS = {b"unmask.media.worker": "decoder", b"unmask.apps.server.worker": "worker"}
"""What the command line of a process that is not the service itself has in it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a service.

    Attributes:
        started: in clock ticks since the boot; tells it from a later one with the same number.
        kind: service, worker or decoder.
        resident: bytes.
        cpu: seconds of processor time so far.
    """

    pid: int
    started: int
    parent: int
    kind: str
    resident: int
    cpu: float


class Service:
    """`unmask serve` on a free loopback port; leaving the `with` block ends all of it.

    Args:
        data: its folder.
        log: gets what it says.
        options: more of its command line.
    """

    def __init__(self, data: Path, log: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.port: int = door.getsockname()[1]
        self._command = [
            *(sys.executable, "-m", "unmask", "serve", "--data", str(data)),
            *("--port", str(self.port), *options),
        ]
        self._log, self._mark = log, secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.stop()
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def start(self) -> None:
        """Start it; it answers a little later."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=os.environ | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the benchmark, which then stops it
            )

    def stop(self) -> int:
        """Tell it to end, and wait for that; its exit code.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_S)

    def kill(self, kinds: frozenset[str]) -> list[int]:
        """SIGKILL to its running processes of these kinds, at once; which they were."""
        killed = []
        for process in self.processes():
            if process.kind in kinds:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
        if "service" in kinds and self._process is not None:
            self._process.wait()
        return killed

    def processes(self) -> list[Process]:
        """All that run and were started by it or by what it started, orphans too."""
        mark = f"{MARK}={self._mark}".encode()
        found = (_look(int(name), mark) for name in os.listdir("/proc") if name.isdigit())
        return [process for process in found if process is not None]

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time that its running processes have taken, by kind."""
        taken: dict[str, float] = {}
        for process in self.processes():
            taken[process.kind] = taken.get(process.kind, 0.0) + process.cpu
        return taken

    def await_ready(self, seconds: float = READY_S) -> float:
        """Wait until a worker is there; the seconds that took.

        Raises:
            RuntimeError: it has ended, or takes longer.
        """
        began = time.monotonic()
        while (waited := time.monotonic() - began) < seconds:
            with suppress(OSError, HTTPException):
                if ask(self.port, "GET", "/readyz").status == 200:
                    return waited
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"The service ended by itself:\n{self.last_words()}")
            time.sleep(0.1)
        raise RuntimeError(f"The service is not ready after {seconds:g} s:\n{self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        """The end of what it said, for a person; it may name folders of this machine."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-lines:])


class Memory(Repeatedly):
    """Samples the resident memory of a service's processes while its `with` block lasts.

    It is the sum of the resident sets by kind, so pages that processes share count in each of them:
    an upper bound.
    """

    INTERVAL_S = 0.5
    POINTS = 40

    def __init__(self, service: Service) -> None:
        self._service = service
        self._samples: list[tuple[float, dict[str, float]]] = []
        super().__init__(self._take, self.INTERVAL_S)

    def summary(self) -> dict[str, Any]:
        """Peaks in MiB by kind, in whole and by halves, and some 40 points of the course."""
        if not self._samples:
            return {"samples": 0}
        kinds = sorted({kind for _, sample in self._samples for kind in sample})
        start, end = self._samples[0][0], self._samples[-1][0]
        middle, step = (start + end) / 2, max(1, len(self._samples) // self.POINTS)

        def peaks(samples: list[tuple[float, dict[str, float]]]) -> dict[str, float]:
            each = {k: max((s.get(k, 0.0) for _, s in samples), default=0.0) for k in kinds}
            return each | {"all": max((sum(s.values()) for _, s in samples), default=0.0)}

        return {
            "peak_mib": peaks(self._samples),
            "peak_mib_first_half": peaks([s for s in self._samples if s[0] <= middle]),
            "peak_mib_second_half": peaks([s for s in self._samples if s[0] > middle]),
            "course": [
                {"s": at - start, **{kind: round(mib) for kind, mib in sample.items()}}
                for at, sample in self._samples[::step]
            ],
            "samples": len(self._samples),
        }

    def _take(self) -> None:
        sample: dict[str, float] = {}
        for process in self._service.processes():
            held = sample.get(process.kind, 0.0)
            sample[process.kind] = held + process.resident / MIB
        if sample:
            self._samples.append((time.perf_counter(), sample))


def _look(pid: int, mark: bytes) -> Process | None:
    """A process that carries the mark; None for all others, and for those that have ended."""
    folder = Path("/proc", str(pid))
    try:
        if mark not in (folder / "environ").read_bytes().split(b"\0"):
            return None
        command = (folder / "cmdline").read_bytes()
        # the name, in brackets, may hold anything
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        resident = int((folder / "statm").read_text().split()[1]) * PAGE
    except OSError:
        return None
    if fields[0] in "ZX" or not command:
        return None
    kind = next((name for part, name in KINDS.items() if part in command), "service")
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    return Process(pid, int(fields[19]), int(fields[1]), kind, resident, cpu)


if __name__ == "__main__":
    raise SystemExit("This is a part of service_load.py and service_kills.py; run those.")
