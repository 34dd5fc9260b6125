"""The audit: how well each cheap cue alone tells the classes apart.

Every cue gets two measures. `auc` is the AUC of the cue itself, for numbers that all items have;
below 0.5 it runs the other way round, which tells as much. `held_out` is the AUC of what the cue's
value says of an item once the share of fakes per value was learned on other people's videos
(`unmask.data.protocols.separation`): it also finds values that only one class has and that lie
between those of the other. It is averaged over pairs within a fold and so is one half on average
where the cue says nothing, however few the items and many the values; below one half is chance.

A container cue **leaks** when `separation`, the greater of |auc - 0.5| and held_out - 0.5, is above
the bound over all fakes. For one manipulation alone there are fewer items and more comparisons: it
leaks when the interval of a measure as a whole lies beyond the bound. Content cues are only
reported. Fakes of a manipulation are compared with reals of the sources they have, with all reals
where they share none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from unmask.data.index import Index
from unmask.data.protocols.leaks import filmed
from unmask.data.protocols.normalise import Normalise
from unmask.data.protocols.separation import held_out_rates
from unmask.errors import DatasetError, MediaError, ShapeError
from unmask.evaluation.cues import CUES, SEEN, Kind, Value, measure
from unmask.metrics.bootstrap import bootstrap_interval
from unmask.metrics.ranking import auc

SCHEMA: Literal["unmask.audit/1"] = "unmask.audit/1"
BOUND = 0.06
DRAWS = 200
FEW = 400
"""With fewer videos of a class chance alone passes the bound now and then; the report says so."""
FOUND = 10
"""A cue that few items have is judged only where it was found of so many of each class."""
_Integers = NDArray[np.int_]
_Indices = NDArray[np.intp]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measured(_Model):
    """An AUC with its 95% interval, resampled by video."""

    value: float
    low: float
    high: float


class Telling(_Model):
    """The value of a container cue whose shares in the classes differ most."""

    value: str
    in_reals: float
    in_fakes: float


class CueReport(_Model):
    """One cue, over all fakes or those of one manipulation."""

    cue: str
    kind: Kind
    manipulation: str | None = Field(description="null: all fakes")
    reals: int
    fakes: int = Field(description="items the cue was found of")
    values: int = Field(description="distinct ones")
    usual_real: str = Field(description="most frequent value; of content cues the median")
    usual_fake: str
    telling: Telling | None = Field(description="null for content cues")
    auc: Measured | None = Field(description="null: not a number, or one class lacks it")
    held_out: Measured | None = Field(description="null: a class has fewer than two videos")
    separation: float | None = Field(description="how far from 0.5; null: not measured")
    leaks: bool


class Unreadable(_Model):
    """An item that could not be measured."""

    video_id: str
    path: str
    reason: str
    message: str


class Audit(_Model):
    """What was found in one set."""

    name: str = Field(description="of the set")
    items: int = Field(description="rows of the set")
    measured: int = Field(description="of them, or of the sample")
    sample: int | None = Field(description="at most so many per manipulation; null: all")
    reals: int = Field(description="measured videos")
    fakes: int
    bound: float
    few: bool = Field(description=f"a class has fewer than {FEW} videos")
    normalised: bool = Field(description="measured after a protocol's step, without the files")
    cues: list[CueReport] = Field(description="empty when too few items could be read")
    unreadable: list[Unreadable]

    @property
    def histories(self) -> list[CueReport]:
        """Where a past JPEG is seen more often in one class, for certain: likely a leak."""
        return [
            cue
            for cue in self.cues
            if cue.cue == "grid_found"
            and cue.auc is not None
            and (cue.auc.low > 0.5 + self.bound or cue.auc.high < 0.5 - self.bound)
        ]

    @property
    def leaks(self) -> list[CueReport]:
        """What exceeds the bound, worst first."""
        found = [cue for cue in self.cues if cue.leaks]
        return sorted(found, key=lambda cue: -(cue.separation or 0))


class AuditFile(_Model):
    """What `unmask evaluate --audit` writes."""

    schema_: Literal["unmask.audit/1"] = Field(SCHEMA, alias="schema")
    protocol: str | None
    sets: list[Audit]


def audit(
    index: Index,
    name: str,
    *,
    bound: float = BOUND,
    sample: int | None = None,
    draws: int = DRAWS,
    normalise: Normalise | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Audit:
    """Measure every cue of an index.

    Rows that share a file are measured once. Items that cannot be read are listed, not left out in
    silence; all others count.

    Args:
        index: pictures, crops or videos of both classes.
        name: of the set, for the report.
        bound: how far from 0.5 the AUC of a container cue may be, in (0, 0.5).
        sample: measure at most so many files of the reals and of every manipulation; see
            `files_to_audit`.
        draws: resamples for the intervals.
        normalise: a protocol's step: measure what it makes of the pictures (`cues.SEEN`).
        advance: called after every file.

    Raises:
        DatasetError: a class has fewer than two videos.
    """
    table = files_to_audit(index, sample)
    if min(_videos(table)) < 2:
        reals, fakes = _videos(table)
        raise DatasetError(
            f"{name} cannot be audited: it has {reals} real and {fakes} fake videos or stills.",
            "An audit compares the classes and needs at least two of each.",
        )
    rows, values, unreadable = _measured(index, table, normalise, advance)
    table = table[rows]
    reals, fakes = _videos(table)
    reports = []
    for manipulation, chosen in _comparisons(table) if min(reals, fakes) > 1 else []:
        part, found = table[chosen], [values[i] for i in chosen]
        for cue in CUES if normalise is None else SEEN:
            reports.append(_report(cue, manipulation, part, found, bound, draws))
    return Audit(
        name=name,
        items=len(index),
        measured=table.height,
        sample=sample,
        reals=reals,
        fakes=fakes,
        bound=bound,
        few=min(reals, fakes) < FEW,
        normalised=normalise is not None,
        cues=reports,
        unreadable=unreadable,
    )


def files_to_audit(index: Index, sample: int | None = None) -> pl.DataFrame:
    """The rows `audit` measures: one per file, or fewer.

    A sample takes one frame of every video before it takes a second of any, and people in the
    order of a hash of their names: the same on every machine, and the same people for the reals and
    for every manipulation, so that fakes stay beside the reals they were made from and a chance
    mixture of sources is no cue.
    """
    table = index.table.unique("path", keep="first", maintain_order=True)
    if sample is None:
        return table
    names = table.select("video_id", "frame").rows()
    table = table.with_columns(
        pl.Series("_who", [_hashed(person) + _hashed(v) for person, v in _named(table)]),
        pl.Series("_frame", [_hashed(f"{video} {frame}") for video, frame in names]),
    )
    turn = pl.col("_frame").rank("ordinal").over("video_id")
    place = pl.struct(turn, "_who").rank("ordinal").over("label", "manipulation")
    return table.filter(place <= sample).drop("_who", "_frame")


def _named(table: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """(person, video) of every row."""
    return zip(filmed(table), table["video_id"].to_list(), strict=True)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _videos(table: pl.DataFrame) -> tuple[int, int]:
    """Videos (or stills) of the reals and of the fakes."""
    reals, fakes = (table.filter(pl.col("label") == side)["video_id"].n_unique() for side in (0, 1))
    return reals, fakes


def _measured(
    index: Index, table: pl.DataFrame, normalise: Normalise | None, advance: Callable[[], None]
) -> tuple[list[int], list[Mapping[str, Value]], list[Unreadable]]:
    rows: list[int] = []
    values: list[Mapping[str, Value]] = []
    unreadable = []
    for number, row in enumerate(table.iter_rows(named=True)):
        try:
            values.append(measure(index.file(row["path"]), row, normalise))
            rows.append(number)
        except (MediaError, ShapeError) as error:
            unreadable.append(
                Unreadable(
                    video_id=row["video_id"],
                    path=row["path"],
                    reason=error.reason if isinstance(error, MediaError) else "too_small",
                    message=error.message,
                )
            )
        advance()
    return rows, values, unreadable


def _comparisons(table: pl.DataFrame) -> list[tuple[str | None, list[int]]]:
    """(manipulation, rows): all rows first, then each manipulation with the reals beside it."""
    rows = table.select("label", "manipulation", "dataset", "source").with_row_index("row")
    reals, fakes = (rows.filter(pl.col("label") == side) for side in (0, 1))
    found: list[tuple[str | None, list[int]]] = [(None, list(range(table.height)))]
    for name in fakes["manipulation"].unique().sort():
        made = fakes.filter(pl.col("manipulation") == name)
        beside = reals.join(made, on=["dataset", "source"], how="semi")
        beside = beside if beside.height else reals
        chosen = sorted([*beside["row"], *made["row"]])
        if len(chosen) < table.height:  # else it has been compared already
            found.append((name, chosen))
    return found


def _report(
    name: str,
    manipulation: str | None,
    table: pl.DataFrame,
    found: Sequence[Mapping[str, Value]],
    bound: float,
    draws: int,
) -> CueReport:
    cue = CUES[name]
    keep = [i for i, item in enumerate(found) if not cue.found_only or item[name] is not None]
    values = [found[i][name] for i in keep]
    labels = table["label"].to_numpy().astype(int)[keep]
    enough = not cue.found_only or min(int((labels == side).sum()) for side in (0, 1)) >= FOUND
    groups = _groups(table[keep])
    ranked = _ranked(values, labels, groups, draws) if enough else None
    judged = cue.kind == "container" and enough
    held_out = _held_out(values, labels, table[keep], groups, draws) if judged else None
    gaps = [abs(ranked.value - 0.5)] if ranked else []
    gaps += [max(0.0, held_out.value - 0.5)] if held_out else []
    beyond = [m.low > 0.5 + bound for m in (ranked, held_out) if m]
    beyond += [ranked.high < 0.5 - bound] if ranked else []
    exceeds = max(gaps, default=0.0) > bound if manipulation is None else any(beyond)
    reals, fakes = (
        [v for v, label in zip(values, labels, strict=True) if label == side] for side in (0, 1)
    )
    usual = _mode if cue.kind == "container" else _median
    return CueReport(
        cue=name,
        kind=cue.kind,
        manipulation=manipulation,
        reals=len(reals),
        fakes=len(fakes),
        values=len(set(values)),
        usual_real=usual(reals),
        usual_fake=usual(fakes),
        telling=_telling(reals, fakes) if cue.kind == "container" else None,
        auc=ranked,
        held_out=held_out,
        separation=max(gaps) if gaps else None,
        leaks=cue.kind == "container" and exceeds,
    )


def _groups(table: pl.DataFrame) -> list[str]:
    """What is resampled whole: a person's items of one class, or videos where people are few."""
    labels = table["label"].to_list()
    people = [f"{label} {person}" for label, person in zip(labels, filmed(table), strict=True)]
    of_class = Counter(name[0] for name in set(people))
    return people if min(of_class["0"], of_class["1"]) > 1 else table["video_id"].to_list()


