"""The sets that a configuration names: of a protocol, or of one index and its own splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unmask.data.index import INDEX_FILE, Index, read_index
from unmask.data.protocols.protocol import Protocol, protocol
from unmask.data.protocols.resolve import Resolved, resolve
from unmask.data.readers import csv_table, folder
from unmask.errors import ConfigError
from unmask.training.lae.config import DataConfig


def resolve_data(config: DataConfig, index: Path | None = None) -> Resolved:
    """Find the rows of a configuration.

    Args:
        config: its `indices` name a path for every data set.
        index: instead of those, where one data set is enough.

    Raises:
        ConfigError: an index is missing, or one was given where several are needed.
        DatasetError: an index cannot be read. ProtocolError: the sets would leak.
    """
    if config.protocol is None:
        return _of_families(config, index)
    chosen = protocol(config.protocol)
    names = chosen.datasets()
    paths: Mapping[str, Path] = config.indices
    if index is not None:
        if len(names) > 1:
            raise ConfigError(
                f"{chosen.name} is made of {', '.join(names)}: one --index is not enough.",
                "Name them in the configuration: data.indices.",
            )
        paths = {names[0]: index}
    absent = [name for name in names if name not in paths]
    if absent:
        raise ConfigError(
            f"No index of {', '.join(absent)} to train on.",
            "Give --index INDEX.parquet, or set data.indices.",
        )
    return resolve(chosen, {name: read_any_index(paths[name]) for name in names})


def _of_families(config: DataConfig, index: Path | None) -> Resolved:
    paths = [index] if index is not None else list(config.indices.values())
    if len(paths) != 1:
        raise ConfigError(
            f"data.families are of one index, but {len(paths)} are given.",
            "Give --index INDEX.parquet, or one in data.indices.",
        )
    found = read_any_index(paths[0])
    names = found.table["dataset"].unique().sort().to_list()
    if len(names) != 1:
        raise ConfigError(
            f"{paths[0]} is of several data sets ({', '.join(names)}).",
            "Use an index of one, or a protocol.",
        )
    made = own_protocol(config, names[0])
    return resolve(made, {names[0]: found})


def own_protocol(config: DataConfig, dataset: str) -> Protocol:
    """A protocol of one data set: `families` in training, validation and the test `seen`; `unseen`
    in the test of that name. A row without a split is put on the side of its people."""

    def both(split: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
        common = {"dataset": dataset, "splits": [split]}
        return [{**common, "label": 0}, {**common, "label": 1, "manipulations": names}]

    tests = {"seen": both("test", config.families)}
    if config.unseen:
        tests["unseen"] = both("test", config.unseen)
    return Protocol.model_validate(
        {
            "name": "->".join("+".join(f) for f in (config.families, config.unseen) if f)
            .replace("+", "."),
            "summary": f"{', '.join(config.families)} of {dataset}",
            "divide": "identity",
            "train": both("train", config.families),
            "val": both("val", config.families),
            "tests": tests,
            "normalise": config.normalise,
        }
    )  # fmt: skip


def read_any_index(path: Path) -> Index:
    """An index from Parquet, a CSV, a folder that `unmask prepare` made, or one of classes."""
    if path.is_dir():
        kept = path / INDEX_FILE
        return read_index(kept) if kept.is_file() else folder.read(path)
    return csv_table.read(path) if path.suffix.lower() == ".csv" else read_index(path)
