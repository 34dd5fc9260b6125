"""A data set to face crops, once: `prepare` decodes, finds, follows and cuts every video.

The folder it fills:

    profile.json     the settings and their hash, and which data set it is
    crops/           <video_id>/<frame>.png, square, copied pixels at native resolution
    masks/           the same names; white where manipulated, cut through the same transform
    records.jsonl    what is finished: a killed run continues from here
    coverage.json    counts per dataset, manipulation and compression, with reasons
    coverage.jsonl   every frame that gave no crop, and every crop that lacks something
    index.parquet    a row per crop: all that the reader said, and where the crop lies
    without_crops.parquet  a row per video that gave no crop, where there are any: what a test must
                     still count as asked for; `path` is the folder its crops would lie in
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unmask.data.index import INDEX_FILE, Index, index_of, read_index, write_index
from unmask.data.preparing.coverage import COVERAGE_FILE, Coverage, cover, write_coverage
from unmask.data.preparing.journal import JOURNAL_FILE, Journal, Record
from unmask.data.preparing.profile import Profile, claim
from unmask.data.preparing.shots import Part, Unit
from unmask.data.preparing.workers import Setup, run_units
from unmask.errors import ConfigError, DatasetError
from unmask.media import Limits

WITHOUT_CROPS_FILE = "without_crops.parquet"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of it.

    Attributes:
        index: the table's file; None when there is not a single crop.
        coverage: what was lost, and why.
        kept: videos that an earlier run had finished.
    """

    index: Path | None
    coverage: Coverage
    kept: int


