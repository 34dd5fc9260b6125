"""Erasing sources from a linear score, against its definition; and in a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items
from unmask.data.scoring import reals_of, scoring_sets
from unmask.errors import ConfigError
from unmask.models.lae import LAE
from unmask.models.registry import MODELS
from unmask.models.rich import RichConfig
from unmask.models.statistics import StatisticsNet, mean_odds
from unmask.training import erasure
from unmask.training.config import DataConfig, TrainConfig
from unmask.training.erasure import (
    Sources,
    alike,
    check_sources,
    erase_sources,
    more_reals,
    raised_alike,
    untrained,
)
from unmask.training.module import score_sets
from unmask.transforms.preprocess import to_tensors


def drawn(groups: int = 3, size: int = 6) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A weight, features of correlated columns with group means apart, and the groups."""
    rng = np.random.default_rng(0)
    names = [f"g{i % groups}" for i in range(240)]
    mixing = rng.normal(size=(size, size))
    shift = {f"g{i}": rng.normal(size=size) for i in range(groups)}
    features = rng.normal(size=(240, size)) @ mixing + np.array([shift[n] for n in names])
    return rng.normal(size=size), features, names


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_all_groups_have_the_same_mean_score(groups: int) -> None:
    weight, features, names = drawn(groups)
    scores = features @ Sources.of(features, names).erased(weight)
    means = [scores[np.array(names) == name].mean() for name in sorted(set(names))]
    before = [(features @ weight)[np.array(names) == name].mean() for name in sorted(set(names))]
    assert np.ptp(before) > 0.1
    np.testing.assert_allclose(means, means[0], atol=1e-9)


def test_scores_move_as_little_as_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "SHRINKAGE", 0.0)
    weight, features, names = drawn()
    means = np.stack([features[np.array(names) == n].mean(0) for n in sorted(set(names))])
    within = features - means[[int(n[1]) for n in names]]

    def moved(candidate: np.ndarray) -> float:
        return float(np.mean((within @ (candidate - weight)) ** 2))

    constraint = {"type": "eq", "fun": lambda w: (means[1:] - means[0]) @ w}
    best = minimize(moved, weight, method="SLSQP", constraints=[constraint], tol=1e-14)
    found = Sources.of(features, names).erased(weight)
    assert moved(found) == pytest.approx(best.fun, rel=1e-4)
    np.testing.assert_allclose(found, best.x, rtol=1e-2, atol=1e-3)


def test_each_of_several_scores_is_treated_as_if_alone() -> None:
    weight, features, names = drawn()
    several = np.stack([weight, weight[::-1], 2 * weight])
    sources = Sources.of(features, names)
    alone = [sources.erased(one) for one in several]
    np.testing.assert_allclose(sources.erased(several), alone, atol=1e-9)


def test_groups_differ_by_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "SHRINKAGE", 0.0)
    weight, features, names = drawn()
    shifts = np.array([0.3, -0.2, 0.7])
    scores = features @ Sources.of(features, names).erased(weight, shifts)
    means = np.array([scores[np.array(names) == name].mean() for name in sorted(set(names))])
    np.testing.assert_allclose(means - means[0], shifts - shifts[0], atol=1e-9)


def test_counts_are_as_repeats() -> None:
    weight, features, names = drawn()
    counts = [1 + i % 3 for i in range(len(names))]
    repeated = Sources.of(
        np.repeat(features, counts, axis=0),
        [name for name, count in zip(names, counts, strict=True) for _ in range(count)],
    )
    counted = Sources.of(features, names, counts)
    np.testing.assert_allclose(counted.erased(weight), repeated.erased(weight), atol=1e-9)
    alike = Sources.of(features, names, [5.0] * len(names))
    np.testing.assert_allclose(
        alike.erased(weight), Sources.of(features, names).erased(weight), atol=1e-9
    )


def test_a_weight_that_sees_no_group_stays() -> None:
    weight, features, names = drawn(2)
    means = [features[np.array(names) == n].mean(0) for n in ("g0", "g1")]
    apart = means[1] - means[0]
    blind = weight - apart * (apart @ weight) / (apart @ apart)
    np.testing.assert_allclose(Sources.of(features, names).erased(blind), blind, atol=1e-9)


@pytest.fixture(scope="module")
def crops(index: Path, runs: Path) -> Crops:
    """The tiny index, its reals of two sources in turn: every second picture is another's."""
    found = prepare_crops(read_items(index), runs / "cache")
    items = [
        replace(item, source=f"{item.source}-{number % 2}")
        for number, item in enumerate(found.items)
    ]
    return replace(found, items=items)


