"""Celeb-DF v1, v2 and ++: 1 = real turned round, identities from names, only a test split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.data.index import Index
from unmask.data.readers import READERS
from unmask.errors import DatasetError

LIST = "List_of_testing_videos.txt"
TESTED = """1 YouTube-real/00170.mp4
1 Celeb-real/id1_0003.mp4

0 Celeb-synthesis/id1_id0_0007.mp4
0 Celeb-synthesis/id59_id61_0009.mp4
"""  # the last one was not downloaded
TESTED_PP = """1 YouTube-real/00170.mp4
0 Celeb-synthesis/FaceSwap/SimSwap/id1_id0_0007.mp4
0 Celeb-synthesis/TalkingFace/SadTalker/id0_0000_test_id08701_x.mp4
"""
BOTH = pytest.mark.parametrize("name", ["celebdf-v1", "celebdf-v2"])

Write = Callable[..., Path]


@pytest.fixture
def reals(h264_clip: Callable[..., bytes]) -> dict[str, Any]:
    clip = h264_clip()
    return {
        "Celeb-real/id0_0000.mp4": clip,
        "Celeb-real/id1_0003.mp4": clip,
        "YouTube-real/00000.mp4": clip,
        "YouTube-real/00170.mp4": clip,
    }


@pytest.fixture
def contents(reals: dict[str, Any], h264_clip: Callable[..., bytes]) -> dict[str, Any]:
    swapped = h264_clip((150, 60, 60))
    return {
        **reals,
        "Celeb-synthesis/id0_id1_0000.mp4": swapped,
        "Celeb-synthesis/id1_id0_0007.mp4": swapped,
        "Celeb-synthesis/id16_id0_0012.mp4": swapped,
        LIST: TESTED,
    }


@pytest.fixture
def contents_pp(reals: dict[str, Any], h264_clip: Callable[..., bytes]) -> dict[str, Any]:
    fake = h264_clip((150, 60, 60))
    return {
        **reals,
        "Celeb-synthesis/FaceSwap/Celeb-DF/id1_id0_0007.mp4": fake,
        "Celeb-synthesis/FaceSwap/SimSwap/id1_id0_0007.mp4": fake,
        "Celeb-synthesis/FaceReenact/LivePortrait/id1_id0_0007.mp4": fake,
        "Celeb-synthesis/TalkingFace/SadTalker/id0_0000_test_id08701_x.mp4": fake,
        LIST: TESTED_PP,
    }


def row(index: Index, path: str) -> dict[str, Any]:
    return index.table.row(by_predicate=pl.col("path") == path, named=True)


@BOTH
def test_rows_are_what_the_tree_says(
    name: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    table = READERS[name].read(tree(tmp_path, contents)).table
    assert table.select("video_id", "label", "source", "identities", "split").rows() == [
        (f"{name}/real/raw/Celeb-real/id0_0000", 0, "Celeb-real", ["id0"], None),
        (f"{name}/real/raw/Celeb-real/id1_0003", 0, "Celeb-real", ["id1"], "test"),
        (f"{name}/real/raw/YouTube-real/00000", 0, "YouTube-real", [], None),
        (f"{name}/real/raw/YouTube-real/00170", 0, "YouTube-real", [], "test"),
        (f"{name}/Celeb-synthesis/raw/id0_id1_0000", 1, "Celeb-real", ["id0", "id1"], None),
        (f"{name}/Celeb-synthesis/raw/id16_id0_0012", 1, "Celeb-real", ["id16", "id0"], None),
        (f"{name}/Celeb-synthesis/raw/id1_id0_0007", 1, "Celeb-real", ["id1", "id0"], "test"),
    ]
    assert table["dataset"].unique().to_list() == [name]
    assert table["frame"].null_count() == table["mask_path"].null_count() == table.height


def test_the_lists_one_means_real_and_becomes_zero(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    index = READERS["celebdf-v2"].read(tree(tmp_path, contents))
    compared = 0
    for line in TESTED.split("\n"):
        listed, _, path = line.partition(" ")
        if path in contents:
            assert row(index, path)["label"] == 1 - int(listed)
            compared += 1
    assert compared == 3


@BOTH
@pytest.mark.parametrize(
    "line", ["0 YouTube-real/00170.mp4", "0 Celeb-real/id1_0003.mp4", "1 Celeb-synthesis/x.mp4"]
)
def test_a_list_turned_round_by_hand_is_refused(
    name: str, line: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    root = tree(tmp_path, {**contents, LIST: f"1 Celeb-real/id1_0003.mp4\n{line}\n"})
    with pytest.raises(DatasetError, match=r"(?s)videos\.txt:2 says .*1 means real.*turn"):
        READERS[name].read(root)


def test_nothing_is_called_training_and_test_people_occur_outside_the_test(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    table = READERS["celebdf-v2"].read(tree(tmp_path, contents)).table.explode("identities")
    assert set(table["split"]) == {"test", None}
    inside = set(table.filter(pl.col("split") == "test")["identities"]) - {None}
    assert inside & set(table.filter(pl.col("split").is_null())["identities"])


def test_a_listed_path_decodes(
    contents: dict[str, Any], tmp_path: Path, tree: Write, decodes: Callable[[Path], None]
) -> None:
    index = READERS["celebdf-v2"].read(tree(tmp_path, contents))
    assert all(index.file(path).is_file() for path in index.table["path"])
    decodes(index.file(index.table["path"][-1]))


def test_videos_may_lie_in_a_videos_folder_and_the_list_be_from_windows(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    moved = {path.replace("/", "/videos/"): content for path, content in contents.items()}
    moved[LIST] = TESTED.replace("/", "\\").replace("\n", "\r\n")
    table = READERS["celebdf-v2"].read(tree(tmp_path, moved)).table
    assert table.filter(pl.col("split") == "test")["path"].to_list() == [
        "Celeb-real/videos/id1_0003.mp4",
        "YouTube-real/videos/00170.mp4",
        "Celeb-synthesis/videos/id1_id0_0007.mp4",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("YouTube-real/00170.mp4\n", r":1 must be 1 or 0 and a path.*got 'YouTube-real/00170"),
        ("2 YouTube-real/00170.mp4\n", r":1 must be 1 or 0 and a path"),
        ("\n\n1 other/00170.mp4\n", r":3 must be 1 or 0 and a path"),
        ("1 \n", r":1 must be 1 or 0 and a path"),
        (" \n", "lists no videos"),
        (b"\xff\xfe1\x00", "cannot be read as text"),
        ("1 YouTube-real/00999.mp4\n", "(?s)None of the 1 videos.*Each version has its own list"),
    ],
)
def test_a_damaged_list_is_named(
    text: str | bytes, message: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        READERS["celebdf-v1"].read(tree(tmp_path, {**contents, LIST: text}))
    assert LIST in caught.value.message


@BOTH
@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("Celeb-real/", "there is no Celeb-real/"),
        ("YouTube-real/", "there is no YouTube-real/"),
        ("Celeb-synthesis/", "there is no Celeb-synthesis/"),
        (LIST, f"there is no {LIST}, which comes with the videos"),
    ],
)
def test_what_is_missing_is_named_and_the_tree_shown(
    name: str, gone: str, message: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    kept = {path: content for path, content in contents.items() if not path.startswith(gone)}
    with pytest.raises(DatasetError, match=f"(?s){message}.*Expected:.*1 = real.*Found in"):
        READERS[name].read(tree(tmp_path, kept))


@pytest.mark.parametrize(
    ("kept", "message"),
    [("Celeb-synthesis", "it holds no real videos"), ("real", "it holds no fakes")],
)
def test_a_class_without_videos_shows_the_tree(
    kept: str, message: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    root = tree(tmp_path, {path: text for path, text in contents.items() if kept in path})
    for folder in ("Celeb-real", "YouTube-real", "Celeb-synthesis"):
        (root / folder).mkdir(exist_ok=True)
    with pytest.raises(DatasetError, match=f"(?s){message}.*Expected:"):
        READERS["celebdf-v2"].read(root)


@BOTH
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Celeb-real/00000.mp4", r"Celeb-real/00000\.mp4 is not named as the others"),
        ("YouTube-real/id0_0000.mp4", "is not named as the others"),
        ("Celeb-synthesis/id0_0000.mp4", "is not named as the others"),
        ("Celeb-synthesis/FaceSwap/SimSwap/id1_id0_0007.mp4", "lies too deep"),
    ],
)
def test_a_video_that_does_not_fit_is_refused(
    name: str, path: str, message: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}.*Expected:"):
        READERS[name].read(tree(tmp_path, {**contents, path: b"a video"}))


def test_plus_plus_has_its_methods_as_manipulations(
    contents_pp: dict[str, Any], tmp_path: Path, tree: Write, decodes: Callable[[Path], None]
) -> None:
    index = READERS["celebdf-pp"].read(tree(tmp_path, contents_pp))
    fakes = index.table.filter(pl.col("label") == 1)
    assert fakes.select("video_id", "manipulation", "identities", "split").rows() == [
        (
            "celebdf-pp/LivePortrait/raw/FaceReenact/id1_id0_0007",
            "LivePortrait",
            ["id1", "id0"],
            None,
        ),
        ("celebdf-pp/Celeb-DF/raw/FaceSwap/id1_id0_0007", "Celeb-DF", ["id1", "id0"], None),
        ("celebdf-pp/SimSwap/raw/FaceSwap/id1_id0_0007", "SimSwap", ["id1", "id0"], "test"),
        (
            "celebdf-pp/SadTalker/raw/TalkingFace/id0_0000_test_id08701_x",
            "SadTalker",
            ["id0"],  # id08701 only lent the voice
            "test",
        ),
    ]
    assert index.table.filter(pl.col("label") == 0)["split"].to_list() == [None, None, None, "test"]
    decodes(index.file(fakes["path"][0]))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Celeb-synthesis/id0_id1_0000.mp4", r"id0_id1_0000\.mp4 is none of FaceSwap, FaceReen"),
        ("Celeb-synthesis/Diffusion/X/id0_0000.mp4", "Celeb-synthesis/Diffusion is none of"),
        ("Celeb-synthesis/FaceSwap/id0_id1_0000.mp4", r"id1_0000\.mp4 is in no method's folder"),
        ("Celeb-synthesis/FaceSwap/SimSwap/x/id0_id1_0000.mp4", "lies too deep"),
        ("Celeb-synthesis/FaceSwap/SimSwap/0_0000.mp4", "is not named as the others"),
    ],
)
def test_plus_plus_refuses_what_does_not_fit(
    path: str, message: str, contents_pp: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    root = tree(tmp_path, {**contents_pp, path: b"a video"})
    with pytest.raises(DatasetError, match=f"(?s){message}.*Expected:.*TalkingFace"):
        READERS["celebdf-pp"].read(root)
