"""`unmask scan`: pictures and videos in, one result each out."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask import __version__
from unmask.apps.cli import backend
from unmask.apps.cli import options as shared
from unmask.apps.cli.outputs import Outputs

if TYPE_CHECKING:
    from unmask.apps.cli.output import Formatter
    from unmask.apps.report import ReportWriter
    from unmask.scan.local import Examiner, Outcome
    from unmask.scan.progress import Progress
    from unmask.scan.sources import Sources
    from unmask.scan.store import ResultsFile
    from unmask.scan.tally import Tally

EPILOG = """\b
Exit codes, the first that applies:
  130  interrupted; what is finished is in --out, continue with --resume
    2  the command line or the configuration cannot work
    4  nothing could be scored
    1  a verdict of --fail-on was reached
    3  the share of inputs scored is below --min-coverage
    0  otherwise
 (141  the reader of standard output went away; 70 a fault in unmask)"""

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
LIMIT_OPTIONS = {
    "too_many_pixels": "--max-megapixels",
    "too_many_bytes": "--max-megabytes",
    "too_long": "--max-duration",
    "timeout": "--timeout",
}
POSITIVE = click.FloatRange(min=0, min_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line of a scan, as in its `--help`."""

    sources: tuple[str, ...]
    out: Path | None
    format: str
    resume: bool
    overwrite: bool
    report: Path | None
    heatmaps: Path | None
    model: str
    device: str
    calibration: Path | None
    max_frames: int
    jobs: int | None
    min_coverage: float
    fail_on: frozenset[str]
    timeout: float | None
    max_megapixels: float | None
    max_megabytes: float | None
    max_duration: float | None

    @property
    def limits(self) -> dict[str, float | None]:
        """The limits that may have been given, by their name in `backend.make_limits`."""
        names = ("timeout", "max_megapixels", "max_megabytes", "max_duration")
        return {name: getattr(self, name) for name in names}


def _verdicts(ctx: click.Context, param: click.Parameter, value: str | None) -> frozenset[str]:
    """Parse `--fail-on`."""
    names = frozenset(name.strip() for name in value.split(",")) if value else frozenset()
    unknown = names - {"flagged", "inconclusive"}
    if unknown:
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))}: choose from flagged, inconclusive, joined by a comma."
        )
    return names


@click.command(epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", type=FILE, help="Also write the results to this JSONL file, line by line.")
@click.option(
    "--format",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="What goes to standard output.",
)
@click.option("--resume", is_flag=True, help="Continue --out: keep what is done and unchanged.")
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
@click.option(
    "--report",
    type=FILE,
    help="Write an HTML report (results kept by --resume have no pictures in it).",
)
@click.option("--heatmaps", type=FOLDER, help="Write a heatmap of each face to this folder.")
@shared.model
@shared.device
@click.option(
    "--calibration", type=FILE, help="Thresholds of `unmask calibrate` instead of the model's own."
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=1),
    default=backend.DEFAULT_FRAMES,
    show_default=True,
    help="Frames to look at in a video, spread evenly.",
)
@shared.jobs
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of inputs that must be scored, or exit with 3.",
)
@click.option(
    "--fail-on",
    metavar="VERDICTS",
    callback=_verdicts,
    help="Exit with 1 on any of: flagged, inconclusive (joined by a comma).",
)
@click.option("--timeout", type=POSITIVE, help="Seconds to decode one input.  [300]")
@click.option("--max-megapixels", type=POSITIVE, help="Largest picture or frame.  [100]")
@click.option("--max-megabytes", type=POSITIVE, help="Largest file.  [8590]")
@click.option("--max-duration", type=POSITIVE, help="Longest clip in seconds.  [14400]")
@click.pass_context
def scan(ctx: click.Context, /, **given: Any) -> None:
    """Look for manipulated faces in pictures and videos.

    Gives one result per input, whatever happens. SOURCE is a file, a folder (searched with its
    sub-folders), a glob in quotes, @LIST for a file with one path per line, or - for such a list
    on standard input. A folder contributes the pictures and videos in it; a file that is named
    counts whatever it is called.

    Results go to standard output, messages and progress to standard error.
    """
    options = Options(**given)
    outputs = Outputs(
        options.out, options.report, options.heatmaps, options.resume, options.overwrite
    )
    outputs.check()
    found = find_inputs(options.sources)
    outputs.check_against(found.paths)
    detector = backend.make_detector(
        options.model, options.device, options.max_frames, options.calibration
    )
    ctx.exit(_run(options, found, detector))


