"""What the service counts about itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Meters:
    """The counters of one application. Labels are routes and kinds, never ids or names.

    Attributes:
        requests: answers by method, route and status.
        seconds: time to the last byte of an answer, by route.
        refused: requests refused, by kind of problem.
        upload_bytes: bytes of files received.
        uploads: those being received at this moment.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "unmask_http_requests",
            "Answers by method, route and status",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "unmask_http_request_seconds",
            "Seconds from request to the last byte of the answer",
            ["route"],
            registry=self._registry,
        )
        self.refused = Counter(
            "unmask_refused",
            "Refused requests by kind of problem",
            ["kind"],
            registry=self._registry,
        )
        self.upload_bytes = Counter(
            "unmask_upload_bytes", "Bytes of files received", registry=self._registry
        )
        self.uploads = Gauge("unmask_uploads", "Uploads being received", registry=self._registry)
        self._jobs = Gauge("unmask_jobs", "Analyses by state", ["state"], registry=self._registry)
        self._workers = Gauge(
            "unmask_workers", "Workers seen within three leases", registry=self._registry
        )

    def text(self, jobs: Mapping[str, int], workers: int) -> bytes:
        """All counters in Prometheus' text format, with the store's numbers of this moment."""
        for state, count in jobs.items():
            self._jobs.labels(state).set(count)
        self._workers.set(workers)
        return generate_latest(self._registry)
