"""What the logit reads of the difference between sources of reals, taken out after training.

A network that was trained on reals of several collections reads a little of the collection off a
picture, and then judges one collection's reals more harshly than another's. The head is linear, so
that much of it can be undone exactly, with the least change to all scores: the least-squares
concept erasure of Belrose et al. 2023 (LEACE), for a single linear score, or for each of several.
It is fitted on the validation reals and on those of training, since a source may have too few of
the former for its mean to be known. A network judges reals that it was trained on more mildly, but
alike so for all sources. Where some sources took no part in training, it is not alike: then their
training reals count as held out, and of the sources that were trained on only the validation reals
count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unmask.data.crops import Crops
from unmask.data.scoring import DAILY, ScoringSet, reals_of
from unmask.errors import ConfigError
from unmask.models.checkpoint import predict
from unmask.models.statistics import mean_odds
from unmask.training.config import DataConfig, TrainConfig
from unmask.training.module import evaluating
from unmask.transforms.preprocess import InputSpec, to_tensors

LEAST = 10
"""Validation reals that a source must have to take part."""
MOST = 500
"""Training reals of a source that are looked at."""
RAISES = 200
"""At most, until groups are raised alike."""
ROUNDS = 20
"""At most, until the logit of several scores has the same mean in all sources."""
SAME = 1e-6
"""Means that differ by less, where reals have deviation 1, are the same."""
SHRINKAGE = 0.03
"""Share of the mean variance that is added to every direction's: few reals leave some unseen."""


