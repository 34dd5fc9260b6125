"""The line that repeats a result, whatever it was made by."""

from __future__ import annotations

import pytest

from unmask.apps.report.record import verify_line
from unmask.results import Coverage, InputInfo, Result


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
    result = Result(
        input=InputInfo(path="a.jpg", sha256="ab" * 32),
        status="unreadable",
        reasons=["damaged"],
        coverage=Coverage(),
    )
    words = verify_line(result, command).split()
    assert words[:2] == ["unmask", "verify"]
    assert words[-2:] == [saved, "a.jpg"]
