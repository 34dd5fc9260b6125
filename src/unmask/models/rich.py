"""Rich residual statistics and a small head: the steganalysis line, as one torch module.

Co-occurrences of truncated, quantised noise residuals (Fridrich & Kodovsky 2012, "Rich models for
steganalysis of digital images"; SPAM, Pevny et al. 2010) see what interpolation, convolution and
compression do to neighbouring pixels, and need very few training pictures. Here they are taken
separately over the inner face and what surrounds it, so that a face that was put in shows as a
disagreement, and joined by the residual's autocorrelation (up-sampling is periodic) and by the
block DCT's band statistics. A head of the same form as AIRL's turns them into logit and embedding.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.models.output import ModelOutput
from unmask.transforms.dct import BLOCK, BlockDCT

LEVELS = 5
"""Residuals are quantised to -2 .. 2."""
LAGS = 9
"""Autocorrelation is taken at 0 .. 8 pixels in both directions."""

FILTERS: dict[str, tuple[tuple[float, ...], ...]] = {
    "first": ((-1.0, 1.0),),
    "second": ((0.5, -1.0, 0.5),),
    "square": ((-0.25, 0.5, -0.25), (0.5, -1.0, 0.5), (-0.25, 0.5, -0.25)),
}
"""High-pass kernels, horizontal; `square` is its own transpose. Scaled to a central weight of 1."""


class RichConfig(BaseModel):
    """What is measured, and the head's size.

    Attributes:
        steps: quantisation steps in grey levels, luma; chroma uses the first only.
        inner: semi-axes of the ellipse of the inner face, relative to the window's side.
        fused, dropout, projection: the head, as in `AIRLConfig`. Without `fused` the classifier
            is linear, and the standardised statistics themselves are the embedding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: tuple[float, ...] = (1.0, 2.0)
    inner: tuple[float, float] = (0.30, 0.38)
    fused: int | None = Field(256, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    projection: int = Field(128, ge=1)


@cache
def triple_classes() -> NDArray[np.int64]:
    """Class of each of the 125 triples under reversal and change of sign: (125,), 39 classes."""
    names: dict[tuple[int, ...], int] = {}
    classes = np.empty(LEVELS**3, np.int64)
    for index in range(LEVELS**3):
        t = (index // 25 - 2, index // 5 % 5 - 2, index % 5 - 2)
        minus = tuple(-v for v in t)
        canonical = min(t, t[::-1], minus, minus[::-1])
        classes[index] = names.setdefault(canonical, len(names))
    return classes


def ycbcr(rgb: Tensor) -> Tensor:
    """JPEG's YCbCr (BT.601, full range, chroma centred on 0): (N, 3, H, W) -> the same."""
    matrix = rgb.new_tensor(
        [
            [0.299, 0.587, 0.114],
            [-0.168736, -0.331264, 0.5],
            [0.5, -0.418688, -0.081312],
        ]
    )
    return torch.einsum("dc,nchw->ndhw", matrix, rgb)


def quantise(residual: Tensor, step: float) -> Tensor:
    """Levels 0 .. 4 of residual / step, rounded and truncated at +-2: uint8, same shape."""
    levels: Tensor = (residual / step).round_().clamp_(-2, 2).add_(2)
    return levels.to(torch.uint8)


def triple_keys(levels: Tensor, region: Tensor) -> Tensor:
    """Index of each pixel's triple along its row: (N, H, W) uint8 -> (N, H, W - 2) uint8.

    125 triples for the inner region, then 125 for the outer: all fit uint8, which matters,
    because this is the network's hot loop.

    Args:
        levels: of `quantise`.
        region: (H, W) uint8, 0 inner and 1 outer; that of the middle pixel counts.
    """
    keys = levels[..., :-2] * 25 + levels[..., 1:-1] * 5 + levels[..., 2:]
    return keys + region[:, 1:-1] * LEVELS**3


def cooccurrence(keys: Tensor) -> Tensor:
    """How often each triple occurs: keys (N, h, w) -> (N, 2, 125), each region summing to 1."""
    counts = [torch.bincount(k.flatten(), minlength=2 * LEVELS**3) for k in keys]
    table = torch.stack(counts).view(-1, 2, LEVELS**3).float()
    return table / table.sum(2, keepdim=True).clamp_min(1)


def autocorrelation(residual: Tensor) -> Tensor:
    """Circular autocorrelation at lags 0 .. 8 by 0 .. 8 without (0, 0): (N, H, W) -> (N, 80).

    Both diagonal directions are averaged, since faces may be mirrored. Relative to lag 0.
    """
    spectrum = torch.fft.rfft2(residual - residual.mean(dim=(1, 2), keepdim=True))
    full: Tensor = torch.fft.irfft2(spectrum.abs().square(), s=residual.shape[1:])
    mirrored = torch.roll(torch.flip(full, (2,)), 1, 2)
    corner = (full + mirrored)[:, :LAGS, :LAGS] / 2
    corner = corner / corner[:, :1, :1].clamp_min(1e-6)
    return corner.flatten(1)[:, 1:].contiguous()


Table = tuple[Tensor, Tensor]
"""Keys of one co-occurrence table: taken along rows, and along columns (transposed)."""


class RichFeatures(nn.Module):
    """(N, 3, H, W) RGB in [0, 255] -> (N, D) statistics. Nothing in it is learned."""

    merge: Tensor

    def __init__(self, config: RichConfig) -> None:
        super().__init__()
        self.config = config
        keep = torch.ones(BLOCK, BLOCK, dtype=torch.bool)
        keep[0, 0] = False
        self.dct = BlockDCT("channels", keep)
        merge = F.one_hot(torch.from_numpy(triple_classes())).float()
        self.register_buffer("merge", merge, persistent=False)
        with torch.no_grad():
            self.size = self(torch.zeros(1, 3, 64, 64)).shape[1]

    def forward(self, native: Tensor) -> Tensor:
        with torch.autocast(device_type=native.device.type, enabled=False):
            planes = ycbcr(native.float())
            roots = [self.roots(table) for table in self.tables(planes)]
            square = _filtered(planes[:, 0], FILTERS["square"])
            power = self.dct(planes[:, :1]).square().mean(dim=(2, 3))
            return torch.cat(
                [
                    *(root.flatten(1) for root in roots),
                    *(root[:, 0] - root[:, 1] for root in roots),
                    autocorrelation(square.clamp(-8, 8)),
                    torch.log10(power + 0.05),
                ],
                dim=1,
            )

    def roots(self, table: Table) -> Tensor:
        """Square roots (Hellinger) of merged frequencies: (N, 2, 39)."""
        frequency = (cooccurrence(table[0]) + cooccurrence(table[1])) / 2
        return (frequency @ self.merge).sqrt()

    def tables(self, planes: Tensor) -> list[Table]:
        """The keys of every table, (N, 3, H, W) YCbCr in.

        A picture's rows with the horizontal kernel and its columns with the vertical one make one
        table, since neither direction is special; so do rows with the vertical one and columns
        with the horizontal one.
        """
        region = self._region(planes)
        tables: list[Table] = []
        for channel in range(3):
            plane = planes[:, channel]
            for name, kernel in FILTERS.items():
                across = _filtered(plane, kernel)
                down = across if name == "square" else _filtered(plane.mT, kernel).mT
                for step in self.config.steps if channel == 0 else self.config.steps[:1]:
                    rows, columns = quantise(across, step), quantise(down, step)
                    tables.append((triple_keys(rows, region), triple_keys(columns.mT, region.T)))
                    if name != "square":
                        tables.append(
                            (triple_keys(columns, region), triple_keys(rows.mT, region.T))
                        )
        return tables

    def _region(self, planes: Tensor) -> Tensor:
        height, width = planes.shape[2:]
        y = (torch.arange(height, device=planes.device) + 0.5) / height - 0.5
        x = (torch.arange(width, device=planes.device) + 0.5) / width - 0.5
        a, b = self.config.inner
        return ((x[None, :] / a).square() + (y[:, None] / b).square() > 1).to(torch.uint8)

    def spread(self, native: Tensor, gradient: Tensor) -> Tensor:
        """Bring a gradient with respect to the statistics back to the pixels that made them.

        A pixel votes for one entry of each table. To first order its share of the logit is the
        gradient at that entry's frequency, less the table's mean (one more vote for one triple is
        one less for the others). Exact for the tables; the few statistics of the whole window
        (autocorrelation, block DCT) have no place in it and are left out.

        Args:
            native: (1, 3, H, W). gradient: (1, D), d logit / d statistics.

        Returns:
            (H, W) float32, signed.
        """
        planes = ycbcr(native.float())
        heat = torch.zeros(planes.shape[2:], device=planes.device)
        tables = self.tables(planes)
        size = self.merge.shape[1]
        direct = gradient[0, : 2 * size * len(tables)].view(len(tables), 2, size)
        contrast = gradient[0, direct.numel() : direct.numel() * 3 // 2].view(len(tables), size)
        for index, table in enumerate(tables):
            root = self.roots(table)[0]
            slope = (direct[index] + torch.stack([contrast[index], -contrast[index]])) / (
                2 * root.clamp_min(0.02)
            )
            slope = slope - (slope * root.square()).sum(1, keepdim=True)
            lookup = (slope @ self.merge.T).flatten()
            heat[:, 1:-1] += lookup[table[0][0].long()]
            heat[1:-1] += lookup[table[1][0].long()].T
        return heat


def _filtered(plane: Tensor, kernel: tuple[tuple[float, ...], ...]) -> Tensor:
    """Correlate (N, H, W) with a small kernel, borders repeated, same size.

    Shifted sums: for one channel they are ten times faster than a convolution call.
    """
    rows, columns = len(kernel), len(kernel[0])
    left, top = (columns - 1) // 2, (rows - 1) // 2
    height, width = plane.shape[1:]
    padded = F.pad(
        plane[:, None], (left, columns - 1 - left, top, rows - 1 - top), mode="replicate"
    )[:, 0]
    total = torch.zeros_like(plane)
    for y, row in enumerate(kernel):
        for x, weight in enumerate(row):
            total.add_(padded[:, y : y + height, x : x + width], alpha=weight)
    return total


class RichNet(nn.Module):
    """Rich statistics, standardised, and a small fused head or a linear one.

    Shape:
        `rgb` is ignored; `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        config: RichConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        if pretrained or backbone_weights is not None:
            raise ConfigError(
                "Backbone weights were asked for, but this network has no backbone.",
                "Leave them out: its statistics are fixed, and its head is trained from scratch.",
            )
        self.config = config = config or RichConfig()
        self.statistics = RichFeatures(config)
        self.register_buffer("mean", torch.zeros(self.statistics.size))
        self.register_buffer("scale", torch.ones(self.statistics.size))
        self.fusion: nn.Module = nn.Dropout(config.dropout)
        width = config.fused or self.statistics.size
        if config.fused is not None:
            self.fusion = nn.Sequential(
                nn.Dropout(config.dropout),
                nn.Linear(self.statistics.size, width),
                nn.BatchNorm1d(width),
                nn.ReLU(inplace=True),
                nn.Dropout(config.dropout),
            )
        self.logit = nn.Linear(width, 1)
        self.projection = (
            nn.Identity() if config.fused is None else nn.Linear(width, config.projection)
        )

    def standardise_to(self, mean: Tensor, deviation: Tensor) -> None:
        """Set what brings the statistics to mean 0 and deviation 1: (D,) each."""
        self.mean.copy_(mean)
        self.scale.copy_(1 / (deviation + 1e-6))

    def head(self, statistics: Tensor) -> ModelOutput:
        """From (N, D) statistics to logit and embedding."""
        with torch.autocast(device_type=statistics.device.type, enabled=False):
            standard = (statistics.float() - self.mean) * self.scale
            fused = self.fusion(standard.clamp(-6, 6))
            return ModelOutput(
                self.logit(fused).squeeze(1), F.normalize(self.projection(fused), dim=1)
            )

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        return self.head(self.statistics(native))

    def attribution(self, native: Tensor) -> Tensor:
        """Where in the window the fake logit comes from: (1, 3, H, W) -> (H, W), >= 0.

        See `RichFeatures.spread`; smoothed, since one pixel's triple says little.
        """
        with torch.enable_grad():
            statistics = self.statistics(native).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.head(statistics).logit.sum(), statistics)
        heat = self.statistics.spread(native, gradient)[None, None]
        for _ in range(2):
            heat = F.avg_pool2d(F.pad(heat, (8, 8, 8, 8), mode="replicate"), 17, 1)
        return torch.relu(heat[0, 0])
