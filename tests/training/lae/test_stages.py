"""Both stages on drawn faces: what is logged, kept, shared, resumed, and what a mask changes."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unmask.data.annotation.exchange import read_folder, take
from unmask.data.annotation.masks import mask_to_png
from unmask.data.annotation.store import Annotations, MaskStore
from unmask.data.index import read_index
from unmask.errors import ConfigError, DatasetError
from unmask.models.checkpoint import load_checkpoint
from unmask.models.lae import LAE
from unmask.training import checks
from unmask.training.lae import run as lae_run
from unmask.training.lae.choice import ask_oracle, chosen_pictures
from unmask.training.lae.config import LAETrainConfig
from unmask.training.lae.data import TRAIN, Corpus, pictures_of, stored_masks
from unmask.training.lae.run import WEIGHTS, Work, load_lae, read_done, train_lae
from unmask.training.lae.samples import write_picture
from unmask.transforms.preprocess import to_tensors, to_views


def make_work(drawn: SimpleNamespace, corpus: Corpus, **sections: Any) -> Work:
    return Work(LAETrainConfig.model_validate(drawn.settings(**sections)), corpus, 0)


@pytest.fixture(scope="module")
def first(drawn: SimpleNamespace, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "stage-1"
    make_work(drawn, corpus).first(folder)
    return folder


def logged(folder: Path) -> dict[str, list[float]]:
    """Name -> values by epoch."""
    values: dict[str, list[float]] = {}
    for path in sorted(folder.glob("logs/*/metrics.csv")):
        for row in csv.DictReader(path.open()):
            for name, value in row.items():
                if value:
                    values.setdefault(name, []).append(float(value))
    return values


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / WEIGHTS)
    return found


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def heat(folder: Path, corpus: Corpus, place: int) -> np.ndarray[Any, Any]:
    model, card = load_lae(folder)
    views = to_views(corpus.crops.image(place), card.input)
    return np.asarray(model.attribution(to_tensors([views], card.input)["rgb"]).numpy())


def test_stage_1_logs_every_loss_and_writes_a_grid_per_epoch(first: Path) -> None:
    found = logged(first)
    names = {"pixel", "perceptual", "adversarial", "latent", "discriminator", "total"}
    assert names == {n.removeprefix("train/") for n in found if n.startswith("train/")}
    assert all(len(found[f"train/{name}"]) == 2 for name in names)
    assert {"val/auc", "val/balanced_accuracy", "map/empty_fakes"} <= set(found)
    parts = {name: found[f"train/{name}"][0] for name in names}
    whole = parts["pixel"] + parts["perceptual"] + 0.01 * parts["adversarial"] + parts["latent"]
    assert parts["total"] == pytest.approx(whole, rel=1e-4)
    grids = sorted(path.name for path in (first / "samples").glob("*.png"))
    assert grids == ["epoch-000.png", "epoch-001.png"]
    done = read_done(first)
    assert done is not None
    assert done.val_auc == pytest.approx(max(found["val/auc"]), abs=1e-6)
    assert done.best_epoch == int(np.argmax(found["val/auc"]))
    assert not list(first.glob("*.ckpt"))


def test_losses_can_be_switched_off(drawn: SimpleNamespace, corpus: Corpus, tmp_path: Path) -> None:
    losses = {"pixel": 0, "perceptual": 0, "adversarial": 0, "perceptual_weights": "hub"}
    work = make_work(drawn, corpus, losses=losses, stage_one={"epochs": 1})
    work.first(tmp_path / "off")  # nothing is fetched for a loss that is off
    found = logged(tmp_path / "off")
    assert {n for n in found if n.startswith("train/")} == {"train/latent", "train/total"}
    assert not (tmp_path / "off" / "discriminator.safetensors").exists()


def test_both_stages_see_windows_of_the_crops(
    drawn: SimpleNamespace, corpus: Corpus, tmp_path: Path
) -> None:
    work = make_work(drawn, corpus, data={"window": True}, stage_one={"epochs": 1})
    work.first(tmp_path / "stage-1")
    masks = {place: corpus.own_mask(place) for place in corpus.places(TRAIN, 1)}
    work.second(tmp_path / "stage-2", tmp_path / "stage-1", masks)  # type: ignore[arg-type]
    card = load_lae(tmp_path / "stage-2")[1]
    assert (card.input.rgb_size, card.input.native_size) == (None, 32)
    assert np.isfinite(heat(tmp_path / "stage-2", corpus, 0)).all()
    assert (tmp_path / "stage-2" / "samples" / "epoch-001.png").is_file()


def test_bfloat16_gives_nearly_the_same_losses(
    drawn: SimpleNamespace, corpus: Corpus, first: Path, tmp_path: Path
) -> None:
    make_work(drawn, corpus, precision="bf16-mixed").first(tmp_path / "half")
    exact, half = logged(first), logged(tmp_path / "half")
    for name in ("pixel", "latent", "adversarial", "discriminator"):
        one, two = exact[f"train/{name}"][0], half[f"train/{name}"][0]
        assert one != two  # it was used
        assert two == pytest.approx(one, rel=0.05)
    kept = weights(tmp_path / "half")
    assert {value.dtype for value in kept.values()} <= {torch.float32, torch.int64}


def test_a_finished_stage_is_not_trained_again_and_another_one_is_refused(
    drawn: SimpleNamespace, corpus: Corpus, first: Path
) -> None:
    before = (first / WEIGHTS).stat().st_mtime_ns
    make_work(drawn, corpus, selection={"budget": "1"}).first(first)  # not a part of stage 1
    assert (first / WEIGHTS).stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="another configuration"):
        make_work(drawn, corpus, stage_one={"epochs": 3}).first(first)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("stage", [1, 2])
def test_a_killed_stage_goes_on_to_the_same_result(
    stage: int,
    drawn: SimpleNamespace,
    corpus: Corpus,
    first: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = make_work(
        drawn, corpus, data={"jpeg_quality": [70, 100]},
        stage_one={"epochs": 3}, stage_two={"epochs": 3},
    )  # fmt: skip
    fakes = corpus.places(TRAIN, 1)[:2]
    masks = {place: corpus.own_mask(place) for place in fakes}

    def train(name: str) -> dict[str, torch.Tensor]:
        if stage == 1:
            work.first(tmp_path / name)
        else:
            work.second(tmp_path / name, first, masks)  # type: ignore[arg-type]
        return weights(tmp_path / name)

    whole = train("whole")
    shown = write_picture

    def kill(path: Path, image: Any) -> None:
        if path.name == "epoch-001.png":  # the second epoch is trained, but not kept yet
            raise KilledError
        shown(path, image)

    monkeypatch.setattr(lae_run, "write_picture", kill)
    with pytest.raises(KilledError):
        train("killed")
    monkeypatch.undo()
    assert read_done(tmp_path / "killed") is None
    assert same(whole, train("killed"))
    for name in ("train/total", "train/discriminator", "val/auc"):
        assert logged(tmp_path / "whole")[name][-1] == logged(tmp_path / "killed")[name][-1]
    one, two = read_done(tmp_path / "whole"), read_done(tmp_path / "killed")
    assert one is not None
    assert two is not None
    assert one.model_dump(exclude={"seconds"}) == two.model_dump(exclude={"seconds"})


def test_an_imported_mask_changes_stage_2_for_its_picture(
    drawn: SimpleNamespace, corpus: Corpus, first: Path, tmp_path: Path
) -> None:
    """Masks painted elsewhere come in as PNG files, and the map moves to where they are."""
    work = make_work(
        drawn, corpus,
        model_options={"channels": [4, 8], "latent": 4, "map_normalisation": "max"},
        stage_two={"epochs": 4, "attention": 20.0, "learning_rate": 5e-3, "masked_batch": 4},
    )  # fmt: skip
    place = corpus.places(TRAIN, 1)[0]
    picture = corpus.picture(place)
    results = {}
    for name in ("left", "right"):
        painted = np.zeros((drawn.side, drawn.side), bool)
        half = slice(0, 20) if name == "left" else slice(20, None)
        painted[:, half] = True
        file = tmp_path / name / "from-elsewhere" / f"{Path(picture.path).with_suffix('')}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(mask_to_png(painted))
        with MaskStore(tmp_path / name / "store") as store:
            answers = read_folder(tmp_path / name / "from-elsewhere", [picture])
            outcome = take(store, answers, annotator="ann", source="imported")
        assert (outcome.taken, outcome.refused) == (1, [])
        found = stored_masks(tmp_path / name / "store", corpus, work.config.input())
        assert list(found.masks) == [place]
        assert (found.masks[place][:, :20] == (name == "left")).all()
        done = work.second(tmp_path / name / "stage-2", first, found.masks)
        assert done.masks == 1
        assert min(logged(tmp_path / name / "stage-2")["train/attention"]) > 0
        results[name] = heat(tmp_path / name / "stage-2", corpus, place)
    share = {name: map_[:, :8].sum() / map_.sum() for name, map_ in results.items()}
    assert share["left"] > share["right"] + 0.05


def test_without_masks_stage_2_is_as_long_and_has_no_attention(
    drawn: SimpleNamespace, corpus: Corpus, first: Path, tmp_path: Path
) -> None:
    work = make_work(drawn, corpus)
    fakes = corpus.places(TRAIN, 1)
    masks = {place: corpus.own_mask(place) for place in fakes}
    bare = work.second(tmp_path / "none", first, {})
    full = work.second(tmp_path / "all", first, masks)  # type: ignore[arg-type]
    assert (bare.masks, full.masks) == (0, len(fakes))
    none, every = logged(tmp_path / "none"), logged(tmp_path / "all")
    assert none["step"] == every["step"]
    assert max(none["train/attention"]) == 0 < min(every["train/attention"])
    begin = weights(first)
    assert not same(begin, weights(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no finished stage 1"):
        work.second(tmp_path / "x", tmp_path / "nothing", {})


@pytest.mark.parametrize("rule", ["published", "random", "entropy", "margin", "core_set"])
def test_selection_sees_training_fakes_alone(
    rule: str, corpus: Corpus, first: Path, tmp_path: Path, drawn: SimpleNamespace
) -> None:
    model, card = load_lae(first)
    asked: list[int] = []

    class Watched(Corpus):
        def picture(self, place: int) -> Any:
            asked.append(place)
            return super().picture(place)

    watched = Watched(corpus.crops, corpus.pictures, corpus.normalise)
    found = chosen_pictures(model, card.input, watched, rule, "50%", seed=3)  # type: ignore[arg-type]
    assert len(found) == len({p.path for p in found}) == 4
    assert all((p.label, p.split) == (1, TRAIN) for p in found)
    assert {corpus.crops.items[place].split for place in asked} == {TRAIN}
    assert {item.generator for item in corpus.crops.items} == {"", "seenway"}  # not the unseen
    ask_oracle(tmp_path / "store", found)
    ask_oracle(tmp_path / "store", found)  # again: nothing new
    held = Annotations(tmp_path / "store").all()
    assert {(r.picture, r.source, r.revision) for r in held} == {
        (p.path, "oracle", 1) for p in found
    }


def test_published_uses_the_last_convolution(corpus: Corpus, first: Path) -> None:
    model, card = load_lae(first)
    shuffled, _ = load_lae(first)
    with torch.no_grad():
        shuffled.latent.weight.copy_(shuffled.latent.weight.flip(0))  # same channels before it
    picked = [
        [p.path for p in chosen_pictures(m, card.input, corpus, "published", "3", seed=0)]
        for m in (model, shuffled)
    ]
    assert picked[0] == picked[1]


def test_the_oracle_refuses_a_mask_that_does_not_fit(
    drawn: SimpleNamespace, tmp_path: Path
) -> None:
    path = drawn.make_index(tmp_path / "drawn", {"train": 2, "val": 1, "test": 1})
    (tmp_path / "drawn/masks/seenway/p000.png").write_bytes(
        mask_to_png(np.ones((drawn.side, drawn.side + 1), bool))
    )
    index = read_index(path)
    pictures = [p for p in pictures_of(index).values() if p.path == "seenway/p000.png"]
    with pytest.raises(DatasetError, match=r"(?s)1 masks of the index.*41x40 pixels"):
        ask_oracle(tmp_path / "store", pictures)


def test_train_from_a_file(
    drawn: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = drawn.make_index(tmp_path / "drawn", {"train": 4, "val": 20, "test": 2})
    config = drawn.write_config(
        tmp_path / "tiny.yaml", stage_one={"epochs": 1}, stage_two={"epochs": 1}
    )
    path = train_lae(config, out=tmp_path / "runs/tiny", index=index)
    model, card = load_checkpoint(path)
    assert isinstance(model, LAE)
    assert card.decision is not None
    assert card.training["stage_2"]["masks"] == 2
    assert "masks: 2" in capsys.readouterr().err
    assert same(weights(tmp_path / "runs/tiny/stage-2"), load_file(path))
    with pytest.raises(ConfigError, match="already holds a run"):
        train_lae(config, out=tmp_path / "runs/tiny", index=index)
    before = (tmp_path / "runs/tiny/stage-2" / WEIGHTS).stat().st_mtime_ns
    assert train_lae(config, out=tmp_path / "runs/tiny", index=index, resume=True) == path
    assert (tmp_path / "runs/tiny/stage-2" / WEIGHTS).stat().st_mtime_ns == before


def test_a_gpu_without_bfloat16_is_refused_before_the_index_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "device_type", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    path = tmp_path / "a.yaml"
    path.write_text(
        "kind: lae\nname: a\ndata: {protocol: reenact->face_swap}\nprecision: bf16-mixed\n"
    )
    nowhere = tmp_path / "none.parquet"  # not there: reading it would be another error
    with pytest.raises(ConfigError, match=r"^precision: Old card has no bfloat16"):
        train_lae(path, out=tmp_path / "out", index=nowhere)
