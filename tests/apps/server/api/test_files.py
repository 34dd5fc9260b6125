from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.report import ReportWriter
from unmask.apps.server.api import evidence
from unmask.media.formats import IMAGE_FORMATS, VIDEO_FORMATS
from unmask.results import Result

REPORT = ("/report.html", "/evidence.json", "/faces/0/heatmap.png")


def test_every_format_has_a_media_type() -> None:
    assert set(evidence.MEDIA_TYPES) == IMAGE_FORMATS | VIDEO_FORMATS


def test_the_upload_comes_back_as_what_it_is(bench: Any) -> None:
    id = bench.submitted(name="a.exe")
    answer = bench.client.get(f"/v1/analyses/{id}/media")
    assert (answer.status_code, answer.content) == (200, bench.png)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-3", 0, 4),
        ("bytes=8-", 8, None),
        ("bytes=-5", -5, None),
        ("bytes=10-999999", 10, None),
        ("bytes=-999999", 0, None),
    ],
)
def test_ranges(bench: Any, asked: str, start: int, end: int | None) -> None:
    id = bench.submitted()
    answer = bench.client.get(f"/v1/analyses/{id}/media", headers={"Range": asked})
    expected = bench.png[start:end]
    assert (answer.status_code, answer.content) == (206, expected)
    first = len(bench.png) + start if start < 0 else start
    told = f"bytes {first}-{first + len(expected) - 1}/{len(bench.png)}"
    assert answer.headers["content-range"] == told


@pytest.mark.parametrize(
    "asked",
    ["bytes=3-1", "bytes=a-b", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,3-4", "bytes=--1"],
)
def test_ranges_that_are_none_get_everything(bench: Any, asked: str) -> None:
    id = bench.submitted()
    answer = bench.client.get(f"/v1/analyses/{id}/media", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, bench.png)


@pytest.mark.parametrize("asked", ["bytes=999999-", "bytes=-0"])
def test_ranges_beyond_the_file_are_a_problem(bench: Any, asked: str) -> None:
    id = bench.submitted()
    answer = bench.client.get(f"/v1/analyses/{id}/media", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(bench.png)}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_range_of_another_content_gets_everything(bench: Any) -> None:
    path = f"/v1/analyses/{bench.submitted()}/media"
    tag = bench.client.get(path).headers["etag"]
    same = bench.client.get(path, headers={"Range": "bytes=0-1", "If-Range": tag})
    other = bench.client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_an_upload_past_its_time_is_gone(make_bench: Any) -> None:
    bench = make_bench(retention_s=60)
    id = bench.analysed()
    bench.clock.pass_by(61)
    bench.store.jobs.sweep(bench.clock())
    for name in ("/media", "/result.json", *REPORT):
        answer = bench.client.get(f"/v1/analyses/{id}{name}")
        assert answer.status_code == 409, name
        assert answer.json()["type"] == "urn:unmask:problem:upload-gone"


def test_result_json_can_be_read_back(bench: Any) -> None:
    id = bench.analysed(name='x"; filename=evil.png')
    answer = bench.client.get(f"/v1/analyses/{id}/result.json")
    assert Result.from_json(answer.content).score == 0.9
    told = f'attachment; filename="unmask-{id[:8]}.json"'
    assert answer.headers["content-disposition"] == told


@pytest.mark.parametrize("name", ["/result.json", *REPORT])
def test_without_a_result_there_is_a_conflict(bench: Any, name: str) -> None:
    id = bench.submitted()
    queued = bench.client.get(f"/v1/analyses/{id}{name}")
    bench.client.post(f"/v1/analyses/{id}/cancel")
    cancelled = bench.client.get(f"/v1/analyses/{id}{name}")
    assert (queued.status_code, cancelled.status_code) == (409, 409)
    assert "cancelled" in cancelled.json()["detail"]


@pytest.mark.parametrize("name", REPORT)
def test_asking_has_the_evidence_made_once(bench: Any, name: str) -> None:
    id = bench.analysed()
    before = bench.client.get(f"/v1/analyses/{id}/result.json").content
    first = bench.client.get(f"/v1/analyses/{id}{name}")
    again = bench.client.get(f"/v1/analyses/{id}{name}")
    for answer in (first, again):
        assert (answer.status_code, answer.json()) == (202, {"evidence": "wanted"})
        assert answer.headers["retry-after"] == "1"
    assert [action for _, action, _ in bench.audit()].count("ask for evidence") == 1
    bench.show_evidence(id, {name[1:]: b"made"})
    ready = bench.client.get(f"/v1/analyses/{id}{name}")
    assert (ready.status_code, ready.content) == (200, b"made")
    assert bench.client.get(f"/v1/analyses/{id}/result.json").content == before


def test_evidence_in_the_making(bench: Any) -> None:
    id = bench.analysed()
    bench.client.get(f"/v1/analyses/{id}/report.html")
    bench.claim(id)
    answer = bench.client.get(f"/v1/analyses/{id}/report.html")
    assert (answer.status_code, answer.json()) == (202, {"evidence": "making"})


def test_evidence_that_failed_says_why(bench: Any) -> None:
    id = bench.analysed()
    bench.client.get(f"/v1/analyses/{id}/report.html")
    assert bench.store.jobs.evidence_failed(bench.claim(id), "The disk is full.")
    answer = bench.client.get(f"/v1/analyses/{id}/report.html")
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("The disk is full.")


def test_no_evidence_without_the_upload(bench: Any) -> None:
    id = bench.analysed()
    bench.settings.upload_path(id).unlink()
    answer = bench.client.get(f"/v1/analyses/{id}/report.html")
    assert (answer.status_code, answer.json()["status"]) == (409, 409)
    assert bench.client.get(f"/v1/analyses/{id}").json()["evidence"] == "none"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("faces/1/heatmap.png", 404),
        ("faces/0/heatmap-7.png", 404),
        ("faces/0/heatmap.gif", 422),
        ("faces/0/..%2f..%2freport.html", 404),
        ("faces/x/heatmap.png", 422),
        ("faces/-1/heatmap.png", 422),
    ],
)
def test_pictures_that_are_not_there(bench: Any, name: str, status: int) -> None:
    id = bench.analysed(fields={"evidence": "true"})
    bench.show_evidence(id, {"faces/0/heatmap.png": b"made"})
    assert bench.client.get(f"/v1/analyses/{id}/{name}").status_code == status


