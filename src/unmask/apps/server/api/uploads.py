"""Uploaded files: from the line to the disk, looked at while they come, gone if refused."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from unmask.apps.server.api.parts import PartData, PartStart, read_parts, too_large
from unmask.apps.server.api.problem import Fault, ProblemError
from unmask.apps.server.api.service import Service
from unmask.apps.server.contract import Upload, new_id
from unmask.media.formats import HEAD_BYTES, sniff

WRITE_BYTES = 256 * 1024
"""Gathered before a thread writes it."""
OVERHEAD_BYTES = 64 * 1024
"""Of a body, for boundaries, headers and fields, beside its files."""
PLACE_WAIT_S = 5
"""Seconds to wait where too many uploads are being received."""
MOST_FIELD_BYTES = 32
MOST_NAME = 255
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_YES_NO = {"true": True, "1": True, "false": False, "0": False}


@dataclass(slots=True)
class Form:
    """What a request brought.

    Attributes:
        uploads: the files, on disk, in the order they came.
        max_frames: None: not asked for.
        evidence: whether to make evidence at once.
    """

    uploads: list[Upload] = field(default_factory=list)
    max_frames: int | None = None
    evidence: bool = False


def clean_name(raw: str) -> str:
    """A client's file name as it may be shown: without folders and invisible characters.

    >>> clean_name("C:\\\\clips\\\\a\\x00b.mp4"), clean_name("../.."), clean_name("\\u202egpj.exe")
    ('ab.mp4', 'upload', 'gpj.exe')
    """
    last = raw.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(c for c in last if unicodedata.category(c) not in _INVISIBLE)
    name = " ".join(shown.split())[:MOST_NAME].strip()
    return "upload" if name in ("", ".", "..") else name


@asynccontextmanager
async def received_form(
    request: Request, service: Service, *, part: str, most_files: int
) -> AsyncIterator[Form]:
    """Receive a form with files; on leaving, files that no job has taken are deleted.

    Whoever hands a file to the store takes it out of `Form.uploads`.

    Args:
        part: name of the form's parts that carry a file.
        most_files: in one request.

    Raises:
        ProblemError: 400, 408, 413, 415, 422, 429 or 503; nothing is left on disk then.
    """
    with _place(service):
        reader = _FormReader(service, part, most_files)
        try:
            limit = service.settings.max_upload_bytes * most_files + OVERHEAD_BYTES
            async for event in read_parts(request, most_bytes=limit, patience=service.patience):
                await reader.feed(event)
            yield reader.form
        finally:
            if reader.holds_files:
                # also where the request was cancelled: the deletion is waited for, not given up
                await asyncio.shield(asyncio.ensure_future(run_in_threadpool(reader.discard)))


@contextmanager
def _place(service: Service) -> Iterator[None]:
    """One of the places for uploads, free again however the upload ends.

    Raises:
        ProblemError: 429, all are taken.
    """
    if not service.places.acquire(blocking=False):
        raise ProblemError(
            "too-many-uploads",
            f"{service.settings.max_uploads} uploads are being received. Send it again in "
            f"{PLACE_WAIT_S} s.",
            headers={"Retry-After": str(PLACE_WAIT_S)},
        )
    try:
        with service.meters.uploads.track_inprogress():
            yield
    finally:
        service.places.release()


class _FormReader:
    """Builds a form from the events of its parts."""

    def __init__(self, service: Service, part: str, most_files: int) -> None:
        self.form = Form()
        self._service, self._part, self._most_files = service, part, most_files
        self._sink: _Sink | None = None
        self._fields: dict[str, bytearray] = {}
        self._current = ""

    async def feed(self, event: object) -> None:
        if isinstance(event, PartStart):
            await self._start(event)
        elif isinstance(event, PartData):
            await self._data(event.data)
        else:
            await self._end()

    async def _start(self, part: PartStart) -> None:
        self._current = part.name
        if part.name == self._part:
            if len(self.form.uploads) == self._most_files:
                raise invalid(self._part, f"at most {self._most_files} in one request")
            if part.filename is None:
                raise invalid(self._part, "must be a file, with a file name")
            self._sink = _Sink(self._service, clean_name(part.filename))
        elif part.name not in ("max_frames", "evidence"):
            raise invalid("form", f"knows no part beside {self._part}, max_frames and evidence")
        elif part.name in self._fields:
            raise invalid(part.name, "was sent twice")
        else:
            self._fields[part.name] = bytearray()

    async def _data(self, data: bytes) -> None:
        if self._sink is not None:
            await self._sink.add(data)
            return
        held = self._fields[self._current]
        held += data
        if len(held) > MOST_FIELD_BYTES:
            raise invalid(self._current, "is too long")

    async def _end(self) -> None:
        if self._sink is not None:
            self.form.uploads.append(await self._sink.finish())
            self._service.meters.upload_bytes.inc(self.form.uploads[-1].bytes)
            self._sink = None
            return
        text = bytes(self._fields[self._current]).decode("ascii", "replace").strip()
        if self._current == "evidence":
            if text.lower() not in _YES_NO:
                raise invalid("evidence", "must be true or false")
            self.form.evidence = _YES_NO[text.lower()]
        else:
            self.form.max_frames = self._frames(text)

    def _frames(self, text: str) -> int:
        most = self._service.settings.max_frames
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
            raise invalid("max_frames", f"must be a whole number from 1 to {most}")
        return int(text)

    @property
    def holds_files(self) -> bool:
        """Whether there is something that no job has taken."""
        return self._sink is not None or bool(self.form.uploads)

    def discard(self) -> None:
        """Delete what no job has taken."""
        if self._sink is not None:
            self._sink.discard()
        for upload in self.form.uploads:
            shutil.rmtree(upload.path.parent, ignore_errors=True)


class _Sink:
    """One file on its way to the disk, where it appears with its first bytes written."""

    def __init__(self, service: Service, name: str) -> None:
        self._name = name
        self._most = service.settings.max_upload_bytes
        self._path: Path = service.settings.upload_path(new_id())
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._size, self._format = 0, ""
        self._head, self._held = bytearray(), bytearray()

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        return os.fdopen(os.open(self._path, flags, 0o600), "wb", buffering=0)

    async def add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._most:
            raise too_large(self._most)
        if not self._format:
            self._head += data
            if len(self._head) >= HEAD_BYTES:
                self._look()
        self._held += data
        if len(self._held) >= WRITE_BYTES:
            await self._flush()

    async def finish(self) -> Upload:
        if self._size == 0:
            raise ProblemError("empty-file", "The file has no bytes. Choose another one.")
        if not self._format:
            self._look()
        await self._flush(last=True)
        return Upload(self._name, self._path, self._size, self._hash.hexdigest(), self._format)

    def discard(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        shutil.rmtree(self._path.parent, ignore_errors=True)

    def _look(self) -> None:
        found = sniff(bytes(self._head[:HEAD_BYTES]))
        if found is None:
            raise ProblemError(
                "unsupported-media",
                "The content is none of the supported picture and video formats, which "
                "GET /v1/limits lists; the file's name does not count.",
            )
        self._format = found
        self._head.clear()

    async def _flush(self, last: bool = False) -> None:
        data, self._held = bytes(self._held), bytearray()
        await run_in_threadpool(writing, self._write, data, last)

    def _write(self, data: bytes, last: bool) -> None:
        if self._file is None:
            self._file = self._open()
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        if last:
            os.fsync(self._file.fileno())
            self._file.close()


def writing(write: object, *args: object) -> None:
    """Call something that writes; a full disk becomes a problem."""
    assert callable(write)
    try:
        write(*args)
    except OSError as error:
        if error.errno in _FULL:
            raise ProblemError(
                "storage-full",
                "The service's disk is full, and nothing of this upload was kept. Try again later.",
                headers={"Retry-After": "60"},
            ) from error
        raise


def invalid(where: str, message: str) -> ProblemError:
    """The answer to a form that cannot be."""
    return ProblemError(
        "invalid-request", f"{where} {message}.", errors=[Fault(where=where, message=message)]
    )
