"""How well one column tells the classes apart, measured on items it was not fitted to.

Any rule fitted and measured on the same items finds something, the more values the more. Here the
rule is learned on some videos and tried on others, so that chance gives one half on average.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unmask.errors import DatasetError

FOLDS = 5
BINS = 16
Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What the other folds say of each item.

    Attributes:
        rates: (N,) share of fakes among the items of the same value in the other folds, drawn
            towards `prior`; equal to it for a value that does not occur there.
        prior: (N,) share of fakes in the other folds.
        fold: (N,) the fold each item is held out in. Rates compare within a fold only: between
            folds they differ by what was left out, which favours the other class.
    """

    rates: Floats
    prior: Floats
    fold: Ints


def held_out_rates(
    values: Sequence[Hashable],
    labels: NDArray[np.int_],
    groups: Sequence[str],
    people: Sequence[str] | None = None,
) -> HeldOut:
    """Learn the share of fakes of every value on four fifths of the videos, apply it to the rest.

    A numeric column with more than `BINS` values is cut at its quantiles first, a value that makes
    up a whole bin standing for itself; None is a value of its own. Every group counts once,
    however many items it has, and its items stay in one fold. So do the groups of one person: a
    fake often has the size of the real it was made from, and each would else speak against the
    other. Folds hold both classes alike, as far as people allow, and depend on names alone.

    Args:
        values: (N,) of the column.
        labels: (N,) 0 real, 1 fake; the same within a group.
        groups: (N,) the video of each item.
        people: (N,) who was filmed; a group is where its first item is. Groups stand for
            themselves where this is None, or where a class is of one person only.

    Raises:
        DatasetError: a class has fewer than two groups, so nothing can be held out.
    """
    codes = _codes(values)
    group, fold = _folds(labels, groups, people)
    weight = 1.0 / np.bincount(group)[group]
    rates, prior = np.empty(len(labels)), np.empty(len(labels))
    for held in np.unique(fold):
        out, rest = fold == held, fold != held
        base = float(np.average(labels[rest], weights=weight[rest]))
        total = np.bincount(codes[rest], weight[rest], minlength=codes.max() + 1)
        fakes = np.bincount(codes[rest], weight[rest] * labels[rest], minlength=codes.max() + 1)
        rates[out] = ((fakes + base) / (total + 1.0))[codes[out]]
        prior[out] = base
    return HeldOut(rates, prior, fold)


def rule_accuracy(
    values: Sequence[Hashable],
    labels: NDArray[np.int_],
    groups: Sequence[str],
    people: Sequence[str] | None = None,
) -> tuple[float, float]:
    """Balanced accuracy of calling fake what is more often fake in the other folds.

    Args:
        values, labels, groups, people: as for `held_out_rates`.

    Returns:
        The accuracy in [0, 1], 0.5 for a column that tells nothing, and its standard error. A
        value that says nothing counts half.
    """
    held = held_out_rates(values, labels, groups, people)
    margin = held.rates - held.prior
    margin[np.abs(margin) < 1e-9] = 0.0
    right = 0.5 + 0.5 * np.sign(margin) * np.where(labels == 1, 1.0, -1.0)
    _, group = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    per_group = np.bincount(group, right) / np.bincount(group)
    fake = np.bincount(group, labels) > 0
    means = [per_group[fake == side].mean() for side in (False, True)]
    variances = [per_group[fake == side].var() / (fake == side).sum() for side in (False, True)]
    return float(np.mean(means)), float(0.5 * np.sqrt(sum(variances)))


def _codes(values: Sequence[Hashable]) -> Ints:
    """A whole number per value, or per bin of a numeric column with many values."""
    numbers = [v for v in values if isinstance(v, int | float)]
    distinct = set(values)
    if len(distinct) <= BINS or any(isinstance(v, str) for v in distinct):
        known = {value: code for code, value in enumerate(sorted(distinct, key=repr))}
        return np.array([known[v] for v in values], np.intp)
    edges = np.unique(np.quantile(np.array(numbers, np.float64), np.linspace(0, 1, BINS + 1)))
    given = np.array([np.nan if v is None else v for v in values], np.float64)
    # an edge is a value that fills a bin or bounds one: it gets a code of its own
    codes = np.searchsorted(edges, given, "left") + np.searchsorted(edges, given, "right")
    codes[np.isnan(given)] = 2 * len(edges) + 1
    return codes.astype(np.intp)


def _folds(
    labels: NDArray[np.int_], groups: Sequence[str], people: Sequence[str] | None
) -> tuple[Ints, Ints]:
    """(N,) number of the group, and fold, of each item."""
    names, first, group = np.unique(
        np.asarray(groups, object).astype(str), return_index=True, return_inverse=True
    )
    label = labels[first]
    counts = np.bincount(label, minlength=2)
    if counts.min() < 2:
        raise DatasetError(
            f"Classes can only be compared with two videos of each; got {counts[0]} real and "
            f"{counts[1]} fake."
        )
    person = names if people is None else np.asarray(people, object).astype(str)[first]
    homes = [len(set(person[label == side])) for side in (0, 1)]
    if min(homes) < 2:
        person, homes = names, list(counts)
    folds = min(FOLDS, *homes)
    who, member = np.unique(person, return_inverse=True)
    order = np.array(
        sorted(range(len(who)), key=lambda i: hashlib.sha256(str(who[i]).encode()).digest())
    )
    # dealt out one after the other, first who is in both classes, then who is in one
    in_real, in_fake = (
        np.bincount(member, label == side, minlength=len(who)) > 0 for side in (0, 1)
    )
    dealt = order[np.lexsort((~in_real[order], ~(in_real & in_fake)[order]))]
    fold_of = np.empty(len(who), np.intp)
    fold_of[dealt] = np.arange(len(who)) % folds
    return group.astype(np.intp), fold_of[member][group]
