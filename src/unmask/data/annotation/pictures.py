"""The pictures that masks are painted on: of an index, or of any folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unmask.data.index import INDEX_FILE, Index, read_index
from unmask.data.readers import csv_table, folder
from unmask.data.readers.layout import STILL_SUFFIXES, VIDEO_SUFFIXES, files
from unmask.errors import DatasetError
from unmask.media import Failure, try_decode


@dataclass(frozen=True)
class Picture:
    """One picture and what is known about it.

    Attributes:
        path: within the index or the folder, with forward slashes.
        file: where it lies.
        label: 0 real, 1 fake; None in a folder that does not say.
        split: train, val or test; None where there is none.
        mask: the data set's own mask, None without one.
    """

    path: str
    file: Path
    label: int | None = None
    split: str | None = None
    mask: Path | None = None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of its bytes, in hexadecimal: what tells it from all other pictures.

        Raises:
            DatasetError: it cannot be read.
        """
        try:
            with self.file.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DatasetError(
                f"The picture {self.file} cannot be read: {error.strerror or error}.",
                "Put it back, or leave it out of the index.",
            ) from error

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright.

        Raises:
            DatasetError: it cannot be decoded.
        """
        media = try_decode(self.file, max_frames=1)
        if isinstance(media, Failure):
            raise DatasetError(f"{self.path}: {media.error.message}", media.error.hint)
        return media.frames[0].size


def read_pictures(path: Path) -> list[Picture]:
    """The pictures of a Parquet index, a CSV, a folder with real/ and fake/, or any other folder.

    In a folder without real/ and fake/ neither label nor split is known.

    Raises:
        DatasetError: nothing there, not an index, no pictures, a folder whose index is to be given,
            a picture listed twice, or videos (`unmask prepare` makes pictures of them).
    """
    if path.is_dir():
        if (path / INDEX_FILE).is_file():
            raise folder.prepared(path)
        if not ((path / "real").is_dir() and (path / "fake").is_dir()):
            return _plain(path)
        index = folder.read(path)
    elif path.suffix.lower() == ".csv":
        index = csv_table.read(path)
    else:
        index = read_index(path)
    return _of_index(index, path)


def _plain(root: Path) -> list[Picture]:
    found = files(root, STILL_SUFFIXES)
    if not found:
        raise DatasetError(
            f"There are no pictures in {root}.",
            f"Known suffixes: {', '.join(sorted(STILL_SUFFIXES))}.",
        )
    return [Picture(file.relative_to(root).as_posix(), file) for file in found]


def _of_index(index: Index, path: Path) -> list[Picture]:
    columns = ("path", "label", "split", "mask_path")
    rows = list(index.table.select(columns).iter_rows())
    if not rows:
        raise DatasetError(f"{path} lists no pictures.", "Choose another index.")
    videos = [row[0] for row in rows if Path(row[0]).suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        raise DatasetError(
            f"{path} lists {len(videos)} videos, where pictures are needed; the first is "
            f"{videos[0]}.",
            "Make face crops of them with `unmask prepare`, and use the index that it writes.",
        )
    twice = [name for name, n in Counter(row[0] for row in rows).items() if n > 1]
    if twice:
        raise DatasetError(
            f"{path} lists {twice[0]} {'and others ' * (len(twice) > 1)}twice.",
            "A mask belongs to one picture: list each once.",
        )
    return [
        Picture(name, index.file(name), label, split, index.file(mask) if mask else None)
        for name, label, split, mask in rows
    ]
