"""A service with its real store, and a stand-in for the worker that needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from unmask.apps.server.api import create_app
from unmask.apps.server.contract import Job, Store, Upload, new_id
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.data.annotation.pictures import Picture, read_pictures
from unmask.data.annotation.queue import extended, write_home, write_queue
from unmask.results import Coverage, FaceFrame, FaceTrack, InputInfo, Result, Run, Threshold

RUN = Run(
    tool="unmask test",
    model="a model",
    weights_sha256="ab" * 32,
    settings_sha256="cd" * 32,
    device="cpu",
    seconds=1.5,
    max_frames=7,
)
LIMITS = Threshold(
    flag=0.8, clear=0.3, fpr_at_flag=0.01, ci95=(0.003, 0.024), measured_on="held-out reals"
)


def scored(name: str, *, times: tuple[float, ...] | None = None) -> Result:
    """A flagged still, or with times a clip."""
    frames = [
        FaceFrame(index=round(25 * (t or 0)), t=t, box=(20, 10, 52, 42), score=0.9)
        for t in times or (None,)
    ]
    return Result(
        input=InputInfo(
            path=name,
            sha256="1f" * 32,
            bytes=9,
            media="video" if times else "image",
            format="mp4" if times else "jpeg",
            width=96,
            height=64,
            duration_s=times[-1] if times else None,
        ),
        status="scored",
        verdict="likely_manipulated",
        score=0.9,
        threshold=LIMITS,
        coverage=Coverage(frames_read=len(frames), faces_scored=len(frames)),
        faces=[FaceTrack(id=0, score=0.9, frames=frames)],
        run=RUN,
    )


def unscored(name: str) -> Result:
    return Result(input=InputInfo(path=name), status="not_applicable", reasons=["no_face"])


@dataclass
class Desk:
    """The service, and the hands of a worker."""

    settings: ServerSettings
    store: Store
    client: TestClient

    def submit(
        self, name: str = "a.jpg", *, format: str = "jpeg", batch: str | None = None,
        owner: str = "local", evidence: bool = False,
    ) -> Job:  # fmt: skip
        path = self.settings.upload_path(new_id())
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        upload = Upload(name, path, path.stat().st_size, sha256, format)
        return self.store.jobs.submit(upload, owner=owner, batch=batch, evidence=evidence)[0]

    def finish(self, result: Result | None = None) -> None:
        """Finish the oldest job; without a result it fails."""
        (claim,) = self.store.jobs.claim(new_id(), limit=1)
        if result is None:
            assert self.store.jobs.fail(claim, "internal_error", "It broke.")
        else:
            assert self.store.jobs.finish(claim, result)

    def done(self, name: str = "a.jpg", **kinds: object) -> Job:
        """A finished job."""
        times = kinds.pop("times", None)
        result = kinds.pop("result", None)
        job = self.submit(name, **kinds)  # type: ignore[arg-type]
        self.finish(result or scored(name, times=times))  # type: ignore[arg-type]
        return job

    def token(self, *scopes: str, name: str = "Ada") -> str:
        return self.store.tokens.create(name, scopes)[1]


@pytest.fixture
def scored_result() -> Callable[..., Result]:
    return scored


@pytest.fixture
def unscored_result() -> Callable[[str], Result]:
    return unscored


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An annotation project about three small pictures, chosen by two rules; `c.png` is real."""
    root = tmp_path / "pictures"
    for place, name in (("fake", "a"), ("fake", "b"), ("real", "c")):
        (root / place).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).save(root / place / f"{name}.png")
    folder = tmp_path / "project"
    folder.mkdir()
    write_home(folder, root)
    first, second, real = sorted(read_pictures(root), key=lambda picture: picture.file.name)
    entries = extended([], "entropy", [(first, 0.5), (second, 0.4)])
    write_queue(folder, extended(entries, "random", [(real, None)]))
    return folder


@pytest.fixture
def pictures(project: Path) -> dict[str, Picture]:
    """The project's pictures by their file name's stem."""
    return {p.file.stem: p for p in read_pictures(project.parent / "pictures")}


@pytest.fixture
def desk(tmp_path: Path, project: Path) -> Iterator[Desk]:
    settings = ServerSettings.of(
        data=tmp_path / "data", annotations=project, rate_per_minute=10_000, retention_s=3600
    )
    with opened(settings) as desk:
        yield desk


@pytest.fixture
def calibrated_desk(desk: Desk, calibrate: Callable[..., Path]) -> Iterator[Desk]:
    """A service on the same store, started again with a calibration."""
    with opened(desk.settings.model_copy(update={"calibration": calibrate()})) as again:
        yield again


@contextmanager
def opened(settings: ServerSettings) -> Iterator[Desk]:
    store = open_store(settings)
    with TestClient(
        create_app(settings, store), base_url="http://127.0.0.1", follow_redirects=False
    ) as client:
        yield Desk(settings, store, client)
    store.close()
