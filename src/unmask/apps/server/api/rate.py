"""How often somebody may ask: a bucket of tokens each, in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import datetime

MOST_BUCKETS = 10_000
"""Kept at a time. Beyond it the full ones go first, then those not used for longest."""


class Buckets:
    """One bucket per key; it holds a minute's worth and fills up evenly.

    Args:
        per_minute: requests per minute and key; so many may also come at once.
        clock: gives the time.

    >>> from datetime import UTC, datetime
    >>> buckets = Buckets(1, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    >>> buckets.take("a"), buckets.take("a"), buckets.take("b")
    (None, 60, None)
    """

    def __init__(self, per_minute: int, clock: Callable[[], datetime]) -> None:
        self._size = per_minute
        self._per_second = per_minute / 60
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> int | None:
        """Count one request; None, or the seconds to wait when it is one too many."""
        with self._lock:
            level, at = self._level(key)
            self._levels.pop(key, None)  # moves it to the end: the order is that of use
            self._levels[key] = (level - 1 if level >= 1 else level, at)
            if len(self._levels) > MOST_BUCKETS:
                self._prune()
        return None if level >= 1 else self._wait(level)

    def _level(self, key: str) -> tuple[float, float]:
        at = self._clock().timestamp()
        level, before = self._levels.get(key, (float(self._size), at))
        passed = max(0.0, at - before)  # a clock that was set back fills nothing
        return min(self._size, level + passed * self._per_second), at

    def _wait(self, level: float) -> int:
        return max(1, math.ceil((1 - level) / self._per_second - 1e-9))

    def _prune(self) -> None:
        kept = {key: held for key, held in self._levels.items() if self._level(key)[0] < self._size}
        while len(kept) > MOST_BUCKETS // 2:
            del kept[next(iter(kept))]
        self._levels = kept
