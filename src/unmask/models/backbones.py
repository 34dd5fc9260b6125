"""What turns an RGB picture into a feature map: timm's networks, or our own for traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from unmask.errors import CheckpointError, ConfigError
from unmask.models.efficientnet_lite import NAME as LITE0
from unmask.models.efficientnet_lite import EfficientNetLite0

OWN = ("shallow16", "shallow24", "shallow32")


class ResidualBlock(nn.Module):
    """conv-BN-ReLU-conv-BN plus the input (He et al. 2016), 3x3; `stride` 2 halves the map."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.skip = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x), inplace=True)


class ShallowResNet(nn.Module):
    """A residual network for traces: few strides, full resolution first, trained from scratch.

    Generators leave their traces in the finest detail, which ImageNet networks average away in
    their first layers. Here the first block runs at the picture's own resolution, and four stages
    (w, 2w, 4w, 8w channels) stop at an eighth of it.

    Args:
        width: channels w of the first stage.
        inputs: channels C of the picture.

    Shape:
        (N, C, H, W), normalised RGB or residuals -> (N, 8w, H/8, W/8).
    """

    def __init__(self, width: int = 16, inputs: int = 3) -> None:
        super().__init__()
        self.num_features = 8 * width
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks: list[nn.Module] = [ResidualBlock(width, width)]
        for stage in range(3):
            inputs = width * 2**stage
            blocks += [ResidualBlock(inputs, 2 * inputs, 2), ResidualBlock(2 * inputs, 2 * inputs)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks(self.stem(x)))


class TimmBackbone(nn.Module):
    """A timm network without its head, e.g. `efficientnet_b4` (1792 features).

    EfficientNet-Lite0 is our own, with timm's names of tensors, unless the hub's weights are asked
    for: timm takes seconds to import.
    """

    def __init__(self, name: str, pretrained: bool, weights: Path | None) -> None:
        super().__init__()
        own = name == LITE0 and not pretrained  # the hub's weights come with timm
        self.net: Any = EfficientNetLite0() if own else _timm(name, pretrained)
        if weights is not None:
            load_backbone_weights(self.net, weights)
        self.num_features = int(self.net.num_features)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net.forward_features(x))


def _timm(name: str, pretrained: bool) -> Any:
    import timm  # takes seconds: not before it is needed

    if name not in timm.list_models():
        raise ConfigError(
            f"No backbone is called {name!r}.",
            f"Use one of {', '.join(OWN)}, or a name from timm.list_models().",
        )
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # the hub client raises many kinds
        if not pretrained:
            raise
        raise CheckpointError(
            f"ImageNet weights of {name} could not be fetched: {type(error).__name__}: {error}",
            "Give a file with --backbone-weights FILE, or train from scratch with --no-pretrained.",
        ) from error


def load_backbone_weights(net: nn.Module, path: Path) -> None:
    """Load a safetensors file of a backbone; a classifier in it is passed over.

    Raises:
        CheckpointError: no such file, not safetensors, or weights of another network.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no backbone weights file {path}.")
    try:
        state = load_file(path)
    except Exception as error:
        raise CheckpointError(
            f"{path} is not a safetensors file: {error}",
            "Pickled .pt/.pth files are not read, because they can run code; convert them first.",
        ) from error
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
    except RuntimeError as error:  # tensors of another shape
        raise CheckpointError(f"{path} does not fit the backbone: {error}") from error
    foreign = [name for name in unexpected if not name.startswith(("classifier.", "fc.", "head."))]
    if missing or foreign:
        raise CheckpointError(
            f"{path} does not fit the backbone: {len(missing)} tensors missing "
            f"({', '.join(missing[:3])}), {len(foreign)} unknown ({', '.join(foreign[:3])})."
        )


def refuse_backbone_weights(pretrained: bool, weights: Path | None) -> None:
    """For networks without a backbone.

    Raises:
        ConfigError: either is asked for.
    """
    if pretrained or weights is not None:
        raise ConfigError(
            "Backbone weights were asked for, but this network has no backbone.",
            "Leave them out: it is trained from scratch.",
        )


def build_backbone(
    name: str, *, pretrained: bool = False, weights: Path | None = None
) -> ShallowResNet | TimmBackbone:
    """A backbone by name: one of `OWN`, or any of timm's.

    Args:
        name: `shallow16`, ... or a timm name.
        pretrained: fetch ImageNet weights from the hub (timm only).
        weights: safetensors file with the backbone's weights instead.

    Raises:
        ConfigError: unknown name, or pretrained weights asked of a network that has none.
        CheckpointError: the weights cannot be had or do not fit.
    """
    if name not in OWN:
        return TimmBackbone(name, pretrained and weights is None, weights)
    if pretrained:
        raise ConfigError(f"{name} is trained from scratch: it has no ImageNet weights.")
    own = ShallowResNet(int(name.removeprefix("shallow")))
    if weights is not None:
        load_backbone_weights(own, weights)
    return own


def global_pool(feature_map: Tensor) -> Tensor:
    """Global average pooling, (N, C, H, W) -> (N, C), in float32."""
    return torch.mean(feature_map.float(), dim=(2, 3))
