"""Workers that die are replaced; their jobs get one result; what kills workers is found."""

from __future__ import annotations

import os
import signal
import time

import pytest

from unmask.apps.server.worker import supervisor as module
from unmask.apps.server.worker.supervisor import Supervisor
from unmask.errors import ConfigError


@pytest.fixture
def supervise(command, monkeypatch, until):
    """Runs a supervisor of doubles until a condition holds; stops it after the test."""
    monkeypatch.setattr(module, "BACK_OFF_S", (0.05,))
    made = []

    def run(service, done, what, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        if not made:
            jobs = service.store.jobs
            made.append(
                Supervisor(service.settings, jobs, say=service.said.append, command=command)
            )

        def tick():
            made[0].tick()
            time.sleep(0.02)
            return done()

        until(tick, what)
        return made[0]

    yield run
    for each in made:
        each.stop()


def finished(service, ids):
    return lambda: all(service.job(id).state in ("done", "failed") for id in ids)


DEATHS = ("claimed", "decoding", "scoring", "finishing", "finished", "recorded")


def test_killed_at_any_step_every_job_gets_one_result(make_service, supervise):
    service = make_service(max_attempts=20)
    names = [f"{number}.png" for number in range(4)]
    ids = [service.submit("fake" if n % 2 else "real", name) for n, name in enumerate(names)]
    supervise(service, finished(service, ids), "all are done", DEATHS=",".join(DEATHS))
    jobs = [service.job(id) for id in ids]
    assert [job.state for job in jobs] == ["done"] * 4
    assert [job.result.input.path for job in jobs] == names
    assert [job.result.score for job in jobs] == [0.1, 0.9, 0.1, 0.9]
    log = (service.settings.data / "finishes").read_text().split()
    assert sorted(log) == sorted(ids)  # each was recorded once
    assert (service.settings.data / "starts").stat().st_size == len(DEATHS) + 1
    assert sum("SIGKILL" in line for line in service.said) == len(DEATHS)


def test_a_poisoned_file_is_found_and_its_neighbours_are_done(make_service, supervise):
    service = make_service(max_attempts=3)
    before = service.submit("real", "before.png")
    poison = service.submit("real", "poison.png")
    after = [service.submit("fake", f"after{n}.png") for n in range(3)]
    ids = [before, poison, *after]
    supervise(service, finished(service, ids), "all are at their end")
    jobs = {id: service.job(id) for id in ids}
    assert (jobs[poison].state, jobs[poison].reason) == ("failed", "worker_lost")
    assert jobs[poison].result is None
    assert jobs[poison].attempts == 3
    assert [jobs[id].state for id in (before, *after)] == ["done"] * 4


def test_all_workers_run_and_end(make_service, supervise):
    service = make_service(workers=2)
    supervisor = supervise(service, lambda: len(service.store.jobs.workers()) == 2, "two workers")
    pids = supervisor.processes
    assert len(pids) == 2
    supervisor.stop()
    assert supervisor.processes == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert service.store.jobs.workers() == []
    assert service.said == []


def test_one_that_dies_is_replaced_and_its_job_is_free_at_once(service, supervise):
    id = service.submit("hang")
    supervisor = supervise(service, lambda: service.job(id).state == "running", "it is claimed")
    (pid,) = supervisor.processes
    os.kill(pid, signal.SIGKILL)
    supervise(service, lambda: service.job(id).attempts == 2, "another has it")
    assert supervisor.processes != [pid]
    assert "SIGKILL" in service.said[0]
    assert "1 unfinished" in service.said[0]


def test_one_that_dies_of_its_start_is_started_less_and_less_often(
    make_service, supervise, monkeypatch
):
    monkeypatch.setattr(module, "BACK_OFF_S", (0.01, 0.02, 0.03))
    service = make_service()
    supervise(service, lambda: len(service.said) == 4, "four deaths", DEATHS="start")
    pauses = [line.rpartition("starts in ")[2] for line in service.said]
    assert pauses == ["0.01 s.", "0.02 s.", "0.03 s.", "0.03 s."]
    assert "exit status 7" in service.said[0]


def test_settings_that_cannot_work_are_not_tried_again(service, supervise):
    with pytest.raises(ConfigError, match="cannot work"):
        supervise(service, lambda: False, "never", DEATHS="configuration")


def test_the_store_is_swept(make_service, supervise):
    service = make_service(workers=0, retention_s=0.01)
    id = service.submit("real")
    service.store.jobs.cancel(id, owner=None)
    supervise(service, lambda: service.job(id).state == "expired", "it is expired")
    assert not service.settings.upload_path(id).exists()
