"""SRM two-stream network: Luo et al. 2021, "Generalizing face forgery detection with
high-frequency features".

One Xception sees RGB, the other high-pass residuals (the steganalysis kernels of Fridrich &
Kodovsky 2012), of the picture and of the RGB stream's first two maps. The residuals say where the
RGB stream should look (residual-guided spatial attention); further up each stream attends to the
other twice; both are fused, and classes are told apart by cosines, for the AM-softmax loss
(`losses.am_softmax`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.models.backbones import global_pool
from unmask.models.cross_attention import CrossAttention
from unmask.models.output import ModelOutput
from unmask.models.xception import ENTRY, FEATURES, XceptionStages

KERNELS = (
    (4, ((0, 0, 0, 0, 0), (0, -1, 2, -1, 0), (0, 2, -4, 2, 0), (0, -1, 2, -1, 0), (0, 0, 0, 0, 0))),
    (
        12,
        (
            (-1, 2, -2, 2, -1),
            (2, -6, 8, -6, 2),
            (-2, 8, -12, 8, -2),
            (2, -6, 8, -6, 2),
            (-1, 2, -2, 2, -1),
        ),
    ),
    (2, ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, -2, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0))),
)
"""Divisor and weights of the three fixed filters: second order square, third order, first line."""
LIMIT = 3.0
"""Residuals are truncated to +-3."""


class SRMConfig(BaseModel):
    """scale: cosines are multiplied by it; 30 as in AM-softmax (Wang et al. 2018)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(30.0, gt=0)


def srm_kernels() -> Tensor:
    """(3, 5, 5) float32; each sums to zero."""
    return torch.stack([torch.tensor(rows, dtype=torch.float32) / d for d, rows in KERNELS])


class SRMResidual(nn.Module):
    """The three residuals of a picture, summed over RGB: (N, 3, H, W) in [-1, 1] -> the same."""

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        kernels = srm_kernels()[:, None].repeat(1, 3, 1, 1)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        # bfloat16 would round pixels more coarsely than the traces are
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            return F.conv2d(rgb.float(), self.kernels, padding=2).clamp(-LIMIT, LIMIT)


class SRMFeatures(nn.Module):
    """The three residuals of each map, brought back to as many maps: (N, C, h, w) -> the same."""

    kernels: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernels = srm_kernels()[:, None].repeat(channels, 1, 1, 1)
        self.register_buffer("kernels", kernels, persistent=False)
        self.point = nn.Sequential(
            nn.Conv2d(3 * channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = F.conv2d(x, self.kernels.to(x.dtype), padding=2, groups=x.shape[1])
        y: Tensor = self.point(residual.clamp(-LIMIT, LIMIT))
        return y


class SpatialAttention(nn.Module):
    """Where to look, by the residuals: (N, C, h, w) -> (N, 1, h, w) in (0, 1).

    As in CBAM (Woo et al. 2018): a 7x7 convolution of the channels' mean and maximum.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(torch.cat([x.mean(1, True), x.amax(1, True)], dim=1)))


class Fusion(nn.Module):
    """Both streams' last maps, joined and weighted by channel: 2 x (N, C, h, w) -> (N, C, h, w)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.join = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        joined: Tensor = self.join(torch.cat([x, y], dim=1))
        weights: Tensor = self.weigh(joined.mean((2, 3), keepdim=True))
        return joined * (1 + weights)


class CosineHead(nn.Module):
    """logit = scale (cos(x, fake) - cos(x, real)): softmax of scaled cosines, as one logit."""

    def __init__(self, features: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.classes = nn.Parameter(nn.init.xavier_normal_(torch.empty(2, features)))

    def forward(self, features: Tensor) -> ModelOutput:
        with torch.autocast(device_type=features.device.type, enabled=False):
            unit = F.normalize(features.float(), dim=1)
            cosines = unit @ F.normalize(self.classes, dim=1).T
            return ModelOutput(self.scale * (cosines[:, 1] - cosines[:, 0]), unit)


class SRMNet(nn.Module):
    """The network.

    Args:
        config: see `SRMConfig`.
        pretrained, backbone_weights: ImageNet weights of both Xceptions, from the hub or a file.

    Shape:
        `rgb` (N, 3, s, s) in [-1, 1] -> `ModelOutput` with a 2048-d embedding and a logit within
        +-2 scale; `native` is ignored.
    """

    def __init__(
        self,
        config: SRMConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or SRMConfig()
        self.residual = SRMResidual()
        self.colour = XceptionStages(pretrained=pretrained, weights=backbone_weights)
        self.noise = XceptionStages(pretrained=pretrained, weights=backbone_weights)
        self.srm_low, self.srm_stem = SRMFeatures(32), SRMFeatures(64)
        self.attention = SpatialAttention()
        self.cross = nn.ModuleList(CrossAttention(ENTRY) for _ in range(2))
        self.fusion = Fusion(FEATURES)
        self.head = CosineHead(FEATURES, config.scale)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        x = self.colour.low(rgb)
        y = F.relu(self.noise.low(self.residual(rgb)) + self.srm_low(x))
        x = self.colour.stem(x)
        y = F.relu(self.noise.stem(y) + self.srm_stem(x))
        x = x * (1 + self.attention(y))
        x, y = self.cross[0](self.colour.entry(x), self.noise.entry(y))
        x, y = self.cross[1](self.colour.middle(x), self.noise.middle(y))
        x, y = (s.exit(s.late(m)) for s, m in ((self.colour, x), (self.noise, y)))
        output: ModelOutput = self.head(global_pool(self.fusion(x, y)))
        return output

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads, and which input that map lies over."""
        return self.fusion, "rgb"
