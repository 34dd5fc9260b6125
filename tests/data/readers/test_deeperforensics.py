"""DeeperForensics-1.0: one split for all variants of a name, actors as sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

FAKES = "manipulated_videos/"
LISTS = "lists/splits/"
TRAIN = "source_videos/M101/light_up/happy/camera_front/M101_light_up_happy_camera_front.mp4"
SHAPES = "source_videos/W006/BlendShape/camera_left/W006_BlendShape_camera_left.mp4"
IDLE = "source_videos/M004/light_up/sad/camera_up/M004_light_up_sad_camera_up.mp4"

Write = Callable[..., Path]


@pytest.fixture
def contents(h264_clip: Callable[..., bytes]) -> dict[str, Any]:
    clip = h264_clip()
    names = ("000_M101", "001_W006", "980_W010")
    variants = ("end_to_end", "end_to_end_level_3", "end_to_end_mix_2_distortions")
    return {
        **{f"{FAKES}{variant}/{name}.mp4": clip for variant in variants for name in names},
        TRAIN: clip,
        SHAPES: clip,
        IDLE: clip,
        f"{LISTS}train.txt": "000_M101.mp4\n",
        f"{LISTS}val.txt": "001_W006.mp4\n",
        f"{LISTS}test.txt": "980_W010.mp4\n002_W010.mp4\n",
        "lists/source_videos_lists/source_videos_list.txt": "what is not read\n",
        "terms_of_use.pdf": b"%PDF",
    }


def test_all_variants_of_a_name_have_its_split_and_people(
    contents: dict[str, Any], tmp_path: Path, tree: Write, decodes: Callable[[Path], None]
) -> None:
    index = READERS["deeperforensics"].read(tree(tmp_path, contents))
    fakes = index.table.filter(pl.col("label") == 1)
    assert fakes.height == fakes["video_id"].n_unique() == 9
    assert fakes.filter(pl.col("path").str.ends_with("/980_W010.mp4")).select(
        "video_id", "manipulation", "identities", "split", "source"
    ).rows() == [
        (f"deeperforensics/{variant}/raw/980_W010", variant, ["980", "W010"], "test", "youtube")
        for variant in ("end_to_end", "end_to_end_level_3", "end_to_end_mix_2_distortions")
    ]
    assert dict(fakes["split"].value_counts().rows()) == {"train": 3, "val": 3, "test": 3}
    decodes(index.file(fakes["path"][0]))


def test_source_videos_are_reals_of_the_studio_in_their_actors_split(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    index = READERS["deeperforensics"].read(tree(tmp_path, contents))
    reals = index.table.filter(pl.col("label") == 0)
    assert reals.select("path", "identities", "split", "source").rows() == [
        (IDLE, ["M004"], None, "studio"),
        (TRAIN, ["M101"], "train", "studio"),
        (SHAPES, ["W006"], "val", "studio"),
    ]
    assert reals["video_id"].n_unique() == 3


def test_an_actor_in_two_lists_leaves_his_source_videos_without_a_split(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    contents[f"{LISTS}test.txt"] += "003_M101.mp4\n"
    index = READERS["deeperforensics"].read(tree(tmp_path, contents))
    assert index.table.filter(pl.col("path") == TRAIN)["split"].to_list() == [None]


def test_source_videos_may_be_missing(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    kept = {path: text for path, text in contents.items() if not path.startswith("source")}
    table = READERS["deeperforensics"].read(tree(tmp_path, kept)).table
    assert table["label"].unique().to_list() == [1]


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (f"{LISTS}val.txt", "001_W006.mp4\nM101_000.mp4\n", r"val\.txt:2 must name a fake.*M101"),
        (f"{LISTS}val.txt", b"\xff\xfe\x00", r"val\.txt cannot be read as text"),
        (f"{LISTS}test.txt", "980_W010.mp4\n000_M101.mp4\n", r"test\.txt:2 lists 000_M101.*leak"),
        (f"{LISTS}test.txt", "\n", "980_W010.mp4 has no split: no list"),
        (f"{FAKES}end_to_end/002_M101.mp4", b"", r"end_to_end/002_M101\.mp4 has no split"),
        (f"{FAKES}end_to_end/M101_000.mp4", b"", "is not <variant>/<target>_<actor>.mp4"),
        (f"{FAKES}end_to_end/x/000_M101.mp4", b"", "is not <variant>/<target>_<actor>.mp4"),
        (f"{FAKES}end2end/000_M101.mp4", b"", "end2end is none of the 11 variants"),
        ("source_videos/M004/M101_x.mp4", b"", "is not in source_videos/<actor>/"),
        ("source_videos/M004/x.mp4", b"", "is not in source_videos/<actor>/"),
    ],
)
def test_what_does_not_fit_is_refused(
    path: str,
    content: str | bytes,
    message: str,
    contents: dict[str, Any],
    tmp_path: Path,
    tree: Write,
) -> None:
    with pytest.raises(DatasetError, match=message):
        READERS["deeperforensics"].read(tree(tmp_path, {**contents, path: content}))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (FAKES, "manipulated_videos/ holds no videos"),
        (f"{LISTS}train.txt", r"there is no lists/splits/train\.txt"),
        ("lists/", r"there is no lists/splits/train\.txt"),
    ],
)
def test_what_is_missing_is_named_and_the_tree_shown(
    gone: str, message: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    kept = {path: text for path, text in contents.items() if not path.startswith(gone)}
    with pytest.raises(DatasetError, match=f"(?s){message}.*Expected:.*Found in"):
        READERS["deeperforensics"].read(tree(tmp_path, kept))
