"""How well a map shows where a face was forged: maps against masks, picture by picture.

Every function takes maps (N, H, W), finite, large = forged, upsampled to their masks, and masks
(N, H, W) of 0 and 1, 1 = forged, and gives one number a picture, (N,), so that pictures can be
averaged or drawn again. An empty mask is refused: on a real face there is nothing to find, and a
map should be quiet there (`quietness`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.curve import Floats
from unmask.metrics.ranking import average_precision

Masks = NDArray[np.bool_]

POINTING_TOLERANCE = 15
"""Pixels by which the pointing game's authors let the maximum miss the object."""


def iou(maps: ArrayLike, masks: ArrayLike, threshold: float) -> Floats:
    """Intersection over union of {map >= threshold} and the mask (Jaccard 1912).

    The threshold has to come from elsewhere (`best_threshold` on validation): chosen on these very
    pictures it flatters them.

    Returns:
        (N,) in [0, 1].

    Raises:
        ShapeError: see the module. ConfigError: the threshold is not a number.

    >>> iou([[[0.9, 0.6], [0.2, 0.1]]], [[[1, 0], [0, 0]]], 0.5).tolist()
    [0.5]
    """
    values, truth = _pairs(maps, masks)
    marked = values >= _number(threshold)
    both, either = (marked & truth).sum((1, 2)), (marked | truth).sum((1, 2))
    return np.asarray(both / either, np.float64)


def best_threshold(maps: ArrayLike, masks: ArrayLike, *, steps: int = 512) -> float:
    """The threshold with the largest mean IoU on these pictures, which must be validation's.

    The candidates are the values that occur in the maps, or `steps` quantiles of them where more
    occur. Of equally good ones the highest is taken, which marks least.

    Args:
        maps, masks: of validation fakes; never of the pictures that are then judged.
        steps: number of candidates at most, >= 2.

    Raises:
        ShapeError: see the module, and no pictures at all. ConfigError: `steps` below 2.

    >>> best_threshold([[[0.9, 0.6], [0.2, 0.1]]], [[[1, 1], [0, 0]]])
    0.6
    """
    values, truth = _pairs(maps, masks)
    if steps < 2:
        raise ConfigError(f"best_threshold needs at least 2 steps; got {steps}.")
    if not len(values):
        raise ShapeError("best_threshold needs at least one picture.")
    candidates = np.unique(values)
    if len(candidates) > steps:
        candidates = np.unique(np.quantile(values, np.linspace(0, 1, steps), method="inverted_cdf"))
    total = np.zeros(len(candidates))
    for heat, mask in zip(values, truth, strict=True):
        inside, outside = (_at_least(heat[side], candidates) for side in (mask, ~mask))
        total += inside / (mask.sum() + outside)
    return float(candidates[np.flatnonzero(total >= total.max() - 1e-12)[-1]])


def pixel_average_precision(maps: ArrayLike, masks: ArrayLike) -> Floats:
    """Average precision of the pixels of each picture: `ranking.average_precision` of its own.

    A mask without outside gives 1: whatever is marked is right. For one number over the pixels of
    all pictures, reals among them, give those pixels to `ranking.average_precision`.

    Returns:
        (N,) in (0, 1]; a map without information gets the share of the mask.

    Raises:
        ShapeError: see the module.
    """
    values, truth = _pairs(maps, masks)
    return np.array(
        [
            1.0 if mask.all() else average_precision(mask.ravel(), heat.ravel())
            for heat, mask in zip(values, truth, strict=True)
        ],
        np.float64,
    )


def pointing_game(maps: ArrayLike, masks: ArrayLike, *, tolerance: int = 0) -> Floats:
    """Whether the map's maximum lies in the mask (Zhang et al. 2018, "Top-down neural attention by
    excitation backprop").

    Where several pixels share the maximum, the share of them that hit: what a draw among them
    would get, so a flat map has the chance level and not the luck of its first pixel.

    Args:
        maps, masks: see the module.
        tolerance: pixels by which the maximum may lie beside the mask, >= 0; the authors allow
            `POINTING_TOLERANCE`, on pictures of some 500 px.

    Returns:
        (N,) in [0, 1].

    Raises:
        ShapeError: see the module. ConfigError: tolerance negative.

    >>> pointing_game([[[0.9, 0.6, 0.0]]], [[[0, 0, 1]]], tolerance=2).tolist()
    [1.0]
    """
    values, truth = _pairs(maps, masks)
    if tolerance < 0:
        raise ConfigError(f"tolerance must be >= 0 pixels; got {tolerance}.")
    peaks = values == values.max((1, 2), keepdims=True)
    hits = (peaks & _dilated(truth, tolerance)).sum((1, 2))
    return np.asarray(hits / peaks.sum((1, 2)), np.float64)