def prepare(
    index: Index,
    out: Path,
    *,
    dataset: str,
    profile: Profile | None = None,
    jobs: int = 1,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Cut the faces out of every video of an index.

    A killed run loses at most the videos in hand; the next one continues it, and the files come
    out the same, byte for byte, whatever was killed when and however many jobs there are. Videos
    that failed for a reason that may pass (`journal.RETRIED`) are tried again, and so are those
    whose files or rows have changed.

    Args:
        index: of a reader: videos and stills, not crops.
        out: folder to fill; new, empty, or of an earlier run with the same profile.
        dataset: its name. `index` for one that was read from a table.
        profile: the settings; the defaults when None.
        jobs: processes; each has a decoding process of its own.
        limits: what decoding one input may cost.
        progress: is called with how many videos are done, of how many that are not done yet at the
            start: first with (0, n).

    Raises:
        ConfigError: `jobs` is below 1.
        DatasetError: the index is empty or of crops, `out` lies within the data set, holds
            something else or cannot be written.
    """
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1; got {jobs}.")
    _check(index, out, dataset)
    profile = profile or Profile()
    try:
        claim(out, profile, dataset)
        setup = Setup(index.root.absolute(), out.absolute(), profile, limits or Limits())
        return _fill(index, dataset, setup, jobs, progress or (lambda done, total: None))
    except BrokenPipeError:
        raise  # of whoever is told about the progress
    except OSError as error:
        raise DatasetError(
            f"{out} cannot be written: {error}.", "Mend that, then run the same command again."
        ) from error


def _fill(
    index: Index, dataset: str, setup: Setup, jobs: int, progress: Callable[[int, int], None]
) -> Prepared:
    units, out = units_of(index), setup.out
    with Journal(out / JOURNAL_FILE) as journal:
        left = [u for u in units if not journal.holds(u.video_id, u.key(setup.root), out)]
        progress(0, len(left))
        with closing(run_units(left, setup, jobs)) as finished:
            for done, record in enumerate(finished, 1):
                journal.append(record)
                progress(done, len(left))
        records = [journal.records[unit.video_id] for unit in units]
        coverage = cover(records, _kinds(index, units))
        facts = {"dataset": dataset, "profile": setup.profile.sha256}
        write_coverage(out, coverage, records, facts)
        path = _write_table(index, units, records, out)
        _write_lost(index, units, records, out)
    return Prepared(path, coverage, len(units) - len(left))


def _check(index: Index, out: Path, dataset: str) -> None:
    if not len(index):
        raise DatasetError(f"The index of {index.root} has no rows: there is nothing to prepare.")
    if index.table["box"].is_not_null().any():
        raise DatasetError(
            f"The index of {index.root} is of crops already: its rows have a box.",
            "Prepare from the data set itself.",
        )
    root, place = index.root.resolve(), out.resolve()
    if place == root or (dataset != "index" and place.is_relative_to(root)):
        raise DatasetError(
            f"--out {out} lies in the data set's own folder {index.root}.",
            "Nothing was written. Choose a folder outside, so that crops never count as originals.",
        )


def units_of(index: Index) -> list[Unit]:
    """The rows of each video_id together, in the order in which the index first names them."""
    names = ("path", "frame", "mask_path", "landmarks", "landmarks_path")
    grouped: dict[str, list[tuple[int, int, Part]]] = {}
    table = index.table.select("video_id", "label", *names)
    for number, (video, label, path, frame, mask, points, file) in enumerate(table.iter_rows()):
        part = Part(path, frame, mask, None if points is None else tuple(points), file)
        grouped.setdefault(video, []).append((number, label, part))
    folders = _folders(list(grouped))
    return [
        Unit(
            video_id=video,
            folder=folders[video],
            label=rows[0][1],
            rows=tuple(number for number, _, _ in rows),
            parts=tuple(part for _, _, part in rows),
        )
        for video, rows in grouped.items()
    ]


def _folders(videos: Sequence[str]) -> dict[str, str]:
    """A folder for each video_id: the id itself, but for characters that no folder should have.

    Two ids that would share one where case does not count get a piece of their hash as well.
    """
    plain = {video: "/".join(map(_folder_name, video.split("/"))) for video in videos}
    shared = Counter(folder.casefold() for folder in plain.values())
    return {
        video: folder
        if shared[folder.casefold()] == 1
        else f"{folder}~{hashlib.sha256(video.encode()).hexdigest()[:12]}"
        for video, folder in plain.items()
    }


def _folder_name(part: str) -> str:
    """One part of an id, percent-encoded outside letters, digits, space and `_.-+=,@()[]`.

    >>> _folder_name("00:17 a"), _folder_name(".."), _folder_name("")
    ('00%3A17 a', '%2E%2E', '%')
    """
    if not part.strip("."):
        return part.replace(".", "%2E") or "%"
    return quote(part, safe=" _.-+=,@()[]")


def _kinds(index: Index, units: Sequence[Unit]) -> list[tuple[str, str, str]]:
    table = index.table.select("dataset", "manipulation", "compression")
    return [table.row(unit.rows[0]) for unit in units]


def _write_table(
    index: Index, units: Sequence[Unit], records: Sequence[Record], out: Path
) -> Path | None:
    """One row per crop, in the index's order of videos; no file where there is no crop."""
    path = out / INDEX_FILE
    rows: list[dict[str, Any]] = []
    for unit, record in zip(units, records, strict=True):
        said = [index.table.row(number, named=True) for number in unit.rows]
        for crop in record.crops:
            side = crop.box[2] - crop.box[0]
            made = {
                "frame": crop.frame,
                "path": crop.path,
                "mask_path": crop.mask_path,
                "landmarks": list(crop.landmarks),
                "landmarks_path": None,
                "box": list(crop.box),
                "width": side,
                "height": side,
            }
            rows.append({**said[crop.row], **made})
    if not rows:
        path.unlink(missing_ok=True)
        return None
    write_index(index_of(out, rows), path)
    return path


def _write_lost(index: Index, units: Sequence[Unit], records: Sequence[Record], out: Path) -> None:
    """One row per video without a crop; no file where every video has one."""
    path = out / WITHOUT_CROPS_FILE
    rows = []
    for unit, record in zip(units, records, strict=True):
        if not record.crops:
            said = index.table.row(unit.rows[0], named=True)
            nothing = dict.fromkeys(
                ("frame", "mask_path", "landmarks", "landmarks_path", "width", "height")
            )
            rows.append({**said, **nothing, "path": f"crops/{unit.folder}"})
    if not rows:
        path.unlink(missing_ok=True)
        return
    write_index(index_of(out, rows), path)


def without_crops(index_file: Path) -> Index | None:
    """The videos that gave no crop when the data set of an index was prepared.

    Args:
        index_file: any index; one of `prepare` has that list beside it.

    Returns:
        A row per video, or None where every one has crops, or the index is not of `prepare`.

    Raises:
        DatasetError: `prepare` lost videos, but its folder does not say which.
    """
    if index_file.name != INDEX_FILE:
        return None
    kept, counts = (index_file.with_name(n) for n in (WITHOUT_CROPS_FILE, COVERAGE_FILE))
    if kept.is_file():
        return read_index(kept)
    if not counts.is_file():
        return None
    lost = json.loads(counts.read_text("utf-8"))["total"]["videos_without_crops"]
    if lost:
        raise DatasetError(
            f"{lost} videos gave no crop, but {index_file.parent} has no {WITHOUT_CROPS_FILE}.",
            "Run the same `unmask prepare` again: it keeps the crops and writes the list.",
        )
    return None
