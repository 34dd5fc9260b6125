"""From a protocol and indices to the sets themselves, refused if they would leak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from unmask.data.index import Index
from unmask.data.protocols.leaks import (
    ProtocolError,
    left_out,
    people,
    refuse_foreign_selection,
    refuse_other_data_sets,
    refuse_shared,
    refuse_telling_columns,
)
from unmask.data.protocols.protocol import Protocol, Selection, any_of
from unmask.data.readers.folder import split_of

_PATHS = ("path", "mask_path", "landmarks_path")


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """The sets of a protocol. One that would leak cannot be made: `leaks` has the rules.

    Attributes:
        protocol: where they come from.
        train, val: rows; paths of a set of several data sets are absolute but for the first's.
        tests: the same by name of the test.
        left_out: set -> reason -> rows that were taken out of it, e.g. smaller than the window.

    Raises:
        ProtocolError: a rule is broken, or a set lacks a class.
    """

    protocol: Protocol
    train: Index
    val: Index
    tests: Mapping[str, Index]
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        same = self.protocol.same_people
        sets = self.sets()
        for name, index in sets.items():
            if set(index.table["label"].unique().to_list()) != {0, 1}:
                raise ProtocolError(f"{self.protocol.name}: {name} has no items of one class.")
        for first, second in combinations(sets, 2):
            if not (first.startswith("test ") and second.startswith("test ")):
                refuse_shared(first, sets[first], second, sets[second], same)
        refuse_foreign_selection(self.train, self.val)
        if self.protocol.normalise is None:
            for name, index in sets.items():
                refuse_telling_columns(name, index)

    def sets(self) -> dict[str, Index]:
        """`train`, `val` and `test <name>`."""
        tests = {f"test {name}": index for name, index in self.tests.items()}
        return {"train": self.train, "val": self.val, **tests}

    def selection_set(self) -> Index:
        """What a checkpoint, a threshold or a setting may be chosen on: the validation items."""
        return self.val

    def check_selection(self, video_ids: Iterable[str]) -> None:
        """Refuse a choice made on anything else; to be called with what was scored for it.

        Raises:
            ProtocolError: an item is not of the selection set, or there is none at all.
        """
        scored = list(dict.fromkeys(video_ids))
        allowed = set(self.val.table["video_id"].to_list())
        foreign = [video for video in scored if video not in allowed]
        if foreign or not scored:
            seen = f"{len(foreign)} others, the first is {foreign[0]}" if foreign else "nothing"
            raise ProtocolError(
                f"{self.protocol.name}: a checkpoint was to be selected on {seen}.",
                "Only validation items of the training sources may select: selection_set().",
            )

    def describe(self) -> list[dict[str, Any]]:
        """Counts: a row per set, data set and manipulation ('' for reals).

        Returns:
            Rows with set, dataset, manipulation, label, items, videos, identities (named ones).
        """
        rows = []
        for name, index in self.sets().items():
            kinds = index.table.select("dataset", "manipulation", "label").unique()
            for dataset, manipulation, label in kinds.sort(
                "label", "dataset", "manipulation"
            ).rows():
                part = index.where(
                    (pl.col("dataset") == dataset) & (pl.col("manipulation") == manipulation)
                )
                rows.append(
                    {
                        "set": name,
                        "dataset": dataset,
                        "manipulation": manipulation,
                        "label": label,
                        "items": len(part),
                        "videos": part.table["video_id"].n_unique(),
                        "identities": people(part, self.protocol.same_people)["person"].n_unique(),
                    }
                )
        return rows


def resolve(protocol: Protocol, indices: Mapping[str, Index]) -> Resolved:
    """Find a protocol's rows.

    Args:
        protocol: of `protocols.protocol`.
        indices: by the names of `protocol.datasets()`; further ones are not looked at.

    Raises:
        ProtocolError: an index is missing, a selection or a named manipulation has no items, or
            the sets would leak (see `leaks`).
    """
    absent = [name for name in protocol.datasets() if name not in indices]
    if absent:
        raise ProtocolError(
            f"{protocol.name} needs an index of {', '.join(absent)}.",
            f"It is made of: {', '.join(protocol.datasets())}.",
        )
    divided, counts = {}, {}
    for name in protocol.datasets():
        refuse_other_data_sets(name, indices[name])
        divided[name], gone = _divided(protocol, indices[name])
        if gone:
            counts[f"index {name}"] = gone
    sets: dict[str, Index] = {}
    for name, selections in protocol.sets().items():
        chosen = combined([_chosen(protocol, s, divided[s.dataset]) for s in selections])
        sets[name], gone = left_out(chosen, _too_small(protocol))
        if gone:
            counts[name] = gone
    for test in protocol.leave_out_seen:
        name = f"test {test}"
        seen = combined([sets["train"], sets["val"]])
        sets[name], gone = _without_people_of(seen, sets[name], protocol)
        counts[name] = {**counts.get(name, {}), **gone}
    tests = {test: sets[f"test {test}"] for test in protocol.tests}
    return Resolved(protocol, sets["train"], sets["val"], tests, counts)


def _divided(protocol: Protocol, index: Index) -> tuple[Index, Mapping[str, int]]:
    """The index with every row on a side, as `Protocol.divide` says; others are counted."""
    if protocol.divide == "own":
        return index, {}
    several, nobody = "people on two sides", "no split and nobody named"
    sides: dict[str, str] = {}
    rows = index.table.filter(pl.col("split").is_null())
    for video, names in rows.group_by("video_id").agg(pl.col("identities").explode()).rows():
        homes = {split_of(person) for person in names if person is not None}
        sides[video] = homes.pop() if len(homes) == 1 else several if homes else nobody
    side = pl.col("split").fill_null(pl.col("video_id").replace_strict(sides, default=None))
    whole = index.table.with_columns(side.alias("_side"))
    counts = {why: whole.filter(pl.col("_side") == why).height for why in (several, nobody)}
    kept = whole.filter(~pl.col("_side").is_in([several, nobody]))
    table = kept.with_columns(split=pl.col("_side")).drop("_side")
    return Index(index.root, table), {why: n for why, n in counts.items() if n}


def _chosen(protocol: Protocol, selection: Selection, index: Index) -> Index:
    found = index.where(selection.condition())
    if selection.splits is not None:
        found = found.where(pl.col("split").is_in(list(selection.splits)))
    missing = [
        name
        for name in selection.manipulations or ()
        if name not in selection.without and not len(found.where(any_of("manipulation", (name,))))
    ]
    if missing or not len(found):
        columns = ("manipulation", "compression", "source", "split")
        there = (
            f"{column} {', '.join(sorted(v or 'none' for v in values if v != '')) or 'none'}"
            for column in columns
            for values in [index.table[column].unique().to_list()]
        )
        raise ProtocolError(
            f"{protocol.name} finds no {', '.join(missing) or 'items'} in: {selection}.",
            f"The index has {'; '.join(there)}.",
        )
    return found


def _too_small(protocol: Protocol) -> list[tuple[str, pl.Expr]]:
    """Pictures known to be smaller than the window of the normalising step."""
    step = protocol.normalise
    if step is None or step.size != "window":
        return []
    shorter = pl.min_horizontal("width", "height")
    return [(f"smaller than {step.side} pixels", (shorter < step.side).fill_null(False))]


def _without_people_of(
    seen: Index, test: Index, protocol: Protocol
) -> tuple[Index, Mapping[str, int]]:
    met = people(seen, protocol.same_people)["person"]
    videos = people(test, protocol.same_people).filter(pl.col("person").is_in(met.to_list()))
    known = pl.col("video_id").is_in(videos["video_id"].unique().to_list())
    return left_out(test, [("people of training or validation", known)])


def combined(parts: Sequence[Index]) -> Index:
    """Rows of several indices as one, without repetitions; its root is the first's.

    Paths of an index with another root become absolute.
    """
    root = parts[0].root
    tables = [
        part.table
        if part.root == root
        else part.table.with_columns(_absolute(name, part.root) for name in _PATHS)
        for part in parts
    ]
    rows = pl.concat(tables).unique(
        ("video_id", "frame", "path"), keep="first", maintain_order=True
    )
    return Index(root, rows)


def _absolute(name: str, root: Path) -> pl.Expr:
    path = pl.col(name)
    whole = pl.concat_str(pl.lit(root.resolve().as_posix() + "/"), path)
    return pl.when(path.str.starts_with("/")).then(path).otherwise(whole).alias(name)
