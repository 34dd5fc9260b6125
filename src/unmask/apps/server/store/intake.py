"""How jobs come in: submission, its bound and its keys."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Row, func, select

from unmask.apps.server.contract import (
    STATES,
    BatchUnknown,
    Job,
    KeyReused,
    QueueFull,
    State,
    Upload,
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
        id = self._id_of(upload)
        values = {
            "owner": owner,
            "batch": batch,
            "key": digest(key),
            "max_frames": max_frames,
            "evidence": "wanted" if evidence else "none",
        }
        with self.database.writing() as connection:
            close_gate(connection)
            earlier = _earlier(connection, owner, key, upload, max_frames)
            if earlier is None:
                if batch is not None and batch_row(connection, batch, owner) is None:
                    raise BatchUnknown
                self._admit(connection, 1)
                self._queue(connection, upload, **values)
            job = earlier or load(connection, id)
            assert job is not None
        if job.id != id:
            files.remove_files(self.settings, id)
        return job, earlier is None

    def _id_of(self, upload: Upload) -> str:
        id = upload.path.parent.name
        if not files.is_id(id) or upload.path.absolute() != self.settings.upload_path(id):
            raise ValueError(f"an upload belongs to upload_path(new_id()), not to {upload.path}")
        return id

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

    def _admit(self, connection: Connection, number: int) -> None:
        """Refuse where so many more jobs may not wait."""
        missing = count_queued(connection) + number - self.settings.queue_limit
        if missing > 0:
            raise QueueFull(_retry_after(connection, self.database.now(), missing))


def count_queued(connection: Connection) -> int:
    """Analyses that wait to be taken."""
    waiting = (jobs.c.work == "analysis", jobs.c.state == "queued")
    return connection.execute(select(func.count()).where(*waiting)).scalar_one()


def count_states(connection: Connection, batch: str | None = None) -> dict[State, int]:
    """Jobs by state, of one batch or of all; every state has an entry."""
    query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
    if batch is not None:
        query = query.where(jobs.c.batch == batch)
    found = {cast(State, state): number for state, number in connection.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


def batch_row(connection: Connection, id: str, owner: str | None) -> Row[Any] | None:
    """The row of a batch, if it is this owner's; None as owner: any owner's."""
    query = select(batches).where(batches.c.id == storable(id))
    if owner is not None:
        query = query.where(batches.c.owner == owner)
    return connection.execute(query).one_or_none()


def digest(key: str | None) -> str | None:
    """What is kept of an Idempotency-Key: its SHA-256."""
    return None if key is None else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _earlier(
    connection: Connection, owner: str, key: str | None, upload: Upload, max_frames: int | None
) -> Job | None:
    if key is None:
        return None
    row = connection.execute(
        job_rows.where(jobs.c.owner == owner, jobs.c.key == digest(key))
    ).one_or_none()
    if row is None:
        return None
    new = (upload.sha256, storable(upload.name), max_frames)
    if (row.sha256, row.name, row.max_frames) != new:
        raise KeyReused
    return to_job(row)


def _retry_after(connection: Connection, now: datetime, places: int) -> int:
    """Seconds until so many places are free at the pace of late, 1..60 for each.

    The pace is that of the last minutes, or of the time since the first job in them was begun: a
    service that was just started is not slow.
    """
    ended, begun = connection.execute(
        select(func.count(), func.min(jobs.c.started)).where(jobs.c.finished > now - _PACE_WINDOW)
    ).one()
    if not ended:
        return _RETRY_UNKNOWN_S
    span: timedelta = _PACE_WINDOW if begun is None else min(_PACE_WINDOW, now - begun)
    wait = math.ceil(places * span.total_seconds() / int(ended))
    return min(_RETRY_MOST_S * places, max(1, wait))
