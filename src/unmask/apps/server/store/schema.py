"""The tables, the same on SQLite and PostgreSQL, and the version they are of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

VERSION = 2
"""Of the tables below; goes up with every change to them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(TypeDecorator[datetime]):
    """A moment, kept as whole microseconds since 1970 in UTC: exact, and alike everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Raises ValueError for a time without a zone, which could mean anything."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a time with a zone, got {value}")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


# SQLite numbers rows by itself only where the type is called INTEGER (of 64 bits there).
_Number = BigInteger().with_variant(Integer(), "sqlite")
_Id = String(32)
_Digest = String(64)

metadata = MetaData()

gate = Table(
    "unmask_gate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)
"""One row: the version; whoever needs to be alone (the queue's bound) locks it first."""

batches = Table(
    "unmask_batches",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("key", _Digest, doc="SHA-256 of the Idempotency-Key"),
    Column("content", _Digest, doc="SHA-256 of what the key stands for"),
)

Index("unmask_batches_key", batches.c.owner, batches.c.key, unique=True)

jobs = Table(
    "unmask_jobs",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("batch", _Id, ForeignKey(batches.c.id)),
    Column("key", _Digest, doc="SHA-256 of the Idempotency-Key"),
    Column("state", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("progress", Float, nullable=False, default=0.0),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", _Digest, nullable=False),
    Column("format", String(16), nullable=False),
    Column("max_frames", Integer),
    Column("created", UtcTime, nullable=False),
    Column("started", UtcTime),
    Column("finished", UtcTime),
    Column("expires", UtcTime),
    Column("reason", String(32)),
    Column("message", Text),
    Column("result", Text, doc="JSON of unmask.results.Result"),
    Column("evidence", String(16), nullable=False),
    Column("evidence_dir", Text),
    Column("evidence_message", Text),
    Column("work", String(16), doc="what a worker is to do: analysis, evidence, or nothing"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("evidence_attempts", Integer, nullable=False, default=0),
    Column("worker", Text, doc="who holds the work"),
    Column("lease", _Id),
    Column("lease_until", UtcTime),
    UniqueConstraint("owner", "key"),
    CheckConstraint("(state = 'done') = (result IS NOT NULL)", name="unmask_done_has_result"),
    CheckConstraint("(lease IS NULL) = (lease_until IS NULL)", name="unmask_lease_ends"),
    CheckConstraint("work IS NOT NULL OR lease IS NULL", name="unmask_lease_is_for_work"),
    CheckConstraint(
        "(state IN ('queued', 'running')) = (work IS NOT NULL AND work = 'analysis')",
        name="unmask_unfinished_is_work",
    ),
    sqlite_autoincrement=True,
)

Index(
    "unmask_jobs_work",
    jobs.c.work,
    jobs.c.seq,
    sqlite_where=jobs.c.work.is_not(None),
    postgresql_where=jobs.c.work.is_not(None),
)
Index("unmask_jobs_owner", jobs.c.owner, jobs.c.seq)
Index("unmask_jobs_batch", jobs.c.batch, jobs.c.seq)
Index("unmask_jobs_state", jobs.c.state)
Index("unmask_jobs_finished", jobs.c.finished)
Index("unmask_jobs_expires", jobs.c.expires)
Index("unmask_jobs_lease", jobs.c.lease)

workers = Table(
    "unmask_workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started", UtcTime, nullable=False),
    Column("seen", UtcTime, nullable=False),
    Column("model", Text),
    Column("weights_sha256", _Digest),
)

tokens = Table(
    "unmask_tokens",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", _Id, nullable=False, unique=True),
    Column("secret_sha256", _Digest, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False, doc="sorted, joined by spaces"),
    Column("created", UtcTime, nullable=False),
    Column("expires", UtcTime),
    Column("revoked", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

sessions = Table(
    "unmask_sessions",
    metadata,
    Column("secret_sha256", _Digest, primary_key=True),
    Column("token", _Id, ForeignKey(tokens.c.id), nullable=False, index=True),
    Column("expires", UtcTime, nullable=False),
)

audit = Table(
    "unmask_audit",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("address", Text),
    sqlite_autoincrement=True,
)
