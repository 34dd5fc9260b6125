"""The claims a worker holds, and the heartbeat that keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from unmask.apps.server.contract import Claim, JobStore

HEARTBEAT_S = 2.0
"""Seconds between heartbeats where leases are long; also until a cancel is noticed."""
PER_LEASE = 3
"""Heartbeats within one lease, at least: two may fail."""


class Leases:
    """What this worker holds; shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Claim] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def __contains__(self, claim: Claim) -> bool:
        with self._lock:
            return claim.lease in self._held

    def add(self, claims: Iterable[Claim]) -> None:
        """Hold these from now on."""
        with self._lock:
            self._held |= {claim.lease: claim for claim in claims}

    def remove(self, claim: Claim) -> None:
        """It is done, or lost."""
        with self._lock:
            self._held.pop(claim.lease, None)

    def all(self) -> list[Claim]:
        """Those held now."""
        with self._lock:
            return list(self._held.values())


class Heartbeat(threading.Thread):
    """Keeps the leases while the network computes, and lets go of those that are lost.

    Args:
        store: of the jobs.
        worker: this worker's id.
        leases: what it holds.
        lease_s: seconds a lease lasts without a heartbeat.
        say: tells a person.
    """

    def __init__(
        self,
        store: JobStore,
        worker: str,
        leases: Leases,
        *,
        lease_s: float,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._store, self._worker, self._leases, self._say = store, worker, leases, say
        self._every = min(HEARTBEAT_S, lease_s / PER_LEASE)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Beat until told to stop."""
        failing = False
        while not self._stopped.wait(self._every):
            try:
                self.beat()
                failing = False
            except Exception as error:  # the database may be back in time for the next one
                if not failing:
                    self._say(f"heartbeat failed: {type(error).__name__}: {error}")
                failing = True

    def beat(self) -> None:
        """One heartbeat."""
        claims = self._leases.all()
        held = self._store.heartbeat(self._worker, [claim.lease for claim in claims])
        for claim in claims:
            if claim.lease not in held:
                self._leases.remove(claim)

    def stop(self) -> None:
        """No more heartbeats; waits for one that is on its way."""
        self._stopped.set()
        self.join(HEARTBEAT_S)
