"""`unmask train`: from a configuration file to a checkpoint with its card."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from unmask.apps.cli.indices import pairs
from unmask.errors import ConfigError, MissingExtraError


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for checkpoints and logs.  [default: runs/<name of CONFIG>]",
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
    help="Also train with a generator's fakes out of another index.",
)
@click.option(
    "--backbone-weights",
    type=click.Path(path_type=Path),
    help="Safetensors file with ImageNet weights of the RGB backbone.",
)
@click.option(
    "--start",
    metavar="MODEL",
    help="Weights to go on from: a packaged model's name, or the file of an earlier run.",
)
@click.option("--no-pretrained", is_flag=True, help="Train the RGB backbone from scratch.")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share every batch: one per GPU, or of the processor where there is none.",
)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint in the folder.")
def train(
    config: Path,
    out: Path | None,
    index: Path | None,
    fakes: tuple[str, ...],
    backbone_weights: Path | None,
    start: str | None,
    no_pretrained: bool,
    devices: int,
    resume: bool,
) -> None:
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
    from unmask.training.lae.config import is_lae

    if is_lae(config):
        _refuse_for_lae(fakes, backbone_weights, start, no_pretrained, devices)
        from unmask.training.lae.run import train_lae

        made = train_lae(config, out=out or Path("runs") / config.stem, index=index, resume=resume)
        click.echo(str(made))
        return
    from unmask.inference.settings import locate_weights
    from unmask.training.run import train as run

    path = run(
        config,
        out=out or Path("runs") / config.stem,
        resume=resume,
        index=index,
        fakes={name: Path(path) for name, path in pairs("--fakes", fakes)},
        backbone_weights=backbone_weights,
        pretrained=False if no_pretrained else None,
        start=None if start is None else locate_weights(start),
        devices=devices,
    )
    click.echo(str(path))


def _refuse_for_lae(
    fakes: tuple[str, ...],
    backbone_weights: Path | None,
    start: str | None,
    no_pretrained: bool,
    devices: int,
) -> None:
    given = {
        "--fakes": bool(fakes),
        "--backbone-weights": backbone_weights is not None,
        "--start": start is not None,
        "--no-pretrained": no_pretrained,
        "--devices": devices > 1,
    }
    for option in (name for name, there in given.items() if there):
        raise ConfigError(
            f"{option}: an LAE has no backbone, trains in one process, and on what its protocol "
            "names.",
            f"Leave {option} out.",
        )
