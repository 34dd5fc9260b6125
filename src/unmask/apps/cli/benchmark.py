"""`unmask benchmark`: every model of a table, trained and tested alike."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.apps.cli.indices import gathered_sources, load_index, pairs, resolve_named, say
from unmask.apps.machine import cores
from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from polars import DataFrame

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
@click.option(
    "--compat",
    is_flag=True,
    help="Show beside the results what flawed evaluations would make of the same scores.",
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
    compat: bool,
    resume: bool,
    tables_only: bool,
    verified: Path | None,
) -> None:
    """Train and test models side by side.

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
        unseen=pairs("--unseen", unseen),
        beside=pairs("--beside", beside),
        work=work or Path(f"{os.path.abspath(out)}.work"),
        jobs=min(jobs, cores()),
        precision=precision,
        compat=compat,
        resume=resume,
    )
    for failure in failures:
        click.echo(f"unmask: {failure}", err=True)
    _tabulate(out)
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
    compat: bool,
    resume: bool,
) -> list[str]:
    from unmask.apps.benchmark.material import gather, read_fakes
    from unmask.apps.benchmark.plan import Plan, load_table
    from unmask.apps.benchmark.run import Options, carry_out, open_plan
    from unmask.evaluation.compat_files import write_expected

    chosen = load_table(table).part(arms, seeds)
    resolved = resolve_named(protocol, indices)
    columns = {name: read_fakes(name, Path(path)) for name, path in unseen}
    sources = gathered_sources(beside)
    material = gather(resolved, columns, sources, work / "cache", say)
    plan = Plan(
        protocol=protocol,
        table=chosen,
        families=material.families,
        unseen={name: Path(path).name for name, path in unseen},
        beside=sources,
        precision=precision,
        items_sha256=material.sha256(),
        dropped=material.dropped,
    )
    for arm in chosen.arms:  # a configuration that cannot work is refused before the first run
        chosen.config(arm, chosen.seeds[0], plan.families)
    expected = _expected(resolved, indices) if compat else None
    open_plan(out, plan, resume)
    if expected is not None:
        write_expected(out, expected)
    options = Options(work=work, jobs=jobs, compat=compat)
    return carry_out(plan, material, out, options, say)


def _expected(resolved: Resolved, indices: tuple[str, ...]) -> DataFrame:
    """The videos that the tests ask for; those without a crop are listed beside each index."""
    from unmask.apps.benchmark.compat import expected_videos
    from unmask.data.preparing.run import without_crops

    paths = {name: Path(path) for name, _, path in (entry.partition("=") for entry in indices)}
    lost = {name: found for name, path in paths.items() if (found := without_crops(path))}
    given = {name: load_index(path) for name, path in paths.items()}
    return expected_videos(resolved, given, lost)


def _tabulate(out: Path) -> None:
    from unmask.apps.benchmark.tabulate import tabulate

    click.echo(tabulate(out))


def _verify(ctx: click.Context, out: Path) -> None:
    from unmask.apps.benchmark.lae_tables import verify_lae
    from unmask.evaluation.comparison.verify import verify
    from unmask.evaluation.compat_files import verify_compat

    differences = [*verify(out), *verify_compat(out), *verify_lae(out)]
    for line in differences:
        click.echo(f"unmask: {line}", err=True)
    click.echo(
        f"{out}: {len(differences)} differences" if differences else f"{out}: the tables hold"
    )
    ctx.exit(1 if differences else 0)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"--seeds takes whole numbers, not {text!r}.", "For example: --seeds 0,1")
    return int(text)
