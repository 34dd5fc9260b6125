"""/v1/annotation: the queue, the pictures and the masks of the Annotate page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from unmask.apps.server.api.callers import Caller, needs
from unmask.apps.server.api.problem import MEDIA_TYPE, URN, ProblemError, responses
from unmask.apps.server.api.service import Service, service_of
from unmask.apps.server.contract import LOCAL
from unmask.apps.server.web import annotation_bodies as bodies
from unmask.apps.server.web.project import Project, counts, project_of
from unmask.errors import ConfigError, MissingExtraError, UnmaskError

if TYPE_CHECKING:
    from unmask.data.annotation.masks import Mask
    from unmask.data.annotation.pictures import Picture
    from unmask.data.annotation.queue import Entry
    from unmask.data.annotation.store import Annotation, Annotations, MaskStore

MOST_MASK_BYTES = 64 * 2**20
ORACLE = "oracle"
CONFLICT = "annotation-conflict"
KNOWN = ("unauthorised", "forbidden", "cross-origin", "rate-limited", "unknown-host", "not-found")
BROKEN = ("internal-error", "store-unavailable", "not-ready", "invalid-request")
PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}

router = APIRouter(
    prefix="/v1/annotation", tags=["annotation"], responses=responses(*KNOWN, *BROKEN)
)
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="of the picture's bytes")]
Painter = Annotated[Caller, Depends(needs("annotate"))]


def project(request: Request, caller: Painter) -> Project:
    """The service's annotation project.

    Raises:
        ProblemError: 404 there is none.
    """
    folder = service_of(request).settings.annotations
    if folder is None:
        raise ProblemError(
            "not-found", "The service has no annotation project. Start it with --annotations."
        )
    try:
        return project_of(folder)
    except MissingExtraError as error:
        detail = f"{error.message} {error.hint}"
        raise ProblemError("not-ready", detail, headers={"Retry-After": "3600"}) from error


Work = Annotated[Project, Depends(project)]


@router.get("/queue", response_model=bodies.Queue, summary="List the chosen pictures")
def queue(
    work: Work,
    rule: Annotated[str | None, Query(max_length=100, description="only of this rule")] = None,
    state: Annotated[bodies.State | None, Query(description="only in this state")] = None,
    after: Annotated[int, Query(ge=0, description="'next' of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> bodies.Queue:
    """The queue by selection rule, and how far it is against its budget."""
    answers = work.answers()
    entries = work.queue(answers)
    wanted = [
        entry
        for entry in entries
        if entry.rank > after and rule in (None, entry.rule) and state in (None, entry.state)
    ]
    page = wanted[:limit]
    return bodies.Queue(
        progress=_progress(entries),
        items=[_item(entry, answers) for entry in page],
        next=page[-1].rank if len(wanted) > limit else None,
    )


@router.get(
    "/pictures/{sha256}", response_model=bodies.PictureState, summary="Look at a chosen picture"
)
def look(work: Work, sha256: Sha256) -> bodies.PictureState:
    """Its size, and the answer that counts with its mask."""
    answers = work.answers()
    picture = work.picture(sha256, answers)
    latest = answers.latest(sha256)
    width, height = work.size(picture)
    return bodies.PictureState(
        picture=picture.path,
        sha256=sha256,
        width=width,
        height=height,
        real=picture.label == 0,
        revision=latest.revision if latest else 0,
        answer=_answer(work, latest, answers) if latest else None,
    )


@router.get(
    "/pictures/{sha256}/image.png",
    response_class=Response,
    responses=PNG,
    summary="Get a chosen picture",
)
def image(work: Work, sha256: Sha256) -> Response:
    """The picture upright and without loss, as a model is trained on it."""
    content = work.shown(work.picture(sha256))
    headers = {"Cache-Control": "private, max-age=3600", "ETag": f'"{sha256}"'}
    return Response(content, media_type="image/png", headers=headers)


@router.post(
    "/pictures/{sha256}/answers",
    status_code=201,
    response_model=bodies.Answer,
    responses={409: {"model": bodies.Conflict, "description": "Somebody else answered first"}},
    summary="Answer: a mask, no forgery, or skip",
)
def answer(
    request: Request, caller: Painter, work: Work, sha256: Sha256, body: bodies.NewAnswer
) -> Any:
    """Add an answer. Nothing is overwritten: the earlier answers stay in the project."""
    from unmask.data.annotation.store import ConflictError

    service, picture = service_of(request), work.picture(sha256)
    who = _annotator(service, caller, body.annotator)
    mask = _mask_of(body, picture, work.size(picture))
    given: dict[str, Any] = {"revision": body.revision, "annotator": who, "source": "painted"}
    given |= {"painted_on": sha256, "note": body.note}

    def give(store: MaskStore) -> Annotation:
        if mask is None:
            assert body.kind != "mask"
            return store.answer(picture, body.kind, **given)
        return store.add(picture, mask, **given)

    try:
        record = work.write(give)
    except ConflictError as error:
        return _conflict(error.message, _answer(work, error.latest, work.answers()))
    service.store.audit.record(
        who=caller.owner,
        action="annotate",
        subject=sha256,
        outcome=f"{record.kind}, revision {record.revision}",
        address=caller.address,
    )
    return _answer(work, record, work.answers())


@router.post(
    "/pictures/{sha256}/decode",
    response_model=bodies.RunLengths,
    responses=responses("too-large", "unsupported-media"),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
    summary="Read a mask file",
)
async def decode(request: Request, work: Work, sha256: Sha256) -> bodies.RunLengths:
    """A PNG or COCO RLE as run lengths, checked against the picture. Nothing is stored."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("image/png", "application/json"):
        raise ProblemError("unsupported-media", "Send image/png, or COCO RLE as application/json.")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_MASK_BYTES:
            raise ProblemError("too-large", f"A mask has at most {MOST_MASK_BYTES} bytes.")
    return await run_in_threadpool(_decoded, work, sha256, kind, bytes(content))


