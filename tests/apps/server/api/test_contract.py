"""Whatever comes in, only what the OpenAPI description says goes out.

A small number of cases; `benchmarks/fuzz_service.py` runs thousands.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = 5
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def explore(operation: Any, ids: list[str], headers: dict[str, str]) -> set[int]:
    """The statuses that generated requests get; half of them ask for something that is there."""
    seen: set[int] = set()
    modes = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    strategy = st.one_of(*modes)

    @given(data=st.data())
    @settings(
        max_examples=CASES,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(data: Any) -> None:
        case = data.draw(strategy)
        if "id" in case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["id"] = data.draw(st.sampled_from(ids))
        answer = case.call(headers=headers)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    check()
    return seen


def test_answers_are_as_described(make_bench: Any) -> None:
    bench = make_bench(rate_per_minute=10**6)
    _, bench.client = bench.token("analyse", "read", "metrics")
    bench.store.jobs.register("w" * 32, model="m", weights_sha256="0" * 64)
    headers = {"Authorization": bench.client.headers["authorization"], "Host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", bench.app)
    seen: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith("/v1/annotation"):
            batch = bench.client.post("/v1/batches").json()["id"]
            ids = [bench.analysed(), bench.submitted(), batch]
            seen[operation.label] = explore(operation, ids, headers)
    assert {200, 404} <= seen["GET /v1/analyses/{id}"]
    assert sum(map(len, seen.values())) > len(seen)