def test_a_networks_sources_get_the_same_mean_logit(
    crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = MODELS["airl_small_frequency"]
    torch.manual_seed(0)
    model = spec.create().eval()
    sets = scoring_sets(crops, spec.input, "val", forged=False)

    def means() -> list[float]:
        scored = list(score_sets(model, sets, spec.input).values())
        logits = np.concatenate([found for found, item in scored if not item.label])
        sources = np.array([s for _, item in scored if not item.label for s in item.sources])
        return [float(logits[sources == s].mean()) for s in ("tests-0", "tests-1")]

    before = means()
    check_sources(sets, model)
    erase_sources(model, sets, spec.input)
    after = means()
    assert abs(before[0] - before[1]) > 1e-4
    assert after[0] == pytest.approx(after[1], abs=1e-5)
    assert np.mean(after) == pytest.approx(np.mean(before), abs=1e-5)  # as many of each
    erase_sources(model, sets, spec.input, shifts={"tests-1": 0.25})
    later = means()
    assert later[1] - later[0] == pytest.approx(0.25, abs=1e-5)
    assert np.mean(later) == pytest.approx(np.mean(before), abs=1e-5)


def test_the_logit_of_several_scores_gets_the_same_mean() -> None:
    """Though the scores set one group's pictures farther apart than another's."""
    weight, features, names = drawn()
    group = np.array(names) == "g1"
    features[group] = 3 * features[group] - 2 * features[group].mean(axis=0)
    several = np.stack([weight, weight[::-1], -weight])
    bias = np.array([0.5, -1.0, 0.0])

    def means(weights: np.ndarray, biases: np.ndarray) -> list[float]:
        logits = mean_odds(torch.from_numpy(features @ weights.T + biases)).numpy()
        return [float(logits[np.array(names) == name].mean()) for name in sorted(set(names))]

    middle = features.mean(axis=0)
    after = alike(several, bias, features, names, [1.0] * len(names), middle)
    np.testing.assert_allclose(means(*after), means(*after)[0], atol=1e-5)
    np.testing.assert_allclose(after[0] @ middle + after[1], several @ middle + bias, atol=1e-9)
    assert np.ptp(means(Sources.of(features, names).erased(several), bias)) > 0.5


def test_the_logit_of_several_scores_differs_by_what_is_asked_for() -> None:
    weight, features, names = drawn()
    several, wanted = np.stack([weight, weight[::-1]]), np.array([0.4, 0.0, -0.2])
    after, bias = alike(
        several, np.zeros(2), features, names, [1.0] * len(names), features.mean(axis=0), wanted
    )
    logits = mean_odds(torch.from_numpy(features @ after.T + bias)).numpy()
    means = np.array([logits[np.array(names) == name].mean() for name in sorted(set(names))])
    np.testing.assert_allclose(means - means[1], wanted, atol=1e-5)


def test_an_expert_raises_all_groups_alike() -> None:
    """A group that spreads three times as far gets less; one that no expert is heard in, more."""
    rng = np.random.default_rng(0)
    spread = {"narrow": 1.0, "wide": 3.0, "sure": 1.0}
    groups = [name for name in spread for _ in range(200)]
    mean, experts = (
        np.array([spread[name] for name in groups]) * rng.normal(size=600) for _ in range(2)
    )
    experts[400:] = -100.0
    shifts = raised_alike(mean, experts, groups)
    names = np.array(groups)
    moved = np.maximum(mean + np.array([shifts[name] for name in groups]), experts)
    rises = [float((moved - mean)[names == name].mean()) for name in spread]
    np.testing.assert_allclose(rises, rises[0], atol=1e-4)
    assert shifts["wide"] < shifts["narrow"] < shifts["sure"]
    assert sum(shifts.values()) == pytest.approx(0, abs=1e-9)  # as many of each


def test_an_expert_that_is_always_heard_moves_nothing_far() -> None:
    mean, experts = np.zeros(4), np.array([5.0, 5.0, 6.0, 6.0])
    shifts = raised_alike(mean, experts, ["a", "a", "b", "b"])
    assert max(map(abs, shifts.values())) <= 1


def test_a_networks_scores_get_the_same_mean_logit(crops: Crops) -> None:
    spec = MODELS["rich"]
    torch.manual_seed(0)
    model = spec.create(config=RichConfig(fused=None, kinds=3)).eval()
    assert isinstance(model, StatisticsNet)
    sets = scoring_sets(crops, spec.input, "val", forged=False)
    reals = [item for item in sets if not item.label]
    sources = np.array([source for item in reals for source in item.sources])

    def means() -> tuple[np.ndarray, np.ndarray]:
        """Of the logit by source, and of every score over all."""
        found = []
        with torch.no_grad():
            for item in reals:
                statistics = model.statistics(to_tensors(item.views[:], spec.input)["native"])
                found.append(model.logit(model.standard(statistics)).double())
        scores = torch.cat(found)
        logits = mean_odds(scores).numpy()
        by_source = [logits[sources == one].mean() for one in ("tests-0", "tests-1")]
        return np.array(by_source), scores.mean(0).numpy()

    before, all_before = means()
    erase_sources(model, sets, spec.input)
    after, all_after = means()
    assert np.ptp(before) > 1e-3
    assert np.ptp(after) < 1e-4
    np.testing.assert_allclose(all_after, all_before, atol=1e-4)


def test_training_reals_count_alike_in_every_source(crops: Crops) -> None:
    """Pooled by hand: a source's mean is of both splits, in the shares that these have in all."""
    spec = MODELS["airl_small_frequency"]
    torch.manual_seed(0)
    model = spec.create().eval()
    sets = [one for one in scoring_sets(crops, spec.input, "val", forged=False) if not one.label]
    assert len(sets) == 4  # a picture under three controls is one picture
    whole = reals_of(crops, spec.input, "train", most=10_000)
    first = whole.sources.index("tests-0")
    places = [i for i, source in enumerate(whole.sources) if source == "tests-1" or i == first]
    uneven = replace(
        whole,
        views=[whole.views[i] for i in places],
        sources=[whole.sources[i] for i in places],
        identities=[whole.identities[i] for i in places],
    )
    erase_sources(model, sets, spec.input, [uneven])
    trained = replace(uneven, name="trained")
    scored = score_sets(model, [*sets, trained], spec.input)
    n_held, n_known = len(sets[0].views), len(places)
    means = []
    for source in ("tests-0", "tests-1"):
        known, held = (
            np.concatenate(
                [
                    found[np.array(item.sources) == source]
                    for found, item in scored.values()
                    if (item is trained) == is_trained
                ]
            ).mean()
            for is_trained in (True, False)
        )
        means.append((n_held * held + n_known * known) / (n_held + n_known))
    assert means[0] == pytest.approx(means[1], abs=1e-5)


def test_reals_that_were_not_trained_on_count_as_held_out(crops: Crops) -> None:
    """What is beside the fakes says who was trained on; the others' means are of both splits."""
    spec = MODELS["airl_small_frequency"]
    torch.manual_seed(0)
    model = spec.create().eval()
    sets = scoring_sets(crops, spec.input, "val", forged=False)
    data = DataConfig(families={"stylegan": 1}, beside={"stylegan": ["tests-0"]})
    config = TrainConfig(name="t", model="airl_small_frequency", data=data)
    later = config.model_copy(update={"start": Path("earlier.safetensors")})
    assert more_reals(crops, spec.input, later, sets)[1]  # who knows what that was trained on
    more, trained_on = more_reals(crops, spec.input, config, sets)
    assert not trained_on
    assert [item.name for item in more] == [item.name for item in sets if not item.label]
    assert all(set(item.sources) == {"tests-1"} for item in more)
    erase_sources(model, sets, spec.input, more, trained_on=trained_on)
    logits: dict[str, list[float]] = {"tests-0": [], "tests-1": []}
    held = {item.name: item for item in sets if not item.label}
    for group in (held, {item.name: item for item in more}):
        for found, item in score_sets(model, list(group.values()), spec.input).values():
            for source, logit in zip(item.sources, found, strict=True):
                logits[source].append(float(logit))
    assert len(logits["tests-1"]) > len(logits["tests-0"])
    assert np.mean(logits["tests-0"]) == pytest.approx(np.mean(logits["tests-1"]), abs=1e-5)


@pytest.mark.parametrize(
    ("families", "beside", "expected"),
    [
        (["self_blend"], {}, set()),
        (["self_blend"], {"stylegan": ["a"]}, set()),
        (["self_blend", "stylegan"], {"stylegan": ["a"]}, set()),
        (["stylegan"], {"stylegan": ["a"]}, {"b", "c"}),
        (["stylegan", "other"], {"stylegan": ["a"], "other": ["c"]}, {"b"}),
    ],
)
def test_which_sources_took_no_part(
    families: list[str], beside: dict[str, list[str]], expected: set[str]
) -> None:
    data = DataConfig(families=dict.fromkeys(families, 1.0), beside=beside)
    assert untrained(data, ["a", "b", "c"]) == expected


def test_no_more_reals_of_a_source_are_drawn_than_asked_for(crops: Crops) -> None:
    spec = MODELS["airl_small_frequency"].input
    some, again = (reals_of(crops, spec, "train", most=3) for _ in range(2))
    assert sorted(some.sources) == ["tests-0"] * 3 + ["tests-1"] * 3
    assert some.identities == again.identities
    assert len(some.views) == 6


def test_training_reals_that_lack_a_source_do_not_count(crops: Crops) -> None:
    spec = MODELS["airl_small_frequency"]
    sets = scoring_sets(crops, spec.input, "val", forged=False, controls={})
    whole = reals_of(crops, spec.input, "train", most=10_000)
    places = [i for i, source in enumerate(whole.sources) if source == "tests-1"]
    lacking = replace(
        whole, views=[whole.views[i] for i in places], sources=["tests-1"] * len(places)
    )
    weights = []
    for trained in ((), (lacking,)):
        torch.manual_seed(0)
        model = spec.create().eval()
        erase_sources(model, sets, spec.input, trained)
        weights.append(model.logit.weight.detach())  # type: ignore[union-attr]
    assert torch.equal(*weights)


def test_what_cannot_be_erased_is_refused(crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "LEAST", 12)
    spec = MODELS["airl_small_frequency"]
    sets = scoring_sets(crops, spec.input, "val", forged=False, controls={})
    with pytest.raises(ConfigError, match="tests-0 11, tests-1 11"):
        check_sources(sets, spec.create())
    with pytest.raises(ConfigError, match="no linear layer"):
        check_sources(sets, LAE())
