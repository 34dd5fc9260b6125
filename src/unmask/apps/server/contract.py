"""What the service, its workers and its pages know of the store: data, errors, protocols.

All else imports from here. Times are timezone-aware UTC; ids and leases are 32 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from unmask.apps.server.records import (
    LOCAL,
    SCOPES,
    STATES,
    AuditEntry,
    Batch,
    BatchUnknown,
    Claim,
    EvidenceState,
    Job,
    KeyReused,
    Kind,
    QueueFull,
    Stage,
    State,
    StoreError,
    Swept,
    Token,
    Upload,
    WorkerSeen,
    new_id,
    utc_now,
)
from unmask.results import Result

__all__ = [
    "LOCAL",
    "SCOPES",
    "STATES",
    "AuditEntry",
    "AuditLog",
    "Batch",
    "BatchUnknown",
    "Claim",
    "EvidenceState",
    "Job",
    "JobStore",
    "KeyReused",
    "Kind",
    "QueueFull",
    "SessionStore",
    "Stage",
    "State",
    "Store",
    "StoreError",
    "Swept",
    "Token",
    "TokenStore",
    "Upload",
    "WorkerSeen",
    "new_id",
    "utc_now",
]


class JobStore(Protocol):
    """Jobs, batches and the work on them.

    Where `owner` is None any owner's jobs are meant; else another owner's job is as good as not
    there.
    """

    def submit(
        self,
        upload: Upload,
        *,
        owner: str,
        batch: str | None = None,
        key: str | None = None,
        max_frames: int | None = None,
        evidence: bool = False,
    ) -> tuple[Job, bool]:
        """Queue an upload, once per `key` of this owner.

        From here on the store takes care of the file, also where an earlier job answers (the file
        is deleted then). When this raises, the file is still the caller's to delete.

        Args:
            upload: written to `ServerSettings.upload_path` already.
            batch: id of the owner's batch it belongs to.
            key: of idempotency. The same key with the same content, name and `max_frames` gives
                the earlier job, until that job expires.
            evidence: make the evidence as soon as the job is done.

        Returns:
            The job, and whether it is new.

        Raises:
            QueueFull: as many jobs are queued as may be.
            KeyReused: the key came with another upload.
            BatchUnknown: no such batch of this owner.
            ValueError: `upload.path` is not where uploads belong, or nothing is there.
        """
        ...

    def job(self, id: str, *, owner: str | None = None) -> Job | None:
        """One job; None: not there, or another's."""
        ...

    def jobs(
        self,
        *,
        owner: str | None,
        batch: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Jobs, newest first; those of a batch in the order of submission.

        Args:
            after: id of the last job of the page before; an unknown one gives an empty page.
            limit: most jobs to give.
        """
        ...

    def cancel(self, id: str, *, owner: str | None) -> Job | None:
        """Cancel a job that is queued or running; any other stays as it is. None: not there."""
        ...

    def delete(self, id: str, *, owner: str | None) -> bool:
        """Remove a job in any state, with its files; False: not there."""
        ...

    def want_evidence(self, id: str, *, owner: str | None) -> Job | None:
        """Ask for a job's evidence, which is made once the job is done.

        Asking again changes nothing, also where making it has failed, and nothing happens where a
        job ended without a result. None: not there.
        """
        ...

    def open_batch(
        self,
        uploads: Sequence[Upload] = (),
        *,
        owner: str,
        key: str | None = None,
        max_frames: int | None = None,
        evidence: bool = False,
    ) -> tuple[Batch, bool]:
        """Queue uploads as a batch, all of them or none, once per `key` of this owner.

        The files are the store's or the caller's as with `submit`.

        Args:
            uploads: in their order; none where jobs are submitted to the batch later.
            key: of idempotency, apart from those of `submit`. The same key with the same contents,
                names, order and `max_frames` gives the earlier batch as it stands, until it is
                deleted or all of its jobs have expired (without jobs: once the retention is over).
            evidence: make the evidence of each job as soon as it is done.

        Returns:
            The batch, and whether it is new.

        Raises:
            QueueFull: with these, more jobs would be queued than may be.
            KeyReused: the key came with other uploads.
            ValueError: as `submit`.
        """
        ...

    def batch(self, id: str, *, owner: str | None) -> Batch | None:
        """One batch; None: not there, or another's."""
        ...

    def has_batch(self, id: str, *, owner: str | None) -> bool:
        """Whether `batch` would give one; takes no longer for a large one."""
        ...

    def delete_batch(self, id: str, *, owner: str | None) -> bool:
        """Remove a batch with its jobs and their files; False: not there."""
        ...

    def register(self, worker: str, *, model: str, weights_sha256: str) -> None:
        """Say that a worker has started, and what it judges with."""
        ...

    def retire(self, worker: str) -> int:
        """Say that a worker is gone for good: what it held is free at once.

        The attempts stay counted. For whoever sees the process end.

        Returns:
            How many leases it still had.
        """
        ...

    def claim(self, worker: str, *, limit: int) -> list[Claim]:
        """Take up to `limit` pieces of work: wanted evidence first, then jobs by age.

        Work whose lease ran out is given again. What was lost twice is suspected of killing
        workers and is given only alone: to a worker that holds nothing else, which then gets
        nothing more until it is through. An empty list means: finish what you hold, ask again.

        Args:
            worker: id of the worker's process, fresh with each start.
        """
        ...

    def heartbeat(self, worker: str, leases: Sequence[str]) -> set[str]:
        """A sign of life; extends `leases`.

        Returns:
            Those still held. The work on all others is to be dropped.
        """
        ...

    def progress(self, claim: Claim, stage: Stage, share: float) -> bool:
        """Record how far an analysis is, 0..1; False: the lease is lost.

        Raises:
            ValueError: `share` is not in 0..1.
        """
        ...

    def finish(self, claim: Claim, result: Result) -> bool:
        """Record the result of an analysis; False: the lease is lost, and nothing happened."""
        ...

    def fail(self, claim: Claim, reason: str, message: str) -> bool:
        """Record that no result could be made; False: the lease is lost.

        Args:
            reason: worker_lost or internal_error.
            message: the same for a person.
        """
        ...

    def give_back(self, claim: Claim) -> bool:
        """Undo a claim (the worker stops in good order); the attempt does not count."""
        ...

    def evidence_ready(self, claim: Claim, folder: str) -> bool:
        """Show the evidence; False: the lease is lost, and the folder is the caller's to delete.

        Args:
            folder: `claim.evidence_folder`, complete.

        Raises:
            ValueError: another folder.
        """
        ...

    def evidence_failed(self, claim: Claim, message: str) -> bool:
        """Record that no evidence could be made; False: the lease is lost."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """One transaction of all that this thread changes inside, in the audit log too.

        All of it is kept, or nothing: where leaving it raises, no answer given inside holds. What
        only reads sees the store as it was before. Claims are to be changed in the order of `seq`.
        """
        ...

    def sweep(self, now: datetime) -> Swept:
        """Upkeep; any number of processes may do it, at any time.

        Deletes what is past its retention, entries of the audit log too, fails jobs that were lost
        too often, and removes folders that belong to no job (uploads only when they are older than
        an hour).
        """
        ...

    def workers(self) -> list[WorkerSeen]:
        """Workers that were not retired and gave a sign of life within the last day."""
        ...

    def counts(self) -> dict[State, int]:
        """Jobs by state; every state has an entry."""
        ...

    def waiting(self) -> int:
        """How many jobs are queued; takes no longer for those that have ended."""
        ...


class TokenStore(Protocol):
    """Tokens; the database holds only the SHA-256 of their secrets."""

    def create(
        self, name: str, scopes: Collection[str], expires: datetime | None = None
    ) -> tuple[Token, str]:
        """Make a token.

        Returns:
            The token, and its secret, which is shown this once: "unmask_" and 43 characters.

        Raises:
            ConfigError: no name, an unknown scope or none at all, or an end that is past.
        """
        ...

    def check(self, secret: str) -> Token | None:
        """The token of a secret; None: unknown, expired or revoked."""
        ...

    def are_there(self) -> bool:
        """Whether there is any token that is not revoked; an expired one counts."""
        ...

    def all(self) -> list[Token]:
        """Every token, the oldest first, revoked and expired ones too."""
        ...

    def revoke(self, id: str) -> bool:
        """End a token and its browser sessions; False: not there, or revoked before."""
        ...


class SessionStore(Protocol):
    """Browser sessions; the database holds only the SHA-256 of their cookies."""

    def open(self, token: str, *, expires: datetime) -> str:
        """Start a session for a token's id; returns the cookie's value.

        Raises:
            ValueError: no such token, or it is expired or revoked.
        """
        ...

    def check(self, secret: str) -> Token | None:
        """The token of a session; None where session or token are unknown or have ended."""
        ...

    def close(self, secret: str) -> bool:
        """Log out; False: there was no such session."""
        ...


class AuditLog(Protocol):
    """Who did what. Entries are added and read, and deleted when they are old; never changed."""

    def record(
        self, *, who: str, action: str, subject: str, outcome: str, address: str | None
    ) -> None:
        """Add an entry, at the store's time."""
        ...

    def entries(self, limit: int = 100) -> list[AuditEntry]:
        """The latest entries, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """An open database; made by `unmask.apps.server.store.open_store`.

    Safe to use from several threads. A child process opens its own.
    """

    jobs: JobStore
    tokens: TokenStore
    audit: AuditLog
    sessions: SessionStore
    close: Callable[[], None] = field(default=lambda: None)
    """Give back the connections."""
