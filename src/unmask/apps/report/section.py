"""What a report shows of one input: a row of the table, and a section with its evidence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unmask.apps.report import charts, numbers, pictures, record, text
from unmask.results import Result

if TYPE_CHECKING:
    from unmask.inference.explain import Evidence

MAX_KEY_FRAMES = 4
MAX_FACES = 6
LONG_COMMAND = 400
"""Characters from which on a command is shown once per report, not once per input."""


@dataclass(frozen=True, slots=True)
class Row:
    """An input's row in the table of all inputs."""

    number: int
    name: str
    folder: str
    group: str
    score: str
    remark: str
    linked: bool


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame with the faces that were scored in it."""

    picture: pictures.Picture
    heading: str
    face_ids: tuple[int, ...]

    @property
    def alt(self) -> str:
        """What the picture shows, for those who do not see it."""
        faces = ", ".join(f"face {n}" for n in self.face_ids)
        return f"{self.heading} with a box around {faces}" if faces else self.heading


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """The pictures and the chart of one face in one frame."""

    heading: str
    crop: pictures.Picture
    heat: pictures.Picture
    residual: pictures.Picture
    residual_note: str
    bands: charts.Bands | None
    bands_note: str


@dataclass(frozen=True, slots=True)
class Section:
    """Everything a template needs to draw one input."""

    number: int
    name: str
    result: Result
    group: str
    finding: str
    notes: Sequence[text.Note]
    warning: str | None
    message: Sequence[str]
    scale: charts.Scale | None
    timeline: charts.Timeline | None
    key_frames: Sequence[KeyFrame]
    faces: Sequence[FaceEvidence]
    left_out: Sequence[str]
    facts: Sequence[tuple[str, str, bool]]
    command: str | None
    verify: str
    recorded: str


def row(number: int, result: Result, linked: bool) -> Row:
    """The row of input `number`; `linked` where the input has a section."""
    folder, name = os.path.split(result.input.path)
    if result.status == "scored":
        remark = numbers.plural(len(result.faces), "face")
        if result.reasons:
            remark += f"; {', '.join(r.replace('_', ' ') for r in result.reasons)}"
    else:
        remark = "; ".join(r.replace("_", " ") for r in result.reasons)
    group = text.group_of(result)
    return Row(number, name or folder, folder, group, numbers.score(result.score), remark, linked)


def section(
    number: int,
    result: Result,
    evidence: Sequence[Evidence],
    command: Sequence[str],
    with_pictures: bool,
) -> Section:
    """Draw what there is to show of one input.

    Args:
        number: its place among the inputs, from 1.
        result: what was found.
        evidence: what the model saw; may be empty.
        command: the command line of the scan, word by word.
        with_pictures: False leaves the pictures out, and says so.
    """
    shown = sorted(evidence, key=lambda e: (-e.score, e.face_id, e.frame.index))
    left_out = _left_out(result, shown, with_pictures)
    if not with_pictures:
        shown = []
    line = numbers.shell_line(command)
    return Section(
        number=number,
        name=os.path.basename(result.input.path) or result.input.path,
        result=result,
        group=text.group_of(result),
        finding=text.finding(result),
        notes=text.notes(result),
        warning=text.domain_warning(result),
        message=(result.message or "").splitlines(),
        scale=charts.scale(result),
        timeline=charts.timeline(result),
        key_frames=_key_frames(result, shown),
        faces=[_face(item) for item in shown[:MAX_FACES]],
        left_out=left_out,
        facts=record.facts(result),
        command=line if len(line) <= LONG_COMMAND else None,
        verify=record.verify_line(result, command),
        recorded=record.as_json(result),
    )


def _left_out(result: Result, shown: Sequence[Evidence], with_pictures: bool) -> list[str]:
    """What is not drawn, in words; nothing is left out silently."""
    if not shown:
        scored = result.status == "scored"
        return (
            ["No pictures were kept with this result; it may come from an earlier run."]
            if scored
            else []
        )
    if not with_pictures:
        return ["The pictures are left out: the report has reached the size it may take in all."]
    notes = []
    frames = len({item.frame.index for item in shown}) - MAX_KEY_FRAMES
    if frames > 0:
        notes.append(f"{numbers.plural(frames, 'further frame')} with lower scores not shown.")
    faces = len(shown) - MAX_FACES
    if faces > 0:
        notes.append(f"{numbers.plural(faces, 'further face view')} with lower scores not shown.")
    return notes


def _key_frames(result: Result, shown: Sequence[Evidence]) -> list[KeyFrame]:
    """The frames of the highest-scored evidence, in order of time."""
    frames = {item.frame.index: item.frame for item in reversed(shown)}
    first = list(dict.fromkeys(item.frame.index for item in shown))[:MAX_KEY_FRAMES]
    drawn = []
    for index in sorted(first):
        boxes = [
            (track.id, seen)
            for track in result.faces
            for seen in track.frames
            if seen.index == index
        ]
        labels = [
            pictures.Labelled(seen.box, f"Face {n}: {numbers.score(seen.score)}")
            for n, seen in boxes
        ]
        picture = pictures.key_frame(frames[index], labels)
        drawn.append(
            KeyFrame(picture, _where(frames[index].time, index), tuple(n for n, _ in boxes))
        )
    return drawn


def _where(time: float | None, index: int) -> str:
    if time is None:
        return "The picture"
    return f"Frame {numbers.count(index)} at {numbers.seconds(time)}"


def _face(item: Evidence) -> FaceEvidence:
    residual, gain = pictures.residual(item.residual)
    chart = charts.bands(item.bands, item.reference)
    place = (
        "" if item.frame.time is None else f", {_where(item.frame.time, item.frame.index).lower()}"
    )
    note = (
        text.bands_summary(chart.outside, len(chart.bands))
        if chart
        else "No reference energies of real faces are known for this model."
    )
    side = item.residual.shape[0]
    grain = f"{text.residual_gain(gain)} "
    if side > pictures.CROP_SIDE:
        cut = pictures.CROP_SIDE
        grain += f"The central {cut} × {cut} of {side} × {side} pixels, not resized. "
    return FaceEvidence(
        heading=f"Face {item.face_id}{place}: score {numbers.score(item.score)}",
        crop=pictures.crop(item.crop),
        heat=pictures.heat_layer(item.heatmap),
        residual=residual,
        residual_note=grain.rstrip(),
        bands=chart,
        bands_note=note,
    )
