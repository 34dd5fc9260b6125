"""200 uploads from 16 clients at once, against `unmask scan` on the same files.

    python benchmarks/service_load.py [--files 200] [--clips 8] [--clients 16] [--out FILE]

Starts `unmask serve` on a free loopback port and an empty data folder. The clients upload stills
and short clips made of those in examples/, then ask for their analyses once a second; meanwhile the
other endpoints are timed. `unmask scan` runs on the same files before and after. The throughput is
held against that of the whole command, and, which is more than was asked for, against its pace
without its start, the time of a scan of one file: the service has its model loaded and one file
judged already. Exits with 1 where a claim does not hold.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from record import ROOT, Record, arguments
from service_client import Submission, ask, milliseconds, rows, submit
from service_inputs import picture, write_inputs
from service_process import Memory, Service

from unmask.apps.cli.backend import DEFAULT_MODEL

ENDED = {"done", "failed", "cancelled", "expired"}
POLL_S = 1.0
LOOK_S = 0.02
PROBE_PAUSE_S = 0.2
"""Between two looks at other endpoints: they share the two cores with what is measured."""
RATE = 10**6
"""Requests a minute: all clients have one address, and none of them is the one that is tested."""
SCORED_OR_NOT = (0, 3, 4)
"""Exit codes of a scan that gave a result for every file."""
SAME_SCORE = 1e-4
"""The last digits of a score differ with the composition of a batch."""
P95_MS = 100.0
LEAST_RATIO = 0.85
MOST_GROWTH = 1.25
"""Peak memory of the second half of the load over that of the first."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--clips", type=int, default=8, help="of the files")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--queue", type=int, default=256, help="of the service")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=1800.0, help="for each part")
    given = parser.parse_args()
    record = Record(seed=given.seed)
    with tempfile.TemporaryDirectory(prefix="unmask-load-") as name:
        root = Path(name)
        inputs = write_inputs(root / "inputs", given.files, given.clips, given.seed)
        start = scan(root / "start.jsonl", inputs[:1], given).seconds
        scans = [scan(root / "before.jsonl", inputs, given)]
        load = run_load(root, inputs, given)
        scans.append(scan(root / "after.jsonl", inputs, given))
        results = summary(inputs, load, scans, start)
    results["inputs"] = {
        "files": given.files,
        "clips": sum(path.suffix == ".mp4" for path in inputs),
        "bytes": load.sent_bytes,
        "clients": given.clients,
        "model": Path(given.model).name,
    }
    record.write(given.out, results)
    broken = [claim for claim, holds in results["claims"].items() if not holds]
    if broken:
        print(f"These claims do not hold: {', '.join(broken)}.\n{load.said}", file=sys.stderr)
        sys.exit(1)


@dataclass(slots=True)
class Scan:
    """One run of `unmask scan`.

    Attributes:
        seconds: from its start to its last result.
        results: by file name.
        cpu: seconds of processor time of its processes.
    """

    seconds: float
    results: dict[str, dict[str, Any]]
    cpu: float


