"""Masks in training pairs: they lie where the forgery does, and change nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unmask.data.annotation.masks import mask_to_png
from unmask.data.crops import Crops
from unmask.data.dataset import PairSettings, TrainingPairs, laid_over
from unmask.data.items import Item
from unmask.errors import ConfigError, DatasetError
from unmask.synthesis.families import TRAINING_FAMILIES
from unmask.transforms.laundering import LaunderingPolicy
from unmask.transforms.preprocess import InputSpec

NOTHING = LaunderingPolicy(resize_p=0, blur_p=0, noise_p=0, jpeg_p=0, second_jpeg_p=0)
FIVE = np.array([[34, 40], [66, 40], [50, 58], [38, 74], [62, 74]], np.float32)
WINDOW = InputSpec(native_size=128, native_limit=1.35)
WHOLE = InputSpec(native_size=64, native_limit=None, rgb_size=72)
NEAR = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
Mask = NDArray[np.bool_]


def noise(seed: int, side: int = 100) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def blob(seed: int, side: int) -> Mask:
    """An ellipse off the middle, and a corner, so that no flip or shift leaves it as it is."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((side, side), np.uint8)
    middle = (rng.uniform(0.3, 0.7, 2) * side).astype(int).tolist()
    axes = (rng.uniform(0.12, 0.28, 2) * side).astype(int).tolist()
    cv2.ellipse(mask, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    mask[: side // 5, : side // 4] = 1
    return mask.astype(bool)


def crops_of(images: list[NDArray[np.uint8]], items: list[Item]) -> Crops:
    sides = np.array([image.shape[0] for image in images])
    return Crops(
        items=items,
        landmarks=np.stack([FIVE * (side / 100) for side in sides]).astype(np.float32),
        dropped={},
        key="test",
        _pixels=np.concatenate([image.ravel() for image in images]),
        _starts=np.concatenate([[0], np.cumsum(3 * sides**2)[:-1]]),
        _sides=sides,
    )


def item(name: str, label: int, **changes: Any) -> Item:
    values = {"source": "a", "generator": "gan" * label, "identity": name, "split": "train"}
    box = (0, 0, 9, 9)
    return Item(Path(f"{name}.png"), label, **{**values, "box": box, **changes})


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    """Dark reals, and dark fakes of many sizes whose mask is painted on them in a light grey."""
    folder = tmp_path_factory.mktemp("masks")
    images, items = [np.full((100, 100, 3), 60, np.uint8)] * 4, [item(f"r{i}", 0) for i in range(4)]
    for number, side in enumerate((90, 100, 131, 200, 300, 333, 410)):
        mask, path = blob(number, side), folder / f"{number}.png"
        path.write_bytes(mask_to_png(mask))
        images.append(np.where(mask[..., None], np.uint8(200), np.uint8(60)).repeat(3, axis=2))
        items.append(item(f"f{number}", 1, mask=path))
    return crops_of(images, items)


def middle(mask: Mask) -> NDArray[np.float64]:
    return np.argwhere(mask).mean(0)


@pytest.mark.parametrize("random_grid", [True, False])
@pytest.mark.parametrize("spec", [WINDOW, WHOLE], ids=["window", "whole"])
def test_a_mask_lies_where_it_was_painted_through_the_whole_chain(
    painted: Crops, spec: InputSpec, random_grid: bool
) -> None:
    strong = LaunderingPolicy(resize_p=0.8, blur_p=0.5, noise_p=0.5, second_jpeg_p=0.5)
    chosen = PairSettings({"gan": 1.0}, laundering=strong, random_grid=random_grid, ramp_epochs=0)
    pairs = TrainingPairs(painted, spec, chosen, seed=1, repeats=50, masks=True)
    view = "native" if spec.rgb_size is None else "rgb"
    assert len(pairs) == 200
    drift = []
    for pair in (pairs[index] for index in range(len(pairs))):
        assert pair["has_mask"].tolist() == [True, True]
        assert not pair["mask"][0].any()
        shown = pair[view][1].numpy().mean(2) > 130
        mask = pair["mask"][1].numpy() > 127
        assert shown.shape == mask.shape
        assert (shown & mask).sum() / (shown | mask).sum() > 0.9
        apart = {by: (shown ^ np.roll(mask, by, (0, 1))).sum() for by in NEAR}
        assert min(apart, key=lambda by: apart[by]) == (0, 0)
        drift.append(middle(shown) - middle(mask))
    # JPEG and noise move an edge by parts of a pixel, but to no side
    assert np.abs(np.mean(drift, axis=0)).max() < 0.03


@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_outside_of_its_mask_a_forged_fake_is_its_real(family: str) -> None:
    crops = crops_of([noise(i) for i in range(4)], [item(str(i), 0) for i in range(4)])
    spec = InputSpec(native_size=64, native_limit=None)
    chosen = PairSettings({family: 1.0}, laundering=NOTHING, soften_real_p=0.0)
    pairs = TrainingPairs(crops, spec, chosen, seed=0, masks=True)
    for pair in (pairs[index] for index in range(4)):
        changed = (pair["native"][0] != pair["native"][1]).any(2)
        marked = pair["mask"][1] > 0
        assert changed.any()
        assert not (changed & ~marked).any()


@pytest.mark.parametrize("spec", [WINDOW, WHOLE], ids=["window", "whole"])
def test_masks_change_no_draw(painted: Crops, spec: InputSpec) -> None:
    families = dict.fromkeys(TRAINING_FAMILIES, 1.0) | {"gan": 1.0}
    for random_grid in (True, False):
        chosen = PairSettings(families, random_grid=random_grid, ramp_epochs=0)
        plain = TrainingPairs(painted, spec, chosen, seed=5, repeats=3)
        masked = TrainingPairs(painted, spec, chosen, seed=5, repeats=3, masks=True)
        for index in range(0, len(plain), 2):
            before, after = plain[index], masked[index]
            assert set(after) - set(before) == {"mask", "has_mask"}
            assert all(torch.equal(after[name], before[name]) for name in before)


def test_draws_are_what_they_were_before_there_were_masks() -> None:
    # a literal, made before: only copies of pixels, so that it holds on every machine
    rows = [item(f"r{i}", 0) for i in range(4)] + [item(f"f{i}", 1) for i in range(3)]
    crops = crops_of([noise(i) for i in range(7)], rows)
    spec = InputSpec(native_size=64, native_limit=None)
    chosen = PairSettings({"gan": 1.0}, laundering=NOTHING, soften_real_p=0.0)
    pairs = TrainingPairs(crops, spec, chosen, seed=3, repeats=2)
    pairs.set_epoch(2)
    digest = hashlib.sha256()
    for index in range(len(pairs)):
        digest.update(pairs[index]["native"].numpy().tobytes())
    assert digest.hexdigest()[:16] == "bcce448fd25d2857"


def test_a_fake_without_a_mask_does_not_count(painted: Crops, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(mask_to_png(np.zeros((100, 100), bool)))
    rows = [
        item("r", 0),
        item("none", 1),
        item("empty", 1, mask=tmp_path / "empty.png"),
        item("some", 1, mask=painted.items[5].mask),
    ]
    crops = crops_of([np.full((100, 100, 3), level, np.uint8) for level in (0, 1, 2, 3)], rows)
    chosen = PairSettings({"gan": 1.0}, laundering=NOTHING, soften_real_p=0.0)
    pairs = TrainingPairs(crops, WHOLE, chosen, seed=0, repeats=20, masks=True)
    seen = {}
    for pair in (pairs[index] for index in range(len(pairs))):
        which = int(pair["native"][1, 0, 0, 0])
        seen[which] = (pair["has_mask"].tolist(), bool(pair["mask"][1].any()))
        assert not pair["mask"][0].any()
    assert seen == {
        1: ([True, False], False), 2: ([True, False], False), 3: ([True, True], True)
    }  # fmt: skip


def test_masks_that_cannot_be_had_are_refused_before_training(painted: Crops) -> None:
    def pairs(fake: Item, **families: float) -> TrainingPairs:
        crops = crops_of([noise(0), noise(1)], [item("r", 0), fake])
        return TrainingPairs(crops, WHOLE, PairSettings(families), seed=0, masks=True)

    bare, given = item("f", 1), item("f", 1, mask=painted.items[5].mask)
    with pytest.raises(ConfigError, match="No training fake of gan has a mask"):
        pairs(bare, gan=1.0)
    assert len(pairs(bare, gan=1.0, self_blend=1.0)) == 1
    with pytest.raises(DatasetError, match=r"f\.png is not a face crop"):
        pairs(replace(given, box=None), gan=1.0)
    with pytest.raises(DatasetError, match=r"There is no mask gone\.png of f\.png"):
        pairs(replace(given, mask=Path("gone.png")), gan=1.0)
    with pytest.raises(DatasetError, match="pixels"):
        pairs(replace(given, mask=painted.items[4].mask), gan=1.0)[0]


def test_no_mask_is_zero_everywhere() -> None:
    assert not laid_over(None, noise(0, 33)).any()
    assert laid_over(None, noise(0, 33)).shape == (33, 33)


@pytest.mark.parametrize("side", [25, 50, 150])
def test_a_scaled_mask_keeps_its_area(side: int) -> None:
    mask = blob(3, 100)
    laid = laid_over(mask, noise(0, side))
    assert laid.shape == (side, side)
    assert laid.mean() / 255 == pytest.approx(mask.mean(), abs=0.01)
