"""Upkeep: what is past its time goes, and so do files that belong to nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, delete, exists, select, update

from unmask.apps.server.contract import Swept
from unmask.apps.server.store import files
from unmask.apps.server.store.database import close_gate
from unmask.apps.server.store.rows import NO_EVIDENCE, NO_WORK
from unmask.apps.server.store.schema import audit, batches, jobs, sessions, workers
from unmask.apps.server.store.work import FORGET_WORKER, Work

FORGET_JOB = timedelta(days=7)
"""From a job's expiry to the removal of its row."""

ORPHAN_AGE = timedelta(hours=1)
"""An upload may take as long as that; younger folders are left alone."""

_ROUND = 500


class Upkeep(Work):
    """The part of the job store that the sweeper uses."""

    __slots__ = ()

    def sweep(self, now: datetime) -> Swept:
        """See `unmask.apps.server.contract.JobStore.sweep`."""
        with self.database.writing() as connection:
            lost = self.give_up_lost(connection, now)
        expired = self._expire(now)
        with self.database.writing() as connection:
            close_gate(connection)
            removed = self._forget(connection, now)
        return Swept(expired, lost, removed, self._remove_orphans(now))

    def _expire(self, now: datetime) -> int:
        """First the rows, then the files: a file without its row is an orphan, and found."""
        due = (
            select(jobs.c.seq, jobs.c.id)
            .where(jobs.c.expires <= now, jobs.c.state != "expired")
            .order_by(jobs.c.seq)
            .limit(_ROUND)
            .with_for_update(skip_locked=True)
        )
        total = 0
        while True:
            with self.database.writing() as connection:
                rows = connection.execute(due).all()
                connection.execute(
                    update(jobs)
                    .where(jobs.c.seq.in_([row.seq for row in rows]))
                    .values(
                        state="expired",
                        name="",
                        key=None,
                        message=None,
                        result=None,
                        **NO_WORK,
                        **NO_EVIDENCE,
                    )
                )
            for row in rows:
                files.remove_files(self.settings, row.id)
            total += len(rows)
            if len(rows) < _ROUND:
                return total

    def _forget(self, connection: Connection, now: datetime) -> int:
        """Remove rows that nobody will ask for any more."""
        old = now - FORGET_JOB
        removed = connection.execute(
            delete(jobs).where(jobs.c.state == "expired", jobs.c.expires <= old)
        ).rowcount
        connection.execute(
            delete(batches).where(
                batches.c.created <= old - self.retention,
                ~exists().where(jobs.c.batch == batches.c.id),
            )
        )
        connection.execute(
            update(batches)
            .where(
                batches.c.key.is_not(None),
                batches.c.created <= now - self.retention,
                ~exists().where(jobs.c.batch == batches.c.id, jobs.c.state != "expired"),
            )
            .values(key=None, content=None)
        )
        connection.execute(delete(sessions).where(sessions.c.expires <= now))
        connection.execute(delete(workers).where(workers.c.seen <= now - FORGET_WORKER))
        kept = timedelta(seconds=self.settings.audit_retention_s)
        connection.execute(delete(audit).where(audit.c.at <= now - kept))
        return removed

    def _remove_orphans(self, now: datetime) -> int:
        """Remove folders of expired jobs at once, and of no job when they are old."""
        roots = (self.settings.uploads, self.settings.evidence)
        found = [path for root in roots for path in files.folders(root)]
        total = 0
        for start in range(0, len(found), _ROUND):
            part = found[start : start + _ROUND]
            with self.database.reading() as connection:
                suspects = self._orphans(connection, part, now)
            if suspects:
                total += self._set_aside(suspects, now)
        for root in roots:
            files.remove_set_aside(root)
        return total

    def _set_aside(self, suspects: list[Path], now: datetime) -> int:
        # Behind the gate, so that none of them becomes a job's while it is looked at.
        with self.database.writing() as connection:
            close_gate(connection)
            orphans = self._orphans(connection, suspects, now)
            return sum(files.set_aside(path) for path in orphans)

    def _orphans(self, connection: Connection, found: list[Path], now: datetime) -> list[Path]:
        """Of folders of jobs or of leases, those that belong to nothing."""
        old = now - ORPHAN_AGE
        columns = (jobs.c.id, jobs.c.state, jobs.c.evidence_dir, jobs.c.lease)
        ids = {self._job_of(path) for path in found}
        rows = connection.execute(select(*columns).where(jobs.c.id.in_(ids)))
        known = {row.id: row for row in rows}
        orphans: list[Path] = []
        for path in found:
            row = known.get(self._job_of(path))
            if row is None:
                orphans += [path] if files.untouched_since(path, old) else []
            elif row.state == "expired":
                orphans.append(path)
            elif path.parent == self.settings.evidence:
                orphans += self._orphans(connection, list(files.folders(path)), now)
            elif path.parent != self.settings.uploads and path.name != row.lease:
                shown = row.evidence_dir == path.relative_to(self.settings.data).as_posix()
                orphans += [path] if not shown and files.untouched_since(path, old) else []
        return orphans

    def _job_of(self, path: Path) -> str:
        """`uploads/JOB`, `evidence/JOB` or `evidence/JOB/LEASE`."""
        top = path.parent in (self.settings.uploads, self.settings.evidence)
        return path.name if top else path.parent.name