def scan(out: Path, inputs: Sequence[Path], given: Any) -> Scan:
    """Scan the files, and look on as the results come."""
    listed = out.with_suffix(".txt")
    listed.write_text("".join(f"{path}\n" for path in inputs), "utf-8")
    command = [*(sys.executable, "-m", "unmask", "scan", f"@{listed}", "--model", given.model)]
    command += ["--out", str(out), "--format", "jsonl"]
    began, before = time.perf_counter(), _children()
    with out.with_suffix(".log").open("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)
        try:
            while process.poll() is None and _lines(out) < len(inputs):
                if time.perf_counter() - began > given.most_seconds:
                    raise SystemExit("unmask scan takes too long; give more --most-seconds.")
                time.sleep(LOOK_S)
            seconds = time.perf_counter() - began
            process.wait(given.most_seconds)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        if process.returncode not in SCORED_OR_NOT:
            raise SystemExit(f"unmask scan ended with {process.returncode}: {log.read()[-1000:]}")
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    results = {Path(line["input"]["path"]).name: line for line in lines}
    return Scan(seconds, results, _children() - before)


def _children() -> float:
    """Processor time of all that was started here and has ended."""
    used = os.times()
    return used.children_user + used.children_system


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@dataclass
class Load:
    """What came of the uploads.

    Attributes:
        submissions: by file name.
        ended: the analyses as their clients saw them last, by id.
        probes: seconds by endpoint.
        faults: what must not happen, for a person.
        results: lines of the batch's results.
        database: rows at the end.
        cpu: seconds of processor time by kind of process; `clients` is this one.
        seconds: from the first upload to the end of the last analysis.
        said: last words of the service, for a person.
    """

    submissions: dict[str, Submission] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    probes: dict[str, list[float]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    results: list[dict[str, Any]] = field(default_factory=list)
    missing: int = -1
    database: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    sent_bytes: int = 0
    seconds: float = 0.0
    exit_code: int | None = None
    left: int = 0
    said: str = ""


def run_load(root: Path, inputs: Sequence[Path], given: Any) -> Load:
    """The service from its start to its end, with the load in between."""
    data, load = root / "data", Load(sent_bytes=sum(path.stat().st_size for path in inputs))
    options = ["--rate", str(RATE), "--queue", str(given.queue), "--model", given.model]
    with Service(data, root / "log", *options) as service:
        service.await_ready()
        warm_up(service.port, inputs, given)
        batch = json.loads(ask(service.port, "POST", "/v1/batches").body)["id"]
        clients = Clients(service.port, batch, load, time.monotonic() + given.most_seconds)
        before, mine = service.cpu(), time.process_time()
        with Memory(service) as memory:
            clients.run(inputs, given.clients)
        load.cpu = {kind: t - before.get(kind, 0.0) for kind, t in service.cpu().items()}
        load.cpu["clients"] = time.process_time() - mine
        load.memory = memory.summary()
        answer = ask(service.port, "GET", f"/v1/batches/{batch}/results.jsonl")
        load.results = [json.loads(line) for line in answer.body.splitlines()]
        load.missing = int(answer.headers.get("unmask-missing", "-1"))
        with suppress(subprocess.TimeoutExpired):
            load.exit_code = service.stop()
        load.left, load.said = len(service.processes()), service.last_words()
        load.database = rows(data)
    return load


def warm_up(port: int, inputs: Sequence[Path], given: Any) -> None:
    """One analysis to its end, as the scan of one file is: it leaves nothing behind.

    Raises:
        RuntimeError: it did not end well.
    """
    content = picture(len(inputs), given.seed)
    deadline = time.monotonic() + given.most_seconds
    done = submit(port, "first.jpg", content, left=lambda: deadline - time.monotonic())
    if done.error is not None:
        raise RuntimeError(f"The first upload was not accepted: {done.error}")
    path = f"/v1/analyses/{done.ids[0]}"
    while json.loads(ask(port, "GET", path).body)["state"] != "done":
        if time.monotonic() > deadline:
            raise RuntimeError("The first analysis does not end.")
        time.sleep(0.1)
    ask(port, "DELETE", path)


class Clients:
    """Uploads from several threads, and one that times the other endpoints."""

    def __init__(self, port: int, batch: str, load: Load, deadline: float) -> None:
        self._port, self._batch, self._load, self._deadline = port, batch, load, deadline
        self._files: queue.SimpleQueue[Path] = queue.SimpleQueue()
        self._latest: str | None = None
        self._over = threading.Event()

    def run(self, inputs: Sequence[Path], clients: int) -> None:
        """Returns when all analyses have ended, or the time is over."""
        for path in inputs:
            self._files.put(path)
        prober = threading.Thread(target=self._probe)
        began = time.time()
        prober.start()
        try:
            with ThreadPoolExecutor(clients) as pool:
                try:
                    for done in [pool.submit(self._client) for _ in range(clients)]:
                        done.result()
                except BaseException:
                    self._deadline = 0.0  # the others end too
                    raise
        finally:
            self._over.set()
            prober.join()
        moments = [datetime.fromisoformat(one["finished"]) for one in self._load.ended.values()]
        last = max((moment.timestamp() for moment in moments), default=time.time())
        self._load.seconds = last - began

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _client(self) -> None:
        mine: list[str] = []
        with suppress(queue.Empty):
            while True:
                path = self._files.get_nowait()
                content, batch = path.read_bytes(), self._batch
                done = submit(self._port, path.name, content, left=self._left, batch=batch)
                self._load.submissions[path.name] = done
                if done.error is not None:
                    self._load.faults[f"upload {done.error}"] += 1
                mine += done.ids
                self._latest = mine[-1] if mine else self._latest
        for id in mine:
            self._await(id)

    def _await(self, id: str) -> None:
        while self._left() > 0:
            try:
                answer = ask(self._port, "GET", f"/v1/analyses/{id}")
            except (OSError, HTTPException) as error:
                self._load.faults[f"look at an analysis: {type(error).__name__}"] += 1
                time.sleep(POLL_S)
                continue
            if answer.status != 200:
                self._load.faults[f"look at an analysis: {answer.status}"] += 1
                return
            seen = json.loads(answer.body)
            if seen["state"] in ENDED:
                self._load.ended[id] = seen
                return
            time.sleep(POLL_S)
        self._load.faults["an analysis did not end in time"] += 1

    def _probe(self) -> None:
        paths = {
            "healthz": "/healthz",
            "readyz": "/readyz",
            "limits": "/v1/limits",
            "models": "/v1/models",
            "list": "/v1/analyses?limit=100",
        }
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60.0)
        while not self._over.is_set():
            if self._latest is not None:
                paths["status"] = f"/v1/analyses/{self._latest}"
            for name, path in paths.items():
                self._probe_one(connection, name, path)
                self._over.wait(PROBE_PAUSE_S)
        connection.close()

    def _probe_one(self, connection: HTTPConnection, name: str, path: str) -> None:
        began = time.perf_counter()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            self._load.faults[f"{name}: {type(error).__name__}"] += 1
            return
        self._load.probes.setdefault(name, []).append(time.perf_counter() - began)
        if response.status != 200:
            self._load.faults[f"{name}: {response.status}"] += 1


def summary(
    inputs: Sequence[Path], load: Load, scans: Sequence[Scan], start: float
) -> dict[str, Any]:
    """The measurements, and what they prove; `start` is the seconds of a scan of one file."""
    count, made = len(inputs), load.submissions.values()
    endpoints = {name: milliseconds(seconds) for name, seconds in load.probes.items()}
    each = [throughput(count, load.seconds, one.seconds, start) for one in scans]
    compared = [differences(one.results, load.results) for one in scans]
    named = Counter(line["input"]["path"] for line in load.results)
    accepted = Counter(id for one in made for id in one.ids)
    done = [row for row in load.database if row["state"] == "done" and row["has_result"]]
    once = Counter({path.name: 1 for path in inputs})
    memory = load.memory
    claims = {
        "no_fault": not load.faults,
        "all_accepted": len(accepted) == count and set(accepted.values()) == {1},
        "none_lost": load.missing == 0 and {row["id"] for row in done} == set(accepted),
        "none_doubled": named == once
        and Counter(row["id"] for row in load.database) == accepted
        and len({row["sha256"] for row in load.database}) == len(load.database),
        "same_as_scan": all(not one["different"] for one in compared),
        "endpoints_answer_in_time": bool(endpoints)
        and all(one["p95"] < P95_MS for one in endpoints.values()),
        "memory_bounded": memory["peak_mib_second_half"]["all"]
        <= MOST_GROWTH * memory["peak_mib_first_half"]["all"],
        "throughput": mean(each, "ratio") >= LEAST_RATIO,
        "throughput_without_start": mean(each, "ratio_without_start") >= LEAST_RATIO,
        "all_stopped": load.exit_code == 0 and load.left == 0,
    }
    return {
        "uploads": {
            "accepted": len(accepted),
            "refused_for_later": dict(sum((one.refused for one in made), Counter())),
            "ms": milliseconds([one.seconds for one in made if one.error is None]),
        },
        "states": Counter(row["state"] for row in load.database),
        "attempts": Counter(str(row["attempts"]) for row in load.database),
        "results": len(load.results),
        "statuses": Counter(line["status"] for line in load.results),
        "against_scan": dict(zip(("before", "after"), compared, strict=True)),
        "throughput": {
            "service_seconds": load.seconds,
            "scan_start_seconds": start,
            "service_cpu_seconds": load.cpu,
            "scan_cpu_seconds": [one.cpu for one in scans],
            "service_files_per_s": count / load.seconds,
            **dict(zip(("against_scan_before", "against_scan_after"), each, strict=True)),
        },
        "endpoints_ms": endpoints
        | {"all": milliseconds([s for seconds in load.probes.values() for s in seconds])},
        "memory": memory,
        "faults": dict(load.faults),
        "claims": claims,
        "goal_met": all(claims.values()),
    }


def throughput(count: int, served: float, scanned: float, start: float) -> dict[str, float]:
    """Files per second of the service over those of a scan, without and with the scan's start.

    Args:
        count: files, one of which is judged within `start`.
        served, scanned, start: seconds of the service, of the scan, and of a scan of one file.
    """
    pace = (count - 1) / (scanned - start)
    return {
        "scan_seconds": scanned,
        "scan_files_per_s": count / scanned,
        "ratio": scanned / served,
        "scan_files_per_s_without_start": pace,
        "ratio_without_start": count / served / pace,
    }


def mean(each: Sequence[dict[str, float]], name: str) -> float:
    """Of one figure of several comparisons."""
    return sum(one[name] for one in each) / len(each)


def differences(scanned: dict[str, Any], served: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Files whose status, reasons, verdict or score differ, and the largest distance of scores."""
    by_name = {line["input"]["path"]: line for line in served}
    different, largest = [], 0.0
    for name in sorted(scanned.keys() | by_name.keys()):
        one, other = scanned.get(name), by_name.get(name)
        if one is None or other is None or _finding(one) != _finding(other):
            different.append(name)
        elif one["score"] is not None:
            distance = abs(one["score"] - other["score"])
            largest = max(largest, distance)
            different += [name] if distance > SAME_SCORE else []
    return {"compared": len(by_name), "different": different, "largest_distance": largest}


def _finding(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["status"], line["reasons"], line["verdict"], line["score"] is None


if __name__ == "__main__":
    main()
