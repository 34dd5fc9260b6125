"""Stores to test: each test runs on SQLite and on a real PostgreSQL, with a clock it moves."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.server.contract import Claim, Job, Store, Upload, new_id
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.results import Coverage, InputInfo, Result

START_SECONDS = 60
TABLES = "jobs, batches, workers, sessions, tokens, audit"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


class Bench:
    """A store, its clock, and what it takes to use it."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.store: Store = open_store(settings, clock=self.clock)
        self.jobs = self.store.jobs

    def upload(self, content: bytes = b"frames", name: str = "clip.mp4") -> Upload:
        path = self.settings.upload_path(new_id())
        path.parent.mkdir(mode=0o700)
        path.write_bytes(content)
        return Upload(name, path, len(content), hashlib.sha256(content).hexdigest(), "mp4")

    def submit(self, content: bytes = b"frames", owner: str = "ann", **options: Any) -> Job:
        return self.jobs.submit(self.upload(content), owner=owner, **options)[0]

    def claim(self, worker: str = "w") -> Claim:
        """The one piece of work there is to take."""
        (claim,) = self.jobs.claim(worker, limit=1)
        return claim

    def done(self, **options: Any) -> Job:
        """A job with its result."""
        job = self.submit(**options)
        assert self.jobs.finish(self.claim(), self.result())
        return self.see(job)

    def see(self, job: Job | Claim | str) -> Job:
        id = job if isinstance(job, str) else job.job if isinstance(job, Claim) else job.id
        seen = self.jobs.job(id)
        assert seen is not None
        return seen

    def result(self, score: float = 0.5) -> Result:
        return Result(
            input=InputInfo(path="clip.mp4"),
            status="scored",
            verdict="inconclusive",
            score=score,
            coverage=Coverage(frames_read=1, faces_scored=1),
        )

    def write_evidence(self, claim: Claim) -> Path:
        folder = self.settings.data / claim.evidence_folder
        folder.mkdir(parents=True)
        (folder / "report.html").write_text("a report")
        return folder


def make_old(path: Path, now: datetime, seconds: float) -> None:
    """Let a folder and all in it have been changed `seconds` before `now`."""
    moment = now.timestamp() - seconds
    for part in (*path.rglob("*"), path):
        os.utime(part, (moment, moment))


@pytest.fixture(name="make_old")
def _make_old() -> Callable[[Path, datetime, float], None]:
    return make_old


def _program(name: str) -> str | None:
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(places[-1]) if places else None)


def _account() -> dict[str, int]:
    """PostgreSQL refuses to run as root: another account then."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid}
    pytest.skip("PostgreSQL cannot run as root, and there is no account postgres or nobody")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a server of our own, reached by a socket in a folder of its own."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb, server = _program("initdb"), _program("postgres")
    if not initdb or not server:
        pytest.skip("PostgreSQL (initdb, postgres) is not installed")
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="unmask-pg-"))  # short: a socket's path is limited
    os.chown(folder, account.get("user", -1), account.get("group", -1))
    options: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, **account}
    data = str(folder / "data")
    flags = ["--auth=trust", "--username=unmask", "--no-sync", "--encoding=UTF8", "--locale=C"]
    process = None
    try:
        subprocess.run([initdb, "-D", data, *flags], check=True, timeout=120, **options)
        process = subprocess.Popen(
            [server, "-D", data, "-k", str(folder), "-h", "", "-F"],
            stderr=subprocess.DEVNULL,
            **options,
        )
        url = f"postgresql://unmask@/postgres?host={folder}"
        _wait_for(psycopg, url, process)
        yield url
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # ends at once, clients or not
            process.wait(30)
        shutil.rmtree(folder)


def _wait_for(psycopg: Any, url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def make_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes benches, each with nothing in it; on PostgreSQL one after the other."""
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    benches: list[Bench] = []

    def make(**given: Any) -> Bench:
        data = tmp_path / f"data{len(benches)}"
        bench = Bench(ServerSettings.of(data=data, database=url, **given))
        benches.append(bench)
        if url is not None:
            _empty(url)
        return bench

    yield make
    for bench in benches:
        bench.store.close()


def _empty(url: str) -> None:
    import psycopg

    names = ", ".join(f"unmask_{table}" for table in TABLES.split(", "))
    with psycopg.connect(url) as connection:
        connection.execute(f"TRUNCATE {names}".encode())


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def open_at_once() -> Callable[..., None]:
    """Opens one store in three processes at the same moment, each of which must end well."""

    def run(settings: ServerSettings, then: str) -> None:
        script = (
            "import sys; from unmask.apps.server.settings import ServerSettings as S;"
            "from unmask.apps.server.store import open_store;"
            "s = S.model_validate_json(sys.argv[1]); print(flush=True); sys.stdin.readline();"
            f"open_store(s).{then}"
        )
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", script, settings.model_dump_json()]
        processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        answers = [process.communicate(b"\n") for process in processes]
        assert [process.returncode for process in processes] == [0] * 3, answers

    return run
