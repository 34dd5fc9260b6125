"""`unmask train`: from a configuration file to a checkpoint with its card."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from unmask.errors import ConfigError, MissingExtraError


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for checkpoints and logs.  [default: runs/<name of CONFIG>]",
)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in the folder.")
def train(config: Path, out: Path | None, resume: bool) -> None:
    """Train a model.

    The YAML file CONFIG says which, and on what. Prints the path of the checkpoint that was best
    on the validation split.
    """
    if importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("unmask train", "train", "lightning")
    if not config.is_file():
        raise ConfigError(
            f"There is no configuration file {config}.", "Start from one of those in configs/."
        )
    from unmask.training.run import train as run

    click.echo(str(run(config, out=out or Path("runs") / config.stem, resume=resume)))
