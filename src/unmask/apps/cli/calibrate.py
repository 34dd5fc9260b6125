"""`unmask calibrate`: thresholds for a false-positive rate on the user's own reals."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask import __version__
from unmask.apps.cli import backend, options
from unmask.apps.cli.scan import find_inputs
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.inference.detector import Detector
    from unmask.inference.own_reals import CalibrationFile, OwnReal
    from unmask.scan.local import Outcome
    from unmask.scan.sources import Sources

SAME_CONTENT = "same_content"
NAMED = 3
"""Inputs that are named for each reason why they do not count."""
EPILOG = """\b
Exit codes:
  130  interrupted; nothing was written
    2  the command line cannot work, or there are too few reals
    4  nothing could be scored
    3  written, but some inputs could not be scored
    0  otherwise"""


@click.command(epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File for the calibration.",
)
@click.option(
    "--fpr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of reals that may be flagged.",
)
@options.model
@options.device
@click.option(
    "--max-frames",
    type=click.IntRange(min=1),
    default=backend.DEFAULT_FRAMES,
    show_default=True,
    help="Frames to look at in a video, as later in a scan.",
)
@options.jobs
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
@click.pass_context
def calibrate(
    ctx: click.Context,
    /,
    sources: tuple[str, ...],
    out: Path,
    fpr: float,
    model: str,
    device: str,
    max_frames: int,
    jobs: int | None,
    overwrite: bool,
) -> None:
    """Fit the thresholds to real pictures and clips of one's own.

    SOURCE is as in `unmask scan`, and must hold nothing but reals. Each folder counts as a source
    of its own, and no source is flagged more often than --fpr, as far as these reals can show. A
    content that occurs twice counts once. Use the file with `unmask scan --calibration FILE`.
    """
    from unmask.data.atomic import replace_text
    from unmask.inference.own_reals import CalibrationFile, fit_on_reals
    from unmask.scan.tally import DONE, INCOMPLETE, INTERRUPTED, NOTHING_SCORED

    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists.", "Choose another --out, or replace it with --overwrite.")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {out.absolute().parent}.", "Make it first.")
    found = find_inputs(sources)
    detector = backend.make_detector(model, device, max_frames)
    left_out: dict[str, list[str]] = {}
    try:
        reals = list(_reals(_scan(found, detector, jobs, max_frames), left_out))
    except KeyboardInterrupt:
        click.echo("Interrupted: nothing was written.", err=True)
        ctx.exit(INTERRUPTED)
    _say_left_out(left_out)
    if not reals:
        click.echo("unmask: none of the inputs could be scored.", err=True)
        ctx.exit(NOTHING_SCORED)
    decision, rows = fit_on_reals(reals, detector.decision, fpr=fpr)
    made = CalibrationFile(
        tool=f"unmask {__version__}",
        model=detector.model,
        weights_sha256=detector.weights_sha256,
        max_frames=max_frames,
        fpr=fpr,
        decision=decision,
        sources=rows,
        left_out={why: len(paths) for why, paths in left_out.items()},
    )
    replace_text(out, made.to_json())
    click.echo(table(made, detector.decision.flag))
    click.echo(f"Wrote {out}; use it with: unmask scan --calibration {out} ...", err=True)
    ctx.exit(INCOMPLETE if set(left_out) - {SAME_CONTENT} else DONE)


def _scan(
    found: Sources, detector: Detector, jobs: int | None, max_frames: int
) -> Iterator[Outcome]:
    """Every input, scored in their order, with progress."""
    from unmask.scan.local import Plan, scan
    from unmask.scan.progress import Progress

    progress = Progress(sys.stderr, len(found.paths))
    progress.start()
    try:
        with backend.make_pool(jobs, max_frames, backend.make_limits()) as pool:
            for outcome in scan(Plan(found.paths, found.failures), detector, pool.map):
                yield outcome
                progress.advance()
    finally:
        progress.clear()


def _reals(outcomes: Iterator[Outcome], left_out: dict[str, list[str]]) -> Iterator[OwnReal]:
    """The inputs that thresholds can be fitted on; counts why the others cannot."""
    from unmask.inference.own_reals import OwnReal
    from unmask.inference.verdict import UNFIT

    seen: set[str] = set()
    for outcome in outcomes:
        result = outcome.result
        unfit = [reason for reason in result.reasons if reason in UNFIT]
        if result.score is None or outcome.bands is None:
            why = result.reasons[0]
        elif unfit:  # inconclusive whatever the threshold
            why = unfit[0]
        elif result.input.sha256 in seen:
            why = SAME_CONTENT
        else:
            if result.input.sha256 is not None:
                seen.add(result.input.sha256)
            folder = os.path.dirname(result.input.path) or "."
            yield OwnReal(folder, result.score, outcome.bands, outcome.distance)
            continue
        left_out.setdefault(why, []).append(result.input.path)


def _say_left_out(left_out: Mapping[str, Sequence[str]]) -> None:
    """How many inputs do not count, why, and which."""
    for why, paths in sorted(left_out.items(), key=lambda pair: -len(pair[1])):
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        named = ", ".join(paths[:NAMED])
        click.echo(f"Not counted, {why}: {len(paths)} ({named}{more}).", err=True)


def table(made: CalibrationFile, before: float) -> str:
    """Thresholds and sources, in columns.

    Args:
        made: what was fitted.
        before: `flag` of the model's card.
    """
    low, high = made.decision.ci95
    lines = [
        f"flag   {made.decision.flag:.4f} (the model's own: {before:.4f})",
        f"clear  {made.decision.clear:.4f}",
        f"flagged at most {made.decision.fpr_at_flag:.2%} (95% interval {low:.2%} to {high:.2%}) "
        f"of a source; asked for {made.fpr:.2%}",
        "",
    ]
    width = max(len("source"), *(len(row.source) for row in made.sources))
    lines.append(f"{'source':{width}}  reals  flagged before  flagged now")
    lines += [
        f"{row.source:{width}}  {row.reals:5}  {row.flagged_before:14}  {row.flagged:11}"
        for row in made.sources
    ]
    return "\n".join(lines)