def test_pictures_have_their_type(bench: Any) -> None:
    id = bench.analysed(fields={"evidence": "true"})
    names = ("faces/0/heat.png", "faces/0/residual-12.png", "faces/0/crop.jpg")
    bench.show_evidence(id, dict.fromkeys(names, b"made"))
    kinds = [
        bench.client.get(f"/v1/analyses/{id}/{name}").headers["content-type"] for name in names
    ]
    assert kinds == ["image/png", "image/png", "image/jpeg"]


def test_a_folder_outside_of_the_evidence_is_never_read(bench: Any) -> None:
    from dataclasses import replace

    id = bench.analysed(fields={"evidence": "true"})
    bench.show_evidence(id, {"report.html": b"made"})
    job = bench.store.jobs.job(id)
    with pytest.raises(FileNotFoundError):
        evidence._folder(bench.app.state.service, replace(job, evidence_dir=f"uploads/{id}"))


def test_the_report_is_boxed_in_and_may_use_its_own_style_and_script(
    bench: Any, tmp_path: Path
) -> None:
    id = bench.analysed(fields={"evidence": "true"})
    page = tmp_path / "report.html"
    with ReportWriter(page, command=["unmask"], tool="unmask 0"):
        pass
    bench.show_evidence(id, {"report.html": page.read_bytes()})
    policy = bench.client.get(f"/v1/analyses/{id}/report.html").headers["content-security-policy"]
    inside = re.search(r'Content-Security-Policy" content="([^"]*)"', page.read_text())
    assert inside is not None
    hashes = re.findall(r"sha256-[\w+/=]+", inside[1].replace("&#43;", "+").replace("&#39;", "'"))
    assert len(hashes) == 2
    assert all(f"'{one}'" in policy for one in hashes)
    assert "sandbox allow-scripts" in policy
    assert "default-src 'none'" in policy
