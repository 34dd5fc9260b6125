"""The store: jobs, tokens, sessions and the audit log, on SQLite or PostgreSQL."""

from __future__ import annotations

from unmask.apps.server.contract import Store, StoreError, utc_now
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store.audit import Audit
from unmask.apps.server.store.batches import Batches
from unmask.apps.server.store.database import Clock, open_database
from unmask.apps.server.store.desk import Desk
from unmask.apps.server.store.files import private_folder
from unmask.apps.server.store.tokens import Sessions, Tokens
from unmask.apps.server.store.upkeep import Upkeep

__all__ = ["Clock", "Jobs", "open_store", "utc_now"]


class Jobs(Batches, Desk, Upkeep):
    """`unmask.apps.server.contract.JobStore` in a database."""

    __slots__ = ()


def open_store(settings: ServerSettings, *, clock: Clock = utc_now) -> Store:
    """Open the store of a service, and make its folders and tables where there are none.

    Every process opens its own; it may be used from several threads. Processes that share a
    PostgreSQL database need clocks that agree to well under `lease_s`, and the same data folder.

    Args:
        settings: where it is, and its limits.
        clock: tells the time, with its zone.

    Raises:
        StoreError: a folder cannot be made, or the database cannot be opened, is none, or was
            made by a later version.
        MissingExtraError: PostgreSQL without its driver.
    """
    try:
        for folder in (settings.data, settings.uploads, settings.evidence):
            private_folder(folder)
    except OSError as error:
        raise StoreError(
            f"The folder {error.filename} cannot be made: {error.strerror}.",
            "Give another with --data.",
        ) from error
    database = open_database(settings, clock)
    return Store(
        jobs=Jobs(database, settings),
        tokens=Tokens(database),
        audit=Audit(database),
        sessions=Sessions(database),
        close=database.close,
    )
