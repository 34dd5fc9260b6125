"""Results and evidence of every kind, small, and a reader of the HTML that is made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from unmask.apps.report import ReportWriter
from unmask.inference.explain import Evidence
from unmask.results import (
    Calibrated,
    Coverage,
    FaceFrame,
    FaceTrack,
    InputInfo,
    Result,
    Run,
    Threshold,
)
from unmask.types import Crop, Face, Frame

VOID = {"meta", "img", "input", "br", "link", "hr"}
LIMITS = Threshold(
    flag=0.8, clear=0.3, fpr_at_flag=0.01, ci95=(0.003, 0.024), measured_on="held-out reals"
)
RUN = Run(
    tool="unmask 0.1.0",
    model="a model",
    weights_sha256="ab" * 32,
    settings_sha256="cd" * 32,
    device="cpu",
    seconds=1.5,
)


@dataclass
class Examined:
    result: Result
    evidence: tuple[Evidence, ...] = ()


@dataclass
class Page(HTMLParser):
    """A parsed page; parsing fails on tags that are not closed in order."""

    text: str = ""
    ids: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    inside: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self._open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.inside[tag][-1] += data
        if not {"style", "script"} & set(self._open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @classmethod
    def of(cls, path: Path) -> Page:
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        page.close()
        assert page._open == []
        return page


def evidence(face_id: int = 0, score: float = 0.9, index: int = 0, time: float | None = None):
    """A face of 32 pixels in a frame of 96 x 64 pixels."""
    rng = np.random.default_rng(face_id)
    image = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    face = Face((20.0, 10.0, 52.0, 42.0), np.zeros((5, 2), np.float32), 0.99)
    reference = np.stack([np.linspace(2, -1, 14) + d for d in (-0.3, 0, 0.3)], axis=1)
    return Evidence(
        face_id=face_id,
        frame=Frame(image, index, time),
        crop=Crop(image[10:42, 20:52].copy(), (20, 10, 52, 42), face, index, time),
        score=score,
        heatmap=np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32),
        residual=rng.normal(0, 2, (32, 32)).astype(np.float32),
        bands=reference[:, 1].astype(np.float32),
        reference=reference.astype(np.float32),
    )


def scored(verdict: str = "likely_manipulated", score: float = 0.9, **changes: object) -> Result:
    fields: dict[str, object] = {
        "input": InputInfo(
            path="desk/a.jpg",
            sha256="1f" * 32,
            bytes=1234,
            media="image",
            format="jpeg",
            width=96,
            height=64,
        ),
        "status": "scored",
        "verdict": verdict,
        "score": score,
        "threshold": LIMITS,
        "calibrated": Calibrated(p_fake=0.88, log10_lr=1.0, domain="held-out", in_domain=True),
        "coverage": Coverage(frames_read=1, faces_scored=1),
        "faces": [
            FaceTrack(
                id=0, score=score, frames=[FaceFrame(index=0, box=(20, 10, 52, 42), score=score)]
            )
        ],
        "run": RUN,
    }
    return Result(**{**fields, **changes})


def failed(reason: str = "no_face", status: str = "not_applicable", path: str = "b.jpg") -> Result:
    return Result(input=InputInfo(path=path), status=status, reasons=[reason])


def clip(times: list[float], scores: list[list[float]], duration: float) -> Result:
    """A video with one face per list of scores, each seen at all `times`."""
    tracks = [
        FaceTrack(
            id=k,
            score=max(row),
            start_s=times[0],
            end_s=times[-1],
            frames=[
                FaceFrame(index=round(25 * t), t=t, box=(20, 10, 52, 42), score=s)
                for t, s in zip(times, row, strict=True)
            ],
        )
        for k, row in enumerate(scores)
    ]
    info = InputInfo(path="c.mp4", media="video", format="mp4", duration_s=duration)
    return scored(input=info, faces=tracks)


@pytest.fixture
def make_report(tmp_path: Path) -> Callable[..., Path]:
    """Writes a report of the given items and returns its path."""

    def make(*items: Examined, command: tuple[str, ...] = ("unmask", "scan", "desk")) -> Path:
        path = tmp_path / "report.html"
        created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        with ReportWriter(path, command=command, tool="unmask 0.1.0", created=created) as report:
            for item in items:
                report.add(item)
        return path

    return make


@pytest.fixture
def build():
    """The builders of this file, as tests cannot import it."""

    class Build:
        examined = Examined
        page = Page
        limits = LIMITS

    Build.evidence = staticmethod(evidence)
    Build.scored = staticmethod(scored)
    Build.failed = staticmethod(failed)
    Build.clip = staticmethod(clip)
    return Build
