"""Stopping on Ctrl-C or SIGTERM without leaving anything half-written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType


class Interruptible:
    """Turns SIGINT and SIGTERM into `KeyboardInterrupt`, except while a result is being written.

    Outside the main thread signals cannot be caught; there it does nothing.

    >>> with Interruptible() as guard:
    ...     with guard.shielded():
    ...         pass  # a signal that comes here is raised when the block ends
    """

    def __init__(self) -> None:
        self._shields = 0
        self._pending = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself gave
        self._previous.clear()

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold signals back until the block is done."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._pending and not self._shields:
            self._pending = False
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._shields:
            self._pending = True
        else:
            raise KeyboardInterrupt
