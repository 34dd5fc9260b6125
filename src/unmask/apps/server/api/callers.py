"""Who is asking, what they may do, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyCookie, HTTPBearer

from unmask.apps.server.api.problem import ProblemError
from unmask.apps.server.api.service import Service, address_of, service_of
from unmask.apps.server.contract import LOCAL, SCOPES, Token
from unmask.apps.server.settings import is_loopback

COOKIE = "unmask_session"
OPEN_S = 1.0
"""For so long, in seconds, the local user needs no token after none was found in the store."""
_BEARER = HTTPBearer(
    scheme_name="token", auto_error=False, description="A token of `unmask serve`'s owner."
)
_COOKIE = APIKeyCookie(
    name=COOKIE, scheme_name="session", auto_error=False, description="Set by POST /login."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        owner: id of the token, or `LOCAL`.
        scopes: what it may do.
        address: where it came from.
    """

    owner: str
    scopes: frozenset[str]
    address: str | None


def needs(scope: str | None = None) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the caller.

    Args:
        scope: one of `SCOPES` that the caller must have; None: any caller.

    Raises:
        ProblemError: 401 not logged in, 403 without the scope, 429 asked too often.
    """
    assert scope is None or scope in SCOPES

    async def caller(
        request: Request,
        _token: Annotated[object, Security(_BEARER)] = None,
        _session: Annotated[object, Security(_COOKIE)] = None,
    ) -> Caller:
        found = await identify(request)
        _limit_rate(service_of(request), found)
        if scope is not None and scope not in found.scopes:
            raise ProblemError(
                "forbidden", f"The token lacks the scope '{scope}'. Ask for one that has it."
            )
        return found

    return caller


Anybody = Annotated[Caller, Depends(needs())]
Reader = Annotated[Caller, Depends(needs("read"))]
Submitter = Annotated[Caller, Depends(needs("analyse"))]


async def identify(request: Request) -> Caller:
    """Find out who sent a request: by its token, its session, or as the local user.

    Raises:
        ProblemError: 401, or 429 after too many wrong tokens.
    """
    service, address = service_of(request), address_of(request)
    token = await _token_of(request, service, address)
    if token is not None:
        found = Caller(token.id, token.scopes, address)
    elif await is_open(service):
        found = Caller(LOCAL, frozenset(SCOPES), address)
    else:
        raise unauthorised("Send a token as 'Authorization: Bearer unmask_...', or log in again.")
    request.state.owner = found.owner
    return found


async def is_open(service: Service) -> bool:
    """Whether the local user needs no token: on loopback, where there are none.

    The store is asked once a second, not for every look at a job.
    """
    if not is_loopback(service.settings.host):
        return False
    now, seen = service.clock(), service.seen_open
    if seen is None or not 0 <= (now - seen).total_seconds() < OPEN_S:
        closed = await run_in_threadpool(service.store.tokens.are_there)
        service.seen_open = None if closed else now
    return service.seen_open is not None


async def check_token(service: Service, address: str | None, secret: str) -> Token:
    """The token of a secret.

    A right one always passes, whatever else comes from its address, which may be a proxy's.

    Raises:
        ProblemError: 401, or 429 after too many wrong ones.
    """
    token = await run_in_threadpool(service.store.tokens.check, secret)
    if token is not None:
        return token
    wait = service.failures.take(address or "")
    if wait is not None:
        raise too_often(wait, "Too many wrong tokens came from this address.")
    raise unauthorised("This token is not known, or it has ended. Ask for a new one.")


def unauthorised(detail: str) -> ProblemError:
    """The answer to somebody who is not known."""
    return ProblemError(
        "unauthorised", detail, headers={"WWW-Authenticate": 'Bearer realm="unmask"'}
    )


def too_often(wait: int, what: str) -> ProblemError:
    """The answer to somebody who asks too often."""
    return ProblemError(
        "rate-limited", f"{what} Try again in {wait} s.", headers={"Retry-After": str(wait)}
    )


async def _token_of(request: Request, service: Service, address: str | None) -> Token | None:
    """The token of a request; None where it has neither token nor session."""
    header = request.headers.get("authorization")
    if header is not None:
        kind, _, secret = header.partition(" ")
        if kind.lower() != "bearer":
            raise unauthorised("The Authorization header must be 'Bearer' and a token.")
        return await check_token(service, address, secret.strip())
    cookie = request.cookies.get(COOKIE)
    return await run_in_threadpool(service.store.sessions.check, cookie) if cookie else None


def _limit_rate(service: Service, caller: Caller) -> None:
    key = f"address {caller.address}" if caller.owner == LOCAL else f"token {caller.owner}"
    wait = service.requests.take(key)
    if wait is not None:
        limit = service.settings.rate_per_minute
        raise too_often(wait, f"At most {limit} requests a minute are answered.")
