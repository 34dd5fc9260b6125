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


def facts(index: Any, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {r["path"]: tuple(r[c] for c in columns) for r in index.table.to_dicts()}


def written(tmp_path: Path, tree: Any, *names: str) -> Any:
    return read(tree(tmp_path / "mine", dict.fromkeys(names, b"")))


def test_numbered_frames_in_sibling_folders_are_videos(tmp_path: Path, tree: Any) -> None:
    names = [f"real/vid{v}/{n:04}.png" for v in range(8) for n in (1, 2)]
    names += [f"fake/swap/vid{v}/{n}.jpg" for v in range(8) for n in (1, 2)]
    index = written(tmp_path, tree, *names)
    rows = facts(index, "video_id", "frame", "identities", "source", "manipulation")
    assert rows["real/vid3/0002.png"] == ("mine/real/raw/vid3", 2, ["vid3"], "real", "")
    assert rows["fake/swap/vid3/2.jpg"] == ("mine/swap/raw/vid3", 2, ["vid3"], "swap", "swap")
    assert index.table["video_id"].n_unique() == 16
    by_person = index.table.explode("identities").group_by("identities").n_unique()
    assert by_person["split"].to_list() == [1] * 8
    assert index.table["split"].n_unique() > 1


def test_folders_that_share_no_numbers_hold_single_pictures(tmp_path: Path, tree: Any) -> None:
    kept = {
        "real/ffhq/00700.jpg": ("mine/real/raw/ffhq/00700", 0, ["00700"], "ffhq"),
        "real/ffhq/00701.jpg": ("mine/real/raw/ffhq/00701", 0, ["00701"], "ffhq"),
        "real/celeba/1.jpg": ("mine/real/raw/celeba/1", 0, ["1"], "celeba"),
        "real/phone/1.jpg": ("mine/real/raw/phone/1", 0, ["1"], "phone"),
        "real/phone/anna.jpg": ("mine/real/raw/phone/anna", 0, ["anna"], "phone"),
        "real/long/20240101120000.jpg": (
            "mine/real/raw/long/20240101120000", 0, ["20240101120000"], "long"),
        "real/late/20240101120000.jpg": (
            "mine/real/raw/late/20240101120000", 0, ["20240101120000"], "late"),
        "fake/gan/9.png": ("mine/gan/raw/9", 0, ["9"], "gan"),
    }  # fmt: skip
    index = written(tmp_path, tree, *kept)
    assert facts(index, "video_id", "frame", "identities", "source") == kept


def test_only_the_folders_that_share_numbers_are_videos(tmp_path: Path, tree: Any) -> None:
    names = ["real/a/1.png", "real/a/2.png", "real/b/2.png", "real/ffhq/700.png", "fake/x.png"]
    rows = facts(written(tmp_path, tree, *names), "video_id", "identities", "source")
    assert rows["real/a/1.png"] == ("mine/real/raw/a", ["a"], "real")
    assert rows["real/b/2.png"] == ("mine/real/raw/b", ["b"], "real")
    assert rows["real/ffhq/700.png"] == ("mine/real/raw/ffhq/700", ["700"], "ffhq")


def test_a_video_beside_its_own_frames_is_the_same_video(tmp_path: Path, tree: Any) -> None:
    names = ["real/a/1.png", "real/a/whole.mp4", "real/b/1.png", "fake/x.png"]
    rows = facts(written(tmp_path, tree, *names), "video_id", "frame", "identities")
    assert rows["real/a/1.png"] == ("mine/real/raw/a", 1, ["a"])
    assert rows["real/a/whole.mp4"] == ("mine/real/raw/a", None, ["a"])


def test_generators_that_number_their_pictures_alike_are_no_videos(
    tmp_path: Path, tree: Any
) -> None:
    names = ["real/1.png", "real/2.png", "fake/gan/1.png", "fake/ldm/1.png", "fake/ldm/2.png"]
    rows = facts(written(tmp_path, tree, *names), "video_id", "identities", "manipulation")
    assert rows["fake/gan/1.png"] == ("mine/gan/raw/1", ["1"], "gan")
    assert rows["fake/ldm/2.png"] == ("mine/ldm/raw/2", ["2"], "ldm")


@pytest.mark.parametrize(
    "reals",
    [["real/anna/1.png", "real/ida/1.png"], ["real/anna.mp4", "real/ida.mp4"]],
)
def test_videos_right_below_fake_have_no_generator(
    reals: list[str], tmp_path: Path, tree: Any
) -> None:
    names = [*reals, "fake/anna_ida/1.png", "fake/anna_ida/2.png", "fake/bo/1.png"]
    rows = facts(written(tmp_path, tree, *names), "video_id", "identities", "manipulation")
    assert rows["fake/anna_ida/2.png"] == ("mine/fake/raw/anna_ida", ["anna", "ida"], "fake")
    assert rows["fake/bo/1.png"] == ("mine/fake/raw/bo", ["bo"], "fake")


def test_a_fake_is_of_the_reals_its_name_tells(tmp_path: Path, tree: Any) -> None:
    people = {
        "fake/gen/000_001.png": ["000", "001"],
        "fake/gen/002_999.png": ["002"],
        "fake/gen/000_000_17.png": ["000"],
        "fake/gen/img_1.png": ["img_1"],
        "fake/gen/img_1_img_2.png": ["img_1", "img_2"],
        "fake/gen/777_888.png": ["777_888"],
        "fake/gen/001.png": ["001"],
    }
    reals = [f"real/{name}.png" for name in ("000", "001", "002", "img_1", "img_2", "1")]
    rows = facts(written(tmp_path, tree, *reals, *people), "identities")
    assert {path: rows[path][0] for path in people} == people


def test_people_who_are_connected_by_fakes_share_one_split(tmp_path: Path, tree: Any) -> None:
    reals = [f"real/{n:03}.png" for n in range(40)]
    chain = [f"fake/gen/{n:03}_{n + 1:03}.png" for n in range(8)]  # 000 to 008
    pairs = [f"fake/gen/{n + 1:03}_{n:03}.png" for n in range(10, 40, 2)]
    index = written(tmp_path, tree, *reals, *chain, *pairs)
    split = {path: value for path, (value,) in facts(index, "split").items()}
    for n in range(9):
        assert split[f"real/{n:03}.png"] == split_of("000")
    assert all(split[path] == split_of("000") for path in chain)
    assert split["real/009.png"] == split_of("009")
    for n in range(10, 40, 2):
        ours = {split[f"real/{n:03}.png"], split[f"real/{n + 1:03}.png"]}
        assert ours | {split[f"fake/gen/{n + 1:03}_{n:03}.png"]} == {split_of(f"{n:03}")}
    # or nothing above would have been tested
    assert len({split_of(f"{n:03}") for n in range(9)}) > 1
    assert len(set(split.values())) == 3
