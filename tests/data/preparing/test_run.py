"""Whole data sets to crops: what the layout says is in the index, and a killed run changes nothing.

The faces are real ones, pasted into H.264 clips; the masks are clips too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from unmask.data.index import Index, index_of, read_index
from unmask.data.preparing.profile import Profile, make_profile
from unmask.data.preparing.run import (
    WITHOUT_CROPS_FILE,
    Prepared,
    prepare,
    units_of,
    without_crops,
)
from unmask.data.readers import celebdf, faceforensics
from unmask.errors import ConfigError, DatasetError
from unmask.faces import MTCNNDetector, crop_face, find_faces
from unmask.media import try_decode
from unmask.types import UInt8Image

HEIGHT, WIDTH = 240, 440
LEFT, RIGHT = (0, 10, 220), (260, 60, 160)
"""x, y and side of a pasted portrait."""
SWAPPED = (300, 100, 380, 180)
"""What the masks say: a rectangle on the face on the right, on even pixels (4:2:0)."""
FRAMES = Profile(frames=4)


MASK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
MASK[SWAPPED[1] : SWAPPED[3], SWAPPED[0] : SWAPPED[2]] = 255
FFPP = "manipulated_sequences"


@pytest.fixture(scope="module")
def ffpp(tmp_path_factory, write_clip, portrait_clip) -> Path:
    """Four originals, two Deepfakes with masks, one Face2Face; the right person is the swapped."""
    root = tmp_path_factory.mktemp("ffpp")
    for number in range(4):
        place = root / f"original_sequences/youtube/c23/videos/{number:03}.mp4"
        write_clip(place, portrait_clip((number % 3, LEFT), ((number + 1) % 3, RIGHT)))
    for name in ("000_001", "001_000"):
        pictures = portrait_clip((int(name[2]), LEFT), (2, RIGHT))
        write_clip(root / f"{FFPP}/Deepfakes/c23/videos/{name}.mp4", pictures)
        write_clip(root / f"{FFPP}/Deepfakes/masks/videos/{name}.mp4", [MASK] * 8, qp=0)
    write_clip(root / f"{FFPP}/Face2Face/c23/videos/002_003.mp4", portrait_clip((0, LEFT)))
    lists = {"train": [["000", "001"]], "val": [["002", "003"]], "test": [["004", "005"]]}
    (root / "splits").mkdir()
    for split, pairs in lists.items():
        (root / f"splits/{split}.json").write_text(json.dumps(pairs))
    return root


@pytest.fixture(scope="module")
def celeb(tmp_path_factory, write_clip, portrait_clip) -> Path:
    """Three reals, one of them without a face, and a fake; two are test videos."""
    root = tmp_path_factory.mktemp("celeb")
    write_clip(root / "Celeb-real/id0_0000.mp4", portrait_clip((0, LEFT)))
    write_clip(root / "Celeb-real/id1_0000.mp4", [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * 8)
    write_clip(root / "YouTube-real/00000.mp4", portrait_clip((1, LEFT)))
    write_clip(root / "Celeb-synthesis/id0_id1_0000.mp4", portrait_clip((2, LEFT)))
    listed = "1 YouTube-real/00000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
    (root / "List_of_testing_videos.txt").write_text(listed)
    return root


@pytest.fixture(scope="module")
def guided(ffpp, tmp_path_factory) -> tuple[Index, Prepared]:
    """The FF++ tree, prepared with the masks choosing the face."""
    out = tmp_path_factory.mktemp("guided") / "out"
    profile = Profile(frames=4, face="mask")
    done = prepare(faceforensics.read(ffpp), out, dataset="ffpp", profile=profile)
    assert done.index == out / "index.parquet"
    return read_index(done.index), done


def pixels(index: Index, path: str) -> UInt8Image:
    image = cv2.imread(str(index.file(path)), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


SAID = ["label", "dataset", "manipulation", "compression", "source", "identities", "split"]
SAID += ["codec", "quality"]


def test_ffpp_index_says_what_the_layout_says(ffpp, guided):
    index, done = guided
    reader = faceforensics.read(ffpp).table
    assert (
        index.table.select("video_id", *SAID)
        .unique(maintain_order=True)
        .equals(reader.select("video_id", *SAID))
    )
    counts = index.table.group_by("video_id").len()
    assert dict(counts.iter_rows()) == dict.fromkeys(reader["video_id"], 4)
    by_label = index.table.group_by("label", "split").len().sort("label", "split").rows()
    assert by_label == [(0, "train", 8), (0, "val", 8), (1, "train", 8), (1, "val", 4)]
    assert (
        index.table.group_by("video_id", maintain_order=True).agg("frame")["frame"].to_list()
        == [[1, 3, 5, 7]] * 7
    )
    masked = index.table.filter(pl.col("mask_path").is_not_null())
    assert set(masked["manipulation"]) == {"Deepfakes"}
    assert len(masked) == 8
    assert done.coverage.complete
    assert (done.coverage.total.videos, done.coverage.total.crops) == (7, 28)


def test_crops_are_those_of_a_scan_bit_for_bit(ffpp, guided):
    index, _ = guided
    detector = MTCNNDetector()
    rows = index.table.filter(video_id="ffpp/real/c23/youtube/000").rows(named=True)
    media = try_decode(ffpp / "original_sequences/youtube/c23/videos/000.mp4", max_frames=4)
    assert [row["frame"] for row in rows] == [frame.index for frame in media.frames]
    for row, frame in zip(rows, media.frames, strict=True):
        face = find_faces(frame, detector)[0]
        crop = crop_face(frame, face)
        np.testing.assert_array_equal(pixels(index, row["path"]), crop.image)
        assert tuple(row["box"]) == crop.box
        assert (row["width"], row["height"]) == crop.image.shape[1::-1]
        points = np.array(row["landmarks"], np.float32).reshape(5, 2)
        np.testing.assert_allclose(points + crop.box[:2], face.landmarks, atol=1e-3)


def test_masks_choose_the_swapped_face_and_fit_its_crop(guided):
    """The rectangle is known, so the box alone says which pixels of the crop are manipulated."""
    index, _ = guided
    rows = index.table.filter(manipulation="Deepfakes").rows(named=True)
    pad = 300
    mirrored = np.pad(MASK[..., 0], pad, mode="reflect")  # another way to the same definition
    for row in rows:
        x0, y0, x1, y1 = row["box"]
        assert x0 < SWAPPED[0] < SWAPPED[2] < x1, "the face on the right, though it is smaller"
        mask = pixels(index, row["mask_path"])
        assert mask.shape == (row["height"], row["width"]) == (y1 - y0, x1 - x0)
        np.testing.assert_array_equal(mask, mirrored[y0 + pad : y1 + pad, x0 + pad : x1 + pad])
        assert (mask == 255).sum() == 80 * 80
    reals = index.table.filter(label=0)
    assert reals["box"].list.get(2).max() < RIGHT[0] + 8  # the largest, on the left


def test_the_largest_face_of_a_fake_may_be_the_wrong_one(ffpp, tmp_path):
    index = faceforensics.read(ffpp).where(pl.col("manipulation") == "Deepfakes")
    done = prepare(index, tmp_path / "out", dataset="ffpp", profile=FRAMES)
    assert done.index is None
    assert done.coverage.total.lost == {"mask_elsewhere": 8}
    notes = [json.loads(n) for n in (tmp_path / "out/coverage.jsonl").read_text().splitlines()]
    assert [(n["video_id"], n["frame"]) for n in notes] == [
        (f"ffpp/Deepfakes/c23/{name}", frame)
        for name in ("000_001", "001_000")
        for frame in (1, 3, 5, 7)
    ]


def test_celebdf_index_and_coverage(celeb, tmp_path):
    out = tmp_path / "out"
    done = prepare(celebdf.read_v2(celeb), out, dataset="celebdf-v2", profile=FRAMES)
    assert done.index is not None
    table = read_index(done.index).table
    names = ["video_id", "label", "split", "manipulation", "source", "identities"]
    assert table.group_by(names, maintain_order=True).len().rows() == [
        ("celebdf-v2/real/raw/Celeb-real/id0_0000", 0, None, "", "Celeb-real", ["id0"], 4),
        ("celebdf-v2/real/raw/YouTube-real/00000", 0, "test", "", "YouTube-real", [], 4),
        ("celebdf-v2/Celeb-synthesis/raw/id0_id1_0000", 1, "test", "Celeb-synthesis",
         "Celeb-real", ["id0", "id1"], 4),
    ]  # fmt: skip
    assert table["mask_path"].is_null().all()
    coverage = json.loads((out / "coverage.json").read_text())
    assert coverage["dataset"] == "celebdf-v2"
    assert coverage["profile"] == FRAMES.sha256
    assert coverage["groups"][0] == {
        "dataset": "celebdf-v2", "manipulation": "", "compression": "",
        "videos": 3, "videos_without_crops": 1, "frames_asked": 12, "frames_read": 12,
        "frames_with_crops": 8, "crops": 8, "frames_lost": {"no_face": 4}, "crops_lacking": {},
    }  # fmt: skip
    lost = without_crops(done.index)
    assert lost is not None
    (row,) = lost.table.rows(named=True)
    assert row["video_id"] == "celebdf-v2/real/raw/Celeb-real/id1_0000"
    assert (row["label"], row["split"], row["identities"]) == (0, None, ["id1"])
    assert row["path"] == "crops/celebdf-v2/real/raw/Celeb-real/id1_0000"
    lines = done.coverage.lines()
    assert lines[1].split() == ["celebdf-v2/real/raw", "3", "1", "12", "8", "8"]
    assert lines[-1] == "4 frames lost, no_face: no face was found"


def test_the_list_of_lost_videos_is_there_or_asked_for(celeb, guided, tmp_path):
    assert without_crops(guided[1].index) is None
    assert not (guided[0].root / WITHOUT_CROPS_FILE).exists()
    assert without_crops(tmp_path / "index.parquet") is None  # of `unmask synthesize`, perhaps
    assert without_crops(tmp_path) is None
    index, out = celebdf.read_v2(celeb), tmp_path / "out"
    done = prepare(index, out, dataset="celebdf-v2", profile=Profile(frames=1))
    (out / WITHOUT_CROPS_FILE).unlink()  # as a version before it left the folder
    with pytest.raises(DatasetError, match=r"(?s)1 videos gave no crop, but .* again"):
        without_crops(done.index)
    prepare(index, out, dataset="celebdf-v2", profile=Profile(frames=1))
    assert without_crops(done.index) is not None


def test_another_profile_or_data_set_is_refused(celeb, tmp_path, contents):
    index, out = celebdf.read_v2(celeb), tmp_path / "out"
    prepare(index, out, dataset="celebdf-v2", profile=Profile(frames=1))
    before = contents(out)
    with pytest.raises(DatasetError, match=r"another profile: frames 1 there, 2 here"):
        prepare(index, out, dataset="celebdf-v2", profile=Profile(frames=2))
    with pytest.raises(DatasetError, match="holds the data set 'celebdf-v2'"):
        prepare(index, out, dataset="celebdf-v1", profile=Profile(frames=1))
    assert contents(out) == before


def test_a_folder_that_is_not_its_own_is_left_alone(celeb, tmp_path):
    index = celebdf.read_v2(celeb)
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        prepare(index, tmp_path, dataset="celebdf-v2")
    for out in (celeb, celeb / "crops", celeb / "x" / ".." / "y"):
        with pytest.raises(DatasetError, match="in the data set's own folder"):
            prepare(index, out, dataset="celebdf-v2")
    assert not (celeb / "crops").exists()


def test_what_cannot_be_prepared_is_refused(celeb, guided, tmp_path):
    index, out = celebdf.read_v2(celeb), tmp_path / "out"
    with pytest.raises(DatasetError, match="no rows"):
        prepare(index.where(pl.lit(False)), out, dataset="celebdf-v2")
    with pytest.raises(DatasetError, match="of crops already"):
        prepare(guided[0], out, dataset="index")
    with pytest.raises(ConfigError, match="jobs"):
        prepare(index, out, dataset="celebdf-v2", jobs=0)
    assert not out.exists()


def test_profile_hash_names_the_settings():
    assert Profile().sha256 == make_profile().sha256
    changed: list[dict[str, Any]] = [
        {"frames": 31}, {"margin": 1.31}, {"face": "mask"}, {"mask_threshold": 126},
        {"detector_sha256": "0" * 64},
    ]  # fmt: skip
    assert len({Profile(**change).sha256 for change in [{}, *changed]}) == 6
    with pytest.raises(ConfigError, match="frames"):
        make_profile(frames=0)


def test_folders_of_any_ids_are_apart_and_inside():
    ids = ["a/b", "a/B", "a/../../x", "/etc/x", "a\\b", "a:b", "a//b", "a/b ü", "~", "a/b/000000"]
    rows = [
        {"video_id": n, "path": f"{i}.png", "label": 0, "dataset": "d", "source": "s",
         "identities": []}
        for i, n in enumerate(ids)
    ]  # fmt: skip
    folders = [unit.folder for unit in units_of(index_of(Path("/r"), rows))]
    assert len({folder.casefold() for folder in folders}) == len(ids)
    for folder in folders:
        assert all(part not in ("", ".", "..") for part in folder.split("/")), folder
        assert folder.isascii()
    assert folders[-1] == "a/b/000000"
