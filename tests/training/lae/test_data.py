"""Pictures and masks as they reach the network, and the sets and settings they come from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from unmask.data.annotation.pictures import Picture
from unmask.data.annotation.store import MaskStore
from unmask.data.protocols.normalise import Normalise
from unmask.errors import ConfigError, DatasetError
from unmask.models.lae import LAE, LAEConfig
from unmask.training.lae.config import LAETrainConfig, is_lae, load_lae_config
from unmask.training.lae.data import (
    TRAIN,
    VAL,
    Corpus,
    MaskedBatches,
    fitted,
    mask_seen,
    stored_masks,
)
from unmask.training.lae.samples import GAP, sample_grid, write_picture
from unmask.training.lae.source import resolve_data
from unmask.transforms.preprocess import InputSpec

SPEC = InputSpec(native_size=32, native_limit=None, rgb_size=40, std=(0.5, 0.5, 0.5))
WINDOW = SPEC.model_copy(update={"rgb_size": None})
ROOT = Path(__file__).parents[3]


def whole(side: int) -> InputSpec:
    """A network that sees the whole crop at that side."""
    return SPEC.model_copy(update={"rgb_size": side})


def batches(corpus: Corpus, **more: object) -> MaskedBatches:
    """Of crops at their own size, without JPEG, so that the fakes' squares can be found again."""
    masks = {place: corpus.own_mask(place) for place in corpus.places(TRAIN, 1)}
    given: dict[str, object] = {"batch": 4, "extra": 2, "seed": 0, "quality": None, **more}
    return MaskedBatches(corpus, SPEC, given.pop("masks", masks), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [32, 40, 80])
def test_a_smaller_mask_is_the_majority_of_each_pixels_area(side: int) -> None:
    mask = np.random.default_rng(0).random((160, 160)) < 0.5
    each = 160 // side
    share = mask.reshape(side, each, side, each).mean((1, 3))
    assert (mask_seen(mask, whole(side)) == (share >= 0.5)).all()


def test_a_larger_mask_keeps_its_place() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:20, 5:35] = True
    assert (mask_seen(mask, whole(80)) == mask.repeat(2, 0).repeat(2, 1)).all()


def test_a_mask_made_smaller_counts_the_area() -> None:
    mask = np.zeros((64, 64), bool)
    mask[0, :3] = True  # of the first two of 32 x 32 pixels: 2/4, 1/4
    assert mask_seen(mask, whole(32)).tolist() == [[True] + [False] * 31] + [[False] * 32] * 31


def test_a_mask_is_cut_where_the_window_is(corpus: Corpus) -> None:
    """A fake's square is bright: in windows of 32 of 40 pixels its mask must lie on it."""
    masks = {place: corpus.own_mask(place) for place in corpus.places(TRAIN, 1)}
    made = MaskedBatches(corpus, WINDOW, masks, batch=4, extra=2, seed=0, quality=None)  # type: ignore[arg-type]
    corners = set()
    for step in range(len(made)):
        batch = made[step]
        assert batch["rgb"].shape[1:] == (32, 32, 3)
        for image, mask in zip(
            batch["rgb"][batch["has_mask"]], batch["mask"][batch["has_mask"]], strict=True
        ):
            assert (
                (image == torch.tensor([250, 240, 60], dtype=torch.uint8)).all(-1) == mask
            ).all()
            corners.add(int(mask.nonzero()[0, 0]))
    assert len(corners) > 1


@pytest.mark.parametrize("own", [True, False])
def test_reals_may_stand_beside_their_own_fakes(corpus: Corpus, own: bool) -> None:
    """A real and the fake made from it differ in the square alone."""
    made = batches(corpus, own=own)
    masks = torch.stack([made[step]["mask"][1:4:2] for step in range(len(made))]).flatten(0, 1)
    pairs = torch.stack([made[step]["rgb"][:4] for step in range(len(made))]).flatten(0, 1)
    same = (pairs[::2] == pairs[1::2]).all(-1)
    alike = [bool((where == ~mask).all()) for where, mask in zip(same, masks, strict=True)]
    assert all(alike) if own else not all(alike)


def test_what_lies_beside_the_window_is_not_seen(corpus: Corpus) -> None:
    place = corpus.places(TRAIN, 1)[0]
    mask = np.zeros((40, 40), bool)
    mask[:4] = True
    assert not mask_seen(mask, WINDOW).any()
    assert mask_seen(mask, WINDOW, offset=(0.5, 0.0))[:4].all()
    own, seen = corpus.own_mask(place), corpus.own_mask_seen(place, WINDOW)
    assert own is not None
    assert (seen == own[4:36, 4:36]).all()


