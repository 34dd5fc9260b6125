"""The contract of every network in MODELS: builds, shapes, gradients, its declared input."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from unmask.errors import ConfigError
from unmask.models.airl import AIRL, AIRLConfig, AIRLOutput
from unmask.models.checkpoint import predict
from unmask.models.registry import MODELS, ModelSpec, model_spec
from unmask.transforms.preprocess import to_tensors, to_views

every_model = pytest.mark.parametrize("name", MODELS)


@cache
def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return model_spec(name).create().eval()


def inputs(spec: ModelSpec, n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """What the one preprocessing path makes of `n` random crops."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (n, 150, 150, 3), dtype=np.uint8)
    return to_tensors([to_views(crop, spec.input) for crop in crops], spec.input)


@every_model
def test_is_described_under_its_own_name(name: str) -> None:
    spec = MODELS[name]
    assert spec.name == name
    assert spec.summary
    assert spec.paper
    assert type(spec.config).model_validate_json(spec.config.model_dump_json()) == spec.config


@every_model
def test_takes_its_declared_input(name: str) -> None:
    model = built(name)
    with torch.inference_mode():
        output = model(**inputs(MODELS[name], 2))
    assert isinstance(output, AIRLOutput)
    assert output.logit.shape == (2,)
    assert output.logit.dtype == output.embedding.dtype == torch.float32
    assert output.embedding.shape == (2, 128)
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(2))


@every_model
def test_the_backward_pass_reaches_every_parameter(name: str) -> None:
    model, batch = built(name), inputs(MODELS[name], 2)
    model.zero_grad()
    model.train()
    try:
        output = model(**batch)
        (output.logit * torch.tensor([1.0, -2.0])).sum().backward(retain_graph=True)
        (output.embedding * torch.randn_like(output.embedding)).sum().backward()
        gradients = {n: p.grad for n, p in model.named_parameters()}
    finally:
        built.cache_clear()  # batch statistics have moved
    assert [n for n, g in gradients.items() if g is None or not g.any()] == []
    assert [n for n, g in gradients.items() if not torch.isfinite(g).all()] == []


@every_model
def test_a_score_does_not_depend_on_its_batch_or_on_chance(name: str) -> None:
    model, batch = built(name), inputs(MODELS[name], 3)
    logits, embeddings = predict(model, batch)
    again, _ = predict(model, batch)
    np.testing.assert_array_equal(logits, again)
    alone, single = predict(model, {k: v[1:2] for k, v in batch.items()})
    np.testing.assert_allclose(alone[0], logits[1], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(single[0], embeddings[1], atol=1e-4)
    assert np.ptp(logits) > 0


@pytest.mark.parametrize("name", ["airl_b0", "airl_small", "rich"])
def test_bfloat16_moves_scores_slightly(name: str) -> None:
    model, batch = built(name), inputs(MODELS[name], 2)
    exact, _ = predict(model, batch)
    fast, _ = predict(model, batch, precision=torch.bfloat16)
    np.testing.assert_allclose(fast, exact, atol=0.05)


@pytest.mark.parametrize(("name", "millions"), [("airl_b4_rgb", 17.55), ("airl_b0", 4.01)])
def test_backbones_have_their_published_size(name: str, millions: float) -> None:
    backbone = built(name).rgb
    assert isinstance(backbone, nn.Module)
    count = sum(p.numel() for p in backbone.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.02)


def test_the_papers_sizes() -> None:
    model = built("airl_b4")
    assert isinstance(model, AIRL)
    assert model.fusion[0].in_features == 1792 + 256
    assert model.fusion[0].out_features == 512
    assert model.config == AIRLConfig()


@every_model
def test_ablations_have_and_use_no_other_stream(name: str) -> None:
    model, batch = built(name), inputs(MODELS[name], 1)
    other = inputs(MODELS[name], 1, seed=9)
    base, _ = predict(model, batch)
    new_rgb, _ = predict(model, {**batch, "rgb": other["rgb"]})
    new_native, _ = predict(model, {**batch, "native": other["native"]})
    uses_rgb, uses_native = base != new_rgb, base != new_native
    config = MODELS[name].config
    if isinstance(config, AIRLConfig):
        assert uses_rgb.all() == (config.rgb is not None)
        assert uses_native.all() == (config.frequency is not None)
        kinds = {n.split(".")[0] for n, _ in model.named_parameters()}
        assert ("rgb" in kinds) == (config.rgb is not None)
        assert ("frequency" in kinds) == (config.frequency is not None)
    else:
        assert uses_native.all()
        assert not uses_rgb.any()


@pytest.mark.parametrize("view", ["residual", "coefficients", "channels"])
def test_every_dct_view_can_feed_the_frequency_stream(view: str) -> None:
    config = AIRLConfig.model_validate({"rgb": None, "frequency": view, "truncate": 4.0})
    model = AIRL(config).eval()
    native = torch.rand(2, 3, 67, 90) * 255
    with torch.inference_mode():
        assert model(native, native).logit.shape == (2,)
    assert model.frequency is not None
    seen = model.frequency.view(native)
    assert float(seen.abs().max()) <= 1.0
    assert float(seen.abs().max()) > 0.5


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"(?s)'airl_b5'.*airl_b4_rgb"):
        model_spec("airl_b5")
    with pytest.raises(ConfigError, match="no RGB stream"):
        MODELS["airl_frequency"].create(pretrained=True)
    with pytest.raises(ConfigError, match="no backbone"):
        MODELS["rich"].create(pretrained=True)
    with pytest.raises(ConfigError, match="trained from scratch"):
        MODELS["airl_small"].create(pretrained=True)
    with pytest.raises(ConfigError, match=r"(?s)'resnet_nine'.*shallow16"):
        AIRL(AIRLConfig(rgb="resnet_nine"))
    with pytest.raises(ValueError, match="RGB stream, a frequency stream, or both"):
        AIRLConfig(rgb=None, frequency=None)
