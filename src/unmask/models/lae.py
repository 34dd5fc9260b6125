"""LAE: Du et al. 2020, "Towards generalizable deepfake detection with locality-aware autoencoder".

An encoder, a latent whose first half belongs to real and whose second half to forged faces, and a
decoder without skips that has to rebuild the face from that latent. The same weights that make
the latent say where each of its units comes from, and masks of a few pictures can draw that map to
the forgery (`losses.attention`).

The latent is spatial, as in ForensicTransfer (Cozzolino et al. 2018), which splits the channels of
the last convolution: a 1x1 convolution without bias turns the encoder's last maps f_k (h x w) into
latent maps

    M_c(x, y) = sum_k w_k^c f_k(x, y)

and a latent unit is their mean, z_c = mean_xy M_c. Pooling and weighting commute, so M_c is exactly
the class activation map of z_c (Zhou et al. 2016, eqs. 1 and 2), with no share that it leaves out.
The interpretation map is ReLU(mean_c |z_c| M_c): the mean, where the paper sums over c, so that an
activation near 1 gives a map in the range of a mask also where the map is not normalised.
With `latent_sign: positive` the latent maps go through a softplus, M_c = log(1 + exp(sum_k w_k^c
f_k)), before anything else is made of them. Without it a unit may satisfy the latent loss, which
asks for |z_c|, with a negative M_c, which the rectified map cannot show.
The decoder takes the latent maps: from the K means alone no 256 px face can be rebuilt, and the
encoder's maps f_k would be a way around the latent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import Tensor, nn

from unmask.errors import ShapeError
from unmask.models.backbones import global_pool, refuse_backbone_weights
from unmask.models.output import ModelOutput
from unmask.models.trace import Residual, TraceConfig, TraceViews

MapNormalisation = Literal["none", "max", "minmax", "sum"]
_EMPTY = 1e-6
"""A map weaker than this is not blown up to full strength."""


class LAEConfig(BaseModel):
    """Sizes and variants.

    Attributes:
        size: side of the picture in pixels; halved once less than there are `channels`.
        channels: of the encoder's levels; the last are f_k.
        latent: K units, the first half of which is true's, the second fake's.
        residuals: maps of `models.trace.TraceViews` that the encoder sees beside the picture, none
            as in the paper: from scratch, few pictures do not teach it a front end of its own. The
            decoder rebuilds the picture alone.
        latent_sign: latent maps of any sign (`free`), or above zero (`positive`, by a softplus).
        map: the interpretation map takes all units, or only the fake half.
        map_weight: a unit's map counts by its `magnitude` |z_c|, as in the paper, or by its value
            z_c (`signed`). A unit below zero takes away from the former and adds to the latter,
            whose mean before it is rectified is that of z_c^2. So the former can be zero all over,
            and then has no gradient that could bring it back; the latter never is, but cannot be
            confined to a small mask either unless it is normalised.
        map_normalisation: see `normalise_map`.
        decode: the decoder sees both halves, or the half of the picture's class alone (`selected`,
            as in ForensicTransfer), so that the other half cannot carry anything.
        logit_scale: of a_fake - a_true; both lie near 0 or 1 after training, so 4 spans
            probabilities from .02 to .98.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(256, ge=16, multiple_of=16)
    channels: tuple[PositiveInt, ...] = Field((8, 16, 32, 64, 128), min_length=2)
    latent: int = Field(128, ge=2, multiple_of=2)
    residuals: tuple[Residual, ...] = ()
    latent_sign: Literal["free", "positive"] = "free"
    map: Literal["both", "fake_half"] = "both"
    map_weight: Literal["magnitude", "signed"] = "magnitude"
    map_normalisation: MapNormalisation = "max"
    decode: Literal["both", "selected"] = "both"
    logit_scale: float = Field(4.0, gt=0)

    @model_validator(mode="after")
    def _halves_evenly(self) -> LAEConfig:
        stride = 2 ** (len(self.channels) - 1)
        if self.size % stride:
            raise ValueError(
                f"size must be a multiple of {stride} with {len(self.channels)} levels of "
                f"channels; got {self.size}"
            )
        return self


