"""UADFV's layout: real/ and fake/ with videos, or only their frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

read = READERS["uadfv"].read


def test_videos_come_in_pairs_without_a_split(
    tmp_path: Path, tree: Any, h264_clip: Any, decodes: Any
) -> None:
    contents = {
        "real/0000.mp4": h264_clip(),
        "real/frames/0000/000.png": b"",
        "fake/0000_fake.mp4": h264_clip((10, 200, 90)),
    }
    index = read(tree(tmp_path, contents))
    columns = ("video_id", "frame", "path", "label", "split", "identities", "codec")
    assert [tuple(r[c] for c in columns) for r in index.table.to_dicts()] == [
        ("uadfv/real/raw/0000", None, "real/0000.mp4", 0, None, ["0000"], None),
        ("uadfv/FakeApp/raw/0000_fake", None, "fake/0000_fake.mp4", 1, None, ["0000"], None),
    ]
    for path in index.table["path"]:
        decodes(index.file(path))


def test_frames_are_read_where_there_are_no_videos(tmp_path: Path, tree: Any) -> None:
    names = ["real/frames/0001/000.png", "real/frames/0001/010.png",
             "fake/frames/0001_fake/000.png"]  # fmt: skip
    table = read(tree(tmp_path, dict.fromkeys(names, b""))).table
    assert table["path"].to_list() == names
    assert table["frame"].to_list() == [0, 10, 0]
    assert table["video_id"].n_unique() == 2
    assert set(table["codec"]) == {"png"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["real/1.mp4"], r"fake/ holds no videos.*<id>_fake\.mp4"),
        (["real/1.mp4", "fake/1.mp4"], r"the fake 1 is not named <id>_fake"),
        (["videos/1.mp4"], r"real/ holds no videos.*Found in.*videos/"),
    ],
)
def test_another_layout_is_told(names: list[str], message: str, tmp_path: Path, tree: Any) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(tree(tmp_path, dict.fromkeys(names, b"")))
