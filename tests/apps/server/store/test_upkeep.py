from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.server.contract import Swept, new_id
from unmask.apps.server.store.upkeep import FORGET_JOB

HOUR = 3600


def ready(bench: Any) -> tuple[Any, Path]:
    """A job whose evidence is ready, and the folder."""
    job = bench.done(evidence=True)
    claim = bench.claim()
    folder = bench.write_evidence(claim)
    assert bench.jobs.evidence_ready(claim, claim.evidence_folder)
    return bench.see(job), folder


def test_nothing_to_do_is_nothing_done(bench: Any) -> None:
    bench.done()
    bench.submit()
    bench.claim()
    assert bench.jobs.sweep(bench.clock()) == Swept()


def test_what_is_past_its_retention_is_deleted(bench: Any) -> None:
    job, folder = ready(bench)
    before = job.expires - timedelta(microseconds=1)
    assert bench.jobs.sweep(before) == Swept()
    assert folder.exists()
    assert bench.jobs.sweep(job.expires) == Swept(expired=1)
    seen = bench.see(job)
    assert (seen.state, seen.result, seen.name) == ("expired", None, "")
    assert (seen.evidence, seen.evidence_dir) == ("none", None)
    assert seen.finished == job.finished
    assert list(bench.settings.uploads.iterdir()) == []
    assert list(bench.settings.evidence.iterdir()) == []
    assert bench.jobs.sweep(job.expires) == Swept()


def test_the_audit_log_is_kept_for_its_time(bench: Any) -> None:
    for subject in ("old", "new"):
        bench.store.audit.record(
            who="ann", action="submit", subject=subject, outcome="202", address=None
        )
        bench.clock.forward(1)
    kept = bench.settings.audit_retention_s
    bench.jobs.sweep(bench.clock() + timedelta(seconds=kept - 2.5))
    assert len(bench.store.audit.entries()) == 2
    bench.jobs.sweep(bench.clock() + timedelta(seconds=kept - 1.5))
    assert [entry.subject for entry in bench.store.audit.entries()] == ["new"]


def test_cancelled_and_failed_jobs_expire_too(bench: Any) -> None:
    bench.jobs.cancel(bench.submit().id, owner=None)
    bench.submit()
    bench.jobs.fail(bench.claim(), "internal_error", "clip.mp4 broke it")
    bench.jobs.sweep(bench.clock.forward(bench.settings.retention_s))
    seen = bench.jobs.jobs(owner=None)
    assert [job.state for job in seen] == ["expired", "expired"]
    assert [job.message for job in seen] == [None, None]


def test_jobs_that_are_not_over_never_expire(bench: Any) -> None:
    queued, running = bench.submit(), bench.submit()
    bench.jobs.claim("w", limit=1)
    bench.jobs.sweep(bench.clock.forward(1000 * bench.settings.retention_s))
    assert {bench.see(queued).state, bench.see(running).state} == {"queued", "running"}
    assert len(list(bench.settings.uploads.iterdir())) == 2


def test_evidence_that_is_late_for_an_expired_job_is_refused(bench: Any) -> None:
    job = bench.done(evidence=True)
    claim = bench.claim()
    bench.jobs.sweep(job.expires)
    bench.write_evidence(claim)
    assert not bench.jobs.evidence_ready(claim, claim.evidence_folder)
    assert bench.jobs.sweep(job.expires).orphans == 1  # at once, however young
    assert list(bench.settings.evidence.iterdir()) == []


def test_rows_go_long_after_the_files(bench: Any) -> None:
    job = bench.done(batch=bench.jobs.open_batch(owner="ann")[0].id)
    bench.jobs.sweep(job.expires)
    assert bench.jobs.sweep(job.expires + FORGET_JOB / 2).removed == 0
    assert bench.jobs.sweep(job.expires + FORGET_JOB).removed == 1
    assert bench.jobs.job(job.id) is None
    bench.jobs.sweep(job.expires + FORGET_JOB)
    assert bench.jobs.batch(job.batch, owner=None) is None


def test_an_empty_batch_stays_as_long_as_a_job_would(bench: Any) -> None:
    batch = bench.jobs.open_batch(owner="ann")[0]
    used = bench.jobs.open_batch(owner="ann")[0]
    bench.submit(batch=used.id)
    life = timedelta(seconds=bench.settings.retention_s) + FORGET_JOB
    bench.jobs.sweep(batch.created + life - timedelta(seconds=1))
    assert bench.jobs.batch(batch.id, owner=None) is not None
    bench.jobs.sweep(batch.created + life)
    assert bench.jobs.batch(batch.id, owner=None) is None
    assert bench.jobs.batch(used.id, owner=None) is not None


