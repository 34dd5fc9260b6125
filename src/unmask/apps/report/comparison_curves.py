"""The charts of a comparison's page: the robustness sweep, ROC and DET curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unmask.apps.report import numbers
from unmask.apps.report.charts import nice_ticks
from unmask.apps.report.comparison_blocks import Block, Cell, Charts, Row, Section, Table, Words
from unmask.apps.report.comparison_charts import (
    Look,
    Plot,
    Scale,
    linear_scale,
    log_scale,
    looks,
    plot,
    probit_scale,
)
from unmask.apps.report.comparison_numbers import Footnotes, fixed, highest
from unmask.evaluation.comparison.layout import UNSEEN
from unmask.evaluation.comparison.result import CurveRow, Estimate, Result
from unmask.transforms.levels import LEVELS

MANY_REALS = 1000
"""From this number on the axes of error rates begin at 0.1%, else at 1%."""
READ_AT = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5)
"""False-positive rates at which the curves are told in numbers."""
NO_CHANGE = "none"

Point = tuple[float, float]


def sweep_section(result: Result) -> Section:
    """AUC over level, one small chart per perturbation, and the means."""
    sweep = result.sweep
    blocks: list[Block] = [Words(sweep.note)]
    names = list(dict.fromkeys(r.perturbation for r in sweep.rows if r.perturbation != NO_CHANGE))
    if not names:
        blocks.append(Words("No run was scored under perturbations.", notice=True))
        return Section("sweep", "Robustness", tuple(blocks))
    if sweep.reals is not None and sweep.fakes is not None:
        blocks.append(
            Words(
                f"{numbers.plural(sweep.reals, 'real')} and {numbers.plural(sweep.fakes, 'fake')}; "
                "level 0 is the pictures as they are, 5 the strongest change."
            )
        )
    look = looks(result.arms)
    found = {(r.arm, r.perturbation, r.level): r.auc for r in sweep.rows}
    up = _auc_scale([e.value for e in found.values() if e.value is not None])
    plots = tuple(_small(result.arms, name, found, look, up) for name in names)
    caption = "AUC on unseen generators over the level of each perturbation. All share one scale."
    blocks += [
        *_means(result),
        Charts(caption, plots, _sweep_table(result, names, found), many=True),
    ]
    return Section("sweep", "Robustness", tuple(blocks))


def _auc_scale(values: Sequence[float]) -> Scale:
    low = min([0.5, *values])
    return linear_scale(nice_ticks(low, 1.0, 5, outward=True), "AUC")


def _small(
    arms: Sequence[str],
    name: str,
    found: Mapping[tuple[str, str, int], Estimate],
    look: Mapping[str, Look],
    up: Scale,
) -> Plot:
    def value(arm: str, level: int) -> float | None:
        estimate = found.get((arm, name if level else NO_CHANGE, level))
        return None if estimate is None else estimate.value

    lines = []
    for arm in arms:
        values = ((float(level), value(arm, level)) for level in range(LEVELS + 1))
        points = [(level, v) for level, v in values if v is not None]
        if points:
            lines.append((look[arm], points))
    across = linear_scale([float(k) for k in range(LEVELS + 1)], "Level", digits=0)
    return plot(lines, across, up, label=f"AUC of every arm under {name}", title=name)


def _sweep_table(
    result: Result, names: Sequence[str], found: Mapping[tuple[str, str, int], Estimate]
) -> Table:
    notes = Footnotes()
    rows = []
    for name, levels in [(NO_CHANGE, [0]), *((n, range(1, LEVELS + 1)) for n in names)]:
        for level in levels:
            cells = [notes.cell(found.get((arm, name, level))) for arm in result.arms]
            rows.append(Row(name, (Cell(str(level)), *cells)))
    columns = ("Perturbation", "Level", *result.arms)
    return Table(
        "AUC under every perturbation", columns, tuple(rows), tight=True, notes=notes.notes
    )


def _means(result: Result) -> list[Table]:
    """Of AUC, and folded of the false alarms."""
    means = {(m.arm, m.level): m for m in result.sweep.means}
    levels = sorted({level for _, level in means})
    tables = []
    for name, of, ranked in (("AUC", "auc", True), ("FPR at the run's threshold", "fpr", False)):
        notes, rows = Footnotes(), []
        found = {key: getattr(mean, of) for key, mean in means.items()}
        best = {level: highest(found.get((a, level)) for a in result.arms) for level in levels}
        for k, arm in enumerate(result.arms):
            used = {m.perturbations for (a, level), m in means.items() if a == arm and level}
            cells = [Cell(", ".join(map(str, sorted(used))) or numbers.NONE)]
            for level in levels:
                marked = ranked and best[level][k]
                cells.append(notes.cell(found.get((arm, level)), best=marked))
            rows.append(Row(arm, tuple(cells)))
        title = f"Mean {name} over all perturbations"
        columns = ("Arm", "Perturbations", *(f"Level {level}" for level in levels))
        folded = "" if ranked else title
        tables.append(Table(title, columns, tuple(rows), folded=folded, notes=notes.notes))
    return tables


def curves_section(result: Result) -> Section:
    """ROC over a logarithmic axis and DET over probit axes, of one run of each arm."""
    look = looks(result.arms)
    curves = [c for c in result.curves if len(c.fpr)]
    lacking = [c for c in result.curves if not len(c.fpr)]
    counts = result.sets.get(UNSEEN)
    lowest = 0.001 if counts and counts.reals >= MANY_REALS else 0.01
    about = (
        "Unseen generators, per picture, of the seed whose AUC is the median of its arm. The "
        f"axes begin at {numbers.percent(lowest)}; what lies below is not drawn."
    )
    blocks: list[Block] = [Words(about)]
    blocks += [Words(f"{c.arm}: {c.reason or 'no curve'}", notice=True) for c in lacking]
    if curves:
        blocks.append(_both(curves, look, lowest))
    return Section("curves", "ROC and DET curves", tuple(blocks))


def _both(curves: Sequence[CurveRow], look: Mapping[str, Look], lowest: float) -> Charts:
    shares = linear_scale((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "True-positive rate")
    guide = [(lowest ** (k / 30), lowest ** (k / 30)) for k in range(31)]
    errors = probit_scale("False-positive rate", lowest)
    roc = plot(
        [(look[c.arm], _from_lowest(c, lowest)) for c in curves],
        log_scale(lowest, "False-positive rate"),
        shares,
        label="ROC curve of every arm",
        title="ROC, logarithmic",
        guide=guide,
    )
    det = plot(
        [(look[c.arm], inside) for c in curves if (inside := _inside(c, errors))],
        errors,
        probit_scale("False-negative rate", lowest),
        label="DET curve of every arm",
        title="DET, on probit axes",
        guide=[(a, 1 - a) for a in (0.2, 0.5, 0.8)],
    )
    caption = (
        "Dashed: chance. A straight line in the right chart means that the scores of both classes "
        "are normally distributed (Martin et al. 1997)."
    )
    return Charts(caption, (roc, det), _read_table(curves))


def _from_lowest(curve: CurveRow, lowest: float) -> list[Point]:
    """From the last point left of the axis on."""
    points = list(zip(curve.fpr, curve.tpr, strict=True))
    left = [p for p in points if p[0] <= lowest]
    return left[-1:] + [p for p in points if p[0] > lowest]


def _inside(curve: CurveRow, scale: Scale) -> list[Point]:
    low, high = scale.ends
    points = zip(curve.fpr, curve.fnr, strict=True)
    return [(a, b) for a, b in points if low <= a <= high and low <= b <= high]


def _read_table(curves: Sequence[CurveRow]) -> Table:
    rows = []
    for curve in curves:
        pairs = list(zip(curve.fpr, curve.tpr, strict=True))
        cells = [Cell(str(curve.seed))]
        for limit in READ_AT:
            reached = max((t for f, t in pairs if f <= limit), default=None)
            told = Cell(numbers.NONE) if reached is None else Cell(fixed(reached))
            cells += [told, Cell(numbers.NONE if reached is None else fixed(1 - reached))]
        rows.append(Row(curve.arm, tuple(cells)))
    columns = ["Arm", "Seed"]
    for limit in READ_AT:
        columns += [f"TPR at FPR {100 * limit:g}%", f"FNR at FPR {100 * limit:g}%"]
    caption = "Highest true-positive rate at or below a false-positive rate, and the misses there"
    return Table(caption, tuple(columns), tuple(rows), tight=True)
