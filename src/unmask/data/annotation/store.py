"""What people painted: a log that only grows, and one PNG for each mask.

    FOLDER/masks.jsonl    a record per answer, see `Annotation`
    FOLDER/masks/         the PNG files, by the picture's SHA-256 and the revision

The latest record of a picture counts; the earlier ones stay. A PNG is written whole before its
record, so that a record always has its mask: a kill between the two leaves a file nobody refers to,
and the next answer takes its place.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from unmask.data.annotation.masks import Mask, check_mask, mask_from_png, mask_to_png
from unmask.data.annotation.pictures import Picture
from unmask.data.atomic import replacing
from unmask.data.record_log import RecordLog
from unmask.errors import ConfigError, DatasetError

LOG_FILE = "masks.jsonl"
MASK_FOLDER = "masks"

Kind = Literal["mask", "no_forgery", "skipped"]
Source = Literal["imported", "oracle", "painted"]


class Annotation(BaseModel):
    """One answer to one picture.

    Attributes:
        picture: its path within the index or folder; for people, see `sha256`.
        sha256: of the picture's bytes: which picture it is.
        width, height: of picture and mask, in pixels.
        annotator: who answered; `oracle` where the data set's own mask was taken.
        time: when, UTC.
        kind: a mask; no_forgery: nothing in it is manipulated; skipped: no answer could be given.
        mask, mask_sha256: the PNG within the store, and the hash of its bytes; of `mask` only.
        revision: 1 for a picture's first answer, then 2, ...
        source: how it came in.
        note: why it was skipped, or anything else the annotator wants to say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    annotator: str = Field(min_length=1, max_length=100)
    time: AwareDatetime
    kind: Kind
    mask: str | None = None
    mask_sha256: str | None = None
    revision: int = Field(ge=1)
    source: Source
    note: str = ""


class ConflictError(DatasetError):
    """Somebody else answered since the picture was opened; nothing was written.

    Attributes:
        latest: their answer.
    """

    def __init__(self, latest: Annotation, seen: int) -> None:
        super().__init__(
            f"{latest.picture}: {latest.annotator} changed it at {latest.time:%Y-%m-%d %H:%M:%S} "
            f"UTC (revision {latest.revision}); yours is of revision {seen}.",
            "Look at that answer first, then give yours again.",
        )
        self.latest = latest


