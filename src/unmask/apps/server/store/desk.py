"""What owners see and do with their jobs: look, cancel, delete, ask for evidence."""

from __future__ import annotations

from sqlalchemy import case, delete, select, update

from unmask.apps.server.contract import Job, State
from unmask.apps.server.store import files
from unmask.apps.server.store.intake import count_queued, count_states
from unmask.apps.server.store.rows import (
    NO_EVIDENCE,
    Base,
    job_rows,
    load,
    storable,
    to_job,
    which,
)
from unmask.apps.server.store.schema import jobs


class Desk(Base):
    """The part of the job store that requests about jobs go to."""

    __slots__ = ()

    def job(self, id: str, *, owner: str | None = None) -> Job | None:
        """See `unmask.apps.server.contract.JobStore.job`."""
        with self.database.reading() as connection:
            return load(connection, id, owner)

    def jobs(
        self,
        *,
        owner: str | None,
        batch: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """See `unmask.apps.server.contract.JobStore.jobs`."""
        query = job_rows.limit(limit)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        if batch is not None:
            query = query.where(jobs.c.batch == storable(batch))
        if after is not None:
            last = select(jobs.c.seq).where(*which(after, owner)).scalar_subquery()
            query = query.where(jobs.c.seq < last if batch is None else jobs.c.seq > last)
        query = query.order_by(jobs.c.seq.desc() if batch is None else jobs.c.seq)
        with self.database.reading() as connection:
            return [to_job(row) for row in connection.execute(query)]

    def cancel(self, id: str, *, owner: str | None) -> Job | None:
        """See `unmask.apps.server.contract.JobStore.cancel`."""
        with self.database.writing() as connection:
            connection.execute(
                update(jobs)
                .where(*which(id, owner), jobs.c.work == "analysis")
                .values(**self.ended("cancelled", self.database.now()), **NO_EVIDENCE)
            )
            return load(connection, id, owner)

    def delete(self, id: str, *, owner: str | None) -> bool:
        """See `unmask.apps.server.contract.JobStore.delete`."""
        with self.database.writing() as connection:
            gone = connection.execute(delete(jobs).where(*which(id, owner))).rowcount > 0
        if gone:
            files.remove_files(self.settings, id)
        return gone

    def want_evidence(self, id: str, *, owner: str | None) -> Job | None:
        """See `unmask.apps.server.contract.JobStore.want_evidence`."""
        done = jobs.c.state == "done"
        with self.database.writing() as connection:
            connection.execute(
                update(jobs)
                .where(
                    *which(id, owner),
                    jobs.c.evidence == "none",
                    jobs.c.state.in_(("queued", "running", "done")),
                )
                .values(evidence="wanted", work=case((done, "evidence"), else_=jobs.c.work))
            )
            return load(connection, id, owner)

    def counts(self) -> dict[State, int]:
        """See `unmask.apps.server.contract.JobStore.counts`."""
        with self.database.reading() as connection:
            return count_states(connection)

    def waiting(self) -> int:
        """See `unmask.apps.server.contract.JobStore.waiting`."""
        with self.database.reading() as connection:
            return count_queued(connection)
