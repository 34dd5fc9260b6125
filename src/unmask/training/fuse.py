"""An ensemble of weights that are trained already, with a decision of its own."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmask.data.crops import Crops
from unmask.errors import ConfigError
from unmask.models.checkpoint import Card, load_checkpoint, save_checkpoint
from unmask.models.ensemble import NAME as ENSEMBLE
from unmask.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from unmask.models.registry import View, model_spec
from unmask.models.statistics import StatisticsNet
from unmask.training.card import command_of, facts, families_of, measured
from unmask.training.config import TrainConfig, load_config, with_overrides
from unmask.training.decision import fit_decision_on
from unmask.training.feeds import scored_sets
from unmask.training.members import Member, balanced, raise_alike
from unmask.training.module import embed_sets, score_sets
from unmask.training.network import as_stored
from unmask.training.run import load_crops
from unmask.transforms.preprocess import InputSpec

DATA = ("families", "forged", "beside", "sources")
"""What of a configuration's data says what is validated on."""
MARGIN = 1.0
SLOPE = 1.0
"""Of an expert, see `Member`, where nothing else is said."""
UNSPECIFIED = Card.model_fields["licence"].default


def fuse(
    config_path: Path,
    members: Sequence[Path],
    *,
    out: Path,
    shares: Sequence[float] | None = None,
    experts: Sequence[Path] = (),
    margins: Sequence[float] | None = None,
    slopes: Sequence[float] | None = None,
    index: Path | None = None,
    fakes: Mapping[str, Path] | None = None,
) -> Path:
    """Put trained weights together, and fit thresholds on the validation split.

    Args:
        config_path: YAML with `model: ensemble`, see `config.TrainConfig`. Of its `data` only what
            says what is validated on counts: `DATA`, and the index.
        members: weights files. Heatmaps are of the first, and the logit is on its scale.
        experts: weights files of networks that know fakes of one kind; the ensemble says what one
            of them says where that is more than the members' mean.
        out: folder for `NAME.safetensors` and its card; face crops are kept in `cache` beside it.
        shares: what each member counts, alike without.
        margins, slopes: of each expert, see `Member`; without them `MARGIN` and `SLOPE` each.
        index: instead of the configuration's.
        fakes: generator -> another index, of which its fakes are taken and nothing else.

    Returns:
        Path of the weights.

    Raises:
        ConfigError: another network than an ensemble, settings that only training has, fewer than
            two networks, networks that do not look at the same pictures, no fakes of a family, or
            no licence for weights that have one.
        CheckpointError: a member cannot be read.
        DatasetError: the index cannot be used.
    """
    config = with_overrides(load_config(config_path), index=index)
    _check_config(config, config_path)
    target = out / f"{config.name}.safetensors"
    paths = [*members, *experts]
    if target.resolve() in [path.resolve() for path in paths]:
        raise ConfigError(
            f"{target} is a member, and would be replaced.", "Choose another --out, or name."
        )
    loaded = [load_checkpoint(path) for path in paths]
    cards = [card for _, card in loaded]
    _check_different(cards)
    counted = _each("share", shares, len(members), default=1.0)
    ahead = _each("margin", margins, len(experts), default=MARGIN)
    steep = _each("slope", slopes, len(experts), default=SLOPE)
    parts = [Member(*one, share=share) for one, share in zip(loaded, counted, strict=False)]
    held_back = zip(loaded[len(members):], ahead, steep, strict=True)  # fmt: skip
    parts += [Member(*one, margin=margin, slope=slope) for one, margin, slope in held_back]
    _check_licence(config, cards)
    common_input(cards)  # before faces are looked for
    command = command_of("fuse", config_path, fakes or {})
    command += "".join(f" --member {path.name}" for path in members)
    if shares:
        command += "".join(f" --share {share:g}" for share in counted)
    for path, margin, slope in zip(experts, ahead, steep, strict=True):
        command += f" --expert {path.name} --margin {margin:g} --slope {slope:g}"
    crops = load_crops(config, out.parent / "cache", fakes or {})
    return fuse_on(config, parts, crops, out=out, command=command)


