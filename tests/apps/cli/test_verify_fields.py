"""`unmask verify` compares every field, with what the scan was told, wherever the media is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unmask.apps.cli import backend
from unmask.results import Calibrated, Threshold


@pytest.fixture
def recorded(unmask, detector, folder):
    """The results of a scan in `o.jsonl`; the scored ones have every field."""
    one = detector._one

    def full(item, evidence):
        answer = one(item, evidence)
        if answer.result.status == "scored":
            answer.result = answer.result.model_copy(
                update={
                    "reasons": ["truncated"],
                    "calibrated": Calibrated(
                        p_fake=0.9, log10_lr=1.0, domain="faces", in_domain=True
                    ),
                    "threshold": Threshold(
                        flag=0.8, clear=0.3, fpr_at_flag=0.01, ci95=(0.0, 0.05), measured_on="reals"
                    ),
                }
            )
        return answer

    detector._one = full
    unmask("scan", "in", "--out", "o.jsonl")
    assert unmask("verify", "o.jsonl").exit_code == 0
    return Path("o.jsonl")


def edit(path: Path, where: str, value: object) -> None:
    """Forge one field of the first result."""
    first, *rest = path.read_text().splitlines()
    result = json.loads(first)
    *parents, name = [int(word) if word.isdigit() else word for word in where.split(".")]
    place = result
    for parent in parents:
        place = place[parent]
    assert place[name] != value
    place[name] = value
    path.write_text("\n".join([json.dumps(result), *rest]) + "\n")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("threshold.flag", 0.95),
        ("threshold.clear", 0.31),
        ("threshold.fpr_at_flag", 0.0001),
        ("threshold.ci95", [0.0, 0.0002]),
        ("threshold.measured_on", "every face there is"),
        ("threshold", None),
        ("calibrated.p_fake", 0.91),
        ("calibrated.log10_lr", 1.1),
        ("calibrated.domain", "all pictures"),
        ("calibrated.in_domain", False),
        ("calibrated", None),
        ("input.width", 9),
        ("input.bytes", 5),
        ("input.format", "jpeg"),
        ("reasons", []),
        ("message", "trust me"),
        ("coverage.frames_read", 30),
        ("coverage.frames_failed", 1),
        ("faces.0.score", 0.5),
        ("faces.0.frames.0.box", [1.0, 1.0, 5.0, 6.5]),
        ("faces.0.frames.0.quality", "too_dark"),
        ("faces.0.frames.0.index", 3),
        ("faces", []),
        ("run.tool", "another tool"),
        ("run.model", "fake2"),
        ("run", None),
    ],
)
def test_forged_field_differs_and_is_named(unmask, recorded, where, value):
    edit(recorded, where, value)
    done = unmask("verify", recorded, "--index", "1")
    assert done.exit_code == 1, done.output
    assert "none differs" not in done.stderr
    differing = [line for line in done.stdout.splitlines() if "DIFFERS" in line]
    assert any(where.replace(".0", "[0]") in line for line in differing), differing


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("run.seconds", 99.0),
        ("run.device", "cuda:0"),
        ("faces.0.heatmap", "elsewhere.png"),
        ("faces.0.frames.0.box", [1.0, 1.0, 5.0, 5.05]),
        ("calibrated.log10_lr", 1.0005),
    ],
)
def test_what_may_be_another_is_not_compared(unmask, recorded, where, value):
    edit(recorded, where, value)
    assert unmask("verify", recorded, "--index", "1").exit_code == 0


def test_only_differing_fields_are_listed_beside_the_main_checks(unmask, recorded):
    edit(recorded, "threshold.flag", 0.95)
    lines = unmask("verify", recorded, "--index", "1").stdout.splitlines()
    assert len(lines) <= 10
    assert "  DIFFERS  threshold.flag           recorded 0.95, now 0.8" in lines


def test_a_path_in_a_message_may_be_another(unmask, detector, recorded):
    edit(recorded, "message", "moved.png is odd")
    edit(recorded, "input.path", "moved.png")
    one = detector._one

    def saying(item, evidence):
        answer = one(item, evidence)
        answer.result = answer.result.model_copy(update={"message": f"{item.info.path} is odd"})
        return answer

    detector._one = saying
    assert unmask("verify", recorded, "in/fake.png", "--index", "1").exit_code == 0


def test_recorded_settings_are_used(unmask, detector, folder, monkeypatch):
    made = []
    pool = backend.make_pool

    def make_pool(jobs, max_frames, limits):
        made.append((max_frames, limits.max_pixels, limits.timeout_s))
        return pool(jobs, max_frames, limits)

    def make_detector(model, device, max_frames, calibration):
        detector.max_frames = max_frames
        return detector

    monkeypatch.setattr(backend, "make_pool", make_pool)
    monkeypatch.setattr(backend, "make_detector", make_detector)
    words = ["--max-frames", "8", "--max-megapixels", "200", "--timeout", "7"]
    unmask("scan", "in", "--out", "o.jsonl", *words)
    run = json.loads(Path("o.jsonl").read_text().splitlines()[0])["run"]
    assert run["max_frames"] == 8
    assert run["limits"] == {"max_pixels": 200_000_000, "timeout_s": 7.0}
    assert unmask("verify", "o.jsonl").exit_code == 0
    assert made == [(8, 200_000_000, 7.0)] * 2
    assert unmask("verify", "o.jsonl", "--max-frames", "9").exit_code == 1


def test_limits_that_cannot_be_are_a_usage_error(unmask, recorded):
    edit(recorded, "run.limits", {"max_pixels": -1})
    done = unmask("verify", recorded)
    assert done.exit_code == 2
    assert "max_pixels" in done.stderr


def test_results_without_settings_are_read(unmask, recorded):
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    for line in lines:
        del line["run"]["max_frames"], line["run"]["limits"]
    recorded.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert unmask("verify", recorded).exit_code == 0


def test_media_moved_to_a_folder_is_found_by_name(unmask, recorded):
    Path("away/deep").mkdir(parents=True)
    for name in ("fake", "real", "unsure", "noface"):
        Path(f"in/{name}.png").rename(f"away/deep/{name}.png")
    assert unmask("verify", recorded).exit_code == 4
    assert unmask("verify", recorded, "away").exit_code == 0
    Path("away/fake.png").write_text("real")  # another file of that name: the content tells
    assert unmask("verify", recorded, "away").exit_code == 0
    Path("away/deep/fake.png").unlink()
    assert unmask("verify", recorded, "away", "--index", "1").exit_code == 1
    Path("away/fake.png").unlink()
    assert unmask("verify", recorded, "away").exit_code == 3


def test_folder_with_the_recorded_relative_paths(unmask, recorded):
    Path("away").mkdir()
    Path("in").rename("away/in")
    assert unmask("verify", recorded, "away").exit_code == 0
    assert unmask("verify", recorded, "away/in").exit_code == 0


def test_relative_paths_are_also_tried_beside_the_results(unmask, recorded, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert unmask("verify", tmp_path / "o.jsonl").exit_code == 0
