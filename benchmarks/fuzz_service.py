"""Thousands of generated requests, right and wrong ones, against the HTTP service on loopback.

    python benchmarks/fuzz_service.py [--cases 5000] [--seed 0]

Requests are made from the service's own OpenAPI description. A third of those with an id ask for
something that is there; half of the uploads carry a picture. Counted are the answers by endpoint
and status; what the description does not say, and every 5xx, is a failure.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from record import Record, arguments
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import Failure, FailureGroup

from unmask.apps.server.api import create_app
from unmask.apps.server.contract import Claim, Store, new_id
from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store
from unmask.results import FaceTrack, InputInfo, Result

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
WORKER = new_id()
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(4096)
RESULT = Result(
    input=InputInfo(path="a.png"),
    status="scored",
    verdict="inconclusive",
    score=0.5,
    faces=[FaceTrack(id=face, score=0.5, frames=[]) for face in range(3)],
)
ROUND = 50
"""Cases between two looks at the queue, which a worker would empty."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    logging.getLogger("unmask").setLevel(logging.CRITICAL)
    record = Record(seed=given_.seed)
    with tempfile.TemporaryDirectory(prefix="unmask-fuzz-") as folder, serving(Path(folder)) as on:
        fuzz = Fuzz(*on, Path(folder), given_.seed)
        operations = fuzz.operations()
        number = 0
        while fuzz.sent < given_.cases:
            for operation in operations:
                fuzz.explore(operation, number)
            number += 1
    record.write(given_.out, fuzz.results())


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str, Store]]:
    """Address, token and store of a service on loopback."""
    given_ = ServerSettings.of(data=folder, rate_per_minute=10**9, queue_limit=2 * ROUND)
    store = open_store(given_)
    _, token = store.tokens.create("fuzz", ["analyse", "read", "metrics", "annotate"])
    config = uvicorn.Config(create_app(given_, store), port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", token, store
    finally:
        server.should_exit = True
        thread.join()
        store.close()


class Fuzz:
    """Sends cases, and counts what comes back."""

    def __init__(self, address: str, token: str, store: Store, data: Path, start: int) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}
        self._store, self._data, self._seed = store, data, start
        self._owner = store.tokens.all()[0].id
        self._schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        self._answers: dict[str, Counter[str]] = {}
        self._failures: Counter[str] = Counter()
        self._strategies: dict[str, Any] = {}

    @property
    def sent(self) -> int:
        """Requests so far."""
        return sum(counted.total() for counted in self._answers.values())

    def operations(self) -> list[Any]:
        found = [one.ok() for one in self._schema.get_all_operations()]
        return [one for one in found if not one.path.startswith("/v1/annotation")]

    def explore(self, operation: Any, number: int) -> None:
        """One round of cases for one endpoint."""
        ids = self._work("/batches/" in operation.path)
        counted = self._answers.setdefault(operation.label, Counter())
        strategy = self._strategies.get(operation.label)
        if strategy is None:
            modes = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
            strategy = self._strategies[operation.label] = st.one_of(*modes)

        @seed(self._seed * 10_000 + number)
        @given(data=st.data())
        @settings(
            max_examples=ROUND,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(data: Any) -> None:
            case = data.draw(strategy)
            if "id" in case.path_parameters and data.draw(st.integers(0, 2)) == 0:
                case.path_parameters["id"] = data.draw(st.sampled_from(ids))
            if "face" in case.path_parameters and data.draw(st.booleans()):
                case.path_parameters["face"] = data.draw(st.integers(0, 3))
            if isinstance(case.body, dict) and "file" in case.body and data.draw(st.booleans()):
                case.body["file"] = PICTURE
            answer = case.call(headers=self._headers)
            counted[str(answer.status_code)] += 1
            self._judge(operation.label, case, answer)

        check()

    def results(self) -> dict[str, Any]:
        answers = {label: dict(sorted(c.items())) for label, c in sorted(self._answers.items())}
        return {
            "cases": self.sent,
            "checks": [check.__name__ for check in CHECKS],
            "answers": answers,
            "failures": dict(self._failures),
            "goal_met": not self._failures,
        }

    def _judge(self, label: str, case: Any, answer: Any) -> None:
        try:
            case.validate_response(answer, checks=CHECKS)
        except (Failure, FailureGroup) as error:
            found = error.exceptions if isinstance(error, FailureGroup) else [error]
            for one in found:
                self._failures[f"{label}: {answer.status_code}: {one.title}"] += 1

    def _work(self, batches: bool) -> list[str]:
        """Do as a worker: finish what is queued. Gives ids that the next requests may ask for."""
        jobs = self._store.jobs
        jobs.register(WORKER, model="m", weights_sha256="0" * 64)
        jobs.heartbeat(WORKER, [])
        while claims := jobs.claim(WORKER, limit=100):
            for claim in claims:
                if claim.kind == "evidence":
                    self._make_evidence(claim)
                else:
                    jobs.finish(claim, RESULT)
        if batches:
            return [jobs.open_batch(owner=self._owner)[0].id for _ in range(5)]
        return [job.id for job in jobs.jobs(owner=self._owner, limit=20)] or [new_id()]

    def _make_evidence(self, claim: Claim) -> None:
        """Make it for three in four, with the pictures of one face."""
        if int(claim.job[0], 16) % 4 == 0:
            self._store.jobs.evidence_failed(claim, "Not made here.")
            return
        folder = self._data / claim.evidence_folder
        (folder / "faces" / "0").mkdir(parents=True)
        for name in ("report.html", "evidence.json", "faces/0/heatmap.png", "faces/0/crop.jpg"):
            (folder / name).write_bytes(b"{}")
        self._store.jobs.evidence_ready(claim, claim.evidence_folder)


if __name__ == "__main__":
    main()
