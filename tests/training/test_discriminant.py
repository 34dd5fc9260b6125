"""The discriminant against its definitions; a head that is had by it, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import multivariate_normal

from unmask.apps.cli import app
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items
from unmask.data.scoring import DAILY, ScoringSet, fakes_of, reals_of, scoring_sets
from unmask.errors import ConfigError
from unmask.inference.detector import Detector
from unmask.models.checkpoint import load_checkpoint
from unmask.models.registry import MODELS
from unmask.models.rich import RichConfig
from unmask.models.statistics import StatisticsNet
from unmask.training import discriminant as module
from unmask.training.config import DataConfig, DiscriminantConfig
from unmask.training.discriminant import (
    Moments,
    check_head,
    discriminant,
    discriminants,
    fit_discriminant,
)
from unmask.transforms.preprocess import to_tensors

from .test_run import config

AS_IT_IS = DiscriminantConfig()
CONTENT: dict[str, Any] = {
    "name": "tiny-linear",
    "model": "rich",
    "model_options": {"fused": None},
    "data": {"families": {"self_blend": 1, "blurrer": 0.5}},
    "optim": {"discriminant": {"ridge": 0.3, "changes": 0.1}},
}


def drawn(size: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(size, size))
    reals = rng.normal(size=(400, size)) @ mixing
    return reals.astype(np.float32), (reals[:300] + rng.normal(size=size)).astype(np.float32)


def test_moments_are_those_of_numpy() -> None:
    reals, _ = drawn()
    found = Moments.of(reals)
    np.testing.assert_allclose(found.mean, reals.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(reals.T, bias=True), atol=1e-4)


def test_it_is_the_log_odds_of_two_normals() -> None:
    reals, fakes = (Moments.of(rows) for rows in drawn())
    weight, bias = discriminant([(2.0, fakes, reals)], [], ridge=0.3, changes=7.0)
    shared = (reals.covariance + fakes.covariance) / 2 + 0.3 * np.eye(5)
    points = np.random.default_rng(1).normal(size=(20, 5))
    odds = multivariate_normal(fakes.mean, shared).logpdf(points) - multivariate_normal(
        reals.mean, shared
    ).logpdf(points)
    np.testing.assert_allclose(points @ weight + bias, odds, atol=1e-8)


def test_families_count_by_their_weight() -> None:
    reals, fakes = drawn()
    some, other = fakes[:200] + 1, fakes[200:] - [0.0, 1, 2, 3, 4]
    of = Moments.of
    pair = [(3.0, of(some), of(reals)), (1.0, of(other.astype(np.float32)), of(reals[:100]))]
    weight, bias = discriminant(pair, [], ridge=0.3, changes=0)
    repeated = [pair[0]] * 3 + [(1.0, *pair[1][1:])]
    again = discriminant([(1.0, *one[1:]) for one in repeated], [], ridge=0.3, changes=0)
    np.testing.assert_allclose(weight, again[0], atol=1e-9)
    assert bias == pytest.approx(again[1])


def test_a_direction_in_which_changes_move_reals_counts_for_little() -> None:
    reals, fakes = (Moments.of(rows) for rows in drawn())
    moved = np.zeros((5, 5))
    moved[0, 0] = 1.0
    shares = []
    for changes in (0.0, 1.0, 100.0):
        weight, _ = discriminant([(1.0, fakes, reals)], [moved], ridge=0.3, changes=changes)
        shares.append(abs(weight[0]) / np.linalg.norm(weight))
    assert shares[0] > 0.1
    assert shares == sorted(shares, reverse=True)
    assert shares[2] < 0.05


def test_each_familys_own_direction_is_within_the_covariance_of_all() -> None:
    reals, fakes = drawn()
    some, other = fakes[:200] + 1, (fakes[200:] - [0.0, 1, 2, 3, 4]).astype(np.float32)
    of = Moments.of
    pairs = [(3.0, of(some), of(reals)), (1.0, of(other), of(reals[:100]))]
    moved = np.diag([1.0, 0, 0, 0, 0])
    weights, biases = discriminants(pairs, [moved], ridge=0.3, changes=0.5)
    within = 0.5 * moved + 0.3 * np.eye(5)
    for count, one, beside in pairs:
        within += count / 4 * (one.covariance + beside.covariance) / 2
    for weight, (_, one, beside) in zip(weights, pairs, strict=True):
        expected = np.linalg.inv(within) @ (one.mean - beside.mean)
        cosine = weight @ expected / np.linalg.norm(weight) / np.linalg.norm(expected)
        assert cosine == pytest.approx(1, abs=1e-9)
        assert weight @ (one.mean - beside.mean) > 0
    for weight, bias, rows in zip(weights, biases, (reals, reals[:100]), strict=True):
        scores = rows.astype(np.float64) @ weight + bias
        assert scores.mean() == pytest.approx(0, abs=1e-5)
        assert scores.std() == pytest.approx(1, rel=1e-4)


@pytest.fixture(scope="module")
def crops(index: Path, runs: Path) -> Crops:
    return prepare_crops(read_items(index), runs / "cache")


def test_changed_reals_are_the_same_ones(crops: Crops) -> None:
    spec = MODELS["rich"].input
    plain = reals_of(crops, spec, "train", most=4)
    changed = reals_of(crops, spec, "train", most=4, change=DAILY["real/quality-50"])
    assert changed.identities == plain.identities
    seen = [to_tensors(one.views[:4], spec)["native"] for one in (plain, changed)]
    apart = (seen[0] - seen[1]).abs().mean((1, 2, 3))
    assert ((apart > 0) & (apart < 20)).all()


def head(
    crops: Crops,
    tmp_path: Path,
    kinds: int = 1,
    settings: DiscriminantConfig = AS_IT_IS,
    **data: Any,
) -> StatisticsNet:
    spec = MODELS["rich"]
    torch.manual_seed(0)
    model = spec.create(config=RichConfig(fused=None, kinds=kinds)).eval()
    assert isinstance(model, StatisticsNet)
    given = DataConfig.model_validate({**CONTENT["data"], **data})
    fit_discriminant(model, crops, spec.input, given, settings, cache=tmp_path, say=lambda _: None)
    return model


def standard_rows(model: StatisticsNet, item: ScoringSet) -> np.ndarray:
    """Standardised statistics of a set's pictures, (N, d)."""
    with torch.no_grad():
        found = model.statistics(to_tensors(item.views[:], MODELS["rich"].input)["native"])
        return model.standard(found).numpy()


