from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.server.contract import BatchUnknown, KeyReused, QueueFull


def test_a_submitted_job_is_queued_as_it_came(bench: Any) -> None:
    upload = bench.upload(b"12345", name="a clip.mp4")
    job, new = bench.jobs.submit(upload, owner="ann", max_frames=7)
    assert new
    assert job.id == upload.path.parent.name
    assert (job.state, job.stage, job.progress, job.ahead) == ("queued", "queued", 0.0, 0)
    assert (job.owner, job.name, job.bytes, job.max_frames) == ("ann", "a clip.mp4", 5, 7)
    assert (job.sha256, job.format) == (upload.sha256, "mp4")
    assert job.created == bench.clock()
    assert (job.started, job.finished, job.expires, job.result) == (None, None, None, None)
    assert (job.attempts, job.evidence, job.batch) == (0, "none", None)
    assert bench.see(job) == job


def test_jobs_are_there_after_the_service_is_started_again(bench: Any) -> None:
    job = bench.submit()
    again = type(bench)(bench.settings)
    assert again.see(job) == job
    again.store.close()


@pytest.mark.parametrize("name", ["clip \N{CLAPPER BOARD}.mp4", "nul\0.mp4", "half\ud800.mp4"])
def test_any_name_can_be_kept(bench: Any, name: str) -> None:
    job, _ = bench.jobs.submit(bench.upload(name=name), owner="ann")
    assert job.name.endswith(".mp4")
    assert job.name == name or not name.isprintable()


def test_ahead_counts_the_queued_jobs_before(bench: Any) -> None:
    jobs = [bench.submit() for _ in range(3)]
    assert [bench.see(job).ahead for job in jobs] == [0, 1, 2]
    bench.claim()
    assert [bench.see(job).ahead for job in jobs] == [0, 0, 1]


def test_a_key_gives_the_earlier_job_and_keeps_one_file(bench: Any) -> None:
    first = bench.upload(b"same")
    job, _ = bench.jobs.submit(first, owner="ann", key="k")
    second = bench.upload(b"same")
    assert bench.jobs.submit(second, owner="ann", key="k") == (job, False)
    assert first.path.exists()
    assert not second.path.parent.exists()
    assert bench.jobs.counts()["queued"] == 1


def test_the_same_upload_again_keeps_its_file(bench: Any) -> None:
    upload = bench.upload()
    job, _ = bench.jobs.submit(upload, owner="ann", key="k")
    assert bench.jobs.submit(upload, owner="ann", key="k") == (job, False)
    assert upload.path.exists()


@pytest.mark.parametrize("other", ["content", "name", "max_frames"])
def test_a_key_with_another_upload_is_refused(bench: Any, other: str) -> None:
    bench.jobs.submit(bench.upload(b"one"), owner="ann", key="k")
    upload = bench.upload(b"two" if other == "content" else b"one")
    if other == "name":
        upload = replace(upload, name="other.mp4")
    with pytest.raises(KeyReused, match="new key"):
        bench.jobs.submit(
            upload, owner="ann", key="k", max_frames=3 if other == "max_frames" else None
        )
    assert upload.path.exists()  # still the caller's
    assert bench.jobs.counts()["queued"] == 1


def test_keys_are_each_owners_own(bench: Any) -> None:
    ann = bench.submit(owner="ann", key="k")
    bob, new = bench.jobs.submit(bench.upload(), owner="bob", key="k")
    assert new
    assert bob.id != ann.id


def test_a_key_is_free_again_once_its_job_has_expired(bench: Any) -> None:
    old = bench.done(key="k")
    bench.jobs.sweep(bench.clock.forward(bench.settings.retention_s))
    job, new = bench.jobs.submit(bench.upload(b"other"), owner="ann", key="k")
    assert new
    assert job.id != old.id


def test_the_queue_has_a_bound(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(queue_limit=2)
    first = bench.submit(key="k")
    bench.submit()
    upload = bench.upload()
    with pytest.raises(QueueFull) as caught:
        bench.jobs.submit(upload, owner="ann")
    assert caught.value.retry_after == 30  # nothing was done yet, so nothing is known
    assert upload.path.exists()
    assert bench.jobs.submit(bench.upload(), owner="ann", key="k") == (first, False)
    bench.claim()
    bench.submit()  # a running job is not queued


def test_the_wait_follows_the_pace_of_late(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(queue_limit=1)
    bench.done()
    bench.clock.forward(700)
    for _ in range(12):
        bench.done()
        bench.clock.forward(15)
    bench.submit()
    with pytest.raises(QueueFull) as caught:
        bench.submit()
    assert caught.value.retry_after == 15  # 12 in the 3 minutes since the first was begun
    bench.clock.forward(390)
    with pytest.raises(QueueFull) as caught:
        bench.submit()
    assert caught.value.retry_after == 48  # 12 in 9.5 minutes
    with pytest.raises(QueueFull) as caught:
        bench.jobs.open_batch([bench.upload(), bench.upload()], owner="ann")
    assert caught.value.retry_after == 95  # two are waited for


def test_many_at_once_do_not_pass_the_bound(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(queue_limit=3)
    uploads = [bench.upload() for _ in range(12)]

    def submit(upload: Any) -> bool:
        try:
            return bool(bench.jobs.submit(upload, owner="ann")[1])
        except QueueFull:
            return False

    with ThreadPoolExecutor(6) as threads:
        taken = list(threads.map(submit, uploads))
    assert sum(taken) == 3
    assert bench.jobs.counts()["queued"] == 3


def test_one_key_many_times_at_once_is_one_job(bench: Any) -> None:
    uploads = [bench.upload() for _ in range(8)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda u: bench.jobs.submit(u, owner="ann", key="k"), uploads))
    assert sum(new for _, new in answers) == 1
    assert len({job.id for job, _ in answers}) == 1
    assert len(list(bench.settings.uploads.iterdir())) == 1


def test_a_batch_must_be_the_owners(bench: Any) -> None:
    batch = bench.jobs.open_batch(owner="ann")[0]
    assert bench.submit(batch=batch.id).batch == batch.id
    for owner, id in (("bob", batch.id), ("ann", "0" * 32), ("ann", "nul\0")):
        with pytest.raises(BatchUnknown):
            bench.submit(owner=owner, batch=id)


def test_an_upload_belongs_into_its_folder(bench: Any, tmp_path: Path) -> None:
    stray = tmp_path / "media"
    stray.write_bytes(b"frames")
    inside = bench.settings.uploads / "short" / "media"
    missing = bench.settings.upload_path("0" * 32)
    for path, words in ((stray, "belongs"), (inside, "belongs"), (missing, "no upload at")):
        with pytest.raises(ValueError, match=words):
            bench.jobs.submit(replace(bench.upload(), path=path), owner="ann")
    assert sum(bench.jobs.counts().values()) == 0
