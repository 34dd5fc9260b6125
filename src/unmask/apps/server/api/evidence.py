"""What belongs to one analysis as files: the upload, the result, the report, the pictures."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from unmask.apps.report.page import environment, source_hash, source_of
from unmask.apps.server.api import bodies
from unmask.apps.server.api.analyses import BROKEN, KNOWN, JobId, not_found, own_job
from unmask.apps.server.api.callers import Caller, Reader
from unmask.apps.server.api.files import file_answer
from unmask.apps.server.api.problem import ProblemError, responses
from unmask.apps.server.api.service import Service, service_of
from unmask.apps.server.contract import Job
from unmask.results import Result

router = APIRouter(prefix="/v1/analyses/{id}", tags=["files"])

MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "heic": "image/heic",
    "avif": "image/avif",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/matroska",
    "webm": "video/webm",
    "avi": "video/vnd.avi",
}
"""By the format that `unmask.media.formats.sniff` tells."""
PICTURE = r"(crop|heat|heatmap|residual)(-\d{1,9})?\.(jpg|png)"
_FOLDER = re.compile(r"evidence/[0-9a-f]{32}/[0-9a-f]{32}")
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE = (*KNOWN, *BROKEN, "invalid-request", "not-found", "no-result", "upload-gone")


def _found(content: dict[str, Any], *problems: str) -> dict[int | str, dict[str, Any]]:
    """What a route declares that gives a file."""
    ranges = {
        "Accept-Ranges": {"schema": {"type": "string"}},
        "ETag": {"schema": {"type": "string"}},
    }
    return {
        200: {"description": "The file", "content": content, "headers": ranges},
        206: {"description": "The range that was asked for", "content": content},
        **responses(*_FILE, "range-not-satisfiable", *problems),
    }


def _evidence(content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """What a route declares that gives a file which may have to be made first."""
    return _found(content, "evidence-failed") | {
        202: {
            "model": bodies.EvidencePending,
            "description": "It was asked for, and is not ready yet",
            "headers": {"Retry-After": {"schema": {"type": "integer"}}},
        }
    }


@router.get(
    "/media",
    summary="The file as it was uploaded",
    response_class=Response,
    responses=_found(dict.fromkeys(MEDIA_TYPES.values(), _BINARY)),
)
def media(request: Request, caller: Reader, id: JobId) -> Response:
    """For a player: answers to Range."""
    service = service_of(request)
    job = own_job(service, caller, id)
    kind = MEDIA_TYPES.get(job.format, "application/octet-stream")
    try:
        return file_answer(request, service.settings.upload_path(job.id), kind, etag=job.sha256)
    except FileNotFoundError as error:
        raise _gone() from error


@router.get(
    "/result.json",
    summary="The result as a download",
    response_model=Result,
    responses=responses(*KNOWN, *BROKEN, "invalid-request", "not-found", "no-result"),
)
def result(request: Request, caller: Reader, id: JobId) -> Response:
    """The file that `unmask verify` takes."""
    job = _done(own_job(service_of(request), caller, id))
    found = bodies.shown_result(job)
    assert found is not None
    name = f'attachment; filename="unmask-{job.id[:8]}.json"'
    headers = {"Content-Disposition": name}
    return Response(found.to_json(indent=2) + "\n", 200, headers, "application/json")


@router.get(
    "/report.html",
    summary="The report",
    response_class=Response,
    responses=_evidence({"text/html": {"schema": {"type": "string"}}}),
)
def report(request: Request, caller: Reader, id: JobId) -> Response:
    """One page that needs nothing else; made when it is first asked for."""
    headers = {"Content-Security-Policy": report_policy()}
    return _file(request, caller, id, "report.html", "text/html; charset=utf-8", headers)


@router.get(
    "/evidence.json",
    summary="What there is to look at",
    response_class=Response,
    responses=_evidence({"application/json": {"schema": {"type": "object"}}}),
)
def evidence(request: Request, caller: Reader, id: JobId) -> Response:
    """Key frames, band energies, and the pictures' names, which are relative to this address."""
    return _file(request, caller, id, "evidence.json", "application/json")


