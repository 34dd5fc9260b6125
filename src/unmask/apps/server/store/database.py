"""The connection to SQLite or PostgreSQL, and what differs between them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from threading import Lock, local
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    OperationalError,
)
from sqlalchemy.exc import InterfaceError as ConnectionFault
from sqlalchemy.exc import TimeoutError as PoolTimeout

from unmask.apps.server.contract import StoreError
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store.files import private_folder
from unmask.apps.server.store.migrations import FIRST, migrate
from unmask.apps.server.store.schema import VERSION, gate, metadata
from unmask.errors import MissingExtraError

Clock = Callable[[], datetime]

_BUSY_SECONDS = 30
_STUCK_MS = 60_000
_CREATION_LOCK = 0x756E6D61736B  # any number that nobody else locks
_SAMPLES = "sqlite:////path/to/service.db or postgresql://user@host/name"


class Database:
    """An open database of the right version, and the clock its times come from.

    Safe to use from several threads. Do not take it over a fork: a child opens its own.

    Args:
        engine: of SQLAlchemy, connected to tables that are there.
        clock: tells the time, with its zone.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self.now = clock
        one_writer = engine.dialect.name == "sqlite"
        self._turn: AbstractContextManager[Any] = Lock() if one_writer else nullcontext()
        self._shared = local()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look, change nothing.

        Raises:
            StoreError: the database does not answer.
        """
        with _faults_named(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """All of the changes made inside, or none where it is left by an exception.

        On SQLite one writer at a time is inside, from the start, and this process's own take turns:
        SQLite would let each of them sleep and look again. On PostgreSQL rows are locked as they
        are selected `with_for_update`, and changes go by conditions on the row.

        Raises:
            StoreError: the database does not answer, is full or stayed locked.
        """
        shared: Connection | None = getattr(self._shared, "connection", None)
        if shared is not None:
            yield shared
            return
        with _faults_named(), self._turn, self._engine.connect() as connection:
            connection.execution_options(unmask_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction of all that this thread writes inside: all of it is kept, or nothing.

        A disk takes as long for a hundred changes as for one.

        Raises:
            StoreError: as `writing`; also at its end, when nothing of what was said inside is true.
        """
        if getattr(self._shared, "connection", None) is not None:
            raise RuntimeError("changes are made together already")
        with self.writing() as connection:
            self._shared.connection = connection
            try:
                yield
            finally:
                self._shared.connection = None

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()


def close_gate(connection: Connection) -> None:
    """Wait until no other transaction is behind the gate; it opens again with the commit."""
    connection.execute(select(gate.c.version).with_for_update())


def open_database(settings: ServerSettings, clock: Clock) -> Database:
    """Connect, make the tables where there are none, and bring those of earlier versions forward.

    Raises:
        StoreError: no such kind of database, no answer, or tables of an unknown version.
        MissingExtraError: PostgreSQL without its driver.
    """
    url = database_url(settings)
    shown = url.render_as_string(hide_password=True)
    with _faults_named(f"The database {shown} cannot be opened"):
        engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
        try:
            _prepare(engine, shown)
        except BaseException:
            engine.dispose()
            raise
    return Database(engine, clock)


def database_url(settings: ServerSettings) -> URL:
    """The URL with the driver that is used, or that of the file in the data folder.

    Raises:
        StoreError: not a URL, or of a kind of database that is not supported.
    """
    if settings.database is None:
        return URL.create("sqlite", database=str(settings.data / "service.db"))
    try:
        url = make_url(settings.database)
    except ArgumentError as error:  # its text may hold a password
        raise StoreError("The database URL cannot be read.", f"Examples: {_SAMPLES}") from error
    kind = url.drivername.partition("+")[0]
    if kind == "sqlite":
        if not url.database or url.database.startswith((":memory:", "file:")):
            raise StoreError("The database must be a file, for processes share it.", _SAMPLES)
        return url.set(drivername="sqlite")
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise StoreError(f"The database {kind!r} is not supported.", f"Examples: {_SAMPLES}")


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database)).absolute()
    try:
        private_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"The database file {path} cannot be used: {error.strerror}.") from error
    engine = create_engine(
        url.set(database=str(path)),
        connect_args={"timeout": _BUSY_SECONDS},
        pool_size=8,
        max_overflow=56,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    with engine.connect() as connection:
        _switch_to_wal(connection)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # this module says when a transaction begins
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("unmask_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _switch_to_wal(connection: Connection) -> None:
    """Once per file. SQLite refuses at once, without its busy time, while others do the same."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=24)
    except ImportError as error:
        raise MissingExtraError("A PostgreSQL database", "postgresql", "psycopg") from error
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_postgresql(connection: Any, _: Any) -> None:
    """A machine that goes away in mid-transaction must not keep its locks."""
    connection.execute(f"SET idle_in_transaction_session_timeout = {_STUCK_MS}")
    connection.commit()


def _prepare(engine: Engine, shown: str) -> None:
    """Make the tables, or bring them forward, once however many processes start at once."""
    with engine.connect() as connection:
        connection.execution_options(unmask_write=True)
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATION_LOCK}
                )
            if not inspect(connection).has_table(gate.name):
                metadata.create_all(connection)
                connection.execute(gate.insert().values(id=1, version=VERSION))
            version = _known_version(connection, shown)
            if version != VERSION:
                migrate(connection, version)


def _known_version(connection: Connection, shown: str) -> int:
    """The version of the tables, if this unmask can use them or bring them forward."""
    version = connection.execute(select(gate.c.version)).scalar_one_or_none()
    if version is None or not FIRST <= version <= VERSION:
        raise StoreError(
            f"The database {shown} is of version {version}; this unmask knows versions {FIRST} to "
            f"{VERSION}.",
            "Use the unmask that has made it (update this one), or give another --database.",
        )
    return int(version)


@contextmanager
def _faults_named(what: str = "The database does not answer") -> Iterator[None]:
    """Say what is wrong without SQL and its values, which may be private."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreError(f"{what}: all connections are taken.") from error
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        unusable = isinstance(error, OperationalError | ConnectionFault | sqlite3.OperationalError)
        if not unusable and "not a database" not in str(cause):
            raise
        reason = (str(cause).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise StoreError(f"{what}: {reason}.") from error
