"""Attention between two streams' feature maps: F3-Net's MixBlock, Luo's dual cross-modality one.

Qian et al. 2020 (fig. 5) and Luo et al. 2021 (section 3.4) both relate every place of one map to
every place of the other, and give each stream what it finds in the other one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Two maps (N, C, h, w) -> the same two, each enriched by the other.

    With keys A, B (d channels, one row per place) of the maps X and Y, and affinity
    S = A B^T / sqrt(d):

        X' = X + gain_x softmax(S) V_y        Y' = Y + gain_y softmax(S^T) V_x

    Args:
        channels: C.
        reduction: d = C / reduction.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        # without bias: one that is the same for all places would cancel in the softmax
        self.keys = nn.ModuleList(
            nn.Conv2d(channels, channels // reduction, 1, bias=False) for _ in range(2)
        )
        self.values = nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=False) for _ in range(2))
        # small, so that pretrained streams begin nearly as they are; zero would stop the gradient
        self.gains = nn.Parameter(torch.full((2,), 0.1))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.keys[0](x).flatten(2), self.keys[1](y).flatten(2)
        value_x, value_y = self.values[0](x).flatten(2), self.values[1](y).flatten(2)
        with torch.autocast(device_type=x.device.type, enabled=False):
            affinity = a.float().transpose(1, 2) @ b.float() / a.shape[1] ** 0.5
            to_x = value_y.float() @ affinity.softmax(2).transpose(1, 2)
            to_y = value_x.float() @ affinity.transpose(1, 2).softmax(2).transpose(1, 2)
        return (
            x + self.gains[0] * to_x.view_as(x).to(x.dtype),
            y + self.gains[1] * to_y.view_as(y).to(y.dtype),
        )