class LAEOutput(NamedTuple):
    """What the network makes of N pictures.

    Attributes:
        latent: (N, K) float32, z.
        activations: (N, 2) float32 >= 0, a_true and a_fake: mean |z_c| of each half.
        map: (N, h, w) float32 >= 0, the interpretation map at the last convolution's resolution.
        reconstruction: (N, 3, s, s) RGB in [-1, 1], or None where it was not asked for.
    """

    latent: Tensor
    activations: Tensor
    map: Tensor
    reconstruction: Tensor | None


def normalise_map(maps: Tensor, how: MapNormalisation) -> Tensor:
    """Scale maps (N, h, w) >= 0, each by itself.

    Args:
        maps: any float.
        how: `none`; `max` divides by the maximum; `minmax` also takes the minimum to 0; `sum`
            divides by the sum. All but `none` make a weak map as strong as any other, so whether
            the map of a real face is quiet can only be seen with `none`.

    Returns:
        The same shape; a map without any energy (or, for `minmax`, contrast) stays as flat as it
        is.
    """
    if how == "none":
        return maps
    if how == "sum":
        return maps / maps.sum((1, 2), keepdim=True).clamp_min(_EMPTY)
    if how == "minmax":
        maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(_EMPTY)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def _encoder(inputs: int, channels: tuple[int, ...]) -> nn.Sequential:
    """Two 3x3 convolutions a level; the second halves the map, but for the last level's."""
    layers: list[nn.Module] = []
    ends = zip((inputs, *channels), channels, strict=False)
    for level, (inputs, outputs) in enumerate(ends, start=1):
        layers += _convolution(inputs, outputs)
        layers += _convolution(outputs, outputs, 1 if level == len(channels) else 2)
    return nn.Sequential(*layers)


def _decoder(latent: int, channels: tuple[int, ...]) -> nn.Sequential:
    """The way back: nearest-neighbour doubling and a 3x3 convolution a level, then RGB."""
    layers = _convolution(latent, channels[-1])
    for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True):
        layers += [nn.Upsample(scale_factor=2), *_convolution(inputs, outputs)]
    return nn.Sequential(*layers, nn.Conv2d(channels[0], 3, 3, padding=1), nn.Tanh())


