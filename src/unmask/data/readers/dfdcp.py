"""DFDC preview: one dataset.json beside original_videos/, method_A/ and method_B/.

Source: B. Dolhansky et al., "The Deepfake Detection Challenge (DFDC) Preview Dataset", 2019.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from unmask.data.index import Index, index_of, relative, video_id
from unmask.data.readers.layout import (
    VIDEO_SUFFIXES,
    compare_lists,
    files,
    mismatch,
    read_json,
)
from unmask.errors import DatasetError

NAME = "dfdc-preview"
_EXPECTED = """dataset.json       {"method_A/.../x.mp4": {"label": "fake", "set": "train", ...}}
original_videos/   <person>/<person>_*.mp4
method_A/          fakes
method_B/          fakes"""
_LABELS = {"real": 0, "fake": 1}
_SPLITS = ("train", "test")


def read(root: Path) -> Index:
    """DFDC preview: all videos that dataset.json lists.

    `manipulation` is method_A or method_B; the identities are the list's target_id (filmed) and
    swapped_id (whose face was put in).

    Raises:
        DatasetError: another layout, a damaged list, or list and folders differ.
    """
    list_file = root / "dataset.json"
    if not list_file.is_file():
        raise mismatch("the DFDC preview", root, _EXPECTED, "no dataset.json")
    listed = read_json(list_file)
    there = {relative(path, root) for path in files(root, VIDEO_SUFFIXES)}
    if not there:
        raise mismatch("the DFDC preview", root, _EXPECTED, "no videos")
    compare_lists(listed.keys(), there, list_file, root)
    return index_of(root, [_row(path, entry, list_file) for path, entry in sorted(listed.items())])


def _row(path: str, entry: Any, list_file: Path) -> dict[str, Any]:
    entry = entry if isinstance(entry, dict) else {}
    label, split = _LABELS.get(str(entry.get("label"))), entry.get("set")
    if label is None or split not in _SPLITS:
        raise DatasetError(
            f"{list_file}: {path} needs a label (real or fake) and a set (train or test); got "
            f"{entry.get('label')!r} and {entry.get('set')!r}."
        )
    group, *inside = PurePosixPath(path).with_suffix("").parts
    manipulation = group if label else ""
    people = (entry.get("target_id"), entry.get("swapped_id"))
    return {
        "video_id": video_id(NAME, manipulation, "", "/".join(inside) or group),
        "path": path,
        "label": label,
        "dataset": NAME,
        "manipulation": manipulation,
        "source": NAME,
        "identities": list(dict.fromkeys(str(person) for person in people if person is not None)),
        "split": split,
        "codec": "h264",
    }
