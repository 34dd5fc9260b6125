"""What a preparation gave and did not give: counts per kind, and every loss by itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.data.atomic import replace_text
from unmask.data.preparing.journal import Record
from unmask.results import REASONS as MEDIA_REASONS

COVERAGE_FILE, LOSSES_FILE = "coverage.json", "coverage.jsonl"

REASONS: dict[str, str] = {
    **{
        reason: MEDIA_REASONS[reason]
        for reason in (
            *("missing", "permission_denied", "empty_file", "unsupported_format", "damaged"),
            *("no_video_stream", "zero_frames", "truncated", "timeout", "decoder_crashed"),
            *("out_of_memory", "too_many_pixels", "too_many_bytes", "too_long", "no_face"),
            "internal_error",
        )
    },
    "frame_undecodable": "the decoder could not give the frame",
    "frame_of_video": "the index names one frame of a video, which is not possible",
    "face_not_tracked": "the frame has faces, but not the one that was followed",
    "worker_crashed": "the process that prepared the video crashed",
    "mask_empty": "the mask of this fake says that nothing in the frame is manipulated",
    "mask_elsewhere": "no manipulated pixel is in a chosen face (--face mask follows them)",
    "mask_unreadable": "the mask cannot be decoded",
    "mask_frame_missing": "the mask's video has no frame of that number",
    "mask_out_of_step": "the mask's video has other frames than the clip, at other times",
    "mask_size": "the mask is not of the frame's size",
    "landmarks_unreadable": "the data set's landmarks cannot be read; the detector's were kept",
    "landmarks_elsewhere": "the data set's landmarks are of another face; the detector's were kept",
}
"""Why a frame gave no crop, or what a crop lacks, with its meaning for a person."""


@dataclass(slots=True)
class Tally:
    """Counts of one dataset, manipulation and compression, or of all.

    Attributes:
        videos: video_ids; without_crops: those that gave none.
        asked, read: frames that were asked for, and that were decoded.
        frames: of those read, the ones with a crop; crops: more where a frame has several.
        lost: reason -> frames without a crop; asked = frames + the sum of these.
        lacking: reason -> crops that lack something, e.g. their mask.
    """

    videos: int = 0
    without_crops: int = 0
    asked: int = 0
    read: int = 0
    frames: int = 0
    crops: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    lacking: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        self.videos += 1
        self.without_crops += not record.crops
        self.asked += record.asked
        self.read += record.read
        self.crops += len(record.crops)
        self.frames += len({(crop.row, crop.frame) for crop in record.crops})
        for note in record.notes:
            (self.lost if note.lost else self.lacking)[note.reason] += note.frames

    def as_dict(self) -> dict[str, Any]:
        """For JSON; reasons in alphabetical order."""
        return {
            "videos": self.videos,
            "videos_without_crops": self.without_crops,
            "frames_asked": self.asked,
            "frames_read": self.read,
            "frames_with_crops": self.frames,
            "crops": self.crops,
            "frames_lost": dict(sorted(self.lost.items())),
            "crops_lacking": dict(sorted(self.lacking.items())),
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts per (dataset, manipulation, compression), in the index's order, and in all."""

    groups: dict[tuple[str, str, str], Tally]
    total: Tally

    @property
    def complete(self) -> bool:
        """Whether every frame that was asked for has a crop."""
        return not self.total.lost

    def lines(self) -> list[str]:
        """The summary for a person: a line per group and per reason."""
        rows: list[tuple[str, ...]] = [("", "videos", "without", "frames", "with face", "crops")]
        named = {"/".join((d, m or "real", c or "raw")): t for (d, m, c), t in self.groups.items()}
        for name, tally in {**named, **({"all": self.total} if len(named) > 1 else {})}.items():
            counts = (tally.videos, tally.without_crops, tally.asked, tally.frames, tally.crops)
            rows.append((name, *map(str, counts)))
        first, *rest = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join([name.ljust(first), *map(str.rjust, counts, rest)]) for name, *counts in rows
        ]
        for what, counter in (("lost", self.total.lost), ("kept", self.total.lacking)):
            for reason, count in sorted(counter.items(), key=lambda item: (-item[1], item[0])):
                plural = "frame" if count == 1 else "frames"
                table.append(f"{count} {plural} {what}, {reason}: {REASONS.get(reason, reason)}")
        return table


def cover(records: Sequence[Record], kinds: Iterable[tuple[str, str, str]]) -> Coverage:
    """Count up.

    Args:
        records: one per video.
        kinds: (dataset, manipulation, compression) of each.
    """
    groups: dict[tuple[str, str, str], Tally] = {}
    total = Tally()
    for record, kind in zip(records, kinds, strict=True):
        groups.setdefault(kind, Tally()).add(record)
        total.add(record)
    return Coverage(groups, total)


def write_coverage(
    out: Path, coverage: Coverage, records: Sequence[Record], facts: Mapping[str, Any]
) -> None:
    """Write `coverage.json`, the counts, and `coverage.jsonl`, one line per loss or lack.

    Args:
        out: the folder.
        coverage: of `records`.
        records: one per video.
        facts: stated at the beginning of `coverage.json`.
    """
    names = ("dataset", "manipulation", "compression")
    content = {
        **facts,
        "total": coverage.total.as_dict(),
        "groups": [
            {**dict(zip(names, kind, strict=True)), **tally.as_dict()}
            for kind, tally in coverage.groups.items()
        ],
    }
    replace_text(out / COVERAGE_FILE, json.dumps(content, indent=2) + "\n")
    lines = [
        json.dumps({"video_id": record.video_id, **note.model_dump()}) + "\n"
        for record in records
        for note in record.notes
    ]
    replace_text(out / LOSSES_FILE, "".join(lines))
