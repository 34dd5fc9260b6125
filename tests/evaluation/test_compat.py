"""The field's flaws where their inflation is known, and intervals by a literal bootstrap."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from unmask.errors import ConfigError, DatasetError
from unmask.evaluation import compat
from unmask.evaluation.compat_row import PRACTICES, Bootstrap, CompatRow, Variant
from unmask.metrics.resampling import resample

FEW = Bootstrap(draws=100)
Frames = Iterable[float]


def tables(
    videos: Mapping[str, Frames], clusters: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Items and scores of videos by id, `real` in the id of the reals; P(fake) of their frames.

    Rows are shuffled, so that nothing may rest on their order. A video is its own cluster, if no
    other is given.
    """
    rows: list[dict[str, Any]] = []
    for name, frames in videos.items():
        made = "" if "real" in name else "swap"
        rows += [
            {
                "path": f"{name}/{i}.png",
                "video_id": name,
                "frame": 10 * i,
                "label": int(bool(made)),
                "dataset": "made",
                "manipulation": made,
                "family": made,
                "source": "a",
                "cluster": (clusters or {}).get(name, name),
                "sets": ["unseen"],
                "p": p,
            }
            for i, p in enumerate(frames)
        ]
    order = np.random.default_rng(0).permutation(len(rows))
    table = pl.DataFrame([rows[i] for i in order]).with_row_index("item")
    return table.drop("p"), scores_of(table["p"].to_numpy())


def scores_of(p: Any) -> pl.DataFrame:
    """Clean scores of items 0 to n - 1 from P(fake), with another condition that says nothing."""
    p = np.asarray(p, float)
    logits, n = np.log(p / (1 - p)), len(p)
    return pl.DataFrame(
        {
            "item": [*range(n), *range(n)],
            "condition": ["clean"] * n + ["blur+jpeg"] * n,
            "logit": [*logits, *np.zeros(n)],
        }
    ).cast({"item": pl.UInt32, "logit": pl.Float32})


def scored(videos: Mapping[str, Frames], clusters: Mapping[str, str] | None = None) -> pl.DataFrame:
    return compat.scored_items(*tables(videos, clusters))


def values(row: CompatRow) -> list[float]:
    found = [row.honest.value, row.flawed.value, row.inflation.value]
    return [v for v in found if v is not None]


def random_videos(seed: int = 1, people: int = 12) -> tuple[dict[str, Frames], dict[str, str]]:
    """Of every person a real and three fakes of the same name, 4 frames each, moderately apart."""
    rng = np.random.default_rng(seed)
    videos: dict[str, Frames] = {}
    clusters = {}
    for person in range(people):
        for kind in ("real", "a", "b", "c"):
            name = f"set/{kind}/c23/{person}" + ("" if kind == "real" else "_x")
            mean = rng.normal(0.8 * (kind != "real"), 1)
            videos[name] = 1 / (1 + np.exp(-rng.normal(mean, 1, 4)))
            clusters[name] = f"person {person}"
    return videos, clusters


def weighted_auc(fake: Any, scores: Any, weights: Any) -> float:
    return float(roc_auc_score(fake, scores, sample_weight=weights))


def test_first_frames_by_hand() -> None:
    # frames 0 and 1 tell all, the spread ones (2 and 6 of 8) nothing
    videos = {f"real{i}": [0.1, 0.1] + [0.5] * 6 for i in range(5)}
    videos |= {f"fake{i}": [0.9, 0.9] + [0.5] * 6 for i in range(5)}
    row = compat.first_frames(scored(videos), 2, FEW)
    assert values(row) == [0.5, 1.0, 0.5]
    assert (row.inflation.low, row.inflation.high) == (0.5, 0.5)
    assert row.ranked == (10, 10)
    assert row.detail == "2 frames of each of 10 videos that have more, of 10 in all"
    # one frame: the first tells all, the spread one (4) nothing; three: spread are 1, 4, 6
    assert values(compat.first_frames(scored(videos), 1, FEW)) == [0.5, 1.0, 0.5]
    assert values(compat.first_frames(scored(videos), 3, FEW)) == [1.0, 1.0, 0.0]