def test_masks_are_flipped_with_their_pictures(corpus: Corpus) -> None:
    """The square is in the left half of every fake: where it is right, both were flipped."""
    flipped = []
    made = batches(corpus)
    for epoch in range(3):
        made.set_epoch(epoch)
        for step in range(len(made)):
            batch = made[step]
            for rgb, mask, has in zip(batch["rgb"], batch["mask"], batch["has_mask"], strict=True):
                if not has:
                    assert not mask.any()
                    continue
                bright = (rgb[..., 0] > 240) & (rgb[..., 2] < 80)
                assert torch.equal(bright, mask)
                flipped.append(int(mask.nonzero()[:, 1].float().mean() > 20))
    assert 0.2 < np.mean(flipped) < 0.8


def test_a_batch_is_half_real_with_masked_pictures_behind(corpus: Corpus) -> None:
    made = batches(corpus)
    assert len(made) == 4  # 8 reals, 2 a batch
    batch = made[1]
    assert batch["label"].tolist() == [0, 1, 0, 1, 1, 1]
    assert batch["has_mask"].tolist() == [False, True, False, True, True, True]
    assert batch["rgb"].shape == (6, 40, 40, 3)
    assert batches(corpus, masks={})[0]["rgb"].shape[0] == 4  # nothing to add
    with pytest.raises(IndexError):
        made[4]


def test_every_real_once_an_epoch_and_draws_by_seed_epoch_and_step(corpus: Corpus) -> None:
    made = batches(corpus, quality=(50, 100))
    made.set_epoch(0)
    assert sorted(made.order) == sorted(corpus.places(TRAIN, 0))
    first = made[2]["rgb"]
    made.set_epoch(1)
    assert not torch.equal(first, made[2]["rgb"])
    made.set_epoch(0)
    assert torch.equal(first, made[2]["rgb"])
    assert not torch.equal(first, batches(corpus, quality=(50, 100), seed=1)[2]["rgb"])


def test_both_of_a_pair_go_through_the_same(corpus: Corpus) -> None:
    """Drawn fakes differ from their reals in the square alone; the chain must not add to that."""
    made = batches(corpus, extra=0)
    index = {item.path: place for place, item in enumerate(corpus.crops.items)}
    for slot in range(4):
        fake = corpus.places(TRAIN, 1)[slot]
        path = corpus.crops.items[fake].path
        real = index[path.parent.parent / "real" / path.name]
        rng = np.random.default_rng(slot)
        (one, _), (two, mask) = made._through([real, fake], rng)
        assert mask is not None
        assert (one == two)[~mask].all()


def test_masks_of_others_are_refused(corpus: Corpus) -> None:
    validation = corpus.places(VAL, 1)[0]
    with pytest.raises(ConfigError, match="not of training pictures"):
        batches(corpus, masks={validation: np.ones((40, 40), bool)})
    with pytest.raises(ConfigError, match="but there are 8"):
        batches(corpus, batch=18)


def test_the_corpus_holds_nothing_of_the_tests(corpus: Corpus) -> None:
    assert {item.split for item in corpus.crops.items} == {TRAIN, VAL}
    assert {item.generator for item in corpus.crops.items} == {"", "seenway"}


def test_a_store_gives_the_latest_answers_to_training_pictures(
    corpus: Corpus, drawn: SimpleNamespace, tmp_path: Path
) -> None:
    fakes, reals = corpus.places(TRAIN, 1), corpus.places(TRAIN, 0)
    painted = np.zeros((40, 40), bool)
    painted[:20] = True
    dot = np.zeros((40, 40), bool)
    dot[0, 0] = True
    validation = corpus.picture(corpus.places(VAL, 1)[0])
    said = {"annotator": "ann", "source": "painted"}
    with MaskStore(tmp_path) as store:
        store.add(corpus.picture(fakes[0]), dot, revision=0, **said)  # type: ignore[arg-type]
        store.add(corpus.picture(fakes[0]), painted, revision=1, **said)  # type: ignore[arg-type]
        store.answer(corpus.picture(fakes[1]), "skipped", revision=0, **said)  # type: ignore[arg-type]
        store.answer(corpus.picture(fakes[2]), "no_forgery", revision=0, **said)  # type: ignore[arg-type]
        store.answer(corpus.picture(reals[0]), "no_forgery", revision=0, **said)  # type: ignore[arg-type]
        store.add(corpus.picture(fakes[3]), dot, revision=0, **said)  # type: ignore[arg-type]
        store.add(validation, painted, revision=0, **said)  # type: ignore[arg-type]
    found = stored_masks(tmp_path, corpus, WINDOW)
    assert set(found.masks) == {fakes[0], reals[0]}
    assert found.masks[fakes[0]].tolist() == [[True] * 40] * 20 + [[False] * 40] * 20
    assert found.count == 1
    assert found.left_out == {
        "skipped": 1,
        "fake in which no forgery was seen": 1,
        "nothing left at 32 pixels": 1,
        "not a training picture": 1,
    }
    with pytest.raises(DatasetError, match="holds no answers"):
        stored_masks(tmp_path / "empty", corpus, WINDOW)


