"""FaceForensics++ c23 to Celeb-DF v2, as the field runs it, in small: from two trees to a page.

The trees have the data sets' true layouts, their videos are H.264 clips of real faces. Nothing but
the commands is used: prepare twice, benchmark once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from unmask.apps.cli import app
from unmask.data.index import read_index
from unmask.data.protocols.protocol import protocol
from unmask.types import UInt8Image

PEOPLE = ("london_006_03.jpg", "london_024_03.jpg", "london_025_08.jpg")
SIDE, LARGE, SMALL = 280, 260, 150
PAIRS = {"train": ("000", "003"), "val": ("720", "672"), "test": ("953", "974")}
FOUR = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
NAME = "ffpp-c23->celebdf-v2"
FRAMES = 2
TABLE: dict[str, Any] = {
    "name": "tiny",
    "summary": "one small network",
    "reference": "meso4",
    "budget": "2 epochs of a few pictures",
    "seeds": [0],
    "sweep_each": 0,
    "embedded_each": 0,
    "common": {
        "data": {"side": 96, "ramp_epochs": 1, "workers": 0},
        "optim": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "contrastive_weight": 0},
    },
    "arms": {"meso4": {"model": "meso4", "model_options": {"size": 96}}},
}


def clip(path: Path, person: int | None, change: int = 0, side: int = LARGE) -> None:
    """Four frames of a person; `change` tints them, as a forgery that is easily seen."""
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    if person is not None:
        face = cv2.imread(str(Path(__file__).parents[1] / "data" / PEOPLE[person % 3]))
        assert face is not None
        face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)[..., ::-1]
        tint = np.array([0, 8 * change, -12 * change]) + person
        picture[:side, :side] = np.clip(face + tint, 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "23", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for shift in range(4):
            moved = np.ascontiguousarray(np.roll(picture, shift, axis=1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        out.mux(stream.encode())


def ffpp(root: Path) -> Path:
    for number, (split, pair) in enumerate(PAIRS.items()):
        for k, name in enumerate(pair):
            clip(root / f"original_sequences/youtube/c23/videos/{name}.mp4", 2 * number + k)
        for change, made in enumerate(FOUR, 1):
            name = f"manipulated_sequences/{made}/c23/videos/{pair[0]}_{pair[1]}.mp4"
            clip(root / name, 2 * number, change)
        (root / "splits").mkdir(exist_ok=True)
        (root / f"splits/{split}.json").write_text(json.dumps([pair]))
    return root


def celebdf(root: Path) -> Path:
    """Three reals and three fakes to be tested; one real has no face, one fake a small one."""
    clip(root / "Celeb-real/id0_0000.mp4", 6)
    clip(root / "Celeb-real/id9_0000.mp4", 7)  # not on the list
    clip(root / "YouTube-real/00170.mp4", 8)
    clip(root / "YouTube-real/00171.mp4", None)
    clip(root / "Celeb-synthesis/id0_id1_0000.mp4", 6, 2)
    clip(root / "Celeb-synthesis/id1_id0_0001.mp4", 7, 3)
    clip(root / "Celeb-synthesis/id2_id3_0000.mp4", 8, 2, SMALL)
    tested = ("1 Celeb-real/id0_0000", "1 YouTube-real/00170", "1 YouTube-real/00171")
    fakes = ("id0_id1_0000", "id1_id0_0001", "id2_id3_0000")
    listed = [*tested, *(f"0 Celeb-synthesis/{name}" for name in fakes)]
    (root / "List_of_testing_videos.txt").write_text("".join(f"{n}.mp4\n" for n in listed))
    return root


def unmask(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the prepared sets `ffpp` and `celebdf-v2`, and the comparison `out`."""
    root = tmp_path_factory.mktemp("published")
    trees: dict[str, Callable[[Path], Path]] = {"ffpp": ffpp, "celebdf-v2": celebdf}
    indices: list[object] = []
    for name, build in trees.items():
        tree = build(root / "trees" / name)
        done = unmask("prepare", name, tree, "--out", root / name, "--frames", FRAMES, "--jobs", 1)
        assert done.exit_code == (0 if name == "ffpp" else 3), done.output
        indices += ["--index", f"{name}={root / name / 'index.parquet'}"]
    (root / "tiny.yaml").write_text(yaml.safe_dump(TABLE))
    words = ["benchmark", NAME, *indices, "--out", root / "out", "--table", root / "tiny.yaml"]
    done = unmask(*words, "--compat")
    assert done.exit_code == 0, done.output
    return root


@pytest.fixture(scope="module")
def result(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "out/result.json").read_text())
    return found


@pytest.fixture(scope="module")
def items(made: Path) -> pl.DataFrame:
    return pl.read_parquet(made / "out/items.parquet")


def test_training_and_tests_went_through_one_step(made: Path) -> None:
    step = protocol(NAME).normalise
    assert step is not None
    stored = []
    for path in (made / "out.work/cache").glob("crops-*.json"):
        meta, pixels = json.loads(path.read_text()), np.load(path.with_suffix(".npy"))
        assert set(meta["sides"]) == {step.side}
        stored += list(pixels.reshape(-1, step.side, step.side, 3))
    expected = []
    for name in ("ffpp", "celebdf-v2"):
        index = read_index(made / name / "index.parquet")
        kept = index.table.filter((pl.col("split").is_not_null()) & (pl.col("width") >= step.side))
        for path, video in kept.select("path", "video_id").rows():
            expected.append(step.apply(_picture(index.file(path)), video))
    assert len(stored) == len(expected)
    assert sorted(p.tobytes() for p in stored) == sorted(p.tobytes() for p in expected)


