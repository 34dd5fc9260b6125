from __future__ import annotations

from typing import Any

import pytest

from unmask.results import Result

UNKNOWN = "0" * 32


def open_with(bench: Any, *contents: bytes, key: str | None = None, **fields: str) -> Any:
    files = [("files", (f"{n}.png", content)) for n, content in enumerate(contents)]
    headers = {} if key is None else {"Idempotency-Key": key}
    return bench.client.post("/v1/batches", files=files, data=fields, headers=headers)


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
    bench = make_bench(queue_limit=3)
    first = bench.submitted()
    answer = open_with(bench, *[bench.png] * 3)
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
    assert [path.name for path in bench.uploads()] == [first]
    assert [item["id"] for item in bench.client.get("/v1/analyses").json()["items"]] == [first]


def test_more_files_than_may_ever_wait_are_refused_for_good(make_bench: Any) -> None:
    bench = make_bench(queue_limit=2)
    answer = open_with(bench, *[bench.png] * 3)
    assert answer.status_code == 422
    assert "send fewer" in answer.json()["detail"]
    assert bench.uploads() == []


def test_the_same_key_gives_the_first_batch_as_it_stands(bench: Any) -> None:
    first = open_with(bench, bench.png, bench.png + b"1", key="k1").json()
    bench.finish(bench.client.get(first["links"]["analyses"]).json()["items"][0]["id"])
    again = open_with(bench, bench.png, bench.png + b"1", key="k1")
    assert again.status_code == 202
    assert again.headers["location"] == first["links"]["self"]
    assert (again.json()["id"], again.json()["jobs"], again.json()["done"]) == (first["id"], 2, 1)
    assert len(bench.uploads()) == 2
    outcomes = [outcome for _, action, outcome in bench.audit() if action == "open batch"]
    assert outcomes == ["2 queued", "already there"]


def test_the_same_key_gives_the_first_empty_batch(bench: Any) -> None:
    headers = {"Idempotency-Key": "k1"}
    first, again = (bench.client.post("/v1/batches", headers=headers) for _ in range(2))
    assert (again.status_code, again.json()) == (202, first.json())


@pytest.mark.parametrize("other", ["content", "number", "order", "max_frames"])
def test_a_key_with_other_files_is_refused_and_the_files_removed(bench: Any, other: str) -> None:
    files = [bench.png, bench.png + b"1"]
    open_with(bench, *files, key="k1")
    fields = {"max_frames": "3"} if other == "max_frames" else {}
    changed = {"content": [bench.png, b"\x89PNG\r\n\x1a\n!"], "number": files[:1]}
    changed |= {"order": files[::-1]}
    answer = open_with(bench, *changed.get(other, files), key="k1", **fields)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:unmask:problem:key-reused"
    assert len(bench.uploads()) == 2


def test_a_key_answers_while_the_queue_is_full(make_bench: Any) -> None:
    bench = make_bench(queue_limit=2)
    first = open_with(bench, bench.png, bench.png + b"1", key="k1").json()
    assert open_with(bench, bench.png, key="k2").status_code == 429
    assert open_with(bench, bench.png, bench.png + b"1", key="k1").json()["id"] == first["id"]


def test_an_odd_key_is_refused_before_the_files_are_read(bench: Any) -> None:
    assert open_with(bench, bench.png, key="a b").status_code == 422
    assert bench.uploads() == []


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
