"""`unmask benchmark`: every model of a table, trained and tested alike."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.apps.cli.backend import cores
from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from unmask.data.protocols.resolve import Resolved

EPILOG = """\b
Exit codes:
  130  interrupted; continue with --resume
    1  --verify: the tables do not follow from the score files
    2  the command line, the table, the protocol or an index cannot work
    3  some runs failed; the tables are of the others
    0  otherwise"""

LOSSES = 3


@click.command(epilog=EPILOG)
@click.argument("protocol", required=False)
@click.option(
    "--index",
    "indices",
    metavar="DATASET=INDEX",
    multiple=True,
    help="Index of a data set that the protocol names; once for each.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for scores, tables and page.",
)
@click.option(
    "--table",
    default="rivals",
    show_default=True,
    help="Models and budget: a table of the package, or a YAML file.",
)
@click.option("--arms", metavar="A,B", help="Only these models of the table.")
@click.option("--seeds", metavar="0,1", help="Only these seeds.")
@click.option(
    "--unseen",
    metavar="NAME=FAKES",
    multiple=True,
    help="A further test column: a folder of fakes, or the fakes of an index or CSV.",
)
@click.option(
    "--beside",
    metavar="NAME=SOURCE",
    multiple=True,
    help="Set a column against the test reals of this source alone.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for crops, checkpoints and logs, which may be deleted.  [default: OUT.work]",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True,
              help="Runs at a time.")  # fmt: skip
@click.option(
    "--precision",
    type=click.Choice(("float32", "bfloat16")),
    default="float32",
    show_default=True,
    help="Of scoring the tests.",
)
@click.option("--resume", is_flag=True, help="Go on with what OUT holds; its plan may grow.")
@click.option("--tables-only", is_flag=True, help="Make tables and page of the runs in OUT.")
@click.option(
    "--verify",
    "verified",
    metavar="OUT",
    type=click.Path(path_type=Path, file_okay=False),
    help="Compute the tables of a folder again from its score files, and compare.",
)
@click.pass_context
def benchmark(
    ctx: click.Context,
    /,
    protocol: str | None,
    indices: tuple[str, ...],
    out: Path | None,
    table: str,
    arms: str | None,
    seeds: str | None,
    unseen: tuple[str, ...],
    beside: tuple[str, ...],
    work: Path | None,
    jobs: int,
    precision: str,
    resume: bool,
    tables_only: bool,
    verified: Path | None,
) -> None:
    """Train and test every model of a table alike, and tabulate them.

    Every model gets the same pictures and the same budget, with several seeds. Validation items
    choose the checkpoint and the threshold; the tests are scored once. OUT gets the score of every
    test item, tables with intervals, and a page. --verify recomputes them.
    """
    if verified is not None:
        _verify(ctx, verified)
        return
    if out is None:
        raise ConfigError("--out is missing.", "Give a folder for scores, tables and page.")
    if tables_only:
        _tabulate(out)
        return
    if protocol is None:
        raise ConfigError("A PROTOCOL is missing.", "unmask evaluate --protocols lists them.")
    if importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("unmask benchmark", "train", "lightning")
    failures = _run(
        protocol,
        indices,
        out=out,
        table=table,
        arms=_listed(arms),
        seeds=tuple(_number(seed) for seed in _listed(seeds)),
        unseen=_pairs("--unseen", unseen),
        beside=_pairs("--beside", beside),
        work=work or out.with_name(f"{out.name}.work"),
        jobs=min(jobs, cores()),
        precision=precision,
        resume=resume,
    )
    _tabulate(out)
    for failure in failures:
        click.echo(f"unmask: {failure}", err=True)
    ctx.exit(LOSSES if failures else 0)


def _run(
    protocol: str,
    indices: tuple[str, ...],
    *,
    out: Path,
    table: str,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
    unseen: list[tuple[str, str]],
    beside: list[tuple[str, str]],
    work: Path,
    jobs: int,
    precision: str,
    resume: bool,
) -> list[str]:
    from unmask.apps.benchmark.material import gather, read_fakes
    from unmask.apps.benchmark.plan import Plan, load_table
    from unmask.apps.benchmark.run import Options, carry_out, open_plan

    chosen = load_table(table).part(arms, seeds)
    resolved = _resolved(protocol, indices)
    columns = {name: read_fakes(name, Path(path)) for name, path in unseen}
    sources: dict[str, tuple[str, ...]] = {}
    for name, source in beside:
        sources[name] = (*sources.get(name, ()), source)
    material = gather(resolved, columns, sources, work / "cache", _say)
    plan = Plan(
        protocol=protocol,
        table=chosen,
        families=material.families,
        unseen={name: Path(path).name for name, path in unseen},
        beside=sources,
        items_sha256=material.sha256(),
        dropped=material.dropped,
    )
    for arm in chosen.arms:  # a configuration that cannot work is refused before the first run
        chosen.config(arm, chosen.seeds[0], plan.families)
    open_plan(out, plan, resume)
    options = Options(work=work, jobs=jobs, precision=precision)
    return carry_out(plan, material, out, options, _say)


def _resolved(protocol: str, indices: tuple[str, ...]) -> Resolved:
    from unmask.apps.cli.evaluate import resolve_named

    return resolve_named(protocol, indices)


def _tabulate(out: Path) -> None:
    from unmask.apps.benchmark.tabulate import tabulate

    click.echo(tabulate(out))


def _verify(ctx: click.Context, out: Path) -> None:
    from unmask.evaluation.comparison.verify import verify

    differences = verify(out)
    for line in differences:
        click.echo(f"unmask: {line}", err=True)
    click.echo(
        f"{out}: {len(differences)} differences" if differences else f"{out}: the tables hold"
    )
    ctx.exit(1 if differences else 0)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _number(text: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"--seeds takes whole numbers, not {text!r}.", "For example: --seeds 0,1")
    return int(text)


def _pairs(option: str, given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = []
    for entry in given:
        name, equals, value = entry.partition("=")
        if not name or not equals or not value:
            raise ConfigError(
                f"{option} {entry} must be NAME={'FAKES' if option == '--unseen' else 'SOURCE'}."
            )
        pairs.append((name, value))
    return pairs


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
