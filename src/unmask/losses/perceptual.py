"""Distance of two pictures in the features of VGG16."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import skip_init

from unmask.errors import CheckpointError, ConfigError, ShapeError

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions (Simonyan & Zisserman 2015, configuration D) by stage."""

LAYERS = {
    f"relu{stage}_{place}"
    for stage, widths in enumerate(STAGES, start=1)
    for place, _ in enumerate(widths, start=1)
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What VGG16's weights expect of RGB in [0, 1]."""


class PerceptualLoss(nn.Module):
    """Feature reconstruction loss, Johnson et al. 2016, "Perceptual losses for real-time style
    transfer and super-resolution", eq. 2:

        L = sum_j 1/(C_j H_j W_j) ||phi_j(picture) - phi_j(reconstruction)||^2

    over the layers j, averaged over the batch. Weights are frozen and He-initialised (He et al.
    2015, eq. 10) from `seed` until others are loaded; `build_perceptual` does that.

    Args:
        layers: names of `LAYERS`; the paper takes relu2_2 for super-resolution. Deeper ones cost
            more: VGG16 is by far the dearest part of a training step.
        seed: of the random weights; the global random state is left alone.

    Raises:
        ConfigError: no layers, or unknown ones.

    Shape:
        two pictures (N, 3, H, W), RGB in [-1, 1], -> scalar >= 0. Sides must survive the poolings
        before the deepest layer: 16 pixels do for all.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[str] = ("relu2_2",), *, seed: int = 0) -> None:
        super().__init__()
        if not layers or not set(layers) <= LAYERS:
            raise ConfigError(
                f"The perceptual loss cannot use the layers {list(layers)}.",
                f"Choose from: {', '.join(sorted(LAYERS))}.",
            )
        self.layers = tuple(layers)
        self.features, self.taps = _features(set(layers))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        generator = torch.Generator().manual_seed(seed)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(cast(Tensor, layer.bias))
        self.requires_grad_(False)

    def forward(self, picture: Tensor, reconstruction: Tensor) -> Tensor:
        if picture.ndim != 4 or picture.shape[1] != 3 or picture.shape != reconstruction.shape:
            raise ShapeError(
                f"The perceptual loss needs two pictures (N, 3, H, W) alike; got "
                f"{tuple(picture.shape)} and {tuple(reconstruction.shape)}."
            )
        both = (torch.cat([picture, reconstruction]) * 0.5 + 0.5 - self.mean) / self.std
        total = both.new_zeros((), dtype=torch.promote_types(both.dtype, torch.float32))
        for index, layer in enumerate(self.features):
            both = layer(both)
            if index in self.taps:
                one, two = both.to(total.dtype).chunk(2)
                total = total + (one - two).square().mean()
        return total

    def load(self, state: dict[str, Tensor], origin: str) -> None:
        """Take VGG16's weights, named `features.N.weight` as torchvision and timm do.

        Raises:
            CheckpointError: a tensor is missing or has another shape; `origin` is named.
        """
        wanted = {f"features.{name}": t for name, t in self.features.state_dict().items()}
        unfit = [n for n, t in wanted.items() if n not in state or state[n].shape != t.shape]
        if unfit:
            raise CheckpointError(
                f"{origin} is not VGG16 without batch normalisation: {len(unfit)} tensors are "
                f"missing or of another shape ({', '.join(unfit[:3])}).",
                "Give the weights of torchvision's or timm's vgg16 as .safetensors.",
            )
        self.features.load_state_dict(
            {name.removeprefix("features."): state[name] for name in wanted}
        )


def build_perceptual(
    weights: Literal["hub", "random", "none"] | Path = "hub",
    *,
    layers: Sequence[str] = ("relu2_2",),
    seed: int = 0,
) -> PerceptualLoss | None:
    """The perceptual loss with the weights that can be had.

    Args:
        weights: `hub` fetches ImageNet weights (half a gigabyte); a path is a .safetensors file
            with them; `random` keeps the random features, which still compare more than single
            pixels; `none` leaves the loss out.
        layers, seed: of `PerceptualLoss`.

    Returns:
        The loss, or None for `none`.

    Raises:
        ConfigError: unknown layers or `weights`, or the hub cannot be reached; the message names
            what else can be done.
        CheckpointError: no such file, or not VGG16's weights.
    """
    if weights == "none":
        return None
    loss = PerceptualLoss(layers, seed=seed)
    if isinstance(weights, Path):
        loss.load(_read(weights), str(weights))
    elif weights == "hub":
        loss.load(_fetch(), "The hub's vgg16")
    elif weights != "random":
        raise ConfigError(
            f"VGG16 weights cannot be {weights!r}.",
            "Give hub, random, none, or the path of a .safetensors file.",
        )
    return loss


def _features(wanted: set[str]) -> tuple[nn.Sequential, frozenset[int]]:
    """VGG16 up to the deepest wanted layer, numbered as torchvision does; where to read it."""
    layers: list[nn.Module] = []
    taps: set[int] = set()
    inputs = 3
    for stage, widths in enumerate(STAGES, start=1):
        for place, width in enumerate(widths, start=1):
            # skip_init: the weights are drawn from a generator of their own
            convolution = skip_init(nn.Conv2d, inputs, width, 3, padding=1)  # type: ignore[no-untyped-call]
            layers += [convolution, nn.ReLU()]
            inputs = width
            if f"relu{stage}_{place}" in wanted:
                taps.add(len(layers) - 1)
            if len(taps) == len(wanted):
                return nn.Sequential(*layers), frozenset(taps)
        layers.append(nn.MaxPool2d(2))
    raise AssertionError("unreachable: every layer's name is checked before")


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"There is no file {path} with VGG16's weights.")
    try:
        state: dict[str, Tensor] = load_file(path)
    except Exception as error:
        raise CheckpointError(
            f"{path} is not a safetensors file: {error}",
            "Pickled .pt/.pth files are not read, because they can run code; convert them first.",
        ) from error
    return state


def _fetch() -> dict[str, Tensor]:
    import timm

    try:
        model = timm.create_model("vgg16", pretrained=True, num_classes=0)
    except Exception as error:  # the hub client raises many kinds
        raise ConfigError(
            f"VGG16's ImageNet weights could not be fetched: {type(error).__name__}: {error}",
            "For the perceptual loss give a .safetensors file with them, or `random` for random "
            "features, or `none` to train without it.",
        ) from error
    state: dict[str, Tensor] = model.state_dict()
    return state