def test_a_mask_goes_through_the_protocols_step(
    drawn: SimpleNamespace, index: Path, tmp_path: Path
) -> None:
    step = Normalise(size="window", side=32)
    config = LAETrainConfig.model_validate(drawn.settings(data={"normalise": step}))
    cut = Corpus.of(resolve_data(config.data, index), tmp_path)
    place = cut.places(TRAIN, 1)[0]
    image, mask = cut.crops.image(place), cut.own_mask(place)
    bright = (image[..., 0] > 200) & (image[..., 2] < 120)  # through JPEG
    assert mask is not None
    assert (bright == mask).mean() > 0.97


def test_a_picture_that_is_no_crop_takes_no_mask(corpus: Corpus) -> None:
    from dataclasses import replace

    items = [replace(item, box=None) for item in corpus.crops.items]
    crops = replace(corpus.crops, items=items)
    with pytest.raises(DatasetError, match="is not a face crop"):
        fitted(crops, 0, np.ones((40, 40), bool), None)
    with pytest.raises(DatasetError, match="41x40 pixels, its crop 40x40"):
        fitted(corpus.crops, 0, np.ones((40, 41), bool), None)


def test_a_grid_shows_input_reconstruction_map_and_mask(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LAE(LAEConfig(size=32, channels=(4, 8), latent=4)).train()
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), bool)
    mask[:, :9] = True
    grid = sample_grid(model, SPEC.model_copy(update={"rgb_size": 32}), pictures, [mask, None])
    assert model.training
    assert grid.shape == (2 * 32 + GAP, 4 * 32 + 3 * GAP, 3)
    assert (grid[:32, :32] == pictures[0]).all()
    last = slice(3 * (32 + GAP), None)
    assert ((grid[:32, last] == 255).all(-1) == mask).all()
    assert (grid[32 + GAP :, last] == 128).all()
    write_picture(tmp_path / "a.png", grid)
    with pytest.raises(ConfigError, match=r"must end in \.jpg"):
        write_picture(tmp_path / "a.png", grid, quality=80)


def test_families_of_an_index_are_a_protocol(drawn: SimpleNamespace, index: Path) -> None:
    config = LAETrainConfig.model_validate(drawn.settings())
    resolved = resolve_data(config.data, index)
    kinds = {n: set(i.table["manipulation"].to_list()) for n, i in resolved.sets().items()}
    assert kinds == {
        "train": {"", "seenway"}, "val": {"", "seenway"},
        "test seen": {"", "seenway"}, "test unseen": {"", "otherway"},
    }  # fmt: skip
    assert resolved.tests["seen"].table.filter(pl.col("split") != "test").is_empty()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.families=[]"], "either a protocol, or families"),
        (["data.protocol=reenact->face_swap"], "either a protocol, or families"),
        (["data.side=40"], "multiple of 16"),
        (["model_options.size=64"], "set data.side instead"),
        (["model_options.latent=3"], "latent"),
        (["losses.perceptual_weights=vgg"], r"must be hub, random, none or a \.safetensors"),
        (["losses.perceptual_layers=[relu9_9]"], "VGG16 has no relu9_9"),
        (["losses.latent=0"], "losses.latent"),
        (["selection.budget='-1'"], "selection.budget: The budget"),
        (["selection.rule=best"], "selection.rule"),
        (["stage_one.batch_size=3"], "stage_one.batch_size"),
        (["seeds=[1, 1]"], "seeds must differ"),
        (["data.jpeg_quality=[90, 70]"], "must be"),
        (["kind"], "cannot be a change"),
    ],
)
def test_a_configuration_that_cannot_work(
    changes: list[str], message: str, drawn: SimpleNamespace, tmp_path: Path
) -> None:
    path = drawn.write_config(tmp_path / "tiny.yaml")
    assert is_lae(path)
    load_lae_config(path)
    with pytest.raises(ConfigError, match=message):
        load_lae_config(path, changes)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs/lae").rglob("*.yaml")), ids=lambda p: "-".join(p.parts[-2:])
)
def test_packaged_configurations(path: Path) -> None:
    config = load_lae_config(path)
    assert is_lae(path)
    with pytest.raises(ConfigError, match="No index of"):
        resolve_data(config.data)  # the protocol is known
    assert not is_lae(ROOT / "configs/default.yaml")


def test_what_stage_1_does_not_depend_on(drawn: SimpleNamespace) -> None:
    plain = LAETrainConfig.model_validate(drawn.settings())
    masks = LAETrainConfig.model_validate(drawn.settings(selection={"rule": "random"}))
    other = LAETrainConfig.model_validate(drawn.settings(stage_one={"epochs": 3}))
    assert plain.sha256(first=True) == masks.sha256(first=True) != other.sha256(first=True)
    assert plain.sha256() != masks.sha256()


def test_a_picture_is_found_by_its_file(corpus: Corpus) -> None:
    place = corpus.places(TRAIN, 1)[0]
    picture = corpus.picture(place)
    assert isinstance(picture, Picture)
    assert (picture.path, picture.split, picture.label) == ("seenway/p000.png", "train", 1)
