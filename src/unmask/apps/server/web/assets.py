"""Style sheets, scripts and pictures of the pages; all of them come from the package."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from unmask.apps.server.web.rendering import REPORT_STYLE, report_style

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)


@router.get("/static/{path:path}")
def asset(request: Request, path: str) -> Response:
    """A file of the pages; browsers ask whether it changed before they use their copy."""
    if path not in _names():
        raise HTTPException(404, "There is no such file.")
    content = _content(path)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=TYPES[path[path.rfind(".") :]], headers=headers)


def _content(path: str) -> bytes:
    if path == REPORT_STYLE:
        return report_style().encode()
    return _folder().joinpath(path).read_bytes()


@cache
def _names() -> frozenset[str]:
    """Every file that may be asked for, relative to the folder."""
    found = {REPORT_STYLE}
    for item in _folder().iterdir():
        inner = item.iterdir() if item.is_dir() else [item]
        before = f"{item.name}/" if item.is_dir() else ""
        found |= {before + file.name for file in inner}
    return frozenset(name for name in found if name[name.rfind(".") :] in TYPES)


def _folder() -> Traversable:
    return resources.files("unmask.apps.server.web").joinpath("static")
