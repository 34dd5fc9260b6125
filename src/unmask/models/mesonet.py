"""Meso4 and MesoInception4: Afchar et al. 2018, "MesoNet: a compact facial video forgery
detection network".

Four convolutions on 256 px, each followed by ReLU, batch normalisation and max pooling (2, 2, 2,
4), then 1024 -> 16 -> 1. MesoInception4 replaces the first two by inception blocks of dilated
convolutions. The authors' network has a sigmoid and a squared error; here the logit comes out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.errors import ShapeError
from unmask.models.backbones import refuse_backbone_weights
from unmask.models.output import LinearHead, ModelOutput


class MesoNetConfig(BaseModel):
    """inception: MesoInception4 instead of Meso4. dropout: before both dense layers. size: side of
    the input in pixels; the first dense layer sees every place of the last map, so it is fixed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inception: bool = False
    dropout: float = Field(0.5, ge=0, lt=1)
    size: int = Field(256, ge=32, multiple_of=32)


class Inception(nn.Module):
    """Four branches side by side: 1x1, and 1x1 then 3x3 with dilation 1, 2 and 3; ReLU after each.

    Args:
        inputs: channels in.
        widths: channels of each branch; their sum comes out.
    """

    def __init__(self, inputs: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.point = nn.Conv2d(inputs, widths[0], 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, width, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
            )
            for dilation, width in enumerate(widths[1:], start=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(torch.cat([self.point(x), *(branch(x) for branch in self.branches)], dim=1))


def _stage(layer: nn.Module, outputs: int, pool: int) -> nn.Sequential:
    return nn.Sequential(layer, nn.ReLU(), nn.BatchNorm2d(outputs), nn.MaxPool2d(pool))


class MesoNet(nn.Module):
    """The network.

    Args:
        config: see `MesoNetConfig`.
        pretrained, backbone_weights: refused; it is trained from scratch.

    Raises:
        ConfigError: backbone weights are asked for.

    Shape:
        `rgb` (N, 3, s, s) in [0, 1], s the configured size, -> `ModelOutput` with a 16-d
        embedding; `native` is ignored.
    """

    def __init__(
        self,
        config: MesoNetConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        refuse_backbone_weights(pretrained, backbone_weights)
        self.config = config = config or MesoNetConfig()
        first: list[nn.Sequential]
        if config.inception:
            first = [
                _stage(Inception(3, (1, 4, 4, 2)), 11, 2),
                _stage(Inception(11, (2, 4, 4, 2)), 12, 2),
            ]
            middle = 12
        else:
            first = [
                _stage(nn.Conv2d(3, 8, 3, padding=1), 8, 2),
                _stage(nn.Conv2d(8, 8, 5, padding=2), 8, 2),
            ]
            middle = 8
        self.maps = nn.Sequential(
            *first,
            _stage(nn.Conv2d(middle, 16, 5, padding=2), 16, 2),
            _stage(nn.Conv2d(16, 16, 5, padding=2), 16, 4),
        )
        self.dense = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(16 * (config.size // 32) ** 2, 16),
            nn.LeakyReLU(0.1),
        )
        self.head = LinearHead(16, config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # as the authors' framework begins
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        size = self.config.size
        if rgb.shape[2:] != (size, size):
            raise ShapeError(f"This MesoNet takes {size}x{size} pixels; got {tuple(rgb.shape)}.")
        output: ModelOutput = self.head(self.dense(self.maps(rgb).flatten(1)))
        return output

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads, and which input that map lies over."""
        return self.maps, "rgb"
