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

Attention = Literal["none", "regress", "gate"]


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
        attention: `regress` adds a map of where the picture is manipulated, read off the RGB
            stream's last map by a head that only the attention loss trains; `gate` also multiplies
            that last map by it before pooling. See `AIRL.with_attention`.
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
    attention: Attention = "none"

    @model_validator(mode="after")
    def _has_a_stream(self) -> AIRLConfig:
        if self.rgb is None and self.frequency is None:
            raise ValueError("AIRL needs an RGB stream, a frequency stream, or both")
        if self.attention != "none" and self.rgb is None:
            raise ValueError(
                f"attention={self.attention!r} looks at the RGB stream, but rgb is None: leave "
                "attention at 'none', or give the rgb stream"
            )
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
        # last, so that everything else begins as it does without
        self.attention = None
        if self.rgb is not None and config.attention != "none":
            self.attention = nn.Conv2d(self.rgb.num_features, 1, 1)

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
        return self._concatenated(self._seen(rgb)[0], native)

    def fuse(self, rgb: Tensor, native: Tensor) -> Tensor:
        """What logit and projection read: (N, fused) float32."""
        return self._fused(self._seen(rgb)[0], native)

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        return self._output(self.fuse(rgb, native))

    def with_attention(self, rgb: Tensor, native: Tensor) -> tuple[ModelOutput, Tensor]:
        """What `forward` gives, and where the RGB stream says that the picture is manipulated.

        The map is the sigmoid of a 1x1 convolution of the RGB stream's last map, learnt from masks.
        With `gate` it is the regressed attention of Dang et al. 2020, "On the detection of digital
        face manipulation", at the end of the stream; `regress` is the multi-task learning they set
        it against. It stands in the place of a class activation map because AIRL has no exact one:
        between the last map and the logit lies a ReLU, in `concat` as in the other fusions, so the
        logit is no sum over places. To learn from Grad-CAM instead would need the gradient of a
        gradient at every step.

        Args:
            rgb, native: as for the network.

        Returns:
            The output, and the map (N, h, w) float32 in (0, 1), also under autocast, over `rgb`; h
            and w are those of the RGB stream's last map: 3 x 3 of 96 pixels for EfficientNet.

        Raises:
            ConfigError: the network was built with `attention: none`.
        """
        seen, attention = self._seen(rgb)
        if attention is None:
            raise ConfigError(
                "This network was built without an attention map.",
                "Build it with AIRLConfig(attention='regress') or 'gate', with an RGB stream.",
            )
        return self._output(self._fused(seen, native)), attention[:, 0]

    def _seen(self, rgb: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The RGB stream's last map (N, C, h, w), gated if so configured, and the attention."""
        if self.rgb is None:
            return None, None
        seen: Tensor = self.rgb(rgb)
        if self.attention is None:
            return seen, None
        with torch.autocast(device_type=seen.device.type, enabled=False):
            attention = torch.sigmoid(self.attention(seen.float()))
        if self.config.attention == "gate":
            seen = seen * attention.to(seen.dtype)
        return seen, attention

    def _concatenated(self, seen: Tensor | None, native: Tensor) -> Tensor:
        parts = []
        if seen is not None:
            parts.append(global_pool(seen))
        if self.frequency is not None:
            parts.append(self.frequency(native))
        return torch.cat(parts, dim=1)

    def _fused(self, seen: Tensor | None, native: Tensor) -> Tensor:
        if self.config.fusion == "concat":
            features = self._concatenated(seen, native)
            with torch.autocast(device_type=features.device.type, enabled=False):
                return cast(Tensor, self.fusion(features.float()))
        assert self.frequency is not None
        return cast(Tensor, self.fusion(seen, self.frequency.map(native)))

    def _output(self, fused: Tensor) -> ModelOutput:
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
