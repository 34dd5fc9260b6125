"""Every network by name, with its input contract, source and licence beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from torch import nn

from unmask.errors import ConfigError
from unmask.models.airl import AIRL, AIRLConfig
from unmask.models.classifier import Classifier, ClassifierConfig
from unmask.models.ensemble import NAME as ENSEMBLE
from unmask.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from unmask.models.f3net import F3Net, F3NetConfig
from unmask.models.lae import LAE, LAEConfig
from unmask.models.mesonet import MesoNet, MesoNetConfig
from unmask.models.probe import ProbeConfig, ProbeNet
from unmask.models.residual import ResidualConfig, ResidualNet
from unmask.models.rich import RichConfig, RichNet
from unmask.models.srm import SRMConfig, SRMNet
from unmask.models.statistics import StatisticsNet
from unmask.models.trace import TraceConfig, TraceNet
from unmask.models.xception import NAME as XCEPTION
from unmask.transforms.preprocess import IMAGENET_MEAN, IMAGENET_STD, InputSpec

View = Literal["rgb", "native"]


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
        build: makes the network of a configuration.
        views: which of `to_tensors`' views its scores depend on.
        parameters_m: published number of parameters in millions, less an ImageNet classifier that
            is not part of the network here; None where none was published.
        gmacs: published multiply-adds of one forward pass at its declared input, in 10^9.
        figures: where the two come from.
        auxiliary: prefixes of the parameters that no score depends on: what only a loss of its own
            trains, such as a decoder.
    """

    name: str
    config: BaseModel
    input: InputSpec
    summary: str
    paper: str
    pretrained: bool = False
    build: Callable[..., nn.Module] = AIRL
    views: tuple[View, ...] = ("rgb", "native")
    parameters_m: float | None = None
    gmacs: float | None = None
    figures: str = ""
    auxiliary: tuple[str, ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether nothing before its head is learned."""
        return isinstance(self.build, type) and issubclass(self.build, StatisticsNet)

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
_LITE = InputSpec(native_size=192, native_limit=1.35, mean=(0.5,) * 3, std=(0.5,) * 3)
_TRACES = InputSpec(native_size=224, native_limit=1.4)


def _resized(side: int, mean: float = 0.5, std: float = 0.5) -> InputSpec:
    """The whole crop at `side` pixels, all channels normalised alike."""
    return InputSpec(
        native_size=256, native_limit=None, rgb_size=side, mean=(mean,) * 3, std=(std,) * 3
    )


_AIRL = (
    ModelSpec("airl_b4", AIRLConfig(), _B4, "the paper's network", _PAPER, pretrained=True),
    ModelSpec(
        "airl_b4_rgb",
        AIRLConfig(frequency=None),
        _B4,
        "RGB-only ablation of the paper's network: EfficientNet-B4",
        _PAPER,
        pretrained=True,
        views=("rgb",),
    ),
    ModelSpec(
        "airl_frequency",
        AIRLConfig(rgb=None),
        _B4,
        "frequency-only ablation of the paper's network",
        _PAPER,
        views=("native",),
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
        "airl_lite0",
        AIRLConfig(rgb="tf_efficientnet_lite0", frequency="channels", fusion="gated"),
        _LITE,
        "AIRL for a laptop: EfficientNet-Lite0 on the native window, DCT coefficients as channels, "
        "a learned gate",
        _PAPER,
        pretrained=True,
    ),
    ModelSpec(
        "airl_small",
        AIRLConfig(rgb="shallow16", frequency="channels", fusion="gated"),
        _TRACES,
        "AIRL for training from scratch: shallow full-resolution RGB stream, DCT coefficients as "
        "channels, a learned gate; the best of the ablations",
        _PAPER,
    ),
    ModelSpec(
        "airl_small_rgb",
        AIRLConfig(rgb="shallow16", frequency=None),
        _TRACES,
        "RGB-only ablation of airl_small",
        _PAPER,
        views=("rgb",),
    ),
    ModelSpec(
        "airl_small_frequency",
        AIRLConfig(rgb=None, frequency="channels"),
        _TRACES,
        "frequency-only ablation of airl_small",
        _PAPER,
        views=("native",),
    ),
)

_B4_CLASSIFIER = ModelSpec(
    "efficientnet_b4",
    ClassifierConfig(backbone="efficientnet_b4", dropout=0.4),
    _B4,
    "EfficientNet-B4 and a linear layer",
    "Tan & Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks",
    pretrained=True,
    build=Classifier,
    views=("rgb",),
    parameters_m=17.55,
    figures="torchvision's table (19,341,616) less the 1000-class layer",
)

_F3NET = ModelSpec(
    "f3net",
    F3NetConfig(),
    _resized(299),
    "F3-Net: two Xceptions on DCT bands (FAD) and local band strengths (LFS), with MixBlocks",
    "Qian et al. 2020, Thinking in frequency: face forgery detection by mining frequency-aware "
    "clues",
    pretrained=True,
    build=F3Net,
    views=("rgb",),
)

_MESO4 = ModelSpec(
    "meso4",
    MesoNetConfig(),
    _resized(256, mean=0.0, std=1.0),
    "Meso4: four convolutions, from scratch",
    "Afchar et al. 2018, MesoNet: a compact facial video forgery detection network",
    build=MesoNet,
    views=("rgb",),
    parameters_m=0.027977,
    figures="the paper",
)

_RICH = ModelSpec(
    "rich",
    RichConfig(),
    _TRACES,
    "rich residual statistics of the inner face and its surroundings, with AIRL's fused head",
    "Fridrich & Kodovsky 2012, Rich models for steganalysis of digital images",
    build=RichNet,
    views=("native",),
)

_PROBE = ModelSpec(
    "probe",
    ProbeConfig(),
    _TRACES,
    "lean baseline: what a frozen EfficientNet-Lite0 sees at every depth, with AIRL's fused head",
    "after Ojha et al. 2023, Towards universal fake image detectors that generalize across "
    "generative models; Gram matrices after Liu et al. 2020, Global texture enhancement for fake "
    "face detection in the wild",
    pretrained=True,
    build=ProbeNet,
    views=("native",),
)

_RIVALS = (
    ModelSpec(
        "xception",
        ClassifierConfig(backbone=XCEPTION),
        _resized(299),
        "Xception and a linear layer",
        "Chollet 2017, Xception: deep learning with depthwise separable convolutions; as a "
        "detector Roessler et al. 2019, FaceForensics++",
        pretrained=True,
        build=Classifier,
        views=("rgb",),
        parameters_m=20.81,
        gmacs=8.40,
        figures="the paper, table 3 (22,855,952) less the 1000-class layer; timm's table at 299 px",
    ),
    _MESO4,
    replace(
        _MESO4,
        name="mesoinception4",
        config=MesoNetConfig(inception=True),
        summary="MesoInception4: Meso4 with two inception blocks of dilated convolutions",
        parameters_m=0.028615,
    ),
    _F3NET,
    replace(
        _F3NET,
        name="f3net_fad",
        config=F3NetConfig(streams="fad"),
        summary="ablation of F3-Net: frequency-aware decomposition only",
    ),
    replace(
        _F3NET,
        name="f3net_lfs",
        config=F3NetConfig(streams="lfs"),
        summary="ablation of F3-Net: local frequency statistics only",
    ),
    ModelSpec(
        "srm",
        SRMConfig(),
        _resized(256),
        "two Xceptions on RGB and on high-pass residuals, each attending to the other",
        "Luo et al. 2021, Generalizing face forgery detection with high-frequency features",
        pretrained=True,
        build=SRMNet,
        views=("rgb",),
    ),
    _B4_CLASSIFIER,
    replace(
        _B4_CLASSIFIER,
        name="sbi",
        input=_B4.model_copy(update={"rgb_size": 380}),
        summary="EfficientNet-B4 at 380 px, for training on self-blended images",
        paper="Shiohara & Yamasaki 2022, Detecting deepfakes with self-blended images",
        gmacs=4.39,
        figures=f"{_B4_CLASSIFIER.figures}; its multiply-adds at 380 px",
    ),
)

_LEAN = (
    ModelSpec(
        "residual",
        ResidualConfig(),
        _TRACES,
        "lean baseline: a small residual network on x - up(down(x))",
        "after Tan et al. 2024, Rethinking the up-sampling operations in CNN-based generative "
        "network for generalizable deepfake detection",
        build=ResidualNet,
        views=("native",),
    ),
    _RICH,
    replace(
        _RICH,
        name="rich_linear",
        config=RichConfig(fused=None, dropout=0.0),
        summary="lean baseline: rich residual statistics and a linear classifier",
    ),
    _PROBE,
    replace(
        _PROBE,
        name="probe_rich",
        config=ProbeConfig(rich=True),
        summary="a frozen EfficientNet-Lite0 and rich residual statistics, with AIRL's fused head",
    ),
)

_LAE = ModelSpec(
    "lae",
    LAEConfig(),
    _resized(256),
    "LAE: autoencoder with a split latent, whose map few masks draw to the forgery",
    "Du et al. 2020, Towards generalizable deepfake detection with locality-aware autoencoder",
    build=LAE,
    views=("rgb",),
    auxiliary=("decoder.",),
)

_TRACE = ModelSpec(
    "trace",
    TraceConfig(),
    _TRACES,
    "shallow network on residuals at native resolution, pooled over the face or by region",
    "ours, for the default model; residuals after Tan et al. 2024 and Fridrich & Kodovsky 2012",
    build=TraceNet,
    views=("native",),
)


def _ensemble(
    config: EnsembleConfig, *, pretrained: bool = False, backbone_weights: Path | None = None
) -> Ensemble:
    if pretrained or backbone_weights is not None:
        raise ConfigError(
            "An ensemble has no backbone of its own.",
            "Train its members, and put them together with `unmask fuse`.",
        )
    members: list[nn.Module] = []
    for one in config.members:
        owner = None if one.statistics_of is None else members[one.statistics_of]
        members.append(_member(one, owner))
    return Ensemble(config, members)


def _member(member: MemberConfig, owner: nn.Module | None) -> nn.Module:
    """A network with random weights; without a frozen one of its own where `owner` has it."""
    spec = model_spec(member.architecture)
    config = type(spec.config).model_validate({**spec.config.model_dump(), **member.config})
    if isinstance(config, ProbeConfig) and isinstance(owner, ProbeNet):
        return ProbeNet(config, statistics=owner.statistics)
    return spec.create(config=config)


_ENSEMBLE = ModelSpec(
    ENSEMBLE,
    EnsembleConfig(),
    _LITE,
    "several networks on the same pictures, a weighted sum of their logits; made by `unmask fuse`",
    "Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using "
    "deep ensembles",
    build=_ensemble,
    auxiliary=("members.1.projection.",),
)

_SPECS = (*_AIRL, *_RIVALS, *_LEAN, _TRACE, _LAE, _ENSEMBLE)

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
