"""`unmask fuse`: trained weights become the members of an ensemble."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from unmask.apps.cli.indices import pairs
from unmask.errors import MissingExtraError


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--member",
    "members",
    metavar="MODEL",
    multiple=True,
    required=True,
    help="Weights: a packaged model's name or a file. Heatmaps are of the first.",
)
@click.option(
    "--share",
    "shares",
    type=float,
    multiple=True,
    help="What each member counts, in their order.  [default: alike]",
)
@click.option(
    "--expert",
    "experts",
    metavar="MODEL",
    multiple=True,
    help="Weights that know fakes of one kind, and are heard where they see more than the members.",
)
@click.option(
    "--margin",
    "margins",
    type=float,
    multiple=True,
    help="How far each expert's logit of an average real is to lie below the members' mean, in "
    "deviations of the validation reals.  [default: 1]",
)
@click.option(
    "--slope",
    "slopes",
    type=float,
    multiple=True,
    help="How many of the mean's deviations over the reals one of each expert's is to be worth.  "
    "[default: 1]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the weights.  [default: runs/<name of CONFIG>]",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    help="CSV or folder of face pictures, instead of the configuration's.",
)
@click.option(
    "--fakes",
    metavar="GENERATOR=INDEX",
    multiple=True,
    help="Also validate on a generator's fakes out of another index.",
)
def fuse(
    config: Path,
    members: tuple[str, ...],
    shares: tuple[float, ...],
    experts: tuple[str, ...],
    margins: tuple[float, ...],
    slopes: tuple[float, ...],
    out: Path | None,
    index: Path | None,
    fakes: tuple[str, ...],
) -> None:
    """Put trained models together into one.

    The YAML file CONFIG (`model: ensemble`) says on what thresholds are fitted: the validation
    split of its index. A score is a weighted mean of the members', or an expert's where that is
    greater. Prints the path of the weights.
    """
    if importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("unmask fuse", "train", "lightning")
    from unmask.inference.settings import locate_weights
    from unmask.training.fuse import fuse as run

    path = run(
        config,
        [locate_weights(member) for member in members],
        out=out or Path("runs") / config.stem,
        shares=shares,
        experts=[locate_weights(expert) for expert in experts],
        margins=margins,
        slopes=slopes,
        index=index,
        fakes={name: Path(path) for name, path in pairs("--fakes", fakes)},
    )
    click.echo(str(path))
