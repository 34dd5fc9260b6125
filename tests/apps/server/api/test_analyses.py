from __future__ import annotations

import hashlib
from typing import Any

import pytest

from unmask.results import InputInfo, Result

UNKNOWN = "0" * 32


def test_a_submitted_file_is_queued_and_kept(bench: Any) -> None:
    answer = bench.send(name="clip.png", fields={"max_frames": "7"})
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/analyses/{body['id']}" == body["links"]["self"]
    assert (body["state"], body["ahead"], body["name"]) == ("queued", 0, "clip.png")
    assert (body["format"], body["bytes"], body["max_frames"]) == ("png", len(bench.png), 7)
    assert body["sha256"] == hashlib.sha256(bench.png).hexdigest()
    path = bench.settings.upload_path(body["id"])
    assert path.read_bytes() == bench.png
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_evidence_is_wanted_only_when_asked_for(bench: Any) -> None:
    assert bench.send().json()["evidence"] == "none"
    assert bench.send(fields={"evidence": "true"}).json()["evidence"] == "wanted"


def test_the_same_key_gives_the_first_analysis_again(bench: Any) -> None:
    first, again = bench.send(key="k1"), bench.send(key="k1")
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert len(bench.uploads()) == 1


def test_a_key_with_another_file_is_refused_and_the_file_removed(bench: Any) -> None:
    bench.send(key="k1")
    answer = bench.send(bench.png + b"!", key="k1")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:unmask:problem:key-reused"
    assert len(bench.uploads()) == 1


@pytest.mark.parametrize("key", ["a b", "x" * 256, "\u00e9".encode()])
def test_odd_keys_are_refused_before_the_file_is_read(bench: Any, key: Any) -> None:
    assert bench.send(key=key).status_code == 422
    assert bench.uploads() == []


def test_a_full_queue_refuses_with_the_time_to_wait(make_bench: Any) -> None:
    bench = make_bench(queue_limit=1)
    bench.submitted()
    answer = bench.send()
    assert answer.status_code == 429
    assert answer.json()["type"] == "urn:unmask:problem:queue-full"
    assert int(answer.headers["retry-after"]) >= 1
    assert len(bench.uploads()) == 1


def test_a_full_queue_refuses_before_the_file_is_received(
    make_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(queue_limit=1)
    first = bench.send(key="k1").json()["id"]
    monkeypatch.delattr("unmask.apps.server.api.uploads._Sink.add")
    assert bench.send().status_code == 429
    files = [("files", ("a.png", bench.png))]
    assert bench.client.post("/v1/batches", files=files).status_code == 429
    monkeypatch.undo()
    assert bench.send(key="k1").json()["id"] == first


def test_a_result_in_an_analysis_is_the_one_that_is_downloaded(bench: Any) -> None:
    id = bench.analysed()
    alone = bench.client.get(f"/v1/analyses/{id}/result.json").json()
    assert alone["schema"] == "unmask.result/1"
    assert bench.client.get(f"/v1/analyses/{id}").json()["result"] == alone
    assert bench.client.post(f"/v1/analyses/{id}/cancel").json()["result"] == alone
    bench.submitted(key="again")
    done = bench.finish(bench.submitted(key="again"))
    again = bench.send(key="again").json()
    assert again["result"]["schema"] == done.schema_


def test_the_result_comes_under_the_name_of_the_file(bench: Any) -> None:
    id = bench.analysed(name="clip.png")
    text = bench.client.get(f"/v1/analyses/{id}").text
    assert str(bench.settings.data) not in text
    body = bench.client.get(f"/v1/analyses/{id}").json()
    assert (body["state"], body["progress"]) == ("done", 1.0)
    assert body["result"]["input"]["path"] == "clip.png"
    assert body["result"]["score"] == 0.9
    assert body["links"]["faces"][0]["heatmap"] == f"/v1/analyses/{id}/faces/0/heatmap.png"


def test_a_file_that_was_not_scored_says_why(bench: Any) -> None:
    id = bench.submitted()
    info = InputInfo(path="x")
    bench.finish(id, Result(input=info, status="unreadable", reasons=["damaged"]))
    body = bench.client.get(f"/v1/analyses/{id}").json()
    assert (body["state"], body["result"]["status"]) == ("done", "unreadable")
    assert body["result"]["score"] is None


def test_lists_are_newest_first_and_in_pages(bench: Any) -> None:
    ids = []
    for _ in range(5):
        ids.append(bench.submitted())
        bench.clock.pass_by(1)
    first = bench.client.get("/v1/analyses", params={"limit": 3}).json()
    rest = bench.client.get("/v1/analyses", params={"limit": 3, "after": first["next"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None
    assert "result" not in first["items"][0]


def test_lists_tell_the_finding(bench: Any) -> None:
    bench.analysed()
    (item,) = bench.client.get("/v1/analyses").json()["items"]
    assert (item["status"], item["verdict"], item["score"]) == (
        "scored",
        "likely_manipulated",
        0.9,
    )


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 501}, {"after": "x"}, {"batch": "x"}])
def test_odd_list_queries_are_refused(bench: Any, query: dict[str, Any]) -> None:
    answer = bench.client.get("/v1/analyses", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == f"query.{next(iter(query))}"


def test_cancelling_keeps_the_record_and_is_repeatable(bench: Any) -> None:
    id = bench.submitted()
    assert bench.client.post(f"/v1/analyses/{id}/cancel").json()["state"] == "cancelled"
    assert bench.client.post(f"/v1/analyses/{id}/cancel").json()["state"] == "cancelled"
    assert bench.client.get(f"/v1/analyses/{id}").json()["links"]["cancel"] is None


def test_deleting_removes_the_file(bench: Any) -> None:
    id = bench.submitted()
    answer = bench.client.delete(f"/v1/analyses/{id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert bench.client.get(f"/v1/analyses/{id}").status_code == 404
    assert bench.uploads() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/media"),
        ("GET", "/result.json"),
        ("GET", "/report.html"),
        ("GET", "/evidence.json"),
        ("GET", "/faces/0/heatmap.png"),
    ],
)
def test_what_is_not_there_is_not_found(bench: Any, method: str, path: str) -> None:
    answer = bench.client.request(method, f"/v1/analyses/{UNKNOWN}{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    odd = bench.client.request(method, f"/v1/analyses/not-an-id{path}")
    assert odd.status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/media"), ("GET", "/result.json")],
)
def test_another_owners_analysis_is_not_there(bench: Any, method: str, path: str) -> None:
    _, mine = bench.token()
    _, theirs = bench.token()
    id = mine.post("/v1/analyses", files={"file": ("a.png", bench.png)}).json()["id"]
    assert theirs.request(method, f"/v1/analyses/{id}{path}").status_code == 404
    assert theirs.get("/v1/analyses").json()["items"] == []
    assert mine.get(f"/v1/analyses/{id}").status_code == 200
