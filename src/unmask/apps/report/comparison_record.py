"""What a comparison's page says about how it came about: the question, the runs, the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unmask.apps.report import numbers
from unmask.apps.report.comparison_blocks import (
    Block,
    Cell,
    Code,
    Facts,
    Heading,
    Row,
    Section,
    Table,
    Words,
)
from unmask.apps.report.comparison_numbers import fixed
from unmask.evaluation.comparison.result import Result
from unmask.evaluation.comparison.scores import Facts as RunFacts

VERIFY = "unmask benchmark --verify OUT"


def asked_section(result: Result, budget: Mapping[str, str]) -> Section:
    """Protocol, arms, seeds, budget, test sets."""
    facts = [
        ("Protocol", result.protocol),
        ("Arms", ", ".join(result.arms)),
        ("Reference", result.reference),
        ("Seeds", ", ".join(map(str, result.seeds))),
        *budget.items(),
        ("Intervals", result.intervals),
        ("Bootstrap", f"{numbers.count(result.draws)} draws, seed {result.seed}"),
    ]
    rows = tuple(
        Row(name, tuple(Cell(numbers.count(n)) for n in (c.reals, c.fakes, c.videos, c.clusters)))
        for name, c in result.sets.items()
    )
    columns = ("Set", "Reals", "Fakes", "Videos or stills", "People or other clusters")
    blocks: list[Block] = [Facts(tuple(facts)), Table("Test sets", columns, rows)]
    return Section("asked", "What was asked", tuple(blocks))


def runs_section(result: Result, runs: Sequence[RunFacts]) -> Section:
    """Absent runs, facts of those that are there, and how many items each has scored."""
    blocks: list[Block] = []
    if result.absent:
        rows = tuple(Row(a.arm, (Cell(str(a.seed)),)) for a in result.absent)
        table = Table("Planned runs that are absent", ("Arm", "Seed"), rows)
        blocks += [Words("These runs were planned and are not there.", notice=True), table]
    else:
        blocks.append(Words("Every planned run is there."))
    if runs:
        blocks.append(_runs(runs))
    short = [c for c in result.coverage if c.scored < c.listed]
    if short:
        names = ", ".join(f"{c.arm} (seed {c.seed})" for c in short)
        blocks.append(Words(f"Not all test items were scored by {names}.", notice=True))
    rows = tuple(
        Row(
            c.arm, (Cell(str(c.seed)), Cell(numbers.count(c.listed)), Cell(numbers.count(c.scored)))
        )
        for c in result.coverage
    )
    columns = ("Arm", "Seed", "Listed", "Scored")
    title = "Test items listed and scored"
    blocks.append(Table(title, columns, rows, tight=True, folded="Items scored by every run"))
    return Section("runs", "Runs", tuple(blocks))


def _runs(runs: Sequence[RunFacts]) -> Table:
    rows = tuple(
        Row(
            run.arm,
            (
                Cell(str(run.seed)),
                Cell(numbers.count(run.parameters)),
                Cell(fixed(run.val_auc)),
                Cell(str(run.best_epoch)),
                Cell(fixed(run.threshold)),
                Cell(numbers.seconds(run.seconds)),
            ),
        )
        for run in runs
    )
    columns = (
        "Arm",
        "Seed",
        "Parameters",
        "Validation AUC",
        "Best epoch",
        "Threshold (logit)",
        "Training time",
    )
    return Table("Runs", columns, rows, tight=True)


def verify_section(result: Result, runs: Sequence[RunFacts]) -> Section:
    """The command that repeats the tables, and the digests of everything they rest on."""
    blocks: list[Block] = [
        Words(
            "All tables can be computed again from the scores. OUT is the folder in which this "
            "page lies; the command checks the files and compares every number."
        ),
        Code(VERIFY, "Command that verifies this page"),
    ]
    if runs:
        blocks += [Heading("Configurations and weights (SHA-256)"), _digests(runs)]
    if result.files:
        rows = tuple(Row(path, (_code(digest),)) for path, digest in result.files.items())
        blocks += [
            Heading("Files"),
            Table(
                "SHA-256 of the files that this page was computed from",
                ("File", "SHA-256"),
                rows,
                tight=True,
                folded=numbers.plural(len(rows), "file") + " with SHA-256",
            ),
        ]
    return Section("verify", "How to verify this page", tuple(blocks))


def _code(text: str) -> Cell:
    return Cell(text, numeric=False, code=True)


def _digests(runs: Sequence[RunFacts]) -> Table:
    rows = tuple(
        Row(run.arm, (Cell(str(run.seed)), _code(run.config_sha256), _code(run.weights_sha256)))
        for run in runs
    )
    columns = ("Arm", "Seed", "Configuration", "Weights")
    folded = "Configuration and weights of every run"
    return Table("SHA-256 of configuration and weights", columns, rows, tight=True, folded=folded)
