"""Indices, protocols and columns as `unmask evaluate` and `unmask benchmark` are given them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.data.index import Index
    from unmask.data.protocols.resolve import Resolved


def load_index(path: Path) -> Index:
    """An index from a folder of classes, a CSV, or a Parquet file."""
    from unmask.data.index import read_index
    from unmask.data.readers import reader

    if path.is_dir():
        return reader("folder").read(path)
    if path.suffix.lower() == ".csv":
        return reader("csv").read(path)
    return read_index(path)


def resolve_named(name: str, indices: tuple[str, ...]) -> Resolved:
    """The sets of a protocol, with indices given as `DATASET=INDEX`; counts go to stderr."""
    from unmask.data.protocols.protocol import protocol
    from unmask.data.protocols.resolve import resolve

    chosen = protocol(name)
    given = {}
    for entry in indices:
        dataset, equals, path = entry.partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--index {entry} must be DATASET=INDEX.",
                f"{name} is made of: {', '.join(chosen.datasets())}.",
            )
        given[dataset] = load_index(Path(path))
    unused = sorted(set(given) - set(chosen.datasets()))
    if unused:
        raise ConfigError(
            f"{name} names no data set {', '.join(unused)}.",
            f"It is made of: {', '.join(chosen.datasets())}.",
        )
    resolved = resolve(chosen, given)
    for row in resolved.describe():
        click.echo(
            f"{row['set']}: {row['videos']} videos of {row['dataset']} "
            f"{row['manipulation'] or 'reals'}",
            err=True,
        )
    for where, reasons in resolved.left_out.items():
        for reason, count in reasons.items():
            click.echo(f"{where}: {count} items left out: {reason}", err=True)
    return resolved


VALUES = {"--unseen": "FAKES", "--fakes": "INDEX"}
"""What comes after the `=` of options that take every name once."""


def pairs(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """`NAME=VALUE` options as pairs, each name and value there."""
    found: list[tuple[str, str]] = []
    for entry in given:
        name, equals, value = entry.partition("=")
        if not name or not equals or not value:
            raise ConfigError(f"{option} {entry} must be NAME={VALUES.get(option, 'SOURCE')}.")
        if option in VALUES and name in dict(found):
            raise ConfigError(f"{option} {name} is given twice.", "Give every one its own name.")
        found.append((name, value))
    return found


def gathered_sources(beside: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Column -> sources, from pairs."""
    sources: dict[str, tuple[str, ...]] = {}
    for name, source in beside:
        sources[name] = (*sources.get(name, ()), source)
    return sources


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
