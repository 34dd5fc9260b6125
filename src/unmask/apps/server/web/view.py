"""What the pages show of a job: a row of a table, and a result with its player and timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.apps.cli.backend import DEFAULT_MODEL
from unmask.apps.report import charts, numbers, record, text
from unmask.apps.server.contract import Job
from unmask.apps.server.model import OwnThresholds
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.web import words
from unmask.media.formats import VIDEO_FORMATS
from unmask.results import FaceTrack, Result


@dataclass(frozen=True, slots=True)
class Row:
    """A job in a table.

    Attributes:
        number: from 1, in the order of submission.
        group: key of `text.GROUPS`, or the job's state where there is no result.
        label: the same for people.
        icon: key of the shape beside the label, "" where there is none.
        value: the score to sort by; -1 where there is none.
    """

    number: int
    job: Job
    group: str
    label: str
    icon: str
    score: str
    value: float
    remark: str
    page: str


def row(number: int, job: Job) -> Row:
    """The row of a job."""
    result = job.result
    if result is None:
        label, remark = words.COMMON["states"][job.state], job.message or ""
        return Row(number, job, job.state, label, "", numbers.NONE, -1.0, remark, page_of(job))
    group = text.group_of(result)
    return Row(
        number,
        job,
        group,
        text.GROUPS[group],
        group,
        numbers.score(result.score),
        -1.0 if result.score is None else result.score,
        _remark(result),
        page_of(job),
    )


def page_of(job: Job) -> str:
    """Where a job is shown: the result once there is one."""
    return f"/results/{job.id}" if job.result is not None else f"/jobs/{job.id}"


def _remark(result: Result) -> str:
    reasons = "; ".join(reason.replace("_", " ") for reason in result.reasons)
    if result.status != "scored":
        return reasons
    faces = numbers.plural(len(result.faces), "face")
    return f"{faces}; {reasons}" if reasons else faces


@dataclass(frozen=True, slots=True)
class ResultView:
    """A result as the Result page draws it; `charts.html.j2` reads `number` and `result`."""

    number: int
    job: Job
    result: Result
    group: str
    finding: str
    warning: str | None
    notes: Sequence[text.Note]
    message: Sequence[str]
    scale: charts.Scale | None
    timeline: charts.Timeline | None
    facts: Sequence[tuple[str, str, bool]]
    scan_line: str
    verify_line: str
    recorded: str
    data: dict[str, Any]

    @property
    def is_clip(self) -> bool:
        """Whether the file moves."""
        return self.job.format in VIDEO_FORMATS


def result_view(
    job: Job, result: Result, settings: ServerSettings, own: OwnThresholds | None = None
) -> ResultView:
    """Everything the Result page needs.

    Args:
        job: that was done.
        result: of it.
        settings: of the service.
        own: thresholds of its calibration, if it has one.
    """
    options = _options(result, settings, own)
    command = ["unmask", "scan", "--out", "repeated.jsonl", *options]
    command += [*(["--"] if job.name.startswith("-") else []), job.name]
    drawn = charts.timeline(result)
    return ResultView(
        number=1,
        job=job,
        result=result,
        group=text.group_of(result),
        finding=text.finding(result),
        warning=text.domain_warning(result),
        notes=text.notes(result),
        message=(result.message or "").splitlines(),
        scale=charts.scale(result),
        timeline=drawn,
        facts=record.facts(result),
        scan_line=numbers.shell_line(command),
        verify_line=record.verify_line(result, options),
        recorded=record.as_json(result),
        data=player_data(job, result, drawn),
    )


def _options(result: Result, settings: ServerSettings, own: OwnThresholds | None) -> list[str]:
    """The options that scan the same file with the same settings."""
    frames = result.run.max_frames if result.run else None
    options = ["--max-frames", str(frames)] if frames else []
    if settings.model != DEFAULT_MODEL:
        options += ["--model", Path(settings.model).name]  # where it lies is the service's affair
    return options + _calibration_option(result, settings, own)


def _calibration_option(
    result: Result, settings: ServerSettings, own: OwnThresholds | None
) -> list[str]:
    """The option that repeats a result, unless it was judged before the service got its file."""
    if own is None or settings.calibration is None:
        return []
    limits = result.threshold
    used = (own.decision.flag, own.decision.clear, own.decision.measured_on)
    if limits is not None and (limits.flag, limits.clear, limits.measured_on) != used:
        return []
    return ["--calibration", settings.calibration.name]


def player_data(job: Job, result: Result, drawn: charts.Timeline | None) -> dict[str, Any]:
    """What the player's scripts need: boxes and points, with their words.

    `x` and `y` of a frame are its place in the timeline; null where it has none there.
    """
    looks = {line.face_id: line for line in drawn.lines} if drawn else {}
    return {
        "id": job.id,
        "width": result.input.width,
        "height": result.input.height,
        "faces": [
            {
                "id": track.id,
                "score": numbers.score(track.score),
                "colour": looks[track.id].colour if track.id in looks else k % len(charts.SHAPES),
                "frames": _frames(track, drawn if track.id in looks else None),
            }
            for k, track in enumerate(result.faces)
        ],
    }


def _frames(track: FaceTrack, drawn: charts.Timeline | None) -> list[dict[str, Any]]:
    return [
        {
            "index": frame.index,
            "t": frame.t,
            "time": numbers.seconds(frame.t),
            "box": frame.box,
            "score": numbers.score(frame.score),
            "quality": text.quality(frame.quality),
            "x": drawn.x.at(frame.t) if drawn and frame.t is not None else None,
            "y": drawn.y.at(frame.score) if drawn and frame.t is not None else None,
        }
        for frame in sorted(track.frames, key=lambda f: (f.t or 0.0, f.index))
    ]
