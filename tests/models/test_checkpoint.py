"""Checkpoints: exact round trips for every network, and each way a file can be wrong."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from unmask.errors import CheckpointError
from unmask.models.airl import AIRL, AIRLConfig
from unmask.models.backbones import ShallowResNet, build_backbone, load_backbone_weights
from unmask.models.checkpoint import (
    Card,
    card_path,
    file_sha256,
    load_checkpoint,
    read_card,
    save_checkpoint,
    write_card,
)
from unmask.models.registry import MODELS

TINY = AIRLConfig(rgb=None, truncate=8.0, frequency_channels=(4, 8), fused=8, projection=4)


def card(config: Any = TINY, architecture: str = "airl_small_frequency") -> Card:
    return Card(
        name="tiny",
        architecture=architecture,
        config=config.model_dump(mode="json"),
        input=MODELS[architecture].input,
        limitations=["none worth having"],
    )


def tiny() -> AIRL:
    torch.manual_seed(3)
    return AIRL(TINY)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny(), card())
    return path


def states_equal(one: nn.Module, two: nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    spec, path = MODELS[name], tmp_path / "deep" / f"{name}.safetensors"
    model = spec.create()
    for buffer in model.buffers():  # running statistics must travel too
        if buffer.is_floating_point():
            buffer += torch.rand_like(buffer)
    written = save_checkpoint(path, model, card(spec.config, name))
    loaded, described = load_checkpoint(path)
    assert states_equal(model, loaded)
    assert described == written == read_card(path)
    assert described.weights_sha256 == file_sha256(path)
    assert described.parameters == sum(p.numel() for p in model.parameters())
    assert not loaded.training
    path.unlink()  # together they are most of a gigabyte


def test_half_is_half_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    spec = MODELS["airl_small"]
    model = spec.create().eval()
    save_checkpoint(tmp_path / "full.safetensors", model, card(spec.config, "airl_small"))
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, model, card(spec.config, "airl_small"), half=True)
    assert path.stat().st_size < 0.52 * (tmp_path / "full.safetensors").stat().st_size
    loaded, _ = load_checkpoint(path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    pixels = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode():
        expected, got = model(pixels / 255, pixels), loaded(pixels / 255, pixels)
    torch.testing.assert_close(got.logit, expected.logit, atol=5e-3, rtol=5e-3)


def test_half_keeps_buffers_that_float16_cannot_hold(tmp_path: Path) -> None:
    spec, path = MODELS["rich"], tmp_path / "rich.safetensors"
    model: Any = spec.create()
    deviation = torch.logspace(-8, 1, len(model.mean))
    model.standardise_to(torch.randn_like(model.mean), deviation)
    save_checkpoint(path, model, card(spec.config, "rich"), half=True)
    loaded: Any = load_checkpoint(path)[0]
    assert torch.equal(loaded.scale, model.scale)
    assert torch.equal(loaded.mean, model.mean)


@pytest.mark.parametrize(("value", "half"), [(float("nan"), False), (1e5, True)])
def test_weights_that_are_not_finite_are_not_written(
    value: float, half: bool, tmp_path: Path
) -> None:
    model, path = tiny(), tmp_path / "tiny.safetensors"
    with torch.no_grad():
        model.logit.bias.fill_(value)
    with pytest.raises(CheckpointError, match=r"1 tensors hold .* not finite \(logit\.bias\)"):
        save_checkpoint(path, model, card(), half=half)
    assert not path.exists()


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"\.safetensors, not tiny\.pt"):
        save_checkpoint(tmp_path / "tiny.pt", tiny(), card())


def test_missing_weights_and_missing_card(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="There are no weights"):
        load_checkpoint(saved.with_name("other.safetensors"))
    card_path(saved).unlink()
    with pytest.raises(CheckpointError, match=r"(?s)no model card .*copy both"):
        load_checkpoint(saved)


def test_a_card_that_is_none(saved: Path) -> None:
    for text in ("not JSON", "{}", json.dumps({"name": "x", "extra": 1})):
        card_path(saved).write_text(text)
        with pytest.raises(CheckpointError, match="is not a model card"):
            load_checkpoint(saved)


def test_one_changed_byte_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-5] ^= 1
    saved.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"SHA-256 differs"):
        load_checkpoint(saved)


def altered(saved: Path, **changes: Any) -> None:
    """Change the card, and make its hash fit whatever the weights are now."""
    update = {**changes, "weights_sha256": file_sha256(saved)}
    write_card(saved, read_card(saved).model_copy(update=update))


def test_another_architecture_is_refused(saved: Path) -> None:
    altered(saved, architecture="rich", config={})
    with pytest.raises(CheckpointError, match="does not fit rich"):
        load_checkpoint(saved)
    altered(saved, architecture="resnet")
    with pytest.raises(CheckpointError, match="No network is called 'resnet'"):
        load_checkpoint(saved)


def test_another_configuration_is_refused(saved: Path) -> None:
    # `truncate` leaves no tensor behind: only the metadata tells
    altered(saved, config={**TINY.model_dump(mode="json"), "truncate": 2.0})
    with pytest.raises(CheckpointError, match="describe different networks"):
        load_checkpoint(saved)
    altered(saved, config={"width": 3})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_checkpoint(saved)


def test_another_format_is_refused(saved: Path) -> None:
    altered(saved, format="unmask.checkpoint/2")
    with pytest.raises(CheckpointError, match=r"'unmask\.checkpoint/2'; this version reads"):
        load_checkpoint(saved)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_a_pickle_is_never_opened(saved: Path, tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    for data in (pickle.dumps(Trap(trace)), None):
        if data is None:
            torch.save(Trap(trace), saved)
        else:
            saved.write_bytes(data)
        altered(saved)
        with pytest.raises(CheckpointError, match="does not fit airl_small_frequency"):
            load_checkpoint(saved)
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            load_backbone_weights(ShallowResNet(4), saved)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Trap(trace)))
    assert trace.exists()  # the trap works


def test_backbone_weights_from_a_file(tmp_path: Path) -> None:
    source, path = ShallowResNet(4), tmp_path / "backbone.safetensors"
    head = {"fc.weight": torch.zeros(2, 32), "fc.bias": torch.zeros(2)}
    save_file({**source.state_dict(), **head}, path)
    target = ShallowResNet(4)
    load_backbone_weights(target, path)
    assert states_equal(source, target)
    save_file(ShallowResNet(16).state_dict(), path)
    assert states_equal(build_backbone("shallow16", weights=path), _loaded16(path))


def _loaded16(path: Path) -> ShallowResNet:
    model = ShallowResNet(16)
    model.load_state_dict(load_file(path))
    return model


def test_backbone_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "backbone.safetensors"
    with pytest.raises(CheckpointError, match="no backbone weights file"):
        load_backbone_weights(ShallowResNet(4), path)
    torch.save({}, path)
    with pytest.raises(CheckpointError, match=r"(?s)not a safetensors file.*can run code"):
        load_backbone_weights(ShallowResNet(4), path)
    state = ShallowResNet(4).state_dict()
    state["extra"] = state.pop("stem.0.weight")
    save_file(state, path)
    with pytest.raises(CheckpointError, match=r"1 tensors missing \(stem.0.weight\), 1 unknown"):
        load_backbone_weights(ShallowResNet(4), path)
    save_file(ShallowResNet(8).state_dict(), path)
    with pytest.raises(CheckpointError, match="does not fit the backbone"):
        load_backbone_weights(ShallowResNet(4), path)
