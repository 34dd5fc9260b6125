"""The index: what it refuses, and that it comes back from Parquet as it went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.data.index import (
    REQUIRED,
    SCHEMA,
    Index,
    check,
    index_of,
    read_index,
    relative,
    video_id,
    write_index,
)
from unmask.errors import DatasetError

ROOT = Path("data")
REAL: dict[str, Any] = {
    "video_id": "ffpp/real/c23/youtube/000",
    "path": "original/000.mp4",
    "label": 0,
    "dataset": "ffpp",
    "source": "youtube",
    "identities": ["000"],
    "split": "train",
}
FAKE: dict[str, Any] = {
    **REAL,
    "video_id": "ffpp/Deepfakes/c23/000_003",
    "path": "Deepfakes/000_003.mp4",
    "label": 1,
    "manipulation": "Deepfakes",
    "compression": "c23",
    "identities": ["000", "003"],
    "mask_path": "Deepfakes/masks/000_003.mp4",
}
FRAME: dict[str, Any] = {
    **FAKE,
    "frame": 7,
    "path": "crops/000_003/7.png",
    "mask_path": "crops/000_003/7.mask.png",
    "landmarks": [1.5, 2.0, 3.25, 4.0],
    "landmarks_path": "crops/000_003/7.npy",
    "box": [10, 20, 110, 120],
    "width": 100,
    "height": 100,
    "codec": "h264",
    "quality": 23,
}


def broken(**values: Any) -> list[dict[str, Any]]:
    return [REAL, {**FRAME, **values}]


def test_columns_left_out_are_null_or_empty() -> None:
    row = index_of(ROOT, [{k: v for k, v in REAL.items() if k != "identities"}]).table.row(
        0, named=True
    )
    assert (row["manipulation"], row["compression"], row["identities"]) == ("", "", [])
    assert {name for name, value in row.items() if value is None} == {
        *("frame", "mask_path", "landmarks", "landmarks_path", "box", "width", "height"),
        *("codec", "quality"),
    }


def test_the_columns_are_the_schemas_in_its_order() -> None:
    table = index_of(ROOT, [FAKE, FRAME]).table
    assert list(table.schema.items()) == list(SCHEMA.items())
    assert table.row(1, named=True) == FRAME


def test_an_index_may_be_empty() -> None:
    assert len(index_of(ROOT, [])) == 0


def test_rows_are_chosen_and_files_found() -> None:
    index = index_of(ROOT, [REAL, FAKE])
    fakes = index.where(pl.col("label") == 1)
    assert fakes.table["path"].to_list() == [FAKE["path"]]
    assert fakes.file(FAKE["path"]) == ROOT / "Deepfakes" / "000_003.mp4"
    assert index.file("/elsewhere/a.mp4") == Path("/elsewhere/a.mp4")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({name: None}, f"{name} is empty, in 1 rows") for name in REQUIRED),
        ({"label": 2}, r"label must be 0 \(real\) or 1 \(fake\)"),
        ({"label": -1}, r"label must be 0 \(real\) or 1 \(fake\)"),
        ({"split": "dev"}, "split must be train, val, test or null"),
        ({"split": ""}, "split must be train, val, test or null"),
        ({"label": 0}, "a real has a manipulation"),
        ({"manipulation": ""}, "a fake has no manipulation"),
        ({"path": "a\\b.png"}, "path must have forward slashes and no"),
        ({"path": "../b.png"}, "path must have forward slashes and no"),
        ({"path": "a/../b.png"}, "path must have forward slashes and no"),
        ({"path": "a/.."}, "path must have forward slashes and no"),
        ({"path": ""}, "path must have forward slashes and no"),
        ({"mask_path": "..\\m.png"}, "mask_path must have forward slashes"),
        ({"mask_path": ""}, "mask_path must have forward slashes"),
        ({"landmarks_path": "a/../../l.npy"}, "landmarks_path must have forward slashes"),
        ({"identities": ["000", None]}, "an identity is empty"),
        ({"identities": [""]}, "an identity is empty"),
        ({"landmarks": [1.0, 2.0, 3.0]}, "landmarks are pairs x, y"),
        ({"box": [1, 2, 3]}, "box is four numbers"),
        ({"box": []}, "box is four numbers"),
    ],
)
def test_each_rule_has_its_message(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        index_of(ROOT, broken(**values))


def test_the_message_shows_the_first_bad_row() -> None:
    bad = [{**REAL, "video_id": name, "path": f"{name}.png", "split": "x"} for name in "bc"]
    with pytest.raises(DatasetError, match=r'in 2 rows; the first is .*"path": "b\.png"'):
        index_of(ROOT, [REAL, *bad])


@pytest.mark.parametrize("path", ["a..b.png", "..a/b.png", "a/b...png", "/abs/a.png", "ä ö/1.png"])
def test_dots_inside_names_and_absolute_paths_are_no_way_out(path: str) -> None:
    assert index_of(ROOT, broken(path=path)).table["path"][1] == path


@pytest.mark.parametrize(
    "values",
    [
        {"label": "1"},
        {"label": 1.0},
        {"label": 300},
        {"path": 5},
        {"path": Path("a.png")},
        {"frame": 1.5},
        {"box": [0.5, 1, 2, 3]},
        {"identities": 7},
        {"landmarks": "1,2"},
    ],
)
def test_a_value_of_another_type_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="A row of the index of data has a wrong value"):
        index_of(ROOT, broken(**values))


def test_one_name_is_not_taken_for_its_letters() -> None:
    with pytest.raises(DatasetError, match="identities must be a list of names; got 'id0'"):
        index_of(ROOT, broken(identities="id0"))


def test_unknown_columns_are_named() -> None:
    with pytest.raises(DatasetError, match=r"no column manipluation, video\."):
        index_of(ROOT, [{**REAL, "video": 1}, {**REAL, "manipluation": "x"}])


def table_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return index_of(ROOT, rows).table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (table_of([REAL]).drop("split", "box"), "no column split, box"),
        (table_of([REAL]).with_columns(score=0.5), "unknown column score"),
        (table_of([REAL]).cast({"label": pl.Int64}), "label is Int64, not Int8"),
        (
            table_of([REAL]).drop("box").cast({"frame": pl.Int64}).with_columns(x=1),
            "no column box; unknown column x; frame is Int64, not Int32",
        ),
        (table_of([REAL]).select(sorted(SCHEMA)), "its columns are in another order"),
    ],
)
def test_a_table_that_is_not_an_index_is_told_the_difference(
    table: pl.DataFrame, message: str
) -> None:
    with pytest.raises(DatasetError, match=f"(?s)t is not an index: {message}.*unmask prepare"):
        check(table, "t")
    with pytest.raises(DatasetError, match=message):
        Index(ROOT, table)


@pytest.mark.parametrize("row", [REAL, FRAME])
def test_a_row_may_not_occur_twice_with_or_without_a_frame_number(row: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="lists a row twice"):
        index_of(ROOT, [row, {**row, "width": 1}])


def test_frames_of_one_video_share_its_id() -> None:
    rows = [{**FRAME, "frame": i, "path": f"crops/{i}.png"} for i in range(3)]
    assert len(index_of(ROOT, rows)) == 3
    again = [{**FRAME, "path": f"crops/7.{face}.png"} for face in range(2)]  # two faces in a frame
    assert len(index_of(ROOT, again)) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"label": 0, "manipulation": ""},
        {"split": "val"},
        {"split": None},
        {"manipulation": "FaceSwap"},
        {"dataset": "dfd"},
    ],
)
def test_two_videos_under_one_id_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match=r"(?s)of video 'ffpp/Deepfakes/c23/000_003' differ.*/s"):
        index_of(ROOT, [FRAME, {**FRAME, "path": "b.png", **values}])


def test_four_manipulations_of_one_id_have_four_names() -> None:
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "")
    names = {video_id("ffpp", m, c, "000_003") for m in methods for c in ("raw", "c23", "c40")}
    assert len(names) == 15
    assert video_id("ffpp", "", "", "x") == "ffpp/real/raw/x"


word = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8)


@given(st.lists(st.tuples(word, word, word, word), min_size=2, max_size=2, unique=True))
@settings(max_examples=60, deadline=None)
def test_other_parts_give_another_video_id(parts: list[tuple[str, str, str, str]]) -> None:
    """Of names without slashes: a stem may hold some, the other parts may not."""
    first, second = (video_id(*names) for names in parts)
    assert first != second
    assert first.split("/") == list(parts[0])


def test_parquet_brings_back_the_same_table(tmp_path: Path) -> None:
    index = index_of(tmp_path, [REAL, FRAME])
    write_index(index, tmp_path / "index.parquet")
    back = read_index(tmp_path / "index.parquet")
    assert back.root == tmp_path
    assert back.table.equals(index.table, null_equal=True)
    assert back.table.schema == index.table.schema


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = [{**REAL, "video_id": f"v/{i}", "path": f"{i}.mp4"} for i in range(2000)]
    path = tmp_path / "index.parquet"

    def written(index: Index) -> bytes:
        write_index(index, path)
        return path.read_bytes()

    whole = index_of(tmp_path, rows)
    first = written(whole)
    assert written(read_index(path)) == first
    assert written(index_of(tmp_path, iter(rows))) == first
    halves = pl.concat([whole.table[:700], whole.table[700:]], rechunk=False)
    assert written(Index(tmp_path, halves)) == first
    more = index_of(tmp_path, [{**REAL, "video_id": "x", "path": "x"}, *rows])
    assert written(more.where(pl.col("video_id") != "x")) == first
    assert written(index_of(tmp_path, rows[::-1])) != first


def test_nothing_is_left_beside_the_index(tmp_path: Path) -> None:
    (tmp_path / "index.parquet").write_bytes(b"an older one")
    write_index(index_of(tmp_path, [REAL]), tmp_path / "index.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["index.parquet"]


def test_an_index_lies_in_the_folder_its_paths_start_from(tmp_path: Path) -> None:
    index = index_of(tmp_path / "data", [REAL])
    (tmp_path / "data").mkdir()
    with pytest.raises(DatasetError, match=r"index of .*data must lie in that folder; got "):
        write_index(index, tmp_path / "index.parquet")
    assert not list(tmp_path.rglob("*.parquet*"))
    write_index(index, tmp_path / "data" / ".." / "data" / "index.parquet")
    assert len(read_index(tmp_path / "data" / "index.parquet")) == 1


def test_brackets_in_a_folders_name_are_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "faces [256] *"
    folder.mkdir()
    write_index(index_of(folder, [REAL]), folder / "index.parquet")
    assert len(read_index(folder / "index.parquet")) == 1


def test_no_index_is_said_so(tmp_path: Path) -> None:
    for place in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(DatasetError, match=r"(?s)There is no index .*unmask prepare"):
            read_index(place)


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "overwritten"])
def test_a_file_that_is_no_parquet_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    write_index(index_of(tmp_path, [REAL]), path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "text": b"path,label,split\n",
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "overwritten": whole[:4] + bytes(300) + whole[304:],
        }[damage]
    )
    with pytest.raises(DatasetError, match=r"index\.parquet is not a Parquet file"):
        read_index(path)


def test_a_parquet_of_something_else_is_told_the_difference(tmp_path: Path) -> None:
    pl.DataFrame({"path": ["a.png"], "label": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(DatasetError, match=r"(?s)other\.parquet is not an index: no column video"):
        read_index(tmp_path / "other.parquet")


def test_a_rule_broken_in_a_parquet_is_found_on_reading(tmp_path: Path) -> None:
    table = table_of([FAKE]).with_columns(split=pl.lit("dev"))
    table.write_parquet(tmp_path / "index.parquet")
    with pytest.raises(DatasetError, match="split must be train, val, test or null"):
        read_index(tmp_path / "index.parquet")


def test_paths_are_relative_below_the_root_and_absolute_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path.resolve().as_posix()
    assert relative(tmp_path / "a" / "b.png", tmp_path) == "a/b.png"
    assert relative(Path("out/b.png"), Path("out")) == "b.png"
    assert relative(tmp_path / "out" / "b.png", Path("out")) == "b.png"
    assert relative(Path("out/../b.png"), Path("out")) == f"{here}/b.png"
    assert relative(Path("../a.png"), Path()) == f"{tmp_path.resolve().parent.as_posix()}/a.png"
