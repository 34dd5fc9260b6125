"""An ensemble says what its members say, weighted, and where the first of them looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from unmask.errors import ConfigError, ShapeError
from unmask.inference.explain import heatmap
from unmask.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from unmask.models.registry import MODELS

SMALL = {"frequency_channels": [8, 8], "fused": 8, "projection": 8}
CONFIG = EnsembleConfig(
    members=(
        MemberConfig(architecture="airl_small_frequency", config=SMALL),
        MemberConfig(architecture="rich", config={"fused": 8, "projection": 8}),
    )
)


@pytest.fixture(scope="module")
def model() -> Ensemble:
    torch.manual_seed(0)
    made = MODELS["ensemble"].create(config=CONFIG).eval()
    assert isinstance(made, Ensemble)
    made.weigh([2.0, -0.5], 0.25)
    return made


@pytest.fixture(scope="module")
def native() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255


def test_the_logit_is_the_weighted_sum(model: Ensemble, native: torch.Tensor) -> None:
    with torch.inference_mode():
        found = model(native, native)
        first, second = (member(native, native) for member in model.members)
    expected = 2.0 * first.logit - 0.5 * second.logit + 0.25
    torch.testing.assert_close(found.logit, expected)
    assert torch.equal(found.embedding, first.embedding)


def test_the_logit_is_not_rounded_in_bfloat16(model: Ensemble, native: torch.Tensor) -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logit = model(native, native).logit
    assert logit.dtype == torch.float32
    assert not torch.equal(logit, logit.bfloat16().float())


def test_each_member_has_a_weight(model: Ensemble) -> None:
    with pytest.raises(ShapeError, match="1 weights for 2 members"):
        model.weigh([0.5], 0.0)
    with pytest.raises(ValidationError):
        EnsembleConfig(members=())


def test_members_are_built_as_configured(model: Ensemble) -> None:
    assert [type(member).__name__ for member in model.members] == ["AIRL", "RichNet"]
    assert [member.config.fused for member in model.members] == [8, 8]  # type: ignore[union-attr]


@pytest.mark.parametrize("first", ["airl_small_frequency", "rich", "lae", "ensemble"])
def test_the_heatmap_is_the_first_members(first: str) -> None:
    torch.manual_seed(3)
    other = CONFIG.members[1]
    nested = {"ensemble": CONFIG.model_dump(), "airl_small_frequency": SMALL}.get(first, {})
    member = MemberConfig(architecture=first, config=nested)
    model = MODELS["ensemble"].create(config=EnsembleConfig(members=(member, other))).eval()
    assert isinstance(model, Ensemble)
    crop = np.random.default_rng(0).integers(0, 256, (260, 260, 3), dtype=np.uint8)
    spec = MODELS[first].input
    expected = heatmap(model.members[0], crop, spec)
    np.testing.assert_array_equal(heatmap(model, crop, spec), expected)
    assert expected.max() == 1 or first == "lae"  # a random one may see nothing


def test_has_no_weights_to_start_from() -> None:
    with pytest.raises(ConfigError, match="unmask fuse"):
        MODELS["ensemble"].create(pretrained=True)
