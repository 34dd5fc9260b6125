"""An ensemble of weights that are trained already, with a decision of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmask.data.crops import Crops
from unmask.errors import ConfigError
from unmask.models.checkpoint import Card, load_checkpoint, save_checkpoint
from unmask.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from unmask.models.registry import model_spec
from unmask.training.card import facts, families_of, measured
from unmask.training.config import TrainConfig, load_config, with_overrides
from unmask.training.decision import fit_decision_on
from unmask.training.feeds import scored_sets
from unmask.training.module import embed_sets
from unmask.training.run import load_crops
from unmask.transforms.preprocess import InputSpec

ENSEMBLE = "ensemble"


class Member(NamedTuple):
    """A network that was trained, and its card."""

    network: nn.Module
    card: Card


def fuse(
    config_path: Path,
    members: Sequence[Path],
    *,
    out: Path,
    shares: Sequence[float] | None = None,
    index: Path | None = None,
    fakes: Mapping[str, Path] | None = None,
) -> Path:
    """Put trained weights together, and fit thresholds on the validation split.

    Args:
        config_path: YAML with `model: ensemble`, see `config.TrainConfig`. Of its `data` the index,
            the families, `forged` and `beside` count: they say what is validated on.
        members: weights files. Heatmaps are of the first, and the logit is on its scale.
        out: folder for `NAME.safetensors` and its card; face crops are kept in `cache` beside it.
        shares: what each member counts, alike without.
        index: instead of the configuration's.
        fakes: generator -> another index, of which its fakes are taken and nothing else.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: another network than an ensemble, fewer than two members, or members that do
            not look at the same pictures.
        CheckpointError: a member cannot be read.
        DatasetError: the index cannot be used.
    """
    config = with_overrides(load_config(config_path), index=index)
    if config.model != ENSEMBLE:
        raise ConfigError(
            f"{config_path} is of a network {config.model}.",
            f"Set model: {ENSEMBLE}, or train it with `unmask train`.",
        )
    loaded = [Member(*load_checkpoint(path)) for path in members]
    each = _shares(shares, loaded)
    common_input([one.card for one in loaded])  # before faces are looked for
    command = f"unmask fuse {config_path} --index INDEX.csv"
    command += "".join(f" --fakes {generator}=INDEX.csv" for generator in fakes or {})
    command += "".join(f" --member {path.name}" for path in members)
    if shares:
        command += "".join(f" --share {share:g}" for share in each)
    crops = load_crops(config, out.parent / "cache", fakes or {})
    return fuse_on(config, loaded, each, crops, out=out, command=command)


def fuse_on(
    config: TrainConfig,
    members: Sequence[Member],
    shares: Sequence[float],
    crops: Crops,
    *,
    out: Path,
    command: str,
) -> Path:
    """`fuse` of networks and crops that are at hand.

    Args:
        config: its `model` and index are not looked at.
        members, shares: at least two, as many of each.
        crops: items of the split val; others are not used.
        out: folder for the weights.
        command: what the card says they were made with.

    Raises:
        ConfigError: the members do not look at the same pictures.
    """
    started = time.perf_counter()
    cards = [one.card for one in members]
    spec = replace(model_spec(ENSEMBLE), input=common_input(cards))
    architecture = EnsembleConfig(
        members=tuple(MemberConfig(architecture=c.architecture, config=c.config) for c in cards)
    )
    sets = scored_sets(crops, spec, config, decide=True)
    reals = [item for item in sets if item.name == "real"]
    alone = [embed_sets(one.network, reals, spec.input)[0]["real"][0] for one in members]
    model = Ensemble(architecture, [one.network for one in members])
    model.weigh(*on_one_scale(alone, shares))
    scores, embeddings = embed_sets(model, sets, spec.input)
    known = set().union(*map(families_of, cards))
    told = facts(config, crops, command, time.perf_counter() - started)
    del told["configuration"]["optim"]  # nothing was optimised
    told["members"] = [_told(*pair) for pair in zip(cards, shares, strict=True)]
    card = Card(
        name=config.name,
        architecture=ENSEMBLE,
        config=architecture.model_dump(mode="json"),
        input=spec.input,
        summary=spec.summary,
        licence=config.licence,
        limitations=config.limitations,
        training=told,
        metrics=measured(scores, config, known),
        decision=fit_decision_on(scores, config.data.families, embeddings),
    )
    path = out / f"{config.name}.safetensors"
    save_checkpoint(path, model, card, half=True)
    return path


def on_one_scale(
    logits: Sequence[NDArray[np.float64]], shares: Sequence[float]
) -> tuple[list[float], float]:
    """What each logit counts and what is added, so that all speak alike of the same reals.

    Each member's logits get mean and deviation of the first member's before they are averaged.

    Args:
        logits: each member's of the validation reals, (N,).
        shares: what each counts, positive.

    >>> weights, bias = on_one_scale([np.array([-1.0, 1.0]), np.array([2.0, 6.0])], [1, 1])
    >>> weights, bias
    ([0.5, 0.25], -1.0)
    """
    whole, spread = sum(shares), np.std(logits[0])
    weights = [
        float(share / whole * spread / np.std(mine))
        for share, mine in zip(shares, logits, strict=True)
    ]
    away = sum(w * np.mean(mine) for w, mine in zip(weights, logits, strict=True))
    return weights, float(np.mean(logits[0]) - away)


def common_input(cards: Sequence[Card]) -> InputSpec:
    """What all members take.

    Raises:
        ConfigError: their pictures differ in size, or in a normalisation that two of them look at.
    """
    first = cards[0]
    chosen = next((c for c in cards if "rgb" in model_spec(c.architecture).views), first).input
    for card in cards:
        wanted = card.input
        if "rgb" not in model_spec(card.architecture).views:  # then its normalisation is idle
            wanted = wanted.model_copy(update={"mean": chosen.mean, "std": chosen.std})
        if wanted != chosen:
            raise ConfigError(
                f"{first.name} and {card.name} look at different pictures: {chosen.model_dump()} "
                f"and {wanted.model_dump()}.",
                "Train them with the same data.native_size, data.native_limit and data.side.",
            )
    return chosen


def _shares(shares: Sequence[float] | None, members: Sequence[Member]) -> list[float]:
    if len(members) < 2:
        raise ConfigError(
            f"An ensemble of {len(members)} network is none.", "Give --member twice or more."
        )
    if not shares:
        return [1.0] * len(members)
    if len(shares) != len(members) or min(shares) <= 0:
        raise ConfigError(
            f"{len(shares)} shares for {len(members)} members.",
            "Give a positive --share for each --member, in the same order, or none.",
        )
    return list(shares)


def _told(card: Card, share: float) -> dict[str, Any]:
    return {
        "name": card.name,
        "weights_sha256": card.weights_sha256,
        "share": share,
        "training": card.training,
    }
