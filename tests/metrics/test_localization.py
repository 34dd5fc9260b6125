"""Measures of localisation on constructed masks, against scikit-learn and literal definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, jaccard_score

from unmask.errors import ConfigError, ShapeError
from unmask.metrics.localization import (
    POINTING_TOLERANCE,
    best_threshold,
    energy_in_mask,
    iou,
    pixel_average_precision,
    pointing_game,
    quietness,
)

Maps, Masks = NDArray[np.float64], NDArray[np.bool_]


def case(n: int = 4, height: int = 9, width: int = 12, seed: int = 0) -> tuple[Maps, Masks]:
    """Random maps, higher in their masks; values rounded, so that some are equal."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n, height, width)) > 0.7
    return np.round(rng.random((n, height, width)) + 0.3 * masks, 2), masks


def square(side: int = 20, x: int = 4, y: int = 6, size: int = 5) -> Masks:
    """One mask: a square whose upper left pixel is (x, y)."""
    mask = np.zeros((1, side, side), bool)
    mask[0, y : y + size, x : x + size] = True
    return mask


@pytest.mark.parametrize("threshold", [0.0, 0.31, 0.7, 1.2, 2.0])
def test_iou_is_scikit_learns_jaccard_of_the_pixels(threshold: float) -> None:
    maps, masks = case()
    expected = [
        jaccard_score(mask.ravel(), (heat >= threshold).ravel())
        for heat, mask in zip(maps, masks, strict=True)
    ]
    np.testing.assert_allclose(iou(maps, masks, threshold), expected, atol=1e-12)


def test_iou_of_squares_by_hand() -> None:
    mask = square()
    assert iou(mask, mask, 0.5).tolist() == [1.0]
    shifted = square(x=6)  # 3 of 5 columns shared: 15 of 35 pixels
    assert iou(shifted, mask, 0.5).tolist() == [15 / 35]
    assert iou(square(x=12), mask, 0.5).tolist() == [0.0]
    assert iou(np.zeros_like(mask), mask, 0.5).tolist() == [0.0]
    assert iou(mask * 0.5, mask, 0.5).tolist() == [1.0]  # the threshold itself counts


def test_the_best_threshold_is_the_best_of_all_there_are() -> None:
    for seed in range(5):
        maps, masks = case(seed=seed)
        means = {t: iou(maps, masks, t).mean() for t in np.unique(maps)}
        best = best_threshold(maps, masks)
        assert means[best] == pytest.approx(max(means.values()), abs=1e-12)
        higher = [m for t, m in means.items() if t > best]
        assert all(m < means[best] - 1e-13 for m in higher)


def test_with_few_steps_the_best_threshold_is_the_best_quantile() -> None:
    rng = np.random.default_rng(1)
    masks = np.stack([square(40, 5, 9, 12)[0], square(40, 20, 3, 9)[0]])
    maps = rng.random(masks.shape) + masks
    coarse = best_threshold(maps, masks, steps=9)
    assert coarse in maps
    candidates = np.quantile(maps, np.linspace(0, 1, 9), method="inverted_cdf")
    means = [iou(maps, masks, t).mean() for t in candidates]
    assert iou(maps, masks, coarse).mean() == pytest.approx(max(means))
    fine = best_threshold(maps, masks)
    exact = max(iou(maps, masks, t).mean() for t in np.unique(maps))
    assert max(means) <= iou(maps, masks, fine).mean() <= exact
    assert iou(maps, masks, fine).mean() > exact - 0.01


def test_the_best_threshold_of_a_perfect_map_marks_its_mask() -> None:
    mask = square()
    assert best_threshold(mask * 0.7 + 0.1, mask) == pytest.approx(0.8)
    assert best_threshold(np.full(mask.shape, 0.4), mask) == 0.4


def test_pixel_average_precision_is_scikit_learns() -> None:
    maps, masks = case()
    expected = [
        average_precision_score(mask.ravel(), heat.ravel())
        for heat, mask in zip(maps, masks, strict=True)
    ]
    np.testing.assert_allclose(pixel_average_precision(maps, masks), expected, atol=1e-12)


def test_average_precision_at_its_ends() -> None:
    mask = square()
    assert pixel_average_precision(mask, mask).tolist() == [1.0]
    assert pixel_average_precision(np.zeros(mask.shape), mask) == pytest.approx([25 / 400])
    full = np.ones((1, 2, 3), bool)
    assert pixel_average_precision(np.arange(6.0).reshape(1, 2, 3), full).tolist() == [1.0]


def peak(x: int, y: int, side: int = 20) -> Maps:
    heat = np.zeros((1, side, side))
    heat[0, y, x] = 1.0
    return heat


