"""The page's table of flawed practices: means over seeds, every run, and why a number is absent."""

from __future__ import annotations

from unmask.apps.report.comparison_blocks import Table
from unmask.apps.report.comparison_compat import NAMES, compat_section
from unmask.evaluation.comparison.result import Estimate
from unmask.evaluation.compat_files import CompatFile, CompatRun
from unmask.evaluation.compat_row import PRACTICES, CompatRow, Variant, absent_row


def sure(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=value + 0.01)


def row(variant: Variant, honest: float, flawed: float) -> CompatRow:
    return CompatRow(
        variant=variant,
        practice=PRACTICES[variant],
        honest=sure(honest),
        flawed=sure(flawed),
        inflation=sure(flawed - honest),
        ranked=(4, 2),
        detail="4 videos become 2",
    )


def run(seed: int, flawed: float, set_name: str = "unseen") -> CompatRun:
    rows = [
        row(v, 0.7, flawed) if v == "merged_videos" else absent_row(v, "stills only") for v in NAMES
    ]
    return CompatRun(arm="airl", seed=seed, set=set_name, rows=tuple(rows))


def test_inflation_is_a_mean_over_seeds_and_the_runs_follow() -> None:
    runs = (run(0, 0.8), run(1, 0.9), run(0, 0.75, "seen"))
    section = compat_section(
        CompatFile(frames=8, draws=100, seed=0, level=0.95, runs=runs, files={})
    )
    assert section is not None
    unseen, folded, seen, _ = [b for b in section.blocks if isinstance(b, Table)]
    (line,) = unseen.rows
    column = unseen.columns.index("Merged video ids") - 1
    assert line.cells[column].text == "+0.150"  # of 0.1 and 0.2
    assert seen.rows[0].cells[column].text == "+0.050"
    for place, cell in enumerate(line.cells):
        if place != column:
            assert (cell.text, cell.extra) == ("–", "(a)")
    assert unseen.notes == ("(a) stills only",)
    assert folded.folded
    assert len(folded.rows) == 2 * len(NAMES)
    said = [cell.text for cell in folded.rows[1].cells]
    assert said[:5] == ["0", "Merged video ids", "0.700", "0.800", "+0.100"]


def test_without_compat_there_is_no_section() -> None:
    assert compat_section(None) is None
