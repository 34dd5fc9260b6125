"""The worker's process: how it ends, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from unmask.apps.server.contract import new_id
from unmask.apps.server.worker.process import SETTINGS_VARIABLE, Order


def decoders_of(pid):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    ).stdout
    return [int(word) for word in listed.split()]


def alive(pid):
    """Whether a process runs; one that is dead and not yet reaped does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()[:1] not in ("", "Z")


@pytest.fixture
def start(service, command):
    """Starts the double's process with its order; killed after the test."""
    started = []

    def run():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        order = Order(settings=service.settings, worker=new_id())
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


@pytest.fixture
def hanging(service, start, until):
    """A worker over a file that hangs, with one more job claimed: (process, jobs, decoders)."""
    jobs = [service.submit("hang"), service.submit("real")]
    process = start()
    until(lambda: service.job(jobs[1]).state == "running", "both are claimed")
    return process, jobs, decoders_of(process.pid)


def test_sigterm_gives_the_claims_back(service, hanging, until):
    process, jobs, decoders = hanging
    assert decoders
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert [(service.job(id).state, service.job(id).attempts) for id in jobs] == [("queued", 0)] * 2
    until(lambda: not any(map(alive, decoders)), "no decoder is left")


def test_it_ends_with_its_parent(service, hanging, until):
    process, jobs, decoders = hanging
    process.stdin.close()  # as the kernel does for a parent that was killed
    assert process.wait(60) == 0
    assert [service.job(id).state for id in jobs] == ["queued"] * 2
    until(lambda: not any(map(alive, decoders)), "no decoder is left")


def test_it_ends_with_its_parent_while_it_still_loads_the_model(service):
    process = subprocess.Popen(
        [sys.executable, "-m", "unmask.apps.server.worker"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    order = Order(settings=service.settings, worker=new_id())
    _, said = process.communicate(order.model_dump_json().encode() + b"\n", timeout=120)
    assert process.returncode == -signal.SIGTERM
    assert b"ready" not in said


def test_idle_decoders_end_with_a_worker_that_is_killed(service, start, until):
    id = service.submit("real")
    process = start()
    service.wait(id)
    decoders = decoders_of(process.pid)
    assert decoders
    process.kill()
    process.wait()
    until(lambda: not any(map(alive, decoders)), "no decoder is left")


def test_a_batch_that_takes_too_long_is_given_back(service, double, command, tmp_path):
    """The worker is told to stop while the judge is stuck: it ends without it."""
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
sys.path.insert(0, {os.path.dirname(command[1])!r})
import threading, time, worker_double
from unmask.apps.server.worker import process
process.STOP_S = 0.1
class Stuck(worker_double.Judge):
    def examine(self, *given, **named):
        print("stuck", flush=True)
        time.sleep(1000)
worker_double.Judge = Stuck
worker_double.main()
"""
    id = service.submit("real")
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        order = Order(settings=service.settings, worker=new_id())
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"stuck\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert (service.job(id).state, service.job(id).attempts) == ("queued", 0)


@pytest.mark.parametrize("order", [b"", b"{}\n", b"nonsense\n"])
def test_an_order_that_makes_no_sense_is_refused(order):
    done = subprocess.run(
        [sys.executable, "-m", "unmask.apps.server.worker"], input=order, capture_output=True
    )
    assert done.returncode == 2
    assert b"no usable order" in done.stderr
    assert SETTINGS_VARIABLE.encode() in done.stderr


def test_settings_may_come_from_the_environment(service, tmp_path):
    """A database that cannot be opened ends it, but only after the settings were read."""
    (tmp_path / "file").write_text("no folder")
    database = f"sqlite:///{tmp_path}/file/x.db"
    settings = service.settings.model_copy(update={"database": database})
    done = subprocess.run(
        [sys.executable, "-m", "unmask.apps.server.worker"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | {SETTINGS_VARIABLE: settings.model_dump_json()},
        timeout=200,
    )
    assert done.returncode == 2
    assert str(tmp_path / "file").encode() in done.stderr
