from __future__ import annotations

from typing import Any

import pytest

from unmask.results import Result

UNKNOWN = "0" * 32


def open_with(bench: Any, *contents: bytes) -> Any:
    files = [("files", (f"{n}.png", content)) for n, content in enumerate(contents)]
    return bench.client.post("/v1/batches", files=files)


def test_several_files_become_a_batch_in_their_order(bench: Any) -> None:
    answer = open_with(bench, bench.png, bench.png + b"1", bench.png + b"2")
    assert answer.status_code == 202
    batch = answer.json()
    assert (batch["jobs"], batch["queued"]) == (3, 3)
    assert answer.headers["location"] == batch["links"]["self"] == f"/v1/batches/{batch['id']}"
    items = bench.client.get(batch["links"]["analyses"]).json()["items"]
    assert [item["name"] for item in items] == ["0.png", "1.png", "2.png"]


def test_an_empty_batch_is_filled_file_by_file(bench: Any) -> None:
    batch = bench.client.post("/v1/batches").json()
    assert batch["jobs"] == 0
    assert bench.send(to=batch["links"]["add"]).json()["batch"] == batch["id"]
    assert bench.client.get(batch["links"]["self"]).json()["jobs"] == 1


def test_one_refused_file_refuses_all(bench: Any) -> None:
    answer = open_with(bench, bench.png, b"no picture")
    assert answer.status_code == 415
    assert bench.uploads() == []
    assert bench.client.get("/v1/analyses").json()["items"] == []


def test_a_queue_that_is_too_short_takes_none_of_them(make_bench: Any) -> None:
    bench = make_bench(queue_limit=2)
    assert open_with(bench, *[bench.png] * 3).status_code == 429
    assert bench.uploads() == []
    assert bench.client.get("/v1/analyses").json()["items"] == []


def test_a_batch_that_is_not_there_takes_no_file(bench: Any) -> None:
    assert bench.send(to=f"/v1/analyses?batch={UNKNOWN}").status_code == 404
    assert bench.uploads() == []


def test_a_body_that_is_no_form_is_refused(bench: Any) -> None:
    assert bench.client.post("/v1/batches", json={"files": []}).status_code == 415


def test_results_come_in_order_and_the_missing_are_counted(bench: Any) -> None:
    batch = open_with(bench, bench.png, bench.png + b"1", bench.png + b"2").json()
    items = bench.client.get(batch["links"]["analyses"]).json()["items"]
    claims = {c.job: c for c in bench.store.jobs.claim("w" * 32, limit=9)}
    for item in (items[2], items[0]):
        claim = claims[item["id"]]
        info = {"path": "elsewhere", "sha256": item["sha256"]}
        failed = {"input": info, "status": "not_applicable", "reasons": ["no_face"]}
        assert bench.store.jobs.finish(claim, Result.model_validate(failed))
    answer = bench.client.get(batch["links"]["results"])
    results = [Result.from_json(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [result.input.path for result in results] == ["0.png", "2.png"]
    assert answer.headers["unmask-missing"] == "1"


def test_more_results_than_a_page(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.apps.server.api import batches

    monkeypatch.setattr(batches, "PAGE", 2)
    batch = open_with(bench, *(bench.png + bytes([n]) for n in range(5))).json()
    for item in bench.client.get(batch["links"]["analyses"]).json()["items"][:1]:
        bench.finish(item["id"])
    answer = bench.client.get(batch["links"]["results"])
    assert (len(answer.text.splitlines()), answer.headers["unmask-missing"]) == (1, "4")


def test_deleting_a_batch_deletes_its_files(bench: Any) -> None:
    batch = open_with(bench, bench.png, bench.png).json()
    assert bench.client.delete(batch["links"]["self"]).status_code == 204
    assert bench.uploads() == []
    assert bench.client.get(batch["links"]["self"]).status_code == 404
    assert bench.client.delete(batch["links"]["self"]).status_code == 404


@pytest.mark.parametrize("path", ["", "/results.jsonl"])
def test_another_owners_batch_is_not_there(bench: Any, path: str) -> None:
    _, mine = bench.token()
    _, theirs = bench.token()
    id = mine.post("/v1/batches").json()["id"]
    assert mine.get(f"/v1/batches/{id}{path}").status_code == 200
    assert theirs.get(f"/v1/batches/{id}{path}").status_code == 404
    assert theirs.get(f"/v1/analyses?batch={id}").status_code == 404
    added = theirs.post(f"/v1/analyses?batch={id}", files={"file": ("a.png", bench.png)})
    assert added.status_code == 404
