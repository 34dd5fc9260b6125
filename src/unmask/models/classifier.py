"""An ImageNet network, global average pooling, one linear layer: Xception, EfficientNet-B4, SBI.

What most of the field compares itself with. Xception as a detector is Roessler et al. 2019,
"FaceForensics++"; self-blended images (SBI: Shiohara & Yamasaki 2022) are EfficientNet-B4 in this
form with another way of making training fakes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unmask.models.backbones import build_backbone, global_pool
from unmask.models.output import LinearHead, ModelOutput


class ClassifierConfig(BaseModel):
    """backbone: as `build_backbone` names it. dropout: before the linear layer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = "efficientnet_b4"
    dropout: float = Field(0.0, ge=0, lt=1)


class Classifier(nn.Module):
    """The single-stream network.

    Args:
        config: see `ClassifierConfig`.
        pretrained, backbone_weights: ImageNet weights, from the hub or a file.

    Shape:
        `rgb` (N, 3, s, s) normalised -> `ModelOutput`, whose embedding is the pooled features;
        `native` is ignored.
    """

    def __init__(
        self,
        config: ClassifierConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or ClassifierConfig()
        self.rgb = build_backbone(config.backbone, pretrained=pretrained, weights=backbone_weights)
        self.head = LinearHead(self.rgb.num_features, config.dropout)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        output: ModelOutput = self.head(global_pool(self.rgb(rgb)))
        return output

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads, and which input that map lies over."""
        return self.rgb, "rgb"
