"""FaceShifter by itself: FaceForensics++'s layout, originals and pair splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.data.readers import READERS
from unmask.errors import DatasetError

REALS = "original_sequences/youtube/c23/videos/"
FAKES = "manipulated_sequences/FaceShifter/c23/videos/"

Write = Callable[..., Path]


@pytest.fixture
def contents(h264_clip: Callable[..., bytes]) -> dict[str, Any]:
    clip = h264_clip()
    return {
        f"{REALS}000.mp4": clip,
        f"{REALS}720.mp4": clip,
        f"{FAKES}000_003.mp4": clip,
        f"{FAKES}720_672.mp4": clip,
        "splits/train.json": [["000", "003"]],
        "splits/val.json": [["720", "672"]],
        "splits/test.json": [["953", "974"]],
    }


def test_rows_are_what_the_tree_says(
    contents: dict[str, Any], tmp_path: Path, tree: Write, decodes: Callable[[Path], None]
) -> None:
    index = READERS["faceshifter"].read(tree(tmp_path, contents))
    columns = ("video_id", "label", "manipulation", "identities", "split", "quality", "mask_path")
    assert index.table.select(columns).rows() == [
        ("faceshifter/real/c23/youtube/000", 0, "", ["000"], "train", 23, None),
        ("faceshifter/real/c23/youtube/720", 0, "", ["720"], "val", 23, None),
        ("faceshifter/FaceShifter/c23/000_003", 1, *_fake(["000", "003"], "train")),
        ("faceshifter/FaceShifter/c23/720_672", 1, *_fake(["720", "672"], "val")),
    ]
    decodes(index.file(f"{FAKES}000_003.mp4"))


def _fake(identities: list[str], split: str) -> tuple[Any, ...]:
    return "FaceShifter", identities, split, 23, None


def test_the_rest_of_faceforensics_is_left_out(
    contents: dict[str, Any], tmp_path: Path, tree: Write, h264_clip: Callable[..., bytes]
) -> None:
    more = {
        "original_sequences/actors/c23/videos/01__walking.mp4": h264_clip(),
        "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4": h264_clip(),
    }
    assert len(READERS["faceshifter"].read(tree(tmp_path, {**contents, **more}))) == 4


def test_other_manipulations_do_not_stand_in_for_it(
    contents: dict[str, Any], tmp_path: Path, tree: Write
) -> None:
    moved = {path.replace("FaceShifter", "FaceSwap"): clip for path, clip in contents.items()}
    with pytest.raises(DatasetError, match=r"(?s)FaceShifter: it holds no manipulated.*Expected:"):
        READERS["faceshifter"].read(tree(tmp_path, moved))


def test_it_needs_the_lists_of_pairs(contents: dict[str, Any], tmp_path: Path, tree: Write) -> None:
    kept = {path: clip for path, clip in contents.items() if not path.startswith("splits")}
    with pytest.raises(DatasetError, match=r"(?s)no splits.*ondyari/FaceForensics"):
        READERS["faceshifter"].read(tree(tmp_path / "faceshifter", kept))
