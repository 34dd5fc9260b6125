"""What the service sends: one pydantic model per kind of body."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from unmask.apps.server.contract import STATES, Batch, EvidenceState, Job, Stage, State
from unmask.results import Probability, Result, Status, Verdict

Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", examples=["0f8fad5bd9cb469fa16570867728950e"])]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FaceLinks(_Body):
    """Where the pictures of one face are; asking for one has them made."""

    id: Count
    heatmap: str
    residual: str
    crop: str


class Links(_Body):
    """Addresses that belong to an analysis, from the service's root; null while there is none."""

    self: str
    cancel: str | None = Field(description="while it is queued or running")
    batch: str | None
    media: str | None = Field(description="the upload, until it is deleted")
    result: str | None
    report: str | None
    evidence: str | None
    faces: list[FaceLinks]


class AnalysisState(_Body):
    """One analysis as it stands."""

    id: Id
    batch: Id | None
    state: State
    stage: Stage
    progress: Probability = Field(description="0..1 over the whole analysis")
    ahead: Count = Field(description="analyses that wait before this one")
    name: str = Field(description="of the file as sent, cleaned; empty once expired")
    bytes: Count
    sha256: Sha256
    format: str = Field(description="told by the content")
    max_frames: Annotated[int, Field(ge=1)] | None = Field(description="as asked for")
    created: datetime
    started: datetime | None
    finished: datetime | None
    expires: datetime | None = Field(description="when file, result and evidence are deleted")
    attempts: Count
    reason: str | None = Field(description="of a failed one: worker_lost or internal_error")
    message: str | None = Field(description="the same for a person")
    evidence: EvidenceState
    evidence_message: str | None = Field(description="why no evidence could be made")
    links: Links


class Analysis(AnalysisState):
    """One analysis with its result."""

    result: Result | None = Field(description="of one that is done")


class AnalysisEntry(AnalysisState):
    """One analysis of a list: of its result only the finding."""

    status: Status | None
    verdict: Verdict | None
    score: Probability | None


class AnalysisList(_Body):
    """Some of the caller's analyses, newest first (those of a batch as submitted)."""

    items: list[AnalysisEntry]
    next: Id | None = Field(description="to send as 'after' for the next page; null at the end")


class BatchState(_Body):
    """Analyses that belong together."""

    id: Id
    created: datetime
    jobs: Count
    queued: Count
    running: Count
    done: Count
    failed: Count
    cancelled: Count
    expired: Count
    links: BatchLinks


class BatchLinks(_Body):
    """Addresses that belong to a batch."""

    self: str
    add: str = Field(description="POST a file here to add it")
    analyses: str
    results: str


class EvidencePending(_Body):
    """The evidence was asked for and is not ready yet."""

    evidence: Literal["wanted", "making"]


class Limits(_Body):
    """What the service takes, to be said before somebody chooses a file."""

    formats: list[str]
    suffixes: list[str] = Field(description="of file names, for a file chooser; content decides")
    max_upload_bytes: Count
    max_files_per_batch: Count = Field(description="in one request; a batch may get more later")
    max_frames: Count = Field(description="looked at per video unless fewer are asked for")
    max_pixels: Count
    max_duration_s: float
    timeout_s: float = Field(description="for decoding one file")
    max_uploads: Count = Field(description="received at a time; more are refused for a while")
    queue_limit: Count
    rate_per_minute: Count
    retention_s: float = Field(description="until file, result and evidence are deleted")
    workers: int = Field(ge=0, description="seen lately; without one analyses only wait")


class ModelInfo(_Body):
    """A model that judges, and how often it errs."""

    name: str
    in_use: bool = Field(description="whether the service's workers judge with it")
    summary: str
    licence: str
    parameters: Count | None
    weights_sha256: str
    threshold: ModelThreshold | None
    calibrated: bool = Field(
        description="whether the threshold is of the service's own calibration, not of the card"
    )
    limitations: list[str]
    card: dict[str, Any] = Field(description="the whole model card")


class ModelThreshold(_Body):
    """Where the verdict changes, and the share of real faces above it."""

    flag: Probability
    clear: Probability
    fpr_at_flag: Probability
    ci95: tuple[Probability, Probability]
    measured_on: str
    domain: str


class ModelList(_Body):
    """The models the service knows."""

    items: list[ModelInfo]


class Health(_Body):
    """The process lives."""

    status: Literal["ok"] = "ok"
    tool: str


class Readiness(_Body):
    """The store answers and workers judge."""

    status: Literal["ready"] = "ready"
    workers: Annotated[int, Field(ge=1)]


class Login(_Body):
    """A token, for a session."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=256)]


class Session(_Body):
    """What the logged-in caller may do."""

    name: str
    scopes: list[str]
    expires: datetime


def analysis(job: Job) -> Analysis:
    """A job as its owner sees it."""
    return Analysis(**_state(job), result=shown_result(job))


def entry(job: Job) -> AnalysisEntry:
    """A job as a line of a list."""
    found = job.result
    return AnalysisEntry(
        **_state(job),
        status=found.status if found else None,
        verdict=found.verdict if found else None,
        score=found.score if found else None,
    )


def shown_result(job: Job) -> Result | None:
    """The result under the client's own file name: no path of this machine leaves it."""
    if job.result is None:
        return None
    named = job.result.input.model_copy(update={"path": job.name})
    faces = [face.model_copy(update={"heatmap": None}) for face in job.result.faces]
    return job.result.model_copy(update={"input": named, "faces": faces})


def batch_state(batch: Batch) -> BatchState:
    """A batch as its owner sees it."""
    address = f"/v1/batches/{batch.id}"
    links = BatchLinks(
        self=address,
        add=f"/v1/analyses?batch={batch.id}",
        analyses=f"/v1/analyses?batch={batch.id}",
        results=f"{address}/results.jsonl",
    )
    by_state: dict[str, Any] = {state: batch.by_state[state] for state in STATES}
    return BatchState(id=batch.id, created=batch.created, jobs=batch.jobs, links=links, **by_state)


def _state(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in AnalysisState.model_fields if name != "links"} | {
        "links": _links(job)
    }


def _links(job: Job) -> Links:
    address = f"/v1/analyses/{job.id}"
    done = job.state == "done" and job.result is not None
    faces = job.result.faces if job.result else []
    return Links(
        self=address,
        cancel=f"{address}/cancel" if job.state in ("queued", "running") else None,
        batch=f"/v1/batches/{job.batch}" if job.batch else None,
        media=f"{address}/media" if job.state != "expired" else None,
        result=f"{address}/result.json" if done else None,
        report=f"{address}/report.html" if done else None,
        evidence=f"{address}/evidence.json" if done else None,
        faces=[_face_links(address, face.id) for face in faces] if done else [],
    )


def _face_links(address: str, face: int) -> FaceLinks:
    base = f"{address}/faces/{face}"
    return FaceLinks(
        id=face,
        heatmap=f"{base}/heatmap.png",
        residual=f"{base}/residual.png",
        crop=f"{base}/crop.jpg",
    )
