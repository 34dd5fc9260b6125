"""FaceForensics++: rows, pair splits and masks from its tree, and what each fault is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from unmask.data.index import Index
from unmask.data.readers import READERS
from unmask.errors import DatasetError

SPLITS: dict[str, Any] = {
    "splits/train.json": [["000", "003"], ["071", "054"]],
    "splits/val.json": [["720", "672"]],
    "splits/test.json": [["953", "974"]],
}
IDS = ("000", "003", "071", "054", "720", "672", "953", "974")
SPLIT_OF = dict(zip(IDS, ("train",) * 4 + ("val",) * 2 + ("test",) * 2, strict=True))
FIVE = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
PAIRS = ("000_003", "003_000", "071_054", "054_071", "720_672", "672_720", "953_974", "974_953")
CRF = {"raw": 0, "c23": 23, "c40": 40}
ACTORS = "original_sequences/actors/c23/videos/"
DFD = "manipulated_sequences/DeepFakeDetection/"

Write = Callable[..., Path]


def youtube(name: str, compression: str = "c23") -> str:
    return f"original_sequences/youtube/{compression}/videos/{name}.mp4"


def fake(manipulation: str, name: str, compression: str = "c23") -> str:
    return f"manipulated_sequences/{manipulation}/{compression}/videos/{name}.mp4"


@pytest.fixture
def small(tmp_path: Path, tree: Write, h264_clip: Callable[..., bytes]) -> Write:
    """Writes originals 000, 003 and one Deepfakes video with splits; keywords of contents more."""

    def write(more: dict[str, Any] | None = None, without: tuple[str, ...] = ()) -> Path:
        clip = h264_clip()
        contents = {
            youtube("000"): clip,
            youtube("003"): clip,
            fake("Deepfakes", "000_003"): clip,
            **SPLITS,
            **(more or {}),
        }
        kept = {name: content for name, content in contents.items() if name not in without}
        return tree(tmp_path / "ffpp", kept)

    return write


@pytest.fixture
def whole(tmp_path: Path, tree: Write, h264_clip: Callable[..., bytes]) -> Path:
    """All manipulations in three compressions; eight ids, four pairs; masks for four of them."""
    real, swapped, mask = h264_clip(), h264_clip((150, 60, 60)), h264_clip((255, 255, 255))
    contents: dict[str, Any] = dict(SPLITS)
    for compression in CRF:
        contents |= {youtube(name, compression): real for name in IDS}
        contents |= {fake(m, pair, compression): swapped for m in FIVE for pair in PAIRS}
        contents |= {
            f"original_sequences/actors/{compression}/videos/01__walking.mp4": real,
            f"{DFD}{compression}/videos/01_02__walking__A1B2C3D4.mp4": swapped,
        }
    for method in FIVE[:4]:
        contents |= {f"manipulated_sequences/{method}/masks/videos/{p}.mp4": mask for p in PAIRS}
    contents[f"{DFD}masks/videos/01_02__walking__A1B2C3D4.mp4"] = mask
    # what else the download script and common tools leave in such a tree
    contents |= {
        "downloaded_videos_info/000.json": {},
        "manipulated_sequences/Deepfakes/models/000_003/decoder_A.h5": b"weights",
        "original_sequences/youtube/c23/frames/000/000.png": b"a frame",
        "original_sequences/youtube/c23/videos/._000.mp4": b"a Mac's shadow file",
        "original_sequences/.cache/x": "",
    }
    return tree(tmp_path / "ffpp", contents)


def row(index: Index, video_id: str) -> dict[str, Any]:
    return index.table.row(by_predicate=pl.col("video_id") == video_id, named=True)


def test_counts_and_labels_are_what_the_tree_says(whole: Path) -> None:
    table = READERS["ffpp"].read(whole).table
    assert table.height == 3 * (len(IDS) + 5 * len(PAIRS) + 2)
    counts = dict(table.group_by("manipulation").len().rows())
    assert counts == {"": 27, **dict.fromkeys(FIVE, 24), "DeepFakeDetection": 3}
    assert table.filter(pl.col("label") == 0)["manipulation"].unique().to_list() == [""]
    assert table["dataset"].unique().to_list() == ["ffpp"]
    assert table["frame"].null_count() == table.height
    assert table["width"].null_count() == table.height


def test_four_manipulations_of_one_id_do_not_merge(whole: Path) -> None:
    table = READERS["ffpp"].read(whole).table
    assert table["video_id"].n_unique() == table.height
    same = table.filter(pl.col("path").str.ends_with("/000_003.mp4"))
    assert same.height == 5 * 3
    assert same["video_id"].n_unique() == 5 * 3
    assert "ffpp/FaceSwap/c40/000_003" in same["video_id"].to_list()


def test_a_fake_has_both_identities_and_the_split_of_its_pair(whole: Path) -> None:
    table = READERS["ffpp"].read(whole).table.filter(pl.col("source") == "youtube")
    for path, identities, split in table.select("path", "identities", "split").rows():
        assert identities == Path(path).stem.split("_")
        assert {SPLIT_OF[name] for name in identities} == {split}


def test_no_identity_is_on_two_sides(whole: Path) -> None:
    table = READERS["ffpp"].read(whole).table.filter(pl.col("split").is_not_null())
    sides = table.explode("identities").group_by("identities").agg(pl.col("split").n_unique())
    assert sides.height == len(IDS)
    assert sides["split"].to_list() == [1] * len(IDS)


def test_quality_is_the_crf_of_the_folder(whole: Path) -> None:
    table = READERS["ffpp"].read(whole).table
    assert dict(table.select("compression", "quality").unique().rows()) == CRF
    assert table["codec"].unique().to_list() == ["h264"]


def test_actors_are_a_source_of_their_own_without_a_split(whole: Path) -> None:
    index = READERS["ffpp"].read(whole)
    real = row(index, "ffpp/real/raw/actors/01__walking")
    swap = row(index, "ffpp/DeepFakeDetection/c23/01_02__walking__A1B2C3D4")
    assert (real["source"], real["identities"], real["split"]) == ("actors", ["01"], None)
    assert (swap["source"], swap["identities"], swap["split"]) == ("actors", ["01", "02"], None)
    assert row(index, "ffpp/real/c23/youtube/000")["source"] == "youtube"


def test_masks_serve_all_compressions_and_are_null_where_there_are_none(
    whole: Path, decodes: Callable[[Path], None]
) -> None:
    index = READERS["ffpp"].read(whole)
    masked = "manipulated_sequences/Face2Face/masks/videos/720_672.mp4"
    for compression in CRF:
        assert row(index, f"ffpp/Face2Face/{compression}/720_672")["mask_path"] == masked
    decodes(index.file(masked))
    without = index.table.filter(pl.col("mask_path").is_null())["manipulation"].unique().sort()
    assert without.to_list() == ["", "FaceShifter"]


@pytest.mark.parametrize("place", ["masks/c23/videos", "c23/masks/videos"])
def test_masks_kept_by_compression_belong_to_that_one(
    place: str, small: Write, h264_clip: Callable[..., bytes]
) -> None:
    mask = f"manipulated_sequences/Deepfakes/{place}/000_003.mp4"
    root = small({mask: h264_clip(), fake("Deepfakes", "000_003", "c40"): h264_clip()})
    index = READERS["ffpp"].read(root)
    assert row(index, "ffpp/Deepfakes/c23/000_003")["mask_path"] == mask
    assert row(index, "ffpp/Deepfakes/c40/000_003")["mask_path"] is None


def test_every_listed_path_is_there_and_decodes(
    whole: Path, decodes: Callable[[Path], None]
) -> None:
    index = READERS["ffpp"].read(whole)
    assert all(index.file(path).is_file() for path in index.table["path"])
    decodes(index.file(row(index, "ffpp/NeuralTextures/raw/953_974")["path"]))


def test_the_order_does_not_depend_on_the_file_system(whole: Path) -> None:
    first, second = (READERS["ffpp"].read(whole).table for _ in range(2))
    assert first.equals(second)
    part = first.filter(manipulation="FaceSwap", compression="c23")["path"].to_list()
    assert part == sorted(part)


def test_parts_may_be_missing(small: Write) -> None:
    table = READERS["ffpp"].read(small()).table
    assert table["video_id"].to_list() == [
        "ffpp/real/c23/youtube/000",
        "ffpp/real/c23/youtube/003",
        "ffpp/Deepfakes/c23/000_003",
    ]


@pytest.mark.parametrize("place", ["ffpp/", "splits/"])
def test_the_lists_may_lie_in_the_root_or_beside_it(place: str, small: Write, tree: Write) -> None:
    root = small(without=tuple(SPLITS))
    tree(root.parent, {name.replace("splits/", place): pairs for name, pairs in SPLITS.items()})
    assert set(READERS["ffpp"].read(root).table["split"]) == {"train"}


def test_actors_alone_need_no_lists(
    tmp_path: Path, tree: Write, h264_clip: Callable[..., bytes]
) -> None:
    contents = {
        f"{ACTORS}01__walking.mp4": h264_clip(),
        f"{DFD}c23/videos/01_02__walking__A1B2C3D4.mp4": h264_clip(),
    }
    assert len(READERS["ffpp"].read(tree(tmp_path, contents))) == 2


def test_missing_lists_are_told_where_to_get_them(small: Write) -> None:
    with pytest.raises(DatasetError, match=r"(?s)no splits.*ondyari/FaceForensics.*splits\."):
        READERS["ffpp"].read(small(without=tuple(SPLITS)))
    with pytest.raises(DatasetError, match=r"(?s)no .*val\.json.*ondyari/FaceForensics"):
        READERS["ffpp"].read(small(more=SPLITS, without=("splits/val.json",)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train", "[[", r"train\.json cannot be read as JSON"),
        ("train", b"\xff\xfe\x00", r"train\.json cannot be read as JSON"),
        ("train", [], r"train\.json must hold pairs"),
        ("val", {"720": "672"}, r"val\.json must hold pairs"),
        ("val", [["720", "672", "1"]], r"must hold pairs.*got \['720', '672', '1'\]"),
        ("val", ["720672"], "must hold pairs.*got '720672'"),
        ("val", [[720, 672]], r"must hold pairs.*got \[720, 672\]"),
        ("val", [["72", "672"]], r"must hold pairs.*got \['72', '672'\]"),
        ("test", [["003", "974"]], r"test\.json lists 003, and so does train\.json: it would leak"),
    ],
)
def test_a_damaged_list_is_named(name: str, content: Any, message: str, small: Write) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}.*ondyari/FaceForensics"):
        READERS["ffpp"].read(small({f"splits/{name}.json": content}))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (fake("Deepfakes", "000_720"), "000_720.mp4 is no pair.*target is in train.*in val"),
        (youtube("555"), "555.mp4 has no split: 555 is in none"),
        (fake("Face2Face", "000_555"), "000_555.mp4 has no split: 555 is in none"),
        (youtube("0001"), r"0001\.mp4 is not named like 033\.mp4"),
        (fake("FaceSwap", "000"), r"000\.mp4 is not named like 033_097\.mp4"),
        (f"{ACTORS}1.mp4", r"1\.mp4 is not named like 01__outside_talking\.mp4"),
        (youtube("more/000"), r"more/000\.mp4 lies too deep"),
        (fake("DeepFakes", "000_003"), "manipulated_sequences/DeepFakes is none of .*Deepfakes"),
        ("original_sequences/Youtube/c23/videos/0.mp4", "Youtube is none of actors, youtube"),
        (fake("FaceSwap", "000_003", "C23"), "FaceSwap has no videos in raw/videos, c23/videos"),
        ("manipulated_sequences/FaceSwap/c23/000_003.mp4", "FaceSwap has no videos in"),
    ],
)
def test_what_does_not_fit_is_refused(
    path: str, message: str, small: Write, h264_clip: Callable[..., bytes]
) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        READERS["ffpp"].read(small({path: h264_clip()}))


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ((youtube("000"), youtube("003")), "there is no original_sequences/"),
        ((fake("Deepfakes", "000_003"),), "there is no manipulated_sequences/"),
    ],
)
def test_a_class_without_its_folder_shows_the_tree(
    without: tuple[str, ...], message: str, small: Write
) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}.*Expected:.*Found in .*splits/"):
        READERS["ffpp"].read(small(without=without))


@pytest.mark.parametrize("folder", ["original", "manipulated"])
def test_a_class_without_videos_shows_the_tree(folder: str, small: Write) -> None:
    gone = {"original": (youtube("000"), youtube("003")), "manipulated": (PAIRS[0],)}
    paths = gone["original"] if folder == "original" else (fake("Deepfakes", PAIRS[0]),)
    root = small(without=paths)
    (root / f"{folder}_sequences").mkdir()
    with pytest.raises(DatasetError, match=f"(?s)holds no {folder} videos.*Expected:"):
        READERS["ffpp"].read(root)
