"""What a benchmark's JSON says of its command names no place outside the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import record


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["/data/faces/INDEX.csv", "--seeds", "3"], "INDEX.csv --seeds 3"),
        (["--fakes", "stylegan=/data/faces/INDEX.csv"], "--fakes stylegan=INDEX.csv"),
        (["--out=/tmp/x.json", "--jobs=2"], "--out=x.json --jobs=2"),
        (["benchmarks/results/x.json"], "benchmarks/results/x.json"),
    ],
)
def test_paths_elsewhere_keep_their_last_part(
    words: list[str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(record.ROOT)
    monkeypatch.setattr(sys, "argv", ["benchmarks/x.py", *words])
    assert record.command() == f"python benchmarks/x.py {shown}"
