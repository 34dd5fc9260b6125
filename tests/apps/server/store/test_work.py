from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest


def lose(bench: Any, times: int = 1) -> None:
    """Let all that can be claimed be claimed and lost."""
    for _ in range(times):
        while bench.jobs.claim("lost", limit=9):
            pass
        bench.jobs.retire("lost")


def test_a_claim_names_the_work(bench: Any) -> None:
    job = bench.submit(max_frames=5)
    claim = bench.claim()
    assert (claim.job, claim.kind, claim.name) == (job.id, "analysis", "clip.mp4")
    assert (claim.max_frames, claim.attempts) == (5, 1)
    assert claim.path.read_bytes() == b"frames"
    seen = bench.see(job)
    assert (seen.state, seen.stage, seen.attempts) == ("running", "decoding", 1)
    assert seen.started == bench.clock()


def test_work_is_given_once_the_oldest_first(bench: Any) -> None:
    ids = [bench.submit().id for _ in range(4)]
    assert [claim.job for claim in bench.jobs.claim("a", limit=3)] == ids[:3]
    assert [claim.job for claim in bench.jobs.claim("b", limit=3)] == ids[3:]
    assert bench.jobs.claim("a", limit=3) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_no_room_no_work(bench: Any, limit: int) -> None:
    bench.submit()
    assert bench.jobs.claim("w", limit=limit) == []


def test_a_result_is_kept_as_it_is(bench: Any) -> None:
    job = bench.submit()
    claim = bench.claim()
    bench.clock.forward(7.25)
    assert bench.jobs.finish(claim, bench.result(0.123456789))
    seen = bench.see(job)
    assert (seen.state, seen.stage, seen.progress) == ("done", "finished", 1.0)
    assert seen.result == bench.result(0.123456789)
    assert seen.finished == bench.clock()
    assert seen.expires == bench.clock() + timedelta(seconds=bench.settings.retention_s)


def test_a_second_result_is_refused(bench: Any) -> None:
    bench.submit()
    claim = bench.claim()
    assert bench.jobs.finish(claim, bench.result(0.1))
    assert not bench.jobs.finish(claim, bench.result(0.9))
    assert not bench.jobs.fail(claim, "internal_error", "late")
    assert bench.see(claim).result == bench.result(0.1)


def test_a_lost_lease_is_given_to_another_and_fences_the_first(bench: Any) -> None:
    bench.submit()
    first = bench.claim("a")
    bench.clock.forward(bench.settings.lease_s - 1)
    assert bench.jobs.claim("b", limit=1) == []
    bench.clock.forward(1)
    second = bench.claim("b")
    assert (second.job, second.attempts) == (first.job, 2)
    assert second.lease != first.lease
    for late in (
        bench.jobs.progress(first, "scoring", 0.5),
        bench.jobs.finish(first, bench.result(0.1)),
        bench.jobs.fail(first, "internal_error", "late"),
        bench.jobs.give_back(first),
    ):
        assert late is False
    assert bench.see(first).state == "running"
    assert bench.jobs.finish(second, bench.result(0.2))
    assert bench.see(first).result == bench.result(0.2)


def test_a_heartbeat_keeps_the_lease(bench: Any) -> None:
    bench.submit()
    claim = bench.claim("a")
    for _ in range(5):
        bench.clock.forward(bench.settings.lease_s * 0.9)
        assert bench.jobs.heartbeat("a", [claim.lease]) == {claim.lease}
        assert bench.jobs.claim("b", limit=1) == []


def test_a_heartbeat_tells_which_leases_are_lost(bench: Any) -> None:
    bench.submit()
    bench.submit()
    kept, lost = bench.jobs.claim("a", limit=2)
    bench.jobs.cancel(lost.job, owner=None)
    assert bench.jobs.heartbeat("a", [kept.lease, lost.lease, "f" * 32]) == {kept.lease}
    assert bench.jobs.heartbeat("b", [kept.lease]) == set()  # not its own
    assert bench.jobs.heartbeat("a", []) == set()


