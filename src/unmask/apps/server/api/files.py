"""Files as answers: opened before the first header, with byte ranges."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from unmask.apps.server.api.problem import ProblemError

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))")


def file_answer(
    request: Request,
    path: Path,
    media_type: str,
    *,
    etag: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send a file, or the range of it that was asked for. Blocks while it opens the file.

    A Range header that is not understood, or asks for several ranges, gets the whole file
    (RFC 9110, 14.2).

    Args:
        etag: names the content; without quotes.

    Raises:
        FileNotFoundError: there is no such file.
        ProblemError: 416.
    """
    file = path.open("rb", buffering=0)
    try:
        size = os.fstat(file.fileno()).st_size
        start, end, partial = _range(request, size, f'"{etag}"')
    except BaseException:
        file.close()
        raise
    told = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "ETag": f'"{etag}"',
        **(headers or {}),
    }
    if partial:
        told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(_pieces(file, start, end), 206 if partial else 200, told, media_type)


def _range(request: Request, size: int, etag: str) -> tuple[int, int, bool]:
    """(first byte, byte after the last, whether it is a part) of what to send."""
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if asked is None or (condition is not None and condition != etag):
        return 0, size, False
    first, last, suffix = asked.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:  # not a range at all
            return 0, size, False
    if start >= end:
        raise ProblemError(
            "range-not-satisfiable",
            f"The file has {size} bytes: ask for a range within them.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end, True


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end and (piece := file.read(min(CHUNK_BYTES, end - start))):
            start += len(piece)
            yield piece