def test_a_head_is_what_the_statistics_of_the_pictures_say(
    crops: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: statistics of every picture, standardised by the reals; two families, one change."""
    monkeypatch.setattr(module, "MOVES", {"real/quality-50": DAILY["real/quality-50"]})
    model, spec = head(crops, tmp_path), MODELS["rich"].input

    rows = partial(standard_rows, model)
    sets = {one.name: one for one in scoring_sets(crops, spec, "train", controls={})}
    reals = rows(sets["real"])
    np.testing.assert_allclose(reals.mean(0), 0, atol=0.1)  # some are clipped
    plain, changed = (
        reals_of(crops, spec, "train", most=module.MOST, change=change)
        for change in (None, DAILY["real/quality-50"])
    )
    apart = rows(changed) - rows(plain)
    families = CONTENT["data"]["families"].items()
    weight, bias = discriminant(
        [(w, Moments.of(rows(sets[name])), Moments.of(reals)) for name, w in families],
        [(apart.T @ apart).astype(np.float64) / len(apart)],
        ridge=DiscriminantConfig().ridge,
        changes=DiscriminantConfig().changes,
    )
    found = model.logit.weight.detach().numpy()[0]
    np.testing.assert_allclose(found, weight, rtol=1e-3, atol=1e-4 * np.abs(weight).max())
    assert float(model.logit.bias.detach()) == pytest.approx(bias, rel=1e-3)


def test_a_head_under_changes_is_what_the_statistics_of_both_classes_then_say(
    crops: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, of all training pictures: the means under a change count a quarter of the others."""
    blur = DAILY["real/blurred"]
    monkeypatch.setattr(module, "MOVES", {"real/blurred": blur})
    settings = DiscriminantConfig(changes=0, under={"blurred": 0.25})
    model, spec = head(crops, tmp_path, settings=settings), MODELS["rich"].input

    rows = partial(standard_rows, model)

    def mixed(plain: np.ndarray, blurred: np.ndarray) -> np.ndarray:
        return (np.cov(plain.T, bias=True) + 0.25 * np.cov(blurred.T, bias=True)) / 1.25

    reals = [rows(reals_of(crops, spec, "train", most=500, change=c)) for c in (None, blur)]
    pairs = []
    for name, weight in CONTENT["data"]["families"].items():
        given: dict[str, Any] = {"most": 500, "forged": True}
        fakes = [
            rows(fakes_of(crops, spec, "train", name, change=c, **given)) for c in (None, blur)
        ]
        ways = [fake.mean(0) - real.mean(0) for fake, real in zip(fakes, reals, strict=True)]
        middle = reals[0].mean(0).astype(np.float64)
        pairs.append(
            (
                weight,
                Moments(middle + (ways[0] + 0.25 * ways[1]) / 1.25, mixed(*fakes)),
                Moments(middle, mixed(*reals)),
            )
        )
    weight, bias = discriminant(pairs, [], ridge=settings.ridge, changes=0)
    found = model.logit.weight.detach().numpy()[0]
    np.testing.assert_allclose(found, weight, rtol=1e-3, atol=1e-4 * np.abs(weight).max())
    assert float(model.logit.bias.detach()) == pytest.approx(bias, rel=1e-3)
    plain = head(crops, tmp_path, settings=DiscriminantConfig(changes=0))
    assert not torch.allclose(plain.logit.weight, model.logit.weight, rtol=0.01)


def test_fakes_are_those_of_the_reals_that_are_drawn(crops: Crops) -> None:
    spec = MODELS["rich"].input
    people = iter([i.identity for i in crops.items if i.split == "train" and not i.label])
    owned = [replace(i, identity=next(people)) if i.label else i for i in crops.items]
    paired = replace(crops, items=owned)
    reals = reals_of(paired, spec, "train", most=4)
    for family in ("self_blend", "blurrer"):  # made here; of the index
        plain, changed = (
            fakes_of(paired, spec, "train", family, most=4, change=change)
            for change in (None, DAILY["real/quality-50"])
        )
        assert plain.label == 1
        assert len(plain.identities) > 0
        assert set(plain.identities) <= set(reals.identities)
        assert changed.identities == plain.identities
        assert (plain.views[0]["native"] != changed.views[0]["native"]).any()


def test_fakes_of_no_real_are_drawn(crops: Crops) -> None:
    found = fakes_of(crops, MODELS["rich"].input, "train", "blurrer", most=2)
    everyone = [i.identity for i in crops.items if i.generator == "blurrer" and i.split == "train"]
    assert len(set(found.identities)) == 2
    assert set(found.identities) < set(everyone)


def test_an_unknown_change_is_refused(index: Path, tmp_path: Path) -> None:
    content = {**CONTENT, "optim": {"discriminant": {"under": {"turned": 1}}}}
    words = ["train", str(config(tmp_path, content)), "--index", str(index)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "turned")])
    assert done.exit_code == 2
    assert "there is no change turned" in done.stderr
    assert "quality-50" in done.stderr


