"""Batches: files submitted together, all or none, once per key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from unmask.apps.server.contract import Batch, KeyReused, Upload, new_id
from unmask.apps.server.store import files
from unmask.apps.server.store.database import close_gate
from unmask.apps.server.store.intake import Intake, batch_row, count_states, digest
from unmask.apps.server.store.rows import storable
from unmask.apps.server.store.schema import batches, jobs


class Batches(Intake):
    """The part of the job store that requests about batches go to."""

    __slots__ = ()

    def open_batch(
        self,
        uploads: Sequence[Upload] = (),
        *,
        owner: str,
        key: str | None = None,
        max_frames: int | None = None,
        evidence: bool = False,
    ) -> tuple[Batch, bool]:
        """See `unmask.apps.server.contract.JobStore.open_batch`."""
        ids = [self._id_of(upload) for upload in uploads]
        content = None if key is None else _content(uploads, max_frames)
        with self.database.writing() as connection:
            close_gate(connection)
            row = _earlier(connection, owner, key, content, uploads)
            new = row is None
            if row is None:
                if uploads:
                    self._admit(connection, len(uploads))
                row = self._insert(connection, owner=owner, key=digest(key), content=content)
                for upload in uploads:
                    self._queue(
                        connection,
                        upload,
                        owner=owner,
                        batch=row.id,
                        max_frames=max_frames,
                        evidence="wanted" if evidence else "none",
                    )
            batch = _to_batch(connection, row)
            kept = select(jobs.c.id).where(jobs.c.batch == batch.id, jobs.c.id.in_(ids))
            known = set(connection.execute(kept).scalars())
        for id in ids:
            if id not in known:
                files.remove_files(self.settings, id)
        return batch, new

    def _insert(self, connection: Connection, **values: Any) -> Row[Any]:
        id = new_id()
        connection.execute(batches.insert().values(id=id, created=self.database.now(), **values))
        return connection.execute(select(batches).where(batches.c.id == id)).one()

    def batch(self, id: str, *, owner: str | None) -> Batch | None:
        """See `unmask.apps.server.contract.JobStore.batch`."""
        with self.database.reading() as connection:
            row = batch_row(connection, id, owner)
            return None if row is None else _to_batch(connection, row)

    def has_batch(self, id: str, *, owner: str | None) -> bool:
        """See `unmask.apps.server.contract.JobStore.has_batch`."""
        with self.database.reading() as connection:
            return batch_row(connection, id, owner) is not None

    def delete_batch(self, id: str, *, owner: str | None) -> bool:
        """See `unmask.apps.server.contract.JobStore.delete_batch`."""
        with self.database.writing() as connection:
            close_gate(connection)
            row = batch_row(connection, id, owner)
            if row is None:
                return False
            mine = select(jobs.c.id).where(jobs.c.batch == row.id).order_by(jobs.c.seq)
            ids = connection.execute(mine.with_for_update()).scalars().all()
            connection.execute(delete(jobs).where(jobs.c.batch == row.id))
            connection.execute(delete(batches).where(batches.c.id == row.id))
        for job in ids:
            files.remove_files(self.settings, job)
        return True


def _to_batch(connection: Connection, row: Row[Any]) -> Batch:
    counted = count_states(connection, row.id)
    return Batch(row.id, row.owner, row.created, sum(counted.values()), counted)


def _content(uploads: Sequence[Upload], max_frames: int | None) -> str:
    """SHA-256 of what a key stands for: contents and names in their order, and `max_frames`."""
    told = [[(upload.sha256, storable(upload.name)) for upload in uploads], max_frames]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _earlier(
    connection: Connection,
    owner: str,
    key: str | None,
    content: str | None,
    uploads: Sequence[Upload],
) -> Row[Any] | None:
    if key is None:
        return None
    mine = select(batches).where(batches.c.owner == owner, batches.c.key == digest(key))
    row = connection.execute(mine).one_or_none()
    if row is not None and row.content != content:
        raise KeyReused
    if row is not None and uploads and not sum(count_states(connection, row.id).values()):
        # all its analyses were deleted or have expired: the key is free, as one analysis' is
        connection.execute(batches.update().where(batches.c.id == row.id).values(key=None))
        return None
    return row
