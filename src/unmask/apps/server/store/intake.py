"""How jobs come in: submission, its bound and its keys, and batches."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Row, delete, func, select

from unmask.apps.server.contract import (
    STATES,
    Batch,
    BatchUnknown,
    Job,
    KeyReused,
    QueueFull,
    State,
    Upload,
    new_id,
)
from unmask.apps.server.store import files
from unmask.apps.server.store.database import close_gate
from unmask.apps.server.store.rows import Base, job_rows, load, storable, to_job
from unmask.apps.server.store.schema import batches, jobs

_PACE_WINDOW = timedelta(minutes=10)
_RETRY_UNKNOWN_S = 30
_RETRY_MOST_S = 60


class Intake(Base):
    """The part of the job store that requests for new work go to."""

    __slots__ = ()

    def submit(
        self,
        upload: Upload,
        *,
        owner: str,
        batch: str | None = None,
        key: str | None = None,
        max_frames: int | None = None,
        evidence: bool = False,
    ) -> tuple[Job, bool]:
        """See `unmask.apps.server.contract.JobStore.submit`."""
        id = upload.path.parent.name
        if not files.is_id(id) or upload.path.absolute() != self.settings.upload_path(id):
            raise ValueError(f"an upload belongs to upload_path(new_id()), not to {upload.path}")
        values = {
            "owner": owner,
            "batch": batch,
            "key": _digest(key),
            "max_frames": max_frames,
            "evidence": "wanted" if evidence else "none",
        }
        with self.database.writing() as connection:
            close_gate(connection)
            earlier = _earlier(connection, owner, key, upload, max_frames)
            if earlier is None:
                self._admit(connection, owner, batch)
                self._queue(connection, upload, **values)
            job = earlier or load(connection, id)
            assert job is not None
        if job.id != id:
            files.remove_files(self.settings, id)
        return job, earlier is None

    def _queue(self, connection: Connection, upload: Upload, **values: Any) -> None:
        # Looked for behind the gate, so that no sweep takes it for an orphan in the meantime.
        if not upload.path.is_file():
            raise ValueError(f"there is no upload at {upload.path}")
        connection.execute(
            jobs.insert().values(
                id=upload.path.parent.name,
                state="queued",
                stage="queued",
                work="analysis",
                name=storable(upload.name),
                bytes=upload.bytes,
                sha256=upload.sha256,
                format=upload.format,
                created=self.database.now(),
                **values,
            )
        )

    def _admit(self, connection: Connection, owner: str, batch: str | None) -> None:
        if batch is not None and _batch_row(connection, batch, owner) is None:
            raise BatchUnknown
        queued = connection.execute(
            select(func.count()).where(jobs.c.work == "analysis", jobs.c.state == "queued")
        ).scalar_one()
        if queued >= self.settings.queue_limit:
            raise QueueFull(_retry_after(connection, self.database.now()))

    def open_batch(self, *, owner: str) -> Batch:
        """See `unmask.apps.server.contract.JobStore.open_batch`."""
        batch = Batch(new_id(), owner, self.database.now(), 0, dict.fromkeys(STATES, 0))
        with self.database.writing() as connection:
            connection.execute(
                batches.insert().values(id=batch.id, owner=owner, created=batch.created)
            )
        return batch

    def batch(self, id: str, *, owner: str | None) -> Batch | None:
        """See `unmask.apps.server.contract.JobStore.batch`."""
        with self.database.reading() as connection:
            row = _batch_row(connection, id, owner)
            if row is None:
                return None
            counted = count_states(connection, id)
        return Batch(row.id, row.owner, row.created, sum(counted.values()), counted)

    def delete_batch(self, id: str, *, owner: str | None) -> bool:
        """See `unmask.apps.server.contract.JobStore.delete_batch`."""
        with self.database.writing() as connection:
            close_gate(connection)
            row = _batch_row(connection, id, owner)
            if row is None:
                return False
            mine = select(jobs.c.id).where(jobs.c.batch == row.id).order_by(jobs.c.seq)
            ids = connection.execute(mine.with_for_update()).scalars().all()
            connection.execute(delete(jobs).where(jobs.c.batch == row.id))
            connection.execute(delete(batches).where(batches.c.id == row.id))
        for job in ids:
            files.remove_files(self.settings, job)
        return True


def count_states(connection: Connection, batch: str | None = None) -> dict[State, int]:
    """Jobs by state, of one batch or of all; every state has an entry."""
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    if batch is not None:
        query = query.where(jobs.c.batch == batch)
    found = {cast(State, state): number for state, number in connection.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


def _batch_row(connection: Connection, id: str, owner: str | None) -> Row[Any] | None:
    query = select(batches).where(batches.c.id == storable(id))
    if owner is not None:
        query = query.where(batches.c.owner == owner)
    return connection.execute(query).one_or_none()


def _digest(key: str | None) -> str | None:
    return None if key is None else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _earlier(
    connection: Connection, owner: str, key: str | None, upload: Upload, max_frames: int | None
) -> Job | None:
    if key is None:
        return None
    row = connection.execute(
        job_rows.where(jobs.c.owner == owner, jobs.c.key == _digest(key))
    ).one_or_none()
    if row is None:
        return None
    new = (upload.sha256, storable(upload.name), max_frames)
    if (row.sha256, row.name, row.max_frames) != new:
        raise KeyReused
    return to_job(row)


def _retry_after(connection: Connection, now: datetime) -> int:
    """Seconds until the next place is free at the pace of late, 1..60.

    The pace is that of the last minutes, or of the time since the first job in them was begun: a
    service that was just started is not slow.
    """
    ended, begun = connection.execute(
        select(func.count(), func.min(jobs.c.started)).where(jobs.c.finished > now - _PACE_WINDOW)
    ).one()
    if not ended:
        return _RETRY_UNKNOWN_S
    span: timedelta = _PACE_WINDOW if begun is None else min(_PACE_WINDOW, now - begun)
    wait = math.ceil(span.total_seconds() / int(ended))
    return min(_RETRY_MOST_S, max(1, wait))
