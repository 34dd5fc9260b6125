"""The pictures of a comparison: training crops, numbered test items, and where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unmask.data.crops import Crops, prepare_crops
from unmask.data.index import INDEX_FILE, Index, read_index
from unmask.data.items import Item, items_of
from unmask.data.protocols.leaks import refuse_shared
from unmask.data.protocols.normalise import Normalise
from unmask.data.protocols.resolve import Resolved, combined
from unmask.data.readers import csv_table, folder
from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.layout import UNSEEN
from unmask.synthesis.families import SPECS

Say = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """What runs train on and are tested with.

    Attributes:
        training: items of the splits train and val. tested: those of the tests, without faces too.
        normalise: the protocol's step, that all crops went through.
        cache: folder of the crops.
        items: as `evaluation.comparison.layout.ITEMS`.
        places: (n,) index of each item in the test crops.
        dropped: test pictures without a usable face, by set and family.
        families: what the protocol trains on, and weights.
    """

    training: list[Item]
    tested: list[Item]
    normalise: Normalise | None
    cache: Path
    items: pl.DataFrame
    places: NDArray[np.intp]
    dropped: dict[str, int]
    families: dict[str, float]

    def training_crops(self) -> Callable[[], Crops]:
        """Loads those of the splits train and val; can be sent to another process."""
        return partial(prepare_crops, self.training, self.cache, normalise=self.normalise)

    def test_crops(self) -> Callable[[], Crops]:
        """Loads those of the tests; can be sent to another process."""
        return partial(prepare_crops, self.tested, self.cache, normalise=self.normalise)

    def sha256(self) -> str:
        """Hash of the training crops and the test items."""
        digest = hashlib.sha256(self.training_crops()().key.encode())
        digest.update(self.items.write_json().encode())
        return digest.hexdigest()


def family_of(manipulation: str) -> str:
    """`inpaint` of `inpaint-telea` where that is a family of ours; else the manipulation itself."""
    family = manipulation.split("-")[0]
    return family if family in SPECS else manipulation


def gather(
    resolved: Resolved,
    unseen: Mapping[str, Index],
    beside: Mapping[str, Sequence[str]],
    cache: Path,
    say: Say,
) -> Material:
    """Cut out all faces, once, and number the test items.

    Args:
        resolved: the protocol's sets.
        unseen: further columns: name -> fakes (`read_fakes`).
        beside: column -> sources of the reals it is set against.
        cache: folder for the crops.
        say: told what goes on.

    Raises:
        ConfigError: a column named like a test, or sources of reals that the tests do not have.
        DatasetError: the pictures cannot be used.
    """
    _check_columns(resolved, unseen, beside)
    normalise = resolved.protocol.normalise
    training = items_of(combined([resolved.train, resolved.val]), "training")
    every = combined([*resolved.tests.values(), *unseen.values()])
    tested = _test_items(every)
    told = _progress("training", training, say)
    trained = prepare_crops(training, cache, normalise=normalise, progress=told)
    if trained.dropped:
        say(f"training pictures without a usable face: {trained.dropped}")
    crops = prepare_crops(
        tested, cache, normalise=normalise, progress=_progress("test", tested, say)
    )
    found = {item.path: place for place, item in enumerate(crops.items)}
    table = _table(resolved, unseen, beside, every)
    whole = [every.file(path) for path in table["file"]]
    here = np.array([path in found for path in whole])
    places = np.array([found[path] for path in whole if path in found], np.intp)
    dropped = _dropped(table.filter(pl.Series(~here)))
    if dropped:
        say(f"test pictures without a usable face: {dropped}")
    items = table.filter(pl.Series(here)).drop("file").with_row_index("item")
    return Material(training, tested, normalise, cache, items, places, dropped, _families(resolved))


def _check_columns(
    resolved: Resolved, unseen: Mapping[str, Index], beside: Mapping[str, Sequence[str]]
) -> None:
    twice = sorted(set(unseen) & set(resolved.tests))
    if twice:
        raise ConfigError(f"{resolved.protocol.name} has a test {twice[0]} of its own.")
    if UNSEEN not in resolved.tests:
        raise ConfigError(
            f"{resolved.protocol.name} has no test called {UNSEEN}, which a comparison is about."
        )
    odd = sorted(set(beside) - set(unseen))
    if odd:
        raise ConfigError(f"--beside names {odd[0]}, which is no column of --unseen.")
    reals = combined(list(resolved.tests.values())).where(pl.col("label") == 0)
    known = set(reals.table["source"].to_list())
    for name, sources in beside.items():
        if absent := sorted(set(sources) - known):
            raise ConfigError(
                f"--beside {name}: the tests have no reals of the source {absent[0]}.",
                f"They have: {', '.join(sorted(known))}.",
            )
    _refuse_seen(resolved, unseen)


def _refuse_seen(resolved: Resolved, unseen: Mapping[str, Index]) -> None:
    """Refuse columns that share people, files or ways of forging with what is trained on."""
    families = _families(resolved)
    met = combined([resolved.train, resolved.val])
    for name, index in unseen.items():
        again = sorted({family_of(m) for m in index.table["manipulation"]} & set(families))
        if again:
            raise ConfigError(
                f"The column {name} holds {again[0]}, which {resolved.protocol.name} trains on.",
                "A column of --unseen must be of generators that are not trained on.",
            )
        refuse_shared("training", met, f"the column {name}", index, resolved.protocol.same_people)


def _test_items(index: Index) -> list[Item]:
    """Items of rows whose split does not matter any more: all are tested."""
    whole = index.table.with_columns(split=pl.lit("test"))
    return items_of(Index(index.root, whole, checked=True), "tests")


def _progress(what: str, items: Sequence[Item], say: Say) -> Callable[[int], None]:
    def told(done: int) -> None:
        if done % 1000 == 0 or done == len(items):
            say(f"{what} faces: {done} of {len(items)}")

    return told


def _table(
    resolved: Resolved,
    unseen: Mapping[str, Index],
    beside: Mapping[str, Sequence[str]],
    every: Index,
) -> pl.DataFrame:
    """Rows of `every` in the layout of items.parquet, less the numbers."""
    member: dict[tuple[str, int | None], list[str]] = {}
    root = every.root.resolve()
    reals = _keys(combined(list(resolved.tests.values())).where(pl.col("label") == 0))
    for name, index in {**resolved.tests, **unseen}.items():
        keys = list(_keys(index))
        if name in unseen:
            wanted = beside.get(name)
            keys += [key for key, source in reals.items() if wanted is None or source in wanted]
        for key in keys:
            member.setdefault(key, []).append(name)
    roots = {
        i.root.resolve().as_posix() + "/" for i in (*resolved.tests.values(), *unseen.values())
    }
    rows = []
    for row in every.table.with_columns(filmed()).to_dicts():
        rows.append(
            {
                "file": row["path"],
                "path": _short(row["path"], roots),
                "video_id": row["video_id"],
                "frame": row["frame"] or 0,
                "label": row["label"],
                "dataset": row["dataset"],
                "manipulation": row["manipulation"],
                "family": family_of(row["manipulation"]),
                "source": row["source"],
                "cluster": row["cluster"],
                "sets": member[(root / row["path"]).as_posix(), row["frame"]],
            }
        )
    schema = {"frame": pl.Int32(), "label": pl.UInt8()}
    table = pl.DataFrame(rows, schema_overrides=schema)
    return table.sort("label", "dataset", "manipulation", "path", "frame")


def filmed() -> pl.Expr:
    """Who was filmed, named across data sets; the video itself where that is unknown."""
    name = pl.col("identities").list.first()
    whole = pl.concat_str("dataset", name, separator="/")
    named = pl.when(name.str.contains("/", literal=True)).then(name).otherwise(whole)
    return pl.when(name.is_null()).then(pl.col("video_id")).otherwise(named).alias("cluster")


def _short(path: str, roots: Collection[str]) -> str:
    """The path within its data set: what a table tells others, who have it elsewhere."""
    inside = [path.removeprefix(root) for root in roots if path.startswith(root)]
    outside = "/".join(Path(path).parts[-2:]) if Path(path).is_absolute() else path
    return min(inside, key=len, default=outside)


def _keys(index: Index) -> dict[tuple[str, int | None], str]:
    """(whole path, frame) -> source."""
    rows = index.table.select("path", "frame", "source").rows()
    root = index.root.resolve()
    return {((root / path).as_posix(), frame): source for path, frame, source in rows}


def _dropped(rows: pl.DataFrame) -> dict[str, int]:
    counts = rows.explode("sets").group_by("sets", "family").len().sort("sets", "family")
    return {f"{name} {family or 'real'}": n for name, family, n in counts.rows()}


def _families(resolved: Resolved) -> dict[str, float]:
    fakes = resolved.train.table.filter(pl.col("label") == 1)
    names = {family_of(m) for m in fakes["manipulation"].to_list()}
    if csv_table.UNNAMED in names:
        raise DatasetError(
            f"{resolved.protocol.name} would train on fakes of which nobody said what made them.",
            "Name it in the column generator of the CSV.",
        )
    return dict.fromkeys(sorted(names), 1.0)


def read_fakes(name: str, path: Path) -> Index:
    """A column of fakes: those of an index, of a CSV, or all pictures of a folder.

    Of an index with splits only the test split is taken.

    Raises:
        DatasetError: nothing there, or no fakes.
    """
    if path.is_dir() and not (path / INDEX_FILE).is_file() and not (path / "fake").is_dir():
        plain = folder.read_reals(path, path)
        table = plain.table.with_columns(
            label=pl.lit(1, pl.Int8), manipulation=pl.lit(name), split=pl.lit("test"),
            identities=pl.lit([], pl.List(pl.String)),
        )  # fmt: skip
        return Index(plain.root, table)
    if path.is_dir():
        kept = path / INDEX_FILE
        index = read_index(kept) if kept.is_file() else folder.read(path)
    elif path.suffix.lower() == ".csv":
        index = csv_table.read(path)
    else:
        index = read_index(path)
    fakes = index.where((pl.col("label") == 1) & (pl.col("split").fill_null("test") == "test"))
    if not len(fakes):
        raise DatasetError(f"{path} has no fakes for the test column {name}.")
    return fakes
