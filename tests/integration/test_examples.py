"""The examples are what their table says, and the command makes of them what their README says."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from unmask.apps.cli import app
from unmask.faces import MTCNNDetector, find_faces
from unmask.media import SUPPORTED_SUFFIXES, Failure, Media, try_decode
from unmask.results import Result

EXAMPLES = Path(__file__).parents[2] / "examples"
with (EXAMPLES / "items.csv").open(newline="", encoding="utf-8") as _file:
    ROWS = list(csv.DictReader(_file))
FACES = [row for row in ROWS if row["label"] != "none"]


@pytest.fixture(scope="module")
def detector() -> MTCNNDetector:
    return MTCNNDetector()


def by_name(row: dict[str, str]) -> str:
    return row["path"]


def test_the_table_lists_every_item_once() -> None:
    found = {p.name for p in EXAMPLES.iterdir() if p.suffix in SUPPORTED_SUFFIXES}
    assert Counter(row["path"] for row in ROWS) == Counter(found)
    assert Counter(row["label"] for row in ROWS) == {"real": 5, "fake": 9, "none": 2}
    assert {row["family"] for row in ROWS if row["label"] == "real"} == {""}
    assert all(row["family"] for row in ROWS if row["label"] == "fake")


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_bytes_table_and_readme_agree(row: dict[str, str]) -> None:
    digest = hashlib.sha256((EXAMPLES / row["path"]).read_bytes()).hexdigest()
    assert digest == row["sha256"]
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert f"{digest}  {row['path']}\n" in readme
    (line,) = [text for text in readme.splitlines() if text.startswith(f"| `{row['path']}`")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1] == row["label"]
    assert cells[4] == row["licence"]
    if row["person"]:
        assert cells[3] == row["person"]


def test_the_licences_ask_for_attribution_and_it_is_given() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert {row["licence"] for row in FACES} == {"CC BY 4.0", "public domain"}
    for words in ("DeBruine", "10.6084/m9.figshare.5047666.v5", "licenses/by/4.0", "Changed here"):
        assert words in readme


@pytest.mark.parametrize("row", FACES, ids=by_name)
def test_a_face_in_every_item_that_has_one(row: dict[str, str], detector: MTCNNDetector) -> None:
    media = try_decode(EXAMPLES / row["path"], max_frames=3)
    assert isinstance(media, Media)
    assert media.reasons == ()
    assert len(media.frames) == (3 if row["path"].endswith(".mp4") else 1)
    for frame in media.frames:
        assert len(find_faces(frame, detector)) == 1


def test_no_cue_in_size_or_encoding() -> None:
    """Both labels come in the same sizes, per source, and in the same formats."""
    shapes: dict[str, set[object]] = {"real": set(), "fake": set()}
    for row in FACES:
        media = try_decode(EXAMPLES / row["path"], max_frames=1)
        info = media.info
        source = row["person"].partition("/")[0]
        shapes[row["label"]].add((source, info.format, info.width, info.height, info.duration_s))
    assert shapes["real"] == shapes["fake"]


def test_no_face_in_the_landscape(detector: MTCNNDetector) -> None:
    media = try_decode(EXAMPLES / "no_face.jpg")
    assert isinstance(media, Media)
    assert find_faces(media.frames[0], detector) == []


def test_the_truncated_picture_says_so() -> None:
    failure = try_decode(EXAMPLES / "truncated.jpg")
    assert isinstance(failure, Failure)
    assert (failure.error.status, failure.error.reason) == ("unreadable", "truncated")


def test_scanning_the_folder(checkpoint: Path) -> None:
    words = ["scan", EXAMPLES, "--model", checkpoint, "--format", "jsonl", "--max-frames", 4]
    done = CliRunner().invoke(app, [str(word) for word in words])
    results = {Path(r.input.path).name: r for r in map(Result.from_json, done.stdout.splitlines())}
    assert len(done.stdout.splitlines()) == len(results) == len(ROWS)
    assert done.exit_code == 3
    assert {row["path"]: results[row["path"]].input.sha256 for row in ROWS} == {
        row["path"]: row["sha256"] for row in ROWS
    }
    for row in FACES:
        result = results[row["path"]]
        assert (result.status, len(result.faces)) == ("scored", 1), row["path"]
        assert len(result.faces[0].frames) == (4 if result.input.media == "video" else 1)
    unscored = {name: (r.status, r.reasons) for name, r in results.items() if r.score is None}
    assert unscored == {
        "no_face.jpg": ("not_applicable", ["no_face"]),
        "truncated.jpg": ("unreadable", ["truncated"]),
    }
