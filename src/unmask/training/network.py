"""The network of a configuration, and its input contract."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from unmask.models.registry import ModelSpec
from unmask.training.config import TrainConfig
from unmask.transforms.preprocess import InputSpec


def build(spec: ModelSpec, config: TrainConfig, pretrained: bool) -> nn.Module:
    """The network with the configuration's options; ImageNet weights where they are wanted."""
    options = {**spec.config.model_dump(), **config.model_options}
    return spec.create(
        config=type(spec.config).model_validate(options),
        pretrained=pretrained and config.backbone_weights is None,
        backbone_weights=config.backbone_weights,
    )


def starts_from_imagenet(spec: ModelSpec, config: TrainConfig) -> bool:
    """Whether ImageNet weights are fetched: as configured, else as the published recipe has it."""
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