def test_a_late_result_counts_while_nobody_has_taken_over(bench: Any) -> None:
    bench.submit()
    claim = bench.claim()
    bench.clock.forward(bench.settings.lease_s * 2)
    assert bench.jobs.finish(claim, bench.result())
    assert bench.see(claim).state == "done"


def test_progress_is_shown(bench: Any) -> None:
    bench.submit()
    claim = bench.claim()
    assert bench.jobs.progress(claim, "scoring", 0.5)
    assert (bench.see(claim).stage, bench.see(claim).progress) == ("scoring", 0.5)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            bench.jobs.progress(claim, "scoring", share)


def test_progress_starts_anew_with_another_attempt(bench: Any) -> None:
    bench.submit()
    bench.jobs.progress(bench.claim("a"), "scoring", 0.9)
    bench.clock.forward(bench.settings.lease_s)
    assert (bench.see(bench.claim("b")).progress) == 0.0


def test_a_failure_says_why(bench: Any) -> None:
    bench.submit(evidence=True)
    claim = bench.claim()
    assert bench.jobs.fail(claim, "internal_error", "it broke\0")
    seen = bench.see(claim)
    assert (seen.state, seen.reason, seen.result) == ("failed", "internal_error", None)
    assert seen.message.startswith("it broke")
    assert seen.evidence == "none"
    assert seen.expires is not None
    assert bench.jobs.claim("w", limit=9) == []


def test_what_is_given_back_costs_no_attempt(bench: Any) -> None:
    job = bench.submit()
    for _ in range(10):
        assert bench.jobs.give_back(bench.claim())
        seen = bench.see(job)
        assert (seen.state, seen.stage, seen.attempts) == ("queued", "queued", 0)
        assert (seen.progress, seen.started) == (0.0, None)
    assert bench.claim().attempts == 1


