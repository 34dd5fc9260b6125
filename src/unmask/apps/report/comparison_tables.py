"""The tables of a comparison's page: who is best, by how much, where, and how surely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unmask.apps.report import numbers
from unmask.apps.report.comparison_blocks import Block, Cell, Heading, Row, Section, Table, Words
from unmask.apps.report.comparison_numbers import (
    Footnotes,
    fixed,
    highest,
    interval,
    probability,
)
from unmask.evaluation.comparison.layout import SEEN, UNSEEN
from unmask.evaluation.comparison.result import ComparisonRow, Groups, MetricRow, Result

METRICS: dict[str, tuple[str, bool]] = {
    "auc": ("AUC", False),
    "average_precision": ("AP", False),
    "equal_error_rate": ("EER", True),
    "balanced_accuracy": ("Balanced accuracy", False),
    "tpr_at_fpr_1_percent": ("TPR at FPR 1%", False),
    "tpr_at_fpr_01_percent": ("TPR at FPR 0.1%", False),
    "fpr": ("FPR at threshold", True),
    "tpr": ("TPR at threshold", False),
    "ece": ("ECE", True),
    "brier": ("Brier score", True),
}
"""Field of a `MetricRow` -> heading, and whether less is better."""
UNRANKED = ("fpr", "tpr")
"""Two ends of one trade: neither alone makes an arm better."""
NO_TEST = "no test"


def main_section(result: Result) -> Section:
    """Table I and the values of the seeds."""
    blocks: list[Block] = []
    if result.absent:
        blocks.append(
            Words(
                f"{numbers.plural(len(result.absent), 'planned run')} "
                f"{'is' if len(result.absent) == 1 else 'are'} absent. An arm's numbers are means "
                "over the seeds that are there; which are not is listed under Runs.",
                notice=True,
            )
        )
    blocks += [
        Words(
            "Seen: generators of the training. Unseen: generators that no arm was trained on. "
            "Drop: AUC on seen less AUC on the set named. Best marks the highest number of a "
            "column, which need not differ from the next by more than chance; the last columns "
            f"test each arm against {result.reference} on unseen."
        ),
        _main(result),
        _seeds(result),
    ]
    return Section("main", "Table I: seen and unseen generators", tuple(blocks))


def _main(result: Result) -> Table:
    sets = _ordered(result.sets)
    notes = Footnotes()
    best = {
        s: highest(row.auc[s].mean if s in row.auc else None for row in result.main) for s in sets
    }
    others = [s for s in sets if any(s in row.drop for row in result.main)]
    tests = {row.arm: row for row in result.comparisons.rows if row.set == UNSEEN}
    rows = []
    for k, row in enumerate(result.main):
        cells = []
        for s in sets:
            mean = row.auc[s].mean if s in row.auc else None
            cells.append(notes.cell(mean, best=best[s][k]))
            if s in others:
                fall = row.drop[s].mean if s in row.drop else None
                cells.append(notes.cell(fall))
        cells += _against(tests.get(row.arm), notes)
        reference = "(reference)" if row.arm == result.reference else ""
        rows.append(Row(row.arm, tuple(cells), reference))
    columns = ["Arm"]
    for s in sets:
        columns.append(f"AUC, {s}")
        if s in others:
            columns.append("Drop" if s == UNSEEN else f"Drop, {s}")
    columns += [f"Unseen AUC less that of {result.reference}", "p, Holm", "Finding"]
    caption = f"AUC per picture, mean over seeds, with {numbers.percent(result.level)} interval"
    return Table(caption, tuple(columns), tuple(rows), notes=notes.notes)


def _ordered(sets: Iterable[str]) -> list[str]:
    """`seen` and `unseen` first, then as they come."""
    return sorted(sets, key=lambda s: (s != SEEN, s != UNSEEN))


def _against(row: ComparisonRow | None, notes: Footnotes) -> tuple[Cell, Cell, Cell]:
    if row is None:
        return Cell(numbers.NONE), Cell(numbers.NONE), Cell(numbers.NONE, numeric=False)
    return (
        notes.cell(row.difference, sign=True),
        Cell(probability(row.p_holm)),
        Cell(row.verdict or NO_TEST, numeric=False),
    )


def _seeds(result: Result) -> Table:
    rows = []
    for row in result.main:
        for s in _ordered(row.auc):
            values = {v.seed: v.value for v in row.auc[s].per_seed}
            cells = [Cell(s, numeric=False)]
            for seed in result.seeds:
                value = values.get(seed)
                cells.append(Cell(numbers.NONE if value is None else fixed(value)))
            rows.append(Row(row.arm, tuple(cells)))
    columns = ("Arm", "Set", *(f"Seed {seed}" for seed in result.seeds))
    return Table(
        "AUC of every run", columns, tuple(rows), tight=True, folded="The values of every seed"
    )


def paired_section(result: Result) -> Section:
    """Every arm against the reference on every set, and DeLong's test of every seed."""
    notes = Footnotes()
    rows, delong = [], []
    for row in result.comparisons.rows:
        cells = (
            Cell(row.set, numeric=False),
            notes.cell(row.difference, sign=True),
            Cell(probability(row.p)),
            Cell(probability(row.p_holm)),
            Cell(row.verdict or NO_TEST, numeric=False),
        )
        rows.append(Row(row.arm, cells))
        for one in row.delong:
            reason = "" if one.reason is None else f"({notes.mark(one.reason)})"
            found = (
                Cell(row.set, numeric=False),
                Cell(str(one.seed)),
                Cell(fixed(one.difference, True), interval(one.low, one.high, True)),
                Cell(probability(one.p), reason),
            )
            delong.append(Row(row.arm, found))
    columns = ("Arm", "Set", "Difference in AUC", "p", "p, Holm", "Finding")
    caption = f"AUC of an arm less that of {result.reference}"
    blocks: list[Block] = [Words(result.comparisons.note)]
    given = [row.set for row in result.comparisons.rows if row.p is not None]
    tested = max((given.count(name) for name in given), default=0)
    if tested * 2 / (1 + result.draws) > 1 - result.level:
        blocks.append(
            Words(
                f"With {numbers.count(result.draws)} draws and {numbers.plural(tested, 'test')} "
                f"the adjusted p is never below {probability(tested * 2 / (1 + result.draws))}: "
                "no difference can be found. Ask for more draws.",
                notice=True,
            )
        )
    blocks.append(Table(caption, columns, tuple(rows), notes=notes.notes))
    if delong:
        blocks.append(Words(result.comparisons.delong_note, small=True))
        blocks.append(
            Table(
                f"DeLong's test against {result.reference}, seed by seed",
                ("Arm", "Set", "Seed", "Difference in AUC", "p"),
                tuple(delong),
                tight=True,
                folded="DeLong's test of every seed",
            )
        )
    return Section("tests", "Paired tests", tuple(blocks))


