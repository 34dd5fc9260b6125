"""What a protocol's sets must not have in common, and how their classes must not differ.

The rules, each of which raises `ProtocolError` with the first items that break it:

- No video, no file and no person is in two of training, validation and test. People are named
  within their data set; data sets declared to name the same people alike count as one, and a name
  with a slash (`ffpp/000`) says itself whose it is. One person in common is enough.
- Items whose people are unknown can be told apart between data sets only. Within one they are
  accepted where the data set's own split parts them.
- Validation items are of what is trained on: data set, manipulation, compression and source all
  occur in training, and none is of a data set's own test split.
- Classes do not differ in codec, quality, width or height of any set: no rule on one of these
  columns, learned on some videos, tells others apart by more than `BOUND` above one half and three
  standard errors. An unknown value counts as a difference. A protocol that normalises is exempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from unmask.data.index import Index
from unmask.data.protocols.separation import rule_accuracy
from unmask.errors import DatasetError

BOUND = 0.06
"""How far above 0.5 the balanced accuracy of a rule on one column may be."""
LOSSLESS = ("png", "bmp", "tiff", "gif")
"""Codecs without a quality: there null is no unknown value."""
_ERRORS = 3
_SHOWN = 3
_KIND = ("dataset", "manipulation", "compression", "source")
_COLUMNS = ("codec", "quality", "width", "height")


class ProtocolError(DatasetError):
    """A protocol and the indices it is given would leak, or do not fit each other."""


SAME_PEOPLE = (
    ("ffpp", "faceshifter", "deeperforensics", "dfd"),
    ("celebdf", "celebdf-v1", "celebdf-v2", "celebdf-pp"),
)
"""Data sets that film or forge the same people under the same names, whatever a protocol says."""


def people(index: Index, same_people: Sequence[Sequence[str]] = ()) -> pl.DataFrame:
    """(video_id, person): one row per person of a video, the person's name made whole.

    >>> from pathlib import Path
    >>> from unmask.data.index import index_of
    >>> row = {"video_id": "a/real/raw/1", "path": "1.png", "label": 0, "dataset": "a"}
    >>> one = index_of(Path("."), [row | {"source": "s", "identities": ["anna", "b/ida"]}])
    >>> people(one, [["shared", "a"]])["person"].to_list()
    ['shared/anna', 'b/ida']
    """
    one_name = _one_name(same_people)
    named = index.table.select("video_id", "dataset", pl.col("identities").alias("name"))
    named = named.unique(maintain_order=True).explode("name").drop_nulls("name")
    whole = (
        pl.when(pl.col("name").str.contains("/", literal=True))
        .then(pl.col("name"))
        .otherwise(pl.concat_str("dataset", "name", separator="/"))
    )
    parts = whole.str.splitn("/", 2)
    owner, rest = parts.struct.field("field_0"), parts.struct.field("field_1")
    person = pl.concat_str(owner.replace(one_name), rest, separator="/")
    return named.select("video_id", person.alias("person")).unique(maintain_order=True)


def _one_name(same_people: Sequence[Sequence[str]]) -> dict[str, str]:
    """Data set -> the name its people go by; groups with a member in common are one."""
    names: dict[str, str] = {}
    for group in (*same_people, *SAME_PEOPLE):
        merged = {names.get(name, name) for name in group}
        first = names.get(group[0], group[0])
        names = {name: first if to in merged else to for name, to in names.items()}
        names.update(dict.fromkeys(group, first))
    return names


def refuse_shared(
    first: str, a: Index, second: str, b: Index, same_people: Sequence[Sequence[str]] = ()
) -> None:
    """Refuse two sets that have a video, a file or a person in common, or may have.

    Args:
        first, second: names of the sets, for the message.
        a, b: their rows.
        same_people: as in a `Protocol`.

    Raises:
        ProtocolError: with the first of what they share.
    """
    videos = _common(a.table["video_id"], b.table["video_id"])
    if videos:
        raise ProtocolError(f"{first} and {second} share {_first('video', videos)}.")
    files = _common(_files(a), _files(b))
    if files:
        raise ProtocolError(
            f"{first} and {second} share {_first('file', files)}, under two video ids."
        )
    mine, yours = people(a, same_people), people(b, same_people)
    persons = _common(mine["person"], yours["person"])
    if persons:
        seen, tested = (
            found.filter(pl.col("person") == persons[0])["video_id"][0] for found in (mine, yours)
        )
        raise ProtocolError(
            f"{first} and {second} share {_first('identity', persons)}: e.g. {persons[0]} is in "
            f"{seen} and in {tested}.",
            "A detector that has seen a person is no test; split by identity.",
        )
    _refuse_unknown_people(first, a, second, b, same_people)


def _refuse_unknown_people(
    first: str, a: Index, second: str, b: Index, same_people: Sequence[Sequence[str]]
) -> None:
    one_name = _one_name(same_people)
    owner = pl.col("dataset").replace(one_name)
    nobody = pl.col("identities").list.len() == 0
    for name in _common(a.table.select(owner).to_series(), b.table.select(owner).to_series()):
        ours, theirs = (i.table.filter(owner == name) for i in (a, b))
        unknown = pl.concat([ours.filter(nobody), theirs.filter(nobody)])
        sides = [set(rows["split"].unique().to_list()) for rows in (ours, theirs)]
        parted = None not in sides[0] | sides[1] and not sides[0] & sides[1]
        if unknown.height and not parted:
            raise ProtocolError(
                f"{first} and {second} both have items of {name}, and it is not known who is in "
                f"{_first('video', unknown['video_id'].unique(maintain_order=True).to_list())}.",
                "Name the identities, use the data set's own split, or test on another data set.",
            )


def refuse_other_data_sets(name: str, index: Index) -> None:
    """Refuse an index given under a data set's name that holds rows of another.

    Raises:
        ProtocolError: with the names that it holds.
    """
    others = sorted(set(index.table["dataset"].unique().to_list()) - {name})
    if others:
        raise ProtocolError(
            f"The index given as {name} is of {', '.join(others)}.",
            "Give each index under the name in its column dataset; results would bear a wrong one.",
        )


def refuse_foreign_selection(train: Index, val: Index) -> None:
    """Refuse validation items that are not of what is trained on.

    Raises:
        ProtocolError: with the first data set, manipulation, compression and source that is not
            trained on, or the first item of a data set's own test split.
    """
    foreign = val.table.join(train.table.select(_KIND).unique(), on=_KIND, how="anti")
    if foreign.height:
        row = foreign.row(0, named=True)
        kind = ", ".join(f"{name} {row[name] or 'none'}" for name in _KIND)
        raise ProtocolError(
            f"{foreign.height} validation items are of nothing that is trained on; the first is "
            f"{row['video_id']} ({kind}).",
            "Select on validation items of the training sources only.",
        )
    for name, index in (("validation", val), ("training", train)):
        tested = index.table.filter(pl.col("split") == "test")["video_id"].unique().sort()
        if len(tested):
            raise ProtocolError(
                f"The {name} set holds {_first('video', tested.to_list())} of a data set's own "
                "test split."
            )


def refuse_telling_columns(name: str, index: Index) -> None:
    """Refuse a set whose classes differ in codec, quality, width or height.

    All fakes are compared with the reals, then each manipulation alone, so that one that differs
    does not hide among others that do not.

    Raises:
        ProtocolError: with the column, and what its values mostly are in either class.
    """
    table = index.table.with_columns(
        quality=pl.when(pl.col("codec").is_in(LOSSLESS)).then(-1).otherwise(pl.col("quality"))
    )
    for column in _COLUMNS:
        unknown = table.filter(pl.col(column).is_null())
        if unknown.height:
            raise ProtocolError(
                f"{name}: {column} is not known of {unknown.height} of {table.height} items, the "
                f"first is {unknown['video_id'][0]}; classes may differ in it.",
                "Prepare the data set, which fills it in, or declare the normalising step.",
            )
        for manipulation in (None, *table["manipulation"].unique().sort()):
            if manipulation != "":
                _refuse_column(name, table, column, manipulation)


def _refuse_column(name: str, table: pl.DataFrame, column: str, manipulation: str | None) -> None:
    if manipulation is not None:
        table = table.filter(pl.col("manipulation").is_in(["", manipulation]))
    labels = table["label"].to_numpy().astype(int)
    values, videos = table[column].to_list(), table["video_id"].to_list()
    try:
        accuracy, error = rule_accuracy(values, labels, videos, filmed(table))
    except DatasetError:  # a single video of a class: nothing can be learned from it either
        return
    if accuracy - 0.5 <= max(BOUND, _ERRORS * error):
        return
    usual = [table.filter(pl.col("label") == side)[column].mode().sort()[0] for side in (0, 1)]
    fakes = "fakes" if manipulation is None else f"{manipulation} fakes"
    raise ProtocolError(
        f"{name}: {column} alone tells {fakes} from reals with balanced accuracy {accuracy:.2f} "
        f"(allowed: {0.5 + BOUND:.2f}); reals have mostly {usual[0]}, fakes mostly {usual[1]}.",
        "Make both classes alike, or declare the normalising step in the protocol.",
    )


def filmed(table: pl.DataFrame) -> list[str]:
    """Whose picture each row is: the first of its identities, the video where none is known."""
    first = pl.concat_str("dataset", pl.col("identities").list.first(), separator="/")
    return table.select(pl.coalesce(first, pl.col("video_id"))).to_series().to_list()


def left_out(
    index: Index, reasons: Iterable[tuple[str, pl.Expr]]
) -> tuple[Index, Mapping[str, int]]:
    """Take rows out, each with its reason: the rest, and how many rows each reason took."""
    counts: dict[str, int] = {}
    for reason, condition in reasons:
        gone = index.table.filter(condition).height
        if gone:
            counts[reason] = gone
            index = index.where(~condition)
    return index, counts


def _common(a: pl.Series, b: pl.Series) -> list[str]:
    both = a.unique().to_frame("x").join(b.unique().to_frame("x"), on="x", how="semi")
    return [str(value) for value in both["x"].sort()]


def _files(index: Index) -> pl.Series:
    """The files as they lie on the disk, so that two indices of one folder can be compared."""
    root = str(index.root.resolve())
    inside = pl.concat_str(pl.lit(root), pl.col("path"), separator="/")
    whole = pl.when(pl.col("path").str.starts_with("/")).then(pl.col("path")).otherwise(inside)
    return index.table.select(whole.alias("file")).to_series()


def _first(what: str, names: Sequence[str]) -> str:
    plural = {"identity": "identities"}.get(what, what + "s")
    shown = ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
    return f"{len(names)} {what if len(names) == 1 else plural} ({shown})"
