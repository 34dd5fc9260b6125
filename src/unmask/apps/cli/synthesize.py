"""`unmask synthesize`: forgeries with exact masks from real faces."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.apps.machine import cores
from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from unmask.data.forging.forgery import Settings
    from unmask.data.index import Index
    from unmask.scan.progress import Progress

DONE, LOSSES, NOTHING, INTERRUPTED = 0, 3, 4, 130

EPILOG = """\b
Exit codes:
  130  interrupted; continue with --resume
    2  the command line or the configuration cannot work
    4  not a single forgery was made
    3  some pictures, or some in some families, gave no forgery
    0  otherwise"""


@click.command(epilog=EPILOG)
@click.argument("reals", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--family",
    "families",
    multiple=True,
    metavar="NAME",
    help="What to make: a family, or family-kind; once for each. `all` for every family.",
)
@click.option(
    "--per-face",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Forgeries of every face by every family.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many of the pictures.")
@click.option(
    "--encode",
    type=click.Choice(("png", "jpeg")),
    default="png",
    show_default=True,
    help="How reals and forgeries are written.",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG."
)
@click.option(
    "--launder",
    is_flag=True,
    help="First send each face and its forgeries through one random chain (resize, blur, noise, "
    "JPEG).",
)
@click.option(
    "--gallery", is_flag=True, help="Write OUT/gallery.html with examples of each family."
)
@click.option("--resume", is_flag=True, help="Continue a run that was interrupted or killed.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one per core]")
@click.pass_context
def synthesize(
    ctx: click.Context,
    /,
    reals: Path,
    out: Path,
    families: tuple[str, ...],
    gallery: bool,
    resume: bool,
    jobs: int | None,
    **given: Any,
) -> None:
    """Make forgeries with exact masks from real faces.

    IN is an index of `unmask prepare`, a CSV, or a folder of pictures; only real ones are used.
    OUT gets the faces, the forgeries, their masks and an index of all of it, whose path is printed.
    Real faces and forgeries go through the same chain. Two people are only mixed within a split
    and a source of pictures.

    With --gallery and without --family only the page is made, of all families.
    """
    if importlib.util.find_spec("polars") is None:
        raise MissingExtraError("unmask synthesize", "data", "polars")
    if not families and not gallery:
        raise ConfigError(
            "No family of forgeries is named.",
            f"Add --family NAME, of: {', '.join(_known())}, all.",
        )
    if reals.is_dir() and out.resolve().is_relative_to(reals.resolve()):
        raise ConfigError(
            f"OUT {out} lies in IN {reals}: its forgeries would be read as real pictures.",
            "Nothing was written. Choose a folder outside IN.",
        )
    from unmask.data.forging.reals import read_reals

    settings = _settings(families, given)
    index = read_reals(reals)
    bar = _Bar()
    code = DONE
    try:
        from unmask.scan.interrupt import Interruptible

        with Interruptible():
            if families:
                code = _make(index, out, settings, resume, jobs or cores(), bar)
            if gallery:
                _show(index, out, settings, bar)
    except KeyboardInterrupt:
        bar.clear()
        click.echo(f"Interrupted{bar.told}. {_again(bool(families))}", err=True)
        ctx.exit(INTERRUPTED)
    finally:
        bar.clear()
    ctx.exit(code)


def _known() -> list[str]:
    from unmask.synthesis.families import SPECS

    return list(SPECS)


def _settings(families: tuple[str, ...], given: dict[str, Any]) -> Settings:
    from unmask.data.forging.forgery import make_settings
    from unmask.faces.mesh import mesh_available

    named = [name for f in families or ("all",) for name in (_known() if f == "all" else [f])]
    landmarks = "mesh" if mesh_available() else "mean_shape"
    return make_settings(families=named, landmarks=landmarks, **given)


def _make(index: Index, out: Path, settings: Settings, resume: bool, jobs: int, bar: _Bar) -> int:
    from unmask.data.forging.run import synthesize as run

    done = run(index, out, settings, resume=resume, jobs=jobs, progress=bar)
    bar.clear()
    for line in done.report.lines():
        click.echo(line, err=True)
    if done.report.missing:
        click.echo(f"Each of them is in {out / 'synthesis.json'}.", err=True)
    if done.index is None:
        click.echo("unmask: not a single forgery was made; there is no index.", err=True)
        return NOTHING
    click.echo(str(done.index))
    return LOSSES if done.report.missing else DONE


def _show(index: Index, out: Path, settings: Settings, bar: _Bar) -> None:
    from unmask.apps.report.gallery import check_gallery, write_gallery
    from unmask.data.forging.run import GALLERY_FILE
    from unmask.data.forging.specimens import specimens

    check_gallery(out / GALLERY_FILE)
    shown = specimens(index, settings, progress=bar)
    path = write_gallery(out / GALLERY_FILE, shown, command=["unmask", *sys.argv[1:]])
    bar.clear()
    click.echo(str(path))


def _again(kept: bool) -> str:
    if not kept:
        return "Nothing was written."
    words = [word for word in sys.argv[1:] if word != "--resume"]
    return f"Continue with: {shlex.join(['unmask', *words, '--resume'])}"


class _Bar:
    """A bar for each stage of the work, on standard error."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._what = self.told = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        from unmask.scan.progress import Progress

        if what != self._what:
            self.clear()
            self._what, self._bar = what, Progress(sys.stderr, total)
        assert self._bar is not None
        self._bar.advance()
        self.told = f": {done} of {total} {what} finished in this run"

    def clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()
