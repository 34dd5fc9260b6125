"""The attention loss in training: what it is of, what it weighs, and that it is off by default."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from unmask.data.annotation.masks import mask_to_png
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import Item
from unmask.errors import ConfigError
from unmask.models.airl import AIRL
from unmask.models.checkpoint import load_checkpoint
from unmask.models.registry import model_spec
from unmask.training import module as training
from unmask.training.config import OptimConfig, TrainConfig
from unmask.training.module import DetectorModule
from unmask.training.network import build, sized
from unmask.training.run import train_on

SIDE = 64
OPTIONS = {"frequency_channels": [4, 4], "fused": 8, "projection": 8, "dropout": 0}
BASE: dict[str, Any] = {
    "name": "masks",
    "model": "airl_small",
    "model_options": OPTIONS,
    "data": {"side": SIDE, "workers": 0, "families": {"square": 1}, "forged": False},
    "optim": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
}


def config(attention: str = "regress", weight: float = 1.0, **optim: Any) -> TrainConfig:
    given = {**BASE["optim"], "attention_weight": weight, **optim}
    options = {**OPTIONS, "attention": attention}
    return TrainConfig.model_validate({**BASE, "model_options": options, "optim": given})


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Crops:
    """Noise, and noise with a flat square; each second fake has a mask."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    five = tuple(float(v) for v in (26, 32, 54, 32, 40, 46, 30, 60, 50, 60))
    items = []
    for number, (split, label) in enumerate(
        [("train", 0)] * 8 + [("train", 1)] * 4 + [("val", 0)] * 4 + [("val", 1)] * 4
    ):
        image = rng.integers(0, 256, (80, 80, 3), np.uint8)
        mask, path = np.zeros((80, 80), bool), root / f"mask {number}.png"
        if label:
            mask[20:50, 30:60] = True
            image[mask] = 255
            path.write_bytes(mask_to_png(mask))
        file = root / f"{number}.png"
        assert cv2.imwrite(str(file), image)
        made = {"source": "s", "generator": "square" * label, "identity": str(number)}
        shape = {"box": (0, 0, 80, 80), "landmarks": five}
        known = path if label and number % 2 else None
        items.append(Item(file, label, split=split, mask=known, **made, **shape))  # type: ignore[arg-type]
    return prepare_crops(items, root / "cache")


def detector(config: TrainConfig) -> DetectorModule:
    spec = sized(model_spec(config.model), config)
    torch.manual_seed(0)
    model = build(spec, config, False)
    return DetectorModule(model, spec.input, config.optim, int, dict, {}, [])


def batch() -> dict[str, torch.Tensor]:
    """Two pairs; the second's fake has no mask."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 2, SIDE, SIDE)
    masks = torch.zeros(shape, dtype=torch.uint8)
    masks[0, 1, 10:40, 20:50], masks[0, 1, 40] = 255, 51
    masks[1, 1] = 255  # not to be looked at
    return {
        "native": torch.randint(0, 256, (*shape, 3), generator=generator, dtype=torch.uint8),
        "label": torch.tensor([[0, 1], [0, 1]]),
        "mask": masks,
        "has_mask": torch.tensor([[True, True], [True, False]]),
    }


def step(module: DetectorModule, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, dict]:
    """The loss of `batch`, and what was logged."""
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value.item()}))
    monkeypatch.setattr(module, "_first_pass", lambda: True)
    return module.training_step(batch(), 0), logged


@pytest.mark.parametrize("how", ["regress", "gate"])
def test_the_loss_is_of_the_pictures_that_have_a_mask(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = detector(config(how, 0.7))
    loss, logged = step(module, monkeypatch)
    assert set(logged) == {
        "train/cross_entropy", "train/contrastive", "train/attention", "train/loss", "loss"
    }  # fmt: skip
    parts = [logged[f"train/{name}"] for name in ("cross_entropy", "contrastive", "attention")]
    assert loss.item() == pytest.approx(parts[0] + 0.5 * parts[1] + 0.7 * parts[2], rel=1e-6)
    assert isinstance(module.model, AIRL)
    pixels = batch()["native"].flatten(0, 1).permute(0, 3, 1, 2).float()
    maps = module.model.with_attention((pixels / 255 - 0.5) / 0.25, pixels)[1]
    laid = F.interpolate(maps[:, None], size=(SIDE, SIDE), mode="bilinear")[:3, 0]
    wanted = batch()["mask"].flatten(0, 1)[:3] / 255
    assert parts[2] == pytest.approx((laid - wanted).square().mean().item(), rel=1e-4)


def test_without_a_weight_nothing_is_asked_of_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AIRL, "with_attention", lambda *_: pytest.fail("asked for a map"))
    for how in ("none", "gate"):
        _, logged = step(detector(config(how, 0.0)), monkeypatch)
        assert "train/attention" not in logged


def test_processes_weigh_as_many_as_their_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over processes of unlike batches is the loss of both together."""
    optim = OptimConfig(attention_weight=1.0)
    spec = model_spec("airl_small").input
    module = DetectorModule(torch.nn.Identity(), spec, optim, int, dict, {}, [])
    maps, masks = torch.rand(8, 4, 4), torch.rand(8, 4, 4)
    known = torch.tensor([True, True, True, True, False, True, False, False])

    def share(rows: slice) -> dict[str, torch.Tensor]:
        return {"mask": masks[rows][None] * 255, "has_mask": known[None, rows]}

    whole = module._attention(maps, share(slice(None)))
    assert whole == pytest.approx(float((maps - masks)[known].square().mean()), rel=1e-6)
    counts = torch.tensor([4.0, 1.0])
    monkeypatch.setattr(training, "gathered", lambda own: counts)
    parts = [module._attention(maps[rows], share(rows)) for rows in (slice(4), slice(4, 8))]
    assert float(sum(parts) / 2) == pytest.approx(float(whole), rel=1e-6)


def losses(out: Path) -> list[float]:
    with (out / "logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [float(row["train/attention"]) for row in rows if row.get("train/attention")]


def test_a_run_draws_the_map_to_the_masks(crops: Crops, tmp_path: Path) -> None:
    given = config("gate", 5.0, epochs=8, learning_rate=5e-3)
    weights = train_on(given, crops, out=tmp_path, cache=tmp_path, command="test", decide=False)
    log = losses(tmp_path)
    assert len(log) == 8
    assert log[-1] < log[0] / 2
    model, card = load_checkpoint(weights)
    assert isinstance(model, AIRL)
    assert model.config.attention == "gate"
    assert card.training["configuration"]["optim"]["attention_weight"] == 5.0


def test_an_index_without_masks_is_refused(crops: Crops, tmp_path: Path) -> None:
    bare = [
        Item(i.path, i.label, i.source, i.generator, i.identity, i.split, i.box, i.landmarks)
        for i in crops.items
    ]
    again = prepare_crops(bare, tmp_path / "cache")
    with pytest.raises(ConfigError, match="No training fake of square has a mask"):
        train_on(config(), again, out=tmp_path, cache=tmp_path, command="test", decide=False)