def test_short_videos_count_with_all_frames_on_both_sides() -> None:
    videos = {f"real{i}": [0.4] for i in range(4)} | {f"fake{i}": [0.6] for i in range(3)}
    row = compat.first_frames(scored({**videos, "fake9": [0.9, 0.1, 0.1]}), 1, FEW)
    assert values(row) == [0.75, 1.0, 0.25]


def test_merged_videos_by_hand() -> None:
    # one manipulation of four is found; merged, its score carries the other three
    videos: dict[str, Frames] = {f"ffpp/real/c23/{i:03}": [0.5, 0.5] for i in range(10)}
    for kind, p in (("a", 0.9), ("b", 0.45), ("c", 0.45), ("d", 0.45)):
        videos |= {f"ffpp/{kind}/c23/{i:03}_x": [p, p] for i in range(10)}
    row = compat.merged_videos(scored(videos), FEW)
    assert values(row) == [0.25, 1.0, 0.75]
    assert row.ranked == (50, 20)
    assert row.detail == "50 videos become 20"
    assert (row.inflation.low, row.inflation.high) == (0.75, 0.75)


def test_a_real_merged_with_a_fake_becomes_a_fake() -> None:
    # the reals of the folders 0 and 1 are called fake, and vanish into the fakes of that name
    videos: dict[str, Frames] = {f"d/real/{i}": [0.8 if i < 2 else 0.3] * 2 for i in range(4)}
    videos |= {f"d/swap/{i}": [0.6, 0.6] for i in range(2)}
    row = compat.merged_videos(scored(videos), FEW)
    assert values(row) == [0.5, 1.0, 0.5]
    assert row.ranked == (6, 4)


def test_stills_are_not_merged_and_lengths_weigh() -> None:
    videos: dict[str, Frames] = {f"ffhq/real/{i}": [0.5] for i in range(3)}
    videos |= {f"gan/swap/{i}": [0.9] for i in range(3)}
    videos |= {"a/swap/v": [0.6], "b/swap/w": [0.9, 0.9], "c/swap/w": [0.2] * 4}
    row = compat.merged_videos(scored(videos), FEW)
    # w is (2 * 0.9 + 4 * 0.2) / 6 = 0.43 of all its frames
    assert values(row) == pytest.approx([5 / 6, 4 / 5, 4 / 5 - 5 / 6])
    assert row.ranked == (9, 8)


def test_names_that_tie_everyone_together_leave_no_interval() -> None:
    videos = {f"{kind}/{i}/clip": [0.3 + 0.1 * (kind == "swap")] * 2 for kind in ("real", "swap")
              for i in range(3)}  # fmt: skip
    videos |= {"real/still": [0.2], "swap/still": [0.9]}
    clusters = {"real/still": "real/0/clip", "swap/still": "swap/0/clip"}
    row = compat.merged_videos(scored(videos, clusters), FEW)
    assert row.honest.value == 1.0
    assert row.flawed.value == 1.0
    for estimate in (row.honest, row.flawed, row.inflation):
        assert estimate.low is None
        assert estimate.reason == "no interval: merged videos tie all clusters together"


def quantiles(rows: list[list[float]]) -> Any:
    """2.5 and 97.5% of honest, flawed and inflation."""
    draws = np.array(rows)
    return np.quantile(np.c_[draws, draws[:, 1] - draws[:, 0]], [0.025, 0.975], axis=0).T


def intervals(row: CompatRow) -> list[list[float | None]]:
    return [[e.low, e.high] for e in (row.honest, row.flawed, row.inflation)]


def test_intervals_are_of_the_same_clusters_drawn_for_both() -> None:
    table = scored(*random_videos())
    by_video = table.with_columns(p=1 / (1 + (-pl.col("logit")).exp()))
    fake, clusters = table["label"].to_numpy(), table["cluster"].to_list()
    keys = {
        "frame_as_video": table["video_id"],
        "merged_videos": table["video_id"].str.split("/").list.last(),
    }
    for name, key in keys.items():
        row = getattr(compat, name)(table, Bootstrap(draws=100, seed=4))
        literal = []
        for weights in np.concatenate(list(resample(fake, clusters, draws=100, seed=4).weights())):
            drawn = by_video.with_columns(w=weights, key=key)
            unique, merged = (
                drawn.group_by(c).agg(pl.col("p").mean(), pl.col("label", "w").max())
                for c in ("video_id", "key")
            )
            other = drawn if name == "frame_as_video" else merged
            literal.append([weighted_auc(t["label"], t["p"], t["w"]) for t in (unique, other)])
        np.testing.assert_allclose(np.array(intervals(row), float), quantiles(literal), atol=1e-6)
        assert row.inflation.low is not None
        assert row.inflation.high is not None
        assert row.inflation.low < row.inflation.high