@dataclass(frozen=True)
class Sources:
    """By what a linear score can tell groups of features apart.

    Attributes:
        share: (N, G), how much each row counts in its group's mean, groups in the order of their
            names.
        means: (G, D) of the groups.
        solved: (D, G - 1), the directions from the first group's mean to the others', over the
            covariance within the groups.
    """

    share: NDArray[np.float64]
    means: NDArray[np.float64]
    solved: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        features: NDArray[np.floating],
        groups: Sequence[str],
        counts: Sequence[float] | None = None,
    ) -> Sources:
        """Of (N, D) features in N groups, at least two different ones.

        Args:
            features: those that the score is of.
            groups: (N,) names.
            counts: (N,) how often each counts, positive; alike without.
        """
        x = np.asarray(features, np.float64)
        times = np.ones(len(x)) if counts is None else np.asarray(counts, np.float64)
        names = sorted(set(groups))
        member = np.array([[group == name for name in names] for group in groups], np.float64)
        counted = member * times[:, None]
        share = counted / counted.sum(axis=0)
        means = share.T @ x
        within = x - member @ means
        covariance = (within * times[:, None]).T @ within / times.sum()
        covariance += SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        return cls(share, means, np.linalg.solve(covariance, _apart(means)))

    def erased(
        self, weight: NDArray[np.floating], shifts: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Weights of a linear score whose mean is the same in every group, but for `shifts`.

        Of all such weights these move the scores least, in mean square within the groups.

        Args:
            weight: (D,), or (K, D) of K scores, each of which is treated so.
            shifts: (G,) what the means are to differ by; by nothing without.

        Returns:
            float64, of the weight's shape.
        """
        apart = _apart(self.means)
        w = np.asarray(weight, np.float64)
        wrong = w @ apart
        if shifts is not None:
            wrong = wrong - (shifts[1:] - shifts[0])
        share, *_ = np.linalg.lstsq(apart.T @ self.solved, wrong.T, rcond=None)
        result: NDArray[np.float64] = w - (self.solved @ share).T
        return result


def _apart(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D, G - 1): what no weight may see."""
    apart: NDArray[np.float64] = (means[1:] - means[0]).T
    return apart


def check_sources(sets: Sequence[ScoringSet], model: nn.Module) -> None:
    """Whether `erase_sources` can be done.

    Raises:
        ConfigError: fewer than two sources with enough reals, or no linear logit.
    """
    if not isinstance(getattr(model, "logit", None), nn.Linear):
        raise ConfigError(
            "optim.erase_sources: the network has no linear layer for its logit.",
            "Leave optim.erase_sources out, or train another network.",
        )
    counts = _counts(sets)
    if sum(number >= LEAST for number in counts.values()) < 2:
        told = ", ".join(f"{source} {number}" for source, number in sorted(counts.items()))
        raise ConfigError(
            f"optim.erase_sources: two sources with at least {LEAST} validation reals are needed; "
            f"there are {told or 'none'}.",
            "Leave optim.erase_sources out, or add reals of another source.",
        )


def untrained(data: DataConfig, sources: Collection[str]) -> set[str]:
    """Those of the sources none of whose reals any family stands beside in training."""
    if any(family not in data.beside for family in data.families):
        return set()
    return set(sources) - {one for family in data.families for one in data.beside[family]}


def more_reals(
    crops: Crops, spec: InputSpec, config: TrainConfig, sets: Sequence[ScoringSet]
) -> tuple[list[ScoringSet], bool]:
    """Training reals to erase sources with, and whether the network was trained on them.

    Where a source took no part in training, those of such sources alone, as they are and under
    every control that `sets` has. A run that goes on from other weights may have seen all sources.
    """
    reals = reals_of(crops, spec, "train", most=MOST)
    others = untrained(config.data, set(reals.sources))
    if not others or config.start is not None:
        return [reals], True
    names = [item.name for item in sets if item.label == 0]
    return [
        replace(
            reals_of(crops, spec, "train", most=MOST, change=DAILY.get(name), sources=others),
            name=name,
        )
        for name in names
    ], False


def erase_sources(
    model: nn.Module,
    sets: Sequence[ScoringSet],
    spec: InputSpec,
    more: Sequence[ScoringSet] = (),
    *,
    trained_on: bool = True,
    shifts: Mapping[str, float] | None = None,
) -> None:
    """Make the mean logit of the reals the same for every source.

    The mean over all of the validation reals stays as it was; of a network with a score for each
    kind of fakes, that of every score.

    Args:
        model: its `logit` is changed; the features are what goes into it.
        sets: of the validation split; the reals, as they are and under every control, are used.
            Sources with fewer than `LEAST` of them take no part.
        spec: the network's input contract.
        more: reals of the training split; without, the validation reals alone count.
        trained_on: they are of all sources and were trained on: in every source they count as
            much beside those of validation as they do in all. Else they count as those do, picture
            by picture, under the same controls.
        shifts: source -> what its mean is to be above the others'; nothing without.
    """
    enough = {source for source, number in _counts(sets).items() if number >= LEAST}
    held = [item for item in sets if item.label == 0]
    if trained_on and any(not enough <= set(item.sources) for item in more):
        more = ()  # one source would have a disadvantage
    features = np.concatenate([_features(model, item, spec) for item in (*held, *more)])
    rows = [
        _Row(source, validation=n < len(held), plain=item.name == "real")
        for n, item in enumerate((*held, *more))
        for source in item.sources
    ]
    kept = [i for i, row in enumerate(rows) if row.source in enough]
    features, rows = features[kept], [rows[i] for i in kept]
    logit = model.logit
    assert isinstance(logit, nn.Linear)
    named = sorted({row.source for row in rows})
    weight, bias = alike(
        logit.weight.detach().double().cpu().numpy(),
        logit.bias.detach().double().cpu().numpy(),
        features,
        [row.source for row in rows],
        _shared_alike(rows) if trained_on else [1.0] * len(rows),
        features[[row.validation for row in rows]].mean(axis=0),
        np.array([(shifts or {}).get(source, 0.0) for source in named]),
    )
    with torch.no_grad():
        logit.weight.copy_(torch.from_numpy(weight))
        logit.bias.copy_(torch.from_numpy(bias))


def alike(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    features: NDArray[np.float64],
    groups: Sequence[str],
    counts: Sequence[float],
    kept: NDArray[np.float64],
    wanted: NDArray[np.float64] | float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores whose logit, their `mean_odds`, has the same mean in every group, but for `wanted`.

    The odds' mean grows with how far the scores of a group spread, so that scores of one mean do
    not suffice where there are several: all of a group's are moved alike, until the logit's is.

    Args:
        weight, bias: (K, D) and (K,) of the scores.
        features, groups, counts: as `Sources` takes them.
        kept: (D,) the features at which every score stays as it is.
        wanted: (G,) what the groups' means are to differ by, in the order of their names.

    Returns:
        weight and bias instead of those.
    """
    sources = Sources.of(features, groups, counts)
    shifts = np.zeros(len(sources.means)) + wanted
    for _ in range(ROUNDS):
        after = sources.erased(weight, shifts)
        moved = bias + (weight - after) @ kept
        logits = mean_odds(torch.from_numpy(features @ after.T + moved)).numpy()
        means = sources.share.T @ logits - wanted
        if np.ptp(means) < SAME or len(weight) == 1:
            break
        shifts -= means - means.mean()
    return after, moved


def raised_alike(
    mean: NDArray[np.float64], experts: NDArray[np.float64], groups: Sequence[str]
) -> dict[str, float]:
    """What to add to `mean` in each group so that all are raised alike where the greater counts.

    The greater of two logits is more than either on average, and the more so the farther the
    pictures of a group spread: by that an expert alone would make a source look suspicious.

    Args:
        mean, experts: (N,) logits of reals, finite.
        groups: (N,) names.

    Returns:
        group -> shift, of mean 0 over the pictures: the mean of max(mean + shift, experts) - mean
        is the same in every group.
    """
    names = np.array(groups)
    shifts, before = dict.fromkeys(sorted(set(groups)), 0.0), np.inf
    for _ in range(RAISES):
        moved = mean + np.array([shifts[name] for name in groups])
        rises = np.maximum(moved, experts) - mean
        apart = {name: float(rises[names == name].mean() - rises.mean()) for name in shifts}
        worst = max(map(abs, apart.values()))
        if worst < SAME or worst >= before:  # an expert that is always heard leaves nothing to move
            break
        before = worst
        for name in shifts:  # a mean moves by less than its shift, so this does not overshoot
            shifts[name] -= apart[name]
    return shifts


class _Row(NamedTuple):
    """A real as it is, or under a control: its source, its split, and which of both it is."""

    source: str
    validation: bool
    plain: bool


def _shared_alike(rows: Sequence[_Row]) -> list[float]:
    """How often each counts, so that both splits have the same share in every source.

    A source counts by its pictures, and either split in it by all of its pictures; those of one
    split and source, under every control, count alike.
    """
    pictures = [row for row in rows if row.plain]
    of_split = Counter(row.validation for row in pictures)
    of_source = Counter(row.source for row in pictures)
    cells = Counter((row.source, row.validation) for row in rows)
    return [
        of_split[row.validation] * of_source[row.source] / cells[row.source, row.validation]
        for row in rows
    ]


def _counts(sets: Sequence[ScoringSet]) -> Counter[str]:
    """Reals by source, each picture once."""
    return Counter(source for item in sets if item.name == "real" for source in item.sources)


def _features(
    model: nn.Module, reals: ScoringSet, spec: InputSpec, *, batch: int = 32
) -> NDArray[np.float64]:
    """What goes into the logit: (N, D)."""
    seen: list[Tensor] = []
    logit = model.logit
    assert isinstance(logit, nn.Linear)
    hook = logit.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    device = str(next(model.parameters()).device)
    try:
        with evaluating(model):
            for i in range(0, len(reals.views), batch):
                predict(model, to_tensors(reals.views[i : i + batch], spec), device=device)
    finally:
        hook.remove()
    return np.concatenate([one.double().cpu().numpy() for one in seen])
