"""One table for every data set: a row per video, picture or frame, stored as Parquet.

Readers (`unmask.data.readers`) make such a table from a data set's own layout, `unmask prepare`
turns it into one of face crops, and protocols choose from it. Labels are always 0 real, 1 fake,
whatever the data set says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from unmask.data.atomic import replacing
from unmask.errors import DatasetError

INDEX_FILE = "index.parquet"
"""Its name in a folder that unmask made."""
SPLITS = ("train", "val", "test")

SCHEMA: dict[str, Any] = {
    "video_id": pl.String(),
    "frame": pl.Int32(),
    "path": pl.String(),
    "label": pl.Int8(),
    "dataset": pl.String(),
    "manipulation": pl.String(),
    "compression": pl.String(),
    "source": pl.String(),
    "identities": pl.List(pl.String()),
    "split": pl.String(),
    "mask_path": pl.String(),
    "landmarks": pl.List(pl.Float32()),
    "landmarks_path": pl.String(),
    "box": pl.List(pl.Int32()),
    "width": pl.Int32(),
    "height": pl.Int32(),
    "codec": pl.String(),
    "quality": pl.Int16(),
}
"""The columns, in their order.

video_id: dataset/manipulation/compression/stem as `video_id` makes it; one video or still, however
many rows (frames) it has. frame: number in the stream; null for a whole video that is not decoded
yet, 0 for a still. path: of the video, picture or crop, with forward slashes, relative to the
index's root (absolute where it lies elsewhere). label: 0 real, 1 fake. manipulation: what made a
fake, '' for reals. compression: the data set's own name for it (`c23`), '' where it has none.
source: where the pictures come from, e.g. `youtube`; results are reported per source. identities:
who is in it, named within the data set: of a swap both the person filmed and the one whose face
was put in; empty where unknown. split: the data set's own, null where it has none. mask_path: True
where manipulated, as a picture or video that fits `path`; null without one. landmarks: x0, y0, x1,
y1, ... in the picture's pixels; null where unknown. landmarks_path: the same as an `.npy` file.
box: xyxy of a crop in the frame it was cut from; null unless `path` is a crop. width, height: of
`path` in pixels, null where not looked at yet. codec: what the
pixels went through, e.g. `h264`, `jpeg`; null where unknown. quality: that codec's own number (CRF
or JPEG quality), null where unknown.
"""

REQUIRED = ("video_id", "path", "label", "dataset", "manipulation", "source", "identities")
"""Columns that are never null."""


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """A checked table and the folder its paths are relative to.

    `checked` is for a table that is known to be sound, as some rows of one that is.

    Raises:
        DatasetError: as `check` says.
    """

    root: Path
    table: pl.DataFrame

    checked: InitVar[bool] = False

    def __post_init__(self, checked: bool) -> None:
        if not checked:
            check(self.table, str(self.root))

    def __len__(self) -> int:
        return self.table.height

    def file(self, path: str) -> Path:
        """Where a `path`, `mask_path` or `landmarks_path` of the table lies."""
        return self.root / path

    def where(self, condition: pl.Expr) -> Index:
        """The rows for which a polars expression is true."""
        return Index(self.root, self.table.filter(condition), checked=True)


def video_id(dataset: str, manipulation: str, compression: str, stem: str) -> str:
    """dataset/manipulation/compression/stem; `real` and `raw` stand for an empty part.

    `stem` names the file within its manipulation and may hold slashes itself.

    >>> video_id("ffpp", "Deepfakes", "c23", "000_003")
    'ffpp/Deepfakes/c23/000_003'
    >>> video_id("ffpp", "", "", "actors/01__walking")
    'ffpp/real/raw/actors/01__walking'
    """
    return "/".join((dataset, manipulation or "real", compression or "raw", stem))


def index_of(root: Path, rows: Iterable[Mapping[str, Any]]) -> Index:
    """An index from rows; columns left out are null (compression, manipulation: '').

    Raises:
        DatasetError: an unknown column, a value of the wrong type, or as `check` says.
    """
    rows = list(rows)
    unknown = sorted({name for row in rows for name in row} - set(SCHEMA))
    if unknown:
        raise DatasetError(f"An index has no column {', '.join(unknown)}.")
    for row in rows:
        if isinstance(row.get("identities"), str):  # polars would take it apart into letters
            raise DatasetError(f"identities must be a list of names; got {row['identities']!r}.")
    columns = {name: [row.get(name, _DEFAULTS.get(name)) for row in rows] for name in SCHEMA}
    try:
        return Index(root, pl.DataFrame(columns, schema=SCHEMA, strict=True))
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"A row of the index of {root} has a wrong value: {error}") from error


_DEFAULTS: dict[str, Any] = {"manipulation": "", "compression": "", "identities": ()}


def check(table: pl.DataFrame, what: str) -> None:
    """Refuse a table that is not an index.

    Raises:
        DatasetError: columns, their order or types differ from `SCHEMA`, a required value is null,
            a label is not 0 or 1, a split is unknown, a real has a manipulation or a fake none, a
            path leaves by `..` or is written with backslashes, an identity is empty, (video_id,
            frame, path) occurs twice, or the rows of a video differ in what belongs to the video.
    """
    found = dict(table.schema)
    if list(found.items()) != list(SCHEMA.items()):
        raise DatasetError(
            f"{what} is not an index: {_difference(found)}.",
            "Make it with `unmask prepare` or `unmask synthesize`, or from a CSV.",
        )
    real = pl.col("label") == 0
    rules: Sequence[tuple[str, pl.Expr]] = (
        *((f"{name} is empty", pl.col(name).is_null()) for name in REQUIRED),
        ("label must be 0 (real) or 1 (fake)", ~pl.col("label").is_in([0, 1])),
        ("split must be train, val, test or null", ~pl.col("split").is_in(SPLITS)),
        ("a real has a manipulation", real & (pl.col("manipulation") != "")),
        ("a fake has no manipulation", ~real & (pl.col("manipulation") == "")),
        *(
            (
                f"{name} must have forward slashes and no '.', '..' or '//' in it",
                pl.col(name).str.contains(r"\\|(^|/)\.\.?(/|$)|./{2}") | (pl.col(name) == ""),
            )
            for name in ("path", "mask_path", "landmarks_path")
        ),
        (
            "an identity is empty",
            pl.col("identities").list.eval((pl.element().fill_null("") == "").any()).list.first(),
        ),
        ("landmarks are pairs x, y", pl.col("landmarks").list.len() % 2 == 1),
        ("box is four numbers", pl.col("box").list.len() != 4),
    )
    for message, broken in rules:
        bad = table.filter(broken.fill_null(False))
        if bad.height:
            raise DatasetError(f"{what}: {message}, in {bad.height} rows; {_row(bad)}.")
    twice = table.filter(pl.struct("video_id", "frame", "path").is_duplicated())
    if twice.height:
        raise DatasetError(f"{what} lists a row twice; {_row(twice)}.")
    two_faced = table.filter(pl.col("label").n_unique().over("path") > 1)
    if two_faced.height:
        raise DatasetError(f"{what} lists a file as real and as fake; {_row(two_faced)}.")
    mixed = (
        table.group_by("video_id", maintain_order=True)
        .agg(pl.col("label", "split", "manipulation", "dataset").n_unique())
        .filter(pl.max_horizontal(pl.exclude("video_id")) > 1)
    )
    if mixed.height:
        raise DatasetError(
            f"{what}: the rows of video {mixed['video_id'][0]!r} differ in label, split, "
            "manipulation or dataset.",
            "A video_id names one video: dataset/manipulation/compression/stem.",
        )


def _difference(found: Mapping[str, Any]) -> str:
    absent = [name for name in SCHEMA if name not in found]
    extra = [name for name in found if name not in SCHEMA]
    wrong = [
        f"{name} is {found[name]}, not {kind}"
        for name, kind in SCHEMA.items()
        if name in found and found[name] != kind
    ]
    parts = [
        f"no column {', '.join(absent)}" if absent else "",
        f"unknown column {', '.join(extra)}" if extra else "",
        "; ".join(wrong),
    ]
    return "; ".join(p for p in parts if p) or "its columns are in another order"


def _row(table: pl.DataFrame) -> str:
    first = table.row(0, named=True)
    return (
        f"the first is {json.dumps({k: first[k] for k in ('video_id', 'path', 'label', 'split')})}"
    )


def relative(path: Path, root: Path) -> str:
    """A path as the table holds it: below `root` with forward slashes, absolute elsewhere."""
    if not path.is_relative_to(root) or ".." in path.relative_to(root).parts:
        path, root = path.resolve(), root.resolve()
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def write_index(index: Index, path: Path) -> None:
    """Write Parquet, whole or not at all; the paths stay relative to `index.root`.

    The same table gives the same bytes. `index.root` must be the folder of `path`.

    Raises:
        DatasetError: `path` lies in another folder than the paths are relative to.
    """
    if path.parent.resolve() != index.root.resolve():
        raise DatasetError(f"An index of {index.root} must lie in that folder; got {path}.")
    with replacing(path) as part:
        index.table.write_parquet(part, compression="zstd", statistics=False)


def read_index(path: Path) -> Index:
    """Read what `write_index` wrote; paths are relative to the file's folder.

    Raises:
        DatasetError: not there, not Parquet, or not an index (the message says what differs).
    """
    if not path.is_file():
        raise DatasetError(f"There is no index {path}.", "`unmask prepare` makes one.")
    try:
        table = pl.read_parquet(path, glob=False)  # brackets in a folder's name are no pattern
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path} is not a Parquet file: {error}.") from error
    check(table, str(path))  # `Index` would name the folder, not the file
    return Index(path.parent, table, checked=True)
