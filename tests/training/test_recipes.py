"""Ways to train that must come to the same, and the recipes that ship."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import CONFIGS, FOLDER
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items
from unmask.losses import am_softmax
from unmask.models.airl import AIRL
from unmask.models.checkpoint import load_checkpoint
from unmask.models.registry import model_spec
from unmask.models.rich import RichNet
from unmask.models.srm import SRMConfig
from unmask.training.config import OptimConfig, TrainConfig, load_config
from unmask.training.module import DetectorModule
from unmask.training.network import build, sized
from unmask.training.optim import statistics_held
from unmask.training.run import train_on

FFPP = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
BASE: dict[str, Any] = {
    "name": "base",
    "model": "airl_small_frequency",
    "model_options": {
        "frequency_channels": [8, 8],
        "fused": 8,
        "projection": 8,
        "dropout": 0,
    },
    "data": {"window": 64, "workers": 0, "families": {FFPP[0]: 1}, "forged": False},
    "optim": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2},
}


@pytest.fixture(scope="module")
def crops(index: Path, runs: Path) -> Crops:
    """The tiny index, with fakes of four manipulations in both splits."""
    rows = list(csv.DictReader(index.open()))
    reals = [row for row in rows if row["label"] == "0"]
    fakes = [row for row in rows if row["label"] == "1"]
    for split in ("train", "val"):
        for number, name in enumerate(FFPP):
            path = f"{split}-{name}.png"
            shutil.copy(index.parent / fakes[number]["path"], index.parent / path)
            reals.append({**fakes[number], "path": path, "generator": name, "split": split})
    path = index.parent / "ffpp.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(reals)
    return prepare_crops(read_items(path), runs / "cache")


def trained(crops: Crops, out: Path, **optim: Any) -> tuple[dict[str, torch.Tensor], float]:
    """Weights in full precision after an epoch, and its mean loss."""
    config = TrainConfig.model_validate({**BASE, "optim": {**BASE["optim"], **optim}})
    train_on(config, crops, out=out, cache=out, command="test", decide=False)
    with (out / "logs/version_0/metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    return torch.load(out / "last.ckpt", weights_only=False)["state_dict"], losses[-1]


@pytest.mark.parametrize("optimizer", ["sgd", "sam"])
def test_parts_of_a_batch_are_a_step_of_the_whole(
    crops: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    def still(module: DetectorModule, batch: Any, index: int) -> None:
        for layer in module.modules():  # it would see each part alone
            if isinstance(layer, _BatchNorm):
                layer.eval()

    monkeypatch.setattr(DetectorModule, "on_train_batch_start", still)
    settings = {"optimizer": optimizer, "contrastive_weight": 0, "rho": 0.5}
    whole, loss = trained(crops, tmp_path / "whole", **settings)
    parts, again = trained(crops, tmp_path / "parts", accumulate=4, **settings)
    assert again == pytest.approx(loss, rel=1e-5)
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "tolerance"),
    [({"channels_last": False}, 1e-4), ({"precision": "bf16-mixed"}, 0.03)],
    ids=["layout", "bf16"],
)
def test_layout_and_precision_change_the_loss_by_rounding_only(
    crops: Crops, tmp_path: Path, change: dict[str, Any], tolerance: float
) -> None:
    settings = {"learning_rate": 1e-3, "contrastive_weight": 0.1}
    _, loss = trained(crops, tmp_path / "plain", **settings)
    _, other = trained(crops, tmp_path / "other", **settings, **change)
    assert other == pytest.approx(loss, rel=tolerance)
    if "precision" in change:
        assert other != loss


class Cosines(nn.Module):
    config = SRMConfig(scale=10.0)


def test_am_softmax_has_the_networks_scale() -> None:
    optim = OptimConfig(loss="am_softmax")
    module = DetectorModule(Cosines(), model_spec("srm").input, optim, int, dict, {}, [])
    logit, labels = torch.tensor([3.0, -2.0, 8.0]), torch.tensor([1, 0, 0])
    loss = module._classification(logit, labels)
    assert torch.equal(loss, am_softmax(logit, labels, scale=10.0))


def test_fused_normalisation_is_held_still_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct2d(4))
    before = model[1].running_mean.clone()
    with statistics_held(model):
        model(torch.randn(2, 3, 8, 8) + 5)
    assert torch.equal(model[1].running_mean, before)
    assert int(model[1].num_batches_tracked) == 0
    model(torch.randn(2, 3, 8, 8) + 5)
    assert not torch.equal(model[1].running_mean, before)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_shipped_configuration_has_its_network(path: Path) -> None:
    config = load_config(path)
    spec = sized(model_spec(config.model), config)
    # at a mask of the DCT, or at what it puts out, which needs real tensors
    looks_inside = path.parent.name != "ffpp" or spec.build in (AIRL, RichNet)
    with torch.device("cpu" if looks_inside else "meta"):  # without weights: quick
        model = build(spec, config, False)
    assert sum(p.numel() for p in model.parameters()) > 0
    if path.parent.name == "ffpp":
        fakes = {"self_blend"} if path.stem == "sbi" else set(FFPP)
        assert set(config.data.families) == fakes
        assert len(set(config.data.families.values())) == 1
        assert config.data.forged == (path.stem == "sbi")


@pytest.mark.parametrize(
    ("name", "model_options"),
    [
        ("airl_frequency", {"frequency_channels": [8, 8], "fused": 8}),
        ("sbi", {"backbone": "resnet10t"}),
    ],
)
def test_a_recipe_takes_a_step(
    crops: Crops, tmp_path: Path, name: str, model_options: dict[str, Any]
) -> None:
    config = load_config(FOLDER / f"ffpp/{name}.yaml")
    optim = {**config.optim.model_dump(), "epochs": 1, "batch_size": 16}
    data = {**config.data.model_dump(), "side": 64, "workers": 0}
    small = {"data": data, "optim": optim, "model_options": model_options, "pretrained": False}
    config = TrainConfig.model_validate({**config.model_dump(), **small})
    weights = train_on(
        config, crops, out=tmp_path, cache=tmp_path, command="test", decide=name == "sbi"
    )
    model, card = load_checkpoint(weights)
    assert card.input.native_size == 64
    state = torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert state["global_step"] == 1
    assert len(state["optimizer_states"][0]["state"]) == len(list(model.parameters()))
