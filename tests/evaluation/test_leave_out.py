"""The ranking of candidates, against the literal definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from unmask.errors import DatasetError
from unmask.evaluation.leave_out import (
    FPR,
    Fold,
    Pictures,
    candidate,
    ensemble,
    ranked,
    strict_threshold,
    weighted_aucs,
)

REALS, FAKES = 100, 60
BLURRED = "control/blurred"


def pictures(beside: dict[str, list[str]] | None = None) -> Pictures:
    """100 reals of two sources, 60 fakes of each of two families; everybody is somebody else."""
    count = REALS + 2 * FAKES
    family = np.array([""] * REALS + ["swap"] * FAKES + ["gan"] * FAKES)
    source = np.array(["a", "b"] * (count // 2))
    return Pictures(family, source, np.array([f"p{i}" for i in range(count)]), beside or {})


def fold(left_out: str, *, swap: float, gan: float, blur: float = 0.0, seed: int = 0) -> Fold:
    rng = np.random.default_rng(seed)
    clean = rng.normal(0, 1, REALS + 2 * FAKES)
    clean[REALS : REALS + FAKES] += swap
    clean[REALS + FAKES :] += gan
    blurred = np.full(len(clean), np.nan)
    blurred[:REALS] = clean[:REALS] + blur
    return Fold(frozenset({left_out}), {"clean": clean, BLURRED: blurred})


def test_weighted_auc_is_that_of_the_drawn_pictures() -> None:
    rng = np.random.default_rng(0)
    reals, fakes = rng.integers(0, 6, 12).astype(float), rng.integers(2, 9, 9).astype(float)
    real_w, fake_w = rng.integers(0, 3, (5, 12)), rng.integers(0, 3, (5, 9))
    got = weighted_aucs(reals, fakes, real_w.astype(float), fake_w.astype(float))
    for k in range(5):
        scores = np.r_[np.repeat(reals, real_w[k]), np.repeat(fakes, fake_w[k])]
        labels = np.r_[np.zeros(real_w[k].sum()), np.ones(fake_w[k].sum())]
        assert got[k] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    nobody = weighted_aucs(reals, fakes, np.zeros((1, 12)), np.ones((1, 9)))
    assert np.isnan(nobody).all()


def test_the_threshold_is_that_of_the_strictest_control() -> None:
    shown = pictures()
    calm = fold("gan", swap=2, gan=1)
    blurry = fold("gan", swap=2, gan=1, blur=3)
    reals = shown.reals()
    assert strict_threshold(blurry, reals) == pytest.approx(strict_threshold(calm, reals) + 3)
    for one in (calm, blurry):
        for scores in one.scores.values():
            assert (scores[reals] >= strict_threshold(one, reals)).mean() <= FPR


def test_a_family_counts_by_the_part_it_played() -> None:
    folds = [fold("gan", swap=4, gan=1), fold("swap", swap=2, gan=3, seed=1)]
    row = candidate("net", "a net", folds, pictures(), parameters=7, seconds=5.0)
    found = {(f.family, f.part): f for f in row.families}
    assert set(found) == {(f, p) for f in ("swap", "gan") for p in ("left_out", "trained")}
    for one, family, part in (
        (folds[0], "gan", "left_out"), (folds[0], "swap", "trained"),
        (folds[1], "swap", "left_out"), (folds[1], "gan", "trained"),
    ):  # fmt: skip
        shown = pictures()
        fakes, clean = shown.fakes(family), one.scores["clean"]
        labels = np.r_[np.zeros(REALS), np.ones(FAKES)]
        expected = roc_auc_score(labels, np.r_[clean[:REALS], clean[fakes]])
        assert found[family, part].auc == pytest.approx(expected, abs=1e-12)
        assert found[family, part].low < expected < found[family, part].high
        rate = (clean[fakes] >= strict_threshold(one, shown.reals())).mean()
        assert found[family, part].tpr == pytest.approx(rate)
    left = [found["swap", "left_out"], found["gan", "left_out"]]
    assert (row.worst_family, row.worst_tpr) == ("gan", left[1].tpr)
    assert row.mean_auc == pytest.approx(np.mean([f.auc for f in left]))
    assert row.worst_auc == min(f.auc for f in left)
    assert row.low < row.mean_auc < row.high
    assert (row.parameters, row.seconds, row.runs) == (7, 5.0, 2)


def test_a_family_is_set_against_the_named_reals_and_sources_against_each_other() -> None:
    one = fold("gan", swap=2, gan=1)
    clean = one.scores["clean"]
    clean[0:REALS:2] += 2.0  # reals of a look more fake than those of b
    shown = pictures({"gan": ["b"]})
    row = candidate("net", "", [one], shown, parameters=1, seconds=1)
    gan = next(f for f in row.families if f.family == "gan")
    others = np.arange(1, REALS, 2)
    labels = np.r_[np.zeros(len(others)), np.ones(FAKES)]
    assert gan.auc == pytest.approx(roc_auc_score(labels, np.r_[clean[others], clean[-FAKES:]]))
    source = np.tile([1, 0], REALS // 2)
    assert row.source_auc["a"] == pytest.approx(roc_auc_score(source, clean[:REALS]))
    assert row.source_auc["b"] == pytest.approx(1 - row.source_auc["a"])


def test_blurred_reals_cost_the_rank_and_are_named() -> None:
    calm, blurry = (
        candidate(name, "", [fold("gan", swap=3, gan=2, blur=blur)], pictures(), parameters=1,
                  seconds=1)
        for name, blur in (("calm", 0.0), ("blurry", 2.0))
    )  # fmt: skip
    assert calm.flagged[BLURRED] <= FPR
    assert blurry.flagged[BLURRED] > 0.5
    assert blurry.mean_auc == calm.mean_auc
    assert [row.name for row in ranked([blurry, calm])] == ["calm", "blurry"]


def test_without_a_family_left_out_there_is_nothing_to_rank() -> None:
    trained = Fold(frozenset(), fold("gan", swap=1, gan=1).scores)
    with pytest.raises(DatasetError, match="left a family out"):
        candidate("net", "", [trained], pictures(), parameters=1, seconds=1)


def test_an_ensemble_is_the_mean_on_the_scale_of_the_clean_reals() -> None:
    reals = pictures().reals()
    calm, loud = fold("gan", swap=2, gan=1), fold("gan", swap=1, gan=2, blur=1, seed=1)
    shout = Fold(loud.left_out, {name: 7 * x - 30 for name, x in loud.scores.items()})
    both = ensemble([calm, shout], reals)
    assert both.left_out == frozenset({"gan"})
    for name in ("clean", BLURRED):
        parts = []
        for one in (calm, loud):
            clean = one.scores["clean"][reals]
            parts.append((one.scores[name] - clean.mean()) / clean.std())
        np.testing.assert_allclose(both.scores[name], (parts[0] + parts[1]) / 2)
    same = ensemble([calm, calm], reals)
    one, other = (
        candidate("c", "", [f, fold("swap", swap=2, gan=1)], pictures(), parameters=1, seconds=1)
        for f in (calm, same)
    )
    assert one.mean_auc == pytest.approx(other.mean_auc)


def test_runs_without_different_families_are_no_ensemble() -> None:
    with pytest.raises(DatasetError, match="the same families"):
        ensemble([fold("gan", swap=1, gan=1), fold("swap", swap=1, gan=1)], pictures().reals())
