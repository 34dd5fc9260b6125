"""A time limit that a decoding loop asks about."""

from __future__ import annotations

import time

from unmask.errors import MediaError


class Deadline:
    """Wall-clock time that one input may take.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise `MediaError` (timeout) once the time is over."""
        if time.monotonic() > self._end:
            raise timed_out(self._seconds)


def timed_out(seconds: float) -> MediaError:
    """The error of an input that took more than `seconds`."""
    return MediaError(
        "limit_exceeded",
        "timeout",
        f"Decoding took longer than the limit of {seconds:g} seconds.",
        "Raise the time limit if the file is long and trusted.",
    )
