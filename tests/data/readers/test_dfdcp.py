"""The DFDC preview's layout: dataset.json beside three folders of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

REAL = "original_videos/643049/643049_A_001.mp4"
FAKE_A = "method_A/1260311/1260311_C/1255229_1260311_C_001.mp4"
FAKE_B = "method_B/1260311/1260311_C/1255229_1260311_C_001.mp4"
LIST = {
    REAL: {"label": "real", "set": "train", "augmentations": [], "target_id": 643049,
           "swapped_id": None},
    FAKE_A: {"label": "fake", "set": "test", "augmentations": ["fps_15"], "target_id": 1260311,
             "swapped_id": 1255229},
    FAKE_B: {"label": "fake", "set": "train", "augmentations": [], "target_id": 1260311,
             "swapped_id": 1255229},
}  # fmt: skip
read = READERS["dfdc-preview"].read


def made(tmp_path: Path, tree: Any, clip: bytes, **changes: Any) -> Path:
    listed = {**LIST, **changes}
    root: Path = tree(tmp_path / "p", {"dataset.json": listed, **dict.fromkeys(LIST, clip)})
    return root


def test_labels_splits_people_and_methods(
    tmp_path: Path, tree: Any, h264_clip: Any, decodes: Any
) -> None:
    index = read(made(tmp_path, tree, h264_clip()))
    rows = {r["path"]: r for r in index.table.to_dicts()}
    columns = ("video_id", "label", "manipulation", "split", "identities")
    assert {path: tuple(r[c] for c in columns) for path, r in rows.items()} == {
        REAL: ("dfdc-preview/real/raw/643049/643049_A_001", 0, "", "train", ["643049"]),
        FAKE_A: (
            "dfdc-preview/method_A/raw/1260311/1260311_C/1255229_1260311_C_001",
            1,
            "method_A",
            "test",
            ["1260311", "1255229"],
        ),
        FAKE_B: (
            "dfdc-preview/method_B/raw/1260311/1260311_C/1255229_1260311_C_001",
            1,
            "method_B",
            "train",
            ["1260311", "1255229"],
        ),
    }
    for path in rows:
        decodes(index.file(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({REAL: {"label": "maybe", "set": "train"}}, r"needs a label.*got 'maybe' and 'train'"),
        ({REAL: {"label": "real", "set": "dev"}}, r"needs a label.*got 'real' and 'dev'"),
        ({REAL: "real"}, r"needs a label.*got None and None"),
        ({REAL: {"label": ["real"], "set": "train"}}, r"needs a label"),
        ({"method_A/x.mp4": {}}, r"lists 1 videos that are not in .*method_A/x\.mp4"),
    ],
)
def test_a_damaged_list_is_told(
    changes: dict[str, Any], message: str, tmp_path: Path, tree: Any
) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(made(tmp_path, tree, b"", **changes))


def test_another_layout_is_told_what_was_expected(tmp_path: Path, tree: Any) -> None:
    with pytest.raises(DatasetError, match=r"(?s)no dataset\.json.*method_A/.*folder is empty"):
        read(tmp_path)
    tree(tmp_path, {"dataset.json": LIST})
    with pytest.raises(DatasetError, match="no videos"):
        read(tmp_path)