@router.get(
    "/faces/{face}/{picture}",
    summary="A picture of one face",
    response_class=Response,
    responses=_evidence({"image/png": _BINARY, "image/jpeg": _BINARY}),
)
def face_picture(
    request: Request,
    caller: Reader,
    id: JobId,
    face: Annotated[int, Path(ge=0, le=999_999, description="id of the face in the result")],
    picture: Annotated[
        str,
        Path(
            pattern=f"^{PICTURE}$",
            description="heatmap.png, residual.png, crop.jpg or heat.png (the heat alone) of the "
            "frame that says most; with -FRAME before the ending of another key frame",
            examples=["heatmap.png"],
        ),
    ],
) -> Response:
    """Made when it is first asked for."""
    kind = "image/png" if picture.endswith(".png") else "image/jpeg"
    return _file(request, caller, id, f"faces/{face}/{picture}", kind, face=face)


@cache
def report_policy() -> str:
    """Content security policy of the report: its own style and script by their hashes, boxed in."""
    env = environment()
    style, script = (source_hash(source_of(env, f"report.{kind}")) for kind in ("css", "js"))
    return (
        f"default-src 'none'; img-src data:; style-src {style}; script-src {script}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts"
    )


def _file(
    request: Request,
    caller: Caller,
    id: str,
    name: str,
    kind: str,
    headers: dict[str, str] | None = None,
    *,
    face: int | None = None,
) -> Response:
    """A file of the evidence; asks for it to be made where nobody has yet."""
    service = service_of(request)
    job = _done(own_job(service, caller, id))
    assert job.result is not None
    if face is not None and face not in {one.id for one in job.result.faces}:
        raise ProblemError("not-found", "There is no such face in the result.")
    if job.evidence == "none":
        job = _ask(service, caller, job)
    if job.evidence == "failed":
        why = job.evidence_message or "Making it failed."
        raise ProblemError("evidence-failed", f"{why} Send the file again to have it made.")
    if job.evidence != "ready" or job.evidence_dir is None:
        pending = {"evidence": "making" if job.evidence == "making" else "wanted"}
        return JSONResponse(pending, 202, {"Retry-After": "1"})
    try:
        path = _folder(service, job) / name
        return file_answer(request, path, kind, etag=job.evidence_dir[-32:], headers=headers)
    except FileNotFoundError as error:
        raise ProblemError("not-found", "The evidence has no such file.") from error


def _ask(service: Service, caller: Caller, job: Job) -> Job:
    if not service.settings.upload_path(job.id).is_file():
        raise _gone()
    asked = service.store.jobs.want_evidence(job.id, owner=caller.owner)
    if asked is None:
        raise not_found()
    service.store.audit.record(
        who=caller.owner,
        action="ask for evidence",
        subject=job.id,
        outcome=asked.evidence,
        address=caller.address,
    )
    return asked


def _folder(service: Service, job: Job) -> FilePath:
    """Where the evidence lies; whatever the database says, within its folder."""
    assert job.evidence_dir is not None
    if _FOLDER.fullmatch(job.evidence_dir) is None:
        raise FileNotFoundError
    return service.settings.data / job.evidence_dir


def _done(job: Job) -> Job:
    """A job with a result.

    Raises:
        ProblemError: 409.
    """
    if job.state == "expired":
        raise _gone()
    if job.state in ("queued", "running"):
        raise ProblemError(
            "no-result", f"The analysis is {job.state}. Ask again when its state is 'done'."
        )
    if job.result is None:
        raise ProblemError(
            "no-result", f"The analysis is {job.state}: it has no result. Send the file again."
        )
    return job


def _gone() -> ProblemError:
    return ProblemError(
        "upload-gone", "The file was deleted after the time it is kept. Send it again."
    )
