"""Pictures to train and test with: from a CSV, a folder, or an index of `unmask prepare`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.data.index import Index, read_index
from unmask.data.readers import csv_table, folder
from unmask.data.readers.folder import LAYOUT, Split
from unmask.data.readers.folder import split_of as split_of
from unmask.data.readers.layout import VIDEO_SUFFIXES
from unmask.errors import DatasetError
from unmask.synthesis.shape import FIVE

_DLIB = (range(36, 42), range(42, 48), (30,), (48,), (54,))
"""Of dlib's 68 points, and of the 81 that begin with them: those whose mean is one of the five."""
_FIVE: dict[int, Sequence[Sequence[int]]] = {
    5: [(i,) for i in range(5)],
    68: _DLIB,
    81: _DLIB,
    189: [(i,) for i in FIVE],
}
"""How many landmarks there are -> which of them are the eyes, the nose and the mouth's corners."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture.

    Attributes:
        path: where it is.
        label: 0 real, 1 fake.
        source: where its reals come from, e.g. `ffhq`; results are reported per source.
        generator: what made a fake, '' for reals.
        identity: whose face; no identity may be on both sides of a split. Of a swap both, with `+`
            between.
        split: train, val or test.
        box: xyxy in the frame it was cut from, where the picture is a face crop already.
        landmarks: of such a crop the five points x0, y0, x1, y1, ... in its own pixels; taken from
            68, 81 or 189 points where the index has those. A crop with any other number of points
            is a picture like others, in which the face is looked for.
        video_id: of its row, '' where there is none; which video a picture is of decides how a
            protocol's normalising step treats it.
        mask: file of the data set's own mask of this picture; None without one.
    """

    path: Path
    label: int
    source: str
    generator: str
    identity: str
    split: Split
    box: tuple[int, ...] | None = None
    landmarks: tuple[float, ...] | None = None
    video_id: str = field(default="", compare=False)
    mask: Path | None = field(default=None, compare=False)


def read_items(path: Path) -> list[Item]:
    """Read the pictures of a CSV file, a folder, or a Parquet index.

    Raises:
        DatasetError: nothing there, a wrong layout (the message shows the right one), a value out
            of range (with its line), a file listed twice, an identity in two splits, no split, or
            a video (`unmask prepare` makes pictures of it).
    """
    if path.is_dir():
        index = folder.read(path)
    elif path.suffix.lower() == ".parquet":
        index = read_index(path)
    else:
        index = csv_table.read(path)
    return items_of(index, str(path))


def read_items_with(path: Path, fakes: Mapping[str, Path]) -> list[Item]:
    """All items of an index, and fakes of some generators out of others.

    Args:
        path: the index. fakes: generator -> index that has fakes of it; nothing else is taken.

    Raises:
        DatasetError: an index cannot be read, or has no fakes of that generator.
    """
    items = read_items(path)
    for generator, other in fakes.items():
        found = [item for item in read_items(other) if item.generator == generator]
        if not found:
            raise DatasetError(f"{other} has no fakes of the generator {generator}.")
        items += found
    return items


def items_of(index: Index, what: str | None = None) -> list[Item]:
    """The rows of an index as items, in its order.

    Args:
        index: of pictures; not of videos.
        what: what messages call it; its root when left out.

    Raises:
        DatasetError: as for `read_items`.
    """
    what, rows = what or str(index.root), index.table.to_dicts()
    _check(rows, index, what)
    often = Counter(row["video_id"] for row in rows)
    home: dict[str, str] = {}
    items = []
    for row in rows:
        # who is unknown is nobody else: a still is its own identity, and so is a video
        people = row["identities"] or [row["video_id" if often[row["video_id"]] > 1 else "path"]]
        for name in people:
            if home.setdefault(name, row["split"]) != row["split"]:
                raise DatasetError(
                    f"{what}: identity {name!r} is in the splits {home[name]} and {row['split']}.",
                    "Give every identity one split; a detector that has seen a person is no test.",
                )
        items.append(_item(row, index, "+".join(people)))
    return items


def _item(row: Mapping[str, Any], index: Index, identity: str) -> Item:
    five = _five(row["landmarks"] or ()) if row["box"] is not None else None
    return Item(
        path=index.file(row["path"]),
        label=row["label"],
        source=row["source"],
        generator="" if row["manipulation"] == csv_table.UNNAMED else row["manipulation"],
        identity=identity,
        split=row["split"],
        box=tuple(row["box"]) if five else None,
        landmarks=five,
        video_id=row["video_id"],
        mask=index.file(row["mask_path"]) if row["mask_path"] else None,
    )


def _five(landmarks: Sequence[float]) -> tuple[float, ...] | None:
    """x0, y0, ... of eyes, nose and mouth corners, from any of `_FIVE`; else None."""
    chosen = _FIVE.get(len(landmarks) // 2)
    if chosen is None:
        return None
    means = (
        sum(landmarks[2 * i + axis] for i in points) / len(points)
        for points in chosen
        for axis in (0, 1)
    )
    return tuple(means)


def _check(rows: Sequence[Mapping[str, Any]], index: Index, what: str) -> None:
    if not rows:
        raise DatasetError(f"{what} lists no pictures.", LAYOUT)
    videos = [row["path"] for row in rows if Path(row["path"]).suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        raise DatasetError(
            f"{what} lists {len(videos)} videos, where pictures are needed; the first is "
            f"{videos[0]}.",
            "Make face crops of them with `unmask prepare`, and use the index that it writes.",
        )
    loose = [row["video_id"] for row in rows if row["split"] is None]
    if loose:
        raise DatasetError(
            f"{what}: {len(loose)} rows have no split; the first is of {loose[0]}.",
            "The data set comes without an official one: choose a protocol, or give each row one.",
        )
    twice = [path for path, n in Counter(row["path"] for row in rows).items() if n > 1]
    if twice:
        others = "and others " * (len(twice) > 1)
        raise DatasetError(f"{what} lists {index.file(twice[0])} {others}twice.")
