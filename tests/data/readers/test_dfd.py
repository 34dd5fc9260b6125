"""DFD by itself: actors on both sides of a swap, no split, the rest of the tree left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

REALS = "original_sequences/actors/c23/videos/"
FAKES = "manipulated_sequences/DeepFakeDetection/"
SWAP = "01_02__walking_outside_cafe_disgusted__YVGY8LOK"

Write = Callable[..., Path]


@pytest.fixture
def contents(h264_clip: Callable[..., bytes]) -> dict[str, Any]:
    clip = h264_clip()
    return {
        f"{REALS}01__walking_outside_cafe_disgusted.mp4": clip,
        f"{REALS}02__kitchen_still.mp4": clip,
        f"{FAKES}c23/videos/{SWAP}.mp4": clip,
        f"{FAKES}c40/videos/{SWAP}.mp4": clip,
        f"{FAKES}masks/videos/{SWAP}.mp4": h264_clip((255, 255, 255)),
    }


def test_rows_are_what_the_tree_says(
    contents: dict[str, Any], tmp_path: Path, tree: Write, decodes: Callable[[Path], None]
) -> None:
    index = READERS["dfd"].read(tree(tmp_path, contents))
    columns = ("video_id", "label", "identities", "compression", "quality", "mask_path", "split")
    mask = f"{FAKES}masks/videos/{SWAP}.mp4"
    name = "01__walking_outside_cafe_disgusted"
    assert index.table.select(columns).rows() == [
        (f"dfd/real/c23/actors/{name}", 0, ["01"], "c23", 23, None, None),
        ("dfd/real/c23/actors/02__kitchen_still", 0, ["02"], "c23", 23, None, None),
        (f"dfd/DeepFakeDetection/c23/{SWAP}", 1, ["01", "02"], "c23", 23, mask, None),
        (f"dfd/DeepFakeDetection/c40/{SWAP}", 1, ["01", "02"], "c40", 40, mask, None),
    ]
    assert index.table["source"].unique().to_list() == ["actors"]
    assert index.table["dataset"].unique().to_list() == ["dfd"]
    decodes(index.file(f"{FAKES}c40/videos/{SWAP}.mp4"))


def test_the_rest_of_faceforensics_is_left_out_and_its_lists_are_not_needed(
    contents: dict[str, Any], tmp_path: Path, tree: Write, h264_clip: Callable[..., bytes]
) -> None:
    more = {
        "original_sequences/youtube/c23/videos/000.mp4": h264_clip(),
        "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4": h264_clip(),
    }
    index = READERS["dfd"].read(tree(tmp_path, {**contents, **more}))
    assert len(index) == 4
    assert index.table.filter(pl.col("path").str.contains("youtube|Deepfakes")).height == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{REALS}walking.mp4", r"walking\.mp4 is not named like 01__outside_talking\.mp4"),
        (f"{FAKES}c23/videos/01__walking.mp4", r"01__walking\.mp4 is not named like 01_02__"),
        ("manipulated_sequences/DFD/c23/videos/x.mp4", "manipulated_sequences/DFD is none of"),
    ],
)
def test_what_does_not_fit_is_refused(
    path: str, message: str, contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    root = tree(tmp_path, {**contents, path: b"a video"})
    with pytest.raises(DatasetError, match=f"(?s)DFD.*{message}.*Expected:.*actors"):
        READERS["dfd"].read(root)


def test_youtube_originals_are_none_of_dfd(
    tmp_path: Path, tree: Write, contents: dict[str, Any]
) -> None:
    kept = {path: clip for path, clip in contents.items() if path.startswith(FAKES)}
    kept["original_sequences/youtube/c23/videos/000.mp4"] = b"a video"
    with pytest.raises(DatasetError, match="it holds no original videos"):
        READERS["dfd"].read(tree(tmp_path, kept))
