"""The audit log: who did what, when, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from unmask.apps.server.contract import AuditEntry
from unmask.apps.server.store.database import Database
from unmask.apps.server.store.rows import storable
from unmask.apps.server.store.schema import audit


@dataclass(frozen=True, slots=True)
class Audit:
    """`unmask.apps.server.contract.AuditLog` in a database."""

    database: Database

    def record(
        self, *, who: str, action: str, subject: str, outcome: str, address: str | None
    ) -> None:
        """See `unmask.apps.server.contract.AuditLog.record`."""
        entry = {"who": who, "action": action, "subject": subject, "outcome": outcome}
        with self.database.writing() as connection:
            connection.execute(
                audit.insert().values(
                    at=self.database.now(),
                    address=address,
                    **{name: storable(text) for name, text in entry.items()},
                )
            )

    def entries(self, limit: int = 100) -> list[AuditEntry]:
        """See `unmask.apps.server.contract.AuditLog.entries`."""
        latest = select(audit).order_by(audit.c.seq.desc()).limit(limit)
        with self.database.reading() as connection:
            rows = connection.execute(latest).all()
        return [AuditEntry(r.at, r.who, r.action, r.subject, r.outcome, r.address) for r in rows]
