"""How AIRL joins its two streams where they are not concatenated, as in the paper.

Each module here takes the two streams' maps, (N, A, h, w) of RGB and (N, B, h', w') of the block
DCT, and gives the fused features (N, width), in float32 also under autocast. The maps need not be
of one size, nor lie over the same part of the face.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unmask.models.backbones import global_pool
from unmask.models.cross_attention import CrossAttention

Fusion = Literal["concat", "sum", "gated", "attention"]

TOKENS = 7
"""Attention relates at most this many places a side: what a backbone of stride 32 has at 224."""


def _projection(features: int, width: int) -> nn.Sequential:
    """Linear and batch norm, which has the bias."""
    return nn.Sequential(nn.Linear(features, width, bias=False), nn.BatchNorm1d(width))


def _activation(dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(dropout))


class SumFusion(nn.Module):
    """relu(BN(P x) + BN(Q y)) of the pooled maps x and y.

    Without the two norms this would be the concatenation's linear layer, whose weights are P and Q
    side by side. With them both streams have the same say at the start, however large their
    features are.

    Args:
        rgb, frequency: channels A and B of the maps.
        width: of the fused features.
        dropout: after the ReLU.
    """

    def __init__(self, rgb: int, frequency: int, width: int, dropout: float) -> None:
        super().__init__()
        self.rgb, self.frequency = _projection(rgb, width), _projection(frequency, width)
        self.activation = _activation(dropout)

    def forward(self, rgb: Tensor, frequency: Tensor) -> Tensor:
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            fused = self.rgb(global_pool(rgb)) + self.frequency(global_pool(frequency))
            return cast(Tensor, self.activation(fused))


class GatedFusion(nn.Module):
    """relu(g BN(P x) + (1 - g) BN(Q y)) with g = sigmoid(G [x, y] + b), per channel and face.

    So a face whose high frequencies are gone, say by compression, can be judged by its picture
    alone, which no fixed weights allow (the gated unit of Arevalo et al. 2017, "Gated multimodal
    units for information fusion", with its tanh replaced by AIRL's norm and ReLU).

    Args:
        rgb, frequency, width, dropout: as in `SumFusion`.
    """

    def __init__(self, rgb: int, frequency: int, width: int, dropout: float) -> None:
        super().__init__()
        self.rgb, self.frequency = _projection(rgb, width), _projection(frequency, width)
        self.gate = nn.Linear(rgb + frequency, width)
        self.activation = _activation(dropout)

    def weight(self, rgb: Tensor, frequency: Tensor) -> Tensor:
        """The RGB stream's share g of pooled features (N, A) and (N, B): (N, width) in (0, 1)."""
        return torch.sigmoid(self.gate(torch.cat([rgb, frequency], dim=1)))

    def forward(self, rgb: Tensor, frequency: Tensor) -> Tensor:
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            x, y = global_pool(rgb), global_pool(frequency)
            fused = torch.lerp(self.frequency(y), self.rgb(x), self.weight(x, y))
            return cast(Tensor, self.activation(fused))


def tokens(feature_map: Tensor, side: int = TOKENS) -> Tensor:
    """A map averaged to at most side x side places: (N, C, h, w) -> (N, C, <= side, <= side).

    In float32. A map that is small already stays as it is.
    """
    height, width = feature_map.shape[2:]
    return F.adaptive_avg_pool2d(feature_map.float(), (min(height, side), min(width, side)))


class AttentionFusion(nn.Module):
    """Each stream's places look up the other's before pooling; then concatenation, as in AIRL.

    The maps are brought to a common width by 1x1 convolutions and related by `CrossAttention` over
    at most `TOKENS` x `TOKENS` places. Places have no coordinates: any permutation of either map's
    gives the same features, so what is related is what the places show, not where they are.

    Args:
        rgb, frequency, width, dropout: as in `SumFusion`; `width` is the attention's, too.
    """

    def __init__(self, rgb: int, frequency: int, width: int, dropout: float) -> None:
        super().__init__()
        self.rgb = nn.Conv2d(rgb, width, 1, bias=False)
        self.frequency = nn.Conv2d(frequency, width, 1, bias=False)
        self.cross = CrossAttention(width, reduction=min(8, width))
        self.joined = _projection(2 * width, width)
        self.activation = _activation(dropout)

    def forward(self, rgb: Tensor, frequency: Tensor) -> Tensor:
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            x, y = self.cross(self.rgb(tokens(rgb)), self.frequency(tokens(frequency)))
            pooled = torch.cat([global_pool(x), global_pool(y)], dim=1)
            return cast(Tensor, self.activation(self.joined(pooled)))


FUSIONS: dict[Fusion, type[SumFusion] | type[GatedFusion] | type[AttentionFusion]] = {
    "sum": SumFusion,
    "gated": GatedFusion,
    "attention": AttentionFusion,
}
"""The modules by the name in `AIRLConfig.fusion`; `concat` is AIRL's own."""
