"""Tables of parts and conditions against scikit-learn on the items they are about."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from unmask.evaluation.comparison.result import Result
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.tables import compare

SETS = ("seen", "unseen", "stylegan")


def test_generators_are_set_against_the_reals_of_their_set(
    board: Board, result: Result, look
) -> None:
    rows = {(r.set, r.name, r.manipulation): r for r in result.generators.rows}
    assert list(rows) == [
        ("seen", "blend", None),
        ("unseen", "inpaint", None),
        ("unseen", "swap", None),
        ("unseen", "swap", "swap-a"),
        ("unseen", "swap", "swap-b"),
        ("stylegan", "stylegan", None),
    ]
    made = np.asarray(board.items["manipulation"].to_list())
    for (name, family, manipulation), row in rows.items():
        chosen = [made == manipulation if manipulation else np.char.startswith(made, family)][0]
        use = look.inside(board, name) & (chosen | (made == ""))
        assert (row.reals, row.fakes) == (80, int(chosen.sum()))
        expected = [
            roc_auc_score(look.labels(board)[use], look.logits(board, "two", s)[use])
            for s in (0, 1, 2)
        ]
        assert row.auc["two"].value == pytest.approx(np.mean(expected))
        assert row.auc["two"].low <= row.auc["two"].value <= row.auc["two"].high


def test_too_few_items_give_no_number(make) -> None:
    items = make.items(people=12, frames=2)  # 8 fakes of each kind, 24 of the families together
    board = make.board(items, {("one", 0): make.noisy(items, 1.0, 0)}, ["one"], [0])
    rows = {
        r.manipulation or r.name: r.auc["one"]
        for r in compare(board, reference="one", draws=100).generators.rows
        if r.set == "unseen"
    }
    assert rows["swap"].value is not None
    for few in ("swap-a", "swap-b", "inpaint"):
        assert rows[few].value is None
        assert rows[few].reason == "24 reals and 8 fakes; an AUC here needs 10 of each class"


def test_sources_are_set_against_their_own_reals(board: Board, result: Result, look) -> None:
    source = np.asarray(board.items["source"].to_list())
    rows = {(r.set, r.name): r for r in result.sources.rows}
    assert list(rows) == [(name, source) for name in SETS for source in "ab"]
    assert rows["stylegan", "a"].fakes == 0
    assert rows["stylegan", "a"].auc["two"].value is None
    for name, one in (("seen", "a"), ("unseen", "b")):
        use = look.inside(board, name) & (source == one)
        expected = roc_auc_score(look.labels(board)[use], look.logits(board, "three", 0)[use])
        assert rows[name, one].auc["three"].value == pytest.approx(expected)


def test_controls_stand_beside_the_clean_reals(board: Board, result: Result, look) -> None:
    assert [(r.control, r.arm) for r in result.controls][:2] == [
        ("blurred", "one"),
        ("blurred", "two"),
    ]
    real = look.labels(board) == 0
    for row in result.controls:
        before, after, told = [], [], []
        for seed in row.seeds:
            clean = look.logits(board, row.arm, seed)[real]
            changed = look.logits(board, row.arm, seed, f"control/{row.control}")[real]
            before.append((clean >= 1).mean())
            after.append((changed >= 1).mean())
            labels = np.repeat([0, 1], len(clean))
            told.append(roc_auc_score(labels, np.concatenate([clean, changed])))
        assert row.clean_fpr.value == pytest.approx(np.mean(before))
        assert row.fpr.value == pytest.approx(np.mean(after))
        assert row.change.value == pytest.approx(np.mean(after) - np.mean(before))
        assert row.auc.value == pytest.approx(np.mean(told))


def test_a_control_that_changes_nothing_cannot_be_told(make, items: pl.DataFrame) -> None:
    clean = make.noisy(items, 1.0, 0)["clean"]
    board = make.board(items, {("one", 0): {"clean": clean, "control/blurred": clean}}, ["one"])
    (row,) = compare(board, reference="one", draws=100).controls
    assert (row.change.low, row.change.high) == (0, 0)
    assert (row.auc.value, row.auc.low, row.auc.high) == (0.5, 0.5, 0.5)


def test_sweep_has_seed_0_only(board: Board, result: Result, look) -> None:
    sweep, inside = result.sweep, look.inside(board, "unseen")
    y = look.labels(board)[inside]
    assert (sweep.reals, sweep.fakes) == (80, 80)
    assert sweep.seeds == {"one": (0,), "two": (0,), "three": (0,)}
    places = [("none", 0), ("jpeg", 1), ("jpeg", 2), ("webp", 1)]
    rows = [r for r in sweep.rows if r.arm == "two"]
    assert [(r.perturbation, r.level) for r in rows] == places
    for row in rows:
        logits = look.logits(board, "two", 0, f"sweep/{row.perturbation}/{row.level}")[inside]
        assert row.auc.value == pytest.approx(roc_auc_score(y, logits))
        assert row.fpr.value == pytest.approx((logits[y == 0] >= 1).mean())
    means = [m for m in sweep.means if m.arm == "two"]
    assert [(m.level, m.perturbations) for m in means] == [(0, 1), (1, 2), (2, 1)]
    assert means[1].auc.value == pytest.approx((rows[1].auc.value + rows[3].auc.value) / 2)
    assert means[0].auc == rows[0].auc
    # the mean of two averages their noise: narrower than the mean of their widths
    widths = [r.auc.high - r.auc.low for r in (rows[1], rows[3])]
    assert means[1].auc.high - means[1].auc.low < np.mean(widths)


def test_curves_are_of_the_median_seed(board: Board, result: Result) -> None:
    areas = {v.seed: v.value for v in result.main[1].auc["unseen"].per_seed}
    row = result.curves[1]
    assert areas[row.seed] == pytest.approx(np.median(list(areas.values())))
    assert len(row.fpr) == len(row.tpr) == len(row.fnr) <= 200
    assert np.trapezoid(row.tpr, row.fpr) == pytest.approx(areas[row.seed])  # corners suffice


def test_a_generator_of_one_cluster_has_no_interval(make, items: pl.DataFrame) -> None:
    one = pl.when(pl.col("family") == "inpaint").then(pl.lit("film")).otherwise(pl.col("cluster"))
    table = items.with_columns(cluster=one)
    board = make.board(table, {("one", 0): make.noisy(table, 1.0, 0)}, ["one"], [0])
    rows = compare(board, reference="one", draws=100).generators.rows
    (row,) = [r for r in rows if r.name == "inpaint"]
    assert row.auc["one"].value is not None
    assert row.auc["one"].low is None
    assert "too few clusters" in str(row.auc["one"].reason)
