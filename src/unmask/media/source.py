"""Open an input, measure it, hash it, name its format: all that comes before decoding."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from unmask.errors import MediaError
from unmask.media.deadline import Deadline
from unmask.media.formats import HEAD_BYTES, IMAGE_FORMATS, sniff
from unmask.media.limits import MIB, Limits
from unmask.results import InputInfo

SUPPORTED_TEXT = "JPEG, PNG, WebP, HEIC, AVIF, GIF, MP4, MOV, MKV, WebM and AVI"
_CHUNK = 4 * MIB


class Known:
    """What has been found out about an input so far; filled in while decoding goes on.

    Args:
        path: as it shall appear in the result.
        announce: is called with the info once the file is identified, before any decoder runs.
    """

    def __init__(self, path: str, announce: Callable[[InputInfo], None] | None = None) -> None:
        self.info = InputInfo.model_validate({"path": path})
        self._announce = announce

    def update(self, **fields: object) -> None:
        """Set fields of the info, by their names in `InputInfo`."""
        self.info = InputInfo.model_validate(self.info.model_dump() | fields)

    def identified(self) -> None:
        """Tell whoever waits what the file is: the next step may be the decoder's last."""
        if self._announce is not None:
            self._announce(self.info)


@dataclass(frozen=True, slots=True)
class Source:
    """An open, identified input.

    Attributes:
        path: for decoders that want a name.
        file: at position 0.
        size: in bytes.
        format: as `sniff` names it.
    """

    path: str
    file: BinaryIO
    size: int
    format: str

    @property
    def is_image(self) -> bool:
        """Whether it is a still picture."""
        return self.format in IMAGE_FORMATS


def printable(path: str | os.PathLike[str]) -> str:
    """The path as text that every encoder takes; bytes that are no UTF-8 appear as \\xNN.

    In a name with such bytes its own backslashes are doubled, so that no two of these look alike.
    """
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


@contextmanager
def opened(path: str, known: Known, limits: Limits, deadline: Deadline) -> Iterator[Source]:
    """Open `path` for decoding; `known` learns bytes, sha256, media and format on the way.

    Raises:
        MediaError: missing, permission_denied, empty_file, too_many_bytes, unsupported_format,
            timeout (while hashing), or damaged when the disk fails to deliver.
    """
    try:
        if os.path.isdir(path):
            raise _is_directory(known.info.path)
        # O_NONBLOCK: opening a named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the name
        raise _cannot_open(error, known.info.path) from error
    with open(descriptor, "rb") as file:
        size = _regular_size(file, known, limits)
        known.update(bytes=size)
        head = file.read(HEAD_BYTES)
        kind = sniff(head)
        if kind is not None:
            known.update(media="image" if kind in IMAGE_FORMATS else "video", format=kind)
        known.update(sha256=_sha256(file, head, deadline))
        if kind is None:
            raise MediaError(
                "unreadable",
                "unsupported_format",
                f"The content of {known.info.path} is no supported picture or video.",
                f"Supported are {SUPPORTED_TEXT}; the content decides, not the name.",
            )
        file.seek(0)
        known.identified()
        yield Source(path, file, size, kind)


def _regular_size(file: BinaryIO, known: Known, limits: Limits) -> int:
    status = os.fstat(file.fileno())
    path = known.info.path
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(
            "unreadable", "unsupported_format", f"{path} is not a regular file.", "Name a file."
        )
    if status.st_size == 0:
        known.update(bytes=0, sha256=hashlib.sha256().hexdigest())
        raise MediaError("unreadable", "empty_file", f"{path} has no bytes.", "Copy it again.")
    if status.st_size > limits.max_bytes:
        known.update(bytes=status.st_size)
        raise MediaError(
            "limit_exceeded",
            "too_many_bytes",
            f"{path} has {status.st_size:,} bytes; the limit is {limits.max_bytes:,}.",
            "Raise the byte limit if the file is trusted.",
        )
    return status.st_size


def _is_directory(path: str) -> MediaError:
    return MediaError(
        "unreadable",
        "unsupported_format",
        f"{path} is a folder, not a file.",
        "Name the files in it.",
    )


def _cannot_open(error: OSError | ValueError, path: str) -> MediaError:
    if isinstance(error, PermissionError):
        return MediaError(
            "unreadable",
            "permission_denied",
            f"{path} may not be read.",
            "Give this user the right to read it.",
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return MediaError("unreadable", "missing", f"There is no file {path}.", "Check the path.")
    return MediaError(
        "unreadable", "missing", f"{path} cannot be opened: {error.strerror}.", "Check the path."
    )


def _sha256(file: BinaryIO, head: bytes, deadline: Deadline) -> str:
    digest = hashlib.sha256(head)
    try:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            deadline.check()
    except OSError as error:
        raise MediaError(
            "unreadable",
            "damaged",
            f"The file cannot be read to its end: {error.strerror}.",
            "Check the disk, then copy the file again.",
        ) from error
    return digest.hexdigest()
