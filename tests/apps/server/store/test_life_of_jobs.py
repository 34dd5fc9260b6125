"""Any order of events gives what a few lines of plain Python say it should.

The model below keeps jobs in a list and knows nothing of databases. Whatever is done to the store
is done to the model, and after each step both must agree on every job; beside that, each job has
one accepted result at most, and keeps it until it expires.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from unmask.apps.server.contract import Claim, QueueFull

LEASE_S = 30
RETENTION_S = 150
LIMITS = {"lease_s": LEASE_S, "retention_s": RETENTION_S, "max_attempts": 4, "queue_limit": 4}
WORKERS = ("a", "b")


@dataclass
class Work:
    """A job as it should be."""

    id: str
    state: str = "queued"
    attempts: int = 0
    evidence: str = "none"
    evidence_attempts: int = 0
    score: float | None = None
    worker: str | None = None
    lease: str | None = None
    until: datetime | None = None
    expires: datetime | None = None

    @property
    def kind(self) -> str | None:
        if self.state in ("queued", "running"):
            return "analysis"
        if self.state == "done" and self.evidence in ("wanted", "making"):
            return "evidence"
        return None

    @property
    def tries(self) -> int:
        return self.evidence_attempts if self.kind == "evidence" else self.attempts

    def drop_lease(self) -> None:
        self.worker = self.lease = self.until = None

    def end(self, state: str, now: datetime) -> None:
        self.state = state
        self.expires = now + timedelta(seconds=RETENTION_S)
        self.drop_lease()
        if state != "done":
            self.evidence = "none"

    def holds(self, claim: Claim) -> bool:
        return self.kind == claim.kind and self.lease == claim.lease


def give_up(work: list[Work], now: datetime) -> int:
    lost = [w for w in work if w.until and w.until <= now and w.tries >= LIMITS["max_attempts"]]
    for item in lost:
        if item.kind == "analysis":
            item.end("failed", now)
        else:
            item.evidence = "failed"
            item.drop_lease()
    return len(lost)


def choose(work: list[Work], worker: str, limit: int, now: datetime) -> list[Work]:
    """What a claim should give."""
    held = [w for w in work if w.worker == worker and w.until and w.until > now]
    if any(w.tries > 2 for w in held):
        return []
    free = [w for w in work if w.kind and (w.until is None or w.until <= now)]
    free.sort(key=lambda w: w.kind != "evidence")  # stable: by age within a kind
    front = free[:limit]
    if front and front[0].tries >= 2:
        return [] if held else front[:1]
    suspects = [n for n, w in enumerate(front) if w.tries >= 2]
    return front[: suspects[0]] if suspects else front


class LifeOfJobs(RuleBasedStateMachine):
    """The store beside the model."""

    make: Callable[..., Any]
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.bench = type(self).make(**LIMITS)
        self.store = self.bench.jobs
        self.work: list[Work] = []
        self.accepted: dict[str, float] = {}
        self.score = 0.0

    def teardown(self) -> None:
        self.bench.store.close()

    @property
    def now(self) -> datetime:
        time: datetime = self.bench.clock()
        return time

    def of(self, claim: Claim) -> Work | None:
        return next((w for w in self.work if w.id == claim.job), None)

    def some(self, pick: int) -> Work | None:
        return self.work[pick % len(self.work)] if self.work else None

    @rule(evidence=st.booleans())
    def submit(self, evidence: bool) -> None:
        full = sum(w.state == "queued" for w in self.work) >= LIMITS["queue_limit"]
        try:
            job = self.bench.submit(evidence=evidence)
        except QueueFull:
            assert full
        else:
            assert not full
            self.work.append(Work(job.id, evidence="wanted" if evidence else "none"))

    @rule(target=claims, worker=st.sampled_from(WORKERS), limit=st.integers(1, 3))
    def claim(self, worker: str, limit: int) -> Any:
        give_up(self.work, self.now)
        expected = choose(self.work, worker, limit, self.now)
        given = self.store.claim(worker, limit=limit)
        assert [(c.job, c.kind) for c in given] == [(w.id, w.kind) for w in expected]
        for item, claim in zip(expected, given, strict=True):
            if claim.kind == "analysis":
                item.state = "running"
                item.attempts += 1
            else:
                item.evidence = "making"
                item.evidence_attempts += 1
            item.worker, item.lease = worker, claim.lease
            item.until = self.now + timedelta(seconds=LEASE_S)
            assert claim.attempts == item.tries
        return multiple(*given)

    @rule(claim=claims)
    def heartbeat(self, claim: Claim) -> None:
        item = self.of(claim)
        held = item is not None and item.holds(claim)
        worker = item.worker if item and item.worker else "a"
        assert self.store.heartbeat(worker, [claim.lease]) == ({claim.lease} if held else set())
        if item is not None and held:
            item.until = self.now + timedelta(seconds=LEASE_S)

    @rule(claim=claims)  # not consumed: it is ended again and again, as after a lost answer
    def finish(self, claim: Claim) -> None:
        item = self.of(claim)
        self.score += 1e-3
        if claim.kind == "evidence":
            ended = self.store.evidence_ready(claim, claim.evidence_folder)
        else:
            ended = self.store.finish(claim, self.bench.result(self.score))
        assert ended == (item is not None and item.holds(claim))
        if item is None or not ended:
            return
        if claim.kind == "evidence":
            item.evidence = "ready"
            item.drop_lease()
            return
        item.end("done", self.now)
        assert item.id not in self.accepted
        self.accepted[item.id] = item.score = self.score

    @rule(claim=consumes(claims))
    def fail(self, claim: Claim) -> None:
        item = self.of(claim)
        if claim.kind == "evidence":
            ended = self.store.evidence_failed(claim, "it broke")
        else:
            ended = self.store.fail(claim, "internal_error", "it broke")
        assert ended == (item is not None and item.holds(claim))
        if item is not None and ended:
            if claim.kind == "evidence":
                item.evidence = "failed"
                item.drop_lease()
            else:
                item.end("failed", self.now)

    @rule(claim=claims)
    def give_back(self, claim: Claim) -> None:
        item = self.of(claim)
        given = self.store.give_back(claim)
        assert given == (item is not None and item.holds(claim))
        if item is not None and given:
            if claim.kind == "evidence":
                item.evidence = "wanted"
                item.evidence_attempts -= 1
            else:
                item.state = "queued"
                item.attempts -= 1
            item.drop_lease()

    @rule(pick=st.integers(0, 9))
    def cancel(self, pick: int) -> None:
        item = self.some(pick)
        if item is not None:
            self.store.cancel(item.id, owner="ann")
            if item.kind == "analysis":
                item.end("cancelled", self.now)

    @rule(pick=st.integers(0, 9))
    def want_evidence(self, pick: int) -> None:
        item = self.some(pick)
        if item is not None:
            self.store.want_evidence(item.id, owner="ann")
            if item.evidence == "none" and item.state in ("queued", "running", "done"):
                item.evidence = "wanted"

    @rule(pick=st.integers(0, 9))
    def delete(self, pick: int) -> None:
        item = self.some(pick)
        if item is not None:
            assert self.store.delete(item.id, owner="ann")
            self.work.remove(item)

    @rule(worker=st.sampled_from(WORKERS))
    def die_of_work(self, worker: str) -> None:
        for _ in range(2):
            self.claim(worker, 3)
            self.lose_worker(worker)

    @rule(worker=st.sampled_from(WORKERS))
    def lose_worker(self, worker: str) -> None:
        held = [w for w in self.work if w.worker == worker and w.until and w.until > self.now]
        assert self.store.retire(worker) == len(held)
        for item in held:
            item.until = self.now

    @rule(seconds=st.sampled_from([1, LEASE_S - 1, LEASE_S, LEASE_S, RETENTION_S]))
    def wait(self, seconds: int) -> None:
        self.bench.clock.forward(seconds)

    @rule()
    def sweep(self) -> None:
        swept = self.store.sweep(self.now)
        assert swept.lost == give_up(self.work, self.now)
        due = [w for w in self.work if w.expires and w.expires <= self.now and w.state != "expired"]
        assert swept.expired == len(due)
        for item in due:
            item.state, item.score, item.evidence = "expired", None, "none"
            item.drop_lease()

    @invariant()
    def both_agree(self) -> None:
        seen = {job.id: job for job in self.store.jobs(owner="ann")}
        assert set(seen) == {item.id for item in self.work}
        queued = 0
        for item in self.work:
            job = seen[item.id]
            score = job.result.score if job.result else None
            assert (job.state, job.attempts, job.evidence, score, job.ahead) == (
                item.state,
                item.attempts,
                item.evidence,
                item.score,
                queued if item.state == "queued" else 0,
            )
            queued += item.state == "queued"

    @invariant()
    def an_accepted_result_is_kept(self) -> None:
        for item in self.work:
            if item.id in self.accepted and item.state != "expired":
                assert item.state == "done"
                assert item.score == self.accepted[item.id]

    @invariant()
    def files_are_there_as_long_as_their_job(self) -> None:
        there = {path.name for path in self.bench.settings.uploads.iterdir()}
        alive = {item.id for item in self.work if item.state != "expired"}
        assert alive <= there
        assert not there & ({item.id for item in self.work} - alive)


def test_any_order_of_events_keeps_one_result_and_loses_none(
    make_bench: Callable[..., Any],
) -> None:
    machine = type("Machine", (LifeOfJobs,), {"make": staticmethod(make_bench)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
