"""Tables of boards whose answers are known, and against scikit-learn and the literal bootstrap."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.draws import Draws, _picks
from unmask.evaluation.comparison.metrics import METRICS
from unmask.evaluation.comparison.result import Result
from unmask.evaluation.comparison.scores import Board
from unmask.evaluation.comparison.sets import draws_of
from unmask.evaluation.comparison.tables import compare
from unmask.metrics.aggregate import video_scores
from unmask.metrics.calibration import expected_calibration_error, sigmoid
from unmask.metrics.delong import delong_test

SETS = ("seen", "unseen", "stylegan")


def test_auc_per_seed_is_that_of_scikit_learn(board: Board, result: Result, look) -> None:
    assert [row.arm for row in result.main] == ["one", "two", "three"]
    for row in result.main:
        assert tuple(row.auc) == SETS
        for name, cell in row.auc.items():
            inside = look.inside(board, name)
            expected = [
                roc_auc_score(look.labels(board)[inside], look.logits(board, row.arm, s)[inside])
                for s in board.seeds_of(row.arm)
            ]
            assert [v.value for v in cell.per_seed] == pytest.approx(expected, rel=1e-12)
            assert cell.mean.value == pytest.approx(np.mean(expected), rel=1e-12)
            assert cell.mean.low < cell.mean.value < cell.mean.high
        for name, cell in row.drop.items():
            gaps = [
                a.value - b.value
                for a, b in zip(row.auc["seen"].per_seed, row.auc[name].per_seed, strict=True)
            ]
            assert [v.value for v in cell.per_seed] == pytest.approx(gaps)
            assert cell.mean.value == pytest.approx(np.mean(gaps))


def test_metrics_are_those_of_the_oracles(board: Board, result: Result, look) -> None:
    inside, rows = look.inside(board, "unseen"), {}
    for row in result.metrics:
        rows[row.arm, row.set, row.level] = row
    assert len(rows) == 3 * 3 * 2
    y = look.labels(board)[inside]
    logits = [look.logits(board, "two", s)[inside] for s in (0, 1, 2)]
    row = rows["two", "unseen", "frame"]
    p = [sigmoid(z) for z in logits]
    assert (row.reals, row.fakes) == (80, 80)
    assert row.brier.value == pytest.approx(np.mean([brier_score_loss(y, q) for q in p]))
    assert row.ece.value == pytest.approx(np.mean([expected_calibration_error(y, q) for q in p]))
    precision = [average_precision_score(y, z) for z in logits]
    assert row.average_precision.value == pytest.approx(np.mean(precision))
    fpr = np.mean([(z[y == 0] >= 1.0).mean() for z in logits])
    tpr = np.mean([(z[y == 1] >= 1.0).mean() for z in logits])
    assert row.fpr.value == pytest.approx(fpr)
    assert row.tpr.value == pytest.approx(tpr)
    assert row.balanced_accuracy.value == pytest.approx((tpr + 1 - fpr) / 2)
    strict = np.mean([(z[y == 1] > np.sort(z[y == 0])[-1]).mean() for z in logits])
    assert row.tpr_at_fpr_01_percent.value == pytest.approx(strict)
    assert len(row.notes) == 2  # fewer than 100 and than 1000 reals
    assert "0.1%" in row.notes[1]

    videos = np.asarray(board.items["video_id"].to_list())[inside].tolist()
    row = rows["two", "unseen", "video"]
    judged = [video_scores(videos, y, q) for q in p]
    assert (row.reals, row.fakes) == (40, 40)
    areas = [roc_auc_score(v.labels, v.scores) for v in judged]
    assert row.auc.value == pytest.approx(np.mean(areas))
    called = [(v.scores[v.labels == 0] >= sigmoid(1.0)).mean() for v in judged]
    assert row.fpr.value == pytest.approx(np.mean(called))


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def test_intervals_are_those_of_the_literal_bootstrap(make, look) -> None:
    """Items repeated as often as their cluster is drawn, seeds picked, scikit-learn's AUC."""
    items = make.items(people=9, frames=1)
    names = ("clean", "blur+jpeg", "control/blurred")
    arms = {"one": 0.5, "two": 1.5}
    logits = {
        (arm, s): make.noisy(items, gain, 7 * s + len(arm + "x" * int(gain)), names)
        for arm, gain in arms.items()
        for s in (0, 1, 2)
    }
    board = make.board(items, logits)
    result = compare(board, reference="one", draws=100, seed=4)
    draws, y = draws_of(items, draws=100, seed=4, level=0.95), look.labels(board)
    runs = {key: look.logits(board, *key) for key in logits}
    blurred = {key: look.logits(board, *key, "blur+jpeg") for key in logits}
    control = {key: look.logits(board, *key, "control/blurred") for key in logits}
    found: dict[str, list[float]] = {}
    for draw in range(100):
        often = draws.counts[1 + draw][draws.members]
        drawn = np.repeat(np.arange(len(y)), often)
        parts = {name: drawn[look.inside(board, name)[drawn]] for name in ("seen", "unseen")}
        picks = _picks(3, 100, 4)[draw]
        mean = {}
        for arm in arms:
            for name, part in parts.items():
                for what, scores in (("clean", runs), ("blur", blurred)):
                    mean[arm, name, what] = np.mean(
                        [roc_auc_score(y[part], scores[arm, s][part]) for s in picks]
                    )
        reals = drawn[y[drawn] == 0]
        changed = [
            (control["two", s][reals] >= 1).mean() - (runs["two", s][reals] >= 1).mean()
            for s in picks
        ]
        told_apart = [
            roc_auc_score(
                np.repeat([0, 1], len(reals)),
                np.concatenate([runs["two", s][reals], control["two", s][reals]]),
            )
            for s in picks
        ]
        for what, value in {
            "unseen": mean["two", "unseen", "clean"],
            "drop": mean["two", "seen", "clean"] - mean["two", "unseen", "clean"],
            "gap": mean["two", "unseen", "clean"] - mean["one", "unseen", "clean"],
            "blur": mean["two", "unseen", "clean"] - mean["two", "unseen", "blur"],
            "change": np.mean(changed),
            "told": np.mean(told_apart),
        }.items():
            found.setdefault(what, []).append(float(value))
    (comparison,) = [r for r in result.comparisons.rows if r.set == "unseen"]
    (blur,) = [r for r in result.blur_jpeg if (r.arm, r.set) == ("two", "unseen")]
    (controlled,) = [r for r in result.controls if r.arm == "two"]
    told = {
        "unseen": result.main[1].auc["unseen"].mean,
        "drop": result.main[1].drop["unseen"].mean,
        "gap": comparison.difference,
        "blur": blur.drop,
        "change": controlled.change,
        "told": controlled.auc,
    }
    for what, estimate in told.items():
        assert (estimate.low, estimate.high) == pytest.approx(_interval(found[what])), what
    sides = min(sum(g <= 0 for g in found["gap"]), sum(g >= 0 for g in found["gap"]))
    assert comparison.p == pytest.approx(min(1.0, 2 * (1 + sides) / 101))


