"""A linear head in closed form: a discriminant that changes which are no forgery hardly move.

A frozen network's statistics tell a forgery from its real by much that any real may have, too:
softness, and what compression leaves. Fisher's discriminant (1936, "The use of multiple
measurements in taxonomic problems") divides what sets the class means apart by how far pictures of
one class differ among themselves. How far a real moves when it is compressed, blurred or resized is
added to that here, so that directions in which it moves count for little; speech recognition
treats what a channel does to a voice in this way (Hatch, Kajarekar & Stolcke 2006, "Within-class
covariance normalization for SVM-based speaker recognition").

One direction for all families is a compromise: what points to one family may point away from
another. So there may be one for each, and a picture is as suspicious as they say together (see
`statistics.mean_odds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unmask.data.crops import Crops
from unmask.data.scoring import MOVES, Change, ScoringSet, fakes_of, reals_of, scoring_sets
from unmask.errors import ConfigError
from unmask.models.statistics import StatisticsNet
from unmask.training.config import DataConfig, DiscriminantConfig
from unmask.training.network import as_stored
from unmask.training.statistics import Remembered
from unmask.transforms.preprocess import InputSpec

MOST = 300
"""Training reals of a source that are looked at under every change."""
UNDER = 500
"""The same, where the fakes made from them are looked at under the same changes."""

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Moments:
    """mean: (D,). covariance: (D, D). Both float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Rows) -> Moments:
        """Of (N, D) rows, N at least 1; the covariance is divided by N."""
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean.astype(np.float32)
        return cls(mean, (centred.T @ centred).astype(np.float64) / len(rows))


Pair = tuple[float, Moments, Moments]
"""Of a family its weight, its fakes, and the reals beside them."""


def discriminant(
    pairs: Iterable[Pair],
    moved: Iterable[NDArray[np.float64]],
    *,
    ridge: float,
    changes: float,
) -> tuple[NDArray[np.float64], float]:
    """The log odds of fake to real, as if both were normal with the same covariance.

    Each of `pairs` and `moved` is let go of when it was added up: a covariance of thousands of
    statistics takes hundreds of megabytes.

    Args:
        pairs: of every family; at least one.
        moved: of every change the mean square of how far it moves a real, (D, D).
        ridge: added to every direction's variance, > 0; statistics have variance 1.
        changes: times each of `moved`, >= 0.

    Returns:
        weight (D,) and bias.
    """
    kinds, within = _within(pairs, moved, ridge=ridge, changes=changes)
    total = sum(one.weight for one in kinds)
    apart = sum(one.weight * (one.fakes - one.reals.mean) for one in kinds)
    middle = sum(one.weight * (one.fakes + one.reals.mean) / 2 for one in kinds)
    found = np.asarray(np.linalg.solve(within, apart / total), np.float64)
    return found, -float(found @ middle) / total


