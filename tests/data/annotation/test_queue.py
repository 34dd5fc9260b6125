"""Queue, budget and refusals, and which pictures there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unmask.data.annotation.names import Names, names_of
from unmask.data.annotation.pictures import Picture, read_pictures
from unmask.data.annotation.queue import (
    budget_of,
    extended,
    read_home,
    read_queue,
    refuse,
    standing_refusals,
    with_states,
    write_home,
    write_queue,
)
from unmask.data.annotation.store import Annotations, MaskStore
from unmask.errors import ConfigError, DatasetError


def test_a_queue_comes_back_and_its_states_are_those_of_the_store(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    first = extended([], "random", [(pictures[1], None), (pictures[0], None)])
    queue = extended(first, "margin", [(pictures[3], -0.5), (pictures[2], -0.75)])
    assert [(e.rank, e.picture, e.rule, e.score) for e in queue] == [
        (1, "a/1.png", "random", None),
        (2, "a/0.png", "random", None),
        (3, "b/2.png", "margin", -0.5),
        (4, "b/0.png", "margin", -0.75),
    ]
    write_queue(tmp_path, queue)
    assert read_queue(tmp_path) == queue
    with MaskStore(tmp_path) as store:
        store.add(pictures[0], square, revision=0, annotator="a", source="painted")
        store.answer(pictures[3], "skipped", revision=0, annotator="a", source="painted")
        states = [entry.state for entry in with_states(queue, store)]
    assert states == ["open", "mask", "skipped", "open"]


@pytest.mark.parametrize(
    ("text", "fakes", "count"),
    [("40", 10, 40), ("1%", 250, 2), ("3%", 100, 3), ("0.7%", 1000, 7), ("100%", 9, 9),
     (" 1.5% ", 200, 3), ("29%", 100, 29)],
)  # fmt: skip
def test_a_budget_is_a_number_or_a_share_rounded_down(text: str, fakes: int, count: int) -> None:
    assert budget_of(text, fakes) == count


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "%", "101%", "0%", "nan", "inf%"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be"):
        budget_of(text, 100)


def test_a_share_of_less_than_a_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match="1% of 99 pictures is less than one"):
        budget_of("1%", 99)


def test_a_refusal_stands_until_the_picture_is_answered(
    tmp_path: Path, pictures: list[Picture], square: np.ndarray
) -> None:
    assert refuse(tmp_path, "x.png", pictures[0], "ben", "grey").sha256 == pictures[0].sha256
    refuse(tmp_path, "y.png", None, "ben", "no such picture")
    last = refuse(tmp_path, "x.png", pictures[0], "ben", "empty")
    assert last in standing_refusals(tmp_path, Annotations(tmp_path))
    assert len(standing_refusals(tmp_path, Annotations(tmp_path))) == 2
    with MaskStore(tmp_path) as store:
        store.add(pictures[0], square, revision=0, annotator="ben", source="imported")
        (left,) = standing_refusals(tmp_path, store)
        assert (left.file, left.reason) == ("y.png", "no such picture")
        again = refuse(tmp_path, "x.png", pictures[0], "ben", "grey")
        assert again in standing_refusals(tmp_path, store)


def test_a_damaged_line_is_named_and_a_torn_one_passed_over(tmp_path: Path) -> None:
    (tmp_path / "queue.jsonl").write_text('{"rank": 0}\n')
    with pytest.raises(DatasetError, match=r"queue\.jsonl, line 1"):
        read_queue(tmp_path)
    (tmp_path / "queue.jsonl").write_text('{"rank": 0')
    assert read_queue(tmp_path) == []


def test_the_pictures_are_found_again_when_all_moves_together(tmp_path: Path) -> None:
    for name in ("one/in", "one/store"):
        (tmp_path / name).mkdir(parents=True)
    write_home(tmp_path / "one/store", tmp_path / "one/in")
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_home(tmp_path / "two/store") == tmp_path / "two/in"
    (tmp_path / "two/in").rmdir()
    with pytest.raises(DatasetError, match="no longer at"):
        read_home(tmp_path / "two/store")
    with pytest.raises(DatasetError, match="does not say which pictures"):
        read_home(tmp_path)


def test_names_tell_pictures_apart(pictures: list[Picture]) -> None:
    outside = Picture("/far/away/b.jpg", Path("/far/away/b.jpg"))
    many = [*pictures, outside, Picture("a/1.jpg", Path("a/1.jpg"))]
    names = names_of(many)
    assert len(set(names.values())) == len(many)
    assert (names["a/0.png"], names["a/1.png"], names["a/1.jpg"]) == ("a/0", "a/1.png", "a/1.jpg")
    assert names["/far/away/b.jpg"].startswith("outside/")
    find = Names(many).find
    assert find("a/0") == find("a/0.png") == pictures[0]
    assert find("2") == find("elsewhere/2") == pictures[3]
    assert find("b") == outside
    assert find("0") == "2 pictures are called 0, e.g. a/0.png and b/0.png"
    assert find("9") == "no picture is called 9"


def test_any_folder_has_pictures(tmp_path: Path, pictures: list[Picture]) -> None:
    (tmp_path / "in" / "notes.txt").write_text("not one")
    found = read_pictures(tmp_path / "in")
    assert [p.path for p in found] == ["a/0.png", "a/1.png", "b/0.png", "b/2.png"]
    assert all(p.label is None and p.split is None and p.mask is None for p in found)
    assert found[0].size == (12, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="There are no pictures in"):
        read_pictures(tmp_path / "empty")


def test_an_index_says_what_is_fake_and_where_its_masks_are(index: Path) -> None:
    found = read_pictures(index)
    assert [(p.path, p.label, p.split) for p in found] == [
        ("0.png", 1, "train"),
        ("1.png", 1, "train"),
        ("2.png", 1, "train"),
        ("3.png", 1, "val"),
        ("4.png", 0, "train"),
    ]
    assert found[0].mask == index.parent / "masks/0.png"
    assert (found[2].mask, found[4].mask) == (None, None)
    with pytest.raises(DatasetError, match="Give the index"):
        read_pictures(index.parent)
    with pytest.raises(DatasetError, match="There is no index"):
        read_pictures(index.parent / "none.parquet")