def test_perfect_separation(make, items: pl.DataFrame) -> None:
    logits = {"clean": np.where(items["label"].to_numpy() == 1, 9.0, -9.0)}
    result = compare(make.board(items, {("one", 0): logits}, ["one"], [0]), reference="one")
    row = result.metrics[0]
    perfect = {"value": 1.0, "low": 1.0, "high": 1.0, "reason": None}
    for metric in METRICS[:2] + METRICS[3:6]:
        assert getattr(row, metric).model_dump() == perfect, metric
    assert row.equal_error_rate.value == row.fpr.value == 0
    assert result.curves[0].fpr == (0.0, 0.0, 1.0)
    assert result.curves[0].tpr == (0.0, 1.0, 1.0)


def test_equal_arms_differ_by_nothing(make, items: pl.DataFrame) -> None:
    logits = {(arm, s): make.noisy(items, 1.0, s) for arm in ("one", "two") for s in (0, 1)}
    rows = compare(make.board(items, logits), reference="one", draws=100).comparisons.rows
    assert [row.set for row in rows] == ["unseen", "stylegan"]
    for row in rows:
        assert row.difference.model_dump() == {
            "value": 0.0,
            "low": 0.0,
            "high": 0.0,
            "reason": None,
        }
        assert (row.p, row.p_holm, row.verdict) == (1.0, 1.0, "no difference shown")
        assert [d.p for d in row.delong] == [1.0, 1.0]


def test_a_better_and_a_worse_arm_are_called_so(make, items: pl.DataFrame, look) -> None:
    gains = {"middle": 1.5, "worse": 0.1, "better": 4.0}
    logits = {
        (arm, s): make.noisy(items, gain, 5 * n + s)
        for n, (arm, gain) in enumerate(gains.items())
        for s in (0, 1, 2)
    }
    board = make.board(items, logits, list(gains))
    rows = compare(board, reference="middle").comparisons.rows
    assert {row.arm: row.verdict for row in rows if row.set == "unseen"} == {
        "worse": "worse",
        "better": "better",
    }
    row = rows[0]
    y, inside = look.labels(board), look.inside(board, "unseen")
    for seed, test in enumerate(row.delong):
        pair = [look.logits(board, arm, seed)[inside] for arm in (row.arm, "middle")]
        expected = delong_test(y[inside], *pair)
        assert (test.seed, test.difference) == (seed, pytest.approx(expected.difference.value))
        assert test.p == pytest.approx(expected.p)


