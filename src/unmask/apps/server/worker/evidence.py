"""Make the evidence of a result: report, pictures and numbers, in a folder of its own."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from unmask import __version__
from unmask.apps.report import ReportWriter, pictures
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.worker.evidence_file import (
    EVIDENCE_JSON,
    REPORT_HTML,
    EvidenceFile,
    FaceEvidence,
    Files,
    KeyFrame,
)
from unmask.errors import UnmaskError
from unmask.inference.detector import Examined
from unmask.inference.explain import Evidence
from unmask.results import Result
from unmask.scan.heatmaps import overlay


class ChangedError(UnmaskError):
    """What would be shown is not what the result was made from."""


def check_same(recorded: Result, fresh: Result) -> None:
    """Evidence may only stand beside a result if looking again gives the same.

    Raises:
        ChangedError: other content, weights or settings, or another outcome.
    """
    changed = [
        what
        for what, then, now in (
            ("file", recorded.input.sha256, fresh.input.sha256),
            ("model", _run(recorded)[0], _run(fresh)[0]),
            ("settings", _run(recorded)[1], _run(fresh)[1]),
            ("outcome", _outcome(recorded), _outcome(fresh)),
        )
        if then != now
    ]
    if changed:
        raise ChangedError(
            f"The {' and the '.join(changed)} changed since the result was made.",
            "Submit the file again for a new result with its evidence.",
        )


def write_evidence(folder: Path, job: str, examined: Examined, *, command: Sequence[str]) -> None:
    """Write all files of one examined input; what is in the folder before is removed.

    Args:
        folder: to make; only its owner can read it.
        job: id of the job.
        examined: the recorded result, with its evidence.
        command: the command line that repeats the result.

    Raises:
        ConfigError, OSError: the folder cannot be written to; nothing is left of it then.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700, parents=True)
        tool = f"unmask {__version__}"
        with ReportWriter(folder / REPORT_HTML, command=command, tool=tool) as report:
            report.add(examined)
        listing = _listing(folder, job, examined)
        (folder / EVIDENCE_JSON).write_text(listing.to_json(), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _listing(folder: Path, job: str, examined: Examined) -> EvidenceFile:
    """Write the pictures, and say what is where."""
    faces: dict[int, list[Evidence]] = {}
    for item in examined.evidence:
        faces.setdefault(item.face_id, []).append(item)
    weights, settings = _run(examined.result)
    return EvidenceFile(
        job=job,
        sha256=examined.result.input.sha256,
        weights_sha256=weights,
        settings_sha256=settings,
        made=datetime.now(UTC),
        faces=[_face(folder, number, items) for number, items in sorted(faces.items())],
    )


def _face(folder: Path, number: int, items: list[Evidence]) -> FaceEvidence:
    place = Path("faces") / str(number)
    (folder / place).mkdir(parents=True)
    top = max(items, key=lambda item: item.score)
    others = sorted((i for i in items if i is not top), key=lambda item: item.frame.index)
    return FaceEvidence(
        **_key_frame(folder, place, top, ""),
        id=number,
        reference=[(low, mid, high) for low, mid, high in top.reference.tolist()],
        others=[
            KeyFrame(**_key_frame(folder, place, item, f"-{item.frame.index}")) for item in others
        ],
    )


def _key_frame(folder: Path, place: Path, item: Evidence, suffix: str) -> dict[str, Any]:
    """Write the pictures of one key frame; gives the fields of `KeyFrame`."""
    crop, heat = pictures.crop(item.crop), pictures.heat_layer(item.heatmap)
    residual, gain = pictures.residual(item.residual)
    heatmap = io.BytesIO()
    Image.fromarray(overlay(item.crop.image, item.heatmap)).save(heatmap, "PNG")
    return {
        "index": item.frame.index,
        "t": item.frame.time,
        "box": item.crop.face.box,
        "crop_box": item.crop.box,
        "quarter_turns": item.crop.face.quarter_turns,
        "score": item.score,
        "quality": "+".join(item.crop.quality) or "ok",
        "bands": item.bands.tolist(),
        "gain": gain,
        "files": Files(
            crop=_write(folder, place / f"crop{suffix}.jpg", _content(crop)),
            heat=_write(folder, place / f"heat{suffix}.png", _content(heat)),
            heatmap=_write(folder, place / f"heatmap{suffix}.png", heatmap.getvalue()),
            residual=_write(folder, place / f"residual{suffix}.png", _content(residual)),
        ),
        "width": crop.width,
        "height": crop.height,
    }


def _write(folder: Path, name: Path, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return name.as_posix()


def _content(picture: pictures.Picture) -> bytes:
    return base64.b64decode(picture.uri.partition(",")[2])


def _run(result: Result) -> tuple[str, str]:
    assert result.run is not None  # the detector's results have one
    return result.run.weights_sha256, result.run.settings_sha256


def _outcome(result: Result) -> tuple[object, ...]:
    """What must not differ; scores may, in the last digits, with the size of a batch."""
    faces = [(face.id, [frame.index for frame in face.frames]) for face in result.faces]
    return result.status, faces


def recorded_with(examined: Examined, recorded: Result) -> Examined:
    """The evidence beside the result as it was recorded.

    Raises:
        ChangedError: it belongs to another result.
    """
    check_same(recorded, examined.result)
    return replace(examined, result=recorded)


def command_of(result: Result, settings: ServerSettings) -> list[str]:
    """The command line that gives this result on any machine, without this one's folders."""
    words = ["unmask", "scan", "--model", Path(settings.model).name]
    if settings.calibration is not None:
        words += ["--calibration", settings.calibration.name]
    if result.run is not None and result.run.max_frames is not None:
        words += ["--max-frames", str(result.run.max_frames)]
    return [*words, "--", result.input.path]
