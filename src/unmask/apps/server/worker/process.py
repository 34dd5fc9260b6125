"""The worker's process: how it is told what to do, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

from unmask.apps.cli.backend import default_jobs
from unmask.apps.server.contract import Store, new_id
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.apps.server.worker.loop import Examiner, Loop
from unmask.errors import ConfigError, UnmaskError

SETTINGS_VARIABLE = "UNMASK_SERVER_SETTINGS"
STOP_S = 10.0
"""How long a batch in hand may take to be finished once the worker is told to stop."""
FAULT = 70


class Order(BaseModel):
    """What a worker is told when it starts: one line of JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: ServerSettings
    worker: str
    """Its id, fresh with each start: who starts it can then tell the store when it has died."""


def read_order(stream: BinaryIO) -> tuple[Order, bool]:
    """What to do: from the environment if it is there, else from the first line of `stream`.

    Returns:
        The order, and whether the end of `stream` means that whoever gave it is gone.

    Raises:
        ConfigError: there is none, or it makes no sense.
    """
    given = os.environ.get(SETTINGS_VARIABLE)
    try:
        if given is not None:
            settings = ServerSettings.model_validate_json(given)
            return Order(settings=settings, worker=new_id()), False
        return Order.model_validate_json(stream.readline()), True
    except ValidationError as error:
        raise ConfigError(
            f"The worker got no usable order: {error.errors()[0]['msg']}.",
            "Start workers with `unmask serve --role worker`, or set "
            f"{SETTINGS_VARIABLE} to the settings as JSON.",
        ) from error


def main() -> int:
    """Work until SIGTERM, SIGINT, or the end of the process that started this one.

    Returns:
        0 after an orderly stop, 2 where the configuration cannot work, 70 after a fault.
    """
    worker = "?"

    def say(text: str) -> None:
        print(f"unmask worker {worker[:8]}: {text}", file=sys.stderr, flush=True)

    try:
        order, watched = read_order(sys.stdin.buffer)
        worker = order.worker
        if watched:
            follow(sys.stdin.buffer)
        store = open_store(order.settings)
        try:
            from unmask.apps.server.worker.judging import Judge  # torch: not before all is well

            given = order.settings
            judge = Judge(given.model, given.device, calibration=given.calibration)
            work(order, store, judge, say=say)
        finally:
            store.close()
    except UnmaskError as error:
        say(str(error))
        return error.exit_code if isinstance(error, ConfigError) else FAULT
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
        if os.environ.get("UNMASK_DEBUG", "0") not in ("", "0"):
            raise
        return FAULT
    return 0


def work(
    order: Order,
    store: Store,
    judge: Examiner,
    *,
    say: Callable[[str], None],
) -> None:
    """Run the loop, and stop it in good order when told to.

    Args:
        order: what to do.
        store: open.
        judge: has the model loaded.
        say: tells a person.

    Raises:
        UnmaskError: as `Loop.run`.
    """
    settings = order.settings
    loop = Loop(
        store.jobs,
        judge,
        worker=order.worker,
        settings=settings,
        jobs=settings.jobs or default_jobs(),
        say=say,
    )

    def stop(number: int, frame: object) -> None:
        loop.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    _start(_insist, loop)
    say(f"ready with {judge.model}")
    loop.run()


def follow(parent: BinaryIO) -> None:
    """End this process, in good order where it is at work already, once `parent` ends.

    From the first moment on: loading a model takes seconds, in which the parent may die, too.
    """
    _start(_outlive, parent)


def _start(target: Callable[..., None], *given: object) -> None:
    threading.Thread(target=target, args=given, daemon=True).start()


def _outlive(parent: BinaryIO) -> None:
    """Wait until the parent is gone, and then stop as if it had said so."""
    while os.read(parent.fileno(), 4096):  # not through the buffer: its lock would be held at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _insist(loop: Loop) -> None:
    """End the process when a batch takes too long to be finished; its jobs are given back."""
    while not loop.stopping:
        time.sleep(0.1)
    time.sleep(STOP_S)
    loop.give_back()
    os._exit(0)
