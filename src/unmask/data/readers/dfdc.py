"""DeepFake Detection Challenge: training parts with metadata.json, test videos with labels.csv.

Source: B. Dolhansky et al., "The DeepFake Detection Challenge (DFDC) Dataset", 2020.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
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

NAME = "dfdc"
MIXED = "mixed"
"""The fakes come from several methods, which the lists do not tell apart."""
_EXPECTED = """train/
  dfdc_train_part_*/
    metadata.json     {"aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"}, ...}
    *.mp4
validation/, test/
  labels.csv          filename,label with 1 = fake
  *.mp4               here or in a folder
(or one dfdc_train_part_*/, or the folder that holds them)"""
_LABELS = {"REAL": 0, "FAKE": 1}


def read(root: Path) -> Index:
    """DFDC: the parts of the training set, the validation set and the test set that are there.

    The training set comes without a validation split: `split` is train for all of it. A fake and
    the recording it was made from share an identity, named after the recording; who the actors are
    is not told, so for validation and test videos none is known.

    Raises:
        DatasetError: nothing of it is there, or a list and its folder differ.
    """
    rows: list[dict[str, Any]] = []
    for folder in _train_folders(root):
        rows += read_train(folder, root)
    for folder, split in _test_folders(root):
        rows += read_test(folder, root, split)
    if not rows:
        raise mismatch("DFDC", root, _EXPECTED, "no metadata.json of a part and no labels.csv")
    twice = [name for name, n in Counter(row["video_id"] for row in rows).items() if n > 1]
    if twice:
        raise DatasetError(f"{root} holds {len(twice)} videos twice; the first is {twice[0]}.")
    return index_of(root, rows)


def read_train(folder: Path, root: Path) -> list[dict[str, Any]]:
    """Rows of one training part: a folder with metadata.json and its videos.

    Raises:
        DatasetError: the list is damaged, or differs from the folder.
    """
    list_file = folder / "metadata.json"
    listed = read_json(list_file)
    there = _videos(folder)
    compare_lists(listed.keys(), there.keys(), list_file, folder)
    rows = []
    for name, entry in sorted(listed.items()):
        label = _LABELS.get(str(entry.get("label"))) if isinstance(entry, dict) else None
        if label is None:
            raise DatasetError(f"{list_file}: the label of {name} must be REAL or FAKE: {entry}.")
        original = entry.get("original") if label else name
        identities = [Path(str(original)).stem] if original else []
        rows.append(_row(there[name], root, label, "train", identities))
    return rows


def read_test(folder: Path, root: Path, split: str) -> list[dict[str, Any]]:
    """Rows of the test (or validation) set: a folder with labels.csv and its videos.

    Raises:
        DatasetError: the list is damaged, or differs from the folder.
    """
    list_file = folder / "labels.csv"
    with list_file.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"filename", "label"} <= set(reader.fieldnames or ()):
            raise DatasetError(
                f"{list_file} must have the columns filename,label; found {reader.fieldnames}."
            )
        listed = {}
        for row in reader:
            if row["label"] not in ("0", "1"):
                raise DatasetError(
                    f"{list_file}:{reader.line_num}: label must be 0 (real) or 1 (fake); got "
                    f"{row['label']!r}."
                )
            listed[row["filename"]] = int(row["label"])
    there = _videos(folder)
    compare_lists(listed.keys(), there.keys(), list_file, folder)
    return [_row(there[name], root, label, split, []) for name, label in sorted(listed.items())]


def _train_folders(root: Path) -> list[Path]:
    places = [root, root / "train", *sorted(root.glob("*/")), *sorted(root.glob("train/*/"))]
    return [
        place
        for place in dict.fromkeys(places)
        if (place / "metadata.json").is_file() and not (place / "labels.csv").is_file()
    ]


def _test_folders(root: Path) -> list[tuple[Path, str]]:
    places = [(root, "val" if root.name in ("validation", "val") else "test")]
    places += [(root / name, name[:3]) for name in ("validation", "val")]
    places.append((root / "test", "test"))
    return [(place, split) for place, split in places if (place / "labels.csv").is_file()]


def _videos(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files(folder, VIDEO_SUFFIXES):
        if found.setdefault(path.name, path) != path:
            raise DatasetError(f"{folder} holds {path.name} twice: {found[path.name]} and {path}.")
    return found


def _row(path: Path, root: Path, label: int, split: str, identities: list[str]) -> dict[str, Any]:
    manipulation = MIXED if label else ""
    return {
        # names are unique over all parts, and the same whether one part is read or all
        "video_id": video_id(NAME, manipulation, "", path.stem),
        "path": relative(path, root),
        "label": label,
        "dataset": NAME,
        "manipulation": manipulation,
        "source": NAME,
        "identities": identities,
        "split": split,
        "codec": "h264",
    }
