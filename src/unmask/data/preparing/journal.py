"""What `unmask prepare` has finished: one JSON line per video, safe to kill and to continue."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from unmask.data.record_log import PASSING, RecordLog

JOURNAL_FILE = "records.jsonl"

RETRIED = PASSING | {"worker_crashed"}
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


class Journal(RecordLog[Record]):
    """The records of one output folder, by video.

    Raises:
        DatasetError: as `RecordLog` says.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, Record, name=lambda r: r.video_id, command="unmask prepare")

    def holds(self, video_id: str, key: str, out: Path) -> bool:
        """Whether a video needs nothing more: its record is final, and all its crops are there."""
        record = self.records.get(video_id)
        if record is None or record.key != key or not record.final:
            return False
        files = [f for crop in record.crops for f in (crop.path, crop.mask_path) if f]
        return all(os.path.exists(out / file) for file in files)
