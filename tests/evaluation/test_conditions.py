"""What is done to a test picture under each condition, and that the draw is the item's alone."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from unmask.data.scoring import CONTROLS
from unmask.errors import ConfigError
from unmask.evaluation.comparison.layout import expected_items
from unmask.evaluation.conditions import conditions, in_sweep, on_reals_only, rendered
from unmask.transforms.levels import LEVELS, PERTURBATIONS, perturb
from unmask.transforms.perturb import gaussian_blur, grid_shift, jpeg
from unmask.types import UInt8Image

FIVE = np.array([[34, 40], [66, 40], [50, 58], [38, 74], [62, 74]], np.float32)
QUICK = [c for c in conditions(sweep=True) if "/h26" not in c]


def textured(side: int = 100, seed: int = 0) -> UInt8Image:
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (side, side, 3)), (0, 0), 3)
    noise = rng.normal(0, 8, (side, side, 3))
    return np.clip(128 + 40 * blobs / blobs.std() + noise, 0, 255).astype(np.uint8)


def draws(condition: str, item: int, seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(condition.encode()), item])


def phase(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(8)), int(rng.integers(8))


def test_names_are_those_that_tables_know() -> None:
    names = conditions(sweep=True)
    assert names[0] == "clean"
    assert len(set(names)) == len(names) == 1 + len(CONTROLS) + 1 + 1 + LEVELS * len(PERTURBATIONS)
    assert conditions(sweep=False) == [name for name in names if not in_sweep(name)]
    assert [n for n in names if on_reals_only(n)] == [n.replace("real", "control", 1)
                                                      for n in CONTROLS]  # fmt: skip
    import polars as pl

    items = pl.DataFrame({"label": [0, 1], "sets": [["unseen"], ["unseen"]]})
    have = {"sweep/none/0": np.array([0])}
    for name in names:  # refuses a name that it does not know
        assert len(expected_items(name, items, have, "file")) == (
            1 if in_sweep(name) or on_reals_only(name) else 2
        )


@pytest.mark.parametrize("condition", QUICK)
def test_the_draw_depends_on_seed_condition_and_item_alone(condition: str) -> None:
    image = textured()
    first = rendered(condition, image, FIVE, 3, seed=1)
    np.testing.assert_array_equal(rendered(condition, image, FIVE, 3, seed=1), first)
    others = [rendered(condition, image, FIVE, item, seed=seed) for item, seed in
              ((4, 1), (5, 1), (3, 2))]  # fmt: skip
    assert any(other.shape != first.shape or (other != first).any() for other in others)
    np.testing.assert_array_equal(image, textured())  # left as it was


def test_clean_and_the_sweeps_baseline_are_one_jpeg_on_a_random_grid() -> None:
    image = textured()
    for condition in ("clean", "sweep/none/0"):
        expected = jpeg(image, 90, "4:2:0", phase(draws(condition, 7)))
        np.testing.assert_array_equal(rendered(condition, image, FIVE, 7), expected)


def test_blur_and_jpeg() -> None:
    image = textured()
    expected = jpeg(gaussian_blur(image, 1.0), 50, "4:2:0", phase(draws("blur+jpeg", 2, 5)))
    np.testing.assert_array_equal(rendered("blur+jpeg", image, FIVE, 2, seed=5), expected)


def test_controls_are_changed_and_then_compressed() -> None:
    image = textured()
    changed = {
        "control/re-encoded": jpeg(image, 70),
        "control/blurred": gaussian_blur(image, 0.5),
        "control/grid-shifted": grid_shift(image, 3, 5),
    }
    for name, given in changed.items():
        expected = jpeg(given, 90, "4:2:0", phase(draws(name, 1)))
        np.testing.assert_array_equal(rendered(name, image, FIVE, 1), expected)


def test_the_sweep_perturbs_what_was_compressed() -> None:
    image, rng = textured(), draws("sweep/gaussian_noise/4", 6)
    step = perturb("gaussian_noise", 4, int(rng.integers(2**31)))
    expected = step(jpeg(image, 90, "4:2:0", phase(rng)))
    np.testing.assert_array_equal(rendered("sweep/gaussian_noise/4", image, FIVE, 6), expected)


def test_large_crops_are_reduced_alike_under_all_conditions() -> None:
    image = textured(400)
    names = ("clean", "control/re-encoded", "control/blurred", "blur+jpeg", "sweep/jpeg/2")
    sides = {
        item: {rendered(name, image, FIVE * 4, item).shape[0] for name in names}
        for item in range(6)
    }
    assert all(len(found) == 1 for found in sides.values())
    assert all(side == 400 or 180 <= side < 300 for found in sides.values() for side in found)
    assert len(set.union(*sides.values())) > 1


@pytest.mark.parametrize(
    "condition",
    ["", "dirty", "control/", "control/real/blurred", "control/x", "sweep/jpeg", "sweep/jpeg/x",
     "sweep/none/1", "sweep/jpeg/6", "sweep/jpeg/0", "sweep/x/1"],
)  # fmt: skip
def test_unknown_conditions_are_refused(condition: str) -> None:
    with pytest.raises(ConfigError):
        rendered(condition, textured(), FIVE, 0)
