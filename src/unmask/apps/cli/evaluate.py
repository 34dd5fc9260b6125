"""`unmask evaluate`: weights on a protocol's tests, and the audit of an index or of a protocol."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.apps.cli.indices import gathered_sources, load_index, pairs, resolve_named, say
from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from unmask.data.index import Index
    from unmask.data.protocols.normalise import Normalise
    from unmask.evaluation.audit import Audit, AuditFile

EPILOG = """\b
Exit codes:
    0  every container cue is within the bound
    1  one tells the classes apart, over all fakes, or for certain (its whole interval is beyond
       the bound) over those of one manipulation: it is named
    2  the command line, the index or the protocol cannot work
    3  some files could not be read; the others are within the bound
    4  too few could be read to say anything"""

SHOWN = 5
"""Unreadable files that are named one by one."""
OF_PROTOCOL = ""
"""What `--audit` without an INDEX gives."""


@click.command(epilog=EPILOG)
@click.option(
    "--audit",
    "audited",
    metavar="INDEX",
    is_flag=False,
    flag_value=OF_PROTOCOL,
    help="Audit an index: a .parquet or .csv file, or a folder with real/ and fake/. Without a "
    "value: the sets of --protocol.",
)
@click.option("--protocols", "list_protocols", is_flag=True, help="List the protocols.")
@click.option("--protocol", "name", help="Name of a protocol.")
@click.option(
    "--index",
    "indices",
    metavar="DATASET=INDEX",
    multiple=True,
    help="Index of a data set that the protocol names; once for each.",
)
@click.option(
    "--bound",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    default=0.06,
    show_default=True,
    help="How far from 0.5 the AUC of a container cue may be.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    help="Measure at most so many files of the reals and of every manipulation.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|FILE",
    help="Score these weights on the tests of --protocol; --out is a folder then.",
)
@click.option("--unseen", metavar="NAME=FAKES", multiple=True, help="As for unmask benchmark.")
@click.option("--beside", metavar="NAME=SOURCE", multiple=True, help="As for unmask benchmark.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for crops and views, which may be deleted.  [default: OUT.work]",
)
@click.option("--sweep/--no-sweep", default=True, help="With --model: also 24 perturbations.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the audit to this file as JSON, too; with --model, a folder for scores and page.",
)
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    audited: str | None,
    list_protocols: bool,
    name: str | None,
    indices: tuple[str, ...],
    bound: float,
    sample: int | None,
    models: tuple[str, ...],
    unseen: tuple[str, ...],
    beside: tuple[str, ...],
    work: Path | None,
    sweep: bool,
    style: str,
    out: Path | None,
) -> None:
    """Score a protocol, or audit an index for leaks.

    With --protocol and --model, weights are scored on the protocol's tests: scores, tables with
    intervals, and a page, as unmask benchmark makes them.

    The audit measures how well each cheap cue alone tells real from fake. Container cues (file
    type, size, JPEG quality, grid, metadata) must not: then the classes were not written alike, and
    a detector learns that. Content cues are reported.
    """
    if importlib.util.find_spec("polars") is None:
        raise MissingExtraError("unmask evaluate", "data", "polars")
    if list_protocols:
        _list_protocols(style)
        return
    if models:
        _check_scoring(audited, name, out)
        assert name is not None
        assert out is not None
        click.echo(_score(name, indices, models, out, work, unseen, beside, sweep=sweep))
        return
    if unseen or beside or work:
        raise ConfigError("--unseen, --beside and --work go with --model.")
    _check(audited, name, indices)
    if out is not None:
        _check_out(out)
    if audited:
        sets = {audited: load_index(Path(audited))}
        document = _audit(sets, None, None, bound, sample)
    else:
        resolved = resolve_named(name or "", indices)
        step = resolved.protocol.normalise
        document = _audit(resolved.sets(), name, step, bound, sample)
    text = json.dumps(document.model_dump(by_alias=True), indent=2) + "\n"
    if out is not None:
        from unmask.data.atomic import replace_text

        replace_text(out, text)
    if style == "json":
        click.echo(text, nl=False)
    else:
        from unmask.apps.cli.audit_table import lines

        click.echo("\n".join(lines(document)))
    ctx.exit(_conclude(document.sets))


def _check(audited: str | None, name: str | None, indices: tuple[str, ...]) -> None:
    if audited is None:
        raise ConfigError(
            "Say what to evaluate.",
            "--protocol NAME --model WEIGHTS --out FOLDER scores weights on a protocol's tests; "
            "--audit INDEX audits an index for leaks; --protocols lists protocols.",
        )
    if audited and (name or indices):
        raise ConfigError(
            f"--audit {audited} names an index, and so does --protocol with --index.",
            "Give --audit no value to audit the sets of a protocol.",
        )
    if not audited and not name:
        raise ConfigError("--audit needs an INDEX.", "Or name a --protocol and its --index.")


def _check_scoring(audited: str | None, name: str | None, out: Path | None) -> None:
    if audited is not None:
        raise ConfigError("--audit and --model are two questions.", "Ask one at a time.")
    if not name:
        raise ConfigError("--model needs a --protocol and its --index.")
    if out is None:
        raise ConfigError("--model needs --out.", "Give a folder for scores, tables and page.")


def _score(
    name: str,
    indices: tuple[str, ...],
    models: tuple[str, ...],
    out: Path,
    work: Path | None,
    unseen: tuple[str, ...],
    beside: tuple[str, ...],
    *,
    sweep: bool,
) -> Path:
    from unmask.apps.benchmark.checkpoints import evaluate_weights
    from unmask.apps.benchmark.material import gather, read_fakes
    from unmask.apps.machine import cores

    columns = {key: read_fakes(key, Path(path)) for key, path in pairs("--unseen", unseen)}
    sources = gathered_sources(pairs("--beside", beside))
    where = work or out.with_name(f"{out.name}.work")
    material = gather(resolve_named(name, indices), columns, sources, where / "cache", say)
    return evaluate_weights(name, material, models, out, where, say, jobs=cores(), sweep=sweep)


def _check_out(out: Path) -> None:
    """An audit may be written over an older one, and over nothing else."""
    from unmask.evaluation.audit import SCHEMA

    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {out.parent} for --out.", "Make it first.")
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder; an audit is one file.")
    if out.exists():
        with out.open("rb") as file:
            head = file.read(200)
        if head.strip() and f'"{SCHEMA}"'.encode() not in head:
            raise ConfigError(
                f"{out} exists and is not an audit, so --out leaves it alone.",
                "Nothing was written. Choose another file.",
            )


def _audit(
    sets: dict[str, Index],
    protocol: str | None,
    normalise: Normalise | None,
    bound: float,
    sample: int | None,
) -> AuditFile:
    from unmask.evaluation.audit import SCHEMA, AuditFile, audit, files_to_audit
    from unmask.scan.progress import Progress

    total = sum(files_to_audit(index, sample).height for index in sets.values())
    progress = Progress(sys.stderr, total)
    progress.start()
    try:
        done = [
            audit(
                index,
                name,
                bound=bound,
                sample=sample,
                normalise=normalise,
                advance=progress.advance,
            )
            for name, index in sets.items()
        ]
    finally:
        progress.clear()
    return AuditFile(schema=SCHEMA, protocol=protocol, sets=done)


def _conclude(sets: list[Audit]) -> int:
    """Say on stderr what was found, and choose the exit code."""
    for done in sets:
        for cue in done.leaks:
            made = f" of {cue.manipulation} fakes" if cue.manipulation else ""
            share = cue.telling
            seen = (
                f"; {share.value} in {share.in_reals:.0%} of reals and {share.in_fakes:.0%} of "
                "fakes"
                if share
                else ""
            )
            click.echo(
                f"unmask: {done.name}: {cue.cue}{made} tells the classes apart, "
                f"{cue.separation:.3f} from 0.5 (allowed: {done.bound:g}){seen}.",
                err=True,
            )
        for cue in done.histories:
            assert cue.auc is not None
            fewer = "fakes" if cue.auc.value < 0.5 else "reals"
            click.echo(
                f"unmask: {done.name}: the blocks of a past JPEG are seen in fewer {fewer}"
                f"{f' ({cue.manipulation})' if cue.manipulation else ''}, AUC {cue.auc.value:.3f}. "
                "Unless the forgery itself erases them, send both classes through one chain "
                "(synthesize --launder, or a protocol that normalises).",
                err=True,
            )
        for item in done.unreadable[:SHOWN]:
            click.echo(f"unmask: {done.name}: {item.message}", err=True)
        if done.unreadable:
            reasons = Counter(item.reason for item in done.unreadable)
            told = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
            click.echo(
                f"unmask: {len(done.unreadable)} files could not be read ({told}); --out FILE and "
                "--format json list them all. Paths are relative to the index's folder.",
                err=True,
            )
        if done.few and done.cues:
            click.echo(
                f"unmask: {done.name}: only {done.reals} real and {done.fakes} fake videos or "
                "stills; chance alone may pass the bound.",
                err=True,
            )
    if any(done.leaks for done in sets):
        return 1
    if any(not done.cues for done in sets):
        return 4
    return 3 if any(done.unreadable for done in sets) else 0


def _list_protocols(style: str) -> None:
    from unmask.data.protocols.protocol import protocols

    known = protocols()
    if style == "json":
        click.echo(json.dumps([p.model_dump(mode="json") for p in known.values()], indent=2))
        return
    width = max(len(name) for name in known)
    for name, entry in known.items():
        click.echo(f"{name:<{width}}  {entry.summary}  [{', '.join(entry.datasets())}]")