def test_strong_blur_moves_a_head_less_for_counting(
    crops: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the families is blurred pictures, so that softness is what its score looks for."""
    spec = MODELS["rich"].input
    plain, blurred = (
        reals_of(crops, spec, "val", most=100, change=module.MOVES.get(name))
        for name in ("real", "real/blurred-more")
    )

    def moved() -> float:
        model = head(crops, tmp_path, kinds=2)
        with torch.no_grad():
            before, after = (
                model.head(model.statistics(to_tensors(one.views[:], spec)["native"])).logit
                for one in (plain, blurred)
            )
        return float((after.mean() - before.mean()) / before.std())

    counting = moved()
    monkeypatch.setattr(module, "MOVES", DAILY)
    assert counting < 0.9 * moved()


def test_a_score_for_each_family_is_that_of_it_alone_within_all(
    crops: Crops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its direction is nearer to the one that it has alone than one for both families is."""
    monkeypatch.setattr(module, "MOVES", {})
    alone = head(crops, tmp_path, families={"self_blend": 1}).logit.weight[0]
    both = head(crops, tmp_path, kinds=2).logit
    assert both.weight.shape == (2, len(alone))
    assert both.bias.shape == (2,)
    mixed = head(crops, tmp_path).logit.weight[0]
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(both.weight[0], alone, dim=0) > cosine(mixed, alone, dim=0)
    assert not torch.allclose(both.weight[0], both.weight[1])


def test_fakes_stand_beside_the_reals_that_they_are_to(crops: Crops, tmp_path: Path) -> None:
    items = [
        replace(item, source=f"{item.source}-{number % 2}")
        for number, item in enumerate(crops.items)
    ]
    two = replace(crops, items=items)
    beside_all = head(two, tmp_path).logit.weight
    beside_one = head(two, tmp_path, beside={"blurrer": ["tests-1"]}).logit.weight
    assert not torch.allclose(beside_all, beside_one)
    with pytest.raises(ConfigError, match="no reals of nowhere, which blurrer"):
        head(two, tmp_path, beside={"blurrer": ["nowhere"]})


def test_a_family_without_fakes_is_refused(crops: Crops, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no fakes of nothing") as caught:
        head(crops, tmp_path, families={"nothing": 1})
    assert "--fakes" in (caught.value.hint or "")


def test_there_is_one_score_for_each_family_or_one(index: Path, tmp_path: Path) -> None:
    check_head(
        MODELS["rich"].create(config=RichConfig(fused=None, kinds=2)), 2, DiscriminantConfig()
    )
    three = {**CONTENT, "model_options": {"fused": None, "kinds": 3}}
    words = ["train", str(config(tmp_path, three)), "--index", str(index)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "three")])
    assert done.exit_code == 2
    assert "3 kinds of fakes, and 2 families" in done.stderr
    assert "{kinds: 2}" in done.stderr
    assert not (tmp_path / "three").exists()


