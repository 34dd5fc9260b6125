"""`unmask annotate`: which pictures to paint masks on, and the masks that came of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from unmask.data.annotation.exchange import Answer, Outcome
    from unmask.data.annotation.pictures import Picture
    from unmask.data.annotation.store import MaskStore

DONE, LOSSES, NOTHING = 0, 3, 4
RULES = ("published", "random", "entropy", "margin", "core_set")
ORACLE = "oracle"
SHOWN = 5
"""Refused files that are named one by one."""

EPILOG = """\b
Exit codes:
  130  interrupted; answers that were taken by then stay
    2  the command line, the pictures or the masks cannot work
    4  nothing was selected, exported or imported
    3  some pictures or masks were refused or left out; each is named with its reason
    0  otherwise"""


@click.group(epilog=EPILOG)
def annotate() -> None:
    """Choose pictures for masks, hand them out, take masks in.

    A STORE is a folder with the queue of chosen pictures and all masks: who painted them, when,
    and on which bytes. Nothing in it is ever overwritten; the latest answer to a picture counts.
    """


def _store(exists: bool = True) -> Callable[..., Any]:
    kind = click.Path(path_type=Path, file_okay=False, exists=exists)
    return click.argument("store", metavar="STORE", type=kind)


_home = click.option(
    "--index",
    "home",
    type=click.Path(path_type=Path, exists=True),
    help="Where the pictures are now.  [default: where they were selected]",
)


@annotate.command(epilog=EPILOG)
@click.argument("index", metavar="INDEX", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out",
    "store",
    metavar="STORE",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for queue and masks; an existing one is added to.",
)
@click.option(
    "--rule",
    type=click.Choice(RULES),
    default="published",
    show_default=True,
    help="What makes a picture worth a mask.",
)
@click.option(
    "--budget",
    default="1%",
    show_default=True,
    help="How many more: a number, or percent of the training fakes (rounded down).",
)
@click.option(
    "--model",
    default="none",
    show_default=True,
    help="Weights (.safetensors) that pictures are looked at with; only `random` needs none.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option(
    "--oracle",
    is_flag=True,
    help="Answer at once with the data set's own masks, as the annotator `oracle`.",
)
@click.pass_context
def select(
    ctx: click.Context,
    /,
    index: Path,
    store: Path,
    rule: str,
    budget: str,
    model: str,
    seed: int,
    device: str,
    oracle: bool,
) -> None:
    """Choose the pictures that a mask helps most, into STORE/queue.jsonl.

    INDEX is an index of `unmask prepare` or `unmask synthesize`, a CSV, a folder with real/ and
    fake/, or any folder of pictures. Where splits and labels are known only training fakes are
    chosen. A picture that is in the queue or has an answer already is never chosen again.
    """
    _need_tables()
    from unmask.apps.cli.annotate_select import Selection
    from unmask.data.annotation.exchange import oracle_answers, take
    from unmask.data.annotation.queue import extended, read_queue, write_home, write_queue

    _check_model(rule, model)
    _check_place(index, store)
    selection = Selection.of(index, rule, model, device, seed)
    with _writing(store, index) as kept:
        queue = read_queue(store)
        chosen = selection.choose(budget, kept, queue, store / "crops", _bar)
        for line in chosen.notes:
            click.echo(line, err=True)
        if not chosen.pictures:
            click.echo("unmask: nothing is left to select; the queue is as it was.", err=True)
            ctx.exit(NOTHING)
        write_home(store, index)
        click.echo(str(write_queue(store, extended(queue, rule, chosen.pictures))))
        click.echo(f"{len(chosen.pictures)} pictures selected by {rule}.", err=True)
        code = LOSSES if chosen.short else DONE
        if oracle:
            answers = oracle_answers([picture for picture, _ in chosen.pictures])
            done = take(kept, answers, annotator=ORACLE, source="oracle")
            code = max(code, _told(done, ORACLE))
    ctx.exit(code)


@annotate.command(epilog=EPILOG)
@_store()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(("png", "coco")),
    default="png",
    show_default=True,
    help="A new folder of pictures and masks, or a COCO JSON file.",
)
@click.option(
    "--which",
    type=click.Choice(("open", "all")),
    default="open",
    show_default=True,
    help="What is still to be answered, or everything with the masks there are.",
)
@_home
@click.pass_context
def export(
    ctx: click.Context, /, store: Path, out: Path, style: str, which: Any, home: Path | None
) -> None:
    """Hand pictures out, with the masks there are.

    With --format png: OUT/pictures holds the pictures and OUT/masks is where masks belong, named
    like their pictures (pictures/a/1.jpg, masks/a/1.png); `unmask annotate import` takes OUT as it
    is. Black is genuine, white is manipulated.
    """
    _need_tables()
    from unmask.data.annotation.coco import write_coco
    from unmask.data.annotation.exchange import to_hand_out, write_folder
    from unmask.data.annotation.store import Annotations

    _, pictures = _pictures(store, home)
    chosen, lost = to_hand_out(store, pictures, which)
    for reason in lost:
        click.echo(f"unmask: not exported: {reason}.", err=True)
    if not chosen:
        what = "is open" if which == "open" else "was selected or answered"
        click.echo(f"unmask: nothing in {store} {what}, so nothing was exported.", err=True)
        ctx.exit(NOTHING)
    if style == "coco":
        write_coco(out, Annotations(store), chosen)
    else:
        write_folder(out, Annotations(store), chosen, pictures)
    click.echo(str(out))
    click.echo(f"{len(chosen)} pictures exported.", err=True)
    ctx.exit(LOSSES if lost else DONE)


@annotate.command("import", epilog=EPILOG)
@_store(exists=False)
@click.argument("masks", metavar="[MASKS]", required=False, type=click.Path(path_type=Path))
@click.option("--annotator", metavar="NAME", help="Who painted them.")
@click.option(
    "--empty",
    type=click.Choice(("refuse", "no_forgery")),
    default="refuse",
    show_default=True,
    help="What a mask without a single manipulated pixel means.",
)
@click.option(
    "--oracle",
    is_flag=True,
    help="Instead of MASKS: answer what is open with the data set's own masks.",
)
@_home
@click.pass_context
def import_(
    ctx: click.Context,
    /,
    store: Path,
    masks: Path | None,
    annotator: str | None,
    empty: Any,
    oracle: bool,
    home: Path | None,
) -> None:
    """Take masks into a store.

    MASKS is a folder of `unmask annotate export`, any folder of PNG files named like the pictures,
    or a COCO JSON file. A mask of the wrong size, of another picture, or with other levels than
    two is refused with its reason, and the others go on.
    """
    _need_tables()
    from unmask.data.annotation.exchange import oracle_answers, take, to_hand_out
    from unmask.data.annotation.queue import write_home
    from unmask.data.annotation.store import check_annotator

    name = _who(masks, annotator, oracle)
    check_annotator(name)
    place, pictures = _pictures(store, home)
    lost: list[str] = []
    if masks is not None:
        answers = _read(masks, pictures)
    else:
        wanted, lost = to_hand_out(store, pictures, "open")
        answers = oracle_answers(wanted)
        for reason in lost:
            click.echo(f"unmask: not answered: {reason}.", err=True)
    with _writing(store, place) as kept:
        write_home(store, place)
        with _bar(len(answers)) as advance:
            source: Any = "oracle" if oracle else "imported"
            done = take(kept, answers, annotator=name, source=source, empty=empty, advance=advance)
    ctx.exit(max(_told(done, name), LOSSES if lost else DONE))


@annotate.command()
@_store()
@click.option("--format", "style", type=click.Choice(("table", "json")), default="table")
def status(store: Path, style: str) -> None:
    """Say how far the queue is, who answered what, and what was refused.

    Always ends with 0 when STORE can be read.
    """
    _need_tables()
    from unmask.apps.cli.annotate_status import lines, status_of

    document = status_of(store)
    click.echo(json.dumps(document, indent=2) if style == "json" else "\n".join(lines(document)))


def _need_tables() -> None:
    if importlib.util.find_spec("polars") is None:
        raise MissingExtraError("unmask annotate", "data", "polars")


def _check_model(rule: str, model: str) -> None:
    if rule != "random" and model == "none":
        raise ConfigError(
            f"The rule {rule} looks at pictures with a model, and none is given.",
            "Add --model WEIGHTS, or use --rule random.",
        )
    if rule == "random" and model != "none":
        raise ConfigError(
            f"The rule random looks at no picture, so --model {model} has no use.",
            "Leave --model out, or choose another --rule.",
        )


def _check_place(index: Path, store: Path) -> None:
    if index.is_dir() and store.resolve().is_relative_to(index.resolve()):
        raise ConfigError(
            f"The store {store} lies in {index}: its masks would be read as pictures.",
            "Nothing was written. Choose a folder outside.",
        )


@contextmanager
def _writing(store: Path, place: Path) -> Iterator[MaskStore]:
    """The store, open; refused if it is about other pictures."""
    from unmask.data.annotation.queue import HOME_FILE, read_home
    from unmask.data.annotation.store import MaskStore

    if (store / HOME_FILE).is_file():
        known = read_home(store, check=False)
        if known.exists() and known.resolve() != place.resolve():
            raise ConfigError(
                f"The store {store} is about the pictures of {known}, not of {place}.",
                "Choose another folder for these.",
            )
    with MaskStore(store) as kept:
        yield kept


def _pictures(store: Path, home: Path | None) -> tuple[Path, list[Picture]]:
    from unmask.data.annotation.pictures import read_pictures
    from unmask.data.annotation.queue import read_home

    place = home or read_home(store)
    return place, read_pictures(place)


def _who(masks: Path | None, annotator: str | None, oracle: bool) -> str:
    if oracle:
        if masks is not None or annotator is not None:
            raise ConfigError("--oracle answers by itself.", "Leave MASKS and --annotator out.")
        return ORACLE
    if masks is None:
        raise ConfigError(
            "There are no MASKS to import.", "Give a folder, a COCO file or --oracle."
        )
    if annotator is None:
        raise ConfigError("Who painted the masks is not said.", "Add --annotator NAME.")
    if annotator == ORACLE:
        raise ConfigError(
            f"{ORACLE} is the name for the data set's own masks.", "Choose another --annotator."
        )
    return annotator


def _read(masks: Path, pictures: list[Picture]) -> list[Answer]:
    from unmask.data.annotation.coco import read_coco
    from unmask.data.annotation.exchange import read_folder

    if masks.suffix.lower() == ".json" and not masks.is_dir():
        return read_coco(masks, pictures)
    return read_folder(masks, pictures)


def _told(done: Outcome, annotator: str) -> int:
    for refused in done.refused[:SHOWN]:
        click.echo(f"unmask: refused {refused.file}: {refused.reason}", err=True)
    if len(done.refused) > SHOWN:
        click.echo(f"unmask: and {len(done.refused) - SHOWN} more; see `status`.", err=True)
    click.echo(
        f"{done.taken} answers of {annotator} taken, {done.unchanged} held already, "
        f"{len(done.refused)} refused.",
        err=True,
    )
    if not done.taken and not done.unchanged:
        return NOTHING
    return LOSSES if done.refused else DONE


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    from unmask.scan.progress import Progress

    bar = Progress(sys.stderr, total)
    bar.start()
    try:
        yield bar.advance
    finally:
        bar.clear()
