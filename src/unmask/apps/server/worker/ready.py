"""Decoded inputs on their way from the decoders to the judge, in batches that fit memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from unmask.apps.server.worker.decoding import Decoded

BATCH_ITEMS = 16
BATCH_FRAMES = 32
"""Two of the detector's own batches; larger ones are no faster, but their first job waits."""
BATCH_BYTES = 512 * 2**20
LINGER_S = 0.1
"""How long a decoded input waits for company while more is being decoded."""


class Ready:
    """A queue between two threads that is full by frames and bytes, not only by number.

    Memory: no more than one batch's worth waits here when `full` is heeded, beside what the
    decoders have in hand when it becomes full.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Decoded] = []
        self._more = False
        self._since = 0.0
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether there is a whole batch."""
        with self._changed:
            return self._whole()

    def put(self, decoded: Decoded) -> None:
        """Add what is decoded."""
        with self._changed:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(decoded)
            self._changed.notify_all()

    def expect(self, more: bool) -> None:
        """Say whether more is on its way; if not, what is here goes to the judge at once."""
        with self._changed:
            if self._more != more:
                self._more = more
                self._changed.notify_all()

    def drop(self, held: Callable[[Decoded], bool]) -> None:
        """Free what is not held any more."""
        with self._changed:
            self._waiting = [decoded for decoded in self._waiting if held(decoded)]

    def close(self) -> None:
        """Let go of everything; `take` gives nothing from now on."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def take(self) -> list[Decoded]:
        """Wait for a batch: of one kind and number of frames; evidence comes alone.

        Returns:
            At least one, in the order in which they were put; empty once closed.
        """
        with self._changed:
            while not (self._closed or self._due()):
                self._changed.wait(self._patience())
            if self._closed:
                return []
            batch = _first_batch(self._waiting)
            taken = set(map(id, batch))
            self._waiting = [decoded for decoded in self._waiting if id(decoded) not in taken]
            self._since = time.monotonic()
            return batch

    def _due(self) -> bool:
        if not self._waiting:
            return False
        return not self._more or self._whole() or self._patience() == 0.0

    def _patience(self) -> float | None:
        """Seconds until what waits must not wait any longer; None: nothing waits."""
        if not self._waiting:
            return None
        return max(0.0, self._since + LINGER_S - time.monotonic())

    def _whole(self) -> bool:
        return _is_whole(self._waiting)


def _is_whole(batch: list[Decoded]) -> bool:
    return (
        len(batch) >= BATCH_ITEMS
        or sum(decoded.frames for decoded in batch) >= BATCH_FRAMES
        or sum(decoded.bytes for decoded in batch) >= BATCH_BYTES
    )


def _first_batch(waiting: list[Decoded]) -> list[Decoded]:
    first = waiting[0].claim
    if first.kind == "evidence":
        return waiting[:1]
    batch: list[Decoded] = []
    for decoded in waiting:
        claim = decoded.claim
        if (claim.kind, claim.max_frames) == (first.kind, first.max_frames):
            batch.append(decoded)
            if _is_whole(batch):
                break
    return batch
