"""One table of pictures: path, label, source, split, identity. From a CSV or from folders."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from unmask.errors import DatasetError
from unmask.media import SUPPORTED_SUFFIXES

Split = Literal["train", "val", "test"]
REQUIRED = ("path", "label", "split")
_LAYOUT = """Expected either a CSV with the columns path,label,split (and optionally source,
  generator, identity), label 0 for real and 1 for fake, paths relative to the CSV; or a folder with
    real/  pictures
    fake/  pictures, or one folder of pictures per generator"""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture.

    Attributes:
        path: where it is.
        label: 0 real, 1 fake.
        source: where its reals come from, e.g. `ffhq`; results are reported per source.
        generator: what made a fake, '' for reals.
        identity: whose face; no identity may be on both sides of a split.
        split: train, val or test.
    """

    path: Path
    label: int
    source: str
    generator: str
    identity: str
    split: Split


def read_items(path: Path) -> list[Item]:
    """Read an index from a CSV file or a folder.

    Raises:
        DatasetError: nothing there, a wrong layout (the message shows the right one), a value out
            of range (with its line), a file listed twice, or an identity in two splits.
    """
    if path.is_dir():
        items = _read_folder(path)
    elif path.is_file():
        items = _read_csv(path)
    else:
        raise DatasetError(f"There is no index {path}.", _LAYOUT)
    if not items:
        raise DatasetError(f"{path} lists no pictures.", _LAYOUT)
    _check(items, path)
    return items


def _read_csv(path: Path) -> list[Item]:
    with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write the mark
        reader = csv.DictReader(file)
        absent = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
        if absent:
            raise DatasetError(
                f"{path} has no column {', '.join(absent)}; found {reader.fieldnames}.", _LAYOUT
            )
        return [_item(row, path, reader.line_num) for row in reader]


def _item(row: dict[str, str], index: Path, line: int) -> Item:
    if row["label"] not in ("0", "1"):
        raise DatasetError(f"{index}:{line}: label must be 0 or 1; got {row['label']!r}.", _LAYOUT)
    if row["split"] not in get_args(Split):
        raise DatasetError(
            f"{index}:{line}: split must be one of {get_args(Split)}; got {row['split']!r}."
        )
    if not row["path"]:
        raise DatasetError(f"{index}:{line}: path is empty.", _LAYOUT)
    path = index.parent / row["path"]
    return Item(
        path=path,
        label=int(row["label"]),
        source=row.get("source") or path.parent.name,
        generator=row.get("generator") or "",
        identity=row.get("identity") or row["path"],
        split=row["split"],  # type: ignore[arg-type]  # checked above
    )


def _read_folder(root: Path) -> list[Item]:
    if not (root / "real").is_dir() or not (root / "fake").is_dir():
        found = ", ".join(sorted(p.name for p in root.iterdir())[:10]) or "nothing"
        raise DatasetError(f"{root} has no folders real/ and fake/; found {found}.", _LAYOUT)
    items = []
    for label, name in enumerate(("real", "fake")):
        base = root / name
        for path in sorted(p for p in base.rglob("*") if p.suffix.lower() in SUPPORTED_SUFFIXES):
            group = path.relative_to(base).parts[0] if path.parent != base else name
            stem = path.stem
            items.append(Item(path, label, group, group if label else "", stem, split_of(stem)))
    return items


def split_of(identity: str) -> Split:
    """70% train, 10% val, 20% test by a hash of the identity: the same on every machine."""
    place = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if place < 0.7 else "val" if place < 0.8 else "test"


def _check(items: Sequence[Item], index: Path) -> None:
    twice = [path for path, n in Counter(item.path for item in items).items() if n > 1]
    if twice:
        raise DatasetError(f"{index} lists {twice[0]} {'and others ' * (len(twice) > 1)}twice.")
    home: dict[str, str] = {}
    for item in items:
        if home.setdefault(item.identity, item.split) != item.split:
            raise DatasetError(
                f"{index}: identity {item.identity!r} is in the splits {home[item.identity]} and "
                f"{item.split}.",
                "Give every identity one split; a detector that has seen a person is no test.",
            )