def _ranked(
    values: Sequence[Value], labels: _Integers, groups: Sequence[str], draws: int
) -> Measured | None:
    """AUC of the values themselves; None unless all are numbers and both classes are there."""
    if len(set(labels.tolist())) < 2 or any(v is None or isinstance(v, str) for v in values):
        return None
    scores = np.array(values, np.float64)
    return _with_interval(lambda ids: auc(labels[ids], scores[ids]), labels, groups, draws, scores)


def _held_out(
    values: Sequence[Value],
    labels: _Integers,
    table: pl.DataFrame,
    groups: Sequence[str],
    draws: int,
) -> Measured | None:
    """AUC of the share of fakes among others of the same value; None with too few videos."""
    videos = table["video_id"].to_list()
    try:
        held = held_out_rates(values, labels, videos, filmed(table))
    except DatasetError:
        return None

    def within_folds(ids: _Indices) -> float:
        total = pairs = 0.0
        for fold in np.unique(held.fold):
            inside = ids[held.fold[ids] == fold]
            fakes = int(labels[inside].sum())
            weight = fakes * (len(inside) - fakes)
            if weight:
                total += weight * auc(labels[inside], held.rates[inside])
                pairs += weight
        return total / pairs if pairs else 0.5

    return _with_interval(within_folds, labels, groups, draws, held.rates - held.prior)