def discriminants(
    pairs: Iterable[Pair],
    moved: Iterable[NDArray[np.float64]],
    *,
    ridge: float,
    changes: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every family its own, within the covariance of all: what sets its fakes alone apart.

    So that they can be set against each other, each has mean 0 and deviation 1 over the reals
    beside its fakes.

    Args:
        pairs, moved, ridge, changes: as `discriminant` takes them.

    Returns:
        weights (K, D) and biases (K,) of K families, in their order.
    """
    kinds, within = _within(pairs, moved, ridge=ridge, changes=changes)
    apart = np.stack([one.fakes - one.reals.mean for one in kinds], axis=1)
    weights = np.asarray(np.linalg.solve(within, apart), np.float64).T
    reals = [one.reals for one in kinds]
    for weight, beside in zip(weights, reals, strict=True):
        weight /= np.sqrt(weight @ beside.covariance @ weight)
    biases = [-weight @ beside.mean for weight, beside in zip(weights, reals, strict=True)]
    return weights, np.array(biases)


class _Kind(NamedTuple):
    """A family's weight, the mean of its fakes, and the reals beside them."""

    weight: float
    fakes: NDArray[np.float64]
    reals: Moments


def _within(
    pairs: Iterable[Pair], moved: Iterable[NDArray[np.float64]], *, ridge: float, changes: float
) -> tuple[list[_Kind], NDArray[np.float64]]:
    """The families, and what pictures of one class differ by, (D, D)."""
    kinds: list[_Kind] = []
    within = np.zeros(())
    for weight, fakes, reals in pairs:
        kinds.append(_Kind(weight, fakes.mean, reals))
        within = within + weight * (fakes.covariance + reals.covariance) / 2
    within = within / sum(one.weight for one in kinds)
    for one in moved:
        within += changes * one
    within[np.diag_indices_from(within)] += ridge
    return kinds, within


def check_head(model: nn.Module, families: int, settings: DiscriminantConfig) -> None:
    """Whether the head of a network can be had in closed form.

    Args:
        model: the network.
        families: how many are trained on.
        settings: how.

    Raises:
        ConfigError: it has something to learn before its logit, or more than one score, and not
            one for each family; or a change that both classes are to be seen under is unknown.
    """
    if not isinstance(model, StatisticsNet) or model.config.fused is not None:
        raise ConfigError(
            "optim.discriminant: only a linear head on fixed statistics is had in closed form.",
            "Use model: probe or rich with model_options: {fused: null}, or leave it out.",
        )
    if (kinds := model.config.kinds) not in (1, families):
        raise ConfigError(
            f"optim.discriminant: {kinds} kinds of fakes, and {families} families to train on.",
            f"Set model_options: {{kinds: {families}}} for a score of each, or leave it out for "
            "one of all.",
        )
    known = [name.removeprefix("real/") for name in MOVES]
    if unknown := sorted(set(settings.under) - set(known)):
        raise ConfigError(
            f"optim.discriminant.under: there is no change {', '.join(unknown)}.",
            f"These are known: {', '.join(known)}.",
        )


def fit_discriminant(
    model: StatisticsNet,
    crops: Crops,
    spec: InputSpec,
    data: DataConfig,
    settings: DiscriminantConfig,
    *,
    cache: Path,
    say: Callable[[str], None],
) -> None:
    """Set a linear head by the training pictures, each seen once as scans see them.

    Args:
        model: with a linear head, of one score or one for each family; statistics are standardised
            by the training reals.
        crops: of the whole index.
        spec: the network's input contract.
        data: the families, their weights, and the reals beside them.
        settings: of the discriminant.
        cache: folder for the statistics, shared by runs.
        say: is told what is looked at.

    Raises:
        ConfigError: no training fakes of a family, or no reals beside them.
    """
    as_stored(model.statistics)
    measure = Measure(model, spec, cache)
    names = list(data.families)
    sets = {
        item.name: item
        for item in scoring_sets(
            crops, spec, "train", forged=data.forged, controls={}, families=names
        )
    }
    say("statistics of the reals")
    real = sets.pop("real")  # each is let go of when it was seen: its views take much memory
    sources, rows = np.array(real.sources), measure.raw(real)
    del real
    measure.standardise_to(rows)
    beside = Beside(measure.standard(rows), sources)
    for name in names:
        if name not in sets or not len(sets[name].views):
            raise ConfigError(
                f"data.families: the training split has no fakes of {name}.",
                "Make them with `unmask synthesize`, give --fakes, or leave the family out.",
            )

    under = Under(measure, crops, spec, data, settings.under)

    def pairs() -> Iterator[tuple[float, Moments, Moments]]:
        for name, weight in data.families.items():
            say(f"statistics of {name}")
            fakes = Moments.of(measure.standard(measure.raw(sets.pop(name))))
            yield weight, *under.together(name, fakes, beside.moments(name, data.beside))

    moved = movements(measure, crops, spec, say) if settings.changes else []
    solve = discriminant if model.config.kinds == 1 else discriminants
    weight, bias = solve(pairs(), moved, ridge=settings.ridge, changes=settings.changes)
    logit = model.logit
    with torch.no_grad():
        logit.weight.copy_(torch.from_numpy(np.atleast_2d(weight)))
        logit.bias.copy_(torch.from_numpy(np.atleast_1d(bias)))


class Measure:
    """Statistics of whole sets, as the head looks at them."""

    def __init__(self, model: StatisticsNet, spec: InputSpec, cache: Path) -> None:
        self.model, self.spec = model, spec
        self.statistics = Remembered(model, cache)

    def raw(self, item: ScoringSet) -> Rows:
        """(N, D), all that the model measures."""
        return np.asarray(self.statistics.of(item, self.spec).numpy())

    def standardise_to(self, raw: Rows) -> None:
        """Give every statistic of these pictures mean 0 and deviation 1."""
        self.model.standardise_to(torch.from_numpy(raw.mean(0)), torch.from_numpy(raw.std(0)))

    def standard(self, raw: Rows) -> Rows:
        """(N, d) of those that the head looks at."""
        return np.asarray(self.model.standard(torch.from_numpy(raw)).numpy())


class Beside:
    """The moments of the reals, of all or of some sources; each choice is computed once."""

    def __init__(self, rows: Rows, sources: NDArray[np.str_]) -> None:
        self.rows, self.sources = rows, sources
        self.known: dict[tuple[str, ...], Moments] = {}

    def moments(self, family: str, beside: Mapping[str, Sequence[str]]) -> Moments:
        """Of the reals that the fakes of a family stand beside."""
        wanted = tuple(sorted(beside.get(family, set(self.sources.tolist()))))
        if wanted not in self.known:
            chosen = np.isin(self.sources, wanted)
            if not chosen.any():
                raise ConfigError(
                    f"data.beside: the training split has no reals of {', '.join(wanted)}, which "
                    f"{family} is to stand beside."
                )
            self.known[wanted] = Moments.of(self.rows[chosen])
        return self.known[wanted]


class Under:
    """The classes as they are and under changes of both, together.

    Args:
        measure: of the statistics.
        crops, spec, data: as `fit_discriminant` takes them.
        changes: of `MOVES`, without `real/` -> how much each counts beside pictures as they are.
    """

    def __init__(
        self,
        measure: Measure,
        crops: Crops,
        spec: InputSpec,
        data: DataConfig,
        changes: Mapping[str, float],
    ) -> None:
        self.measure, self.crops, self.spec, self.data = measure, crops, spec, data
        self.changes = {MOVES[f"real/{name}"]: share for name, share in changes.items()}
        self.whole = 1 + sum(changes.values())
        self.known: dict[tuple[str, ...], Moved] = {}

    def together(self, family: str, fakes: Moments, reals: Moments) -> tuple[Moments, Moments]:
        """Moments of a family's fakes, and of the reals beside them, from those as they are.

        Covariances are averaged. The reals' mean stays, and from it to that of the fakes is the
        mean of that way over the changes and no change.
        """
        if not self.changes:
            return fakes, reals
        wanted = tuple(sorted(self.data.beside.get(family, ())))
        if wanted not in self.known:
            self.known[wanted] = self._moved(partial(self._reals, wanted or None))
        ours, theirs = self._moved(partial(self._fakes, family)), self.known[wanted]
        further = (ours.by - theirs.by) / self.whole
        return (
            Moments(fakes.mean + further, (fakes.covariance + ours.covariance) / self.whole),
            Moments(reals.mean, (reals.covariance + theirs.covariance) / self.whole),
        )

    def _fakes(self, family: str, change: Change | None) -> ScoringSet:
        return fakes_of(
            self.crops,
            self.spec,
            "train",
            family,
            most=UNDER,
            forged=self.data.forged,
            change=change,
        )

    def _reals(self, sources: tuple[str, ...] | None, change: Change | None) -> ScoringSet:
        return reals_of(self.crops, self.spec, "train", most=UNDER, change=change, sources=sources)

    def _moved(self, seen: Callable[[Change | None], ScoringSet]) -> Moved:
        """What all changes make of pictures, each as often as it counts."""

        def rows(change: Change | None) -> Rows:
            return self.measure.standard(self.measure.raw(seen(change)))

        before = rows(None).mean(axis=0, dtype=np.float64)
        by, covariance = np.zeros(len(before)), np.zeros((len(before), len(before)))
        for change, share in self.changes.items():
            after = Moments.of(rows(change))
            by += share * (after.mean - before)
            covariance += share * after.covariance
        return Moved(by, covariance)


class Moved(NamedTuple):
    """How far changes move the mean of pictures, (d,), and their covariance then, (d, d): sums."""

    by: NDArray[np.float64]
    covariance: NDArray[np.float64]


def movements(
    measure: Measure, crops: Crops, spec: InputSpec, say: Callable[[str], None]
) -> Iterator[NDArray[np.float64]]:
    """Of every change, one at a time: the mean square of how far it moves a training real."""

    def seen(name: str) -> Rows:
        changed = reals_of(crops, spec, "train", most=MOST, change=MOVES.get(name))
        return measure.standard(measure.raw(changed))

    before = seen("real")
    for name in MOVES:
        say(f"statistics of {name}")
        apart = seen(name) - before
        yield (apart.T @ apart).astype(np.float64) / len(apart)
