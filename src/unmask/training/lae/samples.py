"""Sample grids: what goes in, what is rebuilt, where the map lies, and the mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unmask.data.annotation.masks import Mask
from unmask.data.atomic import replacing
from unmask.errors import ConfigError
from unmask.models.lae import LAE
from unmask.training.module import evaluating
from unmask.transforms.preprocess import InputSpec, normalise
from unmask.types import UInt8Image

COLUMNS = ("input", "reconstruction", "map", "mask")
GAP = 2


def maps_of(model: LAE, rgb: Tensor, *, raw: bool = False) -> NDArray[np.float32]:
    """Interpretation maps, upsampled to the picture as the attention loss does it.

    Args:
        model: in eval mode.
        rgb: (N, 3, s, s), normalised.
        raw: leave the map as it is, instead of normalising it as configured.

    Returns:
        (N, s, s) float32 >= 0.
    """
    with torch.inference_mode():
        found = model.encode(rgb, normalisation="none" if raw else None).map
        laid = F.interpolate(
            found[:, None].float(), size=rgb.shape[2:], mode="bilinear", align_corners=False
        )
    return np.asarray(laid[:, 0].cpu().numpy())


def sample_grid(
    model: LAE, spec: InputSpec, pictures: NDArray[np.uint8], masks: Sequence[Mask | None]
) -> UInt8Image:
    """One row per picture, its columns `COLUMNS`.

    A map is shown as a share of its own maximum, so a weak one looks as strong as any other. A
    picture without a mask has a grey tile in its place.

    Args:
        model: on any device; its mode is left as it was.
        spec: its input.
        pictures: (N, s, s, 3) uint8 RGB, N >= 1.
        masks: of each, (s, s) bool or None.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    device = next(model.parameters()).device
    pixels = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float()
    rgb = normalise(pixels, spec).to(device)
    with evaluating(model), torch.inference_mode():
        rebuilt = model.reconstruct(rgb).reconstruction
        heat = maps_of(model, rgb, raw=True)
    assert rebuilt is not None
    again = ((rebuilt.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    rows = []
    for picture, made, where, mask in zip(pictures, again, heat, masks, strict=True):
        white = np.full(picture.shape, 128, np.uint8)
        if mask is not None:
            white = np.where(mask[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=2)
        rows.append(_joined([picture, made, _coloured(where), white], axis=1))
    return _joined(rows, axis=0)


def _coloured(heat: NDArray[np.float32]) -> UInt8Image:
    scaled = np.rint(heat / max(float(heat.max()), 1e-6) * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(np.asarray(coloured, np.uint8)[..., ::-1])


def _joined(parts: Sequence[UInt8Image], axis: int) -> UInt8Image:
    """The parts in a row or column, with a white gap between."""
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    spaced = [piece for part in parts for piece in (gap, part)][1:]
    return np.concatenate(spaced, axis=axis)


def write_picture(path: Path, image: UInt8Image, *, quality: int | None = None) -> None:
    """Write a picture, whole or not at all: PNG, or with a quality JPEG.

    Raises:
        ConfigError: the name ends otherwise than the format asks for.
    """
    suffix = ".png" if quality is None else ".jpg"
    if path.suffix != suffix:
        raise ConfigError(f"{path} must end in {suffix}.")
    options = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]), options)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(data.tobytes())
