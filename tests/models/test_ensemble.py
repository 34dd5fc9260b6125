"""An ensemble says what its members say, weighted, and where the first of them looks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from unmask.errors import ConfigError, ShapeError
from unmask.inference.explain import heatmap
from unmask.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from unmask.models.probe import ProbeFeatures
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


EXPERTS = EnsembleConfig(
    members=(
        *CONFIG.members,
        MemberConfig(
            architecture="rich",
            config={"fused": 4, "projection": 4},
            expert=True,
            statistics_of=1,
        ),
        MemberConfig(architecture="airl_small_frequency", config=SMALL, expert=True),
    )
)


@pytest.fixture(scope="module")
def raised() -> Ensemble:
    torch.manual_seed(2)
    made = MODELS["ensemble"].create(config=EXPERTS).eval()
    assert isinstance(made, Ensemble)
    made.weigh([2.0, -0.5, 3.0, 1.0], 0.25, [-0.1, 0.2])
    return made


def test_an_expert_is_heard_where_it_sees_more(raised: Ensemble, native: torch.Tensor) -> None:
    with torch.inference_mode():
        first, second, fourth = (raised.members[n](native, native) for n in (0, 1, 3))
        third = raised.members[2].head(raised.members[1].statistics(native))  # type: ignore[operator, union-attr]
        mean = 2.0 * first.logit - 0.5 * second.logit + 0.25
        experts = torch.stack([3.0 * third.logit - 0.1, fourth.logit + 0.2])
        heard = set()
        for bias in (-9.0, 0.25, 9.0):
            raised.weigh([2.0, -0.5, 3.0, 1.0], bias, [-0.1, 0.2])
            found = raised(native, native)
            expected = torch.stack([mean + bias - 0.25, *experts])
            torch.testing.assert_close(found.logit, expected.amax(0))
            heard |= set(expected.argmax(0).tolist())
        assert torch.equal(found.embedding, first.embedding)
    assert 0 in heard  # the mean
    assert len(heard) > 1  # an expert


def test_statistics_of_another_are_taken_and_stored_once(
    raised: Ensemble, native: torch.Tensor
) -> None:
    calls = []
    hook = raised.members[1].statistics.register_forward_hook(  # type: ignore[union-attr]
        lambda *_: calls.append(1)
    )
    with torch.inference_mode():
        raised(native, native)
    hook.remove()
    assert len(calls) == 1
    stored = [name for name in raised.state_dict() if name.startswith("members.2.statistics")]
    assert stored == []
    assert any(name.startswith("members.2.fusion") for name in raised.state_dict())


def test_a_frozen_network_that_two_look_at_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    ordinary = ProbeFeatures.__init__

    def counted(self: ProbeFeatures, *arguments: Any) -> None:
        built.append(1)
        ordinary(self, *arguments)

    monkeypatch.setattr(ProbeFeatures, "__init__", counted)
    first = MemberConfig(architecture="probe", config={"fused": 4, "projection": 4})
    again = first.model_copy(update={"expert": True, "statistics_of": 0})
    made = MODELS["ensemble"].create(config=EnsembleConfig(members=(first, again)))
    assert len(built) == 1
    assert [name for name in made.state_dict() if name.startswith("members.1.statistics")] == []


def test_an_ensemble_without_experts_stores_what_it_did(model: Ensemble) -> None:
    names = {name for name in model.state_dict() if not name.startswith("members.")}
    assert names == {"weight", "bias"}


def test_experts_that_cannot_be_are_refused(raised: Ensemble) -> None:
    with pytest.raises(ShapeError, match="1 offsets for 2 experts"):
        raised.weigh([1.0] * 4, 0.0, [1.0])
    first, second = CONFIG.members
    with pytest.raises(ValidationError, match="first one is an expert"):
        EnsembleConfig(members=(first.model_copy(update={"expert": True}), second))
    with pytest.raises(ValidationError, match="1 looks at statistics of no earlier member"):
        EnsembleConfig(members=(first, second.model_copy(update={"statistics_of": 1})))
    other = second.model_copy(update={"statistics_of": 0})
    with pytest.raises(ShapeError, match="Member 1 cannot look at the statistics"):
        MODELS["ensemble"].create(config=EnsembleConfig(members=(first, other)))


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
    assert expected.max() == 1 or first == "lae"  # a random one may see nothing
    np.testing.assert_array_equal(
        heatmap(model, crop, spec),
        expected if expected.any() else heatmap(model.members[1], crop, spec),
    )


def test_the_heatmap_is_the_next_members_where_the_first_finds_nothing() -> None:
    torch.manual_seed(3)
    model = MODELS["ensemble"].create(config=CONFIG).eval()
    assert isinstance(model, Ensemble)
    crop = np.random.default_rng(0).integers(0, 256, (260, 260, 3), dtype=np.uint8)
    spec = MODELS["rich"].input
    with torch.no_grad():
        model.members[0].logit.weight.zero_()  # type: ignore[union-attr,operator]
    assert not heatmap(model.members[0], crop, spec).any()
    found = heatmap(model, crop, spec)
    assert found.max() == 1
    np.testing.assert_array_equal(found, heatmap(model.members[1], crop, spec))


def test_has_no_weights_to_start_from() -> None:
    with pytest.raises(ConfigError, match="unmask fuse"):
        MODELS["ensemble"].create(pretrained=True)


def test_the_heatmap_is_the_experts_where_it_decides() -> None:
    torch.manual_seed(4)
    first = CONFIG.members[0]
    expert = MemberConfig(
        architecture="rich", config={"fused": 4, "projection": 4}, expert=True, statistics_of=1
    )
    config = EnsembleConfig(members=(first, CONFIG.members[1], expert))
    model = MODELS["ensemble"].create(config=config).eval()
    assert isinstance(model, Ensemble)
    spec = MODELS["rich"].input
    crop = np.random.default_rng(0).integers(0, 256, (260, 260, 3), dtype=np.uint8)
    alone = MODELS["rich"].create(config=model.members[2].config).eval()
    alone.load_state_dict(
        model.members[1].state_dict() | model.members[2].state_dict(), strict=False
    )
    maps = []
    for offset in (-1e3, 1e3):  # the expert is not heard, and is
        model.weigh([1.0, 0.5, 1.0], 0.0, [offset])
        maps.append(heatmap(model, crop, spec))
    np.testing.assert_array_equal(maps[0], heatmap(model.members[0], crop, spec))
    np.testing.assert_allclose(maps[1], heatmap(alone, crop, spec), atol=1e-6)
    assert not np.array_equal(*maps)
    assert model.members[2].statistics is not model.members[1].statistics  # as before
