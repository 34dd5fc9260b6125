"""Run by the tests as a process of its own: a worker that drains the queue, or stops half way.

Arguments: what to do, the settings as JSON, the worker's id, a number that marks its results.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sqlalchemy import Engine, event

from unmask.apps.server.contract import Store, Upload
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.results import InputInfo, Result


def say(*words: object) -> None:
    print(*words, flush=True)


def marked(mark: str) -> Result:
    return Result(
        input=InputInfo(path="clip.mp4"),
        status="scored",
        verdict="inconclusive",
        score=float(mark) / 100,
    )


def drain(store: Store, worker: str, mark: str) -> None:
    """Judge until nothing is left, and say which results were taken."""
    say("ready")
    sys.stdin.readline()
    while claims := store.jobs.claim(worker, limit=3):
        for claim in claims:
            say("claimed", claim.job)
        for claim in claims:
            if store.jobs.finish(claim, marked(mark)):
                say("finished", claim.job)


def stop_before_commit() -> None:
    """From now on a transaction does all its work, and is never committed."""

    @event.listens_for(Engine, "commit")
    def _(_: object) -> None:
        say("committing")
        time.sleep(600)


def stop_in_submit(store: Store, settings: ServerSettings) -> None:
    path = next(settings.uploads.iterdir()) / "media"
    upload = Upload("clip.mp4", Path(path), path.stat().st_size, "0" * 64, "mp4")
    stop_before_commit()
    store.jobs.submit(upload, owner="ann")


def stop_in_claim(store: Store, worker: str) -> None:
    stop_before_commit()
    store.jobs.claim(worker, limit=9)


def stop_in_finish(store: Store, worker: str, mark: str) -> None:
    (claim,) = store.jobs.claim(worker, limit=1)
    stop_before_commit()
    store.jobs.finish(claim, marked(mark))


def main() -> None:
    task, text, worker, mark = sys.argv[1:]
    settings = ServerSettings.model_validate_json(text)
    store = open_store(settings)
    if task == "drain":
        drain(store, worker, mark)
    elif task == "submit":
        stop_in_submit(store, settings)
    elif task == "claim":
        stop_in_claim(store, worker)
    elif task == "finish":
        stop_in_finish(store, worker, mark)


if __name__ == "__main__":
    main()
