"""A folder of real/ and fake/ as an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.data.readers.folder import split_of
from unmask.errors import DatasetError

read = READERS["folder"].read


def test_pictures_and_videos_at_any_depth(
    tmp_path: Path, tree: Any, h264_clip: Any, decodes: Any
) -> None:
    clip = h264_clip()
    contents = {
        "real/1.jpg": b"", "real/1.png": b"", "real/phone/a/2.mp4": clip, "real/.hidden.jpg": b"",
        "fake/1.jpg": b"", "fake/gan/x/9.webp": b"", "fake/swap/2.MP4": clip, "notes.txt": "",
    }  # fmt: skip
    index = read(tree(tmp_path / "mine", contents))
    columns = ("video_id", "frame", "path", "manipulation", "source", "identities", "codec")
    assert {tuple(map(str, (r[c] for c in columns))) for r in index.table.to_dicts()} == {
        ("mine/real/raw/1.jpg", "0", "real/1.jpg", "", "real", "['1']", "jpeg"),
        ("mine/real/raw/1.png", "0", "real/1.png", "", "real", "['1']", "png"),
        ("mine/real/raw/phone/a/2", "None", "real/phone/a/2.mp4", "", "phone", "['2']", "None"),
        ("mine/fake/raw/1", "0", "fake/1.jpg", "fake", "fake", "['1']", "jpeg"),
        ("mine/gan/raw/x/9", "0", "fake/gan/x/9.webp", "gan", "gan", "['9']", "webp"),
        ("mine/swap/raw/2", "None", "fake/swap/2.MP4", "swap", "swap", "['2']", "None"),
    }
    assert all(r["split"] == split_of(r["identities"][0]) for r in index.table.to_dicts())
    assert all(r["label"] == r["path"].startswith("fake/") for r in index.table.to_dicts())
    decodes(index.file("fake/swap/2.MP4"))


@pytest.mark.parametrize("names", [["real/1.jpg"], ["real/a.txt", "fake/b.txt"], []])
def test_another_layout_is_told(names: list[str], tmp_path: Path, tree: Any) -> None:
    with pytest.raises(DatasetError, match=r"(?s)(no folders real/|lists no pictures).*one folder"):
        read(tree(tmp_path, dict.fromkeys(names, b"")))
    with pytest.raises(DatasetError, match="found nothing"):
        read(tmp_path / "none")
