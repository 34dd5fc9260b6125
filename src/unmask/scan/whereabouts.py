"""Finding the media of a recorded result again: where it was, or in the folder it moved to."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

from unmask.scan.sources import on_disk
from unmask.scan.store import sha256_of

if TYPE_CHECKING:
    from unmask.results import Result


class Recorded:
    """Looks where the result says; a relative path also from the folder of the results file.

    Args:
        folder: of the results file.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find(self, result: Result) -> str:
        """The path of the media, whether or not it is there."""
        path = on_disk(result.input.path)
        beside = on_disk(os.path.join(self._folder, result.input.path))
        return beside if not os.path.exists(path) and os.path.exists(beside) else path


class InFolder:
    """Looks in one folder and its sub-folders, never outside.

    Args:
        folder: where the media is now.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._named: dict[str, list[str]] | None = None

    def find(self, result: Result) -> str:
        """The path of the media.

        Tried are the recorded path and its ends (`a/b/c.jpg`, `b/c.jpg`, `c.jpg`) in the folder,
        then every file of that name below it. Of several, the first with the recorded content
        is taken, or else the first of all; without any, the name in the folder, where nothing is.
        """
        parts = [p for p in PurePath(result.input.path).parts if p not in ("..", os.sep)]
        ends = [os.path.join(self._folder, *parts[i:]) for i in range(len(parts))]
        found = [path for path in map(on_disk, ends) if os.path.isfile(path)]
        if not _first_with(found, result.input.sha256):
            name = os.path.basename(on_disk(ends[-1])) if ends else ""
            found += self._files().get(name, [])
        chosen = _first_with(found, result.input.sha256) or next(iter(found), None)
        return chosen or (ends[-1] if ends else self._folder)

    def _files(self) -> dict[str, list[str]]:
        """All files below the folder by name; listed once, when first needed."""
        if self._named is None:
            self._named = {}
            for where, folders, files in os.walk(self._folder):
                folders.sort()
                for name in sorted(files):
                    self._named.setdefault(name, []).append(os.path.join(where, name))
        return self._named


def _first_with(paths: list[str], sha256: str | None) -> str | None:
    """The first file with that content; the hash is only made where there is a choice."""
    for path in paths:
        try:
            if sha256_of(path) == sha256:
                return path
        except OSError:
            continue  # cannot be read here: decoding it will say why
    return None