def test_identical_items_of_a_cluster_widen_the_interval(make) -> None:
    """Four copies of every item, drawn together or, wrongly, each on its own: twice as wide."""
    single = make.items(people=150, frames=1)
    scores = make.noisy(single, 1.0, 0)["clean"]
    items = make.items(people=150, frames=4)
    logits = {("one", 0): {"clean": np.repeat(scores, 4)}}
    widths = []
    for table in (
        items.with_columns(cluster=pl.col("video_id")),
        items.with_columns(cluster=pl.col("path"), video_id=pl.col("path")),
    ):
        auc = compare(make.board(table, logits, ["one"], [0]), reference="one").main[0].auc
        widths.append(auc["unseen"].mean.high - auc["unseen"].mean.low)
    assert 1.7 < widths[0] / widths[1] < 2.3


def test_absent_runs_are_named_and_counted_out(board: Board, result: Result) -> None:
    assert [(a.arm, a.seed) for a in result.absent] == [("three", 1), ("three", 2)]
    assert len(result.main[2].auc["seen"].per_seed) == 1
    assert len(result.coverage) == 7
    assert all(row.listed == row.scored == 280 for row in result.coverage)


def test_an_arm_without_runs_has_nulls_with_reasons(make, items: pl.DataFrame) -> None:
    board = make.board(items, {("one", 0): make.noisy(items, 1.0, 0)})
    result = compare(board, reference="two", draws=100)
    empty = result.main[1].auc["unseen"]
    assert (empty.mean.value, empty.per_seed) == (None, ())
    assert "no run" in str(empty.mean.reason)
    (row, _) = result.comparisons.rows
    assert (row.p, row.verdict, row.delong) == (None, None, ())
    assert str(row.difference.reason).startswith("the reference: ")
    assert result.curves[1].seed is None
    assert "no run" in str(result.curves[1].reason)
    assert result.blur_jpeg[0].drop.reason == "no run of this arm was scored under blur+jpeg"
    assert (result.controls, result.sweep.rows, result.sweep.reals) == ((), (), None)


def test_a_set_without_fakes_has_nulls_with_reasons(make, items: pl.DataFrame) -> None:
    kept = items.filter((pl.col("label") == 0) | pl.col("sets").list.contains("unseen"))
    kept = kept.with_columns(item=pl.int_range(kept.height, dtype=pl.UInt32))
    board = make.board(kept, {("one", 0): make.noisy(kept, 1.0, 0)}, ["one"], [0])
    result = compare(board, reference="one", draws=100)
    assert result.sets["seen"].fakes == 0
    assert "80 reals and 0 fakes" in str(result.main[0].auc["seen"].mean.reason)
    assert str(result.main[0].drop["unseen"].mean.reason).startswith("seen: 80 reals")
    assert result.main[0].auc["unseen"].mean.value is not None


def test_the_same_board_gives_the_same_text(board: Board, result: Result) -> None:
    again = compare(board, reference="one", draws=200)
    assert again.to_json() == result.to_json()
    assert '"schema": "unmask.benchmark/1"' in result.to_json()
    assert Result.model_validate_json(result.to_json()) == result
    assert compare(board, reference="one", draws=200, seed=1).main != result.main


def test_an_unknown_reference_is_refused(board: Board) -> None:
    with pytest.raises(ConfigError, match="'four' is no arm"):
        compare(board, reference="four")


def test_one_cluster_is_refused(make, items: pl.DataFrame) -> None:
    one = items.with_columns(cluster=pl.lit("x"))
    with pytest.raises(DatasetError, match="one cluster"):
        compare(make.board(one, {}), reference="one")


def test_stills_have_the_same_numbers_as_their_videos(make) -> None:
    items = make.items(people=20, frames=1)
    board = make.board(items, {("one", 0): make.noisy(items, 1.0, 0)}, ["one"], [0])
    frame, video = compare(board, reference="one", draws=100).metrics[:2]
    assert video == frame.model_copy(update={"level": "video"})


def test_draws_are_shared_by_all_sets(board: Board, look) -> None:
    """A person's frames weigh the same wherever they are looked at."""
    draws = draws_of(board.items, draws=100, seed=0, level=0.9)
    assert isinstance(draws, Draws)
    place = np.flatnonzero(look.inside(board, "stylegan"))
    (_, every), (_, some) = next(draws.blocks(np.arange(280))), next(draws.blocks(place))
    np.testing.assert_array_equal(every[:, place], some)


def test_a_set_of_no_items_has_nulls_with_reasons(make, items: pl.DataFrame) -> None:
    only = items.with_columns(sets=pl.lit(["unseen"]))
    board = make.board(only, {("one", 0): make.noisy(only, 1.0, 0)}, ["one"], [0])
    result = compare(board, reference="one", draws=100)
    assert list(result.sets) == ["seen", "unseen"]
    assert result.sets["seen"].model_dump() == dict.fromkeys(
        ("reals", "fakes", "videos", "clusters"), 0
    )
    assert "0 reals and 0 fakes" in str(result.main[0].auc["seen"].mean.reason)
    assert result.main[0].auc["unseen"].mean.value is not None