def metrics_section(result: Result) -> Section:
    """All metrics; those of videos are folded."""
    blocks: list[Block] = [
        Words(
            "Means over seeds. Threshold: the one of each run, at which 5% of its validation reals "
            "are called fake. AP depends on the share of fakes in the set. ECE and Brier score are "
            "of the probability that the network itself gives."
        )
    ]
    for s in _ordered(result.sets):
        for level in ("frame", "video"):
            rows = [r for r in result.metrics if r.set == s and r.level == level]
            if rows:
                blocks.append(_metrics(s, level, rows))
    return Section("metrics", "All metrics", tuple(blocks))


def _metrics(name: str, level: str, rows: Sequence[MetricRow]) -> Table:
    notes = Footnotes()
    best = {
        field: highest((getattr(r, field) for r in rows), lowest=less)
        if field not in UNRANKED
        else [False] * len(rows)
        for field, (_, less) in METRICS.items()
    }
    lines = []
    for k, row in enumerate(rows):
        cells = [notes.cell(getattr(row, field), best=best[field][k]) for field in METRICS]
        said = " ".join(f"({notes.mark(note)})" for note in row.notes)
        lines.append(Row(row.arm, tuple(cells), said))
    unit = "picture" if level == "frame" else "video"
    size = f"{numbers.plural(rows[0].reals, 'real')}, {numbers.plural(rows[0].fakes, 'fake')}"
    return Table(
        f"Metrics per {unit}, {name} ({size})",
        ("Arm", *(label for label, _ in METRICS.values())),
        tuple(lines),
        folded="" if level == "frame" else f"Per video, {name}",
        notes=notes.notes,
    )