def fuse_on(
    config: TrainConfig,
    members: Sequence[Member],
    crops: Crops,
    *,
    out: Path,
    command: str,
    decide: bool = True,
) -> Path:
    """`fuse` of networks and crops that are at hand.

    Args:
        config: its `model` and index are not looked at.
        members: at least two, experts last. Their parameters are rounded as they are stored.
        crops: items of the split val; others are not used, but for sources (below).
        out: folder for the weights.
        command: what the card says they were made with.
        decide: fit thresholds; without, the card has neither a decision nor measures.

    With `optim.erase_sources` the members' logits are made blind to sources once more, so that the
    logit has the same mean in each though an expert raises some sources more than others. The
    training split's reals have a part in that.

    Raises:
        ConfigError: the members do not look at the same pictures, a family has no validation fakes,
            or a member gives all reals one score.
    """
    started = time.perf_counter()
    cards = [one.card for one in members]
    spec = replace(model_spec(ENSEMBLE), input=common_input(cards))
    architecture = EnsembleConfig(members=_described(members))
    sets = scored_sets(crops, spec, config, decide)
    if decide:
        _check_families(config, [item.name for item in sets])
    reals = [item for item in sets if item.name == "real"]
    for one in members:
        as_stored(one.network)
    alone = [score_sets(one.network, reals, spec.input)["real"][0] for one in members]
    _check_spread(cards, alone)
    if config.optim.erase_sources and architecture.members[-1].expert:
        raise_alike(members, balanced(alone, members), crops, spec.input, config)
        alone = [score_sets(one.network, reals, spec.input)["real"][0] for one in members]
    model = Ensemble(architecture, [one.network for one in members])
    model.weigh(*balanced(alone, members))
    scores, embeddings = embed_sets(model, sets if decide else [], spec.input)
    learned = not model_spec(cards[0].architecture).fixed  # the embedding is the first member's
    families = config.data.families
    known = set().union(*map(families_of, cards))
    told = facts(config, crops, command, time.perf_counter() - started)
    data = told["configuration"]["data"]
    told["configuration"] = {  # nothing else had a say
        "data": {name: data[name] for name in DATA},
        "optim": {"erase_sources": config.optim.erase_sources},
    }
    told["members"] = [_told(one) for one in members]
    card = Card(
        name=config.name,
        architecture=ENSEMBLE,
        config=architecture.model_dump(mode="json"),
        input=spec.input,
        summary=_summary(members),
        licence=config.licence,
        limitations=config.limitations,
        training=told,
        metrics=measured(scores, config, known),
        decision=fit_decision_on(scores, families, embeddings if learned else None)
        if decide
        else None,
    )
    path = out / f"{config.name}.safetensors"
    save_checkpoint(path, model, card, half=True)
    return path


def _check_spread(cards: Sequence[Card], logits: Sequence[NDArray[np.float64]]) -> None:
    for card, mine in zip(cards, logits, strict=True):
        if not 0 < np.std(mine) < np.inf:
            raise ConfigError(
                f"{card.name} gives all reals one score, or some that are no numbers.",
                "Leave it out, or train it again.",
            )


def common_input(cards: Sequence[Card]) -> InputSpec:
    """What all members take.

    Raises:
        ConfigError: their pictures differ in what two of them look at.
    """
    # what one of them sees in RGB is the others', where they do not look at it
    first = next((card for card in cards if "rgb" in _views(card)), cards[0])
    idle = {name: getattr(first.input, name) for name in ("rgb_size", "mean", "std")}
    for card in cards:
        wanted = card.input
        if "rgb" not in _views(card):
            wanted = wanted.model_copy(update=idle)
        if wanted != first.input:
            raise ConfigError(
                f"{first.name} and {card.name} look at different pictures: "
                f"{first.input.model_dump()} and {wanted.model_dump()}.",
                "Members must share data.native_size, data.native_limit and data.side, and in RGB "
                "the normalisation of their networks.",
            )
    return first.input


