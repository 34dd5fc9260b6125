"""30 SIGKILLs of worker and service under a steady load: what became of every accepted upload.

    python benchmarks/service_kills.py [--kills 30] [--pace 1.5] [--seed 0] [--out FILE]

Starts `unmask serve` on a free loopback port and an empty data folder, uploads small files at an
even pace, and kills at random times the worker, the whole service (which is started again on the
same folder), or both at once. An upload whose answer was lost is sent again with its
Idempotency-Key. At the end every upload must be in the database once, with one result or one stated
failure, that never changed after it was first seen. Exits with 1 where a claim does not hold.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

from record import Record, arguments
from service_client import Submission, ask, rows, submit
from service_inputs import clip, picture
from service_process import Service

TARGETS = {
    "worker": frozenset({"worker"}),
    "service": frozenset({"service"}),
    "both": frozenset({"service", "worker"}),
}
PAUSE_S = (0.5, 10.0)
"""Between the moment a worker is there and the kill: some hit its start, some its work."""
WORKER_S = 180.0
"""Until a worker must be there again."""
DOWN_S = 1.0
"""The longest the service stays away before it is started again."""
WATCH_S = 0.5
LOOK_S = 3.0
SIDE = 360
EVERY_CLIP = 12
RATE = 10**6
REASONS = {"worker_lost", "internal_error"}
ENDED = {"done", "failed"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--pace", type=float, default=1.5, help="uploads per second")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--grace", type=float, default=30.0, help="seconds an orphaned process may still run"
    )
    parser.add_argument("--most-seconds", type=float, default=3000.0)
    given = parser.parse_args()
    record = Record(seed=given.seed)
    with tempfile.TemporaryDirectory(prefix="unmask-kills-") as name:
        results, said = run(Path(name), given)
    record.write(given.out, results)
    broken = [claim for claim, holds in results["claims"].items() if not holds]
    if broken:
        print(f"These claims do not hold: {', '.join(broken)}.\n{said}", file=sys.stderr)
        sys.exit(1)


def run(root: Path, given: Any) -> tuple[dict[str, Any], str]:
    """The whole of it: the measurements, and the service's last words."""
    deadline = time.monotonic() + given.most_seconds
    with Service(root / "data", root / "log", "--rate", str(RATE)) as service:
        service.await_ready()
        with Watch(service) as watch:
            with Uploads(service.port, given, deadline) as uploads:
                kills = kill_often(service, given, deadline)
            drained = drain(service.port, deadline)
            watch.look()
            exit_code = None
            with suppress(subprocess.TimeoutExpired):
                exit_code = service.stop()
            until = time.monotonic() + given.grace
            while service.processes() and time.monotonic() < until:
                time.sleep(WATCH_S)
            left = len(service.processes())
        database, said = rows(root / "data"), service.last_words()
    faults = reconcile(uploads.sent, database)
    changed = watch.changed | changed_since(watch.seen, database)
    claims = {
        "all_kills_done": len(kills) == given.kills,
        "every_upload_accepted": not faults["not_accepted"],
        "none_lost": not faults["lost"],
        "none_doubled": not (faults["doubled"] or faults["unknown"] or faults["two_ids"]),
        "none_mixed_up": not faults["mixed_up"],
        "one_result_or_one_stated_failure": drained
        and not (faults["unfinished"] or faults["without_outcome"]),
        "no_outcome_changed": not changed,
        "no_process_left_behind": left == 0
        and all(seconds <= given.grace for seconds in watch.orphaned.values()),
        "stopped_in_order": exit_code == 0,
    }
    return {
        "kills": kills,
        "kills_by_target": Counter(kill["target"] for kill in kills),
        "processes_killed": sum((Counter(kill["killed"]) for kill in kills), Counter()),
        "uploads": uploads.summary(),
        "states": Counter(row["state"] for row in database),
        "failures": Counter(row["reason"] for row in database if row["state"] == "failed"),
        "attempts": Counter(str(row["attempts"]) for row in database),
        "faults": faults | {"changed": sorted(changed)},
        "orphans": {
            "seen": Counter(kind for kind, *_ in watch.orphaned),
            "longest_s": {
                kind: max(s for (one, *_), s in watch.orphaned.items() if one == kind)
                for kind in sorted({kind for kind, *_ in watch.orphaned})
            },
            "left_at_the_end": left,
        },
        "claims": claims,
        "goal_met": all(claims.values()),
    }, said


