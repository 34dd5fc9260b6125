"""The evidence of a result as the Result page shows it, read from what the worker wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from unmask.apps.report import charts, numbers, text
from unmask.apps.server.contract import Job
from unmask.apps.server.worker.evidence_file import (
    EVIDENCE_JSON,
    EvidenceFile,
    FaceEvidence,
    KeyFrame,
)


@dataclass(frozen=True, slots=True)
class FaceView:
    """One face in one frame.

    Attributes:
        heading: which face, where, and its score.
        crop, heat, residual: addresses of its pictures.
        residual_note: how the grey of the residual is to be read.
        bands: the chart of its band energies; None without a reference.
        bands_note: the chart in words.
    """

    heading: str
    crop: str
    heat: str
    residual: str
    width: int
    height: int
    residual_note: str
    bands: charts.Bands | None
    bands_note: str


def views(data: Path, job: Job) -> Sequence[FaceView] | None:
    """What there is to see of each face, its highest-scored frame first; None until it is made.

    Args:
        data: the service's data folder.
        job: whose evidence.
    """
    listing = _listing(data, job)
    if listing is None:
        return None
    ordered = sorted(listing.faces, key=lambda face: (-face.score, face.id))
    return [_view(job, face, key) for face in ordered for key in (face, *face.others)]


def _listing(data: Path, job: Job) -> EvidenceFile | None:
    if job.evidence != "ready" or job.evidence_dir is None:
        return None
    try:
        raw = (data / job.evidence_dir / EVIDENCE_JSON).read_bytes()
        return EvidenceFile.model_validate_json(raw)
    except (OSError, ValidationError):
        return None  # deleted meanwhile, or of another version: the page then asks for it again


def _view(job: Job, face: FaceEvidence, key: KeyFrame) -> FaceView:
    chart = charts.bands(np.array(key.bands, np.float32), np.array(face.reference, np.float32))
    where = f", frame {numbers.count(key.index)} at {numbers.seconds(key.t)}"
    base = f"/v1/analyses/{job.id}"
    return FaceView(
        heading=f"Face {face.id}{'' if key.t is None else where}: score {numbers.score(key.score)}",
        crop=f"{base}/{key.files.crop}",
        heat=f"{base}/{key.files.heat}",
        residual=f"{base}/{key.files.residual}",
        width=key.width,
        height=key.height,
        residual_note=text.residual_gain(key.gain),
        bands=chart,
        bands_note=text.bands_summary(chart.outside, len(chart.bands)) if chart else "",
    )