def test_merged_videos_draw_tied_clusters_together() -> None:
    videos, _ = random_videos(people=8)
    table = scored(videos)  # every video is a cluster, until merging ties three fakes each
    names = {n: "real " + n if "real" in n else n.split("/")[-1] for n in videos}
    tied = scored(videos, names)
    assert [t["cluster"].n_unique() for t in (table, tied)] == [32, 16]
    row = compat.merged_videos(table, FEW)
    assert row == compat.merged_videos(tied, FEW)
    # the honest number, too, is drawn by tied clusters
    assert row.honest == compat.frame_as_video(tied, FEW).honest
    assert row.honest != compat.frame_as_video(table, FEW).honest


def epochs(
    *found: tuple[float, list[float]],
) -> tuple[pl.DataFrame, dict[int, tuple[float, pl.DataFrame]]]:
    """Two reals and two fakes, and per epoch a validation AUC and P(fake) of those items."""
    items, _ = tables({"real0": [0.5], "real1": [0.5], "fake0": [0.5], "fake1": [0.5]})
    order = items["path"].to_list()
    paths = ["real0/0.png", "real1/0.png", "fake0/0.png", "fake1/0.png"]
    per_epoch = {
        number: (auc, scores_of([p[paths.index(path)] for path in order]))
        for number, (auc, p) in enumerate(found)
    }
    return items, per_epoch


def test_selection_on_the_test_by_hand() -> None:
    items, per_epoch = epochs(
        (0.7, [0.1, 0.2, 0.8, 0.9]),  # test 1
        (0.9, [0.1, 0.6, 0.5, 0.9]),  # test 3/4
        (0.8, [0.9, 0.6, 0.5, 0.1]),  # test 0
    )
    row = compat.selected_on_test(items, per_epoch, bootstrap=FEW)
    assert values(row) == [0.75, 1.0, 0.25]
    assert row.detail == "of 3 epochs, validation chooses 1 and the test 0"


def test_ties_are_not_held_against_validation() -> None:
    good, bad = [0.1, 0.2, 0.8, 0.9], [0.9, 0.6, 0.5, 0.1]
    items, per_epoch = epochs((0.6, good), (0.8, good), (0.8, bad))
    row = compat.selected_on_test(items, per_epoch, bootstrap=FEW)
    assert row.detail == "of 3 epochs, validation chooses 1 and the test 1"
    assert values(row) == [1.0, 1.0, 0.0]
    assert (row.inflation.low, row.inflation.high) == (0.0, 0.0)


def test_choosing_the_best_of_noise_inflates() -> None:
    items, _ = tables(random_videos()[0])
    rng = np.random.default_rng(2)
    per_epoch = {e: (0.5, scores_of(rng.uniform(0.01, 0.99, items.height))) for e in range(8)}
    row = compat.selected_on_test(items, per_epoch, bootstrap=FEW)
    tests = [
        roc_auc_score(items["label"], s.filter(pl.col("condition") == "clean")["logit"])
        for _, s in per_epoch.values()
    ]
    assert values(row) == pytest.approx([tests[0], max(tests), max(tests) - tests[0]])
    assert max(tests) > tests[0]


