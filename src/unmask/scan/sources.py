"""From what a user names (files, folders, globs, lists) to the ordered inputs of a scan."""

from __future__ import annotations

import codecs
import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from unmask.errors import ConfigError, MediaError
from unmask.media.source import printable as shown

__all__ = [
    "Sources",
    "describe_empty",
    "expand",
    "identity",
    "on_disk",
    "passed_over_text",
    "shown",
]

HIDDEN = "hidden"
LINKED = "folder reached twice through links"
SPECIAL = "not a regular file"


@dataclass(slots=True)
class Sources:
    """The inputs a user named. All paths are held in memory: about 100 bytes each.

    Attributes:
        paths: as the user would write them, in order, each file once.
        failures: inputs of `paths` that are known to be unreadable, with the reason.
        passed_over: what folders hold beside inputs, counted by suffix (or `HIDDEN`, ...).
        empty: sources that gave no input; each is in `paths` and `failures` as well, so that it
            counts as not scored.
    """

    paths: list[str] = field(default_factory=list)
    failures: dict[str, MediaError] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _named: int = 0

    def add(self, path: str) -> None:
        """Append `path` unless the same file was named before, however it was written."""
        key = identity(path)
        self._named += 1
        if key not in self._seen:
            self._seen.add(key)
            self.paths.append(path)


def identity(path: str) -> str:
    """What makes two spellings the same input. Links are not followed: they are inputs too."""
    return os.path.abspath(path)


def on_disk(text: str) -> str:
    """The path to open for what `shown` wrote, which has bytes that are not UTF-8 as `\\xNN`."""
    if os.path.lexists(text):
        return text
    raw = re.sub(
        rb"\\(?:x([89a-f][0-9a-f])|(\\))",
        lambda m: bytes.fromhex(m[1].decode()) if m[1] else m[2],
        text.encode("utf-8"),
    )
    candidate = os.fsdecode(raw)
    return candidate if os.path.lexists(candidate) else text


def expand(
    sources: Iterable[str], suffixes: Collection[str], read_stdin: Callable[[], bytes]
) -> Sources:
    """Find the inputs behind the sources a user named.

    Args:
        sources: files, folders, globs, `@list` (a file with one path per line) or `-` (such a
            list on standard input). Lists may also be separated by NUL (`find -print0`). A name
            that starts with `@` is written `./@name`.
        suffixes: lower-case suffixes with dot that count inside folders. A file that is named,
            listed or matched by a glob counts whatever its suffix.
        read_stdin: gives standard input, for `-`.

    Returns:
        The inputs: folders in sorted order, everything else in the order given. A path that does
        not exist is an input too: its result will say so.

    Raises:
        ConfigError: nothing at all was found, or a list cannot be read.
    """
    found = Sources()
    for source in sources:
        start = found._named
        listed = source == "-" or source.startswith("@")
        for path in _named(source, read_stdin):
            before = found._named
            _walk(path, found, suffixes)
            if listed and found._named == before:
                _add_empty(path, found)
        if found._named == start:
            _add_empty(source, found)
    if set(found.paths) <= set(found.empty):
        raise ConfigError(_nothing_found(found), f"Looked for {' '.join(sorted(suffixes))}.")
    return found


def _named(source: str, read_stdin: Callable[[], bytes]) -> Iterator[str]:
    """The files and folders one source stands for."""
    if source == "-":
        yield from _lines(read_stdin())
    elif source.startswith("@"):
        try:
            with open(source[1:], "rb") as handle:
                yield from _lines(handle.read())
        except OSError as error:
            raise ConfigError(
                f"The list {shown(source[1:])} cannot be read: {error.strerror}.",
                "Give @FILE with one path per line; a file whose name starts with @ is ./@NAME.",
            ) from error
    elif glob.has_magic(source) and not os.path.lexists(source):
        yield from sorted(glob.glob(source, recursive=True))
    else:
        yield source


def _lines(data: bytes) -> Iterator[str]:
    data = data.removeprefix(codecs.BOM_UTF8)  # as some editors begin a text
    for line in data.split(b"\0" if b"\0" in data else b"\n"):
        text = line.removesuffix(b"\r")
        if text.strip():
            yield os.fsdecode(text)


def _walk(start: str, found: Sources, suffixes: Collection[str]) -> None:
    """Add a file, or a folder's files in sorted order; each folder is entered once."""
    visited: set[tuple[int, int]] = set()
    pending = [start]
    while pending:
        path = pending.pop()
        if not os.path.isdir(path):
            found.add(path)
            continue
        try:
            status = os.stat(path)
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            _add_unreadable(path, error, found)
            continue
        if (status.st_dev, status.st_ino) in visited:
            found.passed_over[LINKED] += 1
            continue
        visited.add((status.st_dev, status.st_ino))
        pending += reversed([e.path for e in entries if _counts(e, found, suffixes)])


def _counts(entry: os.DirEntry[str], found: Sources, suffixes: Collection[str]) -> bool:
    """Whether to look at a folder's entry; counts those that are passed over."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if entry.name.startswith("."):
        kind = HIDDEN
    elif entry.is_dir() or (suffix in suffixes and (entry.is_file() or _broken_link(entry))):
        return True
    elif not entry.is_file() and not _broken_link(entry):
        kind = SPECIAL
    else:
        kind = shown(suffix) or "no suffix"
    found.passed_over[kind] += 1
    return False


def _broken_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _add_unreadable(path: str, error: OSError, found: Sources) -> None:
    """A folder that cannot be listed is an input with a reason, so that coverage shows it."""
    found.add(path)
    found.failures[path] = MediaError(
        "unreadable",
        "permission_denied" if isinstance(error, PermissionError) else "missing",
        f"The folder {shown(path)} cannot be listed: {error.strerror}.",
        "Give read and search permission on it, or leave it out.",
    )


def _add_empty(source: str, found: Sources) -> None:
    """A source without an input is one itself, with a reason: it must not pass unnoticed."""
    found.empty.append(source)
    found.add(source)
    found.failures[source] = MediaError(
        "unreadable",
        "missing",
        f"{shown(source)} matched nothing: {describe_empty(source)}.",
        "Correct the spelling, or leave it out.",
    )


def describe_empty(source: str) -> str:
    """What there is to say of a source that gave no input."""
    if source == "-":
        return "the list on standard input is empty"
    if source.startswith("@"):
        return f"the list {shown(source[1:])} is empty"
    return f"no input found in {shown(source)}"


def _nothing_found(found: Sources) -> str:
    where = "; ".join(describe_empty(source) for source in found.empty) or "no source given"
    others = passed_over_text(found.passed_over)
    text = where if where.startswith("no input found") else f"no input found: {where}"
    return f"{text[0].upper()}{text[1:]}" + (f" (passed over: {others})." if others else ".")


def passed_over_text(passed_over: Counter[str]) -> str:
    """Counts for a person, the commonest first; empty when nothing was passed over.

    >>> passed_over_text(Counter({".txt": 3, "hidden": 1}))
    '3 .txt, 1 hidden'
    """
    ranked = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ranked)
