"""Colour transfer: one face's colours given to another before they are blended."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis.blend import Mask
from unmask.types import UInt8Image, check_rgb

METHODS = ("reinhard", "histogram")
_GAIN = (0.6, 1.6)
"""Bounds of the change of contrast: a flat face must not blow another's noise up."""


def transfer(source: UInt8Image, target: UInt8Image, where: Mask, method: str) -> UInt8Image:
    """`source` in the colours that `target` has within `where`.

    Args:
        source: (H, W, 3) uint8 RGB.
        target: likewise, already aligned with `source`.
        where: (H, W) bool; both pictures are measured there. All of `source` is changed.
        method: one of `METHODS`.

    Raises:
        ShapeError: bad pictures, sizes that differ, or an empty `where`.
        ConfigError: unknown method.
    """
    check_rgb(source, "transfer's source")
    check_rgb(target, "transfer's target")
    if not source.shape[:2] == target.shape[:2] == where.shape:
        raise ShapeError(
            "transfer needs two pictures and a mask of one size; got "
            f"{source.shape}, {target.shape}, {where.shape}."
        )
    if not where.any():
        raise ShapeError("transfer has no pixel of the picture to measure colours on.")
    if method == "reinhard":
        return reinhard(source, target, where)
    if method == "histogram":
        return histogram(source, target, where)
    raise ConfigError(f"No colour transfer {method!r}.", f"Choose of: {', '.join(METHODS)}.")


def reinhard(source: UInt8Image, target: UInt8Image, where: Mask) -> UInt8Image:
    """Match mean and standard deviation of the three channels of CIE L*a*b*.

    Source: Reinhard, Ashikhmin, Gooch & Shirley, "Color Transfer between Images", IEEE Computer
    Graphics and Applications 21(5), 2001, with CIE L*a*b* in place of their l-alpha-beta, and the
    ratio of deviations kept within 0.6 to 1.6.
    """
    return _rgb(_matched(_lab(source), _lab(target), where))


def histogram(source: UInt8Image, target: UInt8Image, where: Mask) -> UInt8Image:
    """Match the cumulative histogram of L*, and mean and deviation of a* and b* as `reinhard`.

    Channel by channel in RGB, highlights and eyes of one face would take on the skin's colour
    casts of the other.
    """
    lab, wanted = _lab(source), _lab(target)
    out = _matched(lab, wanted, where)
    light, wanted_light = (np.rint(p[..., 0] * 2.55).astype(np.uint8) for p in (lab, wanted))
    levels = matching_levels(light[where], wanted_light[where])
    out[..., 0] = levels[light] / np.float32(2.55)
    return _rgb(out)


def matching_levels(values: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> NDArray[np.float32]:
    """For each of 256 levels, the one with the same share of `wanted` below it.

    Args:
        values: any shape, uint8, not empty.
        wanted: likewise; the sizes may differ.

    Returns:
        (256,) float32 in 0 to 255, not falling; `levels[values]` is distributed as `wanted`.
    """
    middle, _ = _middles(values)
    steps, seen = _middles(wanted)
    levels = np.interp(middle, steps[seen], np.flatnonzero(seen))
    return np.asarray(levels, np.float32)


def _middles(values: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The middle of each level's step in the cumulative histogram, and the levels that occur."""
    share = np.bincount(values.ravel(), minlength=256) / values.size
    return np.cumsum(share) - share / 2, share > 0


def _lab(image: UInt8Image) -> NDArray[np.float32]:
    """(H, W, 3) float32 CIE L*a*b*: L* in 0 to 100."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _rgb(lab: NDArray[np.float32]) -> UInt8Image:
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return np.asarray(np.rint(np.clip(rgb * 255, 0, 255)), np.uint8)


def _matched(
    lab: NDArray[np.float32], wanted: NDArray[np.float32], where: Mask
) -> NDArray[np.float32]:
    """`lab` with the channel means and, within `_GAIN`, deviations that `wanted` has in a mask."""
    inside = where.astype(np.uint8)
    mean, spread = (m[:, 0] for m in cv2.meanStdDev(lab, mask=inside))
    new_mean, new_spread = (m[:, 0] for m in cv2.meanStdDev(wanted, mask=inside))
    gain = np.clip(new_spread / np.maximum(spread, 1e-3), *_GAIN)
    return np.asarray((lab - mean) * gain + new_mean, np.float32)
