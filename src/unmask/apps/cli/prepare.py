"""`unmask prepare`: a data set to face crops with masks and landmarks, once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.apps.machine import cores
from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from unmask.data.index import Index

TABLE = "index"
DONE, LOSSES, NOTHING, INTERRUPTED = 0, 3, 4, 130


@click.command()
@click.argument("dataset")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for crops, masks and the index; outside ROOT.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="The most frames per video, spread evenly over it.",
)
@click.option(
    "--face",
    type=click.Choice(("largest", "mask", "all")),
    default="largest",
    show_default=True,
    help="Which of several faces: the one that is largest for longest; of fakes with a mask the "
    "one with the most manipulated pixels (others: largest); or every one.",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True, max=10),
    default=1.3,
    show_default=True,
    help="Side of the crop relative to the face's.",
)
@click.option(
    "--mask-threshold",
    type=click.IntRange(0, 254),
    default=127,
    show_default=True,
    help="A pixel is manipulated where the mask's brightest channel is above this.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one per core]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds to decode one input.  [300]",
)
@click.pass_context
def prepare(
    ctx: click.Context,
    /,
    dataset: str,
    root: Path,
    out: Path,
    frames: int,
    face: str,
    margin: float,
    mask_threshold: int,
    jobs: int | None,
    timeout: float | None,
) -> None:
    """Cut the faces out of a data set, once.

    DATASET names the layout of the folder ROOT, e.g. `ffpp`; or it is `index`, and ROOT the
    Parquet file of one. Prints the path of the index of crops. What gave no crop is listed with
    its reason in coverage.jsonl, and summed up on standard error.

    The same command continues a run that was interrupted or killed.

    Ends with 0 when every frame gave a crop, 3 when some did not, 4 when none did.
    """
    if importlib.util.find_spec("polars") is None:
        raise MissingExtraError("unmask prepare", "data", "polars")
    from unmask.data.preparing.profile import make_profile

    profile = make_profile(frames=frames, face=face, margin=margin, mask_threshold=mask_threshold)
    index = _read(dataset, root)

    from unmask.apps.cli.backend import make_limits
    from unmask.data.preparing.run import prepare as run
    from unmask.scan.interrupt import Interruptible

    bar = _Bar()
    try:
        with Interruptible():
            done = run(
                index,
                out,
                dataset=dataset,
                profile=profile,
                jobs=jobs or cores(),
                limits=make_limits(timeout=timeout),
                progress=bar,
            )
    except KeyboardInterrupt:
        bar.clear()
        click.echo(
            f"Interrupted: {bar.done} of {bar.total} videos finished in this run. "
            "The same command continues it.",
            err=True,
        )
        ctx.exit(INTERRUPTED)
    finally:
        bar.clear()
    for line in done.coverage.lines():
        click.echo(line, err=True)
    if done.kept:
        click.echo(f"{done.kept} videos were finished by an earlier run.", err=True)
    if not done.coverage.complete:
        click.echo(f"Each of them is in {out / 'coverage.jsonl'}.", err=True)
    if done.index is None:
        click.echo("unmask: not a single face was found; there is no index.", err=True)
        ctx.exit(NOTHING)
    click.echo(str(done.index))
    ctx.exit(DONE if done.coverage.complete else LOSSES)


def _read(dataset: str, root: Path) -> Index:
    """The index of the originals: from a reader, or from a table."""
    from unmask.data.index import read_index
    from unmask.data.readers import READERS, reader

    if dataset == TABLE:
        return read_index(root)
    if dataset not in READERS:
        raise ConfigError(
            f"There is no reader for the data set {dataset!r}.",
            f"Choose of: {', '.join((*READERS, TABLE))}.",
        )
    return reader(dataset).read(root)


class _Bar:
    """A progress bar that begins when it is known how much there is to do."""

    def __init__(self) -> None:
        from unmask.scan.progress import Progress

        self._kind = Progress
        self._bar: Progress | None = None
        self.done = self.total = 0

    def __call__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self._bar is None:
            self._bar = self._kind(sys.stderr, total)
            self._bar.start()
        else:
            self._bar.advance()

    def clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()
