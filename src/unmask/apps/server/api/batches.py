"""/v1/batches: files that belong together."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from unmask.apps.server.api import bodies
from unmask.apps.server.api.analyses import (
    BROKEN,
    KNOWN,
    LOCATION,
    UPLOAD,
    Key,
    batch_not_found,
    check_room,
    form_schema,
    refusals_named,
)
from unmask.apps.server.api.callers import Caller, Reader, Submitter
from unmask.apps.server.api.parts import is_multipart
from unmask.apps.server.api.problem import ProblemError, responses
from unmask.apps.server.api.service import Service, service_of
from unmask.apps.server.api.uploads import Form, invalid, received_form, writing
from unmask.apps.server.contract import Batch

router = APIRouter(prefix="/v1/batches", tags=["batches"])

MOST_FILES = 100
"""In one request. Larger batches are opened empty and filled with POST /v1/analyses?batch=ID."""
PAGE = 100
IN_MEMORY_BYTES = 8 * 2**20
BatchId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="of the batch")]
FILES = {
    "files": {
        "type": "array",
        "maxItems": MOST_FILES,
        "items": {"type": "string", "format": "binary"},
        "description": "pictures and videos",
    }
}


@router.post(
    "",
    status_code=202,
    response_model=bodies.BatchState,
    summary="Open a batch",
    openapi_extra=form_schema(FILES, []),
    responses={
        202: {"description": "Opened", "headers": LOCATION},
        **responses(*KNOWN, *BROKEN, *UPLOAD, "key-reused"),
    },
)
async def open_batch(
    request: Request,
    response: Response,
    caller: Submitter,
    idempotency_key: Key = None,
) -> bodies.BatchState:
    """Of the files in the form, or empty without a form.

    All files are taken or none: where one is refused, the whole request is, and says which.
    """
    service = service_of(request)
    if is_multipart(request):
        if idempotency_key is None:  # with a key an earlier batch may answer
            await run_in_threadpool(check_room, service)
        async with received_form(request, service, part="files", most_files=MOST_FILES) as form:
            batch = await _open(service, caller, form, idempotency_key)
    else:
        await _nothing_sent(request)
        batch = await _open(service, caller, Form(), idempotency_key)
    response.headers["Location"] = f"/v1/batches/{batch.id}"
    return bodies.batch_state(batch)


@router.get(
    "/{id}",
    response_model=bodies.BatchState,
    summary="Look at a batch",
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found"),
)
def look(request: Request, caller: Reader, id: BatchId) -> bodies.BatchState:
    """How many of its analyses are in each state."""
    return bodies.batch_state(_own(service_of(request), caller, id))


@router.get(
    "/{id}/results.jsonl",
    summary="The results so far",
    response_class=Response,
    responses={
        200: {
            "description": "One result a line",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
            "headers": {
                "Unmask-Missing": {
                    "description": "analyses of the batch without a result (yet)",
                    "schema": {"type": "integer", "minimum": 0},
                }
            },
        },
        **responses(*KNOWN, *BROKEN, "invalid-request", "not-found", "storage-full"),
    },
)
def results(request: Request, caller: Reader, id: BatchId) -> Response:
    """Those that are done, in the order of submission."""
    service = service_of(request)
    _own(service, caller, id)
    folder = str(service.settings.data)
    spool = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=folder)  # noqa: SIM115 (sent later)
    try:
        missing = _gather(service, caller, id, spool)
    except BaseException:
        spool.close()
        raise
    headers = {
        "Unmask-Missing": str(missing),
        "Content-Disposition": f'attachment; filename="unmask-{id[:8]}.jsonl"',
    }
    return StreamingResponse(_pieces(spool), 200, headers, "application/x-ndjson")


@router.delete(
    "/{id}",
    status_code=204,
    summary="Delete a batch",
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found"),
)
async def delete(request: Request, caller: Submitter, id: BatchId) -> None:
    """Delete it with all its analyses, their files, results and evidence."""
    service = service_of(request)
    if not await run_in_threadpool(service.store.jobs.delete_batch, id, owner=caller.owner):
        raise batch_not_found()
    await service.audit(caller.owner, "delete batch", id, "deleted", caller.address)


async def _open(service: Service, caller: Caller, form: Form, key: str | None) -> Batch:
    """A batch of the files of a form, which from then on are the store's, or the earlier one.

    Raises:
        ProblemError: 409 the key was used, 422 more files than may ever wait, 429 the queue is
            full.
    """
    most = service.settings.queue_limit
    if len(form.uploads) > most:
        raise invalid(
            "files",
            f"are more than the {most} that may wait: send fewer, or open an empty batch and add "
            "them one by one",
        )
    ids = [upload.path.parent.name for upload in form.uploads]

    def submit() -> Batch:
        with service.store.jobs.together():
            batch, new = service.store.jobs.open_batch(
                form.uploads,
                owner=caller.owner,
                key=key,
                max_frames=form.max_frames,
                evidence=form.evidence,
            )
            for id in ids if new else ():
                service.note(caller.owner, "submit", id, "queued", caller.address)
            outcome = f"{batch.jobs} queued" if new else "already there"
            service.note(caller.owner, "open batch", batch.id, outcome, caller.address)
        form.uploads.clear()  # in the same thread: a cancelled request must not delete them
        return batch

    with refusals_named(service):
        return await run_in_threadpool(submit)


async def _nothing_sent(request: Request) -> None:
    """Make sure that a request without a form has no body either."""
    length = request.headers.get("content-length", "0")
    if length != "0" or "transfer-encoding" in request.headers:
        raise ProblemError(
            "unsupported-media",
            "Send the files as multipart/form-data, in parts named 'files', or nothing at all.",
        )


def _own(service: Service, caller: Caller, id: str) -> Batch:
    batch = service.store.jobs.batch(id, owner=caller.owner)
    if batch is None:
        raise batch_not_found()
    return batch


def _gather(service: Service, caller: Caller, id: str, spool: IO[bytes]) -> int:
    """Write the results to `spool`; how many analyses have none. One look, so both agree."""
    missing, after = 0, None
    while page := service.store.jobs.jobs(owner=caller.owner, batch=id, after=after, limit=PAGE):
        for job in page:
            found = bodies.shown_result(job)
            if found is None:
                missing += 1
            else:
                line = json.dumps(found.model_dump(mode="json", by_alias=True))
                writing(spool.write, line.encode() + b"\n")
        after = page[-1].id
    return missing


def _pieces(spool: IO[bytes]) -> Iterator[bytes]:
    with spool:
        spool.seek(0)
        while piece := spool.read(1 << 16):
            yield piece
