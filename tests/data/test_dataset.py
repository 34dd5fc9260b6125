"""Training pairs and scoring sets: what differs within a pair, and what must not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from unmask.data.crops import Crops
from unmask.data.dataset import (
    CONTROLS,
    PairSettings,
    TrainingPairs,
    laundered,
    scoring_sets,
    soften,
)
from unmask.data.items import Item
from unmask.errors import ConfigError
from unmask.synthesis.families import TRAINING_FAMILIES
from unmask.transforms.perturb import LaunderingPolicy
from unmask.transforms.preprocess import InputSpec

SPEC = InputSpec(native_size=64, native_limit=None)
FIVE = np.array([[34, 40], [66, 40], [50, 58], [38, 74], [62, 74]], np.float32)
NOTHING = LaunderingPolicy(
    resize_p=0, blur_p=0, noise_p=0, jpeg_p=0, second_jpeg_p=0
)  # pairs come out as they were made


def textured(seed: int, side: int = 100) -> np.ndarray:
    """Fine grain on soft blobs, so that there is something at every scale."""
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (side, side, 3)), (0, 0), 3)
    grain = rng.normal(0, 8, (side, side, 3))
    return np.clip(128 + 40 * blobs / blobs.std() + grain, 0, 255).astype(np.uint8)


def crops_of(rows: list[tuple[str, int, str, str]]) -> Crops:
    """From (source, label, generator, split) per picture; picture i is `textured(i)`."""
    items = [
        Item(Path(f"{i}.png"), label, source, generator, f"person {i}", split)  # type: ignore[arg-type]
        for i, (source, label, generator, split) in enumerate(rows)
    ]
    images = [textured(i) for i in range(len(rows))]
    sides = np.array([image.shape[0] for image in images])
    return Crops(
        items=items,
        landmarks=np.stack([FIVE] * len(rows)),
        dropped={},
        key="test",
        _pixels=np.concatenate([image.ravel() for image in images]),
        _starts=np.concatenate([[0], np.cumsum(3 * sides**2)[:-1]]),
        _sides=sides,
    )


@pytest.fixture
def crops() -> Crops:
    return crops_of(
        [("a", 0, "", "train")] * 3
        + [("b", 0, "", "train")] * 3
        + [("c", 1, "gan", "train")] * 2
        + [("a", 0, "", "val")] * 2
        + [("b", 0, "", "val"), ("c", 1, "gan", "val"), ("a", 0, "", "test")]
    )


def settings(**changes: object) -> PairSettings:
    values = {"families": {"self_blend": 1.0}, "laundering": NOTHING, "soften_real_p": 0.0}
    return PairSettings(**{**values, **changes})  # type: ignore[arg-type]


def test_pairs_are_the_training_reals_only(crops: Crops) -> None:
    pairs = TrainingPairs(crops, SPEC, settings(), seed=0, repeats=2)
    assert sorted(pairs.reals) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    item = pairs[0]
    assert item["label"].tolist() == [0, 1]
    assert item["native"].shape == (2, 64, 64, 3)
    assert item["native"].dtype == torch.uint8


def test_a_draw_depends_on_seed_epoch_and_index_alone(crops: Crops) -> None:
    pairs = TrainingPairs(crops, SPEC, settings(laundering=LaunderingPolicy()), seed=3)
    pairs.set_epoch(2)
    first = pairs[1]["native"]
    _ = pairs[4], pairs[0]
    again = TrainingPairs(crops, SPEC, settings(laundering=LaunderingPolicy()), seed=3)
    again.set_epoch(2)
    assert torch.equal(again[1]["native"], first)
    again.set_epoch(3)
    assert not torch.equal(again[1]["native"], first)


def test_without_a_chain_the_real_half_is_untouched_pixels(crops: Crops) -> None:
    pairs = TrainingPairs(crops, SPEC, settings(), seed=0)
    for index in range(6):
        real = pairs[index]["native"][0].numpy()
        original = crops.image(pairs.reals[index])
        windows = [original, original[:, ::-1]]
        assert any(
            (w[y : y + 64, x : x + 64] == real).all()
            for w in windows
            for y in range(37)
            for x in range(37)
        )


def test_both_halves_show_the_same_window(crops: Crops) -> None:
    """A re-upsampled fake must lie on its real: the chain and the window are shared."""
    pairs = TrainingPairs(crops, SPEC, settings(families={"reupsample": 1.0}), seed=1)
    for index in range(6):
        real, fake = pairs[index]["native"].float().numpy().mean(3)
        own = np.corrcoef(real.ravel(), fake.ravel())[0, 1]
        moved = np.corrcoef(real[:, 2:].ravel(), fake[:, :-2].ravel())[0, 1]
        assert own > moved + 0.02


def test_a_generators_fakes_stand_beside_the_named_sources(crops: Crops) -> None:
    chosen = settings(families={"gan": 1.0}, beside={"gan": ["b"]})
    pairs = TrainingPairs(crops, SPEC, chosen, seed=0)
    assert {crops.items[i].source for i in pairs.partners["gan"]} == {"b"}
    everywhere = TrainingPairs(crops, SPEC, settings(families={"gan": 1.0}), seed=0)
    assert {crops.items[i].source for i in everywhere.partners["gan"]} == {"a", "b"}
    with pytest.raises(ConfigError, match="No training reals of the sources"):
        TrainingPairs(crops, SPEC, settings(families={"gan": 1.0}, beside={"gan": ["x"]}), seed=0)


def test_weights_choose_the_family(crops: Crops) -> None:
    mixed = settings(families={"self_blend": 3.0, "gan": 1.0})
    pairs = TrainingPairs(crops, SPEC, mixed, seed=0, repeats=40)
    families = [int(pairs[i]["family"][1]) for i in range(len(pairs))]
    assert np.mean(families) == pytest.approx(0.25, abs=0.07)


def test_unknown_families_are_named(crops: Crops) -> None:
    with pytest.raises(ConfigError, match="No training items for glow") as error:
        TrainingPairs(crops, SPEC, settings(families={"glow": 1.0}), seed=0)
    assert "gan, resynthesis, reupsample, self_blend" in str(error.value)


def test_softening_changes_the_real_half_only(crops: Crops) -> None:
    sharp = TrainingPairs(crops, SPEC, settings(families={"gan": 1.0}), seed=0)
    soft = TrainingPairs(crops, SPEC, settings(families={"gan": 1.0}, soften_real_p=1.0), seed=0)
    detail = {
        name: [pairs[i]["native"].float().diff(dim=2).abs().mean(dim=(1, 2, 3)) for i in range(6)]
        for name, pairs in (("sharp", sharp), ("soft", soft))
    }
    real = [float(s[0] / h[0]) for s, h in zip(detail["soft"], detail["sharp"], strict=True)]
    fake = [float(s[1] / h[1]) for s, h in zip(detail["soft"], detail["sharp"], strict=True)]
    assert max(real) < 0.9
    assert min(fake) > 0.9


def test_soften_keeps_the_size() -> None:
    for seed in range(8):
        assert soften(textured(1, 77), np.random.default_rng(seed)).shape == (77, 77, 3)


def test_scoring_sets_hold_every_family_and_control_of_one_split(crops: Crops) -> None:
    sets = {s.name: s for s in scoring_sets(crops, SPEC, "val")}
    assert list(sets) == ["real", *TRAINING_FAMILIES, "gan", *CONTROLS]
    assert [sets[n].label for n in sets] == [0] + [1] * (len(TRAINING_FAMILIES) + 1) + [0] * len(
        CONTROLS
    )
    assert sets["real"].sources == ["a", "a", "b"]
    assert sets["gan"].identities == ["person 11"]
    again = {s.name: s for s in scoring_sets(crops, SPEC, "val")}
    for name, item in sets.items():
        for one, other in zip(item.views, again[name].views, strict=True):
            assert (one["native"] == other["native"]).all(), name


def test_reals_and_fakes_are_laundered_alike(crops: Crops) -> None:
    """The same picture with the same generator state comes out the same, whatever its label."""
    rngs = [np.random.default_rng(5) for _ in range(2)]
    one, other = (laundered(crops.image(0), rng) for rng in rngs)
    assert (one == other).all()
    assert (one != crops.image(0)).any()
