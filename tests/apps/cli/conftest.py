"""A detector and a decoder that read their answers from the file: no network, no codec.

A file's first word decides: `fake`, `unsure` and `real` are scored, `noface` is not applicable,
`large` exceeds a limit, `broken` is unreadable, `bug` is an error, `slow` takes a while.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from unmask.apps.cli import app, backend
from unmask.errors import MediaError
from unmask.media.decoded import Failure, Media
from unmask.media.source import printable
from unmask.results import Coverage, FaceFrame, FaceTrack, InputInfo, Run
from unmask.results import Result as Answer
from unmask.types import Crop, Face, Frame

if TYPE_CHECKING:
    from unmask.inference.explain import Evidence
    from unmask.models.checkpoint import Decision

LEVELS = {"fake": 240, "unsure": 128, "real": 20, "slow": 20, "noface": 1, "bug": 2}
FAILURES = {
    "broken": ("unreadable", "damaged"),
    "large": ("limit_exceeded", "too_many_pixels"),
}
BOX = (1.0, 1.0, 5.0, 5.0)


def fake_decode(path: str) -> Media | Failure:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        error = MediaError("unreadable", "missing", f"There is no file {path}.")
        return Failure(InputInfo(path=printable(path)), error)
    info = InputInfo(path=printable(path), sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    word = data.split()[0].decode()
    if word in FAILURES:
        status, reason = FAILURES[word]
        return Failure(info, MediaError(status, reason, "as asked"))
    if word == "slow":
        time.sleep(0.2)
    image = np.full((8, 8, 3), LEVELS[word], np.uint8)
    info = info.model_copy(update={"media": "image", "width": 8, "height": 8, "format": "png"})
    return Media(info, (Frame(image),))


class FakePool:
    def map(self, paths: Iterable[str]) -> Iterator[Media | Failure]:
        return (fake_decode(path) for path in paths)


@contextmanager
def fake_pool(*_: object) -> Iterator[FakePool]:
    yield FakePool()


@dataclass
class FakeExamined:
    result: Answer
    evidence: tuple[Evidence, ...] = ()
    bands: tuple[float, ...] | None = None
    distance: float | None = None


class FakeDetector:
    """Scores a picture by its brightness."""

    def __init__(self, model: str = "fake", offset: float = 0.0) -> None:
        self.model = model
        self.weights_sha256 = hashlib.sha256(model.encode()).hexdigest()
        self.settings_sha256 = "5" * 64
        self.device = "cpu"
        self.offset = offset
        self.max_frames = 32
        self.seen: list[str] = []

    @property
    def decision(self) -> Decision:
        from unmask.models.checkpoint import Decision  # loads torch

        return Decision(
            slope=1.0, bias=0.0, flag=0.8, clear=0.3, fpr_at_flag=0.01, ci95=(0.0, 0.05),
            measured_on="made-up reals", domain="made-up pictures",
            bands=[(0.0, 0.0, 0.0)] * 14, band_limits=[(0.0, 0.0)] * 14,
        )  # fmt: skip

    def examine(
        self, items: Sequence[Media | Failure], *, evidence: bool = False
    ) -> list[FakeExamined]:
        self.seen += [item.info.path for item in items]
        return [self._one(item, evidence) for item in items]

    def _one(self, item: Media | Failure, evidence: bool) -> FakeExamined:
        run = Run(
            tool="unmask test", model=self.model, weights_sha256=self.weights_sha256,
            settings_sha256=self.settings_sha256, device=self.device, seconds=0.0,
            max_frames=self.max_frames,
        )  # fmt: skip
        if isinstance(item, Failure):
            error = item.error
            return FakeExamined(
                Answer(input=item.info, status=error.status, reasons=[error.reason], run=run)
            )
        level = int(item.frames[0].image[0, 0, 0])
        if level in (1, 2):
            status, reason = [("not_applicable", "no_face"), ("error", "internal_error")][level - 1]
            return FakeExamined(Answer(input=item.info, status=status, reasons=[reason], run=run))
        score = level / 255 + self.offset
        verdict = "likely_manipulated" if score > 0.8 else "no_evidence_found"
        answer = Answer(
            input=item.info, status="scored", run=run, score=score,
            verdict="inconclusive" if 0.3 < score < 0.8 else verdict,
            coverage=Coverage(frames_read=1, faces_scored=1),
            faces=[
                FaceTrack(id=0, score=score, frames=[FaceFrame(index=0, box=BOX, score=score)])
            ],
        )  # fmt: skip
        shown = (_evidence(item.frames[0], score),) if evidence else ()
        return FakeExamined(answer, shown, (0.0,) * 14)


def _evidence(frame: Frame, score: float) -> Evidence:
    from unmask.inference.explain import Evidence  # loads torch, which most tests do without

    face = Face(BOX, np.zeros((5, 2), np.float32), 1.0)
    heat = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    bands = np.zeros(14, np.float32)
    reference = np.zeros((14, 3), np.float32)
    return Evidence(
        0, frame, Crop(frame.image, (0, 0, 8, 8), face), score, heat, heat, bands, reference
    )


Command = Callable[..., Result]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> FakeDetector:
    """The detector that every command of the test will get."""
    fake = FakeDetector()
    monkeypatch.setattr(backend, "make_detector", lambda *_: fake)
    monkeypatch.setattr(backend, "make_pool", fake_pool)
    return fake


@pytest.fixture
def unmask(detector: FakeDetector) -> Command:
    """Run `unmask` with arguments."""
    return lambda *words, **kinds: CliRunner().invoke(app, [str(word) for word in words], **kinds)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one input of each common kind in `in/`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("fake", "noface", "real", "unsure"):
        (tmp_path / "in" / f"{name}.png").write_text(name)
    return tmp_path
