"""What the store holds and gives: the data and the errors of the contract.

Times are timezone-aware UTC. Ids and leases are 32 hexadecimal digits (`new_id`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from unmask.errors import ConfigError, UnmaskError
from unmask.results import Result

State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
Stage = Literal["queued", "decoding", "scoring", "finished"]
EvidenceState = Literal["none", "wanted", "making", "ready", "failed"]
Kind = Literal["analysis", "evidence"]

STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled", "expired")
LOCAL = "local"
"""The owner of jobs on loopback where there are no tokens."""
SCOPES: dict[str, str] = {
    "analyse": "submit files; cancel and delete own analyses",
    "read": "see own analyses",
    "annotate": "choose and paint masks",
    "metrics": "read the service's counters",
}
"""What a token may allow, with its meaning for a person."""


def new_id() -> str:
    """A fresh id that cannot be guessed: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request leaves behind before there is a job.

    Attributes:
        name: the client's file name, only ever shown; cleaned, at most 255 characters.
        path: `ServerSettings.upload_path(id)` of a fresh id, which becomes the job's id.
        bytes: size of the file.
        sha256: of its content, hexadecimal.
        format: as sniffed by `unmask.media.formats`.
    """

    name: str
    path: Path
    bytes: int
    sha256: str
    format: str


@dataclass(frozen=True, slots=True)
class Job:
    """One analysis as it stands.

    Attributes:
        owner: id of the token that submitted it, or `LOCAL`.
        progress: 0..1 over the whole analysis.
        name: the client's file name; empty once expired.
        max_frames: asked for by the request; None: the service's default.
        started: of the latest attempt.
        finished: when it was done, failed or cancelled.
        expires: when upload, result and evidence are deleted; None until it is finished.
        attempts: leases it was given, this one included.
        reason: why it failed: worker_lost or internal_error.
        message: the same for a person.
        result: of a job that is done; None once expired.
        evidence_dir: relative to the data folder, set when `evidence` is ready.
        evidence_message: why evidence could not be made.
        ahead: queued jobs before this one; 0 unless queued.
    """

    id: str
    owner: str
    batch: str | None
    state: State
    stage: Stage
    progress: float
    name: str
    bytes: int
    sha256: str
    format: str
    max_frames: int | None
    created: datetime
    started: datetime | None
    finished: datetime | None
    expires: datetime | None
    attempts: int
    reason: str | None
    message: str | None
    result: Result | None
    evidence: EvidenceState
    evidence_dir: str | None
    ahead: int
    evidence_message: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A piece of work that one worker holds until its lease runs out.

    Attributes:
        job: id of the job.
        lease: proves that the work is still this worker's; fresh with every claim.
        path: of the media.
        name: the client's file name, for the result's `input.path`.
        kind: judge the file, or make the evidence of a job that is done.
        max_frames: asked for by the request; None: the service's default.
        attempts: leases this work was given, this one included.
        seq: order of submission. What is changed together is changed in it: where everybody takes
            the rows of a database in one order, nobody waits for the other.
    """

    job: str
    lease: str
    path: Path
    name: str
    kind: Kind
    max_frames: int | None
    attempts: int
    seq: int = 0

    @property
    def evidence_folder(self) -> str:
        """Where this claim writes evidence, relative to the data folder."""
        return f"evidence/{self.job}/{self.lease}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that were submitted together.

    Attributes:
        jobs: how many there are.
        by_state: how many are in each state; every state has an entry.
    """

    id: str
    owner: str
    created: datetime
    jobs: int
    by_state: dict[State, int]


@dataclass(frozen=True, slots=True)
class Token:
    """A right to use the service; its secret is not kept.

    Attributes:
        scopes: some of `SCOPES`.
        expires: None: never.
    """

    id: str
    name: str
    scopes: frozenset[str]
    created: datetime
    expires: datetime | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when, and what came of it.

    Attributes:
        who: id of a token, or `LOCAL`.
        subject: id of what it was done to.
        address: of the client, if there was one.
    """

    at: datetime
    who: str
    action: str
    subject: str
    outcome: str
    address: str | None


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that gave signs of life.

    Attributes:
        seen: the last one.
        model: name of the model it judges with; None until it has said.
    """

    id: str
    started: datetime
    seen: datetime
    model: str | None
    weights_sha256: str | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round of upkeep did.

    Attributes:
        expired: jobs whose upload, result and evidence were deleted.
        lost: jobs failed, and evidence given up, because their last attempt was lost.
        removed: rows of long expired jobs that went.
        orphans: folders that belonged to no job, or not any more.
    """

    expired: int = 0
    lost: int = 0
    removed: int = 0
    orphans: int = 0


class QueueFull(UnmaskError):  # noqa: N818 (a state of the service, not a fault)
    """No more jobs are taken for now.

    Args:
        retry_after: seconds after which a place is likely to be free; at least 1.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__("The queue is full.", f"Try again in {retry_after} s.")
        self.retry_after = retry_after


class KeyReused(UnmaskError):  # noqa: N818 (the client's doing)
    """An Idempotency-Key came again with other files, names or another number of frames."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another upload.", "Use a new key for a new upload."
        )


class BatchUnknown(UnmaskError):  # noqa: N818 (the client's doing)
    """A job was submitted to a batch that is not there, or is another owner's."""

    def __init__(self) -> None:
        super().__init__("There is no such batch.", "Open one with POST /v1/batches.")


class StoreError(ConfigError):
    """The database cannot be opened, does not answer, or is of another version."""
