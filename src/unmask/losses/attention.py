"""The loss that draws an interpretation map to the mask of the forged pixels."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.errors import ConfigError, ShapeError

AttentionScale = Literal["none", "area"]


def attention(
    maps: Tensor,
    masks: Tensor,
    has_mask: Tensor,
    *,
    labels: Tensor | None = None,
    quiet_reals: bool = False,
    normalisation: AttentionScale = "none",
) -> Tensor:
    """Squared error between the maps, upsampled to the masks, and the masks.

    For the images I that have a mask G of H x W pixels, with U the bilinear upsampling,

        L = 1/|I| sum_{i in I} 1/(H W) sum_{x,y} (U(M_i) - G_i)^2

    which is the attention loss of the locality-aware autoencoder (Du et al. 2020, "Towards
    generalizable deepfake detection with locality-aware autoencoder"). The other images take no
    part, so the loss does not shrink with the share of masks in a batch.

    Args:
        maps: (N, h, w) float >= 0, of any network: `LAEOutput.map`, or a class activation map.
            How the map was scaled matters here: see `models.lae.normalise_map`.
        masks: (N, H, W) bool or float in [0, 1], 1 = manipulated; any value where there is none.
        has_mask: (N,) bool.
        labels: (N,) 0 real, 1 fake; only for `quiet_reals`.
        quiet_reals: every real counts as an image whose mask is zero everywhere, whatever
            `has_mask` and `masks` hold for it, so that its map is drawn to zero.
        normalisation: `none` compares the map as it is; `area` first scales each upsampled map to
            the sum of its mask, so that only where it lies counts, not how strong it is. A map is
            left as it is beside an empty mask, and where it has no energy to scale.

    Returns:
        Scalar float >= 0, float64 of float64 maps, else float32; zero, with zero gradient, when
        no image has a mask.

    Raises:
        ShapeError: shapes do not fit.
        ConfigError: unknown `normalisation`, or `quiet_reals` without labels.

    >>> mask = torch.tensor([[[True, False], [False, False]]])
    >>> float(attention(torch.full((1, 1, 1), 0.5), mask, torch.tensor([True])))
    0.25
    """
    _check(maps, masks, has_mask, labels)
    if normalisation not in get_args(AttentionScale):
        raise ConfigError(
            f"normalisation must be one of {get_args(AttentionScale)}; got {normalisation!r}."
        )
    precise = maps.to(torch.promote_types(maps.dtype, torch.float32))
    target = masks.to(precise.dtype)
    counted = has_mask.bool()
    if quiet_reals:
        if labels is None:
            raise ConfigError("quiet_reals needs to know which images are real: give labels.")
        real = labels == 0
        counted = counted | real
        target = target.masked_fill(real[:, None, None], 0.0)
    if not counted.any():
        return precise.sum() * 0.0
    precise, target = precise[counted], target[counted]
    laid = F.interpolate(
        precise[:, None], size=masks.shape[1:], mode="bilinear", align_corners=False
    )[:, 0]
    if normalisation == "area":
        laid = _to_area(laid, target)
    return (laid - target).square().mean()


def _to_area(laid: Tensor, target: Tensor) -> Tensor:
    """Each map scaled to the sum of its target, where both have one."""
    energy, area = (t.sum((1, 2), keepdim=True) for t in (laid, target))
    scaled = (area > 0) & (energy > 1e-6)
    return laid * torch.where(scaled, area / energy.clamp_min(1e-6), torch.ones_like(area))


def _check(maps: Tensor, masks: Tensor, has_mask: Tensor, labels: Tensor | None) -> None:
    if maps.ndim != 3 or masks.ndim != 3 or len(maps) != len(masks):
        raise ShapeError(
            f"attention needs maps (N, h, w) and masks (N, H, W); got {tuple(maps.shape)} and "
            f"{tuple(masks.shape)}."
        )
    for name, given in (("has_mask", has_mask), ("labels", labels)):
        if given is not None and given.shape != maps.shape[:1]:
            raise ShapeError(f"attention needs {name} ({len(maps)},); got {tuple(given.shape)}.")
