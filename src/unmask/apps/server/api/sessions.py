"""/login and /logout: a browser's session in exchange for a token."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from unmask.apps.server.api import bodies
from unmask.apps.server.api.analyses import BROKEN
from unmask.apps.server.api.callers import COOKIE, check_token, unauthorised
from unmask.apps.server.api.parts import read_chunks
from unmask.apps.server.api.problem import ProblemError, responses
from unmask.apps.server.api.service import address_of, service_of
from unmask.apps.server.api.uploads import invalid

router = APIRouter(tags=["sessions"])

SESSION = timedelta(hours=12)
MOST_BYTES = 4096
JSON = "application/json"
_TOKEN = {"type": "string", "minLength": 1, "maxLength": 256}
_REQUEST = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "properties": {"token": _TOKEN},
                "required": ["token"],
                "additionalProperties": False,
            }
        }
    },
}
_COOKIE = {"Set-Cookie": {"description": "the session", "schema": {"type": "string"}}}
_ANYBODY = ("unknown-host", "cross-origin", *BROKEN)
_BODY = ("malformed-upload", "slow-sender", "too-large", "unsupported-media", "invalid-request")


@router.post(
    "/login",
    summary="Log a browser in",
    response_model=bodies.Session,
    responses={
        200: {"description": "Logged in", "headers": _COOKIE},
        **responses(*_ANYBODY, *_BODY, "unauthorised", "rate-limited"),
    },
    openapi_extra={"requestBody": _REQUEST},
)
async def login(request: Request) -> Response:
    """A cookie that scripts cannot read stands for the token from now on."""
    service, address = service_of(request), address_of(request)
    token = await check_token(service, address, await _secret(request))
    request.state.owner = token.id
    now = service.clock()
    expires = now + SESSION if token.expires is None else min(now + SESSION, token.expires)
    try:
        cookie = await run_in_threadpool(service.store.sessions.open, token.id, expires=expires)
    except ValueError as error:  # revoked in between
        raise unauthorised("This token has ended. Ask for a new one.") from error
    await service.audit(token.id, "log in", token.id, "session opened", address)
    told = bodies.Session(name=token.name, scopes=sorted(token.scopes), expires=expires)
    answer = JSONResponse(told.model_dump(mode="json"))
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=max(1, int((expires - now).total_seconds())),
        secure=service.settings.behind_tls or request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post(
    "/logout",
    status_code=204,
    summary="Log a browser out",
    responses={
        204: {"description": "Logged out, or was not logged in", "headers": _COOKIE},
        **responses(*_ANYBODY),
    },
)
async def logout(request: Request) -> Response:
    """Ends the session, here and in the store."""
    service = service_of(request)
    cookie = request.cookies.get(COOKIE)
    token = await run_in_threadpool(service.store.sessions.check, cookie) if cookie else None
    if cookie and token is not None:
        await run_in_threadpool(service.store.sessions.close, cookie)
        await service.audit(token.id, "log out", token.id, "session closed", address_of(request))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def _secret(request: Request) -> str:
    """The token in the body of a request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError("unsupported-media", f"Send the token as {JSON}.")
    patience = service_of(request).patience
    chunks = read_chunks(request, most_bytes=MOST_BYTES, patience=patience)
    body = b"".join([chunk async for chunk in chunks])
    try:
        return bodies.Login.model_validate_json(body).token.get_secret_value()
    except ValidationError as error:
        raise invalid("body", "must be a JSON object with 'token' and nothing else") from error
