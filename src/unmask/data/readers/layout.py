"""What all readers say and do alike: the message for a wrong layout, and finding files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from unmask.data.index import relative
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


def by_folder(pictures: Iterable[Path]) -> dict[Path, list[Path]]:
    """Pictures by the folder they lie in: how frames of a video are kept."""
    folders: dict[Path, list[Path]] = {}
    for picture in pictures:
        folders.setdefault(picture.parent, []).append(picture)
    return folders


def numbered(pictures: Sequence[Path]) -> list[tuple[int, Path]]:
    """Frame numbers of a video's pictures, in their order.

    The number a name ends in, where every name has one of its own; else the place in the list.
    """
    ends = [re.search(r"(\d{1,9})$", picture.stem) for picture in pictures]
    numbers = {int(end[1]) for end in ends if end}
    if len(numbers) < len(pictures):
        return list(enumerate(pictures))
    return sorted(
        (int(end[1]), picture) for end, picture in zip(ends, pictures, strict=True) if end
    )


def frame_rows(
    pictures: Sequence[Path], root: Path, shared: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A row for every picture of one video; `shared` holds what they have in common."""
    return [
        {**shared, "frame": number, "path": relative(path, root), "codec": still_codec(path)}
        for number, path in numbered(pictures)
    ]


def still_codec(path: PurePath) -> str | None:
    """What a still's pixels went through, by its suffix; None for videos and unknown ones."""
    suffix = path.suffix.lower()
    return {".jpg": "jpeg", ".heif": "heic"}.get(
        suffix, suffix[1:] if suffix in STILL_SUFFIXES else None
    )


def stems(paths: Sequence[str]) -> list[str]:
    """Paths without their suffix; with it where two would else be the same.

    >>> stems(["a/1.png", "a/2.png", "a/2.jpg"])
    ['a/1', 'a/2.png', 'a/2.jpg']
    """
    bare = [str(PurePath(path).with_suffix("")) if path else path for path in paths]
    often = Counter(stem for stem, _ in set(zip(bare, paths, strict=True)))
    return [stem if often[stem] == 1 else path for stem, path in zip(bare, paths, strict=True)]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        DatasetError: not there, not JSON, or no object.
    """
    try:
        value = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: {error}.", "Fetch it again: it may have been cut off."
        ) from error
    if not isinstance(value, dict):
        raise DatasetError(
            f"{path} must hold a JSON object; got a {type(value).__name__}.",
            "Fetch the file that came with the data set.",
        )
    return value


def compare_lists(
    listed: Collection[str], there: Collection[str], list_file: Path, folder: Path
) -> None:
    """Refuse a data set whose list and folder differ: an unlisted file has no label.

    Raises:
        DatasetError: a listed file is not there, or a file is not listed; with the first of them.
    """
    absent, extra = sorted(set(listed) - set(there)), sorted(set(there) - set(listed))
    if absent:
        raise DatasetError(
            f"{list_file} lists {len(absent)} videos that are not in {folder}; the first is "
            f"{absent[0]}.",
            "Complete the copy, or take them out of the list.",
        )
    if extra:
        raise DatasetError(
            f"{folder} holds {len(extra)} videos that {list_file} does not list, so they have no "
            f"label; the first is {extra[0]}.",
            "Restore the list as it was given out, or move them elsewhere.",
        )


def text_lines(path: Path) -> list[tuple[int, str]]:
    """(line number from 1, text) of the lines of a text file that are not blank, stripped.

    Raises:
        DatasetError: it cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as text: {error}.") from error
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]
