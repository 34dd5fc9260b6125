from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from unmask.apps.server.api import problem
from unmask.apps.server.api.problem import KINDS, ProblemError
from unmask.apps.server.contract import StoreError


def test_models_tell_licence_threshold_and_error_rate(bench: Any) -> None:
    (model,) = bench.client.get("/v1/models").json()["items"]
    assert (model["name"], model["in_use"]) == ("unmask-default", True)
    assert model["licence"]
    assert 0 < model["threshold"]["fpr_at_flag"] < 1
    assert model["weights_sha256"] == model["card"]["weights_sha256"]
    assert model["limitations"]


def test_a_model_of_ones_own_is_listed(make_bench: Any, tmp_path: Any) -> None:
    (tmp_path / "own.json").write_text('{"name": "x", "weights_sha256": "0", "decision": null}')
    bench = make_bench(model=str(tmp_path / "own.safetensors"))
    models = {m["name"]: m for m in bench.client.get("/v1/models").json()["items"]}
    assert (models["own"]["in_use"], models["unmask-default"]["in_use"]) == (True, False)
    assert models["own"]["threshold"] is None


def test_the_model_in_use_has_the_threshold_of_the_services_calibration(
    make_bench: Any, calibrate: Any
) -> None:
    (model,) = make_bench().client.get("/v1/models").json()["items"]
    assert model["calibrated"] is False
    (model,) = make_bench(calibration=calibrate()).client.get("/v1/models").json()["items"]
    assert model["calibrated"] is True
    assert (model["threshold"]["flag"], model["threshold"]["fpr_at_flag"]) == (0.625, 0.05)
    assert model["threshold"]["measured_on"] == "120 reals of this user's own"
    assert model["card"]["decision"]["flag"] != 0.625  # the card stays as it is


def test_limits_are_those_of_the_settings(make_bench: Any) -> None:
    bench = make_bench(max_upload_bytes=77, max_frames=5, max_uploads=3)
    limits = bench.client.get("/v1/limits").json()
    assert (limits["max_upload_bytes"], limits["max_frames"]) == (77, 5)
    assert limits["max_uploads"] == 3
    assert "mp4" in limits["formats"]
    assert ".mp4" in limits["suffixes"]


def test_alive_is_not_yet_ready(bench: Any) -> None:
    assert bench.client.get("/healthz").json()["status"] == "ok"
    answer = bench.client.get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


def test_ready_while_a_worker_was_seen_within_three_leases(bench: Any) -> None:
    bench.store.jobs.register("w" * 32, model="m", weights_sha256="0" * 64)
    bench.clock.pass_by(3 * bench.settings.lease_s)
    assert bench.client.get("/readyz").json() == {"status": "ready", "workers": 1}
    assert bench.client.get("/v1/limits").json()["workers"] == 1
    bench.clock.pass_by(1)
    assert bench.client.get("/readyz").status_code == 503
    assert bench.client.get("/v1/limits").json()["workers"] == 0


def test_metrics_count_by_route_and_state(bench: Any) -> None:
    id = bench.submitted()
    bench.client.get(f"/v1/analyses/{id}")
    bench.client.get("/v1/nowhere")
    bench.client.post("/v1/batches", headers={"Origin": "null"})
    text = bench.client.get("/metrics").text
    counted = 'unmask_http_requests_total{method="GET",route="/v1/analyses/{id}",status="200"} 1.0'
    assert counted in text
    assert 'route="(none)",status="404"' in text
    assert 'unmask_refused_total{kind="cross-origin"} 1.0' in text
    assert 'unmask_jobs{state="queued"} 1.0' in text
    assert f"unmask_upload_bytes_total {float(len(bench.png))}" in text
    assert id not in text


def test_a_store_that_does_not_answer_is_a_503(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StoreError("secret detail")

    monkeypatch.setattr(type(bench.store.jobs), "jobs", fail)
    answer = bench.client.get("/v1/analyses")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:unmask:problem:store-unavailable"
    assert "secret" not in answer.text
    assert answer.headers["retry-after"] == "5"


def test_unexpected_errors_show_a_number_only(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("/secret/place")

    monkeypatch.setattr(type(bench.store.jobs), "jobs", fail)
    with caplog.at_level(logging.INFO):
        answer = bench.client.get("/v1/analyses")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:unmask:problem:internal-error"
    number = re.search(r"number (\w+)", answer.json()["detail"])
    assert number is not None
    assert number[1] in caplog.text
    assert "KeyError" in caplog.text
    assert "secret" not in answer.text + caplog.text
    assert "x-content-type-options" in answer.headers


@pytest.mark.parametrize("path", ["/v1", "/v1/analyses/", "/v1/x", "/%00", "/etc/passwd"])
def test_unknown_addresses_are_problems(bench: Any, path: str) -> None:
    answer = bench.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/docs" in answer.json()["detail"]


def test_unknown_methods_are_problems(bench: Any) -> None:
    answer = bench.client.put("/v1/analyses")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert "POST" in answer.headers["allow"]


def test_every_problem_that_is_raised_is_documented() -> None:
    for kind, about in KINDS.items():
        error = ProblemError(kind, about.example)
        body = problem.answer(error)
        assert body.status_code == about.status
    with pytest.raises(KeyError):
        _ = ProblemError("unheard-of", "").status


def test_openapi_names_every_route_that_answers(bench: Any) -> None:
    document = bench.client.get("/openapi.json").json()
    own = {path for path in document["paths"] if not path.startswith("/v1/annotation")}
    assert own == {
        "/v1/analyses",
        "/v1/analyses/{id}",
        "/v1/analyses/{id}/cancel",
        "/v1/analyses/{id}/media",
        "/v1/analyses/{id}/result.json",
        "/v1/analyses/{id}/report.html",
        "/v1/analyses/{id}/evidence.json",
        "/v1/analyses/{id}/faces/{face}/{picture}",
        "/v1/batches",
        "/v1/batches/{id}",
        "/v1/batches/{id}/results.jsonl",
        "/v1/models",
        "/v1/limits",
        "/healthz",
        "/readyz",
        "/metrics",
        "/login",
        "/logout",
    }
    schemes = document["components"]["securitySchemes"]
    assert (schemes["token"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
    submit = document["paths"]["/v1/analyses"]["post"]
    assert {"token": []} in submit["security"]
    assert {"202", "400", "401", "403", "404", "408", "409", "413", "415", "422", "429"} <= set(
        submit["responses"]
    )
    assert submit["requestBody"]["content"].keys() == {"multipart/form-data"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_docs_page_has_all_and_loads_nothing_from_elsewhere(bench: Any) -> None:
    page = bench.client.get("/docs").text
    for path in bench.client.get("/openapi.json").json()["paths"]:
        assert path in page
    for kind in KINDS:
        assert f"urn:unmask:problem:{kind}" in page
    assert re.findall(r"(?:src|href)=\"(?!/|#)", page) == []
    assert "<script" not in page
    assert 'style="' not in page
    style = bench.client.get("/docs.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