def _picture(path: Path) -> UInt8Image:
    image = cv2.imread(str(path))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


def test_the_items_are_the_official_test_videos(items: pl.DataFrame) -> None:
    seen = items.filter(pl.col("sets").list.contains("seen"))
    assert set(seen["manipulation"]) == {"", *FOUR}
    assert {Path(v).name for v in seen["video_id"]} == {*PAIRS["test"], "_".join(PAIRS["test"])}
    assert seen["video_id"].n_unique() == 2 + len(FOUR)
    unseen = items.filter(pl.col("sets").list.contains("unseen"))
    assert sorted(Path(v).name for v in unseen["video_id"].unique()) == [
        "00170", "id0_0000", "id0_id1_0000", "id1_id0_0001",
    ]  # fmt: skip
    assert items.height == FRAMES * items["video_id"].n_unique()


def test_table_one_and_its_columns(made: Path, result: dict[str, Any]) -> None:
    (row,) = result["main"]
    assert (row["arm"], set(row["auc"]), set(row["drop"])) == (
        "meso4",
        {"seen", "unseen"},
        {"unseen"},
    )
    fall = row["auc"]["seen"]["mean"]["value"] - row["auc"]["unseen"]["mean"]["value"]
    assert row["drop"]["unseen"]["mean"]["value"] == pytest.approx(fall)
    page = (made / "out/index.html").read_text()
    for words in (
        "AUC, seen",
        "AUC, unseen",
        "Drop",
        *FOUR,
        "What flawed evaluations would report",
    ):
        assert words in page, words
    assert str(made) not in page


def test_numbers_per_video_and_per_generator(result: dict[str, Any]) -> None:
    sizes = {(r["set"], r["level"]): (r["reals"], r["fakes"]) for r in result["metrics"]}
    assert sizes == {
        ("seen", "frame"): (4, 8),
        ("seen", "video"): (2, 4),
        ("unseen", "frame"): (4, 4),
        ("unseen", "video"): (2, 2),
    }
    generators = {(r["set"], r["name"]) for r in result["generators"]["rows"]}
    assert generators >= {("seen", made) for made in FOUR} | {("unseen", "Celeb-synthesis")}


def test_flawed_numbers_stand_beside_the_honest_ones(made: Path) -> None:
    found = json.loads((made / "out/compat.json").read_text())
    runs = {run["set"]: {row["variant"]: row for row in run["rows"]} for run in found["runs"]}
    assert set(runs) == {"seen", "unseen"}
    assert runs["seen"]["merged_videos"]["ranked"] == [6, 3]
    assert runs["seen"]["dropped_faces"]["coverage"] == 1
    assert runs["unseen"]["dropped_faces"]["coverage"] == pytest.approx(4 / 6)
    assert runs["unseen"]["dropped_faces"]["detail"].endswith("1 reals and 1 fakes")
    assert runs["unseen"]["half_scored"]["ranked"] == [6, 6]
    assert runs["unseen"]["test_selected"]["detail"].startswith("of 2 epochs")
    assert runs["unseen"]["frame_as_video"]["ranked"] == [4, 8]
    for rows in runs.values():
        applied = [row for row in rows.values() if row["flawed"]["value"] is not None]
        for row in applied:
            gain = row["flawed"]["value"] - row["honest"]["value"]
            assert row["inflation"]["value"] == pytest.approx(gain)


def test_the_chosen_epoch_has_the_scores_that_are_reported(made: Path, items: pl.DataFrame) -> None:
    facts = json.loads((made / "out/runs/meso4/seed-0.json").read_text())
    epochs = pl.read_parquet(made / "out/epochs/meso4/seed-0.parquet")
    assert set(epochs["epoch"]) == {0, 1}
    chosen = epochs.filter(pl.col("epoch") == facts["best_epoch"])
    assert set(chosen["val_auc"]) == {facts["val_auc"]}
    assert (
        epochs.group_by("epoch").agg(pl.col("val_auc").first())["val_auc"].max()
        == (facts["val_auc"])
    )
    scores = pl.read_parquet(made / "out/scores/meso4/seed-0.parquet")
    honest = scores.filter(pl.col("condition") == "clean").join(chosen, on="item")
    assert honest.height == items.filter(pl.col("sets").list.contains("unseen")).height
    assert honest["logit"].to_list() == honest["logit_right"].to_list()
    assert epochs.group_by("item").agg(pl.col("logit").n_unique())["logit"].max() == 2
    assert not list((made / "out.work").rglob("*.ckpt"))


def test_the_page_is_verified_from_its_files(made: Path) -> None:
    done = unmask("benchmark", "--verify", made / "out")
    assert done.exit_code == 0, done.output
    path = made / "out/compat.json"
    text = path.read_text()
    changed = json.loads(text)
    changed["runs"][0]["rows"][-1]["flawed"]["value"] = 0.999
    try:
        path.write_text(json.dumps(changed))
        done = unmask("benchmark", "--verify", made / "out")
    finally:
        path.write_text(text)
    assert done.exit_code == 1
    assert "compat.json['runs'][0]['rows'][5]['flawed']['value']: 0.999" in done.output