class Annotations:
    """What a store holds, as it was when it was read; needs no lock.

    Args:
        folder: of the store; one without a log holds nothing.

    Raises:
        DatasetError: a line other than a torn last one is no record.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._history: dict[str, list[Annotation]] = {}
        path = folder / LOG_FILE
        if path.is_file():
            for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
                if line.endswith(b"\n"):
                    self._keep(_record(line, path, number))

    def _keep(self, record: Annotation) -> None:
        self._history.setdefault(record.sha256, []).append(record)

    def __len__(self) -> int:
        """How many pictures were answered."""
        return len(self._history)

    def all(self) -> list[Annotation]:
        """The latest answer to every picture, in the order of the first answers."""
        return [records[-1] for records in self._history.values()]

    def latest(self, sha256: str) -> Annotation | None:
        """The answer that counts; None where there is none yet."""
        records = self._history.get(sha256)
        return records[-1] if records else None

    def history(self, sha256: str) -> list[Annotation]:
        """All answers to a picture, the earliest first."""
        return list(self._history.get(sha256, ()))

    def revision(self, sha256: str) -> int:
        """Of the latest answer; 0 before there is one."""
        return len(self._history.get(sha256, ()))

    def matching(self, files: Iterable[Path]) -> dict[Path, Annotation]:
        """The latest answers to those of the pictures that have one, by where they lie.

        Every file is read, since its bytes say which picture it is.

        Raises:
            DatasetError: a file cannot be read.
        """
        found = ((file, self.latest(Picture(file.name, file).sha256)) for file in files)
        return {file: answer for file, answer in found if answer is not None}

    def mask(self, record: Annotation) -> Mask:
        """The mask of a record: (H, W) bool, all False for `no_forgery`.

        Raises:
            DatasetError: it was skipped, or its PNG is gone or was altered.
        """
        if record.kind == "skipped":
            raise DatasetError(
                f"{record.picture} was skipped by {record.annotator}: it has no mask."
            )
        if record.kind == "no_forgery":
            return np.zeros((record.height, record.width), bool)
        path = self.folder / str(record.mask)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"The mask {path} of {record.picture} cannot be read: {error.strerror or error}.",
                "Copy the whole folder, or annotate the picture again.",
            ) from error
        if hashlib.sha256(data).hexdigest() != record.mask_sha256:
            raise DatasetError(
                f"The mask {path} of {record.picture} is not the one that was stored (SHA-256 "
                "differs).",
                "Change masks with `unmask annotate import`, never in place.",
            )
        return mask_from_png(data, size=(record.width, record.height), what=f"The mask {path}")


def _record(line: bytes, path: Path, number: int) -> Annotation:
    try:
        return Annotation.model_validate_json(line)
    except ValidationError as error:
        raise DatasetError(
            f"{path}, line {number}, is not a record of `unmask annotate`.",
            "Restore the file from a copy, or delete that line: its answer is lost then.",
        ) from error


class MaskStore(Annotations):
    """A store to write to; a context manager. One process at a time, any number of threads.

    Args:
        folder: made where there is none.

    Raises:
        DatasetError: another process writes to it, or as `Annotations` says.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = RecordLog(
            folder / LOG_FILE,
            Annotation,
            name=lambda r: f"{r.sha256} {r.revision}",
            command="unmask annotate",
        )
        self._turn = threading.Lock()
        try:
            super().__init__(folder)
        except BaseException:
            self._log.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.__exit__(kind, error, trace)

    def add(
        self,
        picture: Picture,
        mask: Mask,
        *,
        revision: int,
        annotator: str,
        source: Source,
        painted_on: str | None = None,
        note: str = "",
    ) -> Annotation:
        """Store a mask and return its record.

        A mask that is True everywhere is taken: of a face that is synthetic as a whole it is right.

        Args:
            picture: that it belongs to.
            mask: (H, W) bool of the picture's size, True where manipulated; not all False.
            revision: the latest that the annotator saw, 0 for none: `Annotations.revision`.
            annotator: who painted it.
            source: how it comes in.
            painted_on: SHA-256 of the picture that was painted on, where that is known.
            note: anything else.

        Raises:
            ConflictError: there is a later answer than `revision`.
            DatasetError: the mask is empty, of another size or was painted on another picture, or
                the picture cannot be read.
            ConfigError: the annotator has no usable name.
            ShapeError: not (H, W) bool.
        """
        check_mask(mask)
        check_same_picture(picture, painted_on)
        width, height = picture.size
        if mask.shape != (height, width):
            raise DatasetError(
                f"{picture.path}: the mask has {mask.shape[1]}x{mask.shape[0]} pixels, the picture "
                f"{width}x{height}.",
                "Paint on the picture at its own size, and do not crop or scale the mask.",
            )
        if not mask.any():
            raise DatasetError(
                f"{picture.path}: the mask is empty, it marks no pixel as manipulated.",
                "If the picture shows no forgery, say so: answer no_forgery. Else skip it.",
            )
        return self._write(picture, mask_to_png(mask), "mask", revision, annotator, source, note)

    def answer(
        self,
        picture: Picture,
        kind: Literal["no_forgery", "skipped"],
        *,
        revision: int,
        annotator: str,
        source: Source,
        painted_on: str | None = None,
        note: str = "",
    ) -> Annotation:
        """Store that nothing is manipulated, or that no answer can be given; else like `add`."""
        check_same_picture(picture, painted_on)
        return self._write(picture, None, kind, revision, annotator, source, note)

    def _write(
        self,
        picture: Picture,
        png: bytes | None,
        kind: Kind,
        revision: int,
        annotator: str,
        source: Source,
        note: str,
    ) -> Annotation:
        check_annotator(annotator)
        width, height = picture.size
        with self._turn:
            latest = self.latest(picture.sha256)
            if latest is not None and latest.revision != revision:
                raise ConflictError(latest, revision)
            if latest is None and revision:
                raise DatasetError(
                    f"{picture.path}: there is no revision {revision} of it in {self.folder}.",
                    "The picture or the store is another one than when the mask was handed out.",
                )
            name = f"{MASK_FOLDER}/{picture.sha256[:16]}-{revision + 1:04}.png"
            record = Annotation(
                picture=picture.path,
                sha256=picture.sha256,
                width=width,
                height=height,
                annotator=annotator,
                time=datetime.now(UTC),
                kind=kind,
                mask=name if png is not None else None,
                mask_sha256=hashlib.sha256(png).hexdigest() if png is not None else None,
                revision=revision + 1,
                source=source,
                note=note,
            )
            if png is not None:
                (self.folder / MASK_FOLDER).mkdir(exist_ok=True)
                with replacing(self.folder / name) as part:
                    part.write_bytes(png)
            self._log.append(record)
            self._keep(record)
        return record


def check_annotator(name: str) -> None:
    """Raise `ConfigError` unless `name` can stand in a record: 1 to 100 printable characters."""
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise ConfigError(
            f"{name[:100]!r} is no name of an annotator.", "Give 1 to 100 printable characters."
        )


def check_same_picture(picture: Picture, painted_on: str | None) -> None:
    """Raise `DatasetError` where SHA-256 `painted_on` is known and not that of the picture."""
    if painted_on is not None and painted_on != picture.sha256:
        raise DatasetError(
            f"{picture.path}: the mask was painted on another picture (SHA-256 "
            f"{painted_on[:12]}..., this one has {picture.sha256[:12]}...).",
            "Export the pictures again, and paint on those.",
        )