def test_only_a_linear_head_can_be_had(index: Path, runs: Path, tmp_path: Path) -> None:
    for name in ("airl_small_frequency", "rich"):
        with pytest.raises(ConfigError, match=r"optim\.discriminant: only a linear head"):
            check_head(MODELS[name].create(), 1, DiscriminantConfig())
    wide = {**CONTENT, "name": "wide", "model_options": {"fused": 8}}
    words = ["train", str(config(tmp_path, wide)), "--index", str(index)]
    done = CliRunner().invoke(app, [*words, "--out", str(runs / "wide")])
    assert done.exit_code == 2
    assert "fused: null" in done.stderr
    assert not (runs / "wide").exists()


@pytest.mark.parametrize("kinds", [1, 2])
def test_the_command_makes_weights_that_scan(
    kinds: int, index: Path, runs: Path, tmp_path: Path
) -> None:
    out = runs / f"linear-{kinds}"
    content = {
        **CONTENT,
        "model_options": {"fused": None, "kinds": kinds},
        "optim": {"discriminant": {"ridge": 0.3, "changes": 0.0}},  # a family here is blur itself
    }
    words = ["train", str(config(tmp_path, content)), "--index", str(index), "--out", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    weights = out / "tiny-linear.safetensors"
    assert done.stdout.strip() == str(weights)
    first, card = load_checkpoint(weights)
    told = card.training["configuration"]
    assert told["optim"] == {
        "discriminant": {"ridge": 0.3, "changes": 0.0, "under": {}},
        "erase_sources": False,
    }
    assert "families" in told["data"]
    assert "draws" not in told["data"]
    families = card.metrics["families"]
    assert families["blurrer"]["trained_on"]
    assert families["blurrer"]["auc"] > 0.8  # a blur that every real lacks
    assert not list(out.glob("*.ckpt"))
    assert Detector.from_pretrained(weights).scan(index.parent / "000.png").status == "scored"
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "already holds a run" in refused.stderr
    assert CliRunner().invoke(app, [*words, "--resume"]).exit_code == 0
    again = load_checkpoint(weights)[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.state_dict().items())