def missing_case() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Three reals and three fakes with scores; one more of each without."""
    p = {"real0": 0.1, "real1": 0.2, "real2": 0.6, "fake0": 0.5, "fake1": 0.7, "fake2": 0.8}
    names = [*p, "real3", "fake3"]
    expected = pl.DataFrame(
        {"video_id": names, "label": [int("fake" in n) for n in names], "cluster": names}
    )
    return scored({name: [v, v] for name, v in p.items()}), expected.sample(8, shuffle=True, seed=1)


def test_missing_videos_by_hand() -> None:
    table, expected = missing_case()
    # of 16 pairs: 8 of 9 found ones are won; 7 have a missing video in them
    dropped = compat.dropped_faces(table, expected, FEW)
    assert values(dropped) == pytest.approx([8 / 16, 8 / 9, 8 / 9 - 8 / 16])
    assert dropped.ranked == (8, 6)
    # at 0.5: fake3 beats 2 reals and ties with real3, which loses to 2 fakes and ties with fake0
    half = compat.half_scored(table, expected, FEW)
    assert values(half) == pytest.approx([8 / 16, 13 / 16, 5 / 16])
    assert half.ranked == (8, 8)
    for row in (dropped, half):
        assert row.best is not None
        assert row.best.value == pytest.approx(15 / 16)
        assert row.coverage == 0.75
        assert row.detail == "2 of 8 videos have no score: 1 reals and 1 fakes"


@pytest.mark.parametrize("seed", range(5))
def test_the_bounds_hold_whatever_the_missing_would_have_scored(seed: int) -> None:
    videos, clusters = random_videos(seed)
    expected = pl.DataFrame(
        {
            "video_id": list(videos),
            "label": [int("real" not in v) for v in videos],
            "cluster": [clusters[v] for v in videos],
        }
    )
    rng = np.random.default_rng(seed)
    kept = {name: p for name, p in videos.items() if rng.random() < 0.8}
    rows = [f(scored(kept, clusters), expected, FEW)
            for f in (compat.dropped_faces, compat.half_scored)]  # fmt: skip
    truth = compat.frame_as_video(scored(videos, clusters), FEW).honest.value
    assert truth is not None
    for row in rows:
        assert row.best is not None
        assert row.best.value is not None
        low, flawed, _ = values(row)
        assert low < truth < row.best.value
        assert low < flawed < row.best.value
    assert rows[0].coverage == pytest.approx(len(kept) / len(videos))


def test_where_no_video_is_missing_nothing_is_inflated() -> None:
    table, expected = missing_case()
    whole = expected.filter(pl.col("video_id").is_in(table["video_id"].to_list()))
    for name in ("dropped_faces", "half_scored"):
        row = getattr(compat, name)(table, whole, FEW)
        assert (row.inflation.low, row.inflation.value, row.inflation.high) == (0, 0, 0)
        assert row.coverage == 1
        assert row.best == row.honest


def test_a_class_that_was_never_found_has_no_auc_but_bounds() -> None:
    table, expected = missing_case()
    row = compat.dropped_faces(table.filter(pl.col("label") == 0), expected, FEW)
    assert row.honest.value == 0.0
    assert row.best is not None
    assert row.best.value == 1.0
    assert row.flawed.value is row.inflation.value is None
    assert row.flawed.reason == "3 reals and 0 fakes; an AUC here needs 1 of each class"


def test_frames_for_videos_by_hand() -> None:
    # single frames of a fake swing about the reals, their mean lies above
    videos = {f"real{i}": [0.5, 0.5] for i in range(4)}
    videos |= {f"fake{i}": [0.3, 0.9] for i in range(4)}
    row = compat.frame_as_video(scored(videos), FEW)
    assert values(row) == [1.0, 0.5, -0.5]
    assert row.ranked == (8, 16)
    assert row.detail == "16 frames of 8 videos"


def test_the_table_has_every_practice_once_in_order() -> None:
    items, scores = tables(*random_videos())
    assert tuple(PRACTICES) == get_args(Variant)
    per_epoch = {0: (0.6, scores), 1: (0.5, scores_of(np.linspace(0.1, 0.9, items.height)))}
    expected = items.select("video_id", "label", "cluster").unique()
    rows = compat.compat_table(
        items,
        scores,
        frames=2,
        set_name="unseen",
        per_epoch=per_epoch,
        expected=expected,
        bootstrap=FEW,
    )
    assert [row.variant for row in rows] == list(PRACTICES)
    for row in rows:
        assert row.practice == PRACTICES[row.variant]
        assert None not in (row.honest.low, row.flawed.low, row.inflation.low, row.ranked)
        assert row.inflation.value == pytest.approx(row.flawed.value - row.honest.value)  # type: ignore[operator]
        assert CompatRow.model_validate_json(row.model_dump_json()) == row
    again = compat.first_frames(compat.scored_items(items, scores), 2, FEW)
    assert rows[0] == again


def test_what_does_not_apply_is_null_with_its_reason() -> None:
    items, scores = tables({"real0": [0.2], "real1": [0.4], "fake0": [0.3], "fake1": [0.9]})
    rows = compat.compat_table(items, scores, frames=4, bootstrap=FEW)
    reasons = {row.variant: row.inflation.reason for row in rows}
    stills = "stills only: every video of this set has one frame"
    unlisted = "there is no list of the videos that should have been scored"
    assert reasons == {
        "first_frames": stills,
        "merged_videos": stills,
        "test_selected": "the test was scored with the chosen checkpoint only",
        "dropped_faces": unlisted,
        "half_scored": unlisted,
        "frame_as_video": stills,
    }
    for row in rows:
        data = json.loads(row.model_dump_json())
        assert [data[k]["value"] for k in ("honest", "flawed", "inflation")] == [None] * 3
        assert data["ranked"] is None
    short = compat.first_frames(scored(random_videos()[0]), 4, FEW)
    assert short.honest.reason == "no video of this set has more than 4 scored frames"
    one = compat.selected_on_test(items, {3: (0.5, scores)}, bootstrap=FEW)
    assert one.flawed.reason == "there is one epoch only, so nothing is chosen"


def test_a_row_cannot_be_changed_or_enlarged() -> None:
    row = compat.frame_as_video(scored(random_videos()[0]), FEW)
    with pytest.raises(ValidationError, match="frozen"):
        row.detail = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        CompatRow.model_validate({**row.model_dump(), "more": 1})


def test_sets_are_taken_apart() -> None:
    items, scores = tables(random_videos()[0])
    half = items.with_columns(
        sets=pl.when(pl.col("video_id").str.contains("/b/"))
        .then(pl.lit(["seen"]))
        .otherwise(pl.lit(["seen", "unseen"]))
    )
    table = compat.scored_items(half, scores, "unseen")
    assert table.height == items.height * 3 // 4
    assert table["item"].is_sorted()
    with pytest.raises(ConfigError, match=r"(?s)set 'gan'.*seen, unseen"):
        compat.scored_items(half, scores, "gan")


def test_what_cannot_be_trusted_is_refused() -> None:
    items, scores = tables(random_videos()[0])
    table = compat.scored_items(items, scores)
    with pytest.raises(DatasetError, match=r"1 of 192 items have no finite clean score.*item 7"):
        compat.scored_items(items, scores.filter(pl.col("item") != 7))
    with pytest.raises(DatasetError, match="twice"):
        compat.scored_items(items, pl.concat([scores, scores]))
    broken = scores.with_columns(
        logit=pl.when(pl.col("item") == 3).then(float("nan")).otherwise("logit")
    )
    with pytest.raises(DatasetError, match=r"no finite clean score.*item 3"):
        compat.scored_items(items, broken)
    with pytest.raises(DatasetError, match="lacks the columns cluster"):
        compat.scored_items(items.drop("cluster"), scores)
    with pytest.raises(ConfigError, match="got 0"):
        compat.first_frames(table, 0)
    with pytest.raises(ConfigError, match="there is no epoch"):
        compat.selected_on_test(items, {})
    for auc in (1.2, float("nan")):
        with pytest.raises(ConfigError, match="epoch 1 has"):
            compat.selected_on_test(items, {0: (0.5, scores), 1: (auc, scores)})
    with pytest.raises(ConfigError, match=">= 100 draws"):
        compat.frame_as_video(table, Bootstrap(draws=10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("cluster"), "lacks the columns cluster"),
        (lambda t: pl.concat([t, t[:1]]), "2 of 9 expected videos are named twice"),
        (lambda t: t.with_columns(cluster=pl.lit(None)), "8 of 8 expected videos"),
        (lambda t: t.with_columns(label=pl.lit(2)), "label other than 0 and 1"),
        (lambda t: t.with_columns(label=pl.lit("FAKE")), "8 of 8 expected videos"),
        (lambda t: t.filter(pl.col("video_id") != "real1"), "1 scored videos .* 'real1'"),
        (lambda t: t.with_columns(label=1 - pl.col("label")), "6 scored videos .* another label"),
    ],
)
def test_lists_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    table, expected = missing_case()
    with pytest.raises(DatasetError, match=message):
        compat.dropped_faces(table, change(expected), FEW)
