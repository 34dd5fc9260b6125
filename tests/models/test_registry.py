"""The contract of every network in MODELS: builds, shapes, gradients, size, declared input."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unmask.errors import ConfigError
from unmask.models.airl import AIRL, AIRLConfig
from unmask.models.checkpoint import predict
from unmask.models.output import ModelOutput
from unmask.models.registry import MODELS, ModelSpec, model_spec
from unmask.transforms.preprocess import InputSpec, to_tensors, to_views

# one network's tests lie side by side, so that it is built and run once
every_model = pytest.mark.parametrize("name", MODELS, scope="module")


@lru_cache(1)
def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return model_spec(name).create().eval()


def inputs(spec: InputSpec, n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """What the one preprocessing path makes of `n` random crops."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (n, 150, 150, 3), dtype=np.uint8)
    return to_tensors([to_views(crop, spec) for crop in crops], spec)


class Run(NamedTuple):
    """One forward pass of three crops at the declared input, and its multiply-adds per crop."""

    batch: dict[str, torch.Tensor]
    output: ModelOutput
    gmacs: float


@lru_cache(1)
def run(name: str) -> Run:
    batch = inputs(MODELS[name].input, 3)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = built(name)(**batch)
    return Run(batch, output, counter.get_total_flops() / 2 / 3 / 1e9)


def light(spec: ModelSpec) -> tuple[BaseModel, InputSpec]:
    """The same network for smaller pictures, where it can take them: a backward pass is dear."""
    config, side = spec.config, spec.input.rgb_size
    if side is None or spec.name.startswith("meso"):
        return config, spec.input
    if "size" in type(config).model_fields:
        config = config.model_copy(update={"size": side // 2})
    return config, spec.input.model_copy(update={"rgb_size": side // 2})


@every_model
def test_is_described_under_its_own_name(name: str) -> None:
    spec = MODELS[name]
    assert spec.name == name
    assert spec.summary
    assert spec.paper
    assert type(spec.config).model_validate_json(spec.config.model_dump_json()) == spec.config


@every_model
def test_takes_its_declared_input(name: str) -> None:
    output = run(name).output
    assert isinstance(output, ModelOutput)
    assert output.logit.shape == (3,)
    assert output.logit.dtype == output.embedding.dtype == torch.float32
    assert output.embedding.ndim == 2
    assert len(output.embedding) == 3
    assert output.embedding.shape[1] >= 16
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(3))


@every_model
def test_the_backward_pass_reaches_every_parameter(name: str) -> None:
    """All but those declared as auxiliary or frozen, and of those none."""
    config, spec = light(MODELS[name])
    auxiliary = MODELS[name].auxiliary
    missing: set[str] | None = None
    for seed in range(4):  # a lone unit behind a ReLU may be dead for one draw of its weights
        torch.manual_seed(seed)
        model = MODELS[name].create(config=config).train()
        output = model(**inputs(spec, 2))
        (output.logit * torch.tensor([1.0, -2.0])).sum().add(
            (output.embedding * torch.randn_like(output.embedding)).sum()
        ).backward()
        assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
        gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
        assert [n for n, g in gradients.items() if g is not None and not g.isfinite().all()] == []
        silent = {n for n, g in gradients.items() if g is None or not g.any()}
        aside = {n for n in gradients if n.startswith(auxiliary)}
        assert aside <= silent
        assert all(any(n.startswith(prefix) for n in aside) for prefix in auxiliary)
        silent -= aside
        missing = silent if missing is None else missing & silent
        if not missing:
            break
    assert not missing


@every_model
def test_a_score_does_not_depend_on_its_batch_or_on_chance(name: str) -> None:
    done = run(name)
    one = {k: v[1:2] for k, v in done.batch.items()}
    alone, single = predict(built(name), one)
    again, _ = predict(built(name), one)
    np.testing.assert_array_equal(alone, again)
    np.testing.assert_allclose(alone[0], done.output.logit[1], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(single[0], done.output.embedding[1], atol=1e-4)
    assert np.ptp(done.output.logit.numpy()) > 0


@every_model
def test_scores_depend_on_the_declared_views_and_on_nothing_else(name: str) -> None:
    batch, declared = run(name).batch, MODELS[name].views
    one = {k: v[1:2] for k, v in batch.items()}
    base, _ = predict(built(name), one)
    assert declared
    for view in ("rgb", "native"):
        moved, _ = predict(built(name), {**one, view: batch[view][2:]})
        assert (moved != base).all() == (view in declared), view


@every_model
def test_has_its_published_size(name: str) -> None:
    spec = MODELS[name]
    count = sum(p.numel() for p in built(name).parameters()) / 1e6
    if spec.parameters_m is not None:
        assert count == pytest.approx(spec.parameters_m, rel=0.02)
    if spec.gmacs is not None:
        assert run(name).gmacs == pytest.approx(spec.gmacs, rel=0.02)
    assert bool(spec.figures) == (spec.parameters_m is not None or spec.gmacs is not None)


@pytest.mark.parametrize("name", ["airl_b0", "airl_small", "rich", "meso4", "residual"])
def test_bfloat16_moves_scores_slightly(name: str) -> None:
    model, batch = built(name), inputs(MODELS[name].input, 2)
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


@pytest.mark.parametrize("name", [n for n in MODELS if n.startswith("airl")])
def test_ablations_have_no_other_stream(name: str) -> None:
    config = MODELS[name].config
    assert isinstance(config, AIRLConfig)
    kinds = {n.split(".")[0] for n, _ in built(name).named_parameters()}
    assert ("rgb" in kinds) == (config.rgb is not None) == ("rgb" in MODELS[name].views)
    frequency = config.frequency is not None
    assert ("frequency" in kinds) == frequency == ("native" in MODELS[name].views)


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
    for name in ("rich", "rich_linear", "meso4", "residual"):
        with pytest.raises(ConfigError, match="no backbone"):
            MODELS[name].create(pretrained=True)
    with pytest.raises(ConfigError, match="trained from scratch"):
        MODELS["airl_small"].create(pretrained=True)
    with pytest.raises(ConfigError, match=r"(?s)'resnet_nine'.*shallow16"):
        AIRL(AIRLConfig(rgb="resnet_nine"))
    with pytest.raises(ValueError, match="RGB stream, a frequency stream, or both"):
        AIRLConfig(rgb=None, frequency=None)
