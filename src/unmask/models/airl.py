"""AIRL: artifact-invariant representation learning, an RGB and a block-DCT stream, fused.

The paper's network is `AIRLConfig()`: EfficientNet-B4 on RGB (1792 features) beside a light CNN
(64-128-256 channels, 3x3, stride 2) on the high-frequency residual of the 8x8 block DCT, their
concatenation (2048) to 512, a logit, and a 128-d projection for the contrastive loss. Its
ablations, and smaller networks, are other values of the same configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.models.backbones import build_backbone, global_pool
from unmask.models.fusion import FUSIONS, Fusion
from unmask.models.output import ModelOutput
from unmask.transforms.dct import BlockDCT, DctOutput, luma, top_left_off


class AIRLConfig(BaseModel):
    """Everything that shapes the network; stored in its checkpoint.

    Attributes:
        rgb: backbone of the RGB stream, or None for the frequency-only ablation.
        frequency: DCT view of the frequency stream, or None for the RGB-only ablation.
        cutoff: DCT coefficients with u < cutoff and v < cutoff are zeroed.
        truncate: residuals are clipped to +-truncate grey levels and divided by it, as in the
            steganalysis line, so that edges do not drown traces; None only divides by 16.
        frequency_channels: of the light CNN's 3x3 stride-2 layers.
        fusion: how the streams are joined: `concat` is the paper's; the others are described in
            `unmask.models.fusion` and need both streams.
        fused: width after the streams are joined; dropout before the logit.
        projection: width of the contrastive embedding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rgb: str | None = "efficientnet_b4"
    frequency: DctOutput | None = "residual"
    cutoff: int = Field(4, ge=1, le=7)
    truncate: float | None = Field(None, gt=0)
    frequency_channels: tuple[int, ...] = (64, 128, 256)
    fusion: Fusion = "concat"
    fused: int = Field(512, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    projection: int = Field(128, ge=1)

    @model_validator(mode="after")
    def _has_a_stream(self) -> AIRLConfig:
        if self.rgb is None and self.frequency is None:
            raise ValueError("AIRL needs an RGB stream, a frequency stream, or both")
        if self.fusion != "concat" and (self.rgb is None or self.frequency is None):
            missing = "rgb" if self.rgb is None else "frequency"
            raise ValueError(
                f"fusion={self.fusion!r} joins two streams, but {missing} is None: leave fusion "
                f"at 'concat', or give the {missing} stream"
            )
        return self


class FrequencyStream(nn.Module):
    """Light CNN on the block DCT's high-pass view: (N, 3, H, W) RGB in [0, 255] -> (N, C)."""

    def __init__(self, output: DctOutput, config: AIRLConfig) -> None:
        super().__init__()
        self.dct = BlockDCT(output, top_left_off(config.cutoff))
        self.truncate = config.truncate
        layers: list[nn.Module] = []
        inputs = self.dct.channels
        for index, outputs in enumerate(config.frequency_channels):
            # the `channels` view is already reduced by 8
            stride = 1 if output == "channels" and index < 2 else 2
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        self.cnn = nn.Sequential(*layers)
        self.num_features = inputs

    def view(self, native: Tensor) -> Tensor:
        """What the light CNN sees, scaled to about [-1, 1]."""
        residual: Tensor = self.dct(luma(native.float()))
        if self.truncate is None:
            return residual / 16
        return residual.clamp(-self.truncate, self.truncate) / self.truncate

    def map(self, native: Tensor) -> Tensor:
        """The light CNN's map before pooling: (N, C, H/8, W/8) for three layers."""
        features: Tensor = self.cnn(self.view(native).to(memory_format=torch.channels_last))
        return features

    def forward(self, native: Tensor) -> Tensor:
        return global_pool(self.map(native))


class AIRL(nn.Module):
    """The dual-stream network.

    Args:
        config: see `AIRLConfig`.
        pretrained, backbone_weights: ImageNet weights of the RGB backbone, from the hub or a file.

    Raises:
        ConfigError: backbone weights are asked for, but there is no RGB stream.

    Shape:
        `rgb` (N, 3, s, s) normalised, `native` (N, 3, n, n) in [0, 255] -> `ModelOutput`. A network
        without one of the streams takes and ignores that input.
    """

    def __init__(
        self,
        config: AIRLConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or AIRLConfig()
        self.rgb = self.frequency = None
        if config.rgb is None and (pretrained or backbone_weights is not None):
            raise ConfigError(
                "Backbone weights were asked for, but this network has no RGB stream.",
                "Leave them out: the frequency stream is trained from scratch.",
            )
        if config.rgb is not None:
            self.rgb = build_backbone(config.rgb, pretrained=pretrained, weights=backbone_weights)
        if config.frequency is not None:
            self.frequency = FrequencyStream(config.frequency, config)
        self.fusion = self._fusion()
        self.logit = nn.Linear(config.fused, 1)
        self.projection = nn.Linear(config.fused, config.projection)

    def _fusion(self) -> nn.Module:
        config = self.config
        widths = [s.num_features for s in (self.rgb, self.frequency) if s is not None]
        if config.fusion != "concat":
            rgb, frequency = widths
            return FUSIONS[config.fusion](rgb, frequency, config.fused, config.dropout)
        return nn.Sequential(
            nn.Linear(sum(widths), config.fused),
            nn.BatchNorm1d(config.fused),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
        )

    def features(self, rgb: Tensor, native: Tensor) -> Tensor:
        """Both streams' pooled features, concatenated: (N, 1792 + 256) for the paper's sizes."""
        parts = []
        if self.rgb is not None:
            parts.append(global_pool(self.rgb(rgb)))
        if self.frequency is not None:
            parts.append(self.frequency(native))
        return torch.cat(parts, dim=1)

    def fuse(self, rgb: Tensor, native: Tensor) -> Tensor:
        """What logit and projection read: (N, fused) float32."""
        if self.config.fusion == "concat":
            features = self.features(rgb, native)
            with torch.autocast(device_type=features.device.type, enabled=False):
                return cast(Tensor, self.fusion(features.float()))
        assert self.rgb is not None
        assert self.frequency is not None
        return cast(Tensor, self.fusion(self.rgb(rgb), self.frequency.map(native)))

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        fused = self.fuse(rgb, native)
        with torch.autocast(device_type=fused.device.type, enabled=False):
            embedding = F.normalize(self.projection(fused), dim=1)
            return ModelOutput(self.logit(fused).squeeze(1), embedding)

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module whose output Grad-CAM reads, and which input that map lies over."""
        if self.rgb is None:
            assert self.frequency is not None
            return self.frequency.cnn, "native"
        return self.rgb, "rgb"
