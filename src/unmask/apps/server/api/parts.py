"""A multipart body as it arrives, piece by piece: nothing is kept, nothing waits for the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from unmask.apps.server.api.problem import ProblemError
from unmask.apps.server.api.service import Patience

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes what was sent

_PLAIN = (b"binary", b"8bit", b"7bit")
MOST_HEADER_BYTES = 4096
"""Of one header line of a part; a file name of 255 characters fits in any encoding."""


@dataclass(frozen=True, slots=True)
class PartStart:
    """A part begins.

    Attributes:
        name: of the form field.
        filename: as sent; None for a plain field.
    """

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part that began last is complete."""


PartEvent = PartStart | PartData | PartEnd


async def read_parts(
    request: Request, *, most_bytes: int, patience: Patience
) -> AsyncIterator[PartEvent]:
    """Parse a multipart/form-data request while it is received.

    Args:
        most_bytes: size of the whole body.
        patience: how slow the sender may be.

    Raises:
        ProblemError: 400 not multipart or broken, 408 too slow, 413 too large, 415 another type.
    """
    events = _Events()
    parser = _parser(request, events)
    async for chunk in read_chunks(request, most_bytes, patience):
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise _malformed("The body is not valid multipart/form-data.") from error
        for event in events.take():
            yield event
    if not events.complete:
        raise _malformed("The body ends before its last boundary. Send the whole of it again.")


def is_multipart(request: Request) -> bool:
    """Whether a request says that it carries a form with files."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == "multipart/form-data"


def _malformed(detail: str) -> ProblemError:
    return ProblemError("malformed-upload", detail)


def _parser(request: Request, events: _Events) -> MultipartParser:
    if not is_multipart(request):
        raise ProblemError(
            "unsupported-media", "Send the file as multipart/form-data, in a part named 'file'."
        )
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary")
    if not boundary:
        raise _malformed("The Content-Type names no boundary.")
    try:
        return MultipartParser(boundary, events.callbacks(), max_header_size=MOST_HEADER_BYTES)
    except FormParserError as error:
        raise _malformed("The boundary is too long.") from error


async def read_chunks(
    request: Request, most_bytes: int, patience: Patience
) -> AsyncIterator[bytes]:
    """The body as it comes.

    Args:
        most_bytes: size of the whole body.
        patience: how slow the sender may be.

    Raises:
        ProblemError: 400 the connection ended, 408 too slow, 413 too large.
    """
    _check_announced(request, most_bytes)
    started, received, more = time.monotonic(), 0, True
    while more:
        try:
            message = await asyncio.wait_for(request.receive(), patience.idle_s)
        except TimeoutError as error:
            raise _slow(f"No bytes came for {patience.idle_s:g} s.") from error
        if message["type"] == "http.disconnect":
            raise _malformed("The connection ended before the upload did.")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        received += len(chunk)
        if received > most_bytes:
            raise too_large(most_bytes)
        passed = time.monotonic() - started
        late = passed > patience.grace_s and received < passed * patience.bytes_per_s
        if more and (late or passed > patience.total_s):
            raise _slow(f"{received} bytes came in {passed:.0f} s.")
        yield chunk


def _check_announced(request: Request, most_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > most_bytes):
        raise too_large(most_bytes)


def too_large(most_bytes: int) -> ProblemError:
    """The answer to a body that is larger than allowed."""
    return ProblemError(
        "too-large", f"At most {most_bytes} bytes are accepted. Send a shorter or smaller file."
    )


def _slow(detail: str) -> ProblemError:
    return ProblemError("slow-sender", f"{detail} Send the file again on a faster line.")


class _Events:
    """Turns the parser's callbacks into events."""

    def __init__(self) -> None:
        self.complete = False
        self._pending: list[PartEvent] = []
        self._field, self._value, self._disposition = bytearray(), bytearray(), b""

    def take(self) -> list[PartEvent]:
        taken, self._pending = self._pending, []
        return taken

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": lambda: self._pending.append(PartEnd()),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition = b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        name = bytes(self._field).lower()
        if name == b"content-disposition":
            if self._disposition:
                raise _malformed("A part has two Content-Disposition headers.")
            self._disposition = bytes(self._value)
        elif name == b"content-transfer-encoding" and bytes(self._value).lower() not in _PLAIN:
            raise _malformed("Parts must be sent as they are, without a transfer encoding.")
        self._field.clear()
        self._value.clear()

    def _on_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise _malformed("A part has no Content-Disposition with a name.")
        filename = options.get(b"filename")
        self._pending.append(
            PartStart(
                options[b"name"].decode("utf-8", "replace"),
                None if filename is None else filename.decode("utf-8", "replace"),
            )
        )

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._pending.append(PartData(data[start:end]))

    def _end(self) -> None:
        self.complete = True
