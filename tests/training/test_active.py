"""Selection rules on cases with a known answer, and against scikit-learn and brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from unmask.errors import ConfigError, ShapeError
from unmask.models.output import ModelOutput
from unmask.models.registry import model_spec
from unmask.training.active import (
    RULES,
    Given,
    Rule,
    activation,
    channel_activations,
    channel_ranking,
    core_set,
    entropy,
    look,
    margin,
    select,
    sparse_logistic,
)
from unmask.transforms.preprocess import InputSpec, to_tensors, to_views

N, C = 120, 30
LABELS = np.arange(N) % 2
FAKES = np.flatnonzero(LABELS)


def given(seed: int = 0) -> Given:
    rng = np.random.default_rng(seed)
    channels = rng.normal(size=(N, C)) * rng.uniform(0.01, 9, C) + rng.normal(size=C)
    return Given(rng.normal(size=N), rng.normal(size=(N, 4)), channels)


def chosen(
    rule: Rule, candidates: np.ndarray = FAKES, budget: int = 10, **more: object
) -> list[int]:
    options: dict[str, object] = {"given": given(), "labels": LABELS, **more}
    return select(rule, candidates, budget, **options).places.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES)
class TestEveryRule:
    def test_fills_the_budget_with_different_candidates(self, rule: Rule) -> None:
        places = chosen(rule)
        assert len(set(places)) == len(places) == 10
        assert set(places) <= set(FAKES.tolist())

    def test_is_decided_by_the_seed(self, rule: Rule) -> None:
        assert chosen(rule, seed=3) == chosen(rule, seed=3)

    def test_chooses_nothing_that_is_annotated(self, rule: Rule) -> None:
        done = FAKES[:40]
        assert sorted(chosen(rule, annotated=done, budget=99)) == FAKES[40:].tolist()
        first = chosen(rule)
        assert not set(first) & set(chosen(rule, annotated=first))

    def test_takes_the_candidates_in_any_order(self, rule: Rule) -> None:
        assert chosen(rule, FAKES[::-1]) == chosen(rule)

    def test_with_nothing_left_there_is_nothing(self, rule: Rule) -> None:
        assert chosen(rule, annotated=FAKES) == []

    def test_a_budget_is_at_least_one(self, rule: Rule) -> None:
        with pytest.raises(ConfigError, match="one mask or more; got 0"):
            chosen(rule, budget=0)


def test_random_depends_on_the_seed_and_is_fair() -> None:
    counts = np.zeros(N)
    for seed in range(600):
        counts[chosen("random", budget=6, seed=seed)] += 1
    assert counts[LABELS == 0].sum() == 0
    # binomial(600, 0.1): mean 60, deviation 7.3
    assert 30 < counts[FAKES].min() < counts[FAKES].max() < 95


def test_entropy_is_that_of_two_classes() -> None:
    logits = np.array([-8.0, -1.5, 0.0, 0.2, 3.0])
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(entropy(logits), scipy_entropy([p, 1 - p], axis=0), rtol=1e-12)
    assert entropy([0.0])[0] == pytest.approx(np.log(2))
    far = entropy([30.0, 60.0, -90.0])
    assert (np.diff(far) < 0).all()
    assert far[-1] > 0


def test_entropy_and_margin_take_the_least_certain() -> None:
    logits = np.array([5.0, -0.1, 2.0, 0.3, -4.0, 1.9])
    seen = Given(logits, np.ones((6, 1)))
    take = lambda rule, **more: select(rule, range(6), 3, given=seen, **more)  # noqa: E731
    assert take("entropy").places.tolist() == take("margin").places.tolist() == [1, 3, 5]
    assert take("margin", threshold=2.0).places.tolist() == [2, 5, 3]
    np.testing.assert_allclose(take("margin", threshold=2.0).scores, [0, -0.1, -1.7])
    np.testing.assert_allclose(margin(logits, 2.0), -np.abs(logits - 2.0))


def test_core_set_goes_where_nothing_is() -> None:
    x = np.array([[0.0], [1.0], [2.0], [9.0], [10.0], [-5.0]])
    found = core_set(x, range(6), 3, annotated=[0])
    assert found.places.tolist() == [4, 5, 2]
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, [10, 5, 2])
    first = core_set(x, range(6), 3, seed=1)
    assert first.scores is not None
    assert first.scores[0] == 0
    assert len({core_set(x, range(6), 1, seed=s).places[0] for s in range(40)}) == 6
    twins = core_set(np.zeros((4, 2)), range(4), 4, annotated=[])
    assert sorted(twins.places.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_core_set_is_within_twice_the_best_radius(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(10, 2))
    distances = np.linalg.norm(x[:, None] - x, axis=2)

    def radius(centres: tuple[int, ...]) -> float:
        return float(distances[:, centres].min(axis=1).max())

    best = min(radius(c) for c in combinations(range(10), 3))
    found = radius(tuple(core_set(x, range(10), 3, seed=seed).places.tolist()))
    assert best <= found <= 2 * best


@pytest.mark.parametrize("penalty", [0.2, 0.05, 0.01])
def test_sparse_logistic_is_that_of_scikit_learn(penalty: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 12)) + 0.4 * rng.normal(size=(200, 1))
    y = (x[:, 3] - x[:, 7] + 0.5 * x[:, 11] + rng.normal(size=200) > 0.4).astype(float)
    weights, intercept = sparse_logistic(x, y, penalty)
    oracle = LogisticRegression(
        l1_ratio=1, solver="saga", C=1 / (200 * penalty), tol=1e-9, max_iter=50_000
    ).fit(x, y)
    np.testing.assert_allclose(weights, oracle.coef_[0], atol=1e-5)
    np.testing.assert_array_equal(weights != 0, oracle.coef_[0] != 0)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=1e-5)
    assert 0 < (weights != 0).sum() < 12 or penalty < 0.05


def test_a_penalty_of_the_largest_gradient_leaves_only_the_intercept() -> None:
    seen = given().channels
    assert seen is not None
    y = (np.arange(N) % 4 == 0).astype(float)
    strongest = np.abs(seen.T @ (y.mean() - y)).max() / N
    weights, intercept = sparse_logistic(seen, y, 1.0001 * strongest)
    assert not weights.any()
    assert intercept == pytest.approx(np.log(0.25 / 0.75), abs=1e-5)


MANY = 1000
HALVES = np.arange(MANY) % 2


def planted() -> tuple[np.ndarray, list[int]]:
    """Channels 4, 9, 17 are higher on fakes, ever more; 2 on reals; 6 is constant."""
    channels = np.random.default_rng(1).normal(size=(MANY, C))
    for channel, shift in ((4, 0.7), (9, 1.0), (17, 1.3), (2, -1.5)):
        channels[:, channel] += shift * HALVES
    channels[:, 6] = 5.0
    return channels, [17, 9, 4]


def test_the_ranking_finds_the_channels_that_speak_for_fake() -> None:
    channels, expected = planted()
    assert channel_ranking(channels, HALVES, top=3).tolist() == expected
    scaled = channels * np.geomspace(1e-3, 1e3, C) + 7
    assert channel_ranking(scaled, HALVES, top=3).tolist() == expected
    assert channel_ranking(channels, 1 - HALVES, top=1).tolist() == [2]
    ten = channel_ranking(channels, HALVES).tolist()
    assert len(ten) == 10
    assert ten[:3] == expected
    assert not {2, 6} & set(ten)


def test_published_takes_what_excites_those_channels_most() -> None:
    channels, strong = planted()
    fakes = np.flatnonzero(HALVES)
    loud = fakes[[5, 450, 33]].tolist()
    for rank, place in enumerate(loud):
        channels[place, strong] = 15 - 4 * rank
    top = channel_ranking(channels, HALVES)
    z = (channels - channels.mean(axis=0)) / np.maximum(channels.std(axis=0), 1e-9)
    np.testing.assert_allclose(activation(channels, top), z[:, top].mean(axis=1))
    seen = Given(np.zeros(MANY), np.ones((MANY, 1)), channels)
    found = select("published", fakes, 3, given=seen, labels=HALVES)
    assert found.places.tolist() == loud
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, z[loud][:, top].mean(axis=1))


def test_the_ranking_of_fewer_channels_than_asked_for() -> None:
    separable = np.column_stack([LABELS, 1 - LABELS, np.full(N, 3.0)]).astype(float)
    assert channel_ranking(separable, LABELS).tolist() == [0]


def test_channels_that_tell_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="No channel of the network is more active on fakes"):
        channel_ranking(np.ones((N, 3)), LABELS)
    with pytest.raises(ConfigError, match="more active on fakes"):
        channel_ranking(1.0 - LABELS[:, None], LABELS)


def test_what_a_rule_lacks_is_named() -> None:
    seen = given()
    with pytest.raises(ConfigError, match="There is no rule 'best'"):
        select("best", FAKES, 1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="margin needs a model"):
        select("margin", FAKES, 1)
    with pytest.raises(ConfigError, match="channel activations"):
        select("published", FAKES, 1, given=Given(seen.logits, seen.embeddings), labels=LABELS)
    for labels in (None, np.ones(N)):
        with pytest.raises(ConfigError, match="needs real and fake"):
            select("published", FAKES, 1, given=seen, labels=labels)
    with pytest.raises(ShapeError, match="logits are not finite"):
        select("entropy", FAKES, 1, given=Given(seen.logits * np.nan, seen.embeddings))
    with pytest.raises(ShapeError, match="embeddings of 120 pictures"):
        select("core_set", FAKES, 1, given=Given(seen.logits, seen.embeddings[1:]))
    with pytest.raises(ShapeError, match=r"labels must be \(120,\) with both 0 and 1"):
        channel_ranking(seen.channels, np.zeros(N))  # type: ignore[arg-type]


SPEC = InputSpec(native_size=32, native_limit=None, rgb_size=32, mean=(0.0,) * 3, std=(1.0,) * 3)


class Toy(nn.Module):
    """Logit and embedding are means of the colours; the map is red, green, blue and their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 4, 1, bias=False)
        self.maps.weight.data = torch.cat([torch.eye(3), torch.ones(1, 3)])[..., None, None]

    @property
    def cam_layer(self) -> tuple[nn.Module, str]:
        return self.maps, "rgb"

    def forward(self, rgb: Tensor, native: Tensor) -> ModelOutput:
        means = self.maps(rgb).mean(dim=(2, 3))
        return ModelOutput(means[:, 3], means[:, :3])


