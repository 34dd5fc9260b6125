"""The loop over a real store: every job gets one result, whatever happens to the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from unmask.apps.server.worker.loop import BrokenDeviceError, Loop
from unmask.apps.server.worker.ready import BATCH_ITEMS
from unmask.errors import UnmaskError


class Running:
    """A loop in a thread."""

    def __init__(self, service, judge, double, jobs=1):
        self.error = None
        self.loop = Loop(
            service.store.jobs, judge, worker="w" * 32, settings=service.settings, jobs=jobs,
            say=service.said.append, task=double.TASK,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.loop.run()
        except UnmaskError as error:
            self.error = error

    def end(self):
        self.loop.stop()
        self.join()

    def join(self):
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def judge(double):
    judge = double.Judge()
    yield judge
    judge.gate.set()


@pytest.fixture
def start(judge, double) -> Iterator:
    """Starts a loop that ends with the test."""
    with ExitStack() as stack:

        def run(service, jobs=1):
            running = Running(service, judge, double, jobs)
            stack.callback(running.end)
            stack.callback(judge.gate.set)
            return running

        yield run


def test_every_job_gets_its_result_under_the_client_s_name(service, start):
    real = service.submit("real", "holiday.png")
    fake = service.submit("fake", "holiday.png")
    text = service.submit(b"no picture at all", "notes.png")
    start(service)
    jobs = service.wait(real, fake, text)
    assert [job.state for job in jobs] == ["done"] * 3
    assert [job.result.input.path for job in jobs] == ["holiday.png", "holiday.png", "notes.png"]
    assert [job.result.verdict for job in jobs[:2]] == ["no_evidence_found", "likely_manipulated"]
    assert jobs[2].result.reasons == ["unsupported_format"]
    assert "notes.png" in jobs[2].result.message
    assert str(service.settings.data) not in jobs[2].result.to_json()


def test_a_crashing_decoder_costs_its_own_job_only(service, start):
    crash, real = service.submit("crash"), service.submit("real")
    start(service)
    crashed, judged = service.wait(crash, real)
    assert (crashed.state, crashed.result.reasons) == ("done", ["decoder_crashed"])
    assert judged.result.status == "scored"


def test_an_exception_in_judging_fails_its_own_job_only(service, start, judge):
    first = service.submit("block")  # while it is judged the others gather into one batch
    ids = [service.submit(what) for what in ("real", "bug", "fake")]
    start(service)
    assert judge.blocked.wait(60)
    judge.gate.set()
    service.wait(first)
    real, bug, fake = service.wait(*ids)
    assert (real.state, fake.state) == ("done", "done")
    assert (bug.state, bug.reason, bug.result) == ("failed", "internal_error", None)
    assert "a bug in the judge" in bug.message


def test_later_jobs_are_decoded_while_earlier_ones_are_judged(service, start, judge, until):
    first = service.submit("block")
    running = start(service)
    assert judge.blocked.wait(60)
    later = [service.submit("real") for _ in range(3)]  # claimed in another round
    until(lambda: len(running.loop._ready._waiting) == 3, "decoded meanwhile")
    assert service.job(first).state == "running"
    judge.gate.set()
    service.wait(first, *later)
    assert [len(batch) for batch in judge.batches] == [1, 3]


def test_no_more_is_claimed_than_there_is_room_for(service, start, judge, until):
    first = service.submit("block")
    running = start(service)
    assert judge.blocked.wait(60)
    ids = [service.submit("real") for _ in range(3 * BATCH_ITEMS)]
    until(lambda: running.loop._ready.full, "a whole batch")
    until(lambda: running.loop._intake._decoders.busy == 0, "nothing more is decoded")
    held = len(running.loop._leases)
    assert BATCH_ITEMS < held <= 1 + BATCH_ITEMS + 2  # judged, ready, waiting (two per decoder)
    assert service.store.jobs.counts()["queued"] == 3 * BATCH_ITEMS + 1 - held
    judge.gate.set()
    assert all(job.state == "done" for job in service.wait(first, *ids))
    assert max(len(batch) for batch in judge.batches) == BATCH_ITEMS


def test_progress_is_told(service, start, judge, until):
    id = service.submit("block")
    start(service)
    assert judge.blocked.wait(60)
    until(lambda: service.job(id).stage == "scoring", "it is told")
    assert (service.job(id).state, service.job(id).progress) == ("running", 0.5)
    judge.gate.set()
    (job,) = service.wait(id)
    assert (job.stage, job.progress) == ("finished", 1.0)


def test_a_cancel_ends_the_decoding(service, start, until):
    id = service.submit("hang")
    running = start(service)
    until(lambda: running.loop._intake._decoders.busy == 1, "it is decoded")
    assert (service.job(id).stage, service.job(id).progress) == ("decoding", 0.0)
    service.store.jobs.cancel(id, owner=None)
    until(lambda: len(running.loop._leases) == 0, "the heartbeat sees it")
    after = service.submit("real")  # the only decoder is free again
    assert service.wait(after)[0].state == "done"
    assert service.job(id).state == "cancelled"


def test_a_cancel_while_it_is_judged_leaves_no_result(service, start, judge):
    id = service.submit("block")
    start(service)
    assert judge.blocked.wait(60)
    service.store.jobs.cancel(id, owner=None)
    after = service.submit("real")
    judge.gate.set()
    assert service.wait(after)[0].state == "done"
    assert (service.job(id).state, service.job(id).result) == ("cancelled", None)


def test_a_lost_lease_is_noticed_and_the_work_dropped(service, start, judge, until):
    id = service.submit("block")
    running = start(service)
    assert judge.blocked.wait(60)
    service.store.jobs.retire("w" * 32)
    (other,) = service.store.jobs.claim("o" * 32, limit=1)
    until(lambda: len(running.loop._leases) == 0, "the heartbeat sees it")
    judge.gate.set()
    running.end()
    job = service.job(id)
    assert (job.state, job.result, job.attempts) == ("running", None, 2)
    assert service.store.jobs.give_back(other)  # still the other's


def test_heartbeats_keep_the_lease_of_long_work(make_service, start, judge, until):
    service = make_service(lease_s=2.0)
    id = service.submit("block")
    start(service)
    assert judge.blocked.wait(60)
    first = service.store.jobs.workers()[0].seen
    until(
        lambda: (service.store.jobs.workers()[0].seen - first).total_seconds() > 3.0,
        "longer than a lease",
    )
    assert service.store.jobs.claim("o" * 32, limit=1) == []
    judge.gate.set()
    assert (service.wait(id)[0].state, service.job(id).attempts) == ("done", 1)


def test_stopping_finishes_the_batch_and_gives_the_rest_back(service, start, judge, until):
    first = service.submit("block")
    running = start(service)
    assert judge.blocked.wait(60)
    rest = [service.submit("real"), service.submit("hang"), service.submit("real")]
    until(lambda: service.job(rest[1]).state == "running", "the next ones are claimed")
    running.loop.stop()
    judge.gate.set()
    running.join()
    assert service.job(first).state == "done"
    assert [service.job(id).state for id in rest] == ["queued"] * 3
    assert [service.job(id).attempts for id in rest] == [0] * 3
    assert service.store.jobs.workers() == []


def test_a_broken_device_ends_the_worker_and_counts_against_its_batch(service, start, judge, until):
    bug = service.submit("bug")
    judge.healthy = False
    running = start(service)
    running.join()
    assert isinstance(running.error, BrokenDeviceError)
    job = service.job(bug)
    assert (job.state, job.attempts) == ("running", 1)
    (again,) = service.store.jobs.claim("o" * 32, limit=1)  # free at once
    assert (again.job, again.attempts) == (bug, 2)


class Failing:
    """A store that does not answer the first call of some methods."""

    def __init__(self, jobs, *names):
        self._jobs, self._names = jobs, set(names)

    def __getattr__(self, name):
        method = getattr(self._jobs, name)

        def call(*given, **named):
            if name in self._names:
                self._names.remove(name)
                raise OSError(f"{name}: the database is away")
            return method(*given, **named)

        return call


@pytest.mark.parametrize("name", ["claim", "progress", "finish", "heartbeat", "together"])
def test_a_store_that_is_away_for_a_moment_costs_nothing(service, start, name, until):
    service.store = replace(service.store, jobs=Failing(service.store.jobs, name))
    id = service.submit("real")
    start(service)
    (job,) = service.wait(id)
    assert (job.state, job.attempts) == ("done", 1)
    until(lambda: service.said, "it is told")
    assert "the database is away" in service.said[0]


@pytest.mark.parametrize("names", [("finish",), ("progress", "together", "finish")])
def test_results_that_could_not_be_recorded_at_once_are_one_by_one(service, start, judge, names):
    service.store = replace(service.store, jobs=Failing(service.store.jobs, *names))
    ids = [service.submit("real") for _ in range(5)]
    judge.gate.clear()
    start(service, jobs=5)
    judge.gate.set()
    jobs = service.wait(*ids)
    assert [(job.state, job.attempts) for job in jobs] == [("done", 1)] * 5


def test_a_decoder_that_cannot_start_ends_the_worker(service, judge, double):
    @contextmanager
    def named(task):
        before, double.TASK = double.TASK, task
        yield
        double.TASK = before

    with named("no_such_module:run"):
        running = Running(service, judge, double)
    id = service.submit("real")
    running.join()
    assert "could not start" in str(running.error)
    assert service.job(id).state == "queued"
