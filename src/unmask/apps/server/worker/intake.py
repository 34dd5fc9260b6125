"""The worker's first half: claims work a little ahead and has it decoded."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from unmask.apps.server.contract import Claim, JobStore
from unmask.apps.server.worker.decoding import Decoders
from unmask.apps.server.worker.leases import Leases
from unmask.apps.server.worker.ready import Ready

POLL_S = 0.25
"""Seconds between two looks at an empty queue."""
TICK_S = 0.1
RETRY_S = 1.0
"""Seconds to leave a store in peace that did not answer."""


class Intake(threading.Thread):
    """Keeps the decoders busy while the judge computes, across claims; ends when told to.

    What it holds is bounded: at most twice as many claims wait as there are decoders, and no
    decoder starts on another file while a whole batch waits for the judge.

    Args:
        store: of the jobs.
        worker: this worker's id.
        leases: get every claim that is made.
        ready: gets every claim that is decoded; closed at the end, with or without an error.
        decoders: its processes live as long as this thread.
        jobs: number of decoders.
        stopping: whether it is to end.
        say: tells a person.

    Attributes:
        error: what ended it, unless it was told to end.
    """

    def __init__(
        self,
        store: JobStore,
        worker: str,
        leases: Leases,
        ready: Ready,
        decoders: Decoders,
        *,
        jobs: int,
        stopping: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._store, self._worker, self._say = store, worker, say
        self._leases, self._ready, self._decoders = leases, ready, decoders
        self._jobs, self._stopping = jobs, stopping
        self._waiting: deque[Claim] = deque()
        self._next_claim = 0.0
        self._failing = False
        self.error: Exception | None = None

    def run(self) -> None:
        """Work until told to stop, or until decoding cannot go on."""
        try:
            with self._decoders:
                while not self._stopping():
                    self._round()
        except Exception as error:  # the judge's thread raises it
            self.error = error
        finally:
            self._ready.close()

    def _round(self) -> None:
        held = self._leases.__contains__
        self._waiting = deque(filter(held, self._waiting))
        self._decoders.drop(held)
        self._ready.drop(lambda decoded: held(decoded.claim))
        self._claim()
        while self._waiting and self._decoders.idle and not self._ready.full:
            self._decoders.submit(self._waiting.popleft())
        self._ready.expect(bool(self._waiting or self._decoders.busy))
        for decoded in self._decoders.collect(TICK_S):
            self._ready.put(decoded)

    def _claim(self) -> None:
        """Take more work when little is left and there is room for it.

        A database that is away for a while does not end the worker.
        """
        now = time.monotonic()
        if len(self._waiting) >= self._jobs or self._ready.full or now < self._next_claim:
            return
        room = 2 * self._jobs - len(self._waiting)
        try:
            claims = self._store.claim(self._worker, limit=room)
        except Exception as error:
            if not self._failing:
                self._say(f"the store does not answer: {type(error).__name__}: {error}")
            self._failing, self._next_claim = True, now + RETRY_S
            return
        self._failing = False
        self._leases.add(claims)
        self._waiting.extend(claims)
        self._next_claim = time.monotonic() + (0.0 if len(claims) == room else POLL_S)
