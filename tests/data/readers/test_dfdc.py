"""DFDC's layout: parts with metadata.json, test and validation videos with labels.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

PART0 = {
    "aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
    "bbb.mp4": {"label": "REAL", "split": "train", "original": None},
}
PART1 = {"ccc.mp4": {"label": "FAKE", "split": "train", "original": "zzz.mp4"}}
read = READERS["dfdc"].read


@pytest.fixture
def dfdc(tmp_path: Path, tree: Any, h264_clip: Any) -> Path:
    clip = h264_clip()
    contents = {
        "train/dfdc_train_part_0/metadata.json": PART0,
        "train/dfdc_train_part_0/aaa.mp4": clip,
        "train/dfdc_train_part_0/bbb.mp4": clip,
        "train/dfdc_train_part_1/metadata.json": PART1,
        "train/dfdc_train_part_1/ccc.mp4": clip,
        "validation/labels.csv": "filename,label\nddd.mp4,0\n",
        "validation/ddd.mp4": clip,
        "test/labels.csv": "filename,label\neee.mp4,1\nfff.mp4,0\n",
        "test/metadata.json": {"eee.mp4": {"is_fake": 1}, "fff.mp4": {"is_fake": 0}},
        "test/videos/eee.mp4": clip,
        "test/videos/fff.mp4": clip,
    }
    root: Path = tree(tmp_path / "DFDC", contents)
    return root


def test_everything_is_read_with_its_label_and_split(dfdc: Path, decodes: Any) -> None:
    table = read(dfdc).table
    assert {(r["path"], r["label"], r["split"]) for r in table.to_dicts()} == {
        ("train/dfdc_train_part_0/aaa.mp4", 1, "train"),
        ("train/dfdc_train_part_0/bbb.mp4", 0, "train"),
        ("train/dfdc_train_part_1/ccc.mp4", 1, "train"),
        ("validation/ddd.mp4", 0, "val"),
        ("test/videos/eee.mp4", 1, "test"),
        ("test/videos/fff.mp4", 0, "test"),
    }
    assert set(table["video_id"]) == {
        *(f"dfdc/mixed/raw/{stem}" for stem in ("aaa", "ccc", "eee")),
        *(f"dfdc/real/raw/{stem}" for stem in ("bbb", "ddd", "fff")),
    }
    assert table["frame"].is_null().all()
    for path in table["path"]:
        decodes(dfdc / path)


def test_a_fake_shares_the_identity_of_its_recording(dfdc: Path) -> None:
    people = {r["path"][-7:-4]: r["identities"] for r in read(dfdc).table.to_dicts()}
    assert people == {"aaa": ["bbb"], "bbb": ["bbb"], "ccc": ["zzz"], "ddd": [], "eee": [],
                      "fff": []}  # fmt: skip


@pytest.mark.parametrize("inside", ["train", "train/dfdc_train_part_0", "test", "validation"])
def test_a_piece_of_it_gives_the_same_rows_as_the_whole(dfdc: Path, inside: str) -> None:
    whole = {r["video_id"]: (r["label"], r["split"]) for r in read(dfdc).table.to_dicts()}
    piece = {r["video_id"]: (r["label"], r["split"]) for r in read(dfdc / inside).table.to_dicts()}
    assert piece
    assert piece.items() <= whole.items()


def lose(root: Path) -> None:
    (root / "train/dfdc_train_part_0/aaa.mp4").unlink()


def smuggle(root: Path) -> None:
    (root / "test/ggg.mp4").touch()


def relabel(root: Path) -> None:
    text = (root / "train/dfdc_train_part_1/metadata.json").read_text()
    (root / "train/dfdc_train_part_1/metadata.json").write_text(text.replace("FAKE", "fake?"))


def out_of_range(root: Path) -> None:
    (root / "test/labels.csv").write_text("filename,label\neee.mp4,2\nfff.mp4,0\n")


def other_columns(root: Path) -> None:
    (root / "test/labels.csv").write_text("name,fake\neee.mp4,1\n")


def cut_off(root: Path) -> None:
    (root / "train/dfdc_train_part_1/metadata.json").write_text('{"ccc.mp4": ')


def repeat(root: Path) -> None:
    (root / "train/dfdc_train_part_1/metadata.json").write_text('{"bbb.mp4": {"label": "REAL"}}')
    (root / "train/dfdc_train_part_1/ccc.mp4").rename(root / "train/dfdc_train_part_1/bbb.mp4")


def repeat_inside(root: Path) -> None:
    (root / "test/fff.mp4").touch()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lose, r"metadata\.json lists 1 videos that are not in .*part_0; the first is aaa\.mp4"),
        (smuggle, r"holds 1 videos that .*labels\.csv does not list.*ggg\.mp4"),
        (relabel, r"the label of ccc\.mp4 must be REAL or FAKE.*fake\?"),
        (out_of_range, r"labels\.csv:2: label must be 0 \(real\) or 1 \(fake\); got '2'"),
        (other_columns, r"columns filename,label; found \['name', 'fake'\]"),
        (cut_off, r"part_1/metadata\.json cannot be read as JSON"),
        (repeat, r"1 videos twice; the first is dfdc/real/raw/bbb"),
        (repeat_inside, r"test holds fff\.mp4 twice"),
    ],
)
def test_damage_is_told(dfdc: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(dfdc)
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(dfdc)


def test_another_layout_is_told_what_was_expected(tmp_path: Path, tree: Any) -> None:
    tree(tmp_path, {"videos/a.mp4": b""})
    with pytest.raises(DatasetError, match=r"(?s)not look like DFDC.*metadata\.json.*videos/"):
        read(tmp_path)
