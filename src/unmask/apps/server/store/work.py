"""Work under leases: who holds what, until when, and what they make of it.

A lease is a fresh id with every claim, and every change a worker makes is made only where the row
still has its lease. So whatever is killed, delayed or started twice, one result at most is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, select, update

from unmask.apps.server.contract import Claim, Kind, Stage, WorkerSeen, new_id
from unmask.apps.server.store.rows import (
    NO_EVIDENCE,
    NO_WORK,
    NOTHING_HELD,
    Base,
    Condition,
    storable,
)
from unmask.apps.server.store.schema import jobs, workers
from unmask.results import Result

SUSPECT_AFTER = 2
"""Leases lost, after which work may be what kills its workers."""

FORGET_WORKER = timedelta(days=1)

_tries = case((jobs.c.work == "evidence", jobs.c.evidence_attempts), else_=jobs.c.attempts)
_is_held = jobs.c.lease.is_not(None)


class Work(Base):
    """The part of the job store that workers use."""

    __slots__ = ()

    def register(self, worker: str, *, model: str, weights_sha256: str) -> None:
        """See `unmask.apps.server.contract.JobStore.register`."""
        with self.database.writing() as connection:
            self._seen(connection, worker, model=model, weights_sha256=weights_sha256)

    def retire(self, worker: str) -> int:
        """See `unmask.apps.server.contract.JobStore.retire`."""
        now = self.database.now()
        with self.database.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == worker))
            held = _lock(connection, jobs.c.worker == worker, jobs.c.lease_until > now)
            _change(connection, held, lease_until=now)
        return len(held)

    def claim(self, worker: str, *, limit: int) -> list[Claim]:
        """See `unmask.apps.server.contract.JobStore.claim`."""
        if limit < 1:
            return []
        now = self.database.now()
        with self.database.writing() as connection:
            self.give_up_lost(connection, now)
            mine = select(func.count(), func.max(_tries)).where(
                jobs.c.work.is_not(None), jobs.c.worker == worker, jobs.c.lease_until > now
            )
            held, most_tries = connection.execute(mine).one()
            if held and most_tries > SUSPECT_AFTER:
                return []
            # 'evidence' goes before 'analysis': somebody is waiting for it.
            free = (
                select(jobs, _tries.label("tries"))
                .where(jobs.c.work.is_not(None), ~_is_held | (jobs.c.lease_until <= now))
                .order_by(jobs.c.work.desc(), jobs.c.seq)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            chosen = _compatible(connection.execute(free).all(), holding=held > 0)
            return [self._lease(connection, row, worker, now) for row in chosen]

    def _lease(self, connection: Connection, row: Row[Any], worker: str, now: datetime) -> Claim:
        claim = Claim(
            job=row.id,
            lease=new_id(),
            path=self.settings.upload_path(row.id),
            name=row.name,
            kind=row.work,
            max_frames=row.max_frames,
            attempts=row.tries + 1,
            seq=row.seq,
        )
        values: dict[str, Any] = {"evidence": "making", "evidence_attempts": claim.attempts}
        if claim.kind == "analysis":
            values = {
                "state": "running",
                "stage": "decoding",
                "progress": 0.0,
                "started": now,
                "attempts": claim.attempts,
            }
        held = {"worker": worker, "lease": claim.lease, "lease_until": self._until(now)}
        _change(connection, [row.seq], **values, **held)
        return claim

    def heartbeat(self, worker: str, leases: Sequence[str]) -> set[str]:
        """See `unmask.apps.server.contract.JobStore.heartbeat`."""
        now = self.database.now()
        with self.database.writing() as connection:
            self._seen(connection, worker)
            held = _lock(connection, jobs.c.worker == worker, jobs.c.lease.in_(leases))
            _change(connection, held, lease_until=self._until(now))
            still = select(jobs.c.lease).where(jobs.c.seq.in_(held))
            return set(connection.execute(still).scalars())

    def progress(self, claim: Claim, stage: Stage, share: float) -> bool:
        """See `unmask.apps.server.contract.JobStore.progress`."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"progress is a share of 0..1, got {share}")
        return self._apply(claim, "analysis", stage=stage, progress=float(share))

    def finish(self, claim: Claim, result: Result) -> bool:
        """See `unmask.apps.server.contract.JobStore.finish`."""
        wanted = jobs.c.evidence == "wanted"
        values = {
            **self.ended("done", self.database.now()),
            "work": case((wanted, "evidence"), else_=None),
            "progress": 1.0,
            "result": result.to_json(),
        }
        return self._apply(claim, "analysis", **values)

    def fail(self, claim: Claim, reason: str, message: str) -> bool:
        """See `unmask.apps.server.contract.JobStore.fail`."""
        values = {"reason": reason, "message": storable(message)}
        ended = self.ended("failed", self.database.now())
        return self._apply(claim, "analysis", **values, **ended, **NO_EVIDENCE)

    def give_back(self, claim: Claim) -> bool:
        """See `unmask.apps.server.contract.JobStore.give_back`."""
        values: dict[str, Any] = {
            "evidence": "wanted",
            "evidence_attempts": jobs.c.evidence_attempts - 1,
        }
        if claim.kind == "analysis":
            values = {
                "state": "queued",
                "stage": "queued",
                "progress": 0.0,
                "started": None,
                "attempts": jobs.c.attempts - 1,
            }
        return self._apply(claim, claim.kind, **values, **NOTHING_HELD)

    def evidence_ready(self, claim: Claim, folder: str) -> bool:
        """See `unmask.apps.server.contract.JobStore.evidence_ready`."""
        if folder != claim.evidence_folder:
            raise ValueError(f"evidence belongs to {claim.evidence_folder}, not to {folder}")
        return self._apply(claim, "evidence", evidence="ready", evidence_dir=folder, **NO_WORK)

    def evidence_failed(self, claim: Claim, message: str) -> bool:
        """See `unmask.apps.server.contract.JobStore.evidence_failed`."""
        values = {"evidence": "failed", "evidence_message": storable(message)}
        return self._apply(claim, "evidence", **values, **NO_WORK)

    def workers(self) -> list[WorkerSeen]:
        """See `unmask.apps.server.contract.JobStore.workers`."""
        recent = select(workers).where(workers.c.seen > self.database.now() - FORGET_WORKER)
        with self.database.reading() as connection:
            rows = connection.execute(recent.order_by(workers.c.started, workers.c.id)).all()
        return [WorkerSeen(r.id, r.started, r.seen, r.model, r.weights_sha256) for r in rows]

    def give_up_lost(self, connection: Connection, now: datetime) -> int:
        """End work whose last attempt was lost; gives how much there was of it."""
        over = (jobs.c.lease_until <= now, _tries >= self.settings.max_attempts)
        analyses = _lock(connection, jobs.c.work == "analysis", *over, wait=False)
        evidence = _lock(connection, jobs.c.work == "evidence", *over, wait=False)
        lost = (
            f"It was started {self.settings.max_attempts} times, and each time the worker was lost."
        )
        _change(
            connection,
            analyses,
            reason="worker_lost",
            message=f"{lost} The file may be what stops it; try a smaller or re-encoded one.",
            **self.ended("failed", now),
            **NO_EVIDENCE,
        )
        _change(connection, evidence, evidence="failed", evidence_message=lost, **NO_WORK)
        return len(analyses) + len(evidence)

    def _apply(self, claim: Claim, kind: Kind, **values: Any) -> bool:
        """Change a row if it still has the lease of this claim."""
        if claim.kind != kind:
            raise ValueError(f"this is for claims of {kind}; got one of {claim.kind}")
        mine = (jobs.c.id == claim.job, jobs.c.lease == claim.lease, jobs.c.work == kind)
        with self.database.writing() as connection:
            return connection.execute(update(jobs).where(*mine).values(**values)).rowcount > 0

    def _until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.settings.lease_s)

    def _seen(self, connection: Connection, worker: str, **said: str) -> None:
        """Note a sign of life; also of one that upkeep has forgotten while it slept."""
        now = self.database.now()
        known = update(workers).where(workers.c.id == worker).values(seen=now, **said)
        if not connection.execute(known).rowcount:
            connection.execute(workers.insert().values(id=worker, started=now, seen=now, **said))


def _compatible(rows: Sequence[Row[Any]], *, holding: bool) -> list[Row[Any]]:
    """Those from the front that one worker may hold together: a suspect is always alone."""
    chosen: list[Row[Any]] = []
    for row in rows:
        if row.tries >= SUSPECT_AFTER:
            return chosen if chosen or holding else [row]
        chosen.append(row)
    return chosen


def _lock(connection: Connection, *conditions: Condition, wait: bool = True) -> list[int]:
    """Lock rows with work, always in the same order, so that no two wait for each other.

    Without `wait`, rows that another transaction is at are left to it.
    """
    query = select(jobs.c.seq).where(jobs.c.work.is_not(None), *conditions).order_by(jobs.c.seq)
    return list(connection.execute(query.with_for_update(skip_locked=not wait)).scalars())


def _change(connection: Connection, seqs: Sequence[int], **values: Any) -> None:
    if seqs:
        connection.execute(update(jobs).where(jobs.c.seq.in_(seqs)).values(**values))