class LAE(nn.Module):
    """The network.

    Args:
        config: see `LAEConfig`.
        pretrained, backbone_weights: refused; it is trained from scratch.

    Raises:
        ConfigError: backbone weights are asked for.

    Shape:
        `rgb` (N, 3, s, s) RGB in [-1, 1], s the configured size, -> `ModelOutput` with the unit
        length latent as embedding; `native` is ignored. The logit is logit_scale times
        a_fake - a_true, so at 0 the larger half wins. The decoder plays no part in it.
    """

    def __init__(
        self,
        config: LAEConfig | None = None,
        *,
        pretrained: bool = False,
        backbone_weights: Path | None = None,
    ) -> None:
        super().__init__()
        refuse_backbone_weights(pretrained, backbone_weights)
        self.config = config = config or LAEConfig()
        self.views = None
        if config.residuals:
            self.views = TraceViews(TraceConfig(residuals=config.residuals))
        self.encoder = _encoder(3 + (self.views.channels if self.views else 0), config.channels)
        self.latent = nn.Conv2d(config.channels[-1], config.latent, 1, bias=False)
        self.decoder = _decoder(config.latent, config.channels)
        # activations begin near the middle between the two that the latent loss asks for
        nn.init.kaiming_normal_(self.latent.weight, nonlinearity="relu")

    def encode(self, rgb: Tensor, *, normalisation: MapNormalisation | None = None) -> LAEOutput:
        """Latent, activations and map of `rgb`, without a reconstruction.

        Args:
            rgb: as for the network.
            normalisation: of the map, instead of the configured one.

        Raises:
            ShapeError: another size.
        """
        return self._encoded(self.latent_maps(rgb), normalisation)

    def reconstruct(
        self,
        rgb: Tensor,
        labels: Tensor | None = None,
        *,
        normalisation: MapNormalisation | None = None,
    ) -> LAEOutput:
        """What `encode` gives, and the picture rebuilt from the latent maps.

        Args:
            rgb, normalisation: as for `encode`.
            labels: (N,) 0 real, 1 fake; which half a decoder of the `selected` half gets. Without
                them it gets the half with the larger activation. Else not looked at.

        Raises:
            ShapeError: another size, or labels of another shape.
        """
        if labels is not None and labels.shape != rgb.shape[:1]:
            raise ShapeError(f"labels must be ({len(rgb)},); got {tuple(labels.shape)}.")
        maps = self.latent_maps(rgb)
        output = self._encoded(maps, normalisation)
        if self.config.decode == "selected":
            a_true, a_fake = output.activations.unbind(1)
            fake = a_fake >= a_true if labels is None else labels == 1
            maps = maps * self._halves(fake)
        return output._replace(reconstruction=self.decoder(maps).float())

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        output = self.encode(rgb)
        a_true, a_fake = output.activations.unbind(1)
        logit = self.config.logit_scale * (a_fake - a_true)
        return ModelOutput(logit, F.normalize(output.latent, dim=1))

    def attribution(self, rgb: Tensor) -> Tensor:
        """The interpretation map of one picture, not normalised: (1, 3, s, s) -> (h, w), >= 0."""
        with torch.no_grad():
            return self.encode(rgb, normalisation="none").map[0]

    def channel_activations(self, rgb: Tensor) -> Tensor:
        """(N, C) float32 mean of each of the last convolution's maps f_k, on which pictures are
        chosen for annotation."""
        return global_pool(self.encoder(self._seen(rgb)))

    @property
    def cam_layer(self) -> tuple[nn.Module, Literal["rgb", "native"]]:
        """The module that puts out f_k, and which input they lie over."""
        return self.encoder, "rgb"

    def latent_maps(self, rgb: Tensor) -> Tensor:
        """M_c: (N, K, h, w) float32, whose means over h and w are the latent.

        Raises:
            ShapeError: `rgb` is not (N, 3, s, s).
        """
        size = self.config.size
        if rgb.shape[1:] != (3, size, size):
            raise ShapeError(f"This LAE takes (N, 3, {size}, {size}); got {tuple(rgb.shape)}.")
        features = self.encoder(self._seen(rgb))
        with torch.autocast(device_type=rgb.device.type, enabled=False):
            maps: Tensor = self.latent(features.to(self.latent.weight.dtype))
            return F.softplus(maps) if self.config.latent_sign == "positive" else maps

    def _seen(self, rgb: Tensor) -> Tensor:
        """What the encoder sees: the picture, and its residuals behind it."""
        if self.views is None:
            return rgb
        return torch.cat([rgb, self.views((rgb.float() + 1) * 127.5)], dim=1)

    def _encoded(self, maps: Tensor, normalisation: MapNormalisation | None) -> LAEOutput:
        with torch.autocast(device_type=maps.device.type, enabled=False):
            latent = maps.mean((2, 3))
            activations = latent.abs().view(len(latent), 2, self.config.latent // 2).mean(2)
            heat = normalise_map(
                self._map(maps, latent), normalisation or self.config.map_normalisation
            )
        return LAEOutput(latent, activations, heat, None)

    def _map(self, maps: Tensor, latent: Tensor) -> Tensor:
        """ReLU(mean_c |z_c| M_c) over the configured units: (N, K, h, w), (N, K) -> (N, h, w)."""
        weights = latent if self.config.map_weight == "signed" else latent.abs()
        first = self.config.latent // 2 if self.config.map == "fake_half" else 0
        used = maps[:, first:]
        heat = torch.einsum("nc,nchw->nhw", weights[:, first:], used) / used.shape[1]
        return torch.relu(heat)

    def _halves(self, fake: Tensor) -> Tensor:
        """(N,) bool -> (N, K, 1, 1): 1 over the half of the class, 0 over the other."""
        kept = torch.stack([~fake, fake], dim=1).repeat_interleave(self.config.latent // 2, dim=1)
        return kept[:, :, None, None].to(self.latent.weight.dtype)
