"""A data folder with a real store, jobs in it, and the doubles of decoder and judge."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sqlalchemy")

from unmask.apps.server.contract import Job, Store, Upload, new_id
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.media.formats import sniff

DOUBLES = Path(__file__).parent / "doubles"


def until(done: Callable[[], Any], what: str) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + 240  # a machine may be busy
    while not done():
        assert time.monotonic() < deadline, f"never came about: {what}"
        time.sleep(0.02)


def running(word: str) -> list[int]:
    """Processes whose command line has this word."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 1) for line in listed.stdout.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 2 and word in row[1] and "ps -eo" not in row]


@dataclass
class Service:
    """A data folder and its store."""

    settings: ServerSettings
    store: Store
    codes: dict[str, int]
    said: list[str] = field(default_factory=list)

    def submit(self, what: str | bytes, name: str = "a.png", **options: Any) -> str:
        """Queue a picture that does `what` (see the double), or any bytes; gives the job's id."""
        data = what if isinstance(what, bytes) else picture(self.codes[what])
        path = self.settings.upload_path(new_id())
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        upload = Upload(name, path, len(data), digest, sniff(data) or "png")
        return self.store.jobs.submit(upload, owner="local", **options)[0].id

    def job(self, id: str) -> Job:
        job = self.store.jobs.job(id)
        assert job is not None
        return job

    def wait(self, *ids: str) -> list[Job]:
        """The jobs, once all are at their end."""
        ends = ("done", "failed", "cancelled")
        until(lambda: all(self.job(id).state in ends for id in ids), "all jobs finished")
        return [self.job(id) for id in ids]


def picture(level: int, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the doubles, importable by child processes too."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    import worker_double

    return worker_double


@pytest.fixture
def make_service(tmp_path: Path, double: ModuleType) -> Iterator[Callable[..., Service]]:
    opened: list[Store] = []

    def make(**given: Any) -> Service:
        given = {"jobs": 1, "device": "cpu", "lease_s": 30.0} | given
        settings = ServerSettings.of(data=tmp_path / "data", **given)
        store = open_store(settings)
        opened.append(store)
        return Service(settings, store, double.CODES)

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service()


@pytest.fixture
def command() -> list[str]:
    """Starts the worker's double."""
    return [sys.executable, str(DOUBLES / "worker_double.py")]


@pytest.fixture(name="until")
def until_fixture() -> Callable[[Callable[[], Any], str], None]:
    return until


@pytest.fixture(name="running")
def running_fixture() -> Callable[[str], list[int]]:
    return running