def energy_in_mask(maps: ArrayLike, masks: ArrayLike) -> Floats:
    """Share of the map's sum that lies in the mask: the energy-based pointing game of Wang et al.
    2020, "Score-CAM".

    Returns:
        (N,) in [0, 1]; 0 for a map that is zero everywhere, since it shows nothing.

    Raises:
        ShapeError: see the module, and maps with values below 0.

    >>> energy_in_mask([[[3.0, 1.0]], [[0.0, 0.0]]], [[[1, 0]], [[1, 0]]]).tolist()
    [0.75, 0.0]
    """
    values, truth = _pairs(maps, masks)
    _not_negative(values)
    inside, whole = (values * truth).sum((1, 2)), values.sum((1, 2))
    return np.asarray(inside / np.where(whole > 0, whole, 1.0), np.float64)


@dataclass(frozen=True)
class Quietness:
    """Maps of real faces, where nothing should show.

    Attributes:
        energy: (N,) mean of each map.
        exceeds: (N,) bool, some pixel of it reaches the threshold.
    """

    energy: Floats
    exceeds: NDArray[np.bool_]

    @property
    def mean_energy(self) -> float:
        """Mean energy of the maps, in the map's units."""
        return float(self.energy.mean())

    @property
    def share_exceeding(self) -> float:
        """Share of reals in whose map anything would be marked."""
        return float(self.exceeds.mean())


def quietness(maps: ArrayLike, threshold: float) -> Quietness:
    """How quiet the maps of reals are.

    Says nothing of maps that were each scaled to their own maximum or sum.

    Args:
        maps: (N, H, W) finite and >= 0, of real faces, N >= 1.
        threshold: the one the IoU of fakes is taken at.

    Raises:
        ShapeError: other shapes or values, or no maps. ConfigError: threshold not a number.

    >>> quiet = quietness([[[0.0, 0.4]], [[0.0, 0.8]]], 0.5)
    >>> round(quiet.mean_energy, 3), quiet.share_exceeding
    (0.3, 0.5)
    """
    values = np.asarray(maps, np.float64)
    if values.ndim != 3 or not values.size or not np.isfinite(values).all():
        raise ShapeError(f"quietness needs finite maps (N, H, W), N >= 1; got {values.shape}.")
    _not_negative(values)
    exceeds = (values >= _number(threshold)).any((1, 2))
    return Quietness(values.mean((1, 2)), np.asarray(exceeds))


def _pairs(maps: ArrayLike, masks: ArrayLike) -> tuple[Floats, Masks]:
    values, truth = np.asarray(maps, np.float64), np.asarray(masks)
    if values.ndim != 3 or values.shape != truth.shape or not all(values.shape[1:]):
        raise ShapeError(
            f"maps and masks must be (N, H, W) alike; got {values.shape} and {truth.shape}. "
            "Upsample the maps to their masks first."
        )
    if not np.isfinite(values).all():
        raise ShapeError("maps must be finite.")
    if not np.isin(truth, (0, 1)).all():
        raise ShapeError("masks must be bool, or 0 (as it was) and 1 (forged).")
    found = truth.astype(bool)
    empty = np.flatnonzero(~found.any((1, 2)))
    if len(empty):
        raise ShapeError(
            f"{len(empty)} of {len(found)} masks are empty (first: number {empty[0]}): there is "
            "nothing to find. Judge the maps of reals with quietness."
        )
    return values, found


def _not_negative(values: Floats) -> None:
    if values.size and values.min() < 0:
        raise ShapeError(f"An energy needs maps >= 0; the smallest value is {values.min():g}.")


def _number(threshold: float) -> float:
    if np.isnan(threshold):
        raise ConfigError("The threshold is not a number.")
    return threshold


def _at_least(values: Floats, thresholds: Floats) -> NDArray[np.intp]:
    """How many of the values reach each threshold."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="left")


def _dilated(masks: Masks, radius: int) -> Masks:
    """Pixels whose centre is at most `radius` from the centre of a pixel of the mask.

    A disc is a stack of rows, and a row dilates by a running count.
    """
    grown = masks.copy()
    height, width = masks.shape[1:]
    columns = np.arange(width)
    count = np.pad(np.cumsum(masks, axis=2), ((0, 0), (0, 0), (1, 0)))
    for down in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        reach = isqrt(radius**2 - down**2)
        right, left = np.minimum(columns + reach + 1, width), np.maximum(columns - reach, 0)
        rows = count[:, :, right] > count[:, :, left]
        source = slice(max(0, -down), height - max(0, down))
        target = slice(max(0, down), height - max(0, -down))
        grown[:, target] |= rows[:, source]
    return grown
