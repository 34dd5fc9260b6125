"""What every request can reach: settings, store, clock, counters and the audit log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from unmask.apps.server.api.meters import Meters
from unmask.apps.server.api.rate import Buckets
from unmask.apps.server.contract import Store, utc_now
from unmask.apps.server.model import OwnThresholds, read_own_thresholds
from unmask.apps.server.settings import ServerSettings

AUDITED_PER_MINUTE = 60
"""Refused attempts per address that reach the audit log; the others are only counted."""
FAILED_LOGINS_PER_MINUTE = 10
"""Wrong tokens an address may send before it has to wait."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How slow a sender may be.

    Attributes:
        idle_s: longest wait for the next bytes, in seconds.
        bytes_per_s: slowest average, once `grace_s` have passed.
        grace_s: seconds without a look at the average.
        total_s: longest upload; below the hour after which the store takes an upload without a
            job for abandoned.
        linger_s: how long the rest of a refused body is read and dropped, so that the sender
            gets to see the answer.
    """

    idle_s: float = 20.0
    bytes_per_s: int = 1024
    grace_s: float = 30.0
    total_s: float = 3000.0
    linger_s: float = 5.0


@dataclass(slots=True)
class Service:
    """The state of one application; `request.app.state.service`.

    Attributes:
        clock: gives the time with its zone.
        requests: tokens' and addresses' requests.
        failures: wrong tokens by address.
        refusals: audited refusals by address.
        own_thresholds: in place of the model's, where the service has a calibration.
        places: for uploads that are being received.
        seen_open: when there was last seen to be no token, None where there was one.
    """

    settings: ServerSettings
    store: Store
    clock: Callable[[], datetime] = utc_now
    patience: Patience = Patience()
    meters: Meters = field(default_factory=Meters)
    requests: Buckets = field(init=False)
    failures: Buckets = field(init=False)
    refusals: Buckets = field(init=False)
    places: threading.BoundedSemaphore = field(init=False)
    own_thresholds: OwnThresholds | None = field(init=False)
    seen_open: datetime | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.requests = Buckets(self.settings.rate_per_minute, self.clock)
        self.failures = Buckets(FAILED_LOGINS_PER_MINUTE, self.clock)
        self.refusals = Buckets(AUDITED_PER_MINUTE, self.clock)
        self.own_thresholds = read_own_thresholds(self.settings)
        self.places = threading.BoundedSemaphore(self.settings.max_uploads)

    async def audit(
        self, who: str, action: str, subject: str, outcome: str, address: str | None
    ) -> None:
        """Write an entry of the audit log, off the event loop."""
        await run_in_threadpool(self.note, who, action, subject, outcome, address)

    def note(self, who: str, action: str, subject: str, outcome: str, address: str | None) -> None:
        """Write an entry of the audit log. Blocks."""
        self.store.audit.record(
            who=who, action=action, subject=subject, outcome=outcome, address=address
        )

    async def audit_refusal(
        self, who: str, action: str, subject: str, kind: str, address: str | None
    ) -> None:
        """The same for an attempt that was refused; only the first of a flood are written."""
        if self.refusals.take(address or "") is None:
            await self.audit(who, action, subject, f"refused: {kind}", address)


def service_of(request: Request) -> Service:
    """The service a request belongs to."""
    found: Service = request.app.state.service
    return found


def address_of(request: Request) -> str | None:
    """The client's address."""
    return request.client.host if request.client else None
