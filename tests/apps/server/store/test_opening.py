from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.server.contract import StoreError
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.apps.server.store.schema import VERSION


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def settings_for(tmp_path: Path, database: str | None = None) -> ServerSettings:
    return ServerSettings.of(data=tmp_path / "data", database=database)


def test_files_and_folders_are_this_users_alone(tmp_path: Path) -> None:
    earlier = os.umask(0)
    try:
        store = open_store(settings_for(tmp_path))
        store.jobs.open_batch(owner="ann")
    finally:
        os.umask(earlier)
    data = tmp_path / "data"
    assert [mode(data / name) for name in (".", "uploads", "evidence")] == [0o700] * 3
    database = sorted(data.glob("service.db*"))
    assert len(database) == 3  # with its log and index
    assert [mode(path) for path in database] == [0o600] * 3
    store.close()


def test_a_database_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    path.touch(mode=0o644)
    open_store(settings_for(tmp_path, f"sqlite:///{path}")).close()
    assert mode(path) == 0o600


def test_names_that_mean_something_in_a_url_are_only_names(tmp_path: Path) -> None:
    settings = ServerSettings.of(data=tmp_path / "50% a?b=c#d")
    open_store(settings).close()
    assert (settings.data / "service.db").exists()


def test_sqlite_writes_ahead_and_checks_keys(tmp_path: Path) -> None:
    store = open_store(settings_for(tmp_path))
    connection = sqlite3.connect(tmp_path / "data" / "service.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    with pytest.raises(Exception, match="FOREIGN KEY"), store.jobs.database.writing() as inside:  # type: ignore[attr-defined]
        inside.exec_driver_sql("INSERT INTO unmask_sessions VALUES ('a', 'no such token', 0)")
    store.close()


def test_a_transaction_left_by_an_exception_changes_nothing(bench: Any) -> None:
    def change_half() -> None:
        with bench.jobs.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM unmask_gate")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_half()
    bench.submit()
    with bench.jobs.database.reading() as connection:
        versions = connection.exec_driver_sql("SELECT version FROM unmask_gate").all()
    assert versions == [(VERSION,)]


def test_a_result_is_there_if_and_only_if_the_job_is_done(bench: Any) -> None:
    bench.done()
    with (
        pytest.raises(Exception, match="unmask_done_has_result"),
        bench.jobs.database.writing() as connection,
    ):
        connection.exec_driver_sql("UPDATE unmask_jobs SET result = NULL")


def test_claiming_does_not_look_through_what_is_done(tmp_path: Path) -> None:
    open_store(settings_for(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "data" / "service.db")
    query = "SELECT * FROM unmask_jobs WHERE work IS NOT NULL AND (lease IS NULL OR lease_until<=1)"
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query} ORDER BY work DESC, seq LIMIT 3")
    assert "USING INDEX unmask_jobs_work" in str(plan.fetchall())
    connection.close()


def test_a_database_of_a_later_version_is_refused(bench: Any) -> None:
    bench.submit()
    set_version = f"UPDATE unmask_gate SET version = {VERSION + 1}"
    with bench.jobs.database.writing() as connection:
        connection.exec_driver_sql(set_version)
    try:
        with pytest.raises(StoreError, match=rf"of version {VERSION + 1};(.|\n)*update this one"):
            open_store(bench.settings)
    finally:
        with bench.jobs.database.writing() as connection:
            connection.exec_driver_sql(f"UPDATE unmask_gate SET version = {VERSION}")
    open_store(bench.settings).close()


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but somebody's notes" * 50)
    with pytest.raises(StoreError, match=r"notes\.txt.*not a database"):
        open_store(settings_for(tmp_path, f"sqlite:///{path}"))
    assert path.read_text().startswith("not a database")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("service.db", "cannot be read"),
        ("mysql://ann:hush@host/name", "'mysql' is not supported"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:///file:name?mode=memory&uri=true", "must be a file"),
        ("postgresql://ann:hush@/name?host=/nowhere", "cannot be opened"),
        ("postgres://ann:hush@127.0.0.1:1/name", "cannot be opened"),
    ],
)
def test_what_cannot_be_opened_says_so_and_keeps_the_password(
    tmp_path: Path, url: str, words: str
) -> None:
    if url.startswith("postgres"):
        pytest.importorskip("psycopg", reason="psycopg is not installed")
    settings = settings_for(tmp_path, url)
    with pytest.raises(StoreError, match=words) as caught:
        open_store(settings)
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(settings)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StoreError, match="data"):
        open_store(settings_for(tmp_path))


def test_a_database_that_goes_away_is_named(tmp_path: Path) -> None:
    store = open_store(settings_for(tmp_path))
    connection = sqlite3.connect(tmp_path / "data" / "service.db")
    connection.execute("DROP TABLE unmask_audit")
    connection.close()
    with pytest.raises(StoreError, match="does not answer: no such table"):
        store.audit.entries()
    store.close()


def test_processes_may_start_at_once(make_bench: Any, open_at_once: Callable[..., None]) -> None:
    bench = make_bench()
    with bench.jobs.database.writing() as connection:
        for table in ("audit", "sessions", "tokens", "workers", "jobs", "batches", "gate"):
            connection.exec_driver_sql(f"DROP TABLE unmask_{table}")
    bench.store.close()
    for path in bench.settings.data.glob("service.db*"):
        path.unlink()
    open_at_once(bench.settings, "jobs.open_batch(owner='ann')")
    with bench.jobs.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM unmask_batches").scalar_one() == 3
