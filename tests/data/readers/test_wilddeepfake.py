"""WildDeepfake's layout: unpacked archives of face sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

read = READERS["wilddeepfake"].read
TREE = {
    "real_train/0/real/3/12.png": b"",
    "real_train/0/real/3/7.png": b"",
    "real_train/0/real/4/0.png": b"",
    "fake_train/0/fake/3/1.png": b"",
    "real_test/0/real/3/5.png": b"",
    "fake_test/12/fake/0/2.png": b"",
}


def test_a_sequence_is_a_video_and_a_picture_a_row(tmp_path: Path, tree: Any) -> None:
    table = read(tree(tmp_path, TREE)).table
    got = {(r["path"], r["video_id"], r["frame"], r["label"], r["split"]) for r in table.to_dicts()}
    start = "wilddeepfake/real/raw"
    assert got == {
        ("real_train/0/real/3/12.png", f"{start}/train/0/3", 12, 0, "train"),
        ("real_train/0/real/3/7.png", f"{start}/train/0/3", 7, 0, "train"),
        ("real_train/0/real/4/0.png", f"{start}/train/0/4", 0, 0, "train"),
        ("fake_train/0/fake/3/1.png", "wilddeepfake/mixed/raw/train/0/3", 1, 1, "train"),
        ("real_test/0/real/3/5.png", f"{start}/test/0/3", 5, 0, "test"),
        ("fake_test/12/fake/0/2.png", "wilddeepfake/mixed/raw/test/12/0", 2, 1, "test"),
    }
    assert table["codec"].unique().to_list() == ["png"]
    assert table["box"].is_null().all()


def test_sequences_of_one_archive_stay_together(tmp_path: Path, tree: Any) -> None:
    people: dict[str, set[str]] = {}
    for row in read(tree(tmp_path, TREE)).table.to_dicts():
        people.setdefault(row["identities"][0], set()).add(row["split"])
    assert people == {
        "real_train/0": {"train"},
        "fake_train/0": {"train"},
        "real_test/0": {"test"},
        "fake_test/12": {"test"},
    }


def test_other_ways_to_unpack_give_the_same_ids(tmp_path: Path, tree: Any) -> None:
    expected = set(read(tree(tmp_path / "a", TREE)).table["video_id"])
    nested = {f"deepfake_in_the_wild/{k}": v for k, v in TREE.items()}
    spaced = {k.replace("_", " ", 1): v for k, v in TREE.items()}
    doubled = {f"{k.split('/')[0]}/{k}": v for k, v in TREE.items()}
    for name, contents in (("b", nested), ("c", spaced), ("d", doubled)):
        assert set(read(tree(tmp_path / name, contents)).table["video_id"]) == expected


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"real_test/7.tar.gz": b""}, r"real_test/7\.tar\.gz is not unpacked"),
        ({"pictures/1.png": b""}, r"no sequences.*Expected:.*real_train/.*Found in.*pictures/"),
        ({"real_test/1.png": b""}, r"1\.png is not in <n>/real/<sequence>/"),
    ],
)
def test_another_layout_is_told(
    contents: dict[str, bytes], message: str, tmp_path: Path, tree: Any
) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(tree(tmp_path, contents))
