"""What the processes of `unmask prepare` and `unmask synthesize` have in common."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait

END_SECONDS = 5.0
"""How long a process that is told to end may take before it is made to."""


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch and OpenCV with one thread: processes are the parallelism, and the number of threads
    may change the last bit of a landmark."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that start in here never get SIGINT.

    Ctrl-C goes to the whole foreground group; it is the parent's alone, from the start on.
    """
    resource_tracker.ensure_running()  # to start it later would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Wait for the parent to end, then end this process; to be run in a thread.

    A parent that was killed cannot end its processes: they watch for it themselves.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(1)
