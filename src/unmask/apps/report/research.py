"""The page of a research loop: candidates ranked by the family they do worst on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unmask import __version__
from unmask.apps.report import numbers
from unmask.apps.report.comparison import PAGE, check_page, render_sections
from unmask.apps.report.comparison_blocks import Cell, Facts, Row, Section, Table, Words, shade
from unmask.apps.report.comparison_numbers import fixed, interval
from unmask.data.atomic import replace_text
from unmask.evaluation.leave_out import DRAWS, FPR, LEVEL, CandidateRow

_CONTROL = "control/"


def write_research(
    out: Path,
    rows: Sequence[CandidateRow],
    *,
    budget: str,
    folds: Mapping[str, Sequence[str]],
    split: str,
) -> Path:
    """Write OUT/index.html, whole or not at all.

    Args:
        out: the loop's folder.
        rows: best first.
        budget: what every candidate was given.
        folds: name -> families left out.
        split: which pictures were scored.

    Returns:
        The page's path.

    Raises:
        ConfigError: OUT/index.html is there and is not such a page.
    """
    path = out / PAGE
    check_page(path)
    counts = (numbers.plural(len(rows), "candidate"), f"{split} split", f"unmask {__version__}")
    page = render_sections(
        [_ranking(rows), _asked(rows, budget, folds), _families(rows), _controls(rows)],
        title="Families left out of training",
        dateline=" · ".join(counts),
        footer=f"End of the page. unmask {__version__}.",
    )
    replace_text(path, page)
    return path


def _ranking(rows: Sequence[CandidateRow]) -> Section:
    columns = (
        *("Candidate", "Worst TPR", "Worst family", "Mean TPR", "Mean AUC", "Worst AUC"),
        *("Trained AUC", "Blurred flagged", "Parameters", "Training"),
    )
    lines = tuple(
        Row(
            row.name,
            (
                Cell(fixed(row.worst_tpr)),
                Cell(row.worst_family, numeric=False),
                Cell(fixed(row.mean_tpr)),
                Cell(fixed(row.mean_auc), interval(row.low, row.high)),
                Cell(fixed(row.worst_auc)),
                Cell(fixed(row.trained_auc)),
                Cell(numbers.percent(row.flagged.get(f"{_CONTROL}blurred", 0.0))),
                Cell(numbers.count(row.parameters)),
                Cell(numbers.seconds(row.seconds)),
            ),
            row.summary,
        )
        for row in rows
    )
    words = Words(
        f"Ranked by TPR on the worst family left out, at a threshold that at most "
        f"{numbers.percent(FPR)} of the reals reach: as they are, re-encoded, blurred, or with "
        "their grid shifted, whichever is strictest. Mean AUC: of the families left out, with its "
        f"{numbers.percent(LEVEL)} interval ({numbers.count(DRAWS)} draws of people). Blurred "
        "flagged: share of blurred reals at or above the threshold of clean ones."
    )
    return Section("ranking", "Ranking", (words, Table("Candidates, best first", columns, lines)))


def _asked(
    rows: Sequence[CandidateRow], budget: str, folds: Mapping[str, Sequence[str]]
) -> Section:
    facts = [("Budget", budget)]
    facts += [(f"Fold {name} leaves out", ", ".join(left)) for name, left in folds.items()]
    facts.append(("Runs", numbers.count(sum(row.runs for row in rows))))
    return Section("asked", "What was asked", (Facts(tuple(facts)),))


def _families(rows: Sequence[CandidateRow]) -> Section:
    blocks = []
    for part, said in (("left_out", "left out of training"), ("trained", "trained on")):
        names = sorted({f.family for row in rows for f in row.families if f.part == part})
        for measure in ("auc", "tpr"):
            lines = []
            for row in rows:
                found = {f.family: f for f in row.families if f.part == part}
                values = [getattr(found[n], measure) if n in found else None for n in names]
                low = 0.5 if measure == "auc" else 0.0
                cells = tuple(
                    Cell(numbers.NONE if v is None else fixed(v),
                         shade=None if v is None else shade(v, low))
                    for v in values
                )  # fmt: skip
                lines.append(Row(row.name, cells))
            what = "AUC" if measure == "auc" else "TPR at the fixed threshold"
            caption = f"{what}, families {said}"
            blocks.append(Table(caption, ("Candidate", *names), tuple(lines), tight=True))
    return Section("families", "Family by family", tuple(blocks))


def _controls(rows: Sequence[CandidateRow]) -> Section:
    controls = list(dict.fromkeys(name for row in rows for name in row.flagged))
    sources = list(dict.fromkeys(name for row in rows for name in row.source_auc))
    flagged = tuple(
        Row(row.name, tuple(Cell(numbers.percent(row.flagged.get(c, 0.0))) for c in controls))
        for row in rows
    )
    apart = tuple(
        Row(row.name, tuple(Cell(fixed(row.source_auc[s])) for s in sources)) for row in rows
    )
    heads = tuple(name.removeprefix(_CONTROL) for name in controls)
    blocks = [
        Table("Reals flagged at 5% of clean reals", ("Candidate", *heads), flagged, tight=True),
        Table(
            "Each source of reals against the other reals: AUC, near 0.5 where sources are alike",
            ("Candidate", *sources),
            apart,
            tight=True,
        ),
    ]
    return Section("controls", "Reals that must pass", tuple(blocks))
