"""How candidates do on families that were left out of their training, from their scores alone.

Candidates are ranked by the family they do worst on, at a threshold that no more than `FPR` of the
reals reach under any control: a mean AUC would forgive a detector that flags blurred reals, and one
that sees nothing of a whole kind of forgery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from unmask.errors import DatasetError
from unmask.evaluation.comparison.layout import CLEAN
from unmask.evaluation.conditions import on_reals_only
from unmask.metrics.calibration import threshold_at_fpr
from unmask.metrics.ranking import auc

FPR = 0.05
DRAWS = 400
LEVEL = 0.95
Floats = NDArray[np.float64]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FamilyRow(_Model):
    """One family, mean over the folds and seeds in which it played that part.

    Attributes:
        auc: against the reals it stands beside, all pictures laundered.
        tpr: share of its fakes at or above the threshold of `FPR` under every control.
        low, high: interval of `auc`, people drawn.
    """

    family: str
    part: Literal["left_out", "trained"]
    auc: float
    low: float
    high: float
    tpr: float
    fakes: int


class CandidateRow(_Model):
    """One candidate; all rates between 0 and 1.

    Attributes:
        worst_tpr, worst_family: at the fixed threshold, of the families left out: what ranks.
        mean_tpr, mean_auc, worst_auc: of the families left out; low, high: interval of mean_auc.
        trained_auc: mean of the families trained on.
        flagged: control -> share of its reals at or above the threshold of `FPR` on clean reals.
        source_auc: of the reals of each source as if they were fakes, against all other reals.
        seconds: of training, all folds and seeds. runs: how many.
    """

    name: str
    summary: str
    worst_tpr: float
    worst_family: str
    mean_tpr: float
    mean_auc: float
    low: float
    high: float
    worst_auc: float
    trained_auc: float
    flagged: dict[str, float]
    source_auc: dict[str, float]
    families: tuple[FamilyRow, ...]
    parameters: int
    seconds: float
    runs: int


@dataclass(frozen=True)
class Fold:
    """One run's scores.

    Attributes:
        left_out: families that it was not trained on.
        scores: condition -> logits (n,) of all items, NaN where an item has none under it.
    """

    left_out: frozenset[str]
    scores: Mapping[str, Floats]


@dataclass(frozen=True)
class Pictures:
    """The items that all runs score.

    Attributes:
        family: (n,) '' of reals. source, person: (n,).
        beside: family -> sources of the reals it is set against; all where not named.
    """

    family: NDArray[np.str_]
    source: NDArray[np.str_]
    person: NDArray[np.str_]
    beside: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, items: pl.DataFrame, beside: Mapping[str, Sequence[str]]) -> Pictures:
        """From items.parquet."""
        names = ("family", "source", "cluster")
        family, source, person = (items[n].to_numpy().astype(np.str_) for n in names)
        return cls(family, source, person, beside)

    @property
    def families(self) -> list[str]:
        """All, sorted."""
        return sorted(set(self.family.tolist()) - {""})

    def fakes(self, family: str) -> NDArray[np.intp]:
        """Item numbers."""
        return np.flatnonzero(self.family == family)

    def reals(self, family: str = "") -> NDArray[np.intp]:
        """Item numbers of the reals, of those that a family is set against."""
        real = self.family == ""
        if family in self.beside:
            real &= np.isin(self.source, list(self.beside[family]))
        return np.flatnonzero(real)


def strict_threshold(fold: Fold, reals: NDArray[np.intp]) -> float:
    """The lowest logit that at most `FPR` of the reals reach, clean and under every control."""
    conditions = [name for name in fold.scores if name == CLEAN or on_reals_only(name)]
    return max(threshold_at_fpr(fold.scores[name][reals], FPR) for name in conditions)


def ensemble(members: Sequence[Fold], reals: NDArray[np.intp]) -> Fold:
    """Mean of several runs' logits, each brought to mean 0 and deviation 1 on the clean reals.

    Only reals say what the scales are: of fakes that nobody knew there are none to ask.

    Args:
        members: runs without the same families, at least one.
        reals: item numbers.

    Raises:
        DatasetError: they were trained without different families.
    """
    if len({fold.left_out for fold in members}) != 1:
        raise DatasetError("An ensemble needs runs that were trained without the same families.")
    together: dict[str, Floats] = {}
    for fold in members:
        clean = fold.scores[CLEAN][reals]
        for name, logits in fold.scores.items():
            standard = (logits - clean.mean()) / (clean.std() or 1.0)
            together[name] = together.get(name, 0.0) + standard / len(members)
    return Fold(members[0].left_out, together)


def candidate(
    name: str,
    summary: str,
    folds: Sequence[Fold],
    pictures: Pictures,
    *,
    parameters: int,
    seconds: float,
    seed: int = 0,
) -> CandidateRow:
    """All numbers of one candidate.

    Args:
        name, summary, parameters, seconds: as in the row.
        folds: of every run. pictures: that they scored.
        seed: of the bootstrap.

    Raises:
        DatasetError: no family was left out of any run.
    """
    rows: list[FamilyRow] = []
    drawn: list[Floats] = []
    weights = _weights(pictures.person, seed)
    for family in pictures.families:
        for unseen in (True, False):
            runs = [fold for fold in folds if (family in fold.left_out) == unseen]
            if runs:
                row, spread = _family(family, unseen, runs, pictures, weights)
                rows.append(row)
                if unseen:
                    drawn.append(spread)
    left = [row for row in rows if row.part == "left_out"]
    if not left:
        raise DatasetError(f"No run of {name} left a family out.")
    worst = min(left, key=lambda row: (row.tpr, row.auc))
    low, high = _interval(np.mean(drawn, axis=0))
    return CandidateRow(
        name=name,
        summary=summary,
        worst_tpr=worst.tpr,
        worst_family=worst.family,
        mean_tpr=_mean(row.tpr for row in left),
        mean_auc=_mean(row.auc for row in left),
        low=low,
        high=high,
        worst_auc=min(row.auc for row in left),
        trained_auc=_mean(row.auc for row in rows if row.part == "trained"),
        flagged=_flagged(folds, pictures),
        source_auc=_sources(folds, pictures),
        families=tuple(rows),
        parameters=parameters,
        seconds=seconds,
        runs=len(folds),
    )


def ranked(rows: Sequence[CandidateRow]) -> list[CandidateRow]:
    """Best first: by the worst family left out, then by the mean of all left out."""
    return sorted(rows, key=lambda row: (-row.worst_tpr, -row.mean_tpr, row.name))


def _family(
    family: str, left: bool, runs: Sequence[Fold], pictures: Pictures, weights: Floats
) -> tuple[FamilyRow, Floats]:
    fakes, reals, every = pictures.fakes(family), pictures.reals(family), pictures.reals()
    values, rates, spreads = [], [], []
    for fold in runs:
        clean = fold.scores[CLEAN]
        labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
        values.append(auc(labels, np.r_[clean[reals], clean[fakes]]))
        rates.append(float((clean[fakes] >= strict_threshold(fold, every)).mean()))
        spreads.append(
            weighted_aucs(clean[reals], clean[fakes], weights[:, reals], weights[:, fakes])
        )
    spread = np.mean(spreads, axis=0)
    low, high = _interval(spread)
    row = FamilyRow(
        family=family,
        part="left_out" if left else "trained",
        auc=_mean(values),
        low=low,
        high=high,
        tpr=_mean(rates),
        fakes=len(fakes),
    )
    return row, spread


def weighted_aucs(reals: Floats, fakes: Floats, real_w: Floats, fake_w: Floats) -> Floats:
    """AUC under each row of weights, ties counting half.

    Args:
        reals, fakes: logits (r,) and (f,). real_w, fake_w: (D, r) and (D, f), >= 0.

    Returns:
        (D,); NaN where a class has no weight.
    """
    above = (fakes[:, None] > reals[None]) + 0.5 * (fakes[:, None] == reals[None])
    total = real_w.sum(1) * fake_w.sum(1)
    won = np.einsum("df,fr,dr->d", fake_w, above, real_w, optimize=True)
    found = np.full(len(total), np.nan)
    np.divide(won, total, out=found, where=total > 0)
    return found


def _weights(person: NDArray[np.str_], seed: int) -> Floats:
    """(DRAWS, n) how often each item's person is drawn."""
    names, number = np.unique(person, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    return np.asarray(counts[:, number], np.float64)


def _interval(values: Floats) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _flagged(folds: Sequence[Fold], pictures: Pictures) -> dict[str, float]:
    reals = pictures.reals()
    found: dict[str, list[float]] = {}
    for fold in folds:
        threshold = threshold_at_fpr(fold.scores[CLEAN][reals], FPR)
        for name, scores in fold.scores.items():
            if on_reals_only(name):
                share = float((scores[reals] >= threshold).mean())
                found.setdefault(name, []).append(share)
    return {name: _mean(shares) for name, shares in found.items()}


def _sources(folds: Sequence[Fold], pictures: Pictures) -> dict[str, float]:
    reals = pictures.reals()
    names = sorted(set(pictures.source[reals].tolist()))
    if len(names) < 2:
        return {}
    labels = {name: (pictures.source[reals] == name).astype(int) for name in names}
    return {n: _mean(auc(labels[n], fold.scores[CLEAN][reals]) for fold in folds) for n in names}


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]
