"""What cannot work is refused before faces are looked for, with its field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from unmask.apps.cli import app
from unmask.errors import ConfigError, UnmaskError
from unmask.training import checks
from unmask.training.checks import check
from unmask.training.config import TrainConfig

SMALL: dict[str, Any] = {
    "name": "a",
    "model": "airl_small_frequency",
    "model_options": {"frequency_channels": [8], "fused": 8, "projection": 8},
    "data": {},
}


def config(**change: Any) -> TrainConfig:
    return TrainConfig.model_validate({**SMALL, **change})


def test_what_works_passes() -> None:
    check(config(optim={"batch_size": 8, "precision": "bf16-mixed"}), devices=2)
    check(config(model="meso4", model_options={"size": 64}, data={"side": 64}))


@pytest.mark.parametrize(
    ("change", "devices", "words"),
    [
        ({"optim": {"batch_size": 8}}, 3, r"optim\.batch_size: 8 .* 3 devices"),
        ({"optim": {"batch_size": 8, "accumulate": 2}}, 4, "Use a multiple of 16"),
        ({}, 0, "--devices must be at least 1"),
        ({"model": "rich", "model_options": {}}, 2, "--devices: rich"),
        ({"pretrained": True}, 1, "pretrained: true: cannot be had for airl_small_frequency"),
        ({"pretrained": True, "model": "residual", "model_options": {}}, 1, "no backbone"),
        ({"backbone_weights": "x"}, 1, "backbone_weights: cannot be had"),
        ({"backbone_weights": "x", "start": "y"}, 1, "start: gives all weights"),
        ({"pretrained": False, "start": "y"}, 1, "start: gives all weights"),
        ({"optim": {"start_share": 0.5}}, 1, r"optim\.start_share: a share of the weights"),
        (
            {"model": "meso4", "model_options": {}, "data": {"side": 128}},
            1,
            r"data\.side.* meso4 cannot take pictures of 128 px.*256x256",
        ),
    ],
)
def test_what_cannot_work_names_its_field(change: Any, devices: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(config(**change), devices)


def test_half_precision_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "device_type", lambda: "cpu")
    with pytest.raises(ConfigError, match=r"optim\.precision: 16-mixed needs a GPU"):
        check(config(optim={"precision": "16-mixed"}))


def test_gpus_are_counted_and_asked_for_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "device_type", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    with pytest.raises(ConfigError, match="this machine has 1 GPUs"):
        check(config(), devices=2)
    with pytest.raises(ConfigError, match="Old card has no bfloat16"):
        check(config(optim={"precision": "bf16-mixed"}))


def test_it_is_refused_before_the_index_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nmodel: meso4\ndata: {side: 128}\n")
    index = tmp_path / "none.csv"  # not there: reading it would be another error
    words = ["train", str(path), "--index", str(index), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == UnmaskError.exit_code
    assert "data.side" in done.stderr
    assert not (tmp_path / "run").exists()
