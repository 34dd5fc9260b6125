"""`unmask scan`: what it writes, and what its exit code means."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from unmask.results import Result

EXPECTED_TABLE = """\
path           verdict              score  faces  reasons
in/fake.png    likely_manipulated   0.941      1
in/noface.png  not_applicable           -      0  no_face
in/real.png    no_evidence_found    0.078      1
in/unsure.png  inconclusive         0.502      1
"""


def test_table_is_the_default_and_stderr_sums_up(unmask, folder):
    done = unmask("scan", "in")
    assert done.stdout == EXPECTED_TABLE
    assert done.stderr == (
        "4 inputs: 1 inconclusive, 1 likely_manipulated, 1 no_evidence_found, "
        "1 not scored (1 no_face); coverage 75.0%\n"
    )
    assert done.exit_code == 3


def test_jsonl_is_one_valid_result_per_input(unmask, folder):
    done = unmask("scan", "in", "--format", "jsonl")
    results = [Result.from_json(line) for line in done.stdout.splitlines()]
    assert [r.input.path for r in results] == [
        "in/fake.png", "in/noface.png", "in/real.png", "in/unsure.png",
    ]  # fmt: skip
    assert json.loads(done.stdout.splitlines()[0])["schema"] == "unmask.result/1"


def test_csv_columns_and_quoting(unmask, folder):
    (folder / "in" / 'a,"b".png').write_text("fake")
    done = unmask("scan", "in", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.stdout.splitlines()[0] == (
        "path,status,verdict,score,reasons,media,width,height,duration_s,faces,frames_read,"
        "frames_failed,faces_scored,bytes,sha256,model,weights_sha256,settings_sha256,message"
    )
    assert rows[0]["path"] == 'in/a,"b".png'
    noface = rows[2]
    assert (noface["status"], noface["verdict"], noface["score"]) == ("not_applicable", "", "")
    assert (noface["reasons"], noface["width"], noface["faces"]) == ("no_face", "8", "0")
    assert rows[3]["model"] == "fake"


@pytest.mark.parametrize(
    ("words", "options", "code"),
    [
        ("real", "", 0),
        ("real fake", "", 0),
        ("real noface", "", 3),
        ("real noface", "--min-coverage 0.5", 0),
        ("real noface", "--min-coverage 0.51", 3),
        ("noface broken", "", 4),
        ("noface", "--min-coverage 0", 4),
        ("fake", "--fail-on flagged", 1),
        ("unsure", "--fail-on flagged", 0),
        ("unsure", "--fail-on flagged,inconclusive", 1),
        ("real fake broken", "--fail-on flagged", 1),
        ("real unsure broken", "--fail-on flagged", 3),
        ("broken", "--fail-on flagged", 4),
        ("real", "--fail-on nonsense", 2),
        ("real", "--min-coverage 2", 2),
        ("real", "--resume", 2),
        ("real", "--overwrite", 2),
        ("real", "--out o --resume --overwrite", 2),
    ],
)
def test_exit_codes(unmask, tmp_path, monkeypatch, words, options, code):
    monkeypatch.chdir(tmp_path)
    for word in words.split():
        (tmp_path / word).write_text(word)
    assert unmask("scan", *words.split(), *options.split()).exit_code == code


def test_missing_path_is_a_result(unmask, folder):
    done = unmask("scan", "in/real.png", "gone.mp4", "--format", "jsonl")
    gone = Result.from_json(done.stdout.splitlines()[1])
    assert (gone.status, gone.reasons, gone.score) == ("unreadable", ["missing"], None)
    assert done.exit_code == 3


def test_nothing_found_is_a_usage_error_that_says_what_was_there(unmask, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    done = unmask("scan", tmp_path)
    assert done.exit_code == 2
    assert "No input found" in done.stderr
    assert "1 .txt" in done.stderr
    assert done.stdout == ""


def test_passed_over_files_and_empty_sources_are_said(unmask, folder):
    (folder / "in" / "notes.txt").write_text("x")
    (folder / "in" / ".secret.png").write_text("fake")
    done = unmask("scan", "in", "*.nothing")
    assert "Passed over in folders: 1 .txt, 1 hidden." in done.stderr
    assert "Warning: no input found in *.nothing." in done.stderr
    assert done.exit_code == 3


def test_source_that_gives_nothing_is_a_result(unmask, folder):
    Path("void").mkdir()
    words = ["scan", "in/real.png", "*.nothing", "void", "--format", "jsonl", "--out", "o.jsonl"]
    done = unmask(*words)
    results = [Result.from_json(line) for line in done.stdout.splitlines()]
    assert [(r.input.path, r.status, r.reasons) for r in results[1:]] == [
        ("*.nothing", "unreadable", ["missing"]),
        ("void", "unreadable", ["missing"]),
    ]
    assert done.exit_code == 3
    assert "coverage 33.3%" in done.stderr
    assert unmask(*words, "--resume").exit_code == 3


def test_empty_list_is_said(unmask, folder):
    done = unmask("scan", "-", input="")
    assert done.exit_code == 2
    assert "the list on standard input is empty" in done.stderr


def test_limit_reached_names_its_option(unmask, folder):
    Path("in/large.png").write_text("large")
    assert "--max-megapixels" in unmask("scan", "in").stderr


def test_csv_cells_are_no_formulas(unmask, folder):
    for name in ("=1+1.png", "+a.png", "@b.png", "-c.png", "\td.png"):
        Path(name).write_text("real")
    done = unmask("scan", "--format", "csv", "--", "=1+1.png", "+a.png", "./@b.png", "-c.png", "\td.png")  # fmt: skip  # noqa: E501
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["path"] for row in rows] == [
        "'=1+1.png", "'+a.png", "./@b.png", "'-c.png", "'\td.png",
    ]  # fmt: skip


def test_list_on_stdin(unmask, folder):
    done = unmask("scan", "-", "--format", "jsonl", input="in/real.png\nin/fake.png\n")
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == [
        "no_evidence_found", "likely_manipulated",
    ]  # fmt: skip


def test_name_that_is_not_utf8_survives(unmask, folder):
    import os

    name = os.fsdecode(b"caf\xe9.png")
    try:
        Path(name).write_text("fake")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    done = unmask("scan", name, "--format", "jsonl", "--out", "o.jsonl")
    assert json.loads(done.stdout)["input"]["path"] == "caf\\xe9.png"
    again = unmask("scan", name, "--out", "o.jsonl", "--resume")
    assert "1 kept from an earlier run" in again.stderr


def test_out_is_written_beside_the_table(unmask, folder):
    done = unmask("scan", "in", "--out", "deep/er/o.jsonl")
    lines = Path("deep/er/o.jsonl").read_text().splitlines()
    assert done.stdout == EXPECTED_TABLE
    assert [Result.from_json(line).status for line in lines].count("scored") == 3


def test_existing_out_is_refused_before_anything_runs(unmask, detector, folder):
    Path("o.jsonl").write_text("precious")
    done = unmask("scan", "in", "--out", "o.jsonl")
    assert done.exit_code == 2
    assert "--resume" in done.stderr
    assert "--overwrite" in done.stderr
    assert Path("o.jsonl").read_text() == "precious"
    assert detector.seen == []
    Path("o.jsonl").unlink()
    unmask("scan", "in/fake.png", "--out", "o.jsonl")
    assert unmask("scan", "in", "--out", "o.jsonl", "--overwrite").exit_code == 3
    assert len(Path("o.jsonl").read_text().splitlines()) == 4


def test_unwritable_out_is_a_usage_error(unmask, folder):
    done = unmask("scan", "in", "--out", "in/real.png/o.jsonl")
    assert done.exit_code == 2
    assert "cannot be used" in done.stderr


def test_heatmaps_are_pictures_named_in_the_result(unmask, folder):
    done = unmask("scan", "in", "--heatmaps", "maps", "--format", "jsonl")
    results = [Result.from_json(line) for line in done.stdout.splitlines()]
    path = results[0].faces[0].heatmap
    assert path == f"maps/fake-{results[0].input.sha256[:10]}-face0.png"
    with Image.open(path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (8, 8))
    assert len(list(Path("maps").iterdir())) == 3


def test_report_is_written(unmask, folder):
    done = unmask("scan", "in", "--report", "out/r.html")
    page = Path("out/r.html").read_text()
    assert done.stdout == EXPECTED_TABLE
    assert all(name in page for name in ("fake.png", "noface.png", "real.png", "unsure.png"))


def test_limit_that_cannot_be_is_refused(unmask, folder):
    assert unmask("scan", "in", "--timeout", "0").exit_code == 2


def test_help_states_the_limits_as_they_are(unmask):
    from unmask.media import Limits

    limits, text = Limits(), unmask("scan", "--help").stdout
    for value in (
        limits.timeout_s, limits.max_pixels / 1e6, limits.max_bytes / 1e6, limits.max_duration_s,
    ):  # fmt: skip
        assert f"[{value:.0f}]" in text
