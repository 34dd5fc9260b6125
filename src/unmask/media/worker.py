"""The decoding process: takes paths from its parent, gives frames back, and may die of a file."""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection

from unmask.media import wire
from unmask.media.limits import Limits
from unmask.results import InputInfo

# Loaded before the memory is measured: the limit is for the files, not for the libraries.
_DECODERS = ("unmask.media.image", "unmask.media.video")
_ORPHAN_SECONDS = 5.0


def main(descriptor: int) -> None:
    """Serve the parent until it closes its end.

    Args:
        descriptor: of the connected socket. The first message says what to run and the limits.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    connection = Connection(descriptor)
    try:
        settings = wire.receive(connection)
        limits = Limits.model_validate(settings["limits"])
        module, _, name = settings["task"].partition(":")
        for decoder in _DECODERS:
            importlib.import_module(decoder)
        task = getattr(importlib.import_module(module), name)
        _quiet()
        _limit_memory(limits.memory_bytes)
        wire.send(connection, "ready")

        def announce(info: InputInfo) -> None:
            wire.send(connection, "known", info=info.model_dump())

        while True:
            path = wire.receive(connection)["path"]
            # Should the parent be killed, nobody is left to end a decoder that hangs.
            signal.setitimer(signal.ITIMER_REAL, limits.timeout_s + _ORPHAN_SECONDS)
            outcome = task(
                path, max_frames=settings["max_frames"], limits=limits, announce=announce
            )
            signal.setitimer(signal.ITIMER_REAL, 0)
            wire.send_outcome(connection, outcome)
            del outcome
    except (EOFError, OSError):
        # The parent is gone or has no more use for us. Decoders' own clean-up is of no value.
        os._exit(0)


def _quiet() -> None:
    """From here on only decoders would write to stderr, in the midst of the parent's lines."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(beyond: int) -> None:
    """Allow `beyond` bytes of address space more than there is now. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + beyond
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
