"""From sources to inputs: order, no doubles, nothing silently skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unmask.errors import ConfigError
from unmask.scan.sources import expand, on_disk, passed_over_text, shown

SUFFIXES = frozenset({".jpg", ".mp4"})


def find(*sources: str, stdin: bytes = b""):
    return expand(sources, SUFFIXES, lambda: stdin)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Some folders with media and other things in them; also the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.JPG", "c.mp4", "notes.txt", "README", ".hidden.jpg",
                 "sub/z.jpg", "sub/deep/y.mp4", ".git/x.jpg", "other/w.jpg"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_folder_is_searched_in_sorted_order(tree):
    found = find(".")
    assert found.paths == [
        "./a.JPG", "./b.jpg", "./c.mp4", "./other/w.jpg", "./sub/deep/y.mp4", "./sub/z.jpg",
    ]  # fmt: skip
    assert found.passed_over == {".txt": 1, "no suffix": 1, "hidden": 2}
    assert passed_over_text(found.passed_over) == "2 hidden, 1 .txt, 1 no suffix"


def test_named_files_count_whatever_their_suffix_and_keep_their_order(tree):
    assert find("notes.txt", "b.jpg", ".hidden.jpg", "a.JPG").paths == [
        "notes.txt", "b.jpg", ".hidden.jpg", "a.JPG",
    ]  # fmt: skip


def test_each_file_once_however_it_is_written(tree):
    found = find("b.jpg", "./b.jpg", str(tree / "b.jpg"), "sub/../b.jpg", ".")
    assert found.paths[0] == "b.jpg"
    assert len(found.paths) == 6
    assert find("sub", "sub").empty == []


def test_globs_that_the_shell_left(tree):
    assert find("*.jpg").paths == ["b.jpg"]
    assert find("**/*.mp4").paths == ["c.mp4", "sub/deep/y.mp4"]
    assert find("s*").paths == ["sub/deep/y.mp4", "sub/z.jpg"]  # a folder, as a shell would name it


def test_name_with_glob_characters_is_a_name_if_it_exists(tree):
    (tree / "[1].jpg").write_bytes(b"x")
    assert find("[1].jpg").paths == ["[1].jpg"]


@pytest.mark.parametrize("data", [b"b.jpg\nnone.jpg\r\n\nsub\n", b"b.jpg\0none.jpg\0sub\0"])
def test_lists(tree, data):
    (tree / "list").write_bytes(data)
    expected = ["b.jpg", "none.jpg", "sub/deep/y.mp4", "sub/z.jpg"]
    assert find("@list").paths == expected
    assert find("-", stdin=data).paths == expected


def test_empty_folder_in_a_list_is_said(tree):
    found = find("-", stdin=b"b.jpg\nempty\n")
    assert (found.paths, found.empty) == (["b.jpg", "empty"], ["empty"])


def test_list_with_a_byte_order_mark(tree):
    (tree / "list").write_bytes(b"\xef\xbb\xbfb.jpg\r\nc.mp4\r\n")
    assert find("@list").paths == ["b.jpg", "c.mp4"]


def test_empty_list_is_named(tree):
    (tree / "list").write_bytes(b"\n")
    with pytest.raises(ConfigError, match="the list on standard input is empty"):
        find("-")
    with pytest.raises(ConfigError, match="the list list is empty"):
        find("@list")


def test_names_in_lists_are_not_patterns(tree):
    assert find("-", stdin=b"*.jpg\n").paths == ["*.jpg"]


def test_list_that_is_missing(tree):
    with pytest.raises(ConfigError, match=r"list nowhere cannot be read.*\n.*\./@NAME"):
        find("@nowhere")


def test_missing_path_is_an_input(tree):
    assert find("gone.jpg", "b.jpg").paths == ["gone.jpg", "b.jpg"]


@pytest.mark.parametrize("source", ["empty", "*.nothing", "-"])
def test_nothing_at_all_is_an_error_and_beside_others_is_said(tree, source):
    with pytest.raises(ConfigError, match="No input found"):
        find(source)
    found = find(source, "b.jpg")
    assert found.empty == [source]
    assert found.paths == [source, "b.jpg"]
    assert (found.failures[source].status, found.failures[source].reason) == (
        "unreadable",
        "missing",
    )
    assert "matched nothing" in found.failures[source].message or source == "-"


def test_links_to_folders_are_followed_once(tree):
    (tree / "sub" / "loop").symlink_to(tree / "sub")
    (tree / "sub" / "side").symlink_to(tree / "other")
    found = find("sub")
    assert found.paths == ["sub/deep/y.mp4", "sub/side/w.jpg", "sub/z.jpg"]
    assert found.passed_over == {"folder reached twice through links": 1}


def test_broken_link_with_a_media_suffix_is_an_input(tree):
    (tree / "empty" / "gone.jpg").symlink_to(tree / "nowhere.jpg")
    (tree / "empty" / "gone.txt").symlink_to(tree / "nowhere.txt")
    found = find("empty")
    assert found.paths == ["empty/gone.jpg"]
    assert found.passed_over == {".txt": 1}


def test_pipes_in_folders_are_counted(tree):
    os.mkfifo(tree / "other" / "pipe.jpg")
    found = find("other")
    assert found.paths == ["other/w.jpg"]
    assert found.passed_over == {"not a regular file": 1}


def test_folder_that_cannot_be_listed_is_an_input_with_its_reason(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find(".")
    assert "./sub" in found.paths
    assert found.failures["./sub"].reason == "permission_denied"


def test_names_that_are_not_utf8_can_be_shown_and_found_again(tmp_path):
    raw = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    text = shown(raw)
    assert text == f"{tmp_path}/caf\\xe9.jpg"
    text.encode("utf-8")
    assert on_disk(text) == text  # no such file
    try:
        Path(raw).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert on_disk(text) == raw
    Path(text).write_bytes(b"x")
    assert on_disk(text) == text  # a file that is really called so comes first


def test_escaped_name_is_never_that_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd, literal = os.fsdecode(b"\xff\\xe9.jpg"), "\\xff\\xe9.jpg"
    assert shown(os.fsdecode(b"\xff\\xe9")) == "\\xff\\\\xe9"
    assert shown(os.fsdecode(b"\xff\xe9")) == "\\xff\\xe9"
    assert shown("plain\\xe9") == "plain\\xe9"
    try:
        Path(odd).write_bytes(b"odd")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert shown(odd) != shown(os.fsdecode(b"\xff\xe9.jpg"))
    assert on_disk(shown(odd)) == odd
    assert on_disk(literal) == literal
