"""Look at something again and again, beside what a benchmark does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self


class Repeatedly:
    """Calls `look` in a thread of its own while its `with` block lasts.

    Args:
        look: takes one sample.
        interval_s: seconds between two samples; the first is taken at once.
    """

    def __init__(self, look: Callable[[], None], interval_s: float) -> None:
        self._look, self._interval_s = look, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        self._look()
        while not self._stop.wait(self._interval_s):
            self._look()


if __name__ == "__main__":
    raise SystemExit("This is a part of other benchmarks; run one of those.")
