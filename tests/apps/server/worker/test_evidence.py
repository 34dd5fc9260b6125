"""Evidence with the packaged model: what is on disk is what the result was made from."""

from __future__ import annotations

import re
import stat
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.apps.server.worker.evidence_file import EvidenceFile
from unmask.apps.server.worker.loop import Loop
from unmask.inference.detector import Detector
from unmask.media import try_decode

EXAMPLES = Path(__file__).parents[4] / "examples"
NAMES = ("fake_upsampled_london.jpg", "real_clip.mp4", "no_face.jpg")
FRAMES = 4


@pytest.fixture(scope="module")
def judge():
    from unmask.apps.server.worker.judging import Judge

    return Judge("unmask-default", "cpu")


@pytest.fixture
def work(service, judge, until):
    """Runs a loop over the service until a condition holds."""

    def run(done, what):
        loop = Loop(
            service.store.jobs, judge, worker="w" * 32, settings=service.settings, jobs=1,
            say=service.said.append,
        )  # fmt: skip
        thread = threading.Thread(target=loop.run, daemon=True)
        thread.start()
        try:
            until(done, what)
        finally:
            loop.stop()
            thread.join(60)

    return run


@pytest.fixture
def examined(service, work):
    """One job per example, done and with evidence, by its name."""
    ids = {
        name: service.submit((EXAMPLES / name).read_bytes(), name, evidence=True, max_frames=FRAMES)
        for name in NAMES
    }
    work(lambda: all(service.job(i).evidence == "ready" for i in ids.values()), "evidence")
    return {name: service.job(id) for name, id in ids.items()}


def test_evidence_of_examples(service, examined):
    detector = Detector.from_pretrained(device="cpu", max_frames=FRAMES)
    for name, job in examined.items():
        expected = detector.scan(EXAMPLES / name)
        _check_result(job.result, expected, name)
        folder = service.settings.data / job.evidence_dir
        listing = EvidenceFile.model_validate_json((folder / "evidence.json").read_bytes())
        assert listing.job == job.id
        assert listing.sha256 == expected.input.sha256
        assert listing.settings_sha256 == detector.settings_sha256
        assert [face.id for face in listing.faces] == [face.id for face in expected.faces]
        for face, track in zip(listing.faces, expected.faces, strict=True):
            _check_face(folder, face, track)
        _check_report(folder, name, service)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        named = {
            file
            for face in listing.faces
            for frame in (face, *face.others)
            for file in frame.files.model_dump().values()
        }
        assert on_disk == named | {"evidence.json", "report.html"}


def _check_result(result, expected, name):
    assert result.input.path == name
    assert (result.status, result.verdict, result.reasons) == (
        expected.status, expected.verdict, expected.reasons,
    )  # fmt: skip
    assert result.score == pytest.approx(expected.score, abs=1e-4)
    assert result.run.max_frames == FRAMES
    assert result.run.settings_sha256 == expected.run.settings_sha256


def _check_face(folder, face, track):
    by_index = {frame.index: frame for frame in track.frames}
    for frame in (face, *face.others):
        seen = by_index[frame.index]
        assert frame.t == seen.t
        assert frame.score == pytest.approx(seen.score, abs=1e-4)
        assert frame.box == pytest.approx(seen.box, abs=0.01)
        assert len(frame.bands) == 14
        crop, heat = (Image.open(folder / f) for f in (frame.files.crop, frame.files.heat))
        assert crop.format == "JPEG"
        assert crop.size == heat.size == (frame.width, frame.height)
        opacity = np.asarray(heat.convert("RGBA"))[..., 3]
        assert opacity.min() < opacity.max()
        for file in (frame.files.heatmap, frame.files.residual):
            assert Image.open(folder / file).format == "PNG"
        assert face.score >= frame.score
    assert len(face.reference) == 14
    assert all(low <= middle <= high for low, middle, high in face.reference)
    assert face.files.heatmap == f"faces/{face.id}/heatmap.png"


def _check_report(folder, name, service):
    report = (folder / "report.html").read_text()
    assert name in report
    assert f"unmask scan --model unmask-default --max-frames {FRAMES}" in report
    assert str(service.settings.data) not in report
    assert not re.search(r'(?:src|href)="https?://', report)


def test_evidence_of_a_changed_model_is_refused(service, work, judge):
    picture = EXAMPLES / "no_face.jpg"
    result = judge.examine([try_decode(picture)], max_frames=service.settings.max_frames)[0].result
    run = result.run.model_copy(update={"weights_sha256": "0" * 64})
    id, store = service.submit(picture.read_bytes()), service.store.jobs
    (claim,) = store.claim("o" * 32, limit=1)
    assert store.finish(claim, result.model_copy(update={"run": run}))
    store.want_evidence(id, owner=None)
    work(lambda: service.job(id).evidence == "failed", "evidence is refused")
    assert "The model changed since" in service.job(id).evidence_message
    assert not list((service.settings.evidence / id).rglob("*.html"))


def test_evidence_that_cannot_be_written_fails_alone(service, work, monkeypatch):
    def full(*given, **named):
        raise OSError("no space left")

    other = service.submit((EXAMPLES / "no_face.jpg").read_bytes(), evidence=True)
    after = service.submit((EXAMPLES / "no_face.jpg").read_bytes())
    monkeypatch.setattr("unmask.apps.server.worker.evidence.ReportWriter", full)
    work(
        lambda: service.job(other).evidence == "failed" and service.job(after).state == "done",
        "both ends",
    )
    assert "no space left" in service.job(other).evidence_message
    assert service.job(other).state == "done"
    assert service.job(other).result.status == "not_applicable"


class Losing:
    """A store in which the lease is lost while the evidence is made."""

    def __init__(self, jobs):
        self._jobs, self.refused = jobs, []

    def __getattr__(self, name):
        return getattr(self._jobs, name)

    def evidence_ready(self, claim, folder):
        self.refused.append(folder)
        return False


def test_evidence_that_nobody_waits_for_any_more_is_removed(service, work):
    jobs = Losing(service.store.jobs)
    service.store = replace(service.store, jobs=jobs)
    id = service.submit((EXAMPLES / "no_face.jpg").read_bytes(), evidence=True)
    work(lambda: jobs.refused, "evidence is made")
    assert jobs.refused[0].startswith(f"evidence/{id}/")
    assert not (service.settings.data / jobs.refused[0]).exists()