def test_jobs_out_of_attempts_are_failed(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(max_attempts=1)
    job = bench.submit()
    with_evidence = bench.submit(evidence=True)
    lost, other = bench.jobs.claim("w", limit=2)
    assert bench.jobs.finish(other, bench.result())
    making = bench.claim()
    assert (lost.job, making.job) == (job.id, with_evidence.id)
    now = bench.clock.forward(bench.settings.lease_s)
    assert bench.jobs.sweep(now) == Swept(lost=2)
    assert (bench.see(job).state, bench.see(job).reason) == ("failed", "worker_lost")
    assert (bench.see(making).state, bench.see(making).evidence) == ("done", "failed")


@pytest.mark.parametrize("root", ["uploads", "evidence"])
def test_folders_of_no_job_go_when_they_are_old(
    bench: Any, root: str, make_old: Callable[..., None]
) -> None:
    kept = bench.submit()
    make_old(bench.settings.upload_path(kept.id).parent, bench.clock(), 9 * HOUR)
    folder = bench.settings.data / root / new_id()
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "media").write_bytes(b"half an upl")
    make_old(folder, bench.clock(), HOUR - 1)
    assert bench.jobs.sweep(bench.clock()) == Swept()
    make_old(folder, bench.clock(), HOUR + 1)
    assert bench.jobs.sweep(bench.clock()) == Swept(orphans=1)
    assert not folder.exists()
    assert bench.settings.upload_path(kept.id).exists()


def test_an_upload_that_still_grows_is_left_alone(
    bench: Any, make_old: Callable[..., None]
) -> None:
    upload = bench.upload()
    make_old(upload.path.parent, bench.clock(), 9 * HOUR)
    upload.path.write_bytes(b"more")
    assert bench.jobs.sweep(bench.clock()) == Swept()
    assert upload.path.exists()


def test_evidence_of_a_lost_lease_goes_and_the_shown_and_the_new_stay(
    bench: Any, make_old: Callable[..., None]
) -> None:
    job = bench.done(evidence=True)
    stale = bench.write_evidence(bench.claim("a"))
    bench.clock.forward(bench.settings.lease_s)
    current = bench.claim("b")
    fresh = bench.write_evidence(current)
    for folder in (stale, fresh):
        make_old(folder, bench.clock(), 2 * HOUR)
    assert bench.jobs.sweep(bench.clock()) == Swept(orphans=1)
    assert [stale.exists(), fresh.exists()] == [False, True]
    assert bench.jobs.evidence_ready(current, current.evidence_folder)
    assert bench.jobs.sweep(bench.clock()) == Swept()
    assert (bench.settings.data / bench.see(job).evidence_dir / "report.html").exists()


def test_what_is_not_named_like_a_job_is_none_of_ours(
    bench: Any, make_old: Callable[..., None]
) -> None:
    stranger = bench.settings.uploads / "lost+found"
    stranger.mkdir()
    loose = bench.settings.uploads / "0123"
    loose.write_text("a note")
    make_old(bench.settings.uploads, bench.clock(), 9 * HOUR)
    assert bench.jobs.sweep(bench.clock()) == Swept()
    assert stranger.exists()
    assert loose.exists()


def test_what_a_killed_sweep_set_aside_goes_with_the_next(bench: Any) -> None:
    aside = bench.settings.uploads / f"removed-{new_id()}-{new_id()}"
    aside.mkdir()
    (aside / "media").write_bytes(b"private")
    bench.jobs.sweep(bench.clock())
    assert not aside.exists()


def test_files_left_by_a_killed_expiry_go_with_the_next(bench: Any) -> None:
    job = bench.done()
    bench.jobs.sweep(job.expires)
    path = bench.settings.upload_path(job.id)
    path.parent.mkdir()
    path.write_bytes(b"private")
    assert bench.jobs.sweep(job.expires).orphans == 1
    assert not path.exists()


def test_workers_and_sessions_are_forgotten(bench: Any) -> None:
    token, _ = bench.store.tokens.create("desk", {"read"})
    ended = bench.store.sessions.open(token.id, expires=bench.clock() + timedelta(hours=1))
    bench.jobs.heartbeat("w", [])
    bench.jobs.sweep(bench.clock.forward(24 * HOUR))
    assert not bench.store.sessions.close(ended)
    assert bench.jobs.workers() == []