@dataclass(slots=True)
class Sent:
    """One upload: what was sent, and how that went."""

    sha256: str
    submission: Submission = field(default_factory=Submission)


class Uploads:
    """Uploads at an even pace from several threads, while its `with` block lasts.

    On leaving, the uploads under way go on until they are accepted or the time is over.
    """

    def __init__(self, port: int, given: Any, deadline: float) -> None:
        self._port, self._given, self._deadline = port, given, deadline
        self.sent: dict[str, Sent] = {}
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(given.clients)
        self._clients: list[Future[None]] = []

    def __enter__(self) -> Uploads:
        clients = range(self._given.clients)
        self._clients = [self._pool.submit(self._client, number) for number in clients]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if kind is not None:
            self._deadline = 0.0
        self._pool.shutdown()
        for client in self._clients:
            client.result()

    def summary(self) -> dict[str, Any]:
        """Counts of uploads and of answers."""
        each = [one.submission for one in self.sent.values()]
        return {
            "sent": len(each),
            "accepted": sum(one.error is None for one in each),
            "answers_lost": sum(one.lost for one in each),
            "sent_again_after_a_lost_answer": sum(one.lost > 0 for one in each),
            "nobody_listened": sum(one.unreachable for one in each),
            "refused_for_later": dict(sum((one.refused for one in each), Counter())),
        }

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _client(self, number: int) -> None:
        seed, step = self._given.seed, self._given.clients
        pause = step / self._given.pace
        self._over.wait(pause * number / step)
        while not self._over.is_set():
            due = time.monotonic() + pause
            is_clip = number % EVERY_CLIP == EVERY_CLIP - 1
            content = clip(number, seed) if is_clip else picture(number, seed, side=SIDE)
            key, name = f"{seed}-{number}", f"{number:05d}.{'mp4' if is_clip else 'jpg'}"
            sent = self.sent[key] = Sent(hashlib.sha256(content).hexdigest())
            sent.submission = submit(self._port, name, content, left=self._left, key=key)
            number += step
            self._over.wait(max(0.0, due - time.monotonic()))


def kill_often(service: Service, given: Any, deadline: float) -> list[dict[str, Any]]:
    """Kill, start again, and say what was killed when; ends early when the time is over."""
    rng, began = random.Random(given.seed), time.monotonic()
    kills: list[dict[str, Any]] = []
    while len(kills) < given.kills and time.monotonic() < deadline:
        target = rng.choice(sorted(TARGETS))
        _await_worker(service, min(deadline, time.monotonic() + WORKER_S))
        time.sleep(rng.uniform(*PAUSE_S))
        before = {process.pid: process.kind for process in service.processes()}
        at = time.monotonic() - began
        killed = Counter(before.get(pid, "new") for pid in service.kill(TARGETS[target]))
        if "service" in TARGETS[target]:
            time.sleep(rng.uniform(0.0, DOWN_S))
            service.start()
        if killed:
            kills.append({"s": at, "target": target, "killed": killed})
    return kills


def _await_worker(service: Service, deadline: float) -> None:
    while not any(process.kind == "worker" for process in service.processes()):
        if time.monotonic() > deadline:
            raise SystemExit(f"No worker was started again:\n{service.last_words()}")
        time.sleep(0.1)


def drain(port: int, deadline: float) -> bool:
    """Wait until every analysis has ended; False: the time was over first."""
    while time.monotonic() < deadline:
        with suppress(OSError, HTTPException):
            if all(one["state"] in ENDED for one in listed(port)):
                return True
        time.sleep(1.0)
    return False


