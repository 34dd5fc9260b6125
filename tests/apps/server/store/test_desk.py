from __future__ import annotations

from typing import Any

import pytest

from unmask.apps.server.contract import STATES

NOWHERE = ["0" * 32, "", "../../etc/passwd", "nul\0"]


def test_another_owners_job_is_not_there(bench: Any) -> None:
    job = bench.submit(owner="ann")
    assert bench.jobs.job(job.id, owner="ann") == job
    assert bench.jobs.job(job.id) == job
    assert bench.jobs.job(job.id, owner="bob") is None
    assert bench.jobs.cancel(job.id, owner="bob") is None
    assert bench.jobs.want_evidence(job.id, owner="bob") is None
    assert not bench.jobs.delete(job.id, owner="bob")
    assert bench.jobs.jobs(owner="bob") == []
    assert bench.jobs.jobs(owner="bob", after=job.id) == []
    assert bench.see(job) == job


@pytest.mark.parametrize("id", NOWHERE)
def test_what_is_not_there_is_not_found(bench: Any, id: str) -> None:
    bench.submit()
    assert bench.jobs.job(id) is None
    assert bench.jobs.cancel(id, owner=None) is None
    assert bench.jobs.want_evidence(id, owner=None) is None
    assert not bench.jobs.delete(id, owner=None)
    assert bench.jobs.batch(id, owner=None) is None
    assert not bench.jobs.delete_batch(id, owner=None)
    assert bench.jobs.jobs(owner=None, after=id) == []
    assert bench.jobs.jobs(owner=None, batch=id) == []


def test_jobs_come_newest_first_in_pages(bench: Any) -> None:
    ids = [bench.submit().id for _ in range(5)]
    bench.submit(owner="bob")
    pages, after = [], None
    while page := bench.jobs.jobs(owner="ann", after=after, limit=2):
        pages.append([job.id for job in page])
        after = page[-1].id
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert len(bench.jobs.jobs(owner=None)) == 6


def test_a_batchs_jobs_come_in_the_order_of_submission(bench: Any) -> None:
    batch = bench.jobs.open_batch(owner="ann")[0].id
    ids = [bench.submit(batch=batch).id for _ in range(3)]
    bench.submit()
    assert [job.id for job in bench.jobs.jobs(owner="ann", batch=batch)] == ids
    rest = bench.jobs.jobs(owner="ann", batch=batch, after=ids[0])
    assert [job.id for job in rest] == ids[1:]


def test_a_batch_counts_its_jobs(bench: Any) -> None:
    empty = bench.jobs.open_batch(owner="ann")[0]
    assert (empty.jobs, set(empty.by_state)) == (0, set(STATES))
    assert bench.jobs.batch(empty.id, owner="ann") == empty
    assert bench.jobs.batch(empty.id, owner="bob") is None
    bench.done(batch=empty.id)
    bench.submit(batch=empty.id)
    batch = bench.jobs.batch(empty.id, owner="ann")
    assert batch.jobs == 2
    assert {state: n for state, n in batch.by_state.items() if n} == {"done": 1, "queued": 1}


def test_a_batch_goes_with_its_jobs_and_their_files(bench: Any) -> None:
    batch = bench.jobs.open_batch(owner="ann")[0].id
    jobs = [bench.submit(batch=batch) for _ in range(2)]
    other = bench.submit()
    claim = bench.claim()
    assert not bench.jobs.delete_batch(batch, owner="bob")
    assert bench.jobs.delete_batch(batch, owner="ann")
    assert not bench.jobs.delete_batch(batch, owner="ann")
    assert [bench.jobs.job(job.id) for job in jobs] == [None, None]
    assert [path.name for path in bench.settings.uploads.iterdir()] == [other.id]
    assert not bench.jobs.finish(claim, bench.result())


@pytest.mark.parametrize("running", [False, True])
def test_cancelling_ends_a_job_and_its_lease(bench: Any, running: bool) -> None:
    job = bench.submit(evidence=True)
    claim = bench.claim() if running else None
    cancelled = bench.jobs.cancel(job.id, owner="ann")
    assert (cancelled.state, cancelled.stage, cancelled.evidence) == (
        "cancelled",
        "finished",
        "none",
    )
    assert cancelled.finished == bench.clock()
    assert (cancelled.expires - cancelled.finished).total_seconds() == bench.settings.retention_s
    if claim:
        assert bench.jobs.heartbeat("w", [claim.lease]) == set()
        assert not bench.jobs.finish(claim, bench.result())
    assert bench.jobs.claim("w", limit=9) == []


def test_cancelling_what_is_over_changes_nothing(bench: Any) -> None:
    job = bench.done()
    bench.clock.forward(5)
    assert bench.jobs.cancel(job.id, owner="ann") == job


def test_deleting_removes_the_files_too(bench: Any) -> None:
    job = bench.done(evidence=True)
    claim = bench.claim()
    bench.write_evidence(claim)
    assert bench.jobs.evidence_ready(claim, claim.evidence_folder)
    assert bench.jobs.delete(job.id, owner="ann")
    assert bench.jobs.job(job.id) is None
    assert list(bench.settings.uploads.iterdir()) == []
    assert list(bench.settings.evidence.iterdir()) == []
    assert not bench.jobs.delete(job.id, owner="ann")


def test_deleting_a_running_job_takes_the_work_away(bench: Any) -> None:
    job = bench.submit()
    claim = bench.claim()
    assert bench.jobs.delete(job.id, owner="ann")
    assert bench.jobs.heartbeat("w", [claim.lease]) == set()
    assert not bench.jobs.progress(claim, "scoring", 0.5)
    assert not bench.jobs.finish(claim, bench.result())


def test_evidence_is_wanted_once(bench: Any) -> None:
    job = bench.done()
    assert bench.jobs.want_evidence(job.id, owner="ann").evidence == "wanted"
    assert bench.jobs.want_evidence(job.id, owner="ann").evidence == "wanted"
    claim = bench.claim()
    assert claim.kind == "evidence"
    assert bench.jobs.want_evidence(job.id, owner="ann").evidence == "making"
    assert bench.jobs.evidence_failed(claim, "the disk is full")
    failed = bench.jobs.want_evidence(job.id, owner="ann")
    assert (failed.evidence, failed.evidence_message) == ("failed", "the disk is full")


def test_evidence_may_be_wanted_before_there_is_a_result(bench: Any) -> None:
    job = bench.submit()
    claim = bench.claim()
    assert bench.jobs.want_evidence(job.id, owner="ann").state == "running"
    assert bench.jobs.claim("other", limit=9) == []
    assert bench.jobs.finish(claim, bench.result())
    assert bench.claim().kind == "evidence"


def test_a_job_without_a_result_has_no_evidence(bench: Any) -> None:
    job = bench.submit()
    bench.jobs.cancel(job.id, owner="ann")
    assert bench.jobs.want_evidence(job.id, owner="ann").evidence == "none"
    assert bench.jobs.claim("w", limit=9) == []
