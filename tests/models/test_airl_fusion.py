"""How AIRL joins its streams: closed forms, symmetries, gradients, and what must not change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from unmask.models.airl import AIRL, AIRLConfig, FrequencyStream
from unmask.models.backbones import build_backbone, global_pool
from unmask.models.checkpoint import Card, load_checkpoint, save_checkpoint
from unmask.models.fusion import (
    FUSIONS,
    TOKENS,
    AttentionFusion,
    Fusion,
    GatedFusion,
    SumFusion,
    tokens,
)
from unmask.models.registry import MODELS
from unmask.transforms.dct import DctOutput

EPS = 1e-5  # of a batch norm that has seen nothing: x / sqrt(1 + EPS)
VARIANTS = [name for name in get_args(Fusion) if name != "concat"]
VIEWS = get_args(DctOutput)


def small(fusion: str, frequency: str = "residual", **other: Any) -> AIRLConfig:
    settings = {"rgb": "shallow16", "frequency_channels": (8, 16, 24), "fused": 32, **other}
    return AIRLConfig.model_validate({"fusion": fusion, "frequency": frequency, **settings})


def maps(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of 3 and 2 channels and of different sizes."""
    generator = torch.Generator().manual_seed(5)
    return (
        torch.randn(batch, 3, 4, 5, generator=generator),
        torch.randn(batch, 2, 6, 3, generator=generator),
    )