def _with_interval(
    statistic: Callable[[_Indices], float],
    labels: _Integers,
    groups: Sequence[str],
    draws: int,
    scores: NDArray[np.float64],
) -> Measured:
    if np.ptp(scores) < 1e-12:  # a constant: every resample says the same
        return Measured(value=0.5, low=0.5, high=0.5)
    value = statistic(np.arange(len(labels)))
    low, high = bootstrap_interval(statistic, groups, strata=labels.tolist(), draws=draws)
    return Measured(value=value, low=low, high=high)


def _mode(values: Sequence[Value]) -> str:
    return _text(Counter(values).most_common(1)[0][0]) if values else ""


def _median(values: Sequence[Value]) -> str:
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return f"{float(np.median(numbers)):.4g}" if numbers else ""


def _telling(reals: Sequence[Value], fakes: Sequence[Value]) -> Telling | None:
    if not reals or not fakes:
        return None
    counts = [Counter(side) for side in (reals, fakes)]

    def shares(value: Value) -> tuple[float, float]:
        return counts[0][value] / len(reals), counts[1][value] / len(fakes)

    value = max(counts[0] | counts[1], key=lambda v: abs(shares(v)[1] - shares(v)[0]))
    in_reals, in_fakes = shares(value)
    return Telling(value=_text(value), in_reals=in_reals, in_fakes=in_fakes)


def _text(value: Value) -> str:
    return "none" if value is None or value == "" else str(value)
