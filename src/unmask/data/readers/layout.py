"""What all readers say and do alike: the message for a wrong layout, and finding files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from unmask.errors import DatasetError
from unmask.media import SUPPORTED_SUFFIXES

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
STILL_SUFFIXES = frozenset(SUPPORTED_SUFFIXES) - VIDEO_SUFFIXES
_SHOWN = 12


def mismatch(name: str, root: Path, expected: str, problem: str) -> DatasetError:
    """The error for a folder that is not what a reader expects.

    Args:
        name: of the data set.
        root: the folder that was given.
        expected: the tree, one line each, as a person would draw it.
        problem: what is missing or wrong, in one clause.
    """
    return DatasetError(
        f"{root} does not look like {name}: {problem}.",
        f"Expected:\n{_indented(expected)}\n  Found in {root}:\n{_indented(found(root))}",
    )


def found(root: Path) -> str:
    """The first entries below `root`, two levels deep, folders with a slash."""
    if not root.is_dir():
        return "nothing: there is no such folder" if not root.exists() else "a file, not a folder"
    lines: list[str] = []
    for entry in sorted(root.iterdir()):
        lines.append(entry.name + "/" * entry.is_dir())
        if entry.is_dir():
            inner = sorted(entry.iterdir())
            lines += [f"  {e.name}{'/' * e.is_dir()}" for e in inner[:3]]
            lines += [f"  ... {len(inner) - 3} more"] * (len(inner) > 3)
        if len(lines) > _SHOWN:
            return "\n".join([*lines[:_SHOWN], "..."])
    return "\n".join(lines) or "nothing: the folder is empty"


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.strip("\n").splitlines())


def files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files below `folder` with one of the suffixes (any case), sorted; hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )
