"""`unmask verify`: what agrees, what differs, what cannot be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def recorded(unmask, folder):
    """The results of a scan in `o.jsonl`, of fake, noface, real and unsure."""
    unmask("scan", "in", "--out", "o.jsonl")
    return Path("o.jsonl")


def test_all_agree(unmask, recorded):
    done = unmask("verify", recorded)
    assert done.exit_code == 0
    assert done.stdout.startswith("in/fake.png\n  same     media sha256")
    assert "same     score (within 0.0001)    0.941176" in done.stdout
    assert "same     reasons                  no_face" in done.stdout
    assert done.stderr == "4 results, 31 checks; none differs\n"


def test_one_pretty_object(unmask, recorded):
    first = json.loads(recorded.read_text().splitlines()[0])
    Path("one.json").write_text(json.dumps(first, indent=2))
    assert unmask("verify", "one.json").exit_code == 0


def test_changed_media_differs_and_is_not_compared_further(unmask, recorded):
    Path("in/fake.png").write_text("real")
    done = unmask("verify", recorded, "--path", "fake.png", "--json")
    checks = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(c["name"], c["ok"]) for c in checks] == [("media sha256", False)]
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("offset", "options", "code"),
    [(9e-5, [], 0), (2e-4, [], 1), (2e-4, ["--tolerance", "1e-3"], 0), (-2e-4, [], 1)],
)
def test_score_tolerance(unmask, detector, recorded, offset, options, code):
    detector.offset = offset
    assert unmask("verify", recorded, "--index", "1", *options).exit_code == code


def test_tolerance_is_wider_where_an_accelerator_took_part(unmask, detector, recorded):
    detector.offset, detector.device = 2e-3, "cuda:0"
    done = unmask("verify", recorded, "--index", "1")
    assert "score (within 0.005)" in done.stdout
    assert done.exit_code == 0


def test_other_verdict_or_weights_differ(unmask, detector, recorded):
    detector.offset, detector.weights_sha256 = -0.3, "0" * 64
    done = unmask("verify", recorded, "--index", "1", "--tolerance", "1", "--json")
    checks = {c["name"]: c["ok"] for c in map(json.loads, done.stdout.splitlines())}
    assert (checks["verdict"], checks["weights sha256"]) == (False, False)
    assert (checks["score (within 1)"], checks["settings sha256"]) == (True, True)


def test_other_settings_hint_at_max_frames(unmask, detector, recorded):
    detector.settings_sha256 = "0" * 64
    done = unmask("verify", recorded, "--index", "1")
    assert "--max-frames" in done.stderr
    assert done.exit_code == 1


def test_media_elsewhere_is_matched_by_content(unmask, recorded):
    Path("in/unsure.png").rename("moved.png")
    assert unmask("verify", recorded, "moved.png").exit_code == 0
    assert unmask("verify", recorded, "moved.png", "--index", "1").exit_code == 1
    Path("other.png").write_text("fake but other")
    done = unmask("verify", recorded, "other.png")
    assert done.exit_code == 2
    assert "--index" in done.stderr


def test_media_that_is_gone_is_unknown(unmask, recorded):
    Path("in/real.png").unlink()
    done = unmask("verify", recorded)
    assert "unknown" in done.stdout
    assert done.exit_code == 3
    assert unmask("verify", recorded, "--path", "real.png").exit_code == 4


def test_recorded_as_missing_cannot_be_repeated(unmask, folder):
    unmask("scan", "gone.png", "--out", "o.jsonl")
    assert unmask("verify", "o.jsonl").exit_code == 4


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"schema": "unmask.result/1"}\n{}\n'])
def test_file_without_results_is_a_usage_error(unmask, folder, text):
    Path("x.json").write_text(text)
    done = unmask("verify", "x.json")
    assert done.exit_code == 2
    assert "does not hold results of unmask" in done.stderr


@pytest.mark.parametrize("options", [["--index", "9"], ["--path", "nowhere"]])
def test_choice_of_nothing_is_a_usage_error(unmask, recorded, options):
    assert unmask("verify", recorded, *options).exit_code == 2
