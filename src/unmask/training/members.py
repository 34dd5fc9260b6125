"""What each trained network is in an ensemble, and on one scale with the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmask.data.crops import Crops
from unmask.data.scoring import DAILY, scoring_sets
from unmask.models.checkpoint import Card
from unmask.training.config import TrainConfig
from unmask.training.erasure import check_sources, erase_sources, more_reals, raised_alike
from unmask.training.module import score_sets
from unmask.training.network import as_stored
from unmask.transforms.preprocess import InputSpec


class Member(NamedTuple):
    """A network that was trained, its card, and its part.

    Attributes:
        share: what it counts in the mean, positive, beside the other shares.
        margin: of an expert, which is no part of the mean: how far its logit of an average real
            lies below the mean's, in deviations of the validation reals in the mean's. None of a
            member that is no expert.
        slope: of an expert: how many of these deviations one of its own is worth.
    """

    network: nn.Module
    card: Card
    share: float = 1.0
    margin: float | None = None
    slope: float = 1.0


def balanced(
    alone: Sequence[NDArray[np.float64]], members: Sequence[Member]
) -> tuple[list[float], float, list[float]]:
    """What `Ensemble.weigh` takes.

    The mean's logits, see `on_one_scale`; those of an expert get the deviation that the mean's
    have, times its slope, and the mean that the mean's have, less its margin.

    Args:
        alone: each member's logits of the validation reals, (N,).
        members: experts last.
    """
    shares = [one.share for one in members if one.margin is None]
    weights, bias = on_one_scale(alone[: len(shares)], shares)
    together = bias + sum(w * mine for w, mine in zip(weights, alone, strict=False))
    centre, spread = float(np.mean(together)), float(np.std(together))
    offsets = []
    for one, mine in zip(members, alone, strict=True):
        if one.margin is not None:
            weights.append(float(one.slope * spread / np.std(mine)))
            offsets.append(centre - one.margin * spread - weights[-1] * float(np.mean(mine)))
    return weights, bias, offsets


def on_one_scale(
    logits: Sequence[NDArray[np.float64]], shares: Sequence[float]
) -> tuple[list[float], float]:
    """What each logit counts and what is added, so that all speak alike of the same reals.

    Each member's logits get mean and deviation of the first member's before they are averaged.

    Args:
        logits: each member's of the validation reals, (N,); they differ.
        shares: what each counts, positive.

    >>> on_one_scale([np.array([-1.0, 1.0]), np.array([2.0, 6.0])], [1, 1])
    ([0.5, 0.25], -1.0)
    """
    whole, spread = sum(shares), np.std(logits[0])
    weights = [
        float(share / whole * spread / np.std(mine))
        for share, mine in zip(shares, logits, strict=True)
    ]
    away = sum(w * np.mean(mine) for w, mine in zip(weights, logits, strict=True))
    return weights, float(np.mean(logits[0]) - away)


def raise_alike(
    members: Sequence[Member],
    scale: tuple[list[float], float, list[float]],
    crops: Crops,
    spec: InputSpec,
    config: TrainConfig,
) -> None:
    """Move the sources in the members' logits so that the experts raise none more than others.

    Args:
        members: experts last; those of the sum are changed.
        scale: as `balanced` has it.

    Raises:
        ConfigError: too few reals of two sources, or a member of the sum without a linear logit.
    """
    sets = scoring_sets(crops, spec, "val", forged=False, controls=DAILY)
    held = [item for item in sets if item.label == 0]
    weights, bias, offsets = scale
    summed = len(members) - len(offsets)
    for one in members[:summed]:
        check_sources(held, one.network)
    said = []
    for weight, one in zip(weights, members, strict=True):
        scores = score_sets(one.network, held, spec)
        said.append(weight * np.concatenate([scores[item.name][0] for item in held]))
    raised = [mine + offset for mine, offset in zip(said[summed:], offsets, strict=True)]
    together = bias + np.sum(said[:summed], axis=0)
    sources = [source for item in held for source in item.sources]
    shifts = raised_alike(together, np.max(raised, axis=0), sources)
    more, trained_on = more_reals(crops, spec, config, sets)
    whole = sum(one.share for one in members[:summed])
    for weight, one in zip(weights, members[:summed], strict=False):
        of_one = {name: shift * one.share / whole / weight for name, shift in shifts.items()}
        erase_sources(one.network, held, spec, more, trained_on=trained_on, shifts=of_one)
        as_stored(one.network)
