"""Rich residual statistics and a small head: the steganalysis line, as one torch module.

Co-occurrences of truncated, quantised noise residuals (Fridrich & Kodovsky 2012, "Rich models for
steganalysis of digital images"; SPAM, Pevny et al. 2010) see what interpolation, convolution and
compression do to neighbouring pixels, and need very few training pictures. Here they are taken
separately over the inner face and what surrounds it, so that a face that was put in shows as a
disagreement, and joined by the residual's autocorrelation (up-sampling is periodic) and by the
block DCT's band statistics. A head of the same form as AIRL's turns them into logit and embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.models.statistics import HeadConfig, Source, StatisticsNet
from unmask.transforms.dct import BLOCK, BlockDCT

LEVELS = 5
"""Residuals are quantised to -2 .. 2."""
LAGS = 9
"""Autocorrelation is taken at 0 .. 8 pixels in both directions."""

Filter = Literal["first", "second", "square", "third", "wide"]
FILTERS: dict[Filter, tuple[tuple[float, ...], ...]] = {
    "first": ((-1.0, 1.0),),
    "second": ((0.5, -1.0, 0.5),),
    "square": ((-0.25, 0.5, -0.25), (0.5, -1.0, 0.5), (-0.25, 0.5, -0.25)),
    "third": ((1 / 3, -1.0, 1.0, -1 / 3),),
    "wide": tuple(
        tuple(w / 12 for w in row)
        for row in (
            (-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2),
            (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1),
        )
    ),
}  # fmt: skip
"""High-pass kernels, horizontal; some are their own transpose. Scaled to a central weight of 1."""
SYMMETRIC = {"square", "wide"}


class RichConfig(HeadConfig):
    """What is measured, and the head's size.

    Attributes:
        steps: quantisation steps in grey levels, luma; chroma uses the first only.
        filters: of `FILTERS`.
        scales: the tables are also taken of the picture averaged over squares of that side; the
            larger ones outlive more compression.
        colour: also how residuals of R, G and B occur together in one pixel. Generators make
            channels that go together in another way than a camera's (after Li et al. 2020,
            "Identification of deep network generated images using disparities in color
            components").
        inner: semi-axes of the ellipse of the inner face, relative to the window's side.
    """

    steps: tuple[float, ...] = (1.0, 2.0)
    filters: tuple[Filter, ...] = Field(("first", "second", "square"), min_length=1)
    scales: tuple[Annotated[int, Field(ge=1, le=4)], ...] = Field((1,), min_length=1)
    colour: bool = False
    inner: tuple[float, float] = (0.30, 0.38)


def measured(config: RichConfig) -> dict[str, object]:
    """What of a configuration its statistics depend on."""
    default = RichConfig()
    found = config.model_dump(include={"steps", "inner"})
    for name in ("filters", "scales", "colour"):  # they came later: the key is that of before
        value = getattr(config, name)
        if value != getattr(default, name):
            found[name] = value
    return found


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


@cache
def colour_classes() -> NDArray[np.int64]:
    """Class of each of the 125 triples (R, G, B) under change of sign: (125,), 63 classes."""
    names: dict[int, int] = {}
    return np.array([names.setdefault(min(i, 124 - i), len(names)) for i in range(LEVELS**3)])


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


@dataclass(frozen=True)
class Table:
    """One co-occurrence table.

    Attributes:
        keys: (N, h, w) each: taken along rows and along columns (transposed), or of triples of
            colours, in one.
        scale: side of the squares that the picture was averaged over.
        colour: triples are of colours and not of neighbours.
    """

    keys: tuple[Tensor, ...]
    scale: int = 1
    colour: bool = False


class RichFeatures(nn.Module):
    """(N, 3, H, W) RGB in [0, 255] -> (N, D) statistics. Nothing in it is learned."""

    merge: Tensor
    merge_colours: Tensor

    def __init__(self, config: RichConfig) -> None:
        super().__init__()
        self.config = config
        keep = torch.ones(BLOCK, BLOCK, dtype=torch.bool)
        keep[0, 0] = False
        self.dct = BlockDCT("channels", keep)
        merge = F.one_hot(torch.from_numpy(triple_classes())).float()
        self.register_buffer("merge", merge, persistent=False)
        merge = F.one_hot(torch.from_numpy(colour_classes())).float()
        self.register_buffer("merge_colours", merge, persistent=False)
        with torch.no_grad():
            self.size = self(torch.zeros(1, 3, 64, 64)).shape[1]

    def forward(self, native: Tensor) -> Tensor:
        with torch.autocast(device_type=native.device.type, enabled=False):
            pixels = native.float()
            planes = ycbcr(pixels)
            roots = [self.roots(table) for table in self._tables(pixels, planes)]
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
        """Square roots (Hellinger) of merged frequencies: (N, 2, 39), of colours (N, 2, 63)."""
        frequency = torch.stack([cooccurrence(keys) for keys in table.keys]).mean(0)
        return (frequency @ self._merge(table)).sqrt()

    def _merge(self, table: Table) -> Tensor:
        return self.merge_colours if table.colour else self.merge

    def tables(self, native: Tensor) -> list[Table]:
        """The keys of every table, (N, 3, H, W) RGB in, float."""
        return self._tables(native, ycbcr(native))

    def _tables(self, pixels: Tensor, planes: Tensor) -> list[Table]:
        tables: list[Table] = []
        for scale in self.config.scales:
            if scale == 1:
                seen, parts = pixels, planes
            else:
                seen = F.avg_pool2d(pixels, scale)
                parts = ycbcr(seen)
            tables += self._of_neighbours(parts, scale)
            if self.config.colour:
                tables.append(self._of_colours(seen, scale))
        return tables

    def _of_colours(self, pixels: Tensor, scale: int) -> Table:
        step = self.config.steps[0]
        red, green, blue = (
            quantise(_filtered(plane, FILTERS["square"]), step) for plane in pixels.unbind(1)
        )
        region = self._region(pixels) * LEVELS**3
        return Table((red * LEVELS**2 + green * LEVELS + blue + region,), scale, True)

    def _of_neighbours(self, planes: Tensor, scale: int) -> list[Table]:
        """Tables of the planes of YCbCr, each by itself.

        A picture's rows with the horizontal kernel and its columns with the vertical one make one
        table, since neither direction is special; so do rows with the vertical one and columns
        with the horizontal one.
        """
        region = self._region(planes)
        tables: list[Table] = []
        for channel in range(3):
            plane = planes[:, channel]
            for name in self.config.filters:
                across = _filtered(plane, FILTERS[name])
                down = across if name in SYMMETRIC else _filtered(plane.mT, FILTERS[name]).mT
                for step in self.config.steps if channel == 0 else self.config.steps[:1]:
                    rows, columns = quantise(across, step), quantise(down, step)
                    pairs = [(rows, columns)]
                    if name not in SYMMETRIC:
                        pairs.append((columns, rows))
                    for one, other in pairs:
                        keys = triple_keys(one, region), triple_keys(other.mT, region.T)
                        tables.append(Table(keys, scale))
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
        height, width = native.shape[2:]
        heat = torch.zeros(height, width, device=native.device)
        tables = self.tables(native.float())
        sizes = [self._merge(table).shape[1] for table in tables]
        direct, contrast, _ = torch.tensor_split(gradient[0], (2 * sum(sizes), 3 * sum(sizes)))
        ends = np.cumsum(sizes)[:-1].tolist()
        parts = zip(
            tables,
            torch.tensor_split(direct, [2 * end for end in ends]),
            torch.tensor_split(contrast, ends),
            strict=True,
        )
        for table, own, gap in parts:
            root = self.roots(table)[0]
            slope = (own.view(2, -1) + torch.stack([gap, -gap])) / (2 * root.clamp_min(0.02))
            slope = slope - (slope * root.square()).sum(1, keepdim=True)
            votes = _laid_out(table, (slope @ self._merge(table).T).flatten())
            if table.scale > 1:  # a vote counts once, spread over the pixels it was averaged from
                rows, columns = (side * table.scale for side in votes.shape)
                votes = votes.repeat_interleave(table.scale, 0).repeat_interleave(table.scale, 1)
                heat[:rows, :columns] += votes / table.scale**2
            else:
                heat += votes
        return heat


def _laid_out(table: Table, lookup: Tensor) -> Tensor:
    """(h, w): what the votes of each pixel of the first picture are worth."""
    if table.colour:
        return lookup[table.keys[0][0].long()]
    rows, columns = (lookup[keys[0].long()] for keys in table.keys)
    return F.pad(rows, (1, 1)) + F.pad(columns, (1, 1)).T


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


class RichNet(StatisticsNet):
    """Rich statistics, standardised, and a small fused head or a linear one.

    Shape:
        `rgb` is ignored; `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`.
    """

    config: RichConfig
    statistics: RichFeatures

    def __init__(
        self,
        config: RichConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        if pretrained or backbone_weights is not None:
            raise ConfigError(
                "Backbone weights were asked for, but this network has no backbone.",
                "Leave them out: its statistics are fixed, and its head is trained from scratch.",
            )
        config = config or RichConfig()
        features = RichFeatures(config)
        super().__init__(config, features, torch.arange(features.size))

    def sources(self) -> list[Source]:
        return [Source(measured(self.config), self.statistics)]

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
