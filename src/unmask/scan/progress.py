"""How far a scan is: one line that redraws itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

PLAIN_S = 30.0
BAR = 24


class Progress:
    """Writes progress to a stream that carries no data.

    A bar that redraws from its own thread would tear the rows that go to the same terminal, so
    this one draws only when told to, and `clear` makes room for a row.

    Args:
        stream: usually standard error. A terminal gets a bar, anything else a line now and then.
        total: number of inputs.
        clock: seconds, monotonic.
    """

    def __init__(
        self, stream: TextIO, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._total = total
        self._clock = clock
        self._live = stream.isatty()
        self._start = self._last = clock()
        self._drawn = False
        self.done = 0

    def advance(self) -> None:
        """One more input is finished."""
        self.done += 1
        now = self._clock()
        if self._live or now - self._last >= PLAIN_S:
            self._last = now
            self._draw(now)

    def start(self) -> None:
        """Show the bar before the first input is finished (on a terminal only)."""
        if self._live:
            self._draw(self._clock())

    def clear(self) -> None:
        """Take the bar off the line, before anything else is written to the terminal."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False

    def _draw(self, now: float) -> None:
        text = self._text(now - self._start)
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{text[:width]}")
            self._drawn = True
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def _text(self, elapsed: float) -> str:
        share = self.done / self._total if self._total else 1.0
        rate = self.done / elapsed if elapsed > 0 else 0.0
        left = f", {_duration((self._total - self.done) / rate)} left" if rate else ""
        filled = int(BAR * share)
        bar = f"[{'#' * filled}{'.' * (BAR - filled)}] " if self._live else ""
        return f"{bar}{self.done}/{self._total} ({share:.0%}), {rate:.1f} inputs/s{left}"


def _duration(seconds: float) -> str:
    """`h:mm:ss`, or `m:ss` below an hour.

    >>> _duration(3725.4)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
