"""F3-Net: Qian et al. 2020, "Thinking in frequency: face forgery detection by mining
frequency-aware clues".

Two Xceptions. One sees the picture split into frequency bands by a DCT of the whole picture
(frequency-aware decomposition, FAD), the other how strong each band is around every place (local
frequency statistics, LFS); MixBlocks after blocks 7 and 12 let each look at the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.errors import ShapeError
from unmask.models.backbones import global_pool
from unmask.models.cross_attention import CrossAttention
from unmask.models.output import LinearHead, ModelOutput
from unmask.models.xception import ENTRY, FEATURES, MIDDLE, XceptionStages
from unmask.transforms.dct import dct_matrix, luma

WINDOW, STEP, BANDS = 10, 2, 6
"""LFS: side of its windows and their distance in pixels, and the number of bands."""
FLOOR = 1e-3
"""Grey levels added before the logarithm, since a flat window has bands without energy."""


class F3NetConfig(BaseModel):
    """streams: both, or one alone (the paper's ablations). size: side of the input in pixels, for
    which the FAD's filters are learned. dropout: before the linear layer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: Literal["both", "fad", "lfs"] = "both"
    size: int = Field(299, ge=64)
    dropout: float = Field(0.0, ge=0, lt=1)


def _diagonals(size: int) -> Tensor:
    """u + v of every coefficient of a (size, size) DCT."""
    return torch.arange(size)[:, None] + torch.arange(size)[None, :]


def _learned(shape: tuple[int, int, int]) -> nn.Parameter:
    """What is added to fixed band filters, before 2 sigmoid(w) - 1 limits it to +-1."""
    return nn.Parameter(0.1 * torch.randn(shape))


class FrequencyAwareDecomposition(nn.Module):
    """FAD: (N, 3, s, s) -> (N, 12, s, s), the picture in four bands of its DCT (eq. 2 and 3).

    The bands are u + v < s / 2.82 (the lowest sixteenth of the spectrum), from there to s / 2 (the
    second sixteenth), the rest, and all. Each filter is its band plus 2 sigmoid(w) - 1, learned.
    """

    matrix: Tensor
    base: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        order = _diagonals(size)
        low, high = order < size / 2.82, order >= size / 2
        base = torch.stack([low, ~low & ~high, high, torch.ones_like(low)]).float()
        self.register_buffer("base", base, persistent=False)
        self.register_buffer("matrix", dct_matrix(size, torch.float32), persistent=False)
        self.weight = _learned((4, size, size))

    def forward(self, rgb: Tensor) -> Tensor:
        size = self.matrix.shape[0]
        if rgb.shape[2:] != (size, size):
            raise ShapeError(
                f"This F3-Net was built for {size}x{size} pixels; got {tuple(rgb.shape)}."
            )
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            spectrum = self.matrix @ rgb.float() @ self.matrix.T
            filters = self.base + 2 * torch.sigmoid(self.weight) - 1
            bands = spectrum[:, None] * filters[None, :, None]
            return (self.matrix.T @ bands @ self.matrix).flatten(1, 2)


class LocalFrequencyStatistics(nn.Module):
    """LFS: (N, 3, s, s) in [-1, 1] -> (N, 6, s // 2, s // 2), log10 band strengths (eq. 5).

    The DCT of a 10x10 window of the luma, in grey levels, around every second pixel; the sum of
    absolute coefficients of each of six bands of u + v, filtered like those of FAD.
    """

    kernels: Tensor
    base: Tensor

    def __init__(self) -> None:
        super().__init__()
        matrix = dct_matrix(WINDOW, torch.float32)
        kernels = torch.einsum("uy,vx->uvyx", matrix, matrix)
        self.register_buffer("kernels", kernels.reshape(-1, 1, WINDOW, WINDOW), persistent=False)
        band = _diagonals(WINDOW) * BANDS // (2 * WINDOW - 1)
        base = torch.stack([band == i for i in range(BANDS)]).float()
        self.register_buffer("base", base, persistent=False)
        self.weight = _learned((BANDS, WINDOW, WINDOW))

    def forward(self, rgb: Tensor) -> Tensor:
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            gray = (luma(rgb.float()) + 1) * 127.5
            edge = (WINDOW - STEP) // 2
            gray = F.pad(gray, (edge,) * 4, mode="replicate")
            strengths = F.conv2d(gray, self.kernels, stride=STEP).abs()
            filters = (self.base + 2 * torch.sigmoid(self.weight) - 1).abs()
            sums = F.conv2d(strengths, filters.view(BANDS, WINDOW**2, 1, 1))
            return torch.log10(sums + FLOOR)


class F3Net(nn.Module):
    """The network.

    Args:
        config: see `F3NetConfig`.
        pretrained, backbone_weights: ImageNet weights of both Xceptions, from the hub or a file.

    Raises:
        ShapeError: when called with pictures of another side than the configured one.

    Shape:
        `rgb` (N, 3, s, s) in [-1, 1] -> `ModelOutput`, whose embedding is the streams' pooled
        features; `native` is ignored.
    """

    def __init__(
        self,
        config: F3NetConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or F3NetConfig()
        self.views, self.streams = nn.ModuleDict(), nn.ModuleDict()
        if config.streams != "lfs":
            self.views["fad"] = FrequencyAwareDecomposition(config.size)
            self.streams["fad"] = XceptionStages(
                12, pretrained=pretrained, weights=backbone_weights
            )
        if config.streams != "fad":
            self.views["lfs"] = LocalFrequencyStatistics()
            self.streams["lfs"] = XceptionStages(
                BANDS, stride=1, pretrained=pretrained, weights=backbone_weights
            )
        mixed = (ENTRY, MIDDLE) if config.streams == "both" else ()
        self.mix = nn.ModuleList(CrossAttention(channels) for channels in mixed)
        self.head = LinearHead(FEATURES * len(self.streams), config.dropout)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        maps = [view(rgb) for view in self.views.values()]
        maps = self._each(maps, "low", "stem", "entry", "middle")
        maps = self._mixed(maps, 0)
        maps = self._each(maps, "late")
        maps = self._each(self._mixed(maps, 1), "exit")
        output: ModelOutput = self.head(torch.cat([global_pool(m) for m in maps], dim=1))
        return output

    def _each(self, maps: list[Tensor], *stages: str) -> list[Tensor]:
        """The same stages of every stream, on its own map."""
        for name in stages:
            pairs = zip(self.streams.values(), maps, strict=True)
            maps = [getattr(stream, name)(x) for stream, x in pairs]
        return maps

    def _mixed(self, maps: list[Tensor], index: int) -> list[Tensor]:
        return list(self.mix[index](*maps)) if len(self.mix) else maps

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads: FAD's stream, or LFS's where it is alone."""
        stream = next(iter(self.streams.values()))
        assert isinstance(stream, XceptionStages)
        return stream.exit, "rgb"
