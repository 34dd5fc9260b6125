"""The line that repeats a result, whatever it was made by."""

from __future__ import annotations

import pytest

from unmask.apps.report.record import verify_line
from unmask.results import Coverage, InputInfo, Result


def damaged() -> Result:
    return Result(
        input=InputInfo(path="a.jpg", sha256="ab" * 32),
        status="unreadable",
        reasons=["damaged"],
        coverage=Coverage(),
    )


def test_verify_has_what_a_score_and_its_threshold_depend_on() -> None:
    given = ["--calibration=own.json", "--model", "m.safetensors", "--max-frames", "7", "a.jpg"]
    told = verify_line(damaged(), ["unmask", "scan", *given])
    options = "--max-frames 7 --model m.safetensors --calibration own.json"
    assert told == f"unmask verify {options} result.json a.jpg"


@pytest.mark.parametrize(
    ("command", "saved"),
    [
        ([], "result.json"),
        (["unmask", "scan", "a.jpg", "--out"], "result.json"),
        (["unmask", "scan", "--out", "all.jsonl", "a.jpg"], "all.jsonl"),
        (["unmask", "scan", "--out=all.jsonl", "a.jpg"], "all.jsonl"),
    ],
)
def test_verify_names_the_file_that_holds_the_result(command: list[str], saved: str) -> None:
    words = verify_line(damaged(), command).split()
    assert words[:2] == ["unmask", "verify"]
    assert words[-2:] == [saved, "a.jpg"]
