"""`unmask scan` never writes over an input, nor over anything that it did not write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.fixture
def refused(unmask, detector, folder):
    """Run a scan that must be refused with nothing touched and nothing looked at; gives stderr."""

    def run(*words: str) -> str:
        before = contents()
        done = unmask("scan", *words)
        assert done.exit_code == 2, done.output
        assert contents() == before
        assert detector.seen == []
        assert done.stdout == ""
        return done.stderr

    return run


def test_report_that_swallowed_a_picture_is_refused(refused):
    error = refused("--report", "in/fake.png", "in/real.png")
    assert "a report is an .html file; did you forget the value of --report?" in error


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize("spelling", ["in/page.html", "./in/../in/page.html", "link.html"])
def test_output_that_is_an_input_is_refused(refused, option, spelling):
    Path("in/page.html").write_text("fake")
    Path("link.html").symlink_to("in/page.html")
    words = ["in/page.html", option, spelling]
    assert "is also an input" in refused(*words, *(["--overwrite"] if option == "--out" else []))


def test_output_that_a_folder_holds_or_a_hard_link_reaches_is_refused(refused):
    os.link("in/fake.png", "other.jsonl")
    assert "is also an input" in refused("in", "--out", "in/real.png", "--overwrite")
    assert "is also an input" in refused("in", "--out", "other.jsonl", "--resume")
    assert "is also an input" in refused("gone.jpg", "--out", "gone.jpg")


def test_one_file_for_both_outputs_is_refused(refused):
    assert "same file" in refused("in", "--out", "same.html", "--report", "./same.html")


@pytest.mark.parametrize("content", ["<html>my notes</html>", "fake"])
def test_report_over_a_foreign_page_is_refused(refused, content):
    Path("page.html").write_text(content)
    assert "not a report of unmask" in refused("in", "--report", "page.html")


@pytest.mark.parametrize("option", ["--overwrite", "--resume"])
@pytest.mark.parametrize("content", [b"fake", b"\xff\xd8\xff\xe0", b'{"my": "notes"}\n', b"\n\nx"])
def test_out_over_a_foreign_file_is_refused(refused, option, content):
    Path("notes.txt").write_bytes(content)
    assert "not a results file of unmask" in refused("in", "--out", "notes.txt", option)


def test_heatmaps_among_the_inputs_are_refused(refused):
    assert "--heatmaps" in refused("in", "--heatmaps", "./in")
    assert "--heatmaps" in refused("in/real.png", "--heatmaps", "in/../in")


def test_own_outputs_are_replaced_as_often_as_wanted(unmask, folder):
    words = ["scan", "in", "--report", "out/r.html", "--out", "out/r.jsonl", "--overwrite"]
    for _ in range(3):
        assert unmask(*words, "--heatmaps", "out/maps").exit_code == 3
    assert len(Path("out/r.jsonl").read_text().splitlines()) == 4
    assert '<meta name="generator" content="unmask' in Path("out/r.html").read_text()


@pytest.mark.parametrize(
    "content", ["", "\n", '{"schema":"unmask.res', '{"schema":"unmask.result/1","inp']
)
def test_results_file_that_a_kill_left_is_continued(unmask, folder, content):  # fmt: skip
    Path("o.jsonl").write_text(content)
    assert unmask("scan", "in", "--out", "o.jsonl", "--resume").exit_code == 3
    assert len(Path("o.jsonl").read_text().splitlines()) == 4


def test_report_of_an_earlier_version_is_replaced(unmask, folder):
    Path("r.html").write_text("<html><head><title>unmask report, 2026-01-01 00:00</title>")
    assert unmask("scan", "in", "--report", "r.html").exit_code == 3
