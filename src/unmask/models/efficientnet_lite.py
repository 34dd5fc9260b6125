"""EfficientNet-Lite0 (TensorFlow's mobile variant of Tan & Le 2019): no gates, ReLU6 throughout.

The packaged model's RGB stream, so that a scan need not import the library that has every other
backbone, which takes longer than to judge a photo. Tensors are named and shaped as timm's
`tf_efficientnet_lite0`, whose ImageNet weights fit.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

NAME = "tf_efficientnet_lite0"
STEM, HEAD = 32, 1280
EXPANSION = 6
STAGES = (
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (2, 5, 2, 40),
    (3, 3, 2, 80),
    (3, 5, 1, 112),
    (4, 5, 2, 192),
    (1, 3, 1, 320),
)
"""(blocks, kernel, stride of the first, channels); the first stage does not expand."""


class SameConv2d(nn.Conv2d):
    """A convolution of stride 2 padded as TensorFlow's SAME: what is odd goes right and below.

    That needs no padded copy of the maps, which takes longer than the convolution: for an even side
    the kernel starts with a zero instead.
    """

    def forward(self, input: Tensor) -> Tensor:
        zeros = [1 - side % 2 for side in (input.shape[3], input.shape[2])]
        weight = F.pad(self.weight, (zeros[0], 0, zeros[1], 0))
        around = self.kernel_size[0] // 2
        return F.conv2d(input, weight, self.bias, self.stride, around, self.dilation, self.groups)


class BatchNormReLU6(nn.BatchNorm2d):
    """Batch normalisation and ReLU6."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(super().forward(input), inplace=True)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 2:
        return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=False)


def _norm(channels: int, *, relu: bool = True) -> nn.BatchNorm2d:
    kind = BatchNormReLU6 if relu else nn.BatchNorm2d
    return kind(channels, eps=1e-3)


class Folding(nn.Module):
    """A module whose batch normalisations each come right after a convolution.

    Attributes:
        PAIRS: names of both.
    """

    PAIRS: tuple[tuple[str, str], ...]

    def fold(self) -> None:
        """Put what the normalisations do into the convolutions' weights, in eval mode for good."""
        for first, second in self.PAIRS:
            conv, norm = getattr(self, first), getattr(self, second)
            if isinstance(norm, nn.BatchNorm2d):
                relu = isinstance(norm, BatchNormReLU6)
                setattr(self, first, fuse_conv_bn_eval(conv, norm))
                setattr(self, second, nn.ReLU6(inplace=True) if relu else nn.Identity())


def fold_norms(network: nn.Module) -> None:
    """Fold all that can be folded in a network that only scores from now on: it scores the same.

    It cannot be trained or saved any more. No other thread may use it meanwhile; folding it again
    changes nothing.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, Folding):
            module.fold()


class DepthwiseBlock(Folding):
    """Depthwise, then pointwise without an activation."""

    PAIRS = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _conv(inputs, inputs, kernel, stride, inputs)
        self.bn1 = _norm(inputs)
        self.conv_pw = _conv(inputs, outputs, 1)
        self.bn2 = _norm(outputs, relu=False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))
        return x + y if self.adds else y


class InvertedResidual(Folding):
    """Pointwise to `EXPANSION` times the channels, depthwise, pointwise back."""

    PAIRS = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * inputs
        self.conv_pw = _conv(inputs, wide, 1)
        self.bn1 = _norm(wide)
        self.conv_dw = _conv(wide, wide, kernel, stride, wide)
        self.bn2 = _norm(wide)
        self.conv_pwl = _conv(wide, outputs, 1)
        self.bn3 = _norm(outputs, relu=False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return x + y if self.adds else y


class EfficientNetLite0(Folding):
    """The feature extractor, without pooling and classifier.

    Shape:
        (N, 3, H, W) RGB in [-1, 1] -> (N, 1280, ceil(H / 32), ceil(W / 32)).
    """

    PAIRS = (("conv_stem", "bn1"), ("conv_head", "bn2"))

    num_features = HEAD

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _conv(3, STEM, 3, 2)
        self.bn1 = _norm(STEM)
        inputs, stages = STEM, []
        for number, (count, kernel, stride, outputs) in enumerate(STAGES):
            block = InvertedResidual if number else DepthwiseBlock
            blocks = [
                block(outputs if i else inputs, outputs, kernel, 1 if i else stride)
                for i in range(count)
            ]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _conv(inputs, HEAD, 1)
        self.bn2 = _norm(HEAD)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                width = module.kernel_size[0] ** 2 * module.out_channels / module.groups
                nn.init.normal_(module.weight, std=(2 / width) ** 0.5)

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map."""
        found: Tensor = self.bn2(self.conv_head(self.blocks(self.bn1(self.conv_stem(x)))))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x)
