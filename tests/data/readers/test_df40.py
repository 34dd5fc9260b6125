"""DF40's layouts: test data by domain, training data, methods with their own reals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

read = READERS["df40"].read
Facts = tuple[str, int, int, str | None, str, list[str]]
CASES: dict[str, Facts] = {
    "simswap/ff/frames/000_003/012.png": (
        "df40/simswap/raw/ff/000_003", 12, 1, None, "ffpp", ["ffpp/000", "ffpp/003"]),
    "simswap/cdf/frames/id0_id1_0002/000.png": (
        "df40/simswap/raw/cdf/id0_id1_0002", 0, 1, "test", "celebdf",
        ["celebdf/id0", "celebdf/id1"]),
    "StyleGAN2/ff/001/seed0188.png": (
        "df40/StyleGAN2/raw/ff/001", 188, 1, None, "ffpp", ["ffpp/001"]),
    "StyleGAN2/cdf/00170/5.jpg": ("df40/StyleGAN2/raw/cdf/00170", 5, 1, "test", "celebdf", []),
    "e4e/ff/inversions/042.png": ("df40/e4e/raw/ff/042", 0, 1, None, "ffpp", ["ffpp/042"]),
    "inswap/frames/993_989/131.png": (
        "df40/inswap/raw/ff/993_989", 131, 1, "train", "ffpp", ["ffpp/993", "ffpp/989"]),
    "heygen/real/frames/Clip_7/003.png": (
        "df40/real/raw/heygen/Clip_7", 3, 0, "test", "heygen", []),
    "heygen/fake/frames/Clip_7/003.png": (
        "df40/heygen/raw/fake/Clip_7", 3, 1, "test", "heygen", []),
    "MidJourney/fake/a b.png": ("df40/MidJourney/raw/fake/a b", 0, 1, "test", "MidJourney", []),
}  # fmt: skip


def test_each_place_says_what_a_picture_is(tmp_path: Path, tree: Any) -> None:
    contents = {**dict.fromkeys(CASES, b""), "simswap/ff/masks/000_003/012.png": b""}
    columns = ("video_id", "frame", "label", "split", "source", "identities")
    table = read(tree(tmp_path, contents)).table
    assert {r["path"]: tuple(r[c] for c in columns) for r in table.to_dicts()} == CASES
    assert set(table["codec"]) == {"png", "jpeg"}


def test_training_and_test_release_give_a_video_the_same_id(tmp_path: Path, tree: Any) -> None:
    train = read(tree(tmp_path / "a", {"fomm/frames/000_003/1.png": b""})).table
    test = read(tree(tmp_path / "b", {"fomm/ff/frames/000_003/1.png": b""})).table
    assert train["video_id"][0] == test["video_id"][0]


@pytest.mark.parametrize(
    "path",
    [
        "FaceForensics++/original_sequences/youtube/c23/frames/000/000.png",
        "Celeb-DF-v2/Celeb-real/frames/id0_0000/000.png",
        "portraits/1.png",
        "Celeb-real/frames/id0_0000/000.png",
        "YouTube-real/frames/00000/000.png",
        "celeb_real/cdf/frames/id0_0000/000.png",
        "original_sequences/frames/000/000.png",
        "real/frames/000/000.png",
        "youtube/ff/frames/000/000.png",
        "actors/fake/01__walking/000.png",
        "simswap/ff/frames/original/000.png",
        "fomm/frames/real/000.png",
        "FFHQ/frames/00001/000.png",
    ],
)
def test_pictures_that_may_be_real_are_never_called_fake(
    path: str, tmp_path: Path, tree: Any
) -> None:
    contents = {"simswap/ff/frames/000_003/012.png": b"", path: b""}
    with pytest.raises(DatasetError, match=r"(?s)lies in none of these.*<method>/ff/frames"):
        read(tree(tmp_path, contents))


@pytest.mark.parametrize("path", ["ff/frames/000_003/1.png", "fake/frames/a/1.png"])
def test_one_methods_own_folder_is_no_root(path: str, tmp_path: Path, tree: Any) -> None:
    # read from here, test data would pass for training data of a method called ff
    with pytest.raises(DatasetError, match=r"(?s)lies in none of these.*<method>/ff/frames"):
        read(tree(tmp_path, {path: b""}))


def test_a_method_with_real_in_its_name_is_one(tmp_path: Path, tree: Any) -> None:
    table = read(tree(tmp_path, {"WhichFaceIsReal/fake/1.png": b""})).table
    assert (table["label"][0], table["manipulation"][0]) == (1, "WhichFaceIsReal")


def test_an_empty_folder_is_told_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"(?s)no pictures.*Expected.*the folder is empty"):
        read(tmp_path)
