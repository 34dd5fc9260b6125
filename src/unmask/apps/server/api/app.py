"""The application: all routers behind one gate."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from unmask import __version__
from unmask.apps.server.api import (
    about,
    analyses,
    batches,
    docs,
    evidence,
    openapi,
    sessions,
)
from unmask.apps.server.api.gate import SAFE_METHODS, Gate
from unmask.apps.server.api.problem import ProblemError, answer, of_validation, on_http
from unmask.apps.server.api.service import Patience, Service, address_of, service_of
from unmask.apps.server.contract import Store, StoreError, utc_now
from unmask.apps.server.settings import ServerSettings

LOG = logging.getLogger("unmask.server")
PAGES = tuple(f"unmask.apps.server.web.{name}" for name in ("pages", "assets", "annotate"))


def create_app(
    settings: ServerSettings,
    store: Store,
    *,
    clock: Callable[[], datetime] = utc_now,
    patience: Patience | None = None,
) -> FastAPI:
    """The service as an ASGI application. It decodes no media and loads no network.

    Args:
        settings: of the service and its workers.
        store: open; whoever opened it closes it.
        clock: gives the time with its zone: for request rates, sessions and readiness.
        patience: how slow a sender may be.
    """
    service = Service(settings, store, clock, patience or Patience())
    app = FastAPI(
        title="unmask",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    for part in (analyses, evidence, batches, about, sessions, docs):
        app.include_router(part.router)
    for pages in _pages():
        app.include_router(pages)
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(StoreError, on_store_fault)
    app.add_middleware(Gate, service=service)
    return app


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer a problem; refused attempts to get in or to change something are audited."""
    assert isinstance(error, ProblemError)
    service = service_of(request)
    service.meters.refused.labels(error.kind).inc()
    changes = request.method not in SAFE_METHODS and error.kind != "rate-limited"
    if changes or error.status in (401, 403):
        who = getattr(request.state, "owner", "-")
        route = getattr(request.scope.get("route"), "path", "-")
        subject = str(request.path_params.get("id", "-"))[:32]
        action = f"{request.method} {route}"
        await service.audit_refusal(who, action, subject, error.kind, address_of(request))
    return answer(error)


async def on_invalid(request: Request, error: Exception) -> Response:
    """Answer a request that does not fit the schema."""
    assert isinstance(error, RequestValidationError)
    return await on_problem(request, of_validation(error))


async def on_store_fault(request: Request, error: Exception) -> Response:
    """Answer while the database is away or locked. The error itself may quote data: not logged."""
    LOG.error("the store does not answer: %s", type(error).__name__)
    service_of(request).meters.refused.labels("store-unavailable").inc()
    return answer(
        ProblemError(
            "store-unavailable",
            "The database does not answer. Try again in 5 s.",
            headers={"Retry-After": "5"},
        )
    )


def _pages() -> Iterator[APIRouter]:
    """The routes of the web pages, as far as they are installed.

    Loaded by name, as they import this package: who they show things to is decided here.
    """
    for name in PAGES:
        if importlib.util.find_spec(name) is not None:
            yield importlib.import_module(name).router
