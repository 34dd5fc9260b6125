"""The pictures that forgeries are made from: what counts as real, and which are drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from unmask.data.forging.reals import drawn, read_reals
from unmask.errors import DatasetError

Rows = list[tuple[str, int, str, str, str]]


def table(folder: Path, rows: Rows) -> Path:
    path = folder / "reals.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split", "source", "identity"))
        writer.writerows(rows)
    return path


def test_limit_draws_by_the_seed_and_keeps_the_order(tmp_path: Path) -> None:
    rows = [(f"{n}.png", 0, "train", "x", str(n)) for n in range(9)]
    reals = read_reals(table(tmp_path, rows))
    few = [drawn(reals, 3, seed).table["path"].to_list() for seed in range(6)]
    order = reals.table["path"].to_list()
    assert all(len(paths) == 3 and paths == sorted(paths, key=order.index) for paths in few)
    assert len({tuple(paths) for paths in few}) > 1
    other = read_reals(table(tmp_path, rows[::-1]))
    assert set(drawn(other, 3, 0).table["path"]) == set(few[0])
    assert drawn(reals, None, 0) is reals


def test_a_folder_of_pictures_is_all_real(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.jpg", "b/3.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows = read_reals(tmp_path).table
    assert rows["path"].to_list() == ["a/1.png", "a/2.jpg", "b/3.png"]
    assert rows["source"].to_list() == ["a", "a", "b"]
    assert set(rows["label"]) == {0}
    assert rows["split"].null_count() == 0


def test_of_real_and_fake_only_the_reals_count(tmp_path: Path) -> None:
    for name in ("real/1.png", "fake/gan/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert read_reals(tmp_path).table["path"].to_list() == ["real/1.png"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("fake.png", 1, "train", "x", "a")], "no real pictures"),
        ([("clip.mp4", 0, "train", "x", "a")], "1 videos.*unmask prepare"),
        (
            [("1.png", 0, "train", "x", "a"), ("2.png", 0, "val", "x", "a")],
            "'a' is in the splits train and val",
        ),
    ],
)
def test_inputs_that_cannot_be_used(
    rows: list[tuple[str, int, str, str, str]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read_reals(table(tmp_path, rows))


def test_folders_of_numbered_frames_are_one_video_each(tmp_path: Path) -> None:
    for clip in ("a", "b"):
        for frame in ("0001", "0002"):
            path = tmp_path / "reals" / clip / f"{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"not looked at")
    rows = read_reals(tmp_path / "reals").table
    assert rows["identities"].to_list() == [["a"], ["a"], ["b"], ["b"]]
    assert rows["frame"].to_list() == [1, 2, 1, 2]
    assert rows["video_id"].n_unique() == 2


def test_a_folder_with_an_index_is_refused_for_the_index(tmp_path: Path) -> None:
    # its real and fake crops lie side by side: read as a folder, all would be real
    (tmp_path / "index.parquet").write_bytes(b"not looked at")
    (tmp_path / "crops").mkdir()
    with pytest.raises(DatasetError, match=r"(?s)holds an index.*Give the index: .*index\.parquet"):
        read_reals(tmp_path)
