"""The outermost layer: hosts, origins, headers, unexpected errors, and bodies nobody read.

Plain ASGI, so that it covers the API, the pages and the files alike.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unmask.apps.server.api.problem import ProblemError, answer
from unmask.apps.server.api.service import Service, address_of
from unmask.apps.server.settings import is_loopback

LOG = logging.getLogger("unmask.server")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}


class Gate:
    """Wraps the application; the service comes with it, as requests do not know it yet here."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._service.patience.linger_s)
        started = time.perf_counter()
        try:
            request = Request(scope)
            check_host(request, self._service)
            check_origin(request)
            await self._app(scope, exchange.receive, exchange.send)
        except ProblemError as error:
            await self._refuse(request, error, exchange)
        except Exception as error:
            await _failed(scope, error, exchange)
        finally:
            self._count(scope, exchange.status, time.perf_counter() - started)

    async def _refuse(self, request: Request, error: ProblemError, exchange: _Exchange) -> None:
        await answer(error)(request.scope, exchange.receive, exchange.send)
        address = address_of(request)
        self._service.meters.refused.labels(error.kind).inc()
        await self._service.audit_refusal("-", request.method, "-", error.kind, address)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self._service.meters.requests.labels(method, route, status).inc()
        self._service.meters.seconds.labels(route).observe(seconds)
        LOG.info("%s %s %d %.0f ms", method, route, status, seconds * 1000)


def check_host(request: Request, service: Service) -> None:
    """Refuse names that are not the service's, so that no other site's name can point here.

    Raises:
        ProblemError: 400.
    """
    names = request.headers.getlist("host")
    host = _host_of(names[0]) if len(names) == 1 else None
    server = request.scope.get("server") or ("", None)
    settings = service.settings
    known = {settings.host.lower(), str(server[0]).lower(), *map(str.lower, settings.allowed_hosts)}
    if host is None or not (is_loopback(host) or host in known):
        raise ProblemError(
            "unknown-host",
            "The service does not answer to this Host header. Use the address it was started "
            "with, or start it with --allowed-host.",
        )


def check_origin(request: Request) -> None:
    """Refuse what another site's page makes a browser send.

    Everything that changes something, and every use of the API other than following a link.

    Raises:
        ProblemError: 403.
    """
    headers, changes = request.headers, request.method not in SAFE_METHODS
    follows_link = headers.get("sec-fetch-mode") == "navigate"
    if not changes and (follows_link or not request.url.path.startswith("/v1/")):
        return
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    origin = headers.get("origin")
    if origin is not None:
        foreign = foreign or urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    if foreign:
        raise ProblemError(
            "cross-origin",
            "Requests started by other sites are refused. Use the service's own pages, or a "
            "program without an Origin header.",
        )


def _host_of(value: str) -> str | None:
    """The name in a Host header, without the port; None for what is no host."""
    try:
        parts = urlsplit(f"//{value}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == value and "@" not in value else None


async def _failed(scope: Scope, error: Exception, exchange: _Exchange) -> None:
    """Tell the client a number only; the log says where it happened, and nothing of the data."""
    number = secrets.token_hex(4)
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(
            f"{trace.tb_frame.f_globals.get('__name__')}.{code.co_name}:{trace.tb_lineno}"
        )
        trace = trace.tb_next
    LOG.error("failure %s: %s at %s", number, type(error).__name__, " > ".join(places[-8:]))
    if not exchange.started:
        told = ProblemError(
            "internal-error",
            f"unmask failed. Report it with the number {number} and the service's log.",
        )
        await answer(told)(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer.

    A refused upload is answered while its sender still sends. To close the connection then would
    make many clients lose the answer, so the rest is read and dropped for a while first.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger_s: float) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._linger_s = linger_s
        headers = {name.lower(): value for name, value in scope["headers"]}
        sends_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        self._waits = b"expect" in headers  # then nothing is sent before it is asked for
        self._unread = sends_body
        self.started = False
        self.status = 500

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            self._complete(MutableHeaders(raw=message["headers"]))
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not (last and self._unread):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        if not self._waits:
            await self._drop_rest()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _complete(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if self._scope["path"].startswith("/v1/"):
            headers.setdefault("Cache-Control", "no-store")
        if self._unread:
            headers["Connection"] = "close"

    async def _drop_rest(self) -> None:
        try:
            async with asyncio.timeout(self._linger_s):
                while self._unread:
                    await self.receive()
        except TimeoutError:
            pass
