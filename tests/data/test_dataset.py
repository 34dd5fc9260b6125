"""Training pairs and scoring sets: what differs within a pair, and what must not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from unmask.data.crops import Crops
from unmask.data.dataset import PairSettings, TrainingPairs
from unmask.data.items import Item
from unmask.data.pairing import is_of
from unmask.data.scoring import CONTROLS, MadeViews, laundered, scoring_sets
from unmask.data.softness import equalise, soften
from unmask.errors import ConfigError
from unmask.synthesis.families import TRAINING_FAMILIES
from unmask.transforms.laundering import LaunderingPolicy
from unmask.transforms.preprocess import InputSpec, Views
from unmask.transforms.spectrum import radial_power

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


KINDS = [
    *[("a", 0, "", split) for split in ("train", "train", "val", "val")],
    ("a", 1, "inpaint-telea", "train"),
    ("a", 1, "inpaint-navier_stokes", "train"),
    ("a", 1, "self_blend", "train"),
    ("a", 1, "inpaint-telea", "val"),
    ("a", 1, "inpaint-navier_stokes", "val"),
    ("a", 1, "inpainted", "val"),
    ("a", 1, "self_blend", "val"),
]


def test_kinds_are_of_their_family() -> None:
    assert is_of("inpaint", "inpaint")
    assert is_of("inpaint-telea", "inpaint")
    assert not is_of("inpainted", "inpaint")
    assert not is_of("inpaint", "inpaint-telea")


def test_an_indexs_own_fakes_of_a_family_are_taken_without_forging() -> None:
    crops = crops_of(KINDS)
    own = settings(families={"inpaint": 1.0, "self_blend": 1.0}, forged=False)
    pairs = TrainingPairs(crops, SPEC, own, seed=0, repeats=8)
    assert pairs.pools == {"inpaint": [4, 5], "self_blend": [6]}
    windows = {
        index: {
            image[y : y + 64, x : x + 64].tobytes()
            for image in (crops.image(index), crops.image(index)[:, ::-1])
            for y in range(37)
            for x in range(37)
        }
        for index in (4, 5, 6)
    }
    seen = set()
    for item in (pairs[i] for i in range(len(pairs))):
        fake = item["native"][1].numpy().tobytes()
        (index,) = [index for index, parts in windows.items() if fake in parts]
        assert int(item["family"][1]) == (1 if index == 6 else 0)
        seen.add(index)
    assert seen == {4, 5, 6}
    forged = TrainingPairs(crops, SPEC, settings(families={"self_blend": 1.0}), seed=0)
    assert forged.pools == {}
    with pytest.raises(ConfigError, match="No training items for reupsample"):
        TrainingPairs(crops, SPEC, settings(families={"reupsample": 1}, forged=False), seed=0)


def test_validation_gathers_kinds_under_the_families_that_are_trained_on() -> None:
    crops = crops_of(KINDS)
    found = scoring_sets(
        crops, SPEC, "val", forged=False, controls={}, families=["inpaint", "self_blend"]
    )
    assert [(s.name, s.label, len(s.views)) for s in found] == [
        ("real", 0, 2), ("inpaint", 1, 2), ("inpainted", 1, 1), ("self_blend", 1, 1)
    ]  # fmt: skip
    alone = scoring_sets(crops, SPEC, "val", forged=False, controls={})
    names = ["real", "inpaint-navier_stokes", "inpaint-telea", "inpainted", "self_blend"]
    assert [s.name for s in alone] == names


@pytest.mark.parametrize("random_grid", [True, False])
def test_the_grid_is_random_or_begins_with_the_window(
    crops: Crops, monkeypatch: pytest.MonkeyPatch, random_grid: bool
) -> None:
    phases: list[tuple[int, int]] = []

    def seen(image: np.ndarray, quality: int, sampling: str, phase: tuple[int, int]) -> np.ndarray:
        phases.append(phase)
        return image

    monkeypatch.setattr("unmask.transforms.laundering.jpeg", seen)
    policy = LaunderingPolicy(resize_p=0, blur_p=0, noise_p=0, jpeg_p=1, second_jpeg_p=0)
    chosen = settings(families={"gan": 1.0}, laundering=policy, random_grid=random_grid)
    pairs = TrainingPairs(crops, SPEC, chosen, seed=0)
    places = []
    for index in range(len(pairs)):
        real = pairs[index]["native"][0].numpy()
        places += [
            (x, y)
            for i in pairs.reals
            for image in (crops.image(i),)
            for part in (real, real[:, ::-1])
            for x, y in [(x, y) for x in range(37) for y in range(37)]
            if (image[y, x : x + 64] == part[0]).all()
        ]
    assert places
    aligned = all(v % 8 == 0 for place in places for v in place) and set(phases) == {(0, 0)}
    assert aligned != random_grid


def test_views_are_made_once_and_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make(index: int) -> Views:
        made.append(index)
        return Views(native=np.full((10, 10, 3), index, np.uint8))

    monkeypatch.setattr(MadeViews, "kept", 0)
    monkeypatch.setattr(MadeViews, "ROOM", 3 * 300)
    first, second = MadeViews([5, 6], make), MadeViews([7, 8], make)
    for _ in range(2):
        for views, indices in ((first, [5, 6]), (second, [7, 8])):
            assert [int(v["native"][0, 0, 0]) for v in views[:]] == indices
            assert [int(v["native"][0, 0, 0]) for v in views] == indices
    # the fourth finds no room and is made every time
    assert [made.count(index) for index in (5, 6, 7, 8)] == [1, 1, 1, 4]
    assert MadeViews.kept == 3 * 300
    del first
    assert MadeViews.kept == 300
    assert [int(v["native"][0, 0, 0]) for v in second] == [7, 8]
    assert made.count(8) == 5
    assert MadeViews.kept == 600


def test_equalised_pairs_are_equally_sharp(crops: Crops) -> None:
    sharp = textured(0)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 1.0), np.uint8)
    power = {True: [], False: []}  # type: ignore[var-annotated]
    for seed in range(8):
        real, fake = equalise(sharp, soft, np.random.default_rng(seed))
        assert (real is sharp) != (fake is soft)
        one, other = radial_power(real.astype(float)), radial_power(fake.astype(float))
        np.testing.assert_allclose(one[2:40], other[2:40], rtol=0.2)
        power[real is sharp].append(one[20:40].mean())
    assert min(power[True]) > 2 * max(power[False])  # both happen: sharp pairs, and soft ones
    odd = sharp[:, :99]
    assert equalise(odd, odd, np.random.default_rng(0))[0] is odd
    assert equalise(sharp, sharp[:50], np.random.default_rng(0))[0] is sharp


def test_equalising_is_off_unless_asked_for_and_costs_no_draw(crops: Crops) -> None:
    kinds = {"families": {"reupsample": 1.0}, "laundering": LaunderingPolicy()}
    plain = TrainingPairs(crops, SPEC, settings(**kinds), seed=0)
    equal = TrainingPairs(crops, SPEC, settings(**kinds, equalise_p=1.0), seed=0)
    assert torch.equal(plain[0]["native"], TrainingPairs(
        crops, SPEC, settings(**kinds, equalise_p=0.0), seed=0)[0]["native"])  # fmt: skip
    assert not torch.equal(plain[0]["native"], equal[0]["native"])
