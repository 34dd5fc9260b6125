"""A client of the service, as simple as one can be, and a look into its database."""

from __future__ import annotations

import json
import secrets
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

COME_AGAIN = {429, 503}
"""Statuses that ask to come again."""
LOST_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, with the seconds from the first byte sent to the last one received."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    patience: float = 60.0,
) -> Answer:
    """One request over a connection of its own.

    Raises:
        OSError, HTTPException: no whole answer came.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        began = time.perf_counter()
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, content, time.perf_counter() - began)
    finally:
        connection.close()


def form(name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an upload of one file."""
    boundary = secrets.token_hex(16)
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


@dataclass(slots=True)
class Submission:
    """How one upload went.

    Attributes:
        ids: of the analysis, from every 202 that came.
        seconds: of the request that was accepted.
        refused: answers that asked to come again, by status.
        lost: requests that were sent at least in part and got no answer.
        unreachable: times that nobody listened.
        error: why it was given up; None: accepted.
    """

    ids: list[str] = field(default_factory=list)
    seconds: float = 0.0
    refused: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    unreachable: int = 0
    error: str | None = None


def submit(
    port: int,
    name: str,
    content: bytes,
    *,
    left: Callable[[], float],
    batch: str | None = None,
    key: str | None = None,
) -> Submission:
    """Upload until it is accepted: wait as Retry-After says; with a key, try lost answers again.

    Args:
        left: gives the seconds until it is to be given up.
        key: of idempotency. Without one, an upload whose answer was lost is given up.
    """
    done = Submission(error="no time was left")
    path = "/v1/analyses" if batch is None else f"/v1/analyses?batch={batch}"
    body, headers = form(name, content)
    if key is not None:
        headers["Idempotency-Key"] = key
    while left() > 0:
        try:
            answer = ask(port, "POST", path, body, headers)
        except (OSError, HTTPException) as error:
            if isinstance(error, ConnectionRefusedError):
                done.unreachable += 1
            else:
                done.lost += 1
            if key is None:
                done.error = f"no answer: {type(error).__name__}"
                return done
            time.sleep(LOST_PAUSE_S)
            continue
        if answer.status == 202:
            done.ids.append(json.loads(answer.body)["id"])
            done.seconds, done.error = answer.seconds, None
            return done
        done.refused[answer.status] += 1
        if answer.status not in COME_AGAIN:
            done.error = f"{answer.status}: {answer.body[:300].decode('utf-8', 'replace')}"
            return done
        pause = float(answer.headers.get("retry-after", "1"))
        until = time.monotonic() + pause
        while left() > 0 and time.monotonic() < until:
            time.sleep(min(0.5, pause))
    return done


def rows(data: Path) -> list[dict[str, Any]]:
    """All analyses in the database of a data folder, without the results' text."""
    query = (
        "SELECT id, key, state, reason, message, attempts, sha256, name, finished, lease, work,"
        " result IS NOT NULL AS has_result FROM unmask_jobs ORDER BY seq"
    )
    with closing(sqlite3.connect(f"{(data / 'service.db').as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query)]


def milliseconds(seconds: Sequence[float]) -> dict[str, float | int]:
    """Median, 95th percentile and maximum.

    >>> milliseconds([0.001, 0.003, 0.002])["p50"]
    2.0
    """
    if not seconds:
        return {"requests": 0}
    ordered = sorted(1000 * value for value in seconds)
    # the smallest value that 95 % do not exceed: no interpolation makes it smaller
    p95 = ordered[-(-95 * len(ordered) // 100) - 1]
    return {
        "p50": statistics.median(ordered),
        "p95": p95,
        "max": ordered[-1],
        "requests": len(ordered),
    }


if __name__ == "__main__":
    raise SystemExit("This is a part of service_load.py and service_kills.py; run those.")
