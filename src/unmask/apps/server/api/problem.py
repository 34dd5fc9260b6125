"""Every error of the service as problem+json (RFC 9457): what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
URN = "urn:unmask:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One documented kind of problem.

    Attributes:
        status: of the answer.
        title: the same for every occurrence.
        example: a detail as the service writes it.
    """

    status: int
    title: str
    example: str


KINDS: dict[str, Kind] = {
    "bad-request": Kind(400, "Bad request", "The request cannot be understood."),
    "unknown-host": Kind(
        400,
        "Unknown host name",
        "The service does not answer to this Host header. Use the address it was started with, "
        "or start it with --allowed-host.",
    ),
    "malformed-upload": Kind(
        400, "Malformed upload", "The body ends early. Send the whole file again."
    ),
    "unauthorised": Kind(
        401,
        "Not logged in",
        "Send a token as 'Authorization: Bearer unmask_...', or log in on /login.",
    ),
    "forbidden": Kind(
        403,
        "Not allowed",
        "The token lacks the scope 'analyse'. Ask for one that has it.",
    ),
    "cross-origin": Kind(
        403,
        "Request of another site",
        "Requests started by other sites are refused. Use the service's own pages, or a program "
        "without an Origin header.",
    ),
    "not-found": Kind(404, "Not found", "There is no such analysis, or it is not yours."),
    "method-not-allowed": Kind(
        405, "Method not allowed", "Use one of the methods in the Allow header."
    ),
    "slow-sender": Kind(
        408, "Upload too slow", "No bytes came for 20 s. Send the file again on a faster line."
    ),
    "no-result": Kind(
        409, "There is no result", "The analysis is queued. Ask again when its state is 'done'."
    ),
    "upload-gone": Kind(
        409, "The upload is gone", "The file was deleted after its retention. Send it again."
    ),
    "evidence-failed": Kind(
        409, "No evidence could be made", "Making it failed. Send the file again."
    ),
    "key-reused": Kind(
        409,
        "Idempotency-Key already used",
        "This key was sent before with another file or setting. Use a new key.",
    ),
    "too-large": Kind(
        413, "Too large", "The file is larger than 536870912 bytes. Send a shorter one."
    ),
    "unsupported-media": Kind(
        415,
        "Unsupported content",
        "The content is none of the supported formats, which GET /v1/limits lists.",
    ),
    "range-not-satisfiable": Kind(
        416, "Range not satisfiable", "The file has 1000 bytes: ask for a range within them."
    ),
    "invalid-request": Kind(
        422, "Invalid request", "query.limit: Input should be less than or equal to 500."
    ),
    "empty-file": Kind(422, "Empty file", "The file has no bytes. Choose another one."),
    "queue-full": Kind(
        429,
        "The queue is full",
        "Of 256 places for waiting analyses too few are free. Send it again in 30 s.",
    ),
    "too-many-uploads": Kind(
        429,
        "Too many uploads at once",
        "32 uploads are being received. Send it again in 5 s.",
    ),
    "rate-limited": Kind(
        429, "Too many requests", "At most 120 requests a minute. Send it again in 2 s."
    ),
    "internal-error": Kind(
        500,
        "unmask failed",
        "unmask failed. Report it with the number 5f0c2a77 and the service's log.",
    ),
    "not-ready": Kind(503, "Not ready", "No worker has been seen lately. Ask again in 10 s."),
    "storage-full": Kind(
        503, "No space left", "The service's disk is full; nothing was kept. Try again later."
    ),
    "store-unavailable": Kind(
        503, "The store does not answer", "The database does not answer. Try again in 5 s."
    ),
}
"""Every kind of problem by the last part of its `type`."""

_BY_STATUS = {
    400: "bad-request",
    401: "unauthorised",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media",
    416: "range-not-satisfiable",
    422: "invalid-request",
    500: "internal-error",
    503: "not-ready",
}
_NOWHERE = "There is nothing at this address. GET /docs lists what there is."


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="as in 'query.limit'", examples=["query.limit"])
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(
        description="'urn:unmask:problem:' and the kind, or 'about:blank'",
        examples=[URN + "queue-full"],
    )
    title: str = Field(description="the same for every occurrence of the kind")
    status: Annotated[int, Field(ge=400, le=599)] = Field(description="the HTTP status")
    detail: str = Field(description="what is wrong this time, and what to do")
    errors: list[Fault] = Field(default_factory=list, description="of a request that is not valid")


class ProblemError(Exception):
    """Raised anywhere in a request; becomes its answer.

    Args:
        kind: a key of `KINDS`.
        detail: what is wrong and what to do, for a person; never a path of this machine.
        headers: of the answer, such as Retry-After.
        errors: the single faults of a request that is not valid.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[Fault] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors or []

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status


def answer(error: ProblemError) -> Response:
    """The response that tells a problem."""
    kind = KINDS[error.kind]
    body = Problem(
        type=URN + error.kind,
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        errors=error.errors,
    )
    headers = {"Cache-Control": "no-store", **error.headers}
    return Response(body.model_dump_json(), kind.status, headers, MEDIA_TYPE)


def of_http(error: HTTPException) -> ProblemError | None:
    """What the framework raises, as a problem; None for a status without a kind."""
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        return None
    detail = str(error.detail)
    if detail == HTTPStatus(error.status_code).phrase:  # nobody said more
        detail = _NOWHERE if kind == "not-found" else KINDS[kind].example
    return ProblemError(kind, detail, headers=error.headers)


def of_validation(error: RequestValidationError) -> ProblemError:
    """A request that does not fit the schema; what was sent is not repeated."""
    faults = [
        Fault(where=".".join(str(part) for part in one["loc"]), message=str(one["msg"]))
        for one in error.errors()
    ]
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults[:3])
    return ProblemError("invalid-request", f"{detail}.", errors=faults)


async def on_http(request: Request, error: Exception) -> Response:
    """Handler of the framework's own errors (unknown address, method, ...) and of redirects."""
    assert isinstance(error, HTTPException)
    known = of_http(error)
    if known is not None:
        return answer(known)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    title = HTTPStatus(error.status_code).phrase
    body = Problem(
        type="about:blank", title=title, status=error.status_code, detail=str(error.detail)
    )
    return Response(body.model_dump_json(), error.status_code, error.headers, MEDIA_TYPE)


def responses(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """What a route declares of its problems, by status, each kind with an example."""
    found: dict[int | str, dict[str, Any]] = {}
    for name in kinds:
        kind = KINDS[name]
        entry = found.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/Problem"},
                        "examples": {},
                    }
                },
            },
        )
        examples = entry["content"][MEDIA_TYPE]["examples"]
        if examples:
            entry["description"] += f"; {kind.title[0].lower()}{kind.title[1:]}"
        examples[name] = {
            "value": Problem(
                type=URN + name, title=kind.title, status=kind.status, detail=kind.example
            ).model_dump()
        }
        if kind.status in (429, 503):
            entry["headers"] = {
                "Retry-After": {
                    "description": "seconds to wait",
                    "schema": {"type": "integer", "minimum": 1},
                }
            }
    return found
