"""Real faces to a data set of forgeries with exact masks, and its index.

The folder that `synthesize` fills:

    settings.json     what decides how the forgeries come out, with its hash
    real/             the face crops, through the same chain as their forgeries
    <family>/         the forgeries, under the names of the faces they were made from
    masks/<family>/   white where manipulated
    faces.jsonl, forgeries.jsonl   what is finished: a killed run continues from here
    synthesis.json    settings, versions, counts, and every forgery that was not made, with reason
    index.parquet     a row per picture
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from unmask.data.atomic import replace_text
from unmask.data.forging.forgery import Forged, Found, Settings, Task
from unmask.data.forging.plan import Input, inputs_of, plan_of
from unmask.data.forging.reals import drawn
from unmask.data.forging.report import Report, write_report
from unmask.data.forging.workers import Crew, Setup
from unmask.data.index import INDEX_FILE, Index, index_of, video_id, write_index
from unmask.data.record_log import RecordLog
from unmask.errors import DatasetError
from unmask.media import Limits
from unmask.synthesis.families import parse_family

DATASET = "synthetic"
SETTINGS_FILE = "settings.json"
GALLERY_FILE = "gallery.html"
"""May be there before: it is made by itself too."""
FACES_FILE, FORGERIES_FILE = "faces.jsonl", "forgeries.jsonl"

Progress = Callable[[str, int, int], None]
"""(what is being done, how many of it are done, of how many)"""


@dataclass(frozen=True, slots=True)
class Synthesized:
    """What came of it.

    Attributes:
        index: the table's file; None when not a single forgery was made.
        report: counts, and what was not made.
    """

    index: Path | None
    report: Report


R = TypeVar("R", Found, Forged)


def synthesize(
    reals: Index,
    out: Path,
    settings: Settings,
    *,
    resume: bool = False,
    jobs: int = 1,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Synthesized:
    """Make forgeries of every real face of an index.

    The same pictures and settings give the same files, byte for byte, in whatever order and by
    however many processes they are made, and however often the run was killed in between. A
    forgery's random numbers depend on the seed, its family and the bytes of its picture; a second
    person's face is that of another identity of the same source and split.

    Args:
        reals: of `read_reals`.
        out: folder to fill; new or empty, or with `resume` of an earlier run with equal settings.
        settings: what to make and how.
        resume: continue, and try again what may have failed for a passing reason.
        jobs: processes.
        limits: what decoding one picture may cost.
        progress: is told of every finished piece.

    Raises:
        DatasetError: `out` holds something else, other settings or, without `resume`, an earlier
            run; or cannot be written.
        UnmaskError: a process died.
    """
    claim(out, settings, resume=resume)
    tell = progress or (lambda what, done, total: None)
    inputs = inputs_of(drawn(reals, settings.limit, settings.seed))
    setup = Setup(settings, out.absolute(), limits or Limits())
    with Crew(setup, jobs) as crew:
        with _log(out / FACES_FILE, Found) as faces:
            fresh = [i.source for i in inputs if not _looked(faces, i)]
            for done, found in enumerate(crew.do(fresh), 1):
                faces.append(cast(Found, found))
                tell("faces", done, len(fresh))
            known = [faces.records[i.source.name] for i in inputs]
        plan = plan_of(inputs, known, settings)
        with _log(out / FORGERIES_FILE, Forged) as forgeries:
            tasks = [task for task in plan.tasks if not _forged(forgeries, task, out)]
            for done, forged in enumerate(crew.do(tasks), 1):
                forgeries.append(cast(Forged, forged))
                tell("forgeries", done, len(tasks))
            records = [forgeries.records[task.face.source.name] for task in plan.tasks]
    report = Report.of(settings, inputs, known, plan, records)
    write_report(out, report)
    return Synthesized(_write_table(inputs, records, settings, out), report)


def _looked(log: RecordLog[Found], given: Input) -> bool:
    record = log.records.get(given.source.name)
    return record is not None and record.final and record.key == given.source.key()


def _forged(log: RecordLog[Forged], task: Task, out: Path) -> bool:
    record = log.records.get(task.face.source.name)
    if record is None or not record.final or record.key != task.key:
        return False
    return all((out / file).is_file() for file in record.files)


def claim(out: Path, settings: Settings, *, resume: bool) -> None:
    """Make `out` the folder of one synthesis, or see that it is the one to continue.

    Raises:
        DatasetError: see `synthesize`.
    """
    path = out / SETTINGS_FILE
    wanted: dict[str, Any] = settings.model_dump(mode="json")
    content = {"sha256": settings.sha256, "settings": wanted}
    try:
        if not path.is_file():
            _check_empty(out)
            out.mkdir(parents=True, exist_ok=True)
            replace_text(path, json.dumps(content, indent=1) + "\n")
            return
    except OSError as error:
        raise DatasetError(f"{out} cannot be written: {error}.", "Choose another OUT.") from error
    if not resume:
        raise DatasetError(
            f"{out} holds an earlier synthesis.",
            "Nothing was written. Continue it with --resume, or choose another OUT.",
        )
    try:
        found = json.loads(path.read_text("utf-8"))["settings"]
        names = [name for name, value in wanted.items() if found.get(name) != value]
        told = [f"{name} {found.get(name)} there, {wanted[name]} here" for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is damaged: {error}.", "Choose another OUT.") from error
    if told:
        raise DatasetError(
            f"{out} was made with other settings: {'; '.join(told)}.",
            "Nothing was written. Choose another OUT, or repeat the settings of this one.",
        )


def _check_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(e.name != GALLERY_FILE for e in out.iterdir())):
        raise DatasetError(
            f"{out} is not empty, and not a folder of `unmask synthesize`: it has no "
            f"{SETTINGS_FILE}.",
            "Nothing was written. Choose another OUT.",
        )


def _log(path: Path, kind: type[R]) -> RecordLog[R]:
    return RecordLog(path, kind, name=lambda record: record.name, command="unmask synthesize")


def _write_table(
    inputs: Sequence[Input], records: Sequence[Forged], settings: Settings, out: Path
) -> Path | None:
    """A row for every picture, in the order of the inputs; no file where there is no forgery."""
    path = out / INDEX_FILE
    by_name = {given.source.name: given for given in inputs}
    rows = [row for record in records if record.real for row in _rows(record, by_name, settings)]
    if not rows:
        path.unlink(missing_ok=True)
        return None
    write_index(index_of(out, rows), path)
    return path


def _rows(record: Forged, inputs: dict[str, Input], settings: Settings) -> list[dict[str, Any]]:
    """The real face and its forgeries; who is in a forgery of two people is both of them.

    That holds for a learned person too, whose looks a family brings along.
    """
    given = inputs[record.name]
    video, people = given.row["video_id"], given.source.people
    common = {
        "frame": given.row["frame"],
        "dataset": DATASET,
        "source": given.row["source"],
        "split": given.row["split"],
        "landmarks": list(record.five),
        "box": given.row["box"] if record.box is None else list(record.box),
        "width": record.side[0],
        "height": record.side[1],
        "codec": settings.encode,
        "quality": settings.quality if settings.encode == "jpeg" else None,
    }
    rows: list[dict[str, Any]] = [
        {
            **common,
            "video_id": video_id(DATASET, "", "", video),
            "path": record.real,
            "label": 0,
            "identities": [_whole(name, given.row) for name in people],
        }
    ]
    for made in record.made:
        stem = f"{video}#{made.number + 1}" if made.number else video
        others = inputs[made.donor].source.people if made.donor else ()
        if made.painted:
            others = (parse_family(made.family)[0].painted[made.painted][0],)
        rows.append(
            {
                **common,
                "video_id": video_id(DATASET, made.family, "", stem),
                "path": made.path,
                "label": 1,
                "manipulation": made.family,
                "mask_path": made.mask_path,
                "identities": [_whole(name, given.row) for name in (*people, *others)],
            }
        )
    return rows


def _whole(name: str, row: Mapping[str, Any]) -> str:
    """A person's name with the data set they belong to, so that a protocol knows them again."""
    return name if "/" in name else f"{row['dataset']}/{name}"