def groups_section(result: Result, groups: Groups, id: str, title: str, what: str) -> Section:
    """A heatmap of AUC: rows are generators or sources, columns are arms."""
    blocks: list[Block] = [Words(groups.note)]
    for s in _ordered(list(dict.fromkeys(r.set for r in groups.rows))):
        notes = Footnotes()
        rows = []
        for row in (r for r in groups.rows if r.set == s):
            cells = [Cell(numbers.count(row.reals)), Cell(numbers.count(row.fakes))]
            cells += [notes.cell(row.auc.get(arm), heat=True) for arm in result.arms]
            detail = row.manipulation is not None and row.manipulation != row.name
            rows.append(Row((row.manipulation if detail else None) or row.name, tuple(cells)))
        blocks.append(
            Table(
                f"AUC by {what}, {s}; the stronger the background, the higher",
                (what.capitalize(), "Reals", "Fakes", *result.arms),
                tuple(rows),
                notes=notes.notes,
            )
        )
    if not groups.rows:
        blocks.append(Words(f"There is no {what} with fakes and reals to tell apart."))
    return Section(id, title, tuple(blocks))


def controls_section(result: Result) -> Section:
    """What harmless changes do to real pictures, and what blur with JPEG does to all."""
    blocks: list[Block] = [
        Heading("Harmless changes of real pictures"),
        Words(
            "A real picture stays real when it is encoded again, blurred a little or cut along "
            "another pixel grid. FPR: share called fake at the run's threshold, before and after. "
            "AUC: of changed against unchanged reals; far above 0.5 the arm takes the change "
            "itself for a forgery."
        ),
    ]
    blocks += _controls(result) or [Words("No run was scored under a control.", notice=True)]
    blocks.append(Heading("Blur and JPEG"))
    blocks += _blur(result) or [Words("No run was scored under blur and JPEG.", notice=True)]
    return Section("controls", "Controls, blur and JPEG", tuple(blocks))


def _controls(result: Result) -> list[Table]:
    tables = []
    for control in dict.fromkeys(row.control for row in result.controls):
        rows = [row for row in result.controls if row.control == control]
        notes = Footnotes()
        lines = tuple(
            Row(
                row.arm,
                (
                    Cell(_listed(row.seeds)),
                    notes.cell(row.clean_fpr),
                    notes.cell(row.fpr),
                    notes.cell(row.change, sign=True),
                    notes.cell(row.auc),
                ),
            )
            for row in rows
        )
        columns = ("Arm", "Seeds", "FPR, clean", "FPR, changed", "Change", "AUC")
        caption = f"{control}: {numbers.plural(rows[0].reals, 'real')}"
        tables.append(Table(caption, columns, lines, notes=notes.notes))
    return tables


def _blur(result: Result) -> list[Table]:
    tables = []
    for name in _ordered(list(dict.fromkeys(row.set for row in result.blur_jpeg))):
        rows = [row for row in result.blur_jpeg if row.set == name]
        notes = Footnotes()
        lines = tuple(
            Row(
                row.arm,
                (
                    Cell(_listed(row.seeds)),
                    notes.cell(row.clean),
                    notes.cell(row.changed, best=best),
                    notes.cell(row.drop),
                ),
            )
            for row, best in zip(rows, highest(row.changed for row in rows), strict=True)
        )
        columns = ("Arm", "Seeds", "AUC, clean", "AUC, blur and JPEG", "Drop")
        tables.append(Table(f"Blur and JPEG, {name}", columns, lines, notes=notes.notes))
    return tables


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds)) or numbers.NONE
