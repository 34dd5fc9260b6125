"""What the service is and how it does: models, limits, health, readiness, counters."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from unmask import __version__
from unmask.apps.cli.models import cards
from unmask.apps.server.api import bodies, meters
from unmask.apps.server.api.analyses import BROKEN, KNOWN
from unmask.apps.server.api.batches import MOST_FILES
from unmask.apps.server.api.callers import Caller, Reader, needs
from unmask.apps.server.api.problem import ProblemError, responses
from unmask.apps.server.api.service import Service, service_of
from unmask.apps.server.settings import ServerSettings
from unmask.media import limits as media_limits
from unmask.media.formats import IMAGE_FORMATS, SUPPORTED_SUFFIXES, VIDEO_FORMATS

router = APIRouter(tags=["service"])

LEASES = 3
"""Leases without a sign of life after which a worker is taken for lost."""


@router.get(
    "/v1/models",
    response_model=bodies.ModelList,
    summary="The models, with their error rates",
    responses=responses(*KNOWN, *BROKEN),
)
def models(request: Request, caller: Reader) -> bodies.ModelList:
    """Licence, threshold, share of real faces flagged, and the whole card."""
    service = service_of(request)
    return bodies.ModelList(items=[_model(card, service) for card in _known(service.settings)])


@router.get(
    "/v1/limits",
    response_model=bodies.Limits,
    summary="What the service takes",
    responses=responses(*KNOWN, *BROKEN),
)
def limits(request: Request, caller: Reader) -> bodies.Limits:
    """Formats, sizes, how long things are kept, and whether anybody works."""
    service, decoding = service_of(request), media_limits.Limits()
    settings = service.settings
    return bodies.Limits(
        formats=sorted(IMAGE_FORMATS | VIDEO_FORMATS),
        suffixes=sorted(SUPPORTED_SUFFIXES),
        max_upload_bytes=settings.max_upload_bytes,
        max_files_per_batch=MOST_FILES,
        max_frames=settings.max_frames,
        max_pixels=decoding.max_pixels,
        max_duration_s=decoding.max_duration_s,
        timeout_s=decoding.timeout_s,
        max_uploads=settings.max_uploads,
        queue_limit=settings.queue_limit,
        rate_per_minute=settings.rate_per_minute,
        retention_s=settings.retention_s,
        workers=workers_alive(service),
    )


@router.get(
    "/healthz",
    response_model=bodies.Health,
    summary="Whether the process lives",
    responses=responses("unknown-host", "internal-error"),
)
async def healthz() -> bodies.Health:
    """Asks nothing else."""
    return bodies.Health(tool=f"unmask {__version__}")


@router.get(
    "/readyz",
    response_model=bodies.Readiness,
    summary="Whether analyses are done",
    responses=responses("unknown-host", *BROKEN, "not-ready"),
)
def readyz(request: Request) -> bodies.Readiness:
    """The store answers, and a worker was seen within three leases."""
    alive = workers_alive(service_of(request))
    if alive == 0:
        raise ProblemError(
            "not-ready",
            "No worker has been seen lately. Start one, or ask again in 10 s.",
            headers={"Retry-After": "10"},
        )
    return bodies.Readiness(workers=alive)


@router.get(
    "/metrics",
    response_class=Response,
    summary="The service's counters",
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **responses(*KNOWN, *BROKEN),
    },
)
def metrics(request: Request, caller: Annotated[Caller, Depends(needs("metrics"))]) -> Response:
    """Requests, refusals, uploads, analyses by state, workers."""
    service = service_of(request)
    counts = {str(state): count for state, count in service.store.jobs.counts().items()}
    text = service.meters.text(counts, workers_alive(service))
    return Response(text, media_type=meters.CONTENT_TYPE)


def workers_alive(service: Service) -> int:
    """Workers that gave a sign of life within three leases. Blocks."""
    since = service.clock() - timedelta(seconds=LEASES * service.settings.lease_s)
    return sum(worker.seen >= since for worker in service.store.jobs.workers())


def _known(settings: ServerSettings) -> list[dict[str, Any]]:
    """The cards of the packaged models, and of the service's own if it is none of them."""
    known = cards()
    if settings.model.endswith(".safetensors"):
        path = Path(settings.model).with_suffix(".json")
        known.append({**json.loads(path.read_text("utf-8")), "name": path.stem})
    return known


def _model(card: dict[str, Any], service: Service) -> bodies.ModelInfo:
    decision = card.get("decision")
    in_use = card["name"] == service.settings.model.removesuffix(".safetensors").rpartition("/")[2]
    own = service.own_thresholds
    calibrated = own is not None and own.weights_sha256 == card.get("weights_sha256")
    if calibrated and own is not None:
        decision = own.decision.model_dump()
    fields = bodies.ModelThreshold.model_fields
    return bodies.ModelInfo(
        name=card["name"],
        in_use=in_use,
        calibrated=calibrated,
        summary=card.get("summary", ""),
        licence=card.get("licence", "unspecified"),
        parameters=card.get("parameters"),
        weights_sha256=card.get("weights_sha256", ""),
        threshold=bodies.ModelThreshold(**{name: decision[name] for name in fields})
        if decision
        else None,
        limitations=card.get("limitations", []),
        card=card,
    )
