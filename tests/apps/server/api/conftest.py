"""The application on a store in a temporary folder, with a clock that tests move."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from unmask.apps.server.api import Patience, create_app
from unmask.apps.server.contract import Claim, Store
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.results import Coverage, FaceFrame, FaceTrack, InputInfo, Result, Run

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
ADDRESS = "http://127.0.0.1:8000"


@dataclass
class Clock:
    """Stands still unless moved."""

    now: datetime = field(default_factory=lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Bench:
    """One application and what it stands on."""

    settings: ServerSettings
    store: Store
    app: FastAPI
    clock: Clock
    client: TestClient
    png: bytes = PNG

    def browse(self, **headers: str) -> TestClient:
        """Another client, with headers of its own."""
        return TestClient(
            self.app,
            base_url=ADDRESS,
            headers=headers,
            raise_server_exceptions=False,
            follow_redirects=False,
        )

    def token(self, *scopes: str) -> tuple[str, TestClient]:
        """A new token's id, and a client that sends it."""
        token, secret = self.store.tokens.create("test", scopes or ("analyse", "read"))
        return token.id, self.browse(Authorization=f"Bearer {secret}")

    def send(
        self,
        content: bytes = PNG,
        name: str = "a.png",
        *,
        to: str = "/v1/analyses",
        fields: dict[str, str] | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        files = {"file": (name, content)}
        return self.client.post(to, files=files, data=fields, headers=headers)

    def submitted(self, **given: Any) -> str:
        """The id of a new analysis."""
        answer = self.send(**given)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def claim(self, id: str) -> Claim:
        """What a worker that has taken this analysis (and everything before it) holds."""
        claims = [c for c in self.store.jobs.claim("w" * 32, limit=100) if c.job == id]
        assert len(claims) == 1
        return claims[0]

    def finish(self, id: str, result: Result | None = None) -> Result:
        claim = self.claim(id)
        result = result or scored(str(claim.path))
        assert self.store.jobs.finish(claim, result)
        return result

    def analysed(self, **given: Any) -> str:
        """The id of an analysis that is done."""
        id = self.submitted(**given)
        self.finish(id)
        return id

    def show_evidence(self, id: str, files: dict[str, bytes]) -> None:
        """Do as the worker that was asked for the evidence."""
        claim = self.claim(id)
        assert claim.kind == "evidence"
        for name, content in files.items():
            path = self.settings.data / claim.evidence_folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert self.store.jobs.evidence_ready(claim, claim.evidence_folder)

    def uploads(self) -> list[Path]:
        """The folders of uploads on disk."""
        return sorted(self.settings.uploads.iterdir())

    def audit(self) -> list[tuple[str, str, str]]:
        """(who, action, outcome) of all entries, oldest first."""
        return [(e.who, e.action, e.outcome) for e in reversed(self.store.audit.entries(1000))]


def scored(path: str) -> Result:
    face = FaceTrack(
        id=0,
        score=0.9,
        frames=[FaceFrame(index=0, box=(1.0, 2.0, 3.0, 4.0), score=0.9)],
    )
    return Result(
        input=InputInfo(path=path, sha256=hashlib.sha256(PNG).hexdigest(), bytes=len(PNG)),
        status="scored",
        verdict="likely_manipulated",
        score=0.9,
        coverage=Coverage(frames_read=1, faces_scored=1),
        faces=[face],
        run=Run(
            tool="unmask 0",
            model="m",
            weights_sha256="0" * 64,
            settings_sha256="0" * 64,
            device="cpu",
            seconds=1.0,
        ),
    )


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    """Makes a bench; takes settings by name, and `patience`."""
    stores: list[Store] = []

    def make(*, patience: Patience | None = None, **given: Any) -> Bench:
        settings = ServerSettings.of(data=tmp_path / f"data{len(stores)}", **given)
        clock = Clock()
        store = open_store(settings, clock=clock)
        stores.append(store)
        app = create_app(settings, store, clock=clock, patience=patience)
        bench = Bench(settings, store, app, clock, TestClient(app))
        bench.client = bench.browse()
        return bench

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """On loopback, without tokens."""
    return make_bench(rate_per_minute=10_000)
