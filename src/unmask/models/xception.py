"""Xception (Chollet 2017) cut into stages, for the networks that join two of them.

As a detector of its own it is `Classifier` on timm's `legacy_xception`, whose layers and ImageNet
weights these stages are.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from unmask.models.backbones import TimmBackbone, build_backbone

NAME = "legacy_xception"
ENTRY, MIDDLE, FEATURES = 728, 1024, 2048
"""Channels after block 7, after block 12, and at the end."""


class XceptionStages(nn.Module):
    """The same layers as Xception in four parts, run one after the other by its owner.

    Args:
        channels: of the input; the first layer's ImageNet filters are repeated for more than 3.
        stride: of the first layer; 1, with the border kept, for an input of half the side.
        pretrained, weights: ImageNet weights, from the hub or a file.

    Attributes:
        low: first convolution: (N, channels, s, s) -> (N, 32, s/2, s/2).
        stem: second convolution -> (N, 64, s/2, s/2).
        entry: blocks 1 to 3 -> (N, 728, s/16, s/16).
        middle: blocks 4 to 7, same shape.
        late: blocks 8 to 12 -> (N, 1024, s/32, s/32).
        exit: two separable convolutions, ReLU -> (N, 2048, s/32, s/32).
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        stride: int = 2,
        pretrained: bool = False,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        trunk = build_backbone(NAME, pretrained=pretrained, weights=weights)
        assert isinstance(trunk, TimmBackbone)
        net = trunk.net
        first: nn.Conv2d = net.conv1
        if channels != 3 or stride != 2:
            first = _first_layer(first, channels, stride, keep=pretrained or weights is not None)
        self.low = nn.Sequential(first, net.bn1, net.act1)
        self.stem = nn.Sequential(net.conv2, net.bn2, net.act2)
        blocks = [getattr(net, f"block{i}") for i in range(1, 13)]
        self.entry = nn.Sequential(*blocks[:3])
        self.middle = nn.Sequential(*blocks[3:7])
        self.late = nn.Sequential(*blocks[7:])
        self.exit = nn.Sequential(net.conv3, net.bn3, net.act3, net.conv4, net.bn4, net.act4)


def _first_layer(conv: nn.Conv2d, channels: int, stride: int, *, keep: bool) -> nn.Conv2d:
    """A first layer for `channels` inputs; with `keep`, of the same response to copies of RGB."""
    padding = 1 if stride == 1 else 0
    new = nn.Conv2d(channels, conv.out_channels, 3, stride, padding, bias=False)
    if keep:
        with torch.no_grad():
            copies: Tensor = conv.weight.repeat(1, -(-channels // 3), 1, 1)[:, :channels]
            new.weight.copy_(copies * (3 / channels))
    else:
        nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new
