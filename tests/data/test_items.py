"""Reading an index: from CSV, folders and Parquet, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask.data.index import index_of, write_index
from unmask.data.items import Item, items_of, read_items, read_items_with, split_of
from unmask.errors import DatasetError
from unmask.synthesis.shape import dense_landmarks

HEADER = "path,label,split,source,generator,identity\n"
ROWS = """a/1.jpg,0,train,ffhq,,anna
a/2.jpg,1,train,ffhq,stylegan,anna
b/3.png,0,val,,,
"""


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "index.csv"
    path.write_text(text, encoding)
    return path


def test_a_csv_becomes_items(tmp_path: Path) -> None:
    first, second, third = read_items(written(tmp_path, HEADER + ROWS))
    assert first.path == tmp_path / "a" / "1.jpg"
    assert (first.label, first.source, first.generator, first.identity, first.split) == (
        0,
        "ffhq",
        "",
        "anna",
        "train",
    )
    assert (second.label, second.generator) == (1, "stylegan")
    assert (third.source, third.identity) == ("b", "b/3.png")


def test_columns_beyond_the_required_are_optional_and_in_any_order(tmp_path: Path) -> None:
    text = "split,note,label,path\ntest,hello,1,x/y.png\n"
    (item,) = read_items(written(tmp_path, text))
    assert (item.label, item.split, item.source, item.generator) == (1, "test", "x", "")


def test_a_spreadsheets_byte_order_mark_is_no_column(tmp_path: Path) -> None:
    assert len(read_items(written(tmp_path, HEADER + ROWS, "utf-8-sig"))) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na,0\n", r"has no column split; found \['path', 'label'\]"),
        ("", r"has no column path, label, split; found None"),
        ("path,label,split\n", "lists no pictures"),
        ("path,label,split\na,real,train\n", r"index\.csv:2: label must be 0 or 1; got 'real'"),
        ("path,label,split\na,0,train\nb,0,dev\n", r"index\.csv:3: split must be one of .*'dev'"),
        ("path,label,split\na,0\n", r"index\.csv:2: split must be one of .* got None"),
        ("path,label,split\n,0,train\n", r"index\.csv:2: path is empty"),
        ("path,label,split\na,0,train\na,1,train\n", r"lists .*a twice"),
        ("path,label,split\na,0,val\na,1,val\nb,0,val\nb,0,val\n", "and others twice"),
    ],
)
def test_each_mistake_has_its_message(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read_items(written(tmp_path, text))


def test_the_message_teaches_the_layout(tmp_path: Path) -> None:
    for place in (tmp_path / "none.csv", written(tmp_path, "a,b\n1,2\n"), tmp_path):
        with pytest.raises(DatasetError, match=r"(?s)path,label,split.*real/.*fake/"):
            read_items(place)


def test_an_identity_on_both_sides_of_a_split_is_refused(tmp_path: Path) -> None:
    text = HEADER + ROWS + "c/4.jpg,0,test,ffhq,,anna\n"
    with pytest.raises(DatasetError, match="'anna' is in the splits train and test"):
        read_items(written(tmp_path, text))


def folders(root: Path) -> Path:
    names = ["real/1.jpg", "real/2.PNG", "fake/swap/1.jpg", "fake/gan/x/9.webp", "real/notes.txt"]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_folders_become_items(tmp_path: Path) -> None:
    items = read_items(folders(tmp_path))
    found = {(i.path.relative_to(tmp_path).as_posix(), i.label, i.generator) for i in items}
    assert found == {
        ("real/1.jpg", 0, ""),
        ("real/2.PNG", 0, ""),
        ("fake/swap/1.jpg", 1, "swap"),
        ("fake/gan/x/9.webp", 1, "gan"),
    }
    ones = [i for i in items if i.identity == "1"]
    assert len(ones) == 2
    assert ones[0].split == ones[1].split == split_of("1")


def test_a_folder_without_the_two_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DatasetError, match=r"no folders real/ and fake/; found pictures"):
        read_items(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "fake").mkdir()
    with pytest.raises(DatasetError, match="lists no pictures"):
        read_items(tmp_path)


def test_the_split_by_hash_is_stable_and_has_its_shares() -> None:
    # literals: they must never change, or a second machine would train on the first one's test
    assert [split_of(name) for name in ("anna", "ida", "000001", "")] == [
        "train",
        "val",
        "train",
        "test",
    ]
    splits = [split_of(str(i)) for i in range(5000)]
    for name, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert splits.count(name) / 5000 == pytest.approx(share, abs=0.02)  # type: ignore[arg-type]


def crop_row(**changes: Any) -> dict[str, Any]:
    row = {
        "video_id": "set/swap/c23/000_003",
        "frame": 30,
        "path": "crops/30.png",
        "label": 1,
        "dataset": "set",
        "manipulation": "swap",
        "compression": "c23",
        "source": "youtube",
        "identities": ["000", "003"],
        "split": "val",
        "box": [10, -2, 74, 62],
        "landmarks": [float(i) for i in range(10)],
    }
    return {**row, **changes}


def test_a_parquet_index_becomes_items(tmp_path: Path) -> None:
    rows = [crop_row(), crop_row(frame=60, path="crops/60.png")]
    write_index(index_of(tmp_path, rows), tmp_path / "index.parquet")
    first, second = read_items(tmp_path / "index.parquet")
    assert first == Item(
        path=tmp_path / "crops" / "30.png",
        label=1,
        source="youtube",
        generator="swap",
        identity="000+003",
        split="val",
        box=(10, -2, 74, 62),
        landmarks=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    )
    assert second.path.name == "60.png"
    with pytest.raises(DatasetError, match=r"There is no index .*gone\.parquet"):
        read_items(tmp_path / "gone.parquet")


@pytest.mark.parametrize(
    "changes",
    [
        {"box": None},
        {"box": None, "landmarks": [1.0] * 136},
        {"landmarks": None},
        {"landmarks": [1.0] * 12},
        {"landmarks": [1.0] * 140},
        {"landmarks": []},
    ],
)
def test_a_picture_is_a_crop_only_with_box_and_known_points(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    (item,) = items_of(index_of(tmp_path, [crop_row(**changes)]))
    assert (item.box, item.landmarks) == (None, None)


@pytest.mark.parametrize("count", [68, 81])
def test_five_points_are_taken_from_dlibs(count: int, tmp_path: Path) -> None:
    points = [[100.0 + i, 300.0 - i] for i in range(count)]
    points[36:42] = [[20, 30], [22, 28], [26, 28], [28, 30], [26, 32], [22, 32]]
    points[42:48] = [[50, 31], [52, 29], [56, 29], [58, 31], [56, 33], [52, 33]]
    points[30], points[48], points[54] = [39, 45], [28, 60], [52, 61]
    flat = [float(value) for point in points for value in point]
    (item,) = items_of(index_of(tmp_path, [crop_row(landmarks=flat)]))
    assert item.box == (10, -2, 74, 62)
    assert item.landmarks == pytest.approx((24, 30, 54, 31, 39, 45, 28, 60, 52, 61))


def test_five_points_are_taken_from_our_dense_ones(tmp_path: Path) -> None:
    five = np.array([[24, 30], [54, 31], [39, 45], [28, 60], [52, 61]], float)
    dense = dense_landmarks(five)
    row = crop_row(landmarks=dense.ravel().tolist())
    (item,) = items_of(index_of(tmp_path, [row]))
    assert item.box == (10, -2, 74, 62)
    expected = dense[[0, 1, 55, 87, 93]]
    assert item.landmarks == pytest.approx(expected.ravel().tolist(), abs=1e-4)
    # the mean shape is not this face, but its eyes and mouth lie where they should
    assert np.abs(np.reshape(item.landmarks, (5, 2)) - five).max() < 6


def test_who_is_unknown_is_alone_but_for_the_frames_of_one_video(tmp_path: Path) -> None:
    rows = [
        crop_row(identities=[], video_id="set/swap/c23/a", path="1.png"),
        crop_row(identities=[], video_id="set/swap/c23/a", path="2.png"),
        crop_row(identities=[], video_id="set/swap/c23/b", path="3.png"),
    ]
    names = [item.identity for item in items_of(index_of(tmp_path, rows))]
    assert names == ["set/swap/c23/a", "set/swap/c23/a", "3.png"]


@pytest.mark.parametrize("place", ["a.csv", "folder", "i.parquet"])
def test_videos_are_refused_and_prepare_is_named(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    if place == "a.csv":
        path.write_text("path,label,split\nx/1.jpg,0,val\nx/2.MP4,0,val\n")
    elif place == "folder":
        folders(path)
        (path / "real" / "2.MP4").touch()
    else:
        rows = [crop_row(path="x/2.MP4", frame=None, box=None, landmarks=None)]
        write_index(index_of(tmp_path, rows), path)
    with pytest.raises(DatasetError, match=r"(?s)lists 1 videos.*2\.MP4.*`unmask prepare`"):
        read_items(path)


def test_rows_without_a_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"(?s)1 rows have no split.*000_003.*protocol"):
        items_of(index_of(tmp_path, [crop_row(split=None)]))


def test_either_person_of_a_swap_on_both_sides_is_refused(tmp_path: Path) -> None:
    other = crop_row(
        video_id="set/swap/c23/9", path="9.png", identities=["003", "009"], split="train"
    )
    with pytest.raises(DatasetError, match="'003' is in the splits val and train"):
        items_of(index_of(tmp_path, [crop_row(), other]))


def test_a_fake_whose_maker_is_unnamed_has_no_generator(tmp_path: Path) -> None:
    rows = read_items(written(tmp_path, "path,label,split\nx/1.jpg,1,val\nx/2.jpg,0,val\n"))
    assert [(item.label, item.generator) for item in rows] == [(1, ""), (0, "")]


def test_an_index_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="lists no pictures"):
        items_of(index_of(tmp_path, []))


def test_a_picture_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"lists .*30\.png twice"):
        items_of(index_of(tmp_path, [crop_row(), crop_row(frame=31)]))


def test_what_is_no_csv_in_utf8_is_said_so(tmp_path: Path) -> None:
    for content in (
        b"\xff\xd8\xff\xe0 a photo",
        "path,label,split\n\xe9.jpg,0,val\n".encode("latin-1"),
    ):
        (tmp_path / "x.csv").write_bytes(content)
        with pytest.raises(DatasetError, match="is not a CSV in UTF-8"):
            read_items(tmp_path / "x.csv")


def test_a_prepared_folder_is_refused_for_its_index(tmp_path: Path) -> None:
    (tmp_path / "index.parquet").write_bytes(b"not looked at")
    with pytest.raises(DatasetError, match=r"Give the index: .*index\.parquet"):
        read_items(tmp_path)


def test_a_mask_comes_along_where_there_is_one(tmp_path: Path) -> None:
    rows = [crop_row(mask_path="masks/30.png"), crop_row(frame=60, path="crops/60.png")]
    masked, bare = items_of(index_of(tmp_path, rows))
    assert (masked.mask, bare.mask) == (tmp_path / "masks" / "30.png", None)


def test_fakes_of_another_index_are_added_and_nothing_else(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for place in (one, two):
        place.mkdir()
    reals = written(one, HEADER + "a/1.jpg,0,train,ffhq,,anna\n")
    other = written(two, HEADER + ROWS + "a/4.jpg,1,train,ffhq,morph,anna\n")
    found = read_items_with(reals, {"stylegan": other})
    assert [item.path for item in found] == [one / "a/1.jpg", two / "a/2.jpg"]
    assert read_items_with(reals, {}) == read_items(reals)
    with pytest.raises(DatasetError, match="has no fakes of the generator progan"):
        read_items_with(reals, {"progan": other})
