"""DiFF's layout: reals by split, fakes by split, condition and method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

read = READERS["diff"].read
CASES = {
    "DiFF_real/train/x/1.jpg": ("diff/real/raw/train/x/1", 0, "", "train", "jpeg"),
    "DiFF_real/val/1.png": ("diff/real/raw/val/1", 0, "", "val", "png"),
    "DiFF_real/test/1.png": ("diff/real/raw/test/1", 0, "", "test", "png"),
    "val/FE/CoDiff/1.png": ("diff/FE_CoDiff/raw/val/1", 1, "FE_CoDiff", "val", "png"),
    "test/FE/CoDiff/1.png": ("diff/FE_CoDiff/raw/test/1", 1, "FE_CoDiff", "test", "png"),
    "test/T2I/HPS/a/1.jpg": ("diff/T2I_HPS/raw/test/a/1.jpg", 1, "T2I_HPS", "test", "jpeg"),
    "test/T2I/HPS/a/1.png": ("diff/T2I_HPS/raw/test/a/1.png", 1, "T2I_HPS", "test", "png"),
    "test/FS/9.webp": ("diff/FS/raw/test/9", 1, "FS", "test", "webp"),
    "train/I2I/LoRA/1.jpeg": ("diff/I2I_LoRA/raw/train/1", 1, "I2I_LoRA", "train", "jpeg"),
}


def test_every_picture_is_its_own_video(tmp_path: Path, tree: Any) -> None:
    table = read(tree(tmp_path, {**dict.fromkeys(CASES, b""), "prompts.csv": ""})).table
    columns = ("video_id", "label", "manipulation", "split", "codec")
    assert {r["path"]: tuple(r[c] for c in columns) for r in table.to_dicts()} == CASES
    assert table["video_id"].is_unique().all()
    assert table["frame"].unique().to_list() == [0]


def test_the_fakes_alone_are_read(tmp_path: Path, tree: Any) -> None:
    assert len(read(tree(tmp_path, {"val/FS/DCFace/1.png": b""}))) == 1


def test_another_layout_is_told_what_was_expected(tmp_path: Path, tree: Any) -> None:
    tree(tmp_path, {"test/real/1.png": b""})
    with pytest.raises(DatasetError, match=r"(?s)no pictures.*FE/, FS/, I2I/, T2I/.*real/"):
        read(tmp_path)
