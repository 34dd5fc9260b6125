"""AIRL's attention map: a sigmoid of the last RGB map, beside the score or as a gate before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from unmask.errors import ConfigError
from unmask.losses import attention
from unmask.models.airl import AIRL, AIRLConfig
from unmask.models.backbones import global_pool
from unmask.models.checkpoint import Card, load_checkpoint, save_checkpoint
from unmask.models.fusion import Fusion
from unmask.models.registry import MODELS

HEAD = {"attention.weight", "attention.bias"}


def built(how: str, fusion: str = "concat", **other: Any) -> AIRL:
    """Always with the same random weights."""
    small = {"rgb": "shallow16", "frequency_channels": (8, 16), "fused": 16, "dropout": 0.0}
    torch.manual_seed(3)
    return AIRL(AIRLConfig.model_validate({**small, "fusion": fusion, "attention": how, **other}))


def pictures(count: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    native = torch.rand(count, 3, 64, 64, generator=generator) * 255
    return native[..., :48] / 128 - 1, native


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_regress_scores_as_without(fusion: str) -> None:
    plain, regress = built("none", fusion), built("regress", fusion)
    state = regress.state_dict()
    assert set(state) - set(plain.state_dict()) == HEAD
    assert all(torch.equal(state[name], given) for name, given in plain.state_dict().items())
    output, _ = regress.with_attention(*pictures())
    for got, expected in zip(output, plain(*pictures()), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("how", ["regress", "gate"])
def test_the_map_by_hand(how: str) -> None:
    model, (rgb, native) = built(how).eval(), pictures()
    assert model.rgb is not None
    assert model.attention is not None
    found = model.with_attention(rgb, native)[1]
    weighted = (model.rgb(rgb) * model.attention.weight[0, :, :1, :1]).sum(1)
    assert found.shape == (2, 8, 6)
    torch.testing.assert_close(found, torch.sigmoid(weighted + model.attention.bias))


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_the_gate_weighs_the_last_map(fusion: str) -> None:
    model, (rgb, native) = built("gate", fusion).eval(), pictures()
    output, found = model.with_attention(rgb, native)
    for got, expected in zip(output, model(rgb, native), strict=True):
        assert torch.equal(got, expected)
    assert model.rgb is not None
    assert model.frequency is not None
    seen, traces = model.rgb(rgb) * found[:, None], model.frequency.map(native)
    if fusion == "concat":
        fused = model.fusion(torch.cat([global_pool(seen), global_pool(traces)], dim=1))
    else:
        fused = model.fusion(seen, traces)
    torch.testing.assert_close(output.logit, model.logit(fused)[:, 0])
    assert not torch.allclose(output.logit, built("none", fusion).eval()(rgb, native).logit)


def test_a_gate_that_is_shut_leaves_the_frequency_stream() -> None:
    model, (rgb, native) = built("gate").eval(), pictures()
    assert model.attention is not None
    with torch.no_grad():
        model.attention.weight.zero_()
        model.attention.bias.fill_(-1e4)
    assert torch.equal(model(rgb, native).logit, model(torch.zeros_like(rgb), native).logit)


@pytest.mark.parametrize("how", ["regress", "gate"])
def test_the_loss_reaches_the_head_and_the_rgb_stream_alone(how: str) -> None:
    model = built(how)
    masks = torch.zeros(2, 48, 48)
    masks[1, 10:30, 10:30] = 1
    attention(model.with_attention(*pictures())[1], masks, torch.ones(2).bool()).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {n for n, _ in model.named_parameters() if n.startswith(("rgb.", "attention."))}
    assert moved == expected


def test_the_map_is_float32_also_under_autocast() -> None:
    model = built("gate").eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, found = model.with_attention(*pictures())
    assert (found.dtype, output.logit.dtype) == (torch.float32, torch.float32)


def test_a_map_can_be_learnt() -> None:
    """Bright squares are manipulated: after some steps the map lies on them."""
    model = built("regress", frequency=None)
    generator = torch.Generator().manual_seed(0)
    rgb, masks = torch.randn(4, 3, 32, 32, generator=generator) * 0.3, torch.zeros(4, 32, 32)
    for picture, (x, y) in enumerate([(0, 0), (16, 8), (8, 16)]):
        masks[picture, y : y + 16, x : x + 16] = 1
    rgb += masks[:, None]
    flat = float(masks.var(correction=0))  # the best that one level everywhere can do
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(20):
        optimizer.zero_grad()
        loss = attention(model.with_attention(rgb, rgb)[1], masks, torch.ones(4).bool())
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * flat


def test_a_network_without_a_map_has_none_to_give() -> None:
    with pytest.raises(ConfigError, match="without an attention map"):
        built("none").with_attention(*pictures())
    with pytest.raises(ValidationError, match="attention='regress' looks at the RGB stream"):
        AIRLConfig(rgb=None, attention="regress")


@pytest.mark.parametrize("how", ["regress", "gate"])
def test_config_and_checkpoint_come_back(how: str, tmp_path: Path) -> None:
    model, path = built(how).eval(), tmp_path / "airl.safetensors"
    settings, spec = model.config.model_dump(mode="json"), MODELS["airl_small"]
    card = Card(name="x", architecture="airl_small", config=settings, input=spec.input)
    save_checkpoint(path, model, card)
    loaded, _ = load_checkpoint(path)
    assert isinstance(loaded, AIRL)
    with torch.inference_mode():
        again, found = loaded.with_attention(*pictures())
        output, expected = model.with_attention(*pictures())
    assert torch.equal(found, expected)
    assert torch.equal(again.logit, output.logit)
    del settings["attention"]  # a card from before there was a choice
    assert AIRLConfig.model_validate(settings).attention == "none"
