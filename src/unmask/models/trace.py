"""A network for traces: fixed residual filters, a shallow residual network, pooling by region.

Built for what is asked of the default model: to tell forgeries by generators that were not trained
on, from few pictures and without pretrained weights. So content is taken away before anything is
learned (residuals), no stride comes before the first stage (traces live in the finest detail),
and the face may be set against what surrounds it (a swapped face disagrees with its picture).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.models.backbones import ShallowResNet, refuse_backbone_weights
from unmask.models.output import ModelOutput
from unmask.models.residual import resampling_residual
from unmask.models.rich import ycbcr
from unmask.models.srm import srm_kernels
from unmask.transforms.dct import BlockDCT

Residual = Literal["resampling", "srm", "dct", "chroma", "rgb"]
CHANNELS: dict[Residual, int] = {"resampling": 3, "srm": 3, "dct": 1, "chroma": 2, "rgb": 3}
"""How many maps each gives: see `TraceViews`."""
BOX = 9
"""Side of the square over which `local` scaling measures a residual's strength, in pixels."""
FLOOR = 1.0
"""Added to that strength, in grey levels: flat places are not blown up to noise alone."""


class TraceConfig(BaseModel):
    """What is seen, and the network's size.

    Attributes:
        residuals: maps that are stacked: x - up(down(x)) of RGB (`resampling`), three high-pass
            filters of luma (`srm`), the high-pass block DCT of luma (`dct`), x - up(down(x)) of
            Cb and Cr (`chroma`), or the picture itself (`rgb`).
        scale: `truncate` clips residuals to +-`limit` grey levels; `local` divides each by its own
            root mean square around the pixel, so that a soft picture's residuals are as strong as
            a sharp one's.
        limit: of `truncate`, grey levels.
        width: channels of the first stage.
        regions: pool the inner face and its surroundings apart, and join both with their
            difference; else over the window.
        deviation: pool the standard deviation of each map beside its mean.
        inner: semi-axes of the ellipse of the inner face, relative to the window's side.
        fused, projection: sizes of the head, as AIRL's: features -> fused -> logit, and
            -> projection for the contrastive loss.
        dropout: before and after the fused layer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    residuals: tuple[Residual, ...] = Field(("resampling",), min_length=1)
    scale: Literal["truncate", "local"] = "truncate"
    limit: float = Field(8.0, gt=0)
    width: int = Field(16, ge=1)
    regions: bool = False
    deviation: bool = False
    inner: tuple[float, float] = (0.30, 0.38)
    fused: int = Field(128, ge=1)
    projection: int = Field(128, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)


class TraceViews(nn.Module):
    """The stacked residuals: (N, 3, H, W) RGB in [0, 255] -> (N, C, H // 2 * 2, W // 2 * 2).

    In float32 also under autocast: in bfloat16 a pixel is rounded more coarsely than traces are.
    Truncated residuals lie in [-1, 1]; `rgb` is brought to [-1, 1] and not scaled otherwise.
    """

    kernels: Tensor

    def __init__(self, config: TraceConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = sum(CHANNELS[name] for name in config.residuals)
        self.dct = BlockDCT("residual")
        self.register_buffer("kernels", srm_kernels()[:, None], persistent=False)

    def forward(self, native: Tensor) -> Tensor:
        with torch.autocast(device_type=native.device.type, enabled=False):
            pixels = native.float()
            height, width = (side // 2 * 2 for side in pixels.shape[2:])
            pixels = pixels[..., :height, :width]
            planes = ycbcr(pixels)
            maps = [self._map(name, pixels, planes) for name in self.config.residuals]
            return torch.cat(maps, dim=1)

    def _map(self, name: Residual, pixels: Tensor, planes: Tensor) -> Tensor:
        if name == "rgb":
            return pixels / 127.5 - 1
        if name == "srm":
            padded = F.pad(planes[:, :1], (2, 2, 2, 2), mode="replicate")
            return self._scaled(F.conv2d(padded, self.kernels))
        if name == "dct":
            return self._scaled(self.dct(planes[:, :1]))
        return self._scaled(resampling_residual(pixels if name == "resampling" else planes[:, 1:]))

    def _scaled(self, residual: Tensor) -> Tensor:
        if self.config.scale == "truncate":
            limit = self.config.limit
            return residual.clamp(-limit, limit) / limit
        return local_scale(residual)


def local_scale(residual: Tensor) -> Tensor:
    """Each map over its root mean square within `BOX` pixels, plus `FLOOR`: same shape."""
    power = F.avg_pool2d(residual.square(), BOX, 1, BOX // 2, count_include_pad=False)
    return residual / (power.sqrt() + FLOOR)


def pooled(features: Tensor, weights: Tensor, deviation: bool) -> Tensor:
    """Weighted mean, and perhaps standard deviation, of each map.

    Args:
        features: (N, C, h, w).
        weights: (R, h, w), summing to 1 for each of R regions.
        deviation: also the deviation.

    Returns:
        (N, R, C), or (N, R, 2C), float32.
    """
    flat = features.float().flatten(2)
    mean = torch.einsum("ncp,rp->nrc", flat, weights.flatten(1))
    if not deviation:
        return mean
    square = torch.einsum("ncp,rp->nrc", flat.square(), weights.flatten(1))
    return torch.cat([mean, (square - mean.square()).clamp_min(1e-6).sqrt()], dim=2)


class TraceNet(nn.Module):
    """The network.

    Args:
        config: see `TraceConfig`.
        pretrained, backbone_weights: refused; it is trained from scratch.

    Raises:
        ConfigError: backbone weights are asked for.

    Shape:
        `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`; `rgb` is ignored.
    """

    def __init__(
        self,
        config: TraceConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        refuse_backbone_weights(pretrained, backbone_weights)
        self.config = config = config or TraceConfig()
        self.views = TraceViews(config)
        self.cnn = ShallowResNet(config.width, self.views.channels)
        width = self.cnn.num_features * (2 if config.deviation else 1)
        width *= 3 if config.regions else 1
        self.fusion = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(width, config.fused),
            nn.BatchNorm1d(config.fused),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
        )
        self.logit = nn.Linear(config.fused, 1)
        self.projection = nn.Linear(config.fused, config.projection)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        features = self.cnn(self.views(native))
        with torch.autocast(device_type=native.device.type, enabled=False):
            found = pooled(features, self._weights(features), self.config.deviation)
            if self.config.regions:
                inner, outer = found.unbind(1)
                found = torch.stack([inner, outer, inner - outer], dim=1)
            fused = self.fusion(found.flatten(1))
            embedding = F.normalize(self.projection(fused), dim=1)
            return ModelOutput(self.logit(fused).squeeze(1), embedding)

    def _weights(self, features: Tensor) -> Tensor:
        """(R, h, w): the inner face and the rest, or the whole."""
        height, width = features.shape[2:]
        if not self.config.regions:
            return torch.full((1, height, width), 1 / (height * width), device=features.device)
        y = (torch.arange(height, device=features.device) + 0.5) / height - 0.5
        x = (torch.arange(width, device=features.device) + 0.5) / width - 0.5
        a, b = self.config.inner
        inside = ((x[None] / a).square() + (y[:, None] / b).square() <= 1).float()
        both = torch.stack([inside, 1 - inside])
        return both / both.sum((1, 2), keepdim=True)

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads, and which input that map lies over."""
        return self.cnn, "native"
