"""The files beside the database: made private, removed with their job, found when orphaned."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from unmask.apps.server.contract import new_id
from unmask.apps.server.settings import ServerSettings

_log = logging.getLogger(__name__)
_ID = re.compile(r"[0-9a-f]{32}")
_ASIDE = "removed-"


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id, and so is safe as the name of a folder."""
    return _ID.fullmatch(text) is not None


def private_folder(path: Path) -> None:
    """Make a folder that only this user may enter; one that is there is left as it is.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def remove(path: Path) -> bool:
    """Remove a folder with all that is in it; False: nothing was there, or something stays.

    What cannot be removed is logged and left to the next round of upkeep.
    """
    if not path.exists():
        return False
    shutil.rmtree(path, onerror=_report)
    return not path.exists()


def _report(_: Callable[..., Any], path: str, fault: tuple[Any, BaseException, Any]) -> None:
    if not isinstance(fault[1], FileNotFoundError):  # another process was faster
        _log.warning("cannot remove %s: %s", path, fault[1])


def remove_files(settings: ServerSettings, job: str) -> None:
    """Remove all that belongs to a job, which may be nothing."""
    for root in (settings.uploads, settings.evidence):
        remove(root / job)


def folders(root: Path) -> Iterator[Path]:
    """The folders in `root` that are named like an id; all else is none of ours."""
    try:
        found = sorted(root.iterdir())
    except FileNotFoundError:
        return
    yield from (path for path in found if is_id(path.name) and path.is_dir())


def set_aside(path: Path) -> bool:
    """Take a folder out of the way in no time, for `remove_set_aside`; False: it was not there."""
    try:
        path.rename(path.with_name(f"{_ASIDE}{path.name}-{new_id()}"))
    except FileNotFoundError:
        return False
    return True


def remove_set_aside(root: Path) -> None:
    """Remove what was set aside in `root` or in its folders, now or by a process that died."""
    for pattern in (f"{_ASIDE}*", f"*/{_ASIDE}*"):
        for path in sorted(root.glob(pattern)):
            remove(path)


def untouched_since(path: Path, moment: datetime) -> bool:
    """Whether a folder and all that is in it were last changed before `moment`."""
    limit = moment.timestamp()
    try:
        return all(part.stat().st_mtime < limit for part in (path, *path.rglob("*")))
    except FileNotFoundError:  # it is changing right now
        return False
