"""The network of a configuration, and its input contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.models.checkpoint import load_checkpoint
from unmask.models.registry import ModelSpec
from unmask.training.config import TrainConfig
from unmask.transforms.preprocess import InputSpec


def build(spec: ModelSpec, config: TrainConfig, pretrained: bool) -> nn.Module:
    """The network with the configuration's options; ImageNet weights where they are wanted.

    Raises:
        ConfigError: `start` is of another network.
        CheckpointError: `start` cannot be read.
    """
    options = {**spec.config.model_dump(), **config.model_options}
    network = type(spec.config).model_validate(options)
    if config.start is not None:
        return _started(spec, network, config.start)
    return spec.create(
        config=network,
        pretrained=pretrained and config.backbone_weights is None,
        backbone_weights=config.backbone_weights,
    )


def _started(spec: ModelSpec, network: BaseModel, start: Path) -> nn.Module:
    """The network of an earlier run, which must be the same."""
    model, card = load_checkpoint(start)
    if card.architecture != spec.name:
        raise ConfigError(
            f"{start.name} is a network {card.architecture}, and the configuration's is "
            f"{spec.name}.",
            f"Set model: {card.architecture}, or leave `start` out.",
        )
    has = type(network).model_validate(card.config).model_dump(mode="json")
    wanted = network.model_dump(mode="json")
    odd = {name: value for name, value in has.items() if value != wanted[name]}
    if odd:
        raise ConfigError(
            f"{start.name} is a network {spec.name} with other options: {odd}.",
            "Set them in model_options, or leave `start` out.",
        )
    return model.train()


def averaged(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """`share` of the first state and the rest of the second; what only counts is the second's."""
    return {
        name: torch.lerp(tensor, first[name].to(tensor), share)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in second.items()
    }


def as_stored(model: nn.Module) -> None:
    """Round the parameters to float16, so that what is measured is what the file will hold."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()


def starts_from_imagenet(spec: ModelSpec, config: TrainConfig) -> bool:
    """Whether ImageNet weights are fetched: as configured, else as the published recipe has it."""
    if config.start is not None:
        return False
    return spec.pretrained if config.pretrained is None else config.pretrained


def device_type() -> str:
    """`cuda` where there is such a GPU, else `cpu`: what several processes train on."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def with_window(spec: InputSpec, side: int | None) -> InputSpec:
    """The input contract with another native window, that reduces crops to the same share of it."""
    if side is None:
        return spec
    limit = spec.native_limit
    if limit is not None:
        limit = max(1.0, limit * spec.native_size / side)
    return spec.model_copy(update={"native_size": side, "native_limit": limit})


def sized(spec: ModelSpec, config: TrainConfig) -> ModelSpec:
    """The network's specification with the side and the limit of the configuration."""
    data = config.data
    taken = with_window(spec.input, data.native_size or data.side)
    if data.side is not None and taken.rgb_size is not None:
        taken = taken.model_copy(update={"rgb_size": data.side})
    if data.native_limit is not None:
        taken = taken.model_copy(update={"native_limit": data.native_limit})
    return replace(spec, input=taken)
