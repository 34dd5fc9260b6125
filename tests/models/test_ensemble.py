"""An ensemble says what its members say, weighted, and where the first of them looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unmask.errors import ConfigError
from unmask.inference.explain import heatmap
from unmask.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from unmask.models.registry import MODELS
from unmask.transforms.preprocess import InputSpec

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
    side_by_side = torch.cat([first.embedding, second.embedding], dim=1) / 2**0.5
    torch.testing.assert_close(found.embedding, side_by_side)


def test_members_are_built_as_configured(model: Ensemble) -> None:
    assert [type(member).__name__ for member in model.members] == ["AIRL", "RichNet"]
    assert [member.config.fused for member in model.members] == [8, 8]  # type: ignore[union-attr]


def test_the_heatmap_is_the_first_members(model: Ensemble) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    spec = InputSpec(native_size=64)
    first = model.members[0]
    # a positive weight scales the gradient and leaves the map
    np.testing.assert_allclose(heatmap(model, crop, spec), heatmap(first, crop, spec), atol=1e-5)


def test_has_no_weights_to_start_from() -> None:
    with pytest.raises(ConfigError, match="unmask fuse"):
        MODELS["ensemble"].create(pretrained=True)
