"""What several readers do alike: frame numbers, stems, codecs, lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from unmask.data.readers.layout import compare_lists, numbered, read_json, stems, still_codec
from unmask.errors import DatasetError


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["10.png", "2.png"], {"2.png": 2, "10.png": 10}),
        (["f_010.png", "f_002.png"], {"f_002.png": 2, "f_010.png": 10}),
        (["a1.png", "b1.png"], {"a1.png": 0, "b1.png": 1}),
        (["a.png", "b7.png"], {"a.png": 0, "b7.png": 1}),
        (["20240101120000123.png"], {"20240101120000123.png": 120000123}),
        ([], {}),
    ],
)
def test_frames_have_the_number_of_their_name_or_their_place(
    names: list[str], numbers: dict[str, int]
) -> None:
    found = numbered([Path("v") / name for name in names])
    assert {path.name: number for number, path in found} == numbers
    assert [number for number, _ in found] == sorted(numbers.values())


def test_a_number_fits_the_column() -> None:
    ((number, _),) = numbered([Path("9" * 30 + ".png")])
    assert number < 2**31


def test_stems_keep_the_suffix_only_where_it_tells_two_apart() -> None:
    paths = ["a/1.png", "a/2.png", "a/2.jpg", "2.png", "a.b/c", "a/1.png"]
    assert stems(paths) == ["a/1", "a/2.png", "a/2.jpg", "2", "a.b/c", "a/1"]


def test_codecs_by_suffix() -> None:
    names = ("a.PNG", "a.jpg", "a.JPEG", "a.webp", "a.heif", "a.mp4", "a.txt", "a")
    assert [still_codec(Path(name)) for name in names] == [
        *("png", "jpeg", "jpeg", "webp", "heic"),
        *(None, None, None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "must hold a JSON object; got a list"), ("{", "cannot be read as JSON")],
)
def test_json_that_is_no_object_is_told(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    with pytest.raises(DatasetError, match=r"list\.json cannot be read as JSON"):
        read_json(path)
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_json(path)


def test_a_list_and_a_folder_that_agree_are_no_error() -> None:
    compare_lists(["a", "b"], {"b", "a"}, Path("list"), Path("folder"))
