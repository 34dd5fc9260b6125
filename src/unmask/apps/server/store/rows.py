"""Rows of the tables as the data of the contract, and what every query over jobs shares."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, select

from unmask.apps.server.contract import Job, Token
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store.database import Database
from unmask.apps.server.store.schema import jobs, tokens
from unmask.results import Result

Condition = ColumnElement[bool]

NOTHING_HELD: dict[str, Any] = {"worker": None, "lease": None, "lease_until": None}
"""Values of a row that no worker holds."""

NO_WORK: dict[str, Any] = {"work": None, **NOTHING_HELD}
"""Values of a row with which nothing is to be done."""

NO_EVIDENCE: dict[str, Any] = {"evidence": "none", "evidence_dir": None, "evidence_message": None}


@dataclass(frozen=True, slots=True)
class Base:
    """What each part of the job store works on."""

    database: Database
    settings: ServerSettings

    @property
    def retention(self) -> timedelta:
        """From a job's end to the deletion of its files."""
        return timedelta(seconds=self.settings.retention_s)

    def together(self) -> AbstractContextManager[None]:
        """See `unmask.apps.server.contract.JobStore.together`."""
        return self.database.together()

    def ended(self, state: str, now: datetime) -> dict[str, Any]:
        """Values of a job that ends now, with no more work to be done."""
        return {
            "state": state,
            "stage": "finished",
            "finished": now,
            "expires": now + self.retention,
            **NO_WORK,
        }


def which(id: str, owner: str | None) -> list[Condition]:
    """The job of an id, if it is this owner's; None: any owner's."""
    return [jobs.c.id == storable(id), *([] if owner is None else [jobs.c.owner == owner])]


_others = jobs.alias("others")
_ahead = case(
    (
        jobs.c.state == "queued",
        select(func.count())
        .select_from(_others)
        .where(
            _others.c.work == "analysis",
            _others.c.state == "queued",
            _others.c.seq < jobs.c.seq,
        )
        .scalar_subquery(),
    ),
    else_=0,
).label("ahead")

job_rows = select(jobs, _ahead)
"""All that `to_job` needs."""


def to_job(row: Row[Any]) -> Job:
    """A job from a row of `job_rows`."""
    return Job(
        id=row.id,
        owner=row.owner,
        batch=row.batch,
        state=row.state,
        stage=row.stage,
        progress=row.progress,
        name=row.name,
        bytes=row.bytes,
        sha256=row.sha256,
        format=row.format,
        max_frames=row.max_frames,
        created=row.created,
        started=row.started,
        finished=row.finished,
        expires=row.expires,
        attempts=row.attempts,
        reason=row.reason,
        message=row.message,
        result=None if row.result is None else Result.from_json(row.result),
        evidence=row.evidence,
        evidence_dir=row.evidence_dir,
        evidence_message=row.evidence_message,
        ahead=row.ahead,
    )


def load(connection: Connection, id: str, owner: str | None = None) -> Job | None:
    """One job inside a transaction."""
    row = connection.execute(job_rows.where(*which(id, owner))).one_or_none()
    return None if row is None else to_job(row)


def to_token(row: Row[Any]) -> Token:
    """A token from a row of its table."""
    return Token(
        id=row.id,
        name=row.name,
        scopes=frozenset(row.scopes.split()),
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
    )


def token_works(now: datetime) -> Condition:
    """The tokens that may be used now."""
    return ~tokens.c.revoked & (tokens.c.expires.is_(None) | (tokens.c.expires > now))


def storable(text: str) -> str:
    """`text` without what no database takes: NUL and half characters (as of odd file names)."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
