"""Batches of uploads: all or none, and once per key."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from unmask.apps.server.contract import KeyReused, QueueFull


def uploads(bench: Any, *contents: bytes) -> list[Any]:
    return [bench.upload(content, f"{n}.mp4") for n, content in enumerate(contents)]


def test_uploads_become_the_jobs_of_a_batch_in_their_order(bench: Any) -> None:
    files = uploads(bench, b"b", b"a", b"c")
    batch, new = bench.jobs.open_batch(files, owner="ann", max_frames=7, evidence=True)
    assert new
    assert (batch.jobs, batch.by_state["queued"], batch.created) == (3, 3, bench.clock())
    jobs = bench.jobs.jobs(owner="ann", batch=batch.id)
    assert [job.id for job in jobs] == [file.path.parent.name for file in files]
    assert {(job.max_frames, job.evidence, job.batch) for job in jobs} == {(7, "wanted", batch.id)}
    assert bench.jobs.batch(batch.id, owner="ann") == batch


def test_a_batch_is_there_for_its_owner_alone(bench: Any) -> None:
    batch, _ = bench.jobs.open_batch(uploads(bench, b"a"), owner="ann")
    assert bench.jobs.has_batch(batch.id, owner="ann")
    assert bench.jobs.has_batch(batch.id, owner=None)
    assert not bench.jobs.has_batch(batch.id, owner="bob")
    assert not bench.jobs.has_batch("0" * 32, owner="ann")
    assert bench.jobs.delete_batch(batch.id, owner="ann")
    assert not bench.jobs.has_batch(batch.id, owner="ann")


def test_all_of_a_batch_fit_into_the_queue_or_none(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(queue_limit=3)
    bench.submit()
    files = uploads(bench, b"1", b"2", b"3")
    with pytest.raises(QueueFull):
        bench.jobs.open_batch(files, owner="ann", key="k")
    assert bench.jobs.counts()["queued"] == 1
    assert all(file.path.exists() for file in files)  # still the caller's
    assert bench.jobs.open_batch(files[:2], owner="ann", key="k")[0].jobs == 2


def test_a_file_that_is_missing_leaves_no_batch(bench: Any) -> None:
    files = uploads(bench, b"1", b"2")
    files[1].path.unlink()
    with pytest.raises(ValueError, match="no upload at"):
        bench.jobs.open_batch(files, owner="ann", key="k")
    assert sum(bench.jobs.counts().values()) == 0
    assert bench.jobs.open_batch(owner="ann", key="k")[1]


def test_a_key_gives_the_earlier_batch_and_keeps_its_files(bench: Any) -> None:
    first, again = uploads(bench, b"1", b"2"), uploads(bench, b"1", b"2")
    batch, _ = bench.jobs.open_batch(first, owner="ann", key="k")
    assert bench.jobs.open_batch(again, owner="ann", key="k") == (batch, False)
    assert bench.jobs.open_batch(first, owner="ann", key="k") == (batch, False)
    assert all(file.path.exists() for file in first)
    assert not any(file.path.parent.exists() for file in again)
    assert bench.jobs.counts()["queued"] == 2


@pytest.mark.parametrize("other", ["content", "name", "order", "number", "max_frames"])
def test_a_key_with_other_uploads_is_refused(bench: Any, other: str) -> None:
    bench.jobs.open_batch(uploads(bench, b"1", b"2"), owner="ann", key="k", max_frames=3)
    files = uploads(bench, b"1", b"3" if other == "content" else b"2")
    if other == "name":
        files[1] = replace(files[1], name="other.mp4")
    elif other == "order":
        files.reverse()
    elif other == "number":
        files.pop()
    frames = 4 if other == "max_frames" else 3
    with pytest.raises(KeyReused, match="new key"):
        bench.jobs.open_batch(files, owner="ann", key="k", max_frames=frames)
    assert all(file.path.exists() for file in files)
    assert bench.jobs.counts()["queued"] == 2


def test_keys_are_each_owners_own_and_apart_from_those_of_single_files(bench: Any) -> None:
    bench.submit(b"1", key="k")
    ann, new_to_ann = bench.jobs.open_batch(owner="ann", key="k")
    bob, new_to_bob = bench.jobs.open_batch(owner="bob", key="k")
    assert (new_to_ann, new_to_bob, ann.id == bob.id) == (True, True, False)


def test_one_key_many_times_at_once_is_one_batch(bench: Any) -> None:
    tries = [uploads(bench, b"1", b"2") for _ in range(6)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(lambda files: bench.jobs.open_batch(files, owner="ann", key="k"), tries)
        )
    assert sum(new for _, new in answers) == 1
    assert len({batch.id for batch, _ in answers}) == 1
    assert len(list(bench.settings.uploads.iterdir())) == 2


def test_a_key_is_free_again_once_its_batch_is_deleted(bench: Any) -> None:
    old, _ = bench.jobs.open_batch(uploads(bench, b"1"), owner="ann", key="k")
    bench.jobs.delete_batch(old.id, owner="ann")
    assert bench.jobs.open_batch(uploads(bench, b"2"), owner="ann", key="k")[1]


def test_a_key_is_free_again_once_all_jobs_of_its_batch_have_expired(bench: Any) -> None:
    files = uploads(bench, b"1", b"2")
    old, _ = bench.jobs.open_batch(files, owner="ann", key="k")
    for _ in files:
        assert bench.jobs.finish(bench.claim(), bench.result())
        bench.clock.forward(60)
    last = bench.see(files[1].path.parent.name).expires
    bench.jobs.sweep(last - timedelta(seconds=1))
    with pytest.raises(KeyReused):  # the first has expired, the second has not
        bench.jobs.open_batch(uploads(bench, b"3"), owner="ann", key="k")
    bench.jobs.sweep(last)
    batch, new = bench.jobs.open_batch(uploads(bench, b"3"), owner="ann", key="k")
    assert (new, batch.id == old.id) == (True, False)
    assert bench.jobs.batch(old.id, owner="ann").by_state["expired"] == 2


def test_a_key_is_free_again_once_each_job_of_its_batch_is_deleted(bench: Any) -> None:
    batch, _ = bench.jobs.open_batch(uploads(bench, b"1"), owner="ann", key="k")
    (job,) = bench.jobs.jobs(owner="ann", batch=batch.id)
    assert bench.jobs.delete(job.id, owner="ann")
    again, new = bench.jobs.open_batch(uploads(bench, b"1"), owner="ann", key="k")
    assert new
    assert (again.jobs, again.id != batch.id) == (1, True)
    assert bench.jobs.batch(batch.id, owner="ann").jobs == 0


def test_the_key_of_an_empty_batch_holds_as_long_as_the_retention(bench: Any) -> None:
    old, _ = bench.jobs.open_batch(owner="ann", key="k")
    life = timedelta(seconds=bench.settings.retention_s)
    bench.jobs.sweep(old.created + life - timedelta(seconds=1))
    assert bench.jobs.open_batch(owner="ann", key="k") == (old, False)
    bench.jobs.sweep(old.created + life)
    assert bench.jobs.open_batch(owner="ann", key="k")[1]
