"""Several processes on one store, some of them killed in the middle of it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("other_process.py")
PATIENCE_S = 60


class Other:
    """A process of its own, from `other_process.py`."""

    def __init__(self, bench: Any, task: str, worker: str, mark: int) -> None:
        self.worker = worker
        self.mark = mark
        command = [sys.executable, str(SCRIPT), task, bench.settings.model_dump_json()]
        self.process = subprocess.Popen(
            [*command, worker, str(mark)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def rest(self) -> list[str]:
        """All it still says until it ends."""
        assert self.process.stdout is not None
        return self.process.stdout.read().splitlines()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Other]]:
    others: list[Other] = []

    def start_one(*given: Any) -> Other:
        others.append(Other(*given))
        return others[-1]

    yield start_one
    for other in others:
        other.kill()
        for pipe in (other.process.stdin, other.process.stdout):
            if pipe is not None:
                pipe.close()


def eventually(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something: a server takes a moment to miss a client."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def said(lines: list[str], word: str) -> list[str]:
    return [line.split()[1] for line in lines if line.startswith(word)]


def test_processes_share_the_work_and_each_job_is_given_once(
    bench: Any, start: Callable[..., Other]
) -> None:
    ids = [bench.submit().id for _ in range(40)]
    others = [start(bench, "drain", f"w{n}", n) for n in range(3)]
    for other in others:
        assert other.line() == "ready"
    for other in others:
        other.go()
    lines = [line for other in others for line in other.rest()]
    assert Counter(said(lines, "claimed")) == Counter(ids)
    assert Counter(said(lines, "finished")) == Counter(ids)
    assert bench.jobs.counts()["done"] == 40


def test_whatever_is_killed_every_job_gets_one_result_and_keeps_it(
    make_bench: Callable[..., Any], start: Callable[..., Other]
) -> None:
    bench = make_bench(max_attempts=99)
    ids = [bench.submit().id for _ in range(30)]
    kept: dict[str, float] = {}
    for n in range(3):
        other = start(bench, "drain", f"w{n}", n)
        assert other.line() == "ready"
        other.go()
        lines = [other.line() for _ in range(5)]  # then somewhere in its work
        other.kill()
        for id in said(lines + other.rest(), "finished"):
            assert id not in kept
            kept[id] = other.mark / 100
        bench.jobs.retire(other.worker)

    def finish_the_rest() -> bool:
        for claim in bench.jobs.claim("last", limit=9):
            assert claim.job not in kept
            assert bench.jobs.finish(claim, bench.result(0.99))
        return bool(bench.jobs.counts()["done"] == 30)

    eventually(finish_the_rest)
    scores = {id: bench.see(id).result.score for id in ids}
    assert kept
    assert {id: scores[id] for id in kept} == kept


def test_killed_in_a_submission_there_is_no_job(bench: Any, start: Callable[..., Other]) -> None:
    upload = bench.upload()
    other = start(bench, "submit", "w", 1)
    assert other.line() == "committing"
    other.kill()
    job, new = bench.jobs.submit(upload, owner="ann")
    assert new
    assert bench.jobs.jobs(owner=None) == [job]


def test_killed_in_a_claim_the_job_is_still_queued(bench: Any, start: Callable[..., Other]) -> None:
    job = bench.submit()
    other = start(bench, "claim", "w", 1)
    assert other.line() == "committing"
    assert bench.see(job) == job
    other.kill()
    (claim,) = eventually(lambda: bench.jobs.claim("next", limit=1))
    assert (claim.job, claim.attempts) == (job.id, 1)


def test_killed_in_a_finish_the_job_is_judged_again(
    bench: Any, start: Callable[..., Other]
) -> None:
    job = bench.submit()
    other = start(bench, "finish", "w", 1)
    assert other.line() == "committing"
    other.kill()
    assert (bench.see(job).state, bench.see(job).result) == ("running", None)
    bench.clock.forward(PATIENCE_S + 2 * bench.settings.lease_s)
    (claim,) = eventually(lambda: bench.jobs.claim("next", limit=1))
    assert (claim.job, claim.attempts) == (job.id, 2)
    assert bench.jobs.finish(claim, bench.result(0.7))
    assert bench.see(job).result == bench.result(0.7)


def test_of_two_results_at_once_one_is_kept(bench: Any) -> None:
    for _ in range(5):
        bench.submit()
        claim = bench.claim()
        together = threading.Barrier(2)

        def finish(score: float, claim: Any = claim, together: Any = together) -> bool:
            together.wait()
            return bool(bench.jobs.finish(claim, bench.result(score)))

        with ThreadPoolExecutor(2) as threads:
            taken = dict(zip((0.1, 0.9), threads.map(finish, (0.1, 0.9)), strict=True))
        (winner,) = (score for score, won in taken.items() if won)
        assert bench.see(claim).result == bench.result(winner)


def test_heartbeats_claims_and_sweeps_do_not_lock_each_other_out(bench: Any) -> None:
    for _ in range(20):
        bench.submit()
    held = {worker: bench.jobs.claim(worker, limit=5) for worker in ("a", "b")}

    def beat(worker: str) -> int:
        leases = [claim.lease for claim in held[worker]]
        return sum(len(bench.jobs.heartbeat(worker, leases)) for _ in range(10))

    def take(worker: str) -> int:
        return sum(len(bench.jobs.claim(worker, limit=1)) for _ in range(10))

    def sweep() -> int:
        return sum(bench.jobs.sweep(bench.clock()).lost for _ in range(10))

    with ThreadPoolExecutor(5) as threads:
        beats = [threads.submit(beat, worker) for worker in held]
        takes = [threads.submit(take, worker) for worker in ("c", "d")]
        lost = threads.submit(sweep)
        assert [future.result() for future in beats] == [50, 50]
        assert sum(future.result() for future in takes) == 10
        assert lost.result() == 0
