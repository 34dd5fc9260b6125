"""What the service's benchmarks conclude from what they saw."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
ONE = {"status": "scored", "reasons": [], "verdict": "inconclusive", "score": 0.5}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("service_load")


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("service_kills")


def row(key: str, **other: Any) -> dict[str, Any]:
    """A row of an upload with this key that has ended well."""
    return {
        "id": f"id-{key}",
        "key": hashlib.sha256(key.encode()).hexdigest(),
        "sha256": f"sha-{key}",
        "state": "done",
        "reason": None,
        "message": None,
        "has_result": 1,
        "lease": None,
        "work": None,
        "finished": 7,
        "attempts": 1,
    } | other


def sent(kills: ModuleType, *keys: str) -> dict[str, Any]:
    return {
        key: kills.Sent(f"sha-{key}", kills.Submission(ids=[f"id-{key}"], error=None))
        for key in keys
    }


def found(kills: ModuleType, *given: Any) -> dict[str, list[str]]:
    """The lists that are not empty."""
    return {name: ids for name, ids in kills.reconcile(*given).items() if ids}


def test_results_and_stated_failures_are_in_order(kills: ModuleType) -> None:
    lost = {"state": "failed", "has_result": 0, "reason": "worker_lost", "message": "Lost."}
    assert found(kills, sent(kills, "a", "b"), [row("a"), row("b", **lost)]) == {}


@pytest.mark.parametrize(
    ("fault", "other"),
    [
        ("unfinished", {"state": "running", "has_result": 0}),
        ("unfinished", {"state": "cancelled", "has_result": 0}),
        ("without_outcome", {"has_result": 0}),
        ("without_outcome", {"state": "failed", "has_result": 0}),
        ("without_outcome", {"state": "failed", "has_result": 1, "reason": "worker_lost"}),
        ("without_outcome", {"lease": "held", "work": "analysis"}),
        ("mixed_up", {"sha256": "sha-b"}),
    ],
)
def test_an_analysis_that_is_not_in_order_is_named(
    kills: ModuleType, fault: str, other: dict[str, Any]
) -> None:
    assert found(kills, sent(kills, "a"), [row("a", **other)]) == {fault: ["id-a"]}


def test_lost_doubled_and_unknown_analyses_are_named(kills: ModuleType) -> None:
    assert found(kills, sent(kills, "a"), []) == {"lost": ["id-a"]}
    twice = found(kills, sent(kills, "a"), [row("a"), row("a", id="other")])
    assert twice == {"doubled": ["id-a", "other"], "mixed_up": ["other"]}
    assert found(kills, {}, [row("a")]) == {"unknown": ["id-a"]}


def test_uploads_without_or_with_two_answers_are_named(kills: ModuleType) -> None:
    given = sent(kills, "a", "b")
    given["a"].submission.error = "no time was left"
    given["a"].submission.ids.clear()
    given["b"].submission.ids.append("another")
    faults = found(kills, given, [row("a"), row("b")])
    assert faults == {
        "not_accepted": ["a"],
        "two_ids": ["b"],
        "lost": ["another"],
        "mixed_up": ["id-b"],
    }


def test_an_outcome_that_changes_is_noticed(kills: ModuleType) -> None:
    seen = {"id-a": ("done", 7, 1), "id-b": ("done", 7, 1), "id-c": ("done", 7, 1)}
    assert kills.changed_since(seen, [row("a"), row("b", finished=8)]) == {"id-b", "id-c"}


def test_a_moment_is_as_in_the_database(kills: ModuleType) -> None:
    assert kills.moment("1970-01-01T01:00:01.000002+01:00") == 1_000_002


def test_the_service_must_find_what_the_scan_found(load: ModuleType) -> None:
    def served(**other: Any) -> list[dict[str, Any]]:
        return [ONE | {"input": {"path": "a"}} | other]

    def different(**other: Any) -> list[str]:
        return load.differences({"a": ONE}, served(**other))["different"]  # type: ignore[no-any-return]

    assert different() == []
    assert different(score=0.5 + load.SAME_SCORE / 2) == []
    assert different(score=0.5 + load.SAME_SCORE * 2) == ["a"]
    assert different(verdict="likely_manipulated") == ["a"]
    assert different(score=None, verdict=None, status="error") == ["a"]
    assert different(input={"path": "b"}) == ["a", "b"]


def test_a_scan_is_compared_with_and_without_its_start(load: ModuleType) -> None:
    measured = load.throughput(12, 10.0, scanned=30.0, start=19.0)
    assert measured["scan_files_per_s"] == pytest.approx(12 / 30)
    assert measured["ratio"] == pytest.approx(3.0)
    assert measured["scan_files_per_s_without_start"] == pytest.approx(1.0)  # 11 files in 11 s
    assert measured["ratio_without_start"] == pytest.approx(1.2)


def test_the_95th_percentile_is_a_time_that_was_measured(load: ModuleType) -> None:
    assert load.milliseconds([n / 1000 for n in range(1, 21)])["p95"] == pytest.approx(19)
    assert load.milliseconds([n / 1000 for n in range(1, 101)])["p95"] == pytest.approx(95)
    assert load.milliseconds([0.004])["p95"] == pytest.approx(4)
    assert load.milliseconds([]) == {"requests": 0}
