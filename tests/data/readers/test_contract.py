"""What every reader owes: a place that can be imported, and a lesson for each wrong folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from unmask.data.readers import READERS, reader
from unmask.errors import ConfigError, DatasetError


@pytest.fixture(params=["an empty folder", "a file", "a missing folder"])
def wrong_root(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """(a root that is no data set, what the message must say of it)."""
    if request.param == "an empty folder":
        return tmp_path, "the folder is empty"
    if request.param == "a missing folder":
        return tmp_path / "none", "no such folder"
    (tmp_path / "notes.txt").write_text("no data set")
    return tmp_path / "notes.txt", "a file, not a folder"


OWN = [name for name, entry in READERS.items() if entry.licence == "your own"]
"""Not data sets but ways to keep one's own: some are a file, so there is no folder to list."""


@pytest.mark.parametrize("name", READERS)
def test_a_wrong_root_is_told_what_was_expected(name: str, wrong_root: tuple[Path, str]) -> None:
    root, _ = wrong_root
    with pytest.raises(DatasetError) as caught:
        READERS[name].read(root)
    assert str(root) in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("Expected")
    assert len(caught.value.hint.partition("Found in")[0].strip().splitlines()) > 2


@pytest.mark.parametrize("name", [name for name in READERS if name not in OWN])
def test_a_wrong_root_is_told_what_was_found(name: str, wrong_root: tuple[Path, str]) -> None:
    root, seen = wrong_root
    with pytest.raises(DatasetError) as caught:
        READERS[name].read(root)
    assert caught.value.hint is not None
    _, found, said = caught.value.hint.partition(f"Found in {root}:\n")
    assert found
    assert seen in said


@pytest.mark.parametrize("name", READERS)
def test_a_reader_says_whose_data_it_is(name: str) -> None:
    assert reader(name) is READERS[name]
    assert READERS[name].title
    assert READERS[name].licence


def test_the_readers_of_the_field_are_there() -> None:
    assert {
        "ffpp",
        "celebdf-v1",
        "celebdf-v2",
        "celebdf-pp",
        "dfd",
        "deeperforensics",
        "faceshifter",
    } <= set(READERS)


def test_an_unknown_reader_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"(?s)'ff\+\+'.*ffpp"):
        reader("ff++")
