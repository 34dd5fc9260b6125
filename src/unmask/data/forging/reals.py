"""The real pictures that forgeries are made from: out of an index, a CSV or a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from unmask.data.index import INDEX_FILE, Index, read_index
from unmask.data.readers import csv_table, folder
from unmask.data.readers.layout import VIDEO_SUFFIXES
from unmask.errors import DatasetError


def read_reals(path: Path) -> Index:
    """The real pictures of a Parquet index, a CSV, or a folder.

    A folder with real/ and fake/, and a CSV, are read as everywhere (`unmask.data.readers`), and
    their fakes passed over. Of a folder with real/ alone, or with neither, every picture counts as
    real: the first folder names the source, the file's name the identity, which decides the split.

    Raises:
        DatasetError: nothing there, a folder of `unmask prepare` or `unmask synthesize` (its index
            is to be given), no real pictures, videos among them (`unmask prepare` makes pictures),
            or an identity in two splits.
    """
    if path.is_dir():
        index = _read_folder(path)
    elif path.suffix.lower() == ".parquet":
        index = read_index(path)
    else:
        index = csv_table.read(path)
    reals = index.where(pl.col("label") == 0)
    _check(reals, path)
    return reals


def _read_folder(root: Path) -> Index:
    if (root / INDEX_FILE).is_file():
        raise folder.prepared(root)
    if (root / "fake").is_dir():
        return folder.read(root)
    return folder.read_reals(root / "real" if (root / "real").is_dir() else root, root)


def _check(reals: Index, path: Path) -> None:
    if not len(reals):
        raise DatasetError(
            f"{path} lists no real pictures: there is nothing to make forgeries from.",
            "Give an index, a CSV or a folder of real faces (label 0).",
        )
    videos = [p for p in reals.table["path"] if Path(p).suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        raise DatasetError(
            f"{path} lists {len(videos)} videos, where pictures are needed; the first is "
            f"{videos[0]}.",
            "Make face crops of them with `unmask prepare`, and use the index that it writes.",
        )
    home: dict[str, str | None] = {}
    for people, split in reals.table.select("identities", "split").iter_rows():
        for name in people:
            if home.setdefault(name, split) != split:
                raise DatasetError(
                    f"{path}: identity {name!r} is in the splits {home[name]} and {split}.",
                    "Give every identity one split; a detector that has seen a person is no test.",
                )


def drawn(reals: Index, limit: int | None, seed: int) -> Index:
    """At most `limit` of the pictures, drawn by the seed; those drawn keep their order."""
    if limit is None or limit >= len(reals):
        return reals

    def lot(row: tuple[str, int | None, str]) -> str:
        return hashlib.sha256("\n".join(map(str, (seed, *row))).encode()).hexdigest()

    keys = [lot(row) for row in reals.table.select("video_id", "frame", "path").iter_rows()]
    kept = sorted(sorted(range(len(keys)), key=keys.__getitem__)[:limit])
    return Index(reals.root, reals.table[kept], checked=True)