@pytest.mark.parametrize(
    ("x", "y", "tolerance", "hit"),
    [
        (4, 6, 0, 1.0),
        (8, 10, 0, 1.0),
        (9, 10, 0, 0.0),
        (9, 10, 1, 1.0),
        (9, 11, 1, 0.0),  # diagonally beside the corner: sqrt(2) away
        (9, 11, 2, 1.0),
        (11, 14, 4, 0.0),  # 3 right and 4 down: 5 away
        (11, 14, 5, 1.0),
        (19, 19, POINTING_TOLERANCE, 1.0),
        (19, 19, 14, 0.0),  # 11 right and 9 down: 14.2 away
    ],
)
def test_the_pointing_game_by_hand(x: int, y: int, tolerance: int, hit: float) -> None:
    assert pointing_game(peak(x, y), square(), tolerance=tolerance).tolist() == [hit]


@pytest.mark.parametrize("tolerance", [0, 1, 2, 5, POINTING_TOLERANCE, 40])
def test_the_tolerance_is_a_distance_in_pixels(tolerance: int) -> None:
    rng = np.random.default_rng(tolerance)
    masks = rng.random((30, 17, 23)) > 0.985
    masks[:, 8, 11] = True
    maps = rng.random(masks.shape)
    for heat, mask, got in zip(
        maps, masks, pointing_game(maps, masks, tolerance=tolerance), strict=True
    ):
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        rows, columns = np.nonzero(mask)
        assert got == float(np.min((rows - y) ** 2 + (columns - x) ** 2) <= tolerance**2)


def test_equal_maxima_share_the_hit() -> None:
    mask = square()
    two = peak(5, 7) + peak(15, 15)
    assert pointing_game(two, mask).tolist() == [0.5]
    assert pointing_game(np.zeros(mask.shape), mask) == pytest.approx([25 / 400])  # chance


def test_the_share_of_energy_by_hand() -> None:
    mask = square()
    heat = np.full(mask.shape, 0.2)
    np.testing.assert_allclose(energy_in_mask(heat, mask), 25 / 400)
    heat[mask] = 3.0
    np.testing.assert_allclose(energy_in_mask(heat, mask), 75 / (75 + 375 * 0.2))
    np.testing.assert_allclose(energy_in_mask(heat * 1e-9, mask), energy_in_mask(heat, mask))
    assert energy_in_mask(np.zeros(mask.shape), mask).tolist() == [0.0]
    with pytest.raises(ShapeError, match=r"maps >= 0.*-0\.5"):
        energy_in_mask(heat - 0.7, mask)


def test_quietness_by_hand() -> None:
    maps = np.zeros((4, 5, 5))
    maps[1, 2, 2], maps[2, 0, 0], maps[3] = 0.5, 0.4, 0.1
    quiet = quietness(maps, 0.5)
    np.testing.assert_allclose(quiet.energy, [0.0, 0.02, 0.016, 0.1])
    assert quiet.exceeds.tolist() == [False, True, False, False]
    assert quiet.mean_energy == pytest.approx(0.034)
    assert quiet.share_exceeding == 0.25
    with pytest.raises(ShapeError, match="maps >= 0"):
        quietness(maps - 0.1, 0.5)
    with pytest.raises(ShapeError, match="N >= 1"):
        quietness(maps[:0], 0.5)
    with pytest.raises(ConfigError, match="not a number"):
        quietness(maps, float("nan"))


PAIRED: list[Callable[[Any, Any], Any]] = [
    lambda maps, masks: iou(maps, masks, 0.5),
    best_threshold,
    pixel_average_precision,
    pointing_game,
    energy_in_mask,
]


@pytest.mark.parametrize("measure", PAIRED)
def test_what_cannot_be_judged_is_refused(measure: Callable[[Any, Any], Any]) -> None:
    maps, masks = case()
    empty = masks.copy()
    empty[2] = False
    with pytest.raises(ShapeError, match=r"1 of 4 masks are empty.*number 2.*quietness"):
        measure(maps, empty)
    with pytest.raises(ShapeError, match="Upsample"):
        measure(maps[:, ::3, ::3], masks)
    with pytest.raises(ShapeError, match="alike"):
        measure(maps[0], masks[0])
    with pytest.raises(ShapeError, match="bool, or 0"):
        measure(maps, masks * 255)
    with pytest.raises(ShapeError, match="finite"):
        measure(np.where(maps > 1, np.nan, maps), masks)


def test_settings_that_cannot_work_are_refused() -> None:
    maps, masks = case()
    with pytest.raises(ConfigError, match="not a number"):
        iou(maps, masks, float("nan"))
    with pytest.raises(ConfigError, match="at least 2"):
        best_threshold(maps, masks, steps=1)
    with pytest.raises(ShapeError, match="at least one picture"):
        best_threshold(maps[:0], masks[:0])
    with pytest.raises(ConfigError, match=">= 0"):
        pointing_game(maps, masks, tolerance=-1)


def test_masks_may_be_numbers_and_no_pictures_have_no_numbers() -> None:
    maps, masks = case()
    for measure in PAIRED[2:]:
        np.testing.assert_array_equal(measure(maps, masks), measure(maps, masks.astype(int)))
        assert measure(maps[:0], masks[:0]).shape == (0,)
    assert iou(maps[:0], masks[:0], 0.5).shape == (0,)
