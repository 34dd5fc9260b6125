"""A CSV of pictures, frames or videos: the plainest way to bring a data set of one's own."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unmask.data.index import SPLITS, Index, index_of, relative, video_id
from unmask.data.readers.folder import LAYOUT
from unmask.data.readers.layout import VIDEO_SUFFIXES, stems, still_codec
from unmask.errors import DatasetError

REQUIRED = ("path", "label", "split")
UNNAMED = "unnamed"
"""The manipulation of fakes for which the table names none."""

Row = dict[str, Any]


def read(path: Path) -> Index:
    """A CSV with the columns path,label,split; paths are relative to its folder.

    Optional columns: source (else the picture's folder), generator or manipulation, identity or
    identities (several, with `;` between), dataset (else the CSV's name), compression, video (its
    name, where rows are frames of videos), frame, mask, landmarks (x0 y0 x1 y1 ... or a file: .npy,
    or .csv with the columns x,y), box (x0 y0 x1 y1), width, height, codec, quality. Others are
    left out.

    Raises:
        DatasetError: no such file, a column is missing, a value is out of range (with its line),
            a picture is listed twice, or none is listed.
    """
    if not path.is_file():
        raise DatasetError(f"There is no index {path}.", LAYOUT)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write the mark
            reader = csv.DictReader(file)
            absent = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
            if absent:
                raise DatasetError(
                    f"{path} has no column {', '.join(absent)}; found {reader.fieldnames}.", LAYOUT
                )
            rows = [_row(row, path, f"{path}:{reader.line_num}") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV in UTF-8: {error}.", LAYOUT) from error
    if not rows:
        raise DatasetError(f"{path} lists no pictures.", LAYOUT)
    often = Counter((row["path"], row["frame"]) for row in rows)
    twice = [name for (name, _), n in often.items() if n > 1]
    if twice:
        where = path.parent / twice[0]
        raise DatasetError(f"{path} lists {where} {'and others ' * (len(twice) > 1)}twice.")
    for row, stem in zip(rows, stems([row["path"] for row in rows]), strict=True):
        parts = row["dataset"], row["manipulation"], row["compression"], row.pop("video") or stem
        row["video_id"] = video_id(*parts)
    return index_of(path.parent, rows)


def _row(cells: dict[str, str], table: Path, where: str) -> Row:
    """One line as a row of the index; its video's name stays under `video` for the moment."""
    if cells["label"] not in ("0", "1"):
        raise DatasetError(f"{where}: label must be 0 or 1; got {cells['label']!r}.", LAYOUT)
    if cells["split"] not in SPLITS:
        raise DatasetError(f"{where}: split must be one of {SPLITS}; got {cells['split']!r}.")
    if not cells["path"]:
        raise DatasetError(f"{where}: path is empty.", LAYOUT)
    path = table.parent / _inside(cells["path"], table)
    label, made_by = int(cells["label"]), cells.get("manipulation") or cells.get("generator") or ""
    if made_by and not label:
        raise DatasetError(
            f"{where}: a real (label 0) has the generator {made_by!r}.",
            "Leave the generator of reals empty; where reals come from belongs in source.",
        )
    several = cells.get("identities") or ""
    identities = [cells["identity"]] if cells.get("identity") else several.split(";")
    still = path.suffix.lower() not in VIDEO_SUFFIXES
    return {
        "path": relative(path, table.parent),
        "label": label,
        "split": cells["split"],
        "dataset": cells.get("dataset") or table.stem,
        "manipulation": made_by or UNNAMED * label,
        "compression": cells.get("compression") or "",
        "source": cells.get("source") or path.parent.name,
        "identities": [name.strip() for name in identities if name.strip()],
        "video": cells.get("video") or "",
        "frame": _number(cells, "frame", where) if cells.get("frame") else (0 if still else None),
        "mask_path": _inside(cells["mask"], table) if cells.get("mask") else None,
        **_points(cells, table, where),
        "box": _numbers(cells.get("box"), "box", where, int),
        "width": _number(cells, "width", where),
        "height": _number(cells, "height", where),
        "codec": cells.get("codec") or still_codec(path),
        "quality": _number(cells, "quality", where),
    }


def _inside(text: str, table: Path) -> str:
    """A path as the index holds it: forward slashes, relative to the table's folder, no `..`."""
    text = text.replace("\\", "/")
    path = table.parent / text
    return relative(Path(os.path.abspath(path)) if ".." in Path(text).parts else path, table.parent)


def _points(cells: dict[str, str], table: Path, where: str) -> Row:
    text = cells.get("landmarks") or ""
    if text.endswith(".npy"):
        return {"landmarks_path": _inside(text, table)}
    if not text.endswith(".csv"):
        return {"landmarks": _numbers(text, "landmarks", where, float)}
    try:
        with (table.parent / text).open(newline="", encoding="utf-8-sig") as file:
            points = [(float(p["x"]), float(p["y"])) for p in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{where}: the landmarks {text} cannot be read: {error!r}.",
            "Expected a CSV with the columns x,y, one point per line, or leave the cell empty.",
        ) from error
    return {"landmarks": [value for point in points for value in point]}


def _numbers(
    text: str | None, name: str, where: str, kind: Callable[[str], float]
) -> list[float] | None:
    if not text:
        return None
    try:
        return [kind(part) for part in text.replace(",", " ").replace(";", " ").split()]
    except ValueError as error:
        raise DatasetError(f"{where}: {name} must be numbers; got {text!r}.") from error


def _number(cells: dict[str, str], name: str, where: str) -> int | None:
    try:
        return int(cells[name]) if cells.get(name) else None
    except ValueError as error:
        raise DatasetError(
            f"{where}: {name} must be a whole number; got {cells[name]!r}."
        ) from error
