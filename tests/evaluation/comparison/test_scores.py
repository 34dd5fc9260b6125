"""Files that do not fit are refused with their name and what to do; those that do come back."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.scores import (
    Board,
    facts_path,
    items_path,
    read_facts,
    read_items,
    read_scores,
    scores_path,
    write_facts,
    write_items,
    write_scores,
)

NAMES = ("clean", "blur+jpeg", "control/blurred", "sweep/none/0", "sweep/jpeg/5")


def _folder(tmp_path: Path, make: SimpleNamespace, items: pl.DataFrame) -> Path:
    write_items(tmp_path, items)
    scores = make.scores(items, make.noisy(items, 1.0, 0, NAMES))
    write_scores(tmp_path, "one", 0, scores, items)
    write_facts(tmp_path, make.facts("one", 0))
    return tmp_path


def _scores(make: SimpleNamespace, items: pl.DataFrame) -> pl.DataFrame:
    return make.scores(items, make.noisy(items, 1.0, 0, NAMES))


def test_what_is_written_comes_back_in_order(tmp_path: Path, make, items) -> None:
    scores = _scores(make, items)
    write_items(tmp_path, items)
    write_scores(tmp_path, "one", 3, scores.sample(fraction=1, shuffle=True, seed=1), items)
    assert_frame_equal(read_items(tmp_path), items, check_dtypes=False)
    back = read_scores(tmp_path, "one", 3, items)
    assert_frame_equal(back, scores.sort("condition", "item"))


def test_a_categorical_condition_is_taken(tmp_path: Path, make, items) -> None:
    scores = _scores(make, items)
    kept = write_scores(tmp_path, "a", 0, scores, items).read_bytes()
    categorical = scores.with_columns(pl.col("condition").cast(pl.Categorical))
    assert write_scores(tmp_path, "a", 0, categorical, items).read_bytes() == kept


def test_the_same_scores_give_the_same_bytes(tmp_path: Path, make, items) -> None:
    scores = _scores(make, items)
    first = write_scores(tmp_path, "one", 0, scores, items).read_bytes()
    shuffled = scores.sample(fraction=1, shuffle=True, seed=2)
    assert write_scores(tmp_path, "one", 0, shuffled, items).read_bytes() == first
    assert not list(tmp_path.rglob("*.part"))


BAD_ITEMS = {
    "lacks the columns cluster": lambda t: t.drop("cluster"),
    "without holes; row 5 has number 6": lambda t: t.filter(pl.col("item") != 5),
    "a label other than 0": lambda t: t.with_columns(label=pl.lit(2)),
    "or a fake without one": lambda t: t.with_columns(manipulation=pl.lit("")),
    "a family on a real": lambda t: t.with_columns(family=pl.lit("swap")),
    "no test set": lambda t: t.with_columns(sets=pl.lit([], pl.List(pl.String))),
    "or named twice": lambda t: t.with_columns(sets=pl.lit(["seen", "seen"])),
    "no cluster": lambda t: t.with_columns(cluster=pl.lit("")),
    "another item has": lambda t: t.with_columns(path=pl.lit("x"), frame=pl.lit(0)),
    "more than one label": lambda t: t.with_columns(video_id=pl.lit("v")),
    "more than one cluster": lambda t: t.with_columns(cluster=pl.col("path")),
    "column source has": lambda t: t.with_columns(source=pl.lit(None, pl.String)),
    "column label is String": lambda t: t.with_columns(label=pl.lit("fake")),
    "lists no items": lambda t: t.head(0),
}


@pytest.mark.parametrize("message", BAD_ITEMS)
def test_items_that_do_not_fit_are_refused(tmp_path: Path, items, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        write_items(tmp_path, BAD_ITEMS[message](items))
    assert "items.parquet" in caught.value.message
    assert caught.value.hint
    BAD_ITEMS[message](items).write_parquet(items_path(tmp_path))
    with pytest.raises(DatasetError, match=message):
        read_items(tmp_path)


def _where(condition: str, item: int) -> pl.Expr:
    return (pl.col("condition") == condition) & (pl.col("item") == item)


def _logit(value: float) -> pl.Expr:
    return pl.when(_where("clean", 7)).then(value).otherwise(pl.col("logit")).alias("logit")


BAD_SCORES = {
    "lacks the columns logit": lambda t: t.drop("logit"),
    "1 logits are not finite; the first is nan of item 7": lambda t: t.with_columns(
        _logit(float("nan"))
    ),
    "1 logits are not finite; the first is inf": lambda t: t.with_columns(_logit(float("inf"))),
    "does not list; the first is item 9999": lambda t: t.with_columns(
        item=pl.when(_where("clean", 7)).then(9999).otherwise(pl.col("item"))
    ),
    "1 items are there twice under clean": lambda t: pl.concat([t, t.filter(_where("clean", 7))]),
    "clean covers 279 of the 280 items": lambda t: t.filter(~_where("clean", 7)),
    "blurred covers 79 of the 80 items": lambda t: t.filter(~_where("control/blurred", 0)),
    "jpeg/5 covers 159 of the 160 items": lambda t: t.filter(~_where("sweep/jpeg/5", 0)),
    "no scores of the condition 'clean'": lambda t: t.filter(pl.col("condition") != "clean"),
    "needs sweep/none/0": lambda t: t.filter(pl.col("condition") != "sweep/none/0"),
    "blurred has 1 items it must not have; the first is item 2": lambda t: pl.concat(
        [t, t.filter(_where("clean", 2)).with_columns(condition=pl.lit("control/blurred"))]
    ),
    "1 of its 161 are of other sets": lambda t: pl.concat(
        [t, t.filter(_where("clean", 2)).with_columns(condition=pl.lit("sweep/none/0"))]
    ),
    "no condition 'sweep/jpeg/6'": lambda t: t.with_columns(
        condition=pl.col("condition").str.replace("jpeg/5", "jpeg/6")
    ),
    "no condition 'sharp'": lambda t: t.with_columns(
        condition=pl.col("condition").str.replace("blur.jpeg", "sharp")
    ),
}


@pytest.mark.parametrize("message", BAD_SCORES)
def test_scores_that_do_not_fit_are_refused(tmp_path: Path, make, items, message: str) -> None:
    bad = BAD_SCORES[message](_scores(make, items))
    with pytest.raises(DatasetError, match=message) as caught:
        write_scores(tmp_path, "one", 0, bad, items)
    assert "seed-0.parquet" in caught.value.message
    assert caught.value.hint
    assert not scores_path(tmp_path, "one", 0).exists()


def test_a_board_names_what_is_absent_and_what_it_read(tmp_path: Path, make, items) -> None:
    out = _folder(tmp_path, make, items)
    board = Board.read(out, arms=["two", "one"], seeds=[0, 1], protocol="p")
    assert board.absent == (("two", 0), ("two", 1), ("one", 1))
    assert board.arms == ("two", "one")
    assert board.seeds_of("one") == (0,)
    assert sorted(board.files) == [
        "items.parquet",
        "runs/one/seed-0.json",
        "scores/one/seed-0.parquet",
    ]
    assert board.runs["one", 0].conditions == sorted(NAMES)


def test_files_in_the_wrong_place_are_refused(tmp_path: Path, make, items) -> None:
    out = _folder(tmp_path, make, items)
    other = scores_path(out, "two", 0)
    other.parent.mkdir()
    other.write_bytes(scores_path(out, "one", 0).read_bytes())
    with pytest.raises(DatasetError, match=r"is there, but not .*two.seed-0.json"):
        Board.read(out, arms=["one", "two"], seeds=[0], protocol="p")
    write_facts(out, make.facts("two", 0))
    with pytest.raises(DatasetError, match="holds scores of arm 'one', seed '0'"):
        Board.read(out, arms=["one", "two"], seeds=[0], protocol="p")
    facts_path(out, "two", 0).write_bytes(facts_path(out, "one", 0).read_bytes())
    with pytest.raises(DatasetError, match="is about arm 'one'"):
        read_facts(out, "two", 0)


def test_runs_outside_the_plan_are_refused(tmp_path: Path, make, items) -> None:
    out = _folder(tmp_path, make, items)
    with pytest.raises(DatasetError, match="1 runs outside the plan; one is one, seed 0"):
        Board.read(out, arms=["two"], seeds=[0], protocol="p")
    scores_path(out, "one", 0).rename(scores_path(out, "one", 0).with_name("best.parquet"))
    with pytest.raises(DatasetError, match="is not named seed-N"):
        Board.read(out, arms=["one"], seeds=[0], protocol="p")


def test_sweeps_on_different_subsets_are_refused(make, items) -> None:
    logits = {("one", s): make.noisy(items, 1.0, s, ("clean", "sweep/none/0")) for s in (0, 1)}
    board = make.board(items, logits)
    short = board.runs["one", 1]
    fewer = short.scores.filter((pl.col("condition") == "clean") | (pl.col("item") > 8))
    runs = {**board.runs, ("one", 1): type(short)(fewer, short.facts)}
    with pytest.raises(DatasetError, match="on 2 different subsets"):
        Board(items, runs, board.arms, board.seeds, "p")


@pytest.mark.parametrize("arms", [[], ["one", "one"]])
def test_arms_must_be_named_once(tmp_path: Path, make, items, arms: list[str]) -> None:
    with pytest.raises(ConfigError, match="each named once"):
        make.board(items, {}, arms)


def test_damaged_files_are_refused(tmp_path: Path, make, items) -> None:
    out = _folder(tmp_path, make, items)
    path = scores_path(out, "one", 0)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DatasetError, match="no Parquet file that can be read"):
        read_scores(out, "one", 0, items)
    path.unlink()
    with pytest.raises(DatasetError, match=r"seed-0.parquet is missing"):
        read_scores(out, "one", 0, items)
    told = json.loads(facts_path(out, "one", 0).read_text())
    del told["threshold"]
    facts_path(out, "one", 0).write_text(json.dumps(told))
    with pytest.raises(DatasetError, match="threshold: Field required"):
        read_facts(out, "one", 0)


def test_facts_keep_what_else_is_known(tmp_path: Path, make) -> None:
    facts = make.facts("one", 0).model_copy(update={"device": "cpu"})
    write_facts(tmp_path, facts)
    assert read_facts(tmp_path, "one", 0).model_dump()["device"] == "cpu"