@router.get(
    "/pictures/{sha256}/mask.png",
    response_class=Response,
    responses=PNG,
    summary="Get a mask as PNG",
)
def mask_png(work: Work, sha256: Sha256) -> Response:
    """White where manipulated, black elsewhere; the latest answer's."""
    from unmask.data.annotation.masks import mask_to_png

    name = f'attachment; filename="{sha256[:16]}.png"'
    return Response(
        mask_to_png(_latest_mask(work, sha256)),
        media_type="image/png",
        headers={"Content-Disposition": name, "Cache-Control": "no-store"},
    )


@router.get(
    "/pictures/{sha256}/mask.json", response_model=bodies.RunLengths, summary="Get a mask as RLE"
)
def mask_json(work: Work, sha256: Sha256) -> bodies.RunLengths:
    """COCO's packed run lengths of the latest answer's mask."""
    return _run_lengths(_latest_mask(work, sha256), packed=True)


@router.get("/coco.json", summary="Get all masks as one COCO file")
def coco(work: Work) -> dict[str, Any]:
    """All chosen pictures with their masks, as `unmask annotate export --format coco` gives it."""
    return work.coco()


def _progress(entries: Sequence[Entry]) -> list[bodies.Progress]:
    rules = dict.fromkeys(entry.rule for entry in entries)
    found = []
    for rule in rules:
        own = [entry for entry in entries if entry.rule == rule]
        found.append(bodies.Progress(rule=rule, selected=len(own), **counts(own)))
    return found


def _item(entry: Entry, answers: Annotations) -> bodies.QueueItem:
    latest = answers.latest(entry.sha256)
    return bodies.QueueItem(**entry.model_dump(), annotator=latest.annotator if latest else None)


def _answer(work: Project, record: Annotation, answers: Annotations) -> bodies.Answer:
    known = ("kind", "annotator", "time", "revision", "source", "note")
    mask = None
    if record.kind == "mask":
        mask = _run_lengths(work.mask(record, answers), packed=False)
    return bodies.Answer(**{name: getattr(record, name) for name in known}, mask=mask)


def _run_lengths(mask: Mask, *, packed: bool) -> bodies.RunLengths:
    from unmask.data.annotation.rle import encode_rle

    return bodies.RunLengths.model_validate(encode_rle(mask, packed=packed))


def _latest_mask(work: Project, sha256: str) -> Mask:
    answers = work.answers()
    work.picture(sha256, answers)
    latest = answers.latest(sha256)
    if latest is None or latest.kind != "mask":
        raise ProblemError("not-found", "There is no mask of this picture yet. Paint one first.")
    return work.mask(latest, answers)


def _annotator(service: Service, caller: Caller, given: str | None) -> str:
    """Who answers: the token's name, else the name that the local user gives."""
    from unmask.data.annotation.store import check_annotator

    name = given or ""
    if caller.owner != LOCAL:
        name = next(t.name for t in service.store.tokens.all() if t.id == caller.owner)
    try:
        check_annotator(name)
    except ConfigError as error:
        raise _refused(error) from error
    if name == ORACLE:
        raise ProblemError(
            "invalid-request", f"{ORACLE} is the data set's own name. Choose another."
        )
    return name


def _mask_of(body: bodies.NewAnswer, picture: Picture, size: tuple[int, int]) -> Mask | None:
    if (body.kind == "mask") != (body.mask is not None):
        raise ProblemError(
            "invalid-request", "An answer of the kind 'mask' has a mask, and no other has one."
        )
    if body.mask is None:
        return None
    mask = _checked(body.mask, size)
    if picture.label == 0 and mask.any():
        raise ProblemError(
            "invalid-request",
            f"{picture.path} is real in the index, so nothing in it can be manipulated.",
        )
    return mask


def _checked(given: bodies.RunLengths, size: tuple[int, int]) -> Mask:
    """The mask; its size is compared first, so that a few numbers cannot ask for much memory."""
    from unmask.data.annotation.rle import decode_rle

    width, height = size
    if given.size != (height, width):
        raise ProblemError(
            "invalid-request",
            f"The mask has {given.size[1]}x{given.size[0]} pixels, its picture {width}x{height}.",
        )
    try:
        return decode_rle({"size": list(given.size), "counts": given.counts})
    except UnmaskError as error:
        raise _refused(error) from error


def _decoded(work: Project, sha256: str, kind: str, content: bytes) -> bodies.RunLengths:
    from pydantic import ValidationError

    from unmask.data.annotation.masks import mask_from_png

    size = work.size(work.picture(sha256))
    if kind == "image/png":
        try:
            return _run_lengths(mask_from_png(content, size=size), packed=False)
        except UnmaskError as error:
            raise _refused(error) from error
    try:
        given = bodies.RunLengths.model_validate(json.loads(content))
    except (ValueError, ValidationError, RecursionError) as error:
        raise ProblemError(
            "invalid-request", 'COCO RLE is {"size": [height, width], "counts": ...}.'
        ) from error
    return _run_lengths(_checked(given, size), packed=False)


def _refused(error: UnmaskError) -> ProblemError:
    return ProblemError("invalid-request", f"{error.message} {error.hint or ''}".strip())


def _conflict(detail: str, latest: bodies.Answer) -> Response:
    body = bodies.Conflict(
        type=URN + CONFLICT,
        title="Somebody else answered first",
        status=409,
        detail=f"{detail} Look at that answer, then give yours with its revision.",
        latest=latest,
    )
    return Response(body.model_dump_json(), 409, {"Cache-Control": "no-store"}, MEDIA_TYPE)
