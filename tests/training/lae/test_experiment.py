"""The whole comparison on drawn faces, and the small parts whose answer is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from unmask.apps.benchmark import lae as experiment
from unmask.apps.benchmark.lae_maps import (
    BEFORE,
    FIXED,
    MEASURES,
    MapJudge,
    read_maps,
    write_samples,
)
from unmask.apps.benchmark.lae_tables import auc_rows, best_balanced_threshold, verify_lae
from unmask.data.annotation.store import Annotations
from unmask.errors import ConfigError, ShapeError
from unmask.evaluation.comparison.paired import holm
from unmask.evaluation.comparison.scores import read_facts, read_items
from unmask.evaluation.comparison.sets import draws_of
from unmask.evaluation.comparison.verify import verify
from unmask.metrics.ranking import auc
from unmask.training.lae.config import LAETrainConfig
from unmask.training.lae.source import resolve_data

ARMS = {"none": None, "random-1": ("random", "25%"), "all": ("random", "100%")}


def run(config: LAETrainConfig, index: Path, root: Path, **more: object) -> Path:
    return experiment.run_lae(
        config, resolve_data(config.data, index), out=root / "out", work=root / "work",
        say=lambda text: None, arms=tuple(ARMS), **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(
    drawn: SimpleNamespace, index: Path, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("comparison")
    config = LAETrainConfig.model_validate(
        drawn.settings(stage_one={"epochs": 1}, stage_two={"epochs": 1})
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "ARMS", ARMS)
        page = run(config, index, root, seeds=(0, 1))
        page_again = run(config, index, root, seeds=(0, 1), resume=True)
        other = config.model_copy(
            update={"stage_two": config.stage_two.model_copy(update={"attention": 2.0})}
        )
        with pytest.raises(ConfigError, match="another configuration"):
            run(other, index, root, seeds=(0, 1), resume=True)
        with pytest.raises(ConfigError, match="already holds"):
            run(config, index, root, seeds=(0, 1))
    assert page == page_again
    return SimpleNamespace(out=root / "out", work=root / "work", page=page)


def test_the_tables_can_be_computed_again(done: SimpleNamespace) -> None:
    assert done.page.is_file()
    assert verify(done.out) == []
    assert verify_lae(done.out) == []


def test_a_changed_table_of_maps_or_decisions_is_found(
    done: SimpleNamespace, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.out, out)
    told = json.loads((out / "decisions.json").read_text())
    told["rows"][3]["value"] += 0.01
    (out / "decisions.json").write_text(json.dumps(told))
    (line,) = verify_lae(out)
    assert line.startswith("rows[3].value: ")
    assert "in decisions.json" in line
    (out / "decisions.json").unlink()
    assert verify_lae(out) == ["there is no decisions.json"]
    (out / "localization/all/seed-1.parquet").unlink()
    (line,) = verify_lae(out)
    assert line.startswith("the tables of the maps cannot be computed again: ")
    (out / "localization.json").unlink()
    assert verify_lae(out) == []


def test_all_arms_of_a_seed_share_stage_1(done: SimpleNamespace) -> None:
    for seed in (0, 1):
        facts = [read_facts(done.out, arm, seed).model_extra for arm in ARMS]
        assert all(facts)
        assert len({f["stage_1"]["tensors_sha256"] for f in facts if f}) == 1
    masks = [(read_facts(done.out, arm, 0).model_extra or {})["masks"] for arm in ARMS]
    assert masks == [0, 2, 8]
    share = (read_facts(done.out, "random-1", 0).model_extra or {})["masks_share_of_training"]
    assert share == 2 / 16


def test_masks_come_from_training_fakes_through_the_store(done: SimpleNamespace) -> None:
    held = Annotations(done.work / "seed-0/all/masks").all()
    assert sorted(record.picture for record in held) == [f"seenway/p{n:03}.png" for n in range(8)]
    assert not (done.work / "seed-0/none/masks").exists()


def test_maps_are_measured_where_they_can_be(done: SimpleNamespace) -> None:
    items, table = read_items(done.out), read_maps(done.out, "all", 1)
    fake = items["label"].to_numpy() == 1
    assert table.height == items.height == 12
    for name in MEASURES[:4]:
        assert (table[name].is_not_null().to_numpy() == fake).all()
    assert (table["marked"].is_not_null().to_numpy() == ~fake).all()
    share = table.filter(pl.Series(fake))["mask_share"].to_numpy()
    assert share == pytest.approx(12 * 12 / 40**2, abs=0.03)
    told = json.loads((done.out / "localization.json").read_text())
    rows = {(r["arm"], r["set"], r["measure"]): r for r in told["rows"]}
    unseen = items["sets"].list.contains("unseen").to_numpy() & fake
    means = [
        read_maps(done.out, BEFORE, s).filter(pl.Series(unseen))["pixel_ap"].mean() for s in (0, 1)
    ]
    row = rows[BEFORE, "unseen", "pixel_ap"]
    assert row["seeds"] == pytest.approx(means)
    assert row["value"] == pytest.approx(np.mean(means))  # type: ignore[arg-type]
    assert row["low"] <= row["value"] <= row["high"]
    gap = next(
        d for d in told["differences"]
        if (d["arm"], d["less"], d["set"], d["measure"]) == ("all", BEFORE, "unseen", "pixel_ap")
    )  # fmt: skip
    assert gap["value"] == pytest.approx(rows["all", "unseen", "pixel_ap"]["value"] - row["value"])


def test_the_control_is_one_map_for_all(tmp_path: Path) -> None:
    left, right = np.zeros((2, 8, 8), bool)
    left[2:6, :4], right[2:6, 4:] = True, True
    store: Any = SimpleNamespace(batches=[None], views=lambda *_: iter([[{}] * 3]))
    own: Any = SimpleNamespace(batches=[None], views=lambda *_: iter([[{}]]))
    spec: Any = None
    judge = MapJudge(spec, store, own, [left], [left, right, None], np.array([False, False, True]))
    judge.write_fixed(tmp_path, 0, (0.75 * left + 0.25 * right).astype(np.float32))
    table = read_maps(tmp_path, FIXED, 0)
    assert table["pointing_game"].to_list() == [1.0, 0.0, None]
    assert table["energy_in_mask"].to_list() == pytest.approx([0.75, 0.25, None])
    assert table["iou"].to_list() == [1.0, 0.0, None]  # the threshold was chosen for the left
    assert table["energy"].to_list() == pytest.approx([0.25] * 3)
    assert table["marked"].to_list() == [None, None, 1.0]


def test_the_control_is_compared_with_and_decides_nothing(done: SimpleNamespace) -> None:
    told = json.loads((done.out / "localization.json").read_text())
    assert {("all", FIXED), ("all", BEFORE)} <= {
        (gap["arm"], gap["less"]) for gap in told["differences"]
    }
    energy = [r for r in told["rows"] if (r["arm"], r["measure"]) == (FIXED, "energy_of_fakes")]
    assert len({seed for row in energy for seed in row["seeds"]}) == 1  # whatever the seed
    decided = json.loads((done.out / "decisions.json").read_text())
    assert {row["arm"] for row in decided["rows"]} == set(ARMS)


def test_decisions_at_every_threshold(done: SimpleNamespace) -> None:
    told = json.loads((done.out / "decisions.json").read_text())
    items = read_items(done.out)
    inside = items["sets"].list.contains("seen").to_numpy()
    fake = items["label"].to_numpy()[inside] == 1
    each = []
    for seed in (0, 1):
        scores = pl.read_parquet(done.out / f"scores/none/seed-{seed}.parquet")
        right = (scores["logit"].to_numpy()[inside] >= 0) == fake
        each.append(np.mean([right[fake].mean(), right[~fake].mean()]))
    row = next(
        r for r in told["rows"]
        if (r["arm"], r["set"], r["measure"]) == ("none", "seen", "balanced_accuracy/zero")
    )  # fmt: skip
    assert row["seeds"] == pytest.approx(each)


def test_areas_and_adjusted_p_values_of_decisions(done: SimpleNamespace) -> None:
    told = json.loads((done.out / "decisions.json").read_text())
    items = read_items(done.out)
    for name in ("seen", "unseen"):
        inside = items["sets"].list.contains(name).to_numpy()
        labels = items["label"].to_numpy()[inside]
        each = [
            auc(labels, pl.read_parquet(done.out / f"scores/all/seed-{s}.parquet")["logit"]
                .to_numpy()[inside])
            for s in (0, 1)
        ]  # fmt: skip
        row = next(
            r for r in told["rows"] if (r["arm"], r["set"], r["measure"]) == ("all", name, "auc")
        )
        assert row["seeds"] == pytest.approx(each)
        gaps = [d for d in told["differences"] if (d["set"], d["measure"]) == (name, "auc")]
        assert [(d["arm"], d["less"]) for d in gaps] == [("random-1", "none"), ("all", "none")]
        assert [d["p_holm"] for d in gaps] == pytest.approx(holm([d["p"] for d in gaps]))


def test_draws_without_a_class_have_no_area(done: SimpleNamespace) -> None:
    items = read_items(done.out)
    draws = draws_of(items, draws=100, seed=0, level=0.95)
    fake = items["label"].to_numpy() == 1
    every, scores = np.arange(items.height), np.linspace(0, 1, items.height)
    found = auc_rows(draws, every, fake, scores)
    assert found[0] == pytest.approx(auc(fake, scores))
    one_class = np.flatnonzero(fake)
    assert np.isnan(auc_rows(draws, one_class, fake[one_class], scores[one_class])).all()


def test_samples_are_of_items_that_may_be_shown(tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def pictures(items: list[int]) -> np.ndarray:
        asked.append(items)
        return np.zeros((len(items), 8, 8, 3), np.uint8)

    real = np.arange(12) % 3 == 0
    masks = [None if is_real else np.ones((8, 8), bool) for is_real in real]
    judge: Any = SimpleNamespace(masks=masks, real=real, pictures=pictures)
    unseen, shown = np.arange(12) >= 6, np.isin(np.arange(12), [3, 4, 5, 8])
    write_samples(tmp_path / "samples", {}, judge, unseen, shown)
    write_samples(tmp_path / "samples", {}, judge, unseen, np.zeros(12, bool))
    assert asked == [[4, 5, 8, 3]]


def test_samples_are_small(done: SimpleNamespace) -> None:
    files = sorted((done.out / "samples").iterdir())
    assert [f.stem for f in files] == sorted([BEFORE, *ARMS])
    assert sum(f.stat().st_size for f in files) < 200_000


def test_the_threshold_of_the_best_balanced_accuracy() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], (30, 10))
    logits = np.round(rng.normal(labels, 1.0), 1)

    def balanced(threshold: float) -> float:
        called = logits >= threshold
        return float(called[labels == 1].mean() + (~called[labels == 0]).mean())

    tried = np.arange(-4, 5, 0.01)
    found = best_balanced_threshold(logits, labels)
    assert balanced(found) == max(balanced(t) for t in tried)
    assert best_balanced_threshold(np.array([3.0, 1.0]), np.array([0, 1])) in (1.0, 4.0)
    with pytest.raises(ShapeError, match="both classes"):
        best_balanced_threshold(np.array([1.0]), np.array([1]))