def test_what_is_lost_too_often_fails(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(max_attempts=3)
    job = bench.submit()
    for attempt in (1, 2, 3):
        assert bench.claim().attempts == attempt
        bench.clock.forward(bench.settings.lease_s)
    assert bench.jobs.claim("w", limit=1) == []
    seen = bench.see(job)
    assert (seen.state, seen.reason, seen.attempts) == ("failed", "worker_lost", 3)
    assert "3 times" in seen.message


def test_a_retired_workers_work_is_free_at_once(bench: Any) -> None:
    bench.jobs.register("a", model="m", weights_sha256="0" * 64)
    bench.submit()
    first = bench.claim("a")
    assert bench.jobs.retire("a") == 1
    assert bench.jobs.retire("a") == 0
    assert bench.jobs.workers() == []
    assert bench.claim("b").job == first.job
    assert not bench.jobs.finish(first, bench.result())


def test_what_was_lost_twice_is_given_alone(bench: Any) -> None:
    jobs = [bench.submit() for _ in range(2)]
    lose(bench, times=2)
    fresh = bench.submit()
    (alone,) = bench.jobs.claim("a", limit=9)
    assert (alone.job, alone.attempts) == (jobs[0].id, 3)
    (other,) = bench.jobs.claim("b", limit=9)
    assert other.job == jobs[1].id
    assert bench.see(fresh).state == "queued"
    assert bench.jobs.claim("a", limit=9) == []
    assert bench.jobs.finish(alone, bench.result())
    assert [claim.job for claim in bench.jobs.claim("a", limit=9)] == [fresh.id]


def test_a_suspect_waits_until_the_worker_holds_nothing(bench: Any) -> None:
    suspect = bench.submit()
    lose(bench, times=2)
    held = bench.claim("b")
    assert held.job == suspect.id
    bench.submit()
    neighbour = bench.claim("a")
    assert bench.jobs.give_back(held)
    assert bench.jobs.claim("a", limit=9) == []
    assert bench.jobs.finish(neighbour, bench.result())
    assert bench.claim("a").job == suspect.id


def test_a_poisoned_file_takes_no_neighbour_with_it(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(max_attempts=5)
    jobs = [bench.submit(content=b"poison" if n == 1 else b"fine") for n in range(4)]
    for start in range(40):
        worker = f"w{start}"
        claims = bench.jobs.claim(worker, limit=8)
        if any(claim.path.read_bytes() == b"poison" for claim in claims):
            bench.jobs.retire(worker)  # it died of it, with all that it held
            continue
        for claim in claims:
            assert bench.jobs.finish(claim, bench.result())
    states = [bench.see(job).state for job in jobs]
    assert states == ["done", "failed", "done", "done"]
    assert bench.see(jobs[1]).reason == "worker_lost"


def test_wanted_evidence_goes_before_queued_jobs(bench: Any) -> None:
    done = bench.done()
    bench.submit()
    bench.jobs.want_evidence(done.id, owner=None)
    claims = bench.jobs.claim("w", limit=9)
    assert [claim.kind for claim in claims] == ["evidence", "analysis"]
    assert claims[0].job == done.id
    assert claims[0].attempts == 1


def test_evidence_asked_for_with_the_upload_follows_the_result(bench: Any) -> None:
    job = bench.submit(evidence=True)
    assert job.evidence == "wanted"
    claim = bench.claim()
    assert claim.kind == "analysis"
    assert bench.jobs.finish(claim, bench.result())
    making = bench.claim()
    assert making.kind == "evidence"
    folder = bench.write_evidence(making)
    assert bench.see(job).evidence == "making"
    assert bench.see(job).evidence_dir is None
    assert bench.jobs.evidence_ready(making, making.evidence_folder)
    seen = bench.see(job)
    assert (seen.state, seen.evidence) == ("done", "ready")
    assert bench.settings.data / seen.evidence_dir == folder
    assert seen.attempts == 1
    assert bench.jobs.claim("w", limit=9) == []


def test_evidence_has_a_lease_too(bench: Any) -> None:
    job = bench.done(evidence=True)
    first = bench.claim("a")
    bench.clock.forward(20)
    assert bench.jobs.heartbeat("a", [first.lease]) == {first.lease}
    bench.clock.forward(20)
    assert bench.jobs.claim("b", limit=1) == []
    bench.clock.forward(20)
    second = bench.claim("b")
    assert second.evidence_folder != first.evidence_folder
    assert not bench.jobs.evidence_ready(first, first.evidence_folder)
    assert not bench.jobs.evidence_failed(first, "late")
    assert bench.jobs.give_back(second)
    assert bench.see(job).evidence == "wanted"
    third = bench.claim("a")
    assert third.attempts == 2
    assert bench.jobs.evidence_ready(third, third.evidence_folder)


def test_evidence_that_is_lost_too_often_fails_and_the_result_stays(bench: Any) -> None:
    job = bench.done(evidence=True)
    lose(bench, times=bench.settings.max_attempts)
    assert bench.jobs.claim("w", limit=1) == []
    seen = bench.see(job)
    assert (seen.state, seen.result) == ("done", job.result)
    assert seen.evidence == "failed"
    assert "5 times" in seen.evidence_message


def test_evidence_belongs_into_the_folder_of_its_lease(bench: Any) -> None:
    bench.done(evidence=True)
    claim = bench.claim()
    for folder in ("evidence/elsewhere", "../" + claim.evidence_folder, "/etc"):
        with pytest.raises(ValueError, match="belongs to"):
            bench.jobs.evidence_ready(claim, folder)


def test_a_claim_of_one_kind_cannot_end_the_other(bench: Any) -> None:
    bench.done(evidence=True)
    claim = bench.claim()
    with pytest.raises(ValueError, match="claims of analysis"):
        bench.jobs.finish(claim, bench.result())
    with pytest.raises(ValueError, match="claims of analysis"):
        bench.jobs.fail(claim, "internal_error", "")
    # nor does a lease of evidence pass for one of an analysis
    assert not bench.jobs.finish(replace(claim, kind="analysis"), bench.result(0.9))
    with pytest.raises(ValueError, match="claims of evidence"):
        bench.jobs.evidence_failed(replace(claim, kind="analysis"), "")


def test_workers_are_seen(bench: Any) -> None:
    start = bench.clock()
    bench.jobs.register("a", model="m", weights_sha256="0" * 64)
    bench.clock.forward(10)
    bench.jobs.heartbeat("a", [])
    bench.jobs.heartbeat("sleeper", [])
    first, second = bench.jobs.workers()
    assert (first.id, first.started, first.seen) == ("a", start, bench.clock())
    assert (first.model, first.weights_sha256) == ("m", "0" * 64)
    assert (second.id, second.model) == ("sleeper", None)
    bench.clock.forward(25 * 3600)
    bench.jobs.heartbeat("a", [])
    assert [worker.id for worker in bench.jobs.workers()] == ["a"]


def test_counts_are_by_state(bench: Any) -> None:
    assert set(bench.jobs.counts().values()) == {0}
    assert bench.jobs.waiting() == 0
    bench.done()
    bench.submit()
    bench.claim()
    bench.submit()
    expected = {"queued": 1, "running": 1, "done": 1, "failed": 0, "cancelled": 0, "expired": 0}
    assert bench.jobs.counts() == expected
    bench.submit()
    assert bench.jobs.waiting() == 2


def test_changes_made_together_are_all_kept(bench: Any) -> None:
    jobs = [bench.submit() for _ in range(3)]
    claims = bench.jobs.claim("w", limit=3)
    with bench.jobs.together():
        for claim in claims:
            assert bench.jobs.finish(claim, bench.result())
        bench.store.audit.record(who="w", action="a", subject="s", outcome="o", address=None)
    assert [bench.see(job).state for job in jobs] == ["done"] * 3
    assert [entry.action for entry in bench.store.audit.entries()] == ["a"]


def test_of_changes_made_together_nothing_is_kept_where_one_fails(bench: Any) -> None:
    job = bench.submit()
    claim = bench.claim()
    with suppress(ZeroDivisionError), bench.jobs.together():
        assert bench.jobs.finish(claim, bench.result())
        bench.store.audit.record(who="w", action="a", subject="s", outcome="o", address=None)
        raise ZeroDivisionError
    assert bench.see(job).state == "running"
    assert bench.store.audit.entries() == []
    assert bench.jobs.finish(claim, bench.result())  # and the thread is through with it
    assert bench.see(job).state == "done"


def test_of_changes_made_together_others_see_nothing_before_the_end(bench: Any) -> None:
    job = bench.submit()
    claim = bench.claim()
    with bench.jobs.together():
        assert bench.jobs.finish(claim, bench.result())
        assert bench.see(job).state == "running"
    assert bench.see(job).state == "done"


def test_another_thread_has_its_own_changes(bench: Any) -> None:
    job = bench.submit()
    claim = bench.claim()
    with ThreadPoolExecutor(1) as pool:
        with suppress(ZeroDivisionError), bench.jobs.together():
            other = pool.submit(bench.jobs.finish, claim, bench.result())
            raise ZeroDivisionError
        assert other.result(60)
    assert bench.see(job).state == "done"


def test_changes_are_not_made_together_within_others(bench: Any) -> None:
    with bench.jobs.together(), pytest.raises(RuntimeError), bench.jobs.together():
        pass
    with bench.jobs.together():  # and the thread is through with it
        pass


def test_claims_know_the_order_of_submission(bench: Any) -> None:
    ids = [bench.submit().id for _ in range(3)]
    (lost,) = bench.jobs.claim("a", limit=1)
    later = bench.jobs.claim("b", limit=2)
    bench.jobs.retire("a")
    again = bench.jobs.claim("b", limit=1)
    claims = sorted([*later, *again], key=lambda claim: claim.seq)
    assert [claim.job for claim in claims] == ids
    assert lost.seq == again[0].seq
