"""A frozen ImageNet network and a head on what it sees: few training pictures spoil nothing in it.

Features that were never trained to tell one generator from reals cannot memorise it (Ojha et al.
2023, with CLIP and a linear layer). How strongly two channels of a shallow map go together is a
description of texture, which fakes of unknown generators get wrong as well (Gram-Net, Liu et al.
2020). Both are taken here at every depth, of the native window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.models.backbones import TimmBackbone
from unmask.models.rich import RichConfig, RichFeatures, measured
from unmask.models.statistics import HeadConfig, Source, StatisticsNet

GRAMS = 3
"""Products of channels are taken of that many stages: they grow with the square of the channels."""
CELLS = 4
"""Down and across, where a stage is looked at by place: a part of an aligned face has its own."""
PARTS = ("mean", "deviation", "gram", "cells")
"""Of a `ProbeConfig`, each with its stages."""
Stages = tuple[Annotated[int, Field(ge=1)], ...]


class ProbeConfig(HeadConfig):
    """What the head looks at, and its size.

    Attributes:
        backbone: a timm EfficientNet, whose weights stay as they are.
        mean, deviation: stages, 1-based, of whose channels these are taken over the window.
        gram: stages, 1 to 3, of whose channels all products are taken.
        cells: stages of whose channels the means are taken in each of `CELLS` x `CELLS` cells.
        rich: rich residual statistics (`unmask.models.rich`) beside them.
    """

    backbone: str = "tf_efficientnet_lite0"
    mean: Stages = (1, 2, 3, 4, 5, 6, 7)
    deviation: Stages = (1, 2, 3, 4, 5, 6, 7)
    gram: tuple[Annotated[int, Field(ge=1, le=GRAMS)], ...] = ()
    cells: Stages = ()
    rich: bool = False

    @property
    def deepest(self) -> int:
        """The last stage that is looked at; those after it need not be computed. 1 for none."""
        return max((n for part in PARTS for n in getattr(self, part)), default=1)


class ProbeFeatures(nn.Module):
    """(N, 3, H, W) RGB in [0, 255] -> (N, D), all parts of the stages that a `ProbeConfig` reaches.

    But for cells and rich statistics, which are many: of these, what the config asks for.
    Nothing in it is learned, in training mode either.

    Raises:
        ConfigError: a backbone without stages.
    """

    def __init__(self, config: ProbeConfig, pretrained: bool, weights: Path | None) -> None:
        super().__init__()
        self.backbone = TimmBackbone(
            config.backbone, pretrained and weights is None, weights
        ).requires_grad_(False)
        net = self.backbone.net
        if not (hasattr(net, "conv_stem") and isinstance(getattr(net, "blocks", None), nn.Module)):
            raise ConfigError(
                f"backbone: {config.backbone} is no EfficientNet, and only those are probed.",
                "Use tf_efficientnet_lite0 or another of that family.",
            )
        self.rich = RichFeatures(RichConfig()) if config.rich else None
        self.eval()
        self.sizes: dict[str, int] = {}
        """Of each part, in their order."""
        self.deepest = min(config.deepest, len(self.stages))
        for number, stage in enumerate(self.reached, 1):
            width = [m for m in stage.modules() if isinstance(m, nn.BatchNorm2d)][-1].num_features
            self.sizes |= {f"mean {number}": width, f"deviation {number}": width}
            if number <= GRAMS:
                self.sizes[f"gram {number}"] = width * (width + 1) // 2
        self.whole_size = sum(self.sizes.values())
        self.celled = tuple(n for n in sorted(set(config.cells)) if n <= self.deepest)
        for number in self.celled:
            self.sizes[f"cells {number}"] = self.sizes[f"mean {number}"] * CELLS**2
        if self.rich is not None:
            self.sizes["rich"] = self.rich.size

    @property
    def stages(self) -> nn.Sequential:
        return cast(nn.Sequential, self.backbone.net.blocks)

    @property
    def reached(self) -> nn.Sequential:
        """The stages up to the last one that is looked at."""
        return self.stages[: self.deepest]

    def train(self, mode: bool = True) -> ProbeFeatures:
        """Stays in evaluation: batch normalisation keeps ImageNet's moments."""
        return super().train(False)

    def maps(self, native: Tensor, stages: Iterable[nn.Module]) -> list[Tensor]:
        """Each stage's map: (N, C, H / 2**k, W / 2**k)."""
        net = self.backbone.net
        seen = net.bn1(net.conv_stem(native.float() / 127.5 - 1))
        found = []
        for stage in stages:
            seen = stage(seen)
            found.append(seen)
        return found

    def parts(self, native: Tensor) -> dict[str, Tensor]:
        """Of the frozen network, by name, as `ProbeConfig` has it, and stage: (N, d) each."""
        with torch.autocast(device_type=native.device.type, enabled=False):
            maps = self.maps(native, self.reached)
            return _over_window(maps) | self._by_cell(maps)

    def _by_cell(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        return {f"cells {number}": by_cell(maps[number - 1]) for number in self.celled}

    def over_window(self, native: Tensor) -> Tensor:
        """All parts over the whole window, of all stages of the network: (N, d)."""
        with torch.autocast(device_type=native.device.type, enabled=False):
            return _joined(_over_window(self.maps(native, self.stages)))

    def in_cells(self, native: Tensor) -> Tensor:
        """Its parts by cell: (N, d)."""
        with torch.autocast(device_type=native.device.type, enabled=False):
            return _joined(self._by_cell(self.maps(native, self.reached)))

    def forward(self, native: Tensor) -> Tensor:
        found = list(self.parts(native).values())
        if self.rich is not None:
            found.append(self.rich(native))
        return torch.cat(found, dim=1)


def _over_window(maps: Sequence[Tensor]) -> dict[str, Tensor]:
    found = {}
    for number, seen in enumerate((m.flatten(2) for m in maps), 1):
        found[f"mean {number}"], found[f"deviation {number}"] = moments(seen)
        if number <= GRAMS:
            found[f"gram {number}"] = gram(seen)
    return found


def _joined(parts: Mapping[str, Tensor]) -> Tensor:
    return torch.cat(list(parts.values()), dim=1)


def columns(config: ProbeConfig, features: ProbeFeatures) -> Tensor:
    """Which of the statistics a head of `config` looks at, (d,) int64.

    Raises:
        ConfigError: a stage that the backbone lacks, or no stage at all.
    """
    wanted = {f"{name} {stage}" for name in PARTS for stage in getattr(config, name)}
    unknown = sorted(wanted - features.sizes.keys())
    if unknown or not wanted:
        shared = features.deepest < config.deepest <= len(features.stages)
        has = f"the member whose statistics it shares looks at {config.backbone}'s"
        raise ConfigError(
            f"{', '.join(PARTS)}: {has if shared else f'{config.backbone} has'} stages 1 to "
            f"{features.deepest if shared else len(features.stages)}; got "
            f"{unknown[0] if unknown else 'none'}."
        )
    wanted.add("rich")
    kept, start = [], 0
    for name, size in features.sizes.items():
        if name in wanted:
            kept.append(torch.arange(start, start + size))
        start += size
    return torch.cat(kept)


def moments(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel over the window: (N, C, P) -> two of (N, C).

    In two passes, which take a tenth of the time of torch's own variance here.
    """
    mean = seen.mean(2)
    variance = (seen - mean[:, :, None]).square_().mean(2)
    return mean, (variance + 1e-6).sqrt()


def gram(seen: Tensor) -> Tensor:
    """Mean product of every two channels over the window: (N, C, P) -> (N, C (C + 1) / 2).

    Signed square roots, so that a few strong channels do not drown the rest.
    """
    products = seen @ seen.transpose(1, 2) / seen.shape[2]
    values = products.flatten(1)[:, _upper(int(seen.shape[1]))]
    root: Tensor = values.sign() * (values.abs() + 1e-6).sqrt()
    return root


def by_cell(seen: Tensor) -> Tensor:
    """Mean of every channel in each cell of the window: (N, C, H, W) -> (N, C * CELLS**2).

    Cells of a map whose side is no multiple of `CELLS` overlap.
    """
    return F.adaptive_avg_pool2d(seen, CELLS).flatten(1)


@lru_cache
def _upper(channels: int) -> Tensor:
    """Where the upper triangle of a square matrix lies in its values, row by row."""
    rows, columns = np.triu_indices(channels)
    return torch.from_numpy(rows * channels + columns)


class ProbeNet(StatisticsNet):
    """A frozen network's statistics, standardised, and a small fused head or a linear one.

    Args:
        config: see `ProbeConfig`.
        pretrained, backbone_weights: ImageNet weights, from the hub or a file. Without either the
            frozen network is a random one, which is a control and no detector.
        statistics: another's, to look at instead of its own.

    Shape:
        `rgb` is ignored; `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`.
    """

    config: ProbeConfig
    statistics: ProbeFeatures

    def __init__(
        self,
        config: ProbeConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
        statistics: ProbeFeatures | None = None,
    ) -> None:
        config = config or ProbeConfig()
        features = statistics or ProbeFeatures(config, pretrained, backbone_weights)
        super().__init__(config, features, columns(config, features))

    def sources(self) -> list[Source]:
        digest = hashlib.sha256()
        for name, value in sorted(self.statistics.backbone.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.cpu().numpy().tobytes())
        frozen = {"probe": self.config.backbone, "weights": digest.hexdigest()}
        # kept of all stages, which heads of any depth share
        found = [Source(frozen, self.statistics.over_window, self.statistics.whole_size)]
        if self.statistics.celled:
            cells = {"cells": CELLS, "stages": self.statistics.celled}
            found.append(Source(frozen | cells, self.statistics.in_cells))
        if self.statistics.rich is not None:
            found.append(Source(measured(self.statistics.rich.config), self.statistics.rich))
        return found

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["native"]]:
        """The deepest stage that is looked at, for Grad-CAM."""
        return self.statistics.stages[self.config.deepest - 1], "native"