def test_a_network_is_asked_in_batches_and_in_order() -> None:
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 255, (n, n, 3), np.uint8) for n in (32, 32, 32, 32, 32)]
    calls: list[int] = []
    seen = look(
        Toy().eval(), SPEC, crops.__getitem__, 5, channels=True, batch=2,
        advance=lambda: calls.append(1),
    )  # fmt: skip
    means = np.array([crop.reshape(-1, 3).mean(axis=0) / 255 for crop in crops])
    np.testing.assert_allclose(seen.embeddings, means, atol=1e-6)
    np.testing.assert_allclose(seen.logits, means.sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(seen.channels, np.column_stack([means, means.sum(1)]), atol=1e-6)
    assert len(calls) == 5
    assert look(Toy(), SPEC, crops.__getitem__, 2, channels=False).channels is None


def test_a_network_may_give_its_channels_itself() -> None:
    class Own(Toy):
        def channel_activations(self, rgb: Tensor) -> Tensor:
            return rgb.amax(dim=(2, 3))

    crop = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    inputs = to_tensors([to_views(crop, SPEC)], SPEC)
    found = channel_activations(Own(), inputs)
    np.testing.assert_allclose(found, [crop.reshape(-1, 3).max(axis=0) / 255], atol=1e-6)


@pytest.mark.parametrize("name", ["meso4", "residual"])
def test_a_network_of_the_registry_has_channels(name: str) -> None:
    spec = model_spec(name)
    model = spec.create().eval()
    crop = np.random.default_rng(0).integers(0, 255, (2, 260, 260, 3), np.uint8)
    inputs = to_tensors([to_views(one, spec.input) for one in crop], spec.input)
    found = channel_activations(model, inputs)
    assert found.shape[0] == 2
    assert found.shape[1] > 3
    assert np.isfinite(found).all()


def test_a_network_without_a_feature_map_says_so() -> None:
    inputs = {"rgb": torch.zeros(1, 3, 32, 32), "native": torch.zeros(1, 3, 32, 32)}
    with pytest.raises(ConfigError, match="Conv2d has no channels of a feature map"):
        channel_activations(nn.Conv2d(3, 3, 1), inputs)