def find_inputs(sources: Sequence[str]) -> Sources:
    """Expand the sources, and say on stderr what was passed over or empty."""
    from unmask.media import SUPPORTED_SUFFIXES
    from unmask.scan.sources import describe_empty, expand, passed_over_text

    found = expand(sources, SUPPORTED_SUFFIXES, lambda: sys.stdin.buffer.read())
    if found.passed_over:
        click.echo(f"Passed over in folders: {passed_over_text(found.passed_over)}.", err=True)
    for source in found.empty:
        click.echo(f"Warning: {describe_empty(source)}.", err=True)
    return found


def _run(options: Options, found: Sources, detector: Examiner) -> int:
    """Scan, deliver each result as it comes, sum up; returns the exit code."""
    from unmask.scan.interrupt import Interruptible
    from unmask.scan.local import Plan
    from unmask.scan.local import scan as scan_inputs
    from unmask.scan.progress import Progress
    from unmask.scan.tally import INTERRUPTED, Tally

    tally, progress = Tally(), Progress(sys.stderr, len(found.paths))
    try:
        with ExitStack() as stack:
            guard = stack.enter_context(Interruptible())
            store = _open_store(options, found, detector)
            if store is not None:
                stack.enter_context(store)
            limits = backend.make_limits(**options.limits)
            changed = limits.model_dump(exclude_defaults=True)
            plan = Plan(found.paths, found.failures, store, changed)
            report = stack.enter_context(_open_report(options)) if options.report else None
            pool = stack.enter_context(backend.make_pool(options.jobs, options.max_frames, limits))
            sink = _Sink(options, _formatter(options, found), store, report, tally, progress)
            sink.start()
            wanted = bool(options.heatmaps or options.report)
            for outcome in scan_inputs(plan, detector, pool.map, evidence=wanted):
                with guard.shielded():
                    sink.deliver(outcome)
    except KeyboardInterrupt:
        progress.clear()
        click.echo(_interrupted(options, tally, len(found.paths)), err=True)
        return INTERRUPTED
    finally:
        progress.clear()
    click.echo(tally.summary(), err=True)
    for reason, option in LIMIT_OPTIONS.items():
        if tally.not_scored[reason]:
            click.echo(
                f"  {reason}: if you trust the file, raise the limit with {option}.", err=True
            )
    return tally.exit_code(min_coverage=options.min_coverage, fail_on=options.fail_on)


@dataclass(slots=True)
class _Sink:
    """Where each outcome goes: heatmaps, results file, standard output, report, counts."""

    options: Options
    formatter: Formatter
    store: ResultsFile | None
    report: ReportWriter | None
    tally: Tally
    progress: Progress

    def start(self) -> None:
        header = self.formatter.header()
        if header is not None:
            click.echo(header)
        self.progress.start()

    def deliver(self, outcome: Outcome) -> None:
        """The results file comes first: it is what a later run continues from."""
        from unmask.scan.heatmaps import write_heatmaps

        result = outcome.result
        if self.options.heatmaps and outcome.evidence:
            result = write_heatmaps(result, outcome.evidence, self.options.heatmaps)
        if self.store is not None and not outcome.kept:
            self.store.append(result)
        self.tally.add(result, kept=outcome.kept)
        if self.report is not None:
            self.report.add(replace(outcome, result=result))
        self.progress.clear()
        click.echo(self.formatter.row(result))
        self.progress.advance()


def _open_store(options: Options, found: Sources, detector: Examiner) -> ResultsFile | None:
    from unmask.scan.store import ResultsFile

    if options.out is None:
        return None
    if not options.resume:
        return ResultsFile.create(options.out)
    return ResultsFile.resume(
        options.out,
        found.paths,
        weights_sha256=detector.weights_sha256,
        settings_sha256=detector.settings_sha256,
        retry_limits=any(value is not None for value in options.limits.values()),
    )


def _open_report(options: Options) -> ReportWriter:
    from unmask.apps.report import ReportWriter

    assert options.report is not None
    return ReportWriter(
        options.report, command=["unmask", *sys.argv[1:]], tool=f"unmask {__version__}"
    )


def _formatter(options: Options, found: Sources) -> Formatter:
    from unmask.apps.cli.output import Csv, JsonLines, Table, printable
    from unmask.scan.sources import shown

    if options.format != "table":
        return JsonLines() if options.format == "jsonl" else Csv()
    width = max(len(printable(shown(path))) for path in found.paths)
    if not sys.stdout.isatty():
        return Table(width)
    style: Callable[[str, str], str] = lambda text, colour: click.style(text, fg=colour)  # noqa: E731
    columns = shutil.get_terminal_size().columns
    return Table(width, columns) if os.environ.get("NO_COLOR") else Table(width, columns, style)


def _interrupted(options: Options, tally: Tally, total: int) -> str:
    done = f"Interrupted: {tally.total} of {total} inputs finished."
    if options.out is None:
        return f"{done} Nothing was kept; use --out FILE to be able to continue."
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--overwrite")]
    return f"{done} Continue with: {shlex.join(['unmask', *words, '--resume'])}"
