"""The lean baseline: a small residual network on x - up(down(x)).

What halving a picture and doubling it again cannot bring back: neighbouring pixels' differences,
where up-sampling generators leave their period (Tan et al. 2024, "Rethinking the up-sampling
operations in CNN-based generative network for generalizable deepfake detection"). Any network
of the table has to beat it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.models.backbones import ShallowResNet, global_pool, refuse_backbone_weights
from unmask.models.output import LinearHead, ModelOutput


class ResidualConfig(BaseModel):
    """width: channels of the first stage. truncate: residuals are clipped to +-truncate grey
    levels, so that edges do not drown traces. dropout: before the linear layer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(16, ge=1)
    truncate: float = Field(8.0, gt=0)
    dropout: float = Field(0.3, ge=0, lt=1)


def resampling_residual(pixels: Tensor) -> Tensor:
    """x - up(down(x)) by nearest neighbours: each pixel less the first one of its 2x2 cell.

    Args:
        pixels: (N, C, H, W), any H, W >= 2; an odd last row or column is left off.

    Returns:
        (N, C, H // 2 * 2, W // 2 * 2), same units.
    """
    height, width = (side // 2 * 2 for side in pixels.shape[2:])
    pixels = pixels[..., :height, :width]
    return pixels - F.interpolate(pixels[..., ::2, ::2], scale_factor=2, mode="nearest")


class ResidualNet(nn.Module):
    """The network.

    Args:
        config: see `ResidualConfig`.
        pretrained, backbone_weights: refused; it is trained from scratch.

    Raises:
        ConfigError: backbone weights are asked for.

    Shape:
        `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`; `rgb` is ignored.
    """

    def __init__(
        self,
        config: ResidualConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        refuse_backbone_weights(pretrained, backbone_weights)
        self.config = config = config or ResidualConfig()
        self.cnn = ShallowResNet(config.width)
        self.head = LinearHead(self.cnn.num_features, config.dropout)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        limit = self.config.truncate
        view = resampling_residual(native.float()).clamp(-limit, limit) / limit
        output: ModelOutput = self.head(global_pool(self.cnn(view)))
        return output

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads, and which input that map lies over."""
        return self.cnn, "native"