def listed(port: int) -> list[dict[str, Any]]:
    """All analyses as the service lists them.

    Raises:
        OSError, HTTPException: it does not answer, or not with a list.
    """
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        answer = ask(port, "GET", f"/v1/analyses?limit=500{after}")
        if answer.status != 200:
            raise HTTPException(f"a list was answered with {answer.status}")
        page = json.loads(answer.body)
        found += page["items"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


class Watch:
    """Looks on while its `with` block lasts.

    Attributes:
        seen: state and end of the analyses that have ended, by id.
        changed: ids of those that were seen otherwise later.
        orphaned: seconds for which a process was seen to outlive the one that started it, by its
            kind, number and start.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.seen: dict[str, tuple[Any, ...]] = {}
        self.changed: set[str] = set()
        self.orphaned: dict[tuple[str, int, int], float] = {}
        self._first: dict[tuple[str, int, int], float] = {}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=given, daemon=True)
            for given in ((self._processes, WATCH_S), (self.look, LOOK_S))
        ]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def look(self) -> None:
        """Compare what has ended with what was seen before."""
        with suppress(OSError, HTTPException):
            for one in listed(self._service.port):
                if one["state"] in ENDED:
                    now = (one["state"], moment(one["finished"]), one["attempts"])
                    if self.seen.setdefault(one["id"], now) != now:
                        self.changed.add(one["id"])
                elif one["id"] in self.seen:
                    self.changed.add(one["id"])

    def _processes(self) -> None:
        now = time.monotonic()
        running = self._service.processes()
        parents = {process.pid: process.kind for process in running}
        for process in running:
            wanted = {"decoder": "worker", "worker": "service"}.get(process.kind)
            if wanted is not None and parents.get(process.parent) != wanted:
                key = process.kind, process.pid, process.started
                self.orphaned[key] = now - self._first.setdefault(key, now)

    def _repeat(self, look: Any, seconds: float) -> None:
        while not self._over.wait(seconds):
            look()


def moment(text: str) -> int:
    """Microseconds since 1970, as the database has them."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def changed_since(
    seen: Mapping[str, tuple[Any, ...]], database: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Ids of analyses whose outcome in the database is not the one that was seen."""
    kept = {row["id"]: (row["state"], row["finished"], row["attempts"]) for row in database}
    return {id for id, outcome in seen.items() if kept.get(id) != outcome}


def reconcile(
    sent: Mapping[str, Sent], database: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Hold what the clients know against the database; every list of the answer should be empty.

    Args:
        sent: by Idempotency-Key.
        database: rows as `service_client.rows` gives them.

    Returns:
        Keys of uploads that were not accepted or were answered with two ids; ids that were accepted
        and are not there, are there twice, belong to no upload or to another one's content, have
        not ended, or have ended without a result or a stated failure.
    """
    by_digest = {hashlib.sha256(key.encode()).hexdigest(): one for key, one in sent.items()}
    ids = {row["id"] for row in database}
    keys = Counter(row["key"] for row in database)
    known = [row for row in database if row["key"] in by_digest]
    accepted = {key: one for key, one in sent.items() if one.submission.error is None}
    return {
        "not_accepted": sorted(sent.keys() - accepted.keys()),
        "two_ids": sorted(key for key, one in sent.items() if len(set(one.submission.ids)) > 1),
        "lost": sorted({id for one in sent.values() for id in one.submission.ids} - ids),
        "doubled": sorted(row["id"] for row in known if keys[row["key"]] > 1),
        "unknown": sorted(row["id"] for row in database if row["key"] not in by_digest),
        "mixed_up": sorted(row["id"] for row in known if not _fits(row, by_digest[row["key"]])),
        "unfinished": sorted(row["id"] for row in database if row["state"] not in ENDED),
        "without_outcome": sorted(
            row["id"] for row in database if row["state"] in ENDED and not _has_outcome(row)
        ),
    }


def _fits(row: Mapping[str, Any], one: Sent) -> bool:
    return row["sha256"] == one.sha256 and set(one.submission.ids) <= {row["id"]}


def _has_outcome(row: Mapping[str, Any]) -> bool:
    if row["lease"] is not None or row["work"] is not None:
        return False
    if row["state"] == "done":
        return bool(row["has_result"]) and row["reason"] is None
    return not row["has_result"] and row["reason"] in REASONS and bool(row["message"])


if __name__ == "__main__":
    main()
