"""Stores of earlier versions: brought forward as a whole, or left as they were.

`schemas/N_DIALECT.sql` are the tables as version N made them; those files never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from unmask.apps.server.contract import KeyReused, StoreError
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import migrations, open_store
from unmask.apps.server.store.database import database_url
from unmask.apps.server.store.schema import VERSION

SCHEMAS = Path(__file__).with_name("schemas")
JOB = {
    "id": "a" * 32, "owner": "ann", "batch": "b" * 32, "state": "queued", "stage": "queued",
    "progress": 0.0, "name": "clip.mp4", "bytes": 6, "sha256": "0" * 64, "format": "mp4",
    "created": 1_700_000_000_000_000, "evidence": "none", "work": "analysis", "attempts": 0,
    "evidence_attempts": 0,
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerSettings]:
    """Settings of a store that is not there yet."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
    settings = ServerSettings.of(data=tmp_path / "data", database=url)
    settings.data.mkdir()
    if url is None:
        yield settings
        return
    clear = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    execute(settings, clear)
    yield settings
    execute(settings, clear)


def execute(
    settings: ServerSettings, statements: str, values: dict[str, Any] | None = None
) -> None:
    engine = create_engine(database_url(settings))
    with engine.begin() as connection:
        for statement in filter(str.strip, statements.split(";")):
            connection.execute(text(statement), values or {})
    engine.dispose()


def as_it_is(settings: ServerSettings) -> dict[str, Any]:
    """The tables with their columns, indexes and rules."""
    engine = create_engine(database_url(settings))
    seen = inspect(engine)
    told = {
        table: (
            {c["name"]: (str(c["type"]), c["nullable"]) for c in seen.get_columns(table)},
            {(i["name"], *i["column_names"], bool(i["unique"])) for i in seen.get_indexes(table)},
            sorted(str(one["column_names"]) for one in seen.get_unique_constraints(table)),
            sorted(str(one["name"]) for one in seen.get_check_constraints(table)),
            sorted(str(one["constrained_columns"]) for one in seen.get_foreign_keys(table)),
        )
        for table in seen.get_table_names()
    }
    engine.dispose()
    return told


@pytest.fixture
def make_old(place: ServerSettings) -> Callable[[int], ServerSettings]:
    """Makes a store as a version made it, with a batch of one job in it."""

    def make(version: int) -> ServerSettings:
        kind = "sqlite" if place.database is None else "postgresql"
        execute(place, (SCHEMAS / f"{version}_{kind}.sql").read_text("utf-8"))
        execute(place, "INSERT INTO unmask_gate VALUES (1, :version)", {"version": version})
        batch = "INSERT INTO unmask_batches (id, owner, created) VALUES (:batch, :owner, :created)"
        execute(place, batch, {name: JOB[name] for name in ("batch", "owner", "created")})
        names = ", ".join(JOB)
        values = ", ".join(f":{name}" for name in JOB)
        execute(place, f"INSERT INTO unmask_jobs ({names}) VALUES ({values})", JOB)
        return place

    return make


def test_every_version_has_its_step() -> None:
    assert len(migrations.STEPS) == VERSION - migrations.FIRST


@pytest.mark.parametrize("version", range(migrations.FIRST, VERSION))
def test_a_store_of_an_earlier_version_becomes_as_a_new_one(
    make_old: Callable[[int], ServerSettings], place: ServerSettings, version: int
) -> None:
    make_old(version)
    open_store(place).close()
    brought_forward = as_it_is(place)
    if place.database is None:
        (place.data / "service.db").unlink()
    else:
        execute(place, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    open_store(place).close()
    assert brought_forward == as_it_is(place)


@pytest.mark.parametrize("version", range(migrations.FIRST, VERSION))
def test_what_was_in_it_stays_and_goes_on(
    make_old: Callable[[int], ServerSettings], version: int
) -> None:
    store = open_store(make_old(version))
    batch = store.jobs.batch(str(JOB["batch"]), owner="ann")
    assert batch is not None
    assert batch.by_state["queued"] == 1
    (claim,) = store.jobs.claim("w", limit=9)
    assert (claim.job, claim.name) == (JOB["id"], "clip.mp4")
    opened, _ = store.jobs.open_batch(owner="ann", key="k")
    assert store.jobs.open_batch(owner="ann", key="k") == (opened, False)
    with pytest.raises(KeyReused):
        store.jobs.open_batch(owner="ann", key="k", max_frames=3)
    store.close()


def test_a_step_that_fails_leaves_the_store_as_it_was(
    make_old: Callable[[int], ServerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_old(1)
    before = as_it_is(place)

    def half(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE unmask_batches ADD COLUMN half INTEGER"))
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", (half,))
        with pytest.raises(ZeroDivisionError):
            open_store(place)
    assert as_it_is(place) == before
    open_store(place).close()  # and the right step can still be taken


def test_processes_may_start_at_once_on_an_earlier_version(
    make_old: Callable[[int], ServerSettings], open_at_once: Callable[..., None]
) -> None:
    place = make_old(1)
    open_at_once(place, "close()")


@pytest.mark.parametrize("version", [0, VERSION + 1, None])
def test_other_versions_are_refused_and_left_alone(
    make_old: Callable[[int], ServerSettings], version: int | None
) -> None:
    place = make_old(1)
    if version is None:
        execute(place, "DELETE FROM unmask_gate")
    else:
        execute(place, "UPDATE unmask_gate SET version = :version", {"version": version})
    before = as_it_is(place)
    with pytest.raises(StoreError, match=rf"of version {version};(.|\n)*update this one") as caught:
        open_store(place)
    assert caught.value.exit_code == 2
    assert as_it_is(place) == before
