"""Start one run in several processes of this machine, and end all when one of them fails."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from unmask.data.processes import END_SECONDS, end_with_parent
from unmask.errors import ConfigError, UnmaskError
from unmask.training.share import Share, take


def run_processes(task: Callable[..., Any], arguments: Mapping[str, Any], count: int) -> None:
    """Call `task` in `count` processes and wait for all of them.

    Each gets a `Share`, and the environment by which PyTorch's processes find each other. The
    processes end with this one, however it ends.

    Args:
        task: importable by name.
        arguments: its keywords; they can be pickled.

    Raises:
        ConfigError: a process failed; the others were ended.
    """
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    processes = [
        context.Process(target=_process, args=(task, dict(arguments), Share(rank, count), port))
        for rank in range(count)
    ]
    try:
        for process in processes:
            process.start()
        _watch(processes)
    finally:
        _end([process for process in processes if process.pid is not None])


def _watch(processes: Sequence[BaseProcess]) -> None:
    """Return when all have ended well; raise when one has not."""
    running: dict[int, BaseProcess] = dict(enumerate(processes))
    while running:
        wait([process.sentinel for process in running.values()])
        for rank, process in list(running.items()):
            if process.exitcode is None:
                continue
            if process.exitcode:
                raise ConfigError(
                    f"Process {rank + 1} of {len(processes)} failed ({_how(process.exitcode)}); "
                    "the others were stopped.",
                    "Its message, if it left one, is above. --resume goes on from the last "
                    "finished epoch.",
                )
            del running[rank]


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + END_SECONDS
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _process(task: Callable[..., Any], arguments: dict[str, Any], place: Share, port: int) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        RANK=str(place.rank),
        LOCAL_RANK=str(place.rank),
        WORLD_SIZE=str(place.world),
    )
    take(place)
    torch.set_num_threads(max(1, torch.get_num_threads() // place.world))
    try:
        task(**arguments)
    except UnmaskError as error:
        print(f"process {place.rank + 1} of {place.world}: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
