"""/v1/analyses: submit a file, watch it, cancel it, delete it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from unmask.apps.server.api import bodies
from unmask.apps.server.api.callers import Caller, Reader, Submitter
from unmask.apps.server.api.problem import ProblemError, responses
from unmask.apps.server.api.service import Service, service_of
from unmask.apps.server.api.uploads import Form, received_form
from unmask.apps.server.contract import BatchUnknown, Job, KeyReused, QueueFull

router = APIRouter(prefix="/v1/analyses", tags=["analyses"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="of the analysis")]
BatchQuery = Annotated[
    str | None, Query(pattern="^[0-9a-f]{32}$", description="id of the caller's batch")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="The same key with the same content gives the first answer's one again.",
    ),
]
EARLY_WAIT_S = 10
"""Seconds to wait where a file was refused before it was received."""
KNOWN = ("unauthorised", "forbidden", "cross-origin", "rate-limited", "unknown-host")
"""Problems that every route with a caller may have."""
BROKEN = ("internal-error", "store-unavailable")
UPLOAD = (
    "malformed-upload",
    "slow-sender",
    "too-large",
    "unsupported-media",
    "empty-file",
    "invalid-request",
    "queue-full",
    "too-many-uploads",
    "storage-full",
)


def form_schema(part: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """What OpenAPI says of a form with files."""
    properties = part | {
        "max_frames": {
            "type": "integer",
            "minimum": 1,
            "description": "frames to look at per video; GET /v1/limits has the most",
        },
        "evidence": {
            "type": "boolean",
            "default": False,
            "description": "make report and pictures as soon as there is a result",
        },
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {
        "requestBody": {
            "required": bool(required),
            "content": {"multipart/form-data": {"schema": schema}},
        }
    }


FILE = {"file": {"type": "string", "format": "binary", "description": "a picture or a video"}}
LOCATION = {"Location": {"description": "of the new one", "schema": {"type": "string"}}}


@router.post(
    "",
    status_code=202,
    response_model=bodies.Analysis,
    summary="Submit a file",
    openapi_extra=form_schema(FILE, ["file"]),
    responses={
        202: {"description": "Queued", "headers": LOCATION},
        **responses(*KNOWN, *BROKEN, *UPLOAD, "not-found", "key-reused"),
    },
)
async def submit(
    request: Request, caller: Submitter, batch: BatchQuery = None, idempotency_key: Key = None
) -> Response:
    """Stream one file in, and queue it. The answer comes before it is looked at."""
    service = service_of(request)
    early = idempotency_key is None  # with a key an earlier analysis may answer
    await run_in_threadpool(check_early, service, caller, batch, room=early)
    async with received_form(request, service, part="file", most_files=1) as form:
        if not form.uploads:
            raise ProblemError("invalid-request", "The form has no part named 'file'. Add it.")
        job = await hand_over(service, caller, form, batch=batch, key=idempotency_key)
    return sent(job, 202, Location=f"/v1/analyses/{job.id}")


@router.get(
    "",
    response_model=bodies.AnalysisList,
    summary="List own analyses",
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found"),
)
def list_analyses(
    request: Request,
    caller: Reader,
    batch: BatchQuery = None,
    after: Annotated[
        str | None, Query(pattern="^[0-9a-f]{32}$", description="'next' of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> bodies.AnalysisList:
    """Newest first; those of a batch in the order of submission."""
    jobs = service_of(request).store.jobs
    if batch is not None and not jobs.has_batch(batch, owner=caller.owner):
        raise batch_not_found()
    found = jobs.jobs(owner=caller.owner, batch=batch, after=after, limit=limit + 1)
    page = found[:limit]
    following = page[-1].id if len(found) > limit else None
    return bodies.AnalysisList(items=[bodies.entry(job) for job in page], next=following)


@router.get(
    "/{id}",
    response_model=bodies.Analysis,
    summary="Look at an analysis",
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found"),
)
async def look(request: Request, caller: Reader, id: JobId) -> Response:
    """State, progress, and the result once there is one."""
    return sent(await run_in_threadpool(own_job, service_of(request), caller, id))


@router.delete(
    "/{id}",
    status_code=204,
    summary="Delete an analysis",
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found"),
)
async def delete(request: Request, caller: Submitter, id: JobId) -> None:
    """Delete it with its file, result and evidence; one that runs is cancelled first."""
    service = service_of(request)
    if not await run_in_threadpool(service.store.jobs.delete, id, owner=caller.owner):
        raise not_found()
    await service.audit(caller.owner, "delete", id, "deleted", caller.address)


@router.post(
    "/{id}/cancel",
    response_model=bodies.Analysis,
    summary="Cancel an analysis",
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found"),
)
async def cancel(request: Request, caller: Submitter, id: JobId) -> Response:
    """Stop one that is queued or running; any other stays as it is."""
    service = service_of(request)
    job = await run_in_threadpool(service.store.jobs.cancel, id, owner=caller.owner)
    if job is None:
        raise not_found()
    await service.audit(caller.owner, "cancel", id, job.state, caller.address)
    return sent(job)


def sent(job: Job, status: int = 200, **headers: str) -> Response:
    """A job as its owner sees it, written at once: it was checked when it was built."""
    content = bodies.analysis(job).model_dump_json(by_alias=True)
    return Response(content, status, headers, media_type="application/json")


def check_early(service: Service, caller: Caller, batch: str | None, *, room: bool) -> None:
    """Refuse before a file is received; whether it can be queued is said later. Blocks.

    Args:
        batch: must be the caller's.
        room: whether a place in the queue must be free.

    Raises:
        ProblemError: 404, 429.
    """
    if batch is not None and not service.store.jobs.has_batch(batch, owner=caller.owner):
        raise batch_not_found()
    if room:
        check_room(service)


def check_room(service: Service) -> None:
    """Refuse where nothing more may be queued. Blocks.

    Raises:
        ProblemError: 429.
    """
    if service.store.jobs.waiting() >= service.settings.queue_limit:
        raise _queue_full(service, EARLY_WAIT_S)


async def hand_over(
    service: Service, caller: Caller, form: Form, *, batch: str | None, key: str | None
) -> Job:
    """Queue the first file of a form, which from then on is the store's, and audit it.

    Raises:
        ProblemError: 404 no such batch, 409 the key was used, 429 the queue is full.
    """

    def submit() -> Job:
        with service.store.jobs.together():
            job, new = service.store.jobs.submit(
                form.uploads[0],
                owner=caller.owner,
                batch=batch,
                key=key,
                max_frames=form.max_frames,
                evidence=form.evidence,
            )
            outcome = "queued" if new else "already there"
            service.note(caller.owner, "submit", job.id, outcome, caller.address)
        del form.uploads[0]  # in the same thread: a cancelled request must not delete it
        return job

    with refusals_named(service):
        return await run_in_threadpool(submit)


@contextmanager
def refusals_named(service: Service) -> Iterator[None]:
    """What the store refuses, as problems.

    Raises:
        ProblemError: 404 no such batch, 409 the key was used, 429 the queue is full.
    """
    try:
        yield
    except QueueFull as error:
        raise _queue_full(service, error.retry_after) from error
    except KeyReused as error:
        raise ProblemError(
            "key-reused",
            "This Idempotency-Key was sent before with another file or setting. Use a new key.",
        ) from error
    except BatchUnknown as error:
        raise batch_not_found() from error


def own_job(service: Service, caller: Caller, id: str) -> Job:
    """The caller's job. Blocks.

    Raises:
        ProblemError: 404.
    """
    job = service.store.jobs.job(id, owner=caller.owner)
    if job is None:
        raise not_found()
    return job


def _queue_full(service: Service, wait: int) -> ProblemError:
    limit = service.settings.queue_limit
    return ProblemError(
        "queue-full",
        f"Of {limit} places for waiting analyses too few are free. Send it again in {wait} s.",
        headers={"Retry-After": str(wait)},
    )


def not_found() -> ProblemError:
    """The answer for an analysis that is not there, or is another's."""
    return ProblemError("not-found", "There is no such analysis, or it is not yours.")


def batch_not_found() -> ProblemError:
    """The answer for a batch that is not there, or is another's."""
    return ProblemError(
        "not-found", "There is no such batch, or it is not yours. Open one with POST /v1/batches."
    )
