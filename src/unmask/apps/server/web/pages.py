"""The pages. They read the store; all that changes something goes through the HTTP interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import RedirectResponse, Response

from unmask.apps.report import numbers, text
from unmask.apps.server.api.bodies import shown_result
from unmask.apps.server.api.service import service_of
from unmask.apps.server.contract import LOCAL, SCOPES, Job
from unmask.apps.server.model import read_model_card
from unmask.apps.server.web import evidence, words
from unmask.apps.server.web.card import card_view
from unmask.apps.server.web.rendering import duration, render
from unmask.apps.server.web.view import Row, result_view, row
from unmask.apps.server.web.visitors import Annotator, Anybody, Reader, frame
from unmask.media.limits import Limits

RECENT = 20
PAGE = 500

router = APIRouter(include_in_schema=False)
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@router.get("/")
def analyse(request: Request, who: Reader) -> Response:
    """Limits, the drop zone, and what was analysed lately."""
    service, limits = service_of(request), Limits()
    settings = service.settings
    recent = service.store.jobs.jobs(owner=who, limit=RECENT)
    return render(
        "analyse",
        words.ANALYSE,
        **frame(request, "analyse", max_bytes=settings.max_upload_bytes),
        size=numbers.file_size(settings.max_upload_bytes),
        pixels=numbers.count(limits.max_pixels // 1_000_000),
        hours=f"{limits.max_duration_s / 3600:g}",
        frames=settings.max_frames,
        kept=duration(settings.retention_s),
        recent=[row(n, job) for n, job in enumerate(recent, 1)],
    )


@router.get("/jobs/{id}")
def job(request: Request, who: Reader, id: Id) -> Response:
    """How far an analysis is; leads on to its result."""
    found = service_of(request).store.jobs.job(id, owner=who)
    if found is None:
        return missing(request)
    if found.result is not None:
        return RedirectResponse(f"/results/{id}", 303)
    return render("job", words.JOB, **frame(request, "job", id=id), job=found)


@router.get("/results/{id}")
def result(request: Request, who: Reader, id: Id) -> Response:
    """What was found, and what it rests on."""
    service = service_of(request)
    found = service.store.jobs.job(id, owner=who)
    if found is None:
        return missing(request)
    shown = shown_result(found)
    if shown is None:
        return RedirectResponse(f"/jobs/{id}", 303)
    view = result_view(found, shown, service.settings, service.own_thresholds)
    return render(
        "result",
        words.RESULT,
        **frame(request, "result", **view.data),
        item=view,
        views=evidence.views(service.settings.data, found),
    )


@router.get("/results/{id}/evidence")
def result_evidence(request: Request, who: Reader, id: Id) -> Response:
    """The part of the Result page with heatmaps and frequency views."""
    views = evidence.views(service_of(request).settings.data, _job(request, who, id))
    if views is None:
        raise HTTPException(404, "The evidence is not there. Ask for evidence.json first.")
    return render("evidence", words.RESULT, views=views)


@router.get("/batches/{id}")
def batch(request: Request, who: Reader, id: Id) -> Response:
    """All files of a batch as a table."""
    found = service_of(request).store.jobs.batch(id, owner=who)
    if found is None:
        return missing(request)
    groups = {**text.GROUPS, **words.COMMON["states"]}
    return render(
        "batch",
        words.BATCH,
        **frame(request, "batch", id=id),
        batch=found,
        rows=list(_rows(request, who, id)),
        groups={key: label for key, label in groups.items() if key != "done"},
    )


@router.get("/batches/{id}/rows")
def batch_rows(request: Request, who: Reader, id: Id) -> Response:
    """The rows of a batch's table as they are now."""
    return render("rows", words.BATCH, rows=list(_rows(request, who, id)))


@router.get("/annotate")
def annotate(request: Request, who: Annotator) -> Response:
    """The page on which masks are painted."""
    shown = frame(request, "annotate", named=who != LOCAL)
    if service_of(request).settings.annotations is None:
        return render("annotate_off", words.ANNOTATE, status=404, **shown)
    return render("annotate", words.ANNOTATE, **shown)


@router.get("/model")
def model(request: Request, who: Anybody) -> Response:
    """The card of the model that judges."""
    service = service_of(request)
    card = card_view(read_model_card(service.settings.model), service.own_thresholds)
    return render("model", words.MODEL, **frame(request, "model"), card=card)


@router.get("/login")
def login(request: Request) -> Response:
    """Asks for a token; `POST /login` of the HTTP interface takes it."""
    target = _inside(request.query_params.get("next", "/"))
    return render("login", words.LOGIN, **frame(request, "login", next=target))


@router.get("/forbidden")
def forbidden(request: Request, who: Anybody, scope: str = "") -> Response:
    """Says which scope a page needs."""
    named = scope if scope in SCOPES else "read"
    given = {"scope": named, "back": "/login"}
    return render("missing", words.FORBIDDEN, status=403, **frame(request, "missing"), **given)


def missing(request: Request) -> Response:
    """The page for what is not there, or is somebody else's."""
    return render("missing", words.MISSING, status=404, **frame(request, "missing"))


def _job(request: Request, who: str, id: str) -> Job:
    found = service_of(request).store.jobs.job(id, owner=who)
    if found is None:
        raise HTTPException(404, "There is no such analysis.")
    return found


def _rows(request: Request, who: str, id: str) -> Iterator[Row]:
    jobs = service_of(request).store.jobs
    after, number = None, 0
    while page := jobs.jobs(owner=who, batch=id, after=after, limit=PAGE):
        for found in page:
            number += 1
            yield row(number, found)
        after = page[-1].id


def _inside(target: str) -> str:
    """A page of this service; anything that could lead to another one becomes `/`."""
    plain = target.startswith("/") and not target.startswith("//")
    return target if plain and "\\" not in target and target.isprintable() else "/"
