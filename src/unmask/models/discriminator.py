"""DCGAN's discriminator: Radford et al. 2016, "Unsupervised representation learning with deep
convolutional generative adversarial networks", section 3.

Strided 4x4 convolutions instead of pooling, batch normalisation in all layers but the first and
the last, LeakyReLU of slope 0.2, no dense layer; all weights begin as N(0, 0.02). The paper's is
for 64 px; a larger picture is halved more often, until 4 to 7 pixels are left (or an odd side).
"""

from __future__ import annotations

from torch import Tensor, nn

from unmask.errors import ConfigError, ShapeError


class Discriminator(nn.Module):
    """Tells pictures from reconstructions of them; for training only.

    Args:
        size: side of the picture in pixels, >= 16, a multiple of 16.
        width: channels of the first convolution, doubled with every halving up to 8 times that;
            64 in the paper.

    Raises:
        ConfigError: a size or width that cannot be built.

    Shape:
        (N, 3, s, s) RGB in [-1, 1] -> (N,) logits, positive = a picture as it was taken.
    """

    def __init__(self, size: int = 256, width: int = 64) -> None:
        super().__init__()
        if size < 16 or size % 16 or width < 1:
            raise ConfigError(
                f"The discriminator cannot be built for {size} px and {width} channels.",
                "size is a positive multiple of 16, width is at least 1.",
            )
        self.size = size
        layers: list[nn.Module] = []
        inputs, outputs, side = 3, width, size
        while side >= 8 and side % 2 == 0:
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not layers))
            if layers[:-1]:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            inputs, outputs, side = outputs, min(2 * outputs, 8 * width), side // 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 1, side))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        if pictures.shape[1:] != (3, self.size, self.size):
            raise ShapeError(
                f"This discriminator takes (N, 3, {self.size}, {self.size}); got "
                f"{tuple(pictures.shape)}."
            )
        logits: Tensor = self.layers(pictures).flatten(1).squeeze(1)
        return logits.float()
