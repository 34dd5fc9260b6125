"""A CSV as an index: what the plain columns and each of the optional ones give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.data.index import Index
from unmask.data.readers import READERS
from unmask.errors import DatasetError


def read(tmp_path: Path, *lines: str) -> Index:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return READERS["csv"].read(path)


def test_three_columns_are_enough(tmp_path: Path) -> None:
    rows = read(tmp_path, "path,label,split", "a/1.jpg,0,train", "b/2.mp4,1,test").table.to_dicts()
    expected: list[dict[str, Any]] = [
        {"video_id": "mine/real/raw/a/1", "frame": 0, "path": "a/1.jpg", "label": 0,
         "manipulation": "", "source": "a", "identities": [], "split": "train", "codec": "jpeg"},
        {"video_id": "mine/unnamed/raw/b/2", "frame": None, "path": "b/2.mp4", "label": 1,
         "manipulation": "unnamed", "source": "b", "identities": [], "split": "test",
         "codec": None},
    ]  # fmt: skip
    assert [{k: row[k] for k in expected[0]} for row in rows] == expected


def test_every_optional_column(tmp_path: Path) -> None:
    header = (
        "path,label,split,source,manipulation,identities,dataset,compression,video,frame,mask,"
        "landmarks,box,width,height,codec,quality"
    )
    line = "f/1.png,1,val,web,swap,a; b,set,c23,v/7,30,m/1.png,1 2 3.5 4,1 2 3 4,64,48,h264,23"
    (row,) = read(tmp_path, header, line).table.to_dicts()
    assert row == {
        "video_id": "set/swap/c23/v/7", "frame": 30, "path": "f/1.png", "label": 1,
        "dataset": "set", "manipulation": "swap", "compression": "c23", "source": "web",
        "identities": ["a", "b"], "split": "val", "mask_path": "m/1.png",
        "landmarks": [1.0, 2.0, 3.5, 4.0], "landmarks_path": None, "box": [1, 2, 3, 4],
        "width": 64, "height": 48, "codec": "h264", "quality": 23,
    }  # fmt: skip


def test_landmarks_may_lie_in_files(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("x,y\n297.0,326.0\n501,331\n")
    lines = ("path,label,split,landmarks", "1.jpg,0,val,1.csv", "2.jpg,0,val,2.npy", "3.jpg,0,val,")
    table = read(tmp_path, *lines).table
    assert table["landmarks"].to_list() == [[297.0, 326.0, 501.0, 331.0], None, None]
    assert table["landmarks_path"].to_list() == [None, "2.npy", None]


def test_frames_of_a_video_share_its_id(tmp_path: Path) -> None:
    lines = ("path,label,split,video,frame", "v/0.png,0,val,v,0", "v/9.png,0,val,v,9")
    table = read(tmp_path, *lines).table
    assert table["video_id"].to_list() == ["mine/real/raw/v"] * 2
    assert table["frame"].to_list() == [0, 9]


def test_paths_are_written_with_slashes_and_without_dots(tmp_path: Path) -> None:
    inside = tmp_path / "lists"
    inside.mkdir()
    index = read(inside, "path,label,split", "a\\1.jpg,0,val", "../b/2.jpg,0,val", "/c/3.jpg,0,val")
    assert index.table["path"].to_list() == ["a/1.jpg", f"{tmp_path}/b/2.jpg", "/c/3.jpg"]
    assert index.file(index.table["path"][0]) == inside / "a" / "1.jpg"


def test_pictures_that_differ_in_suffix_alone_are_two(tmp_path: Path) -> None:
    table = read(tmp_path, "path,label,split", "1.jpg,0,train", "1.png,0,test").table
    assert table["video_id"].to_list() == ["mine/real/raw/1.jpg", "mine/real/raw/1.png"]
    assert table.filter(pl.col("label") == 1).height == 0


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("generator", "gan", r":2: a real \(label 0\) has the generator 'gan'"),
        ("frame", "first", r":2: frame must be a whole number; got 'first'"),
        ("landmarks", "1 2 x", r":2: landmarks must be numbers; got '1 2 x'"),
        ("landmarks", "none.csv", r":2: the landmarks none\.csv cannot be read"),
        ("landmarks", "bad.csv", r":2: the landmarks bad\.csv cannot be read.*columns x,y"),
        ("box", "1 2 3", r"box is four numbers"),
        ("box", "1 2 3 4.5", r":2: box must be numbers"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(
    column: str, value: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(tmp_path, f"path,label,split,{column}", f"1.jpg,0,val,{value}")
