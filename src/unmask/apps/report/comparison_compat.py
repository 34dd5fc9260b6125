"""The part of a comparison's page that shows how much flawed evaluations would have inflated it."""

from __future__ import annotations

from collections.abc import Sequence

from unmask.apps.report import numbers
from unmask.apps.report.comparison_blocks import (
    Block,
    Cell,
    Facts,
    Row,
    Section,
    Table,
    Words,
)
from unmask.apps.report.comparison_numbers import Footnotes, fixed
from unmask.evaluation.compat_files import CompatFile, CompatRun
from unmask.evaluation.compat_row import PRACTICES, Variant

NAMES: dict[Variant, str] = {
    "first_frames": "First frames",
    "merged_videos": "Merged video ids",
    "test_selected": "Checkpoint chosen on the test",
    "dropped_faces": "Missing faces left out",
    "half_scored": "Missing faces scored 0.5",
    "frame_as_video": "Frame AUC as video AUC",
}


def compat_section(compat: CompatFile | None) -> Section | None:
    """Inflation by practice, arm and test, and every number behind it; None without --compat."""
    if compat is None:
        return None
    blocks: list[Block] = [
        Words(
            "Nothing here is a result. Each practice below has been used for published numbers; "
            "it is applied to the scores of this comparison, and the inflation is its AUC less the "
            "honest one. An inflation near zero says that the practice did no harm here, not that "
            "it is sound.",
            notice=True,
        ),
        Facts(tuple((NAMES[variant], said) for variant, said in PRACTICES.items())),
        Words(
            f"First frames: {numbers.count(compat.frames)} of each video. Intervals: "
            f"{numbers.percent(compat.level)}, {numbers.count(compat.draws)} draws of clusters."
        ),
    ]
    for name in dict.fromkeys(run.set for run in compat.runs):
        runs = [run for run in compat.runs if run.set == name]
        blocks += [_summary(name, runs), _rows(name, runs)]
    return Section("compat", "What flawed evaluations would report", tuple(blocks))


def _summary(name: str, runs: Sequence[CompatRun]) -> Table:
    """Mean inflation over the seeds; why there is none, where that is so."""
    notes = Footnotes()
    rows = []
    for arm in dict.fromkeys(run.arm for run in runs):
        cells = []
        for k in range(len(NAMES)):
            found = [run.rows[k].inflation for run in runs if run.arm == arm]
            values = [one.value for one in found if one.value is not None]
            reasons = dict.fromkeys(
                one.reason for one in found if one.value is None and one.reason is not None
            )
            marks = " ".join(f"({notes.mark(reason)})" for reason in reasons)
            mean = fixed(sum(values) / len(values), True) if values else numbers.NONE
            cells.append(Cell(mean, marks))
        rows.append(Row(arm, tuple(cells)))
    caption = f"Inflation of the AUC on {name}, mean over seeds"
    return Table(caption, ("Arm", *NAMES.values()), tuple(rows), notes=notes.notes)


def _rows(name: str, runs: Sequence[CompatRun]) -> Table:
    notes = Footnotes()
    rows = []
    for run in runs:
        for row in run.rows:
            covered = numbers.NONE if row.coverage is None else fixed(row.coverage)
            cells = (
                Cell(str(run.seed)),
                Cell(NAMES[row.variant], numeric=False),
                notes.cell(row.honest),
                notes.cell(row.flawed),
                notes.cell(row.inflation, sign=True),
                notes.cell(row.best),
                Cell(covered),
                Cell(row.detail or numbers.NONE, numeric=False),
            )
            rows.append(Row(run.arm, cells))
    columns = (
        *("Arm", "Seed", "Practice", "Honest", "Flawed", "Inflation"),
        *("At best", "Coverage", "Counted"),
    )
    return Table(
        f"Every practice on every run, {name}",
        columns,
        tuple(rows),
        tight=True,
        folded=f"Every run, {name}",
        notes=notes.notes,
    )
