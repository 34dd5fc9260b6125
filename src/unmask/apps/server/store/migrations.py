"""Steps from each version of the tables to the next; a store of an earlier unmask takes them.

A step is never changed once it was published: stores that have taken it do not take it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Connection, text

from unmask.apps.server.store.schema import VERSION

FIRST = 1
"""The oldest version that can be brought forward."""

Step = Callable[[Connection], None]
"""Changes the tables inside the transaction of a connection."""

LOG = logging.getLogger("unmask.server")


def migrate(connection: Connection, version: int) -> None:
    """Bring tables of an earlier version to `VERSION`, inside the transaction of `connection`.

    Args:
        version: of the tables, from `FIRST` to `VERSION`.
    """
    for before in range(version, VERSION):
        LOG.info("the store's tables go from version %d to %d", before, before + 1)
        STEPS[before - FIRST](connection)
    connection.execute(text("UPDATE unmask_gate SET version = :new"), {"new": VERSION})


def _keys_of_batches(connection: Connection) -> None:
    """Version 2: batches take an Idempotency-Key, too."""
    connection.execute(text('ALTER TABLE unmask_batches ADD COLUMN "key" VARCHAR(64)'))
    connection.execute(text("ALTER TABLE unmask_batches ADD COLUMN content VARCHAR(64)"))
    connection.execute(
        text('CREATE UNIQUE INDEX unmask_batches_key ON unmask_batches (owner, "key")')
    )


STEPS: tuple[Step, ...] = (_keys_of_batches,)
"""The step from version `FIRST` to the next, and so on; one for every change of `VERSION`."""
