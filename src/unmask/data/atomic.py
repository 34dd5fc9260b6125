"""Files that are written whole or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` unless writing fails."""
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until no other process is at work on `path`, and keep others out meanwhile.

    For what several processes may find missing and make: look again inside whether it still is.
    `path` itself is not touched; an empty file beside it carries the lock.
    """
    with path.with_name(path.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, "utf-8")
