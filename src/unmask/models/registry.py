"""Every network by name, with its input contract, source and licence beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from torch import nn

from unmask.errors import ConfigError
from unmask.models.airl import AIRL, AIRLConfig
from unmask.models.rich import RichConfig, RichNet
from unmask.transforms.preprocess import IMAGENET_MEAN, IMAGENET_STD, InputSpec


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network that can be built, trained and scanned with.

    Attributes:
        name: key in `MODELS`.
        config: the network's configuration.
        input: what it takes.
        summary: one line for `unmask models`.
        paper: where it comes from.
        pretrained: whether its published recipe starts from ImageNet weights.
    """

    name: str
    config: BaseModel
    input: InputSpec
    summary: str
    paper: str
    pretrained: bool = False
    build: Callable[..., nn.Module] = AIRL

    def create(
        self,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
        config: BaseModel | None = None,
    ) -> nn.Module:
        """Build the network, with random weights unless backbone weights are asked for."""
        return self.build(
            config or self.config, pretrained=pretrained, backbone_weights=backbone_weights
        )


_PAPER = "AIRL: artifact-invariant representation learning (dual-stream RGB and block DCT)"
_B4 = InputSpec(
    native_size=256, native_limit=None, rgb_size=224, mean=IMAGENET_MEAN, std=IMAGENET_STD
)
_RICH_PAPER = "Fridrich & Kodovsky 2012, Rich models for steganalysis of digital images"
_TRACES = InputSpec(native_size=224, native_limit=1.4)

_SPECS = (
    ModelSpec("airl_b4", AIRLConfig(), _B4, "the paper's network", _PAPER, pretrained=True),
    ModelSpec(
        "airl_b4_rgb",
        AIRLConfig(frequency=None),
        _B4,
        "RGB-only ablation of the paper's network: EfficientNet-B4",
        _PAPER,
        pretrained=True,
    ),
    ModelSpec(
        "airl_frequency",
        AIRLConfig(rgb=None),
        _B4,
        "frequency-only ablation of the paper's network",
        _PAPER,
    ),
    ModelSpec(
        "airl_b0",
        AIRLConfig(rgb="efficientnet_b0"),
        _B4,
        "AIRL with EfficientNet-B0",
        _PAPER,
        pretrained=True,
    ),
    ModelSpec(
        "airl_small",
        AIRLConfig(rgb="shallow16", truncate=8.0),
        _TRACES,
        "AIRL for training from scratch: shallow full-resolution RGB stream and truncated residual",
        _PAPER,
    ),
    ModelSpec(
        "airl_small_rgb",
        AIRLConfig(rgb="shallow16", frequency=None),
        _TRACES,
        "RGB-only ablation of airl_small",
        _PAPER,
    ),
    ModelSpec(
        "airl_small_frequency",
        AIRLConfig(rgb=None, truncate=8.0),
        _TRACES,
        "frequency-only ablation of airl_small",
        _PAPER,
    ),
    ModelSpec(
        "rich",
        RichConfig(),
        _TRACES,
        "rich residual statistics of the inner face and its surroundings, with AIRL's fused head",
        _RICH_PAPER,
        build=RichNet,
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}


def model_spec(name: str) -> ModelSpec:
    """The spec called `name`.

    Raises:
        ConfigError: no such network; the message lists all.
    """
    if name not in MODELS:
        raise ConfigError(
            f"No network is called {name!r}.", f"Choose one of: {', '.join(sorted(MODELS))}."
        )
    return MODELS[name]