def set_to(parameter: torch.Tensor, values: list[list[float]] | list[float]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def projections(fusion: SumFusion | GatedFusion) -> None:
    """P reads channel 0 and minus channel 2, Q reads channel 1 and three times channel 0."""
    set_to(cast(nn.Linear, fusion.rgb[0]).weight, [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    set_to(cast(nn.Linear, fusion.frequency[0]).weight, [[0.0, 1.0], [3.0, 0.0]])


def projected(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What `projections` makes of maps, channel by channel."""
    mx, my = x.mean((2, 3)), y.mean((2, 3))
    p = torch.stack([mx[:, 0], -mx[:, 2]], dim=1)
    q = torch.stack([my[:, 1], 3 * my[:, 0]], dim=1)
    return p / (1 + EPS) ** 0.5, q / (1 + EPS) ** 0.5


def test_the_sum_by_hand() -> None:
    fusion, (x, y) = SumFusion(3, 2, 2, 0.3).eval(), maps()
    projections(fusion)
    p, q = projected(x, y)
    torch.testing.assert_close(fusion(x, y), (p + q).relu())
    assert (p + q > 0).any()
    assert (p + q < 0).any()


def test_the_sum_without_its_norms_is_the_concatenations_linear_layer() -> None:
    torch.manual_seed(0)
    fusion, (x, y) = SumFusion(3, 2, 4, 0.0).eval(), maps()
    weight = torch.cat([cast(nn.Linear, s[0]).weight for s in (fusion.rgb, fusion.frequency)], 1)
    joined = F.linear(torch.cat([global_pool(x), global_pool(y)], 1), weight).relu()
    torch.testing.assert_close(fusion(x, y), joined / (1 + EPS) ** 0.5)


def test_the_norms_give_both_streams_the_same_say() -> None:
    torch.manual_seed(0)
    fusion, (x, y) = SumFusion(3, 2, 4, 0.0).train(), maps(64)
    torch.testing.assert_close(fusion(100 * x, y), fusion(x, y), atol=0.02, rtol=0)


def test_the_gate_by_hand() -> None:
    fusion, (x, y) = GatedFusion(3, 2, 2, 0.3).eval(), maps()
    projections(fusion)
    # channel 0: by RGB channel 1 and frequency channel 0; channel 1: always 1/4
    set_to(fusion.gate.weight, [[0.0, 2.0, 0.0, -1.0, 0.0], [0.0] * 5])
    set_to(fusion.gate.bias, [0.5, -torch.tensor(3.0).log().item()])
    (p, q), mx, my = projected(x, y), x.mean((2, 3)), y.mean((2, 3))
    g = torch.stack(
        [1 / (1 + (-(2 * mx[:, 1] - my[:, 0] + 0.5)).exp()), torch.full((2,), 0.25)], dim=1
    )
    torch.testing.assert_close(fusion.weight(mx, my), g)
    torch.testing.assert_close(fusion(x, y), (g * p + (1 - g) * q).relu())


@pytest.mark.parametrize(("bias", "stream"), [(40.0, 0), (-40.0, 1)])
def test_a_gate_can_shut_one_stream_out(bias: float, stream: int) -> None:
    fusion, (x, y) = GatedFusion(3, 2, 2, 0.3).eval(), maps()
    projections(fusion)
    set_to(fusion.gate.bias, [bias, bias])
    torch.testing.assert_close(fusion(x, y), projected(x, y)[stream].relu())


def permuted(feature_map: torch.Tensor, seed: int) -> torch.Tensor:
    order = torch.randperm(feature_map[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return feature_map.flatten(2)[:, :, order].view_as(feature_map)


def attention() -> AttentionFusion:
    """Gains of 1 and large keys: at the start, places hardly matter to each other."""
    torch.manual_seed(0)
    fusion = AttentionFusion(3, 2, 16, 0.3).eval()
    set_to(fusion.cross.gains, [1.0, 1.0])
    with torch.no_grad():
        for key in fusion.cross.keys:
            cast(nn.Conv2d, key).weight *= 10
    return fusion


def test_attention_has_no_sense_of_place() -> None:
    fusion, (x, y) = attention(), maps()
    expected = fusion(x, y)
    torch.testing.assert_close(fusion(permuted(x, 1), permuted(y, 2)), expected)
    first_only = torch.cat([permuted(x[:1], 1), x[1:]])
    torch.testing.assert_close(fusion(first_only, y), expected)
    shuffled = x.clone()
    shuffled[:, 0] = permuted(x[:, :1], 1)[:, 0]  # other places, although of the same mean
    torch.testing.assert_close(global_pool(shuffled), global_pool(x))
    assert (fusion(shuffled, y) - expected).abs().max() > 1e-3


def test_attention_by_torchs_own() -> None:
    fusion, (x, y) = attention(), maps()
    rows = [
        F.linear(m.flatten(2).mT, c.weight[:, :, 0, 0])
        for m, c in ((x, fusion.rgb), (y, fusion.frequency))
    ]
    keys, values = (
        [F.linear(r, cast(nn.Conv2d, c).weight[:, :, 0, 0]) for r, c in zip(rows, s, strict=True)]
        for s in (fusion.cross.keys, fusion.cross.values)
    )
    to_x = F.scaled_dot_product_attention(keys[0], keys[1], values[1])
    to_y = F.scaled_dot_product_attention(keys[1], keys[0], values[0])
    pooled = torch.cat([(rows[0] + to_x).mean(1), (rows[1] + to_y).mean(1)], dim=1)
    expected = F.linear(pooled, cast(nn.Linear, fusion.joined[0]).weight) / (1 + EPS) ** 0.5
    torch.testing.assert_close(fusion(x, y), expected.relu(), atol=1e-5, rtol=1e-4)


def test_tokens_are_averages_of_blocks_and_small_maps_stay() -> None:
    big, few = torch.randn(2, 3, 28, 14), torch.randn(2, 3, 2, TOKENS)
    assert torch.equal(tokens(few), few)
    torch.testing.assert_close(tokens(big), F.avg_pool2d(big, (4, 2)))


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion_is_float32_also_under_autocast(name: Fusion) -> None:
    torch.manual_seed(0)
    fusion, (x, y) = FUSIONS[name](3, 2, 8, 0.0).eval(), maps()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = fusion(x, y)
    assert fast.dtype == torch.float32
    assert torch.equal(fast, fusion(x, y))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_every_fusion_trains_on_every_view(fusion: str, view: str) -> None:
    missing: set[str] | None = None
    for seed in range(3):  # a lone unit behind a ReLU may be dead for one draw of its weights
        torch.manual_seed(seed)
        model = AIRL(small(fusion, view, dropout=0.0)).train()
        native = torch.rand(4, 3, 128, 128) * 255
        output = model(native / 255 - 0.5, native)
        assert output.logit.shape == (4,)
        torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(4))
        (output.logit @ torch.randn(4) + (output.embedding * torch.randn(4, 128)).sum()).backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
        assert all(g is not None and g.isfinite().all() for g in gradients.values())
        silent = {n for n, g in gradients.items() if g is None or not g.any()}
        missing = silent if missing is None else missing & silent
        if not missing:
            break
    assert not missing


@pytest.mark.parametrize("fusion", VARIANTS)
def test_the_score_reads_both_streams(fusion: str) -> None:
    torch.manual_seed(1)
    model = AIRL(small(fusion)).eval()
    x, native = torch.randn(2, 3, 64, 64), torch.rand(2, 3, 72, 72) * 255
    with torch.inference_mode():
        base = model(x, native)
        one = model(x[:1], native[:1])
        other = [model(x.flip(0), native).logit, model(x, native.flip(0)).logit]
    torch.testing.assert_close(one.logit, base.logit[:1], atol=1e-5, rtol=1e-4)
    assert all((moved != base.logit).all() for moved in other)


@pytest.mark.parametrize("fusion", VARIANTS)
def test_every_variant_can_learn(fusion: str) -> None:
    # fakes differ in their noise only, which the frequency stream sees
    torch.manual_seed(0)
    config = small(fusion, truncate=8.0, dropout=0.0, frequency_channels=(4, 8, 8), fused=16)
    model = AIRL(config).train()
    labels = torch.tensor([0.0, 1.0]).repeat(4)
    native = 128 + torch.randn(8, 3, 32, 32) * (1 + 5 * labels.view(-1, 1, 1, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(15):
        optimizer.zero_grad()
        logit = model(torch.zeros_like(native), native).logit
        F.binary_cross_entropy_with_logits(logit, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert logit[labels == 1].min() > logit[labels == 0].max()


def test_concat_is_what_it_was() -> None:
    config = AIRLConfig(rgb="shallow16")
    assert config.fusion == "concat"
    torch.manual_seed(7)
    state = AIRL(config).state_dict()
    torch.manual_seed(7)
    literal = nn.ModuleDict(
        {
            "rgb": build_backbone("shallow16"),
            "frequency": FrequencyStream("residual", config),
            "fusion": nn.Sequential(nn.Linear(128 + 256, 512), nn.BatchNorm1d(512)),
            "logit": nn.Linear(512, 1),
            "projection": nn.Linear(512, 128),
        }
    ).state_dict()
    assert list(state) == list(literal)
    assert all(torch.equal(state[name], literal[name]) for name in literal)


@pytest.mark.parametrize("fusion", VARIANTS)
def test_variants_add_tensors_of_their_own_only(fusion: str) -> None:
    concat, other = (AIRL(small(f)).state_dict() for f in ("concat", fusion))
    outside = [
        {name: tensor.shape for name, tensor in state.items() if not name.startswith("fusion.")}
        for state in (concat, other)
    ]
    assert outside[0] == outside[1]
    assert {n for n in other if n.startswith("fusion.")}.isdisjoint(concat)


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_config_and_checkpoint_come_back(fusion: str, tmp_path: Path) -> None:
    config, path = small(fusion, "channels"), tmp_path / "airl.safetensors"
    assert AIRLConfig.model_validate_json(config.model_dump_json()) == config
    model, spec = AIRL(config).eval(), MODELS["airl_small"]
    settings = config.model_dump(mode="json")
    card = Card(name="x", architecture="airl_small", config=settings, input=spec.input)
    save_checkpoint(path, model, card)
    loaded, _ = load_checkpoint(path)
    assert isinstance(loaded, AIRL)
    assert loaded.config == config
    native = torch.rand(2, 3, 40, 48) * 255
    with torch.inference_mode():
        for got, expected in zip(loaded(native, native), model(native, native), strict=True):
            assert torch.equal(got, expected)


def test_a_card_written_before_there_was_a_choice_is_concat() -> None:
    settings = copy.deepcopy(small("concat").model_dump(mode="json"))
    del settings["fusion"]
    assert AIRLConfig.model_validate(settings).fusion == "concat"


@pytest.mark.parametrize("fusion", VARIANTS)
@pytest.mark.parametrize("absent", ["rgb", "frequency"])
def test_one_stream_cannot_be_joined(fusion: str, absent: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{fusion}' joins two streams, but {absent} is"):
        AIRLConfig.model_validate({"fusion": fusion, absent: None})
    with pytest.raises(ValidationError, match="concat"):
        AIRLConfig.model_validate({"fusion": "product"})
