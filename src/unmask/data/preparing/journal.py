"""What `unmask prepare` has finished: one JSON line per video, safe to kill and to continue."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

from unmask.errors import DatasetError

JOURNAL_FILE = "records.jsonl"

RETRIED = frozenset(
    {"missing", "permission_denied", "timeout", "out_of_memory"}
    | {"decoder_crashed", "worker_crashed", "internal_error"}
)
"""Reasons that may not hold the next time: a video with one of them is done again."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Made(_Model):
    """One crop.

    Attributes:
        row: which of the video's rows in the reader's index it came from, from 0.
        frame: number in the stream.
        path, mask_path: relative to the output folder; the mask's null without one.
        landmarks: x0, y0, x1, y1, ... in the crop's pixels.
        box: xyxy in the frame, before any quarter turn.
    """

    row: int
    frame: int
    path: str
    mask_path: str | None
    landmarks: tuple[float, ...]
    box: tuple[int, int, int, int]


class Note(_Model):
    """A frame, or a whole video, that gave no crop; or a crop that lacks something.

    Attributes:
        frame: number in the stream; null for all of the video, or where the decoder cannot tell.
        path: of the input, as in the reader's index.
        reason: of `unmask.data.preparing.coverage.REASONS`.
        message: more, for a person.
        frames: how many frames it stands for.
        lost: False: there is a crop all the same.
    """

    frame: int | None
    path: str
    reason: str
    message: str = ""
    frames: int = 1
    lost: bool = True


class Record(_Model):
    """What became of one video, or still, or sequence of stills.

    Attributes:
        key: hash of what decides the result, beside the profile.
        asked, read: frames that were asked for, and that were decoded.
        crops: in the order of rows, frames and tracks.
        notes: in the order in which they came up.
    """

    video_id: str
    key: str
    asked: int
    read: int
    crops: tuple[Made, ...]
    notes: tuple[Note, ...]

    @property
    def final(self) -> bool:
        """Whether doing it again would come to the same."""
        return not any(note.reason in RETRIED for note in self.notes)


class Journal:
    """Appends records and knows the last one of every video; a context manager.

    Only one process at a time may have it open.

    Raises:
        DatasetError: another process has it open, or a line other than a torn last one is no
            record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed by __exit__
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(
                f"Another `unmask prepare` is writing to {self.path.parent}.",
                "Wait for it to end, or choose another --out.",
            ) from error

    def _read(self) -> None:
        self._file.seek(0)
        offset = 0
        with open(self.path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    self._file.truncate(offset)  # torn by a kill; the next line must not join it
                    break
                try:
                    record = Record.model_validate_json(line)
                except ValidationError as error:
                    raise DatasetError(
                        f"{self.path}, line {number}, is not a record of `unmask prepare`.",
                        "Delete that line to have its video done again.",
                    ) from error
                self.records[record.video_id] = record
                offset += len(line)

    def append(self, record: Record) -> None:
        """Hand one record to the operating system; its crops are written already."""
        line = memoryview(record.model_dump_json().encode() + b"\n")
        while line:
            line = line[self._file.write(line) :]
        self.records[record.video_id] = record

    def holds(self, video_id: str, key: str, out: Path) -> bool:
        """Whether a video needs nothing more: its record is final, and all its crops are there."""
        record = self.records.get(video_id)
        if record is None or record.key != key or not record.final:
            return False
        files = [f for crop in record.crops for f in (crop.path, crop.mask_path) if f]
        return all(os.path.exists(out / file) for file in files)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
