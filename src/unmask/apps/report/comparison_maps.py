"""The parts of a comparison's page on maps and on decisions at a threshold, of an LAE's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask.apps.report import numbers
from unmask.apps.report.comparison_blocks import (
    Block,
    Pictures,
    Row,
    Section,
    Shown,
    Table,
    Words,
)
from unmask.apps.report.comparison_blocks import Cell as TableCell
from unmask.apps.report.comparison_numbers import Footnotes, highest, probability
from unmask.apps.report.pictures import Picture, of_file
from unmask.evaluation.comparison.measured import DECISIONS, LOCALIZATION, MeasuredFile

NAMES = {
    "iou": "IoU",
    "pixel_ap": "Pixel AP",
    "pointing_game": "Pointing game",
    "energy_in_mask": "Energy in mask",
    "mask_share": "Share of the mask",
    "energy_of_fakes": "Energy, fakes",
    "energy_of_reals": "Energy, reals",
    "reals_marked": "Reals marked",
    "auc": "AUC",
    "accuracy/zero": "Accuracy at 0",
    "balanced_accuracy/zero": "Balanced at 0",
    "accuracy/validation": "Accuracy",
    "balanced_accuracy/validation": "Balanced",
    "accuracy/fpr_5_percent": "Accuracy at 5% FPR",
    "balanced_accuracy/fpr_5_percent": "Balanced at 5% FPR",
}
"""Measure -> heading of its column."""
_UNRANKED = {"mask_share", "energy_of_fakes"}
_LOWER = {"energy_of_reals", "reals_marked"}
SAMPLES = "samples"
_SHOWN = (
    "The same test pictures for all: two forgeries of the kind that was trained on, two of the "
    "unseen kind, and a real. Columns: picture, reconstruction, map, and mask."
)


@dataclass(frozen=True, slots=True)
class MapFiles:
    """What a comparison of LAEs has beside its tables.

    Attributes:
        localization, decisions: the files of these names; None where there is none.
        samples: arm -> test pictures with their maps.
    """

    localization: MeasuredFile | None
    decisions: MeasuredFile | None
    samples: Mapping[str, Picture]

    @classmethod
    def read(cls, out: Path) -> MapFiles | None:
        """Those of a comparison's folder; None where it has neither file.

        Raises:
            DatasetError: a file does not follow its schema, or a sample is no picture.
        """
        files = [MeasuredFile.read(out / name) for name in (LOCALIZATION, DECISIONS)]
        if not any(files):
            return None
        samples = {path.stem: of_file(path) for path in sorted((out / SAMPLES).glob("*.jpg"))}
        return cls(files[0], files[1], samples)


def maps_section(
    measured: MeasuredFile | None, samples: Mapping[str, Picture] | None = None
) -> Section | None:
    """How much of the maps lies where the forgery is; None for a comparison without maps.

    Args:
        measured: localization.json.
        samples: arm -> its picture of test items with their maps.
    """
    if measured is None:
        return None
    blocks = [Words(measured.about), *_tables(measured)]
    if samples:
        blocks.append(_pictures(samples))
    return Section("maps", "Where the maps lie", tuple(blocks))


def decisions_section(measured: MeasuredFile | None) -> Section | None:
    """Accuracy at fixed thresholds; None for a comparison without it."""
    if measured is None:
        return None
    blocks = (Words(measured.about), *_tables(measured))
    return Section("decisions", "Decisions at a threshold", blocks)


def _tables(measured: MeasuredFile) -> list[Block]:
    blocks: list[Block] = [
        Words(
            f"{measured.intervals} Here: {numbers.percent(measured.level)} intervals, "
            f"{numbers.count(measured.draws)} draws. Differences are paired; p is adjusted by "
            "Holm over the pairs of a measure and set.",
            small=True,
        )
    ]
    for name in dict.fromkeys(row.set for row in measured.rows):
        measures = tuple(dict.fromkeys(r.measure for r in measured.rows if r.set == name))
        blocks += [_values(measured, name, measures), _differences(measured, name)]
    return blocks


def _values(measured: MeasuredFile, name: str, measures: Sequence[str]) -> Table:
    notes = Footnotes()
    columns = []
    for measure in measures:
        found = [measured.row(name, measure, arm) for arm in measured.arms]
        best = highest(found, lowest=measure in _LOWER)
        columns.append(
            [
                notes.cell(row, best=top and measure not in _UNRANKED)
                for row, top in zip(found, best, strict=True)
            ]
        )
    rows = tuple(
        Row(arm, tuple(column[k] for column in columns)) for k, arm in enumerate(measured.arms)
    )
    heads = tuple(NAMES.get(measure, measure) for measure in measures)
    return Table(f"On {name}, mean over seeds", ("Arm", *heads), rows, notes=notes.notes)


def _differences(measured: MeasuredFile, name: str) -> Table:
    notes = Footnotes()
    rows = tuple(
        Row(
            f"{gap.arm} less {gap.less}",
            (
                TableCell(NAMES.get(gap.measure, gap.measure), numeric=False),
                notes.cell(gap, sign=True),
                TableCell(probability(gap.p_holm)),
            ),
        )
        for gap in measured.differences
        if gap.set == name
    )
    return Table(
        f"Differences on {name}",
        ("Pair", "Measure", "Difference", "p"),
        rows,
        tight=True,
        folded=f"All differences on {name}",
        notes=notes.notes,
    )


def _pictures(samples: Mapping[str, Picture]) -> Pictures:
    shown = tuple(
        Shown(picture, f"Test pictures with the maps of {arm}", arm)
        for arm, picture in samples.items()
    )
    return Pictures(_SHOWN, shown)
