"""The one path from a face crop's pixels to a network's input, for training and scanning alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.errors import ShapeError
from unmask.types import UInt8Image, check_rgb

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputSpec(BaseModel):
    """What a network takes, as data beside the network.

    Attributes:
        native_size: side in pixels of the window cut from the crop at native resolution, never
            interpolated: what the DCT sees, and the RGB stream too unless `rgb_size` is set.
        native_limit: a crop with a side over `native_limit * native_size` is first reduced to that
            by area averaging, so that the window still holds the face; None never reduces.
        rgb_size: side to which the whole crop is resized for the RGB stream; None gives the RGB
            stream the native window.
        mean, std: per channel, of RGB in [0, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    native_size: int = Field(192, ge=32, le=1024)
    native_limit: float | None = Field(1.35, ge=1.0)
    rgb_size: int | None = Field(None, ge=32, le=1024)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)

    @model_validator(mode="after")
    def _std_positive(self) -> InputSpec:
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive; got {self.std}")
        return self


class Views(dict[str, UInt8Image]):
    """`native` (n, n, 3) and, where the network asks for it, `rgb` (s, s, 3); both uint8 RGB.

    Training adds, where a loss asks for it, `mask` (s, s): see `mask_view`.
    """


def to_views(
    crop: UInt8Image,
    spec: InputSpec,
    *,
    offset: tuple[float, float] = (0.5, 0.5),
    aligned: bool = False,
) -> Views:
    """Cut one face crop into the windows a network takes.

    Args:
        crop: (S, S, 3) uint8 RGB, any S.
        spec: the network's input contract.
        offset: (x, y) in [0, 1], where the native window lies in the crop; the centre when
            scanning, random in training.
        aligned: the window begins at a multiple of 8 pixels, as the crop's own blocks do.

    Returns:
        `Views`. A crop smaller than the window is mirrored outwards on the right and bottom, so
        that its own pixels and their 8x8 grid stay as they are.
    """
    check_rgb(crop, "to_views' crop")
    views = Views()
    if spec.rgb_size is not None:
        views["rgb"] = _resized(crop, spec.rgb_size)
    views["native"] = _window(crop, spec, offset, aligned)
    return views


def mask_view(
    mask: NDArray[np.uint8],
    spec: InputSpec,
    *,
    offset: tuple[float, float] = (0.5, 0.5),
    aligned: bool = False,
) -> NDArray[np.uint8]:
    """Cut a crop's mask into the view that the RGB stream has of the crop.

    It takes the path of the picture's own pixels in `to_views`: the whole crop resized to
    `rgb_size` or, without one, the native window, mirrored outwards where the crop is too small.

    Args:
        mask: (S, S) uint8, how much of each pixel is manipulated: 0 nothing, 255 all of it.
        spec, offset, aligned: as given to `to_views` for the crop, whose size the mask has.

    Returns:
        (s, s) uint8 of the same meaning, over `to_views`' `rgb`, or else its `native`.

    Raises:
        ShapeError: not (H, W) uint8.

    >>> half = np.repeat(np.array([[0, 255]], np.uint8), 64, axis=0).repeat(32, axis=1)
    >>> mask_view(half, InputSpec(rgb_size=32))[0, [0, 15, 16, 31]].tolist()
    [0, 0, 255, 255]
    """
    if mask.ndim != 2 or mask.dtype != np.uint8 or 0 in mask.shape:
        raise ShapeError(
            f"mask_view's mask must be (H, W) uint8 with H, W > 0; got {mask.shape} {mask.dtype}."
        )
    if spec.rgb_size is not None:
        return _resized(mask, spec.rgb_size)
    return _window(mask, spec, offset, aligned)


def _window(
    crop: NDArray[np.uint8], spec: InputSpec, offset: tuple[float, float], aligned: bool
) -> NDArray[np.uint8]:
    """The native window of a picture, (H, W, 3), or of its mask, (H, W)."""
    size, shorter = spec.native_size, min(crop.shape[:2])
    if (reduced := _reduced_side(shorter, spec)) < shorter:
        width, height = (round(s * reduced / shorter) for s in crop.shape[1::-1])
        crop = np.asarray(cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA))
    below, right = (max(0, size - side) for side in crop.shape[:2])
    if below or right:
        crop = np.asarray(cv2.copyMakeBorder(crop, 0, below, 0, right, cv2.BORDER_REFLECT))
    x = round((crop.shape[1] - size) * offset[0])
    y = round((crop.shape[0] - size) * offset[1])
    if aligned:
        x, y = x - x % 8, y - y % 8
    return np.ascontiguousarray(crop[y : y + size, x : x + size])


def window_in_crop(side: int, spec: InputSpec) -> tuple[float, float, float, float]:
    """Where the centred native window lies in a crop of `side` pixels: xyxy in the crop's pixels.

    Reaches beyond the crop where the crop is smaller than the window.
    """
    reduced = _reduced_side(side, spec)
    start = round((max(reduced, spec.native_size) - spec.native_size) * 0.5)
    low, high = (v * side / reduced for v in (start, start + spec.native_size))
    return low, low, high, high


def _reduced_side(side: int, spec: InputSpec) -> int:
    """Side to which a crop is reduced before the window is cut; `side` itself if it is not."""
    if spec.native_limit is None or side <= spec.native_limit * spec.native_size:
        return side
    return max(spec.native_size, round(spec.native_limit * spec.native_size))


def _resized(crop: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    shrinking = min(crop.shape[:2]) > size
    kernel = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (size, size), interpolation=kernel))


def to_tensors(views: Sequence[Views], spec: InputSpec) -> dict[str, Tensor]:
    """Stack the views of several crops into a batch.

    Returns:
        `native`: (N, 3, n, n) float32 RGB in [0, 255], for the DCT; `rgb`: (N, 3, s, s) float32,
        normalised by the spec's mean and std, from the `rgb` view or else from `native`.

    Raises:
        ShapeError: no views, or views of different sizes.
    """
    if not views:
        raise ShapeError("to_tensors needs at least one crop's views.")
    native = _stack([v["native"] for v in views])
    pixels = native if spec.rgb_size is None else _stack([v["rgb"] for v in views])
    return {"native": native, "rgb": normalise(pixels, spec)}


def normalise(pixels: Tensor, spec: InputSpec) -> Tensor:
    """(N, 3, H, W) RGB in [0, 255] -> (x / 255 - mean) / std, in one pass over the pixels."""
    mean = pixels.new_tensor(spec.mean).view(1, 3, 1, 1)
    std = pixels.new_tensor(spec.std).view(1, 3, 1, 1)
    return (-mean / std).addcmul(pixels, 1 / (255 * std))


def _stack(images: Sequence[UInt8Image]) -> Tensor:
    import torch

    if len({image.shape for image in images}) != 1:
        raise ShapeError(f"Views differ in size: {sorted({i.shape for i in images})}.")
    batch = torch.from_numpy(np.stack(images))
    return batch.permute(0, 3, 1, 2).float()