def _views(card: Card) -> tuple[View, ...]:
    return model_spec(card.architecture).views


def _check_config(config: TrainConfig, path: Path) -> None:
    if config.model != ENSEMBLE:
        raise ConfigError(
            f"{path} is of a network {config.model}.",
            f"Set model: {ENSEMBLE}, or train it with `unmask train`.",
        )
    for name in ("model_options", "start", "backbone_weights", "pretrained"):
        if getattr(config, name):
            raise ConfigError(
                f"{path}: {name} is for networks that are trained.",
                "Leave it out: --member gives the networks.",
            )


def _check_families(config: TrainConfig, scored: Collection[str]) -> None:
    if missing := sorted(set(config.data.families) - set(scored)):
        raise ConfigError(
            f"There are no validation fakes of {', '.join(missing)}.",
            "Give their index with --fakes GENERATOR=INDEX, or leave them out of data.families.",
        )


def _check_licence(config: TrainConfig, cards: Sequence[Card]) -> None:
    licences = sorted({card.licence for card in cards} - {UNSPECIFIED})
    if config.licence == UNSPECIFIED and licences:
        raise ConfigError(
            f"The members have a licence ({'; '.join(licences)}), and the configuration none.",
            "Set licence: to what holds for all of them.",
        )


def _check_different(cards: Sequence[Card]) -> None:
    if len({card.weights_sha256 for card in cards}) < max(2, len(cards)):
        raise ConfigError(
            f"An ensemble needs different networks; these are {', '.join(c.name for c in cards)}.",
            "Give --member twice or more, or with --expert, each with other weights.",
        )


def _each(name: str, given: Sequence[float] | None, count: int, *, default: float) -> list[float]:
    """One positive number for each network, as given or all the same."""
    if not given:
        return [default] * count
    if len(given) != count or not all(0 < one < math.inf for one in given):
        network = "member" if name == "share" else "expert"
        raise ConfigError(
            f"The {name}s {', '.join(f'{one:g}' for one in given)} are not one positive number "
            f"for each of {count} {network}s.",
            f"Give --{name} as often as --{network}, in the same order, or not at all.",
        )
    return list(given)


def _described(members: Sequence[Member]) -> tuple[MemberConfig, ...]:
    """The networks as they were built: a card may leave out what is so by default."""
    found: list[MemberConfig] = []
    statistics: list[object] = []
    for one in members:
        config: Any = one.network.config
        same = _statistics(one.network)
        found.append(
            MemberConfig(
                architecture=one.card.architecture,
                config=config.model_dump(mode="json"),
                expert=one.margin is not None,
                statistics_of=statistics.index(same) if same in statistics else None,
            )
        )
        statistics.append(same if same is not None else object())
    return tuple(found)


def _statistics(network: nn.Module) -> object:
    """What a head's statistics are, to compare; None of a network without fixed ones."""
    if not isinstance(network, StatisticsNet):
        return None
    told = [(dict(source.measured), source.first) for source in network.sources()]
    return type(network.statistics), json.dumps(told, sort_keys=True)


def _summary(members: Sequence[Member]) -> str:
    """What it is, in a line."""
    mean = ", ".join(one.card.architecture for one in members if one.margin is None)
    experts = ", ".join(one.card.architecture for one in members if one.margin is not None)
    found = f"a weighted mean of {mean}" if "," in mean else mean
    return f"{found}, or an expert where it sees more: {experts}" if experts else found


def _told(member: Member) -> dict[str, Any]:
    card = member.card
    part = {"share": member.share}
    if member.margin is not None:
        part = {"margin": member.margin, "slope": member.slope}
    return {
        "name": card.name,
        "weights_sha256": card.weights_sha256,
        **part,
        "licence": card.licence,
        "families": sorted(families_of(card)),
        "training": card.training,
    }
