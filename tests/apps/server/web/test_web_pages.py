"""The pages: what they say, whom they say it to, and that nothing in them comes from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from unmask.apps.report import numbers, text
from unmask.apps.server.model import read_model_card
from unmask.apps.server.web import words
from unmask.results import Result

if TYPE_CHECKING:
    from conftest import Desk

VOID = {"meta", "img", "input", "br", "link", "hr", "wbr"}
HOSTILE = '"><script>alert(1)</script>\u202egpj.exe'


class Page(HTMLParser):
    """A parsed page; parsing fails on tags that are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.json: dict[str, Any] = {}
        self._open: list[str] = []
        self._script = ""
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self._script = dict(attrs).get("id") or ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            self.json[self._script] = json.loads(data)
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def open_page(desk: Desk) -> Callable[..., Page]:
    def open_page(path: str, *, status: int = 200) -> Page:
        response = desk.client.get(path)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        return Page(response.text)

    return open_page


def every_page(desk: Desk, scored: Callable[..., Result], unscored: Any) -> list[str]:
    clip = desk.done("c.mp4", format="mp4", times=(0.5, 1.0, 2.0))
    still = desk.done(HOSTILE)
    none = desk.done("n.jpg", result=unscored("n.jpg"))
    batch = desk.store.jobs.open_batch(owner="local")[0]
    desk.done("b.jpg", batch=batch.id)
    waiting = desk.submit("w.jpg", batch=batch.id)
    fixed = ["/", "/model", "/annotate", "/login", "/forbidden?scope=read", "/jobs/" + "0" * 32]
    results = [f"/results/{job.id}" for job in (clip, still, none)]
    return [*fixed, *results, f"/batches/{batch.id}", f"/jobs/{waiting.id}"]


def test_nothing_is_inline_or_of_another_host(
    desk: Desk, scored_result: Callable[..., Result], unscored_result: Any
) -> None:
    for path in every_page(desk, scored_result, unscored_result):
        page = Page(desk.client.get(path).text)
        for tag, attributes in page.tags:
            assert "style" not in attributes, (path, tag)
            assert not [name for name in attributes if name.startswith("on")], (path, tag)
            for name in ("src", "href", "action"):
                target = attributes.get(name)
                assert target is None or target[0] in "/#", (path, tag, target)
        assert page.all("style") == []
        for script in page.all("script"):
            assert script.get("type") in ("module", "application/json"), path
            assert ("src" in script) == (script["type"] == "module"), path
        for needed in [*page.all("link"), *page.all("script")]:
            address = needed.get("href") or needed.get("src")
            if address:
                assert desk.client.get(address).status_code == 200, address


def test_every_field_has_a_label_and_every_picture_a_text(
    desk: Desk, scored_result: Callable[..., Result], unscored_result: Any
) -> None:
    for path in every_page(desk, scored_result, unscored_result):
        page = Page(desk.client.get(path).text)
        labels = {label.get("for") for label in page.all("label")}
        for tag in ("input", "select", "progress"):
            for attributes in page.all(tag):
                id = attributes.get("id")
                wrapped = re.search(rf'<label[^>]*>[^<]*<{tag}[^>]*id="{id}"', page.source)
                radio = attributes.get("type") == "radio"
                assert radio or id in labels or wrapped, (path, attributes)
        assert all("alt" in picture for picture in page.all("img")), path
        ids = [a["id"] for _, a in page.tags if a.get("id")]
        assert len(ids) == len(set(ids)), path
        assert len(page.all("h1")) == 1, path
        assert page.all("html")[0]["lang"] == "en"


def test_a_hostile_name_is_text(desk: Desk, open_page: Callable[..., Page]) -> None:
    job = desk.done(HOSTILE)
    for path in ("/", f"/results/{job.id}"):
        page = open_page(path)
        assert "<script>alert" not in page.source
        assert "\u202e" not in page.source
        assert '"><script>alert(1)</script>\\u202egpj.exe' in page.text


def test_limits_stand_before_the_drop_zone(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    limits = page.text.index("536.9 MB")
    assert limits < page.text.index(words.ANALYSE["drop"])
    assert "deleted after 1 hour" in page.text
    assert text.LIMITS[0] in page.text
    (files,) = (a for a in page.all("input") if a.get("type") == "file")
    assert "multiple" in files
    assert page.json["data"] == {"max_bytes": 512 * 2**20}


def test_recent_analyses_lead_to_their_pages(desk: Desk, open_page: Callable[..., Page]) -> None:
    done, waiting = desk.done("done.jpg"), desk.submit("waits.jpg")
    page = open_page("/")
    links = [a.get("href") for a in page.all("a")]
    assert f"/results/{done.id}" in links
    assert f"/jobs/{waiting.id}" in links
    assert "Likely manipulated" in page.text
    assert "Waiting" in page.text


def test_a_job_waits_then_leads_on(desk: Desk, open_page: Callable[..., Page]) -> None:
    job = desk.submit()
    page = open_page(f"/jobs/{job.id}")
    assert "Waiting for its turn" in page.text
    assert page.json["data"] == {"id": job.id}
    assert desk.client.get(f"/results/{job.id}").headers["location"] == f"/jobs/{job.id}"
    desk.finish(None)
    page = open_page(f"/jobs/{job.id}")
    assert "The analysis failed, and there is no result. It broke." in page.text
    assert all("job.js" not in (script.get("src") or "") for script in page.all("script"))
    other = desk.done()
    assert desk.client.get(f"/jobs/{other.id}").headers["location"] == f"/results/{other.id}"


def test_a_result_says_the_finding_of_the_report(
    desk: Desk, open_page: Callable[..., Page], scored_result: Callable[..., Result]
) -> None:
    job = desk.done("c.mp4", format="mp4", times=(0.5, 1.0, 2.0))
    page = open_page(f"/results/{job.id}")
    assert text.finding(scored_result("c.mp4", times=(0.5, 1.0, 2.0))) in page.text
    assert all(limit in page.text for limit in text.LIMITS)
    assert page.all("video")[0]["src"] == f"/v1/analyses/{job.id}/media"
    assert "unmask scan --out repeated.jsonl --max-frames 7 c.mp4" in page.text
    assert "unmask verify --max-frames 7 result.json c.mp4" in page.text
    (timeline,) = (a for a in page.all("svg") if a.get("id") == "timeline")
    assert (timeline["role"], timeline["tabindex"]) == ("slider", "0")
    face = page.json["data"]["faces"][0]
    assert [frame["t"] for frame in face["frames"]] == [0.5, 1.0, 2.0]
    marks = re.findall(r'class="solid" transform="translate\((\S+) (\S+)\)"', page.source)
    assert (str(face["frames"][0]["x"]), str(face["frames"][0]["y"])) in marks


def test_a_still_has_a_picture_and_no_timeline(desk: Desk, open_page: Callable[..., Page]) -> None:
    page = open_page(f"/results/{desk.done().id}")
    assert page.all("video") == []
    assert [a for a in page.all("img") if a.get("id") == "media"]
    assert not [a for a in page.all("svg") if a.get("id") == "timeline"]


def test_what_was_not_scored_says_why(
    desk: Desk, open_page: Callable[..., Page], unscored_result: Any
) -> None:
    job = desk.done("n.jpg", result=unscored_result("n.jpg"))
    page = open_page(f"/results/{job.id}")
    assert words.RESULT["unscored"] in page.text
    assert text.ADVICE["no_face"] in page.text
    assert not [a for _, a in page.tags if a.get("id") in ("report", "evidence")]


def test_a_batch_lists_its_files_in_order(desk: Desk, open_page: Callable[..., Page]) -> None:
    batch = desk.store.jobs.open_batch(owner="local")[0]
    desk.done("z.jpg", batch=batch.id)
    desk.submit("a.jpg", batch=batch.id)
    desk.done("elsewhere.jpg")
    rows = [a for a in open_page(f"/batches/{batch.id}").all("tr") if "data-name" in a]
    assert [(row["data-name"], row["data-group"]) for row in rows] == [
        ("z.jpg", "likely_manipulated"),
        ("a.jpg", "likely_manipulated"),
    ]
    part = desk.client.get(f"/batches/{batch.id}/rows").text
    assert part.count("<tr") == 2
    assert "<html" not in part


def test_what_is_not_there_is_a_page_too(desk: Desk, open_page: Callable[..., Page]) -> None:
    other = desk.submit(owner="somebody else")
    for path in ("/jobs/", "/results/"):
        for id in ("0" * 32, other.id):
            assert words.MISSING["lead"] in open_page(path + id, status=404).text
    assert words.MISSING["lead"] in open_page("/batches/" + "0" * 32, status=404).text


def test_pages_ask_for_a_token_where_there_are_some(desk: Desk) -> None:
    secret = desk.token("annotate")
    answer = desk.client.get("/batches/" + "0" * 32)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/batches/" + "0" * 32
    assert desk.client.get("/login").status_code == 200
    headers = {"Authorization": f"Bearer {secret}"}
    assert desk.client.get("/annotate", headers=headers).status_code == 200
    lacks = desk.client.get("/", headers=headers)
    assert lacks.headers["location"] == "/forbidden?scope=read"
    told = desk.client.get("/forbidden?scope=read", headers=headers)
    assert told.status_code == 403
    assert "“read”" in told.text


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("/results/1", "/results/1"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
    ],
)
def test_login_leads_only_inside(open_page: Callable[..., Page], given: str, used: str) -> None:
    assert open_page(f"/login?next={given}").json["data"] == {"next": used}


def test_model_page_tells_failures_rates_and_curve(open_page: Callable[..., Page]) -> None:
    page = open_page("/model")
    card = read_model_card("unmask-default")
    assert all(failure in page.text for failure in card["limitations"])
    rate = numbers.percent(card["decision"]["fpr_at_flag"])
    assert f"{rate} (95% CI {numbers.percent_range(*card['decision']['ci95'])})" in page.text
    blend = card["metrics"]["splits"]["test"]["in_family"]["self_blend"]
    low, high = (f"{value:.3f}" for value in blend["ci95"])
    assert f"{blend['auc']:.3f} ({low}–{high})" in page.text
    assert words.MODEL["curve_table"] in page.text


def test_model_page_tells_the_thresholds_of_a_calibration_beside_the_cards(
    calibrated_desk: Desk,
) -> None:
    told = unescape(calibrated_desk.client.get("/model").text)
    decision = read_model_card("unmask-default")["decision"]
    assert "5% (95% CI 2–11%)" in told
    assert "120 reals of this user's own" in told
    assert f"flag {decision['flag']:.3f}, clear {decision['clear']:.3f}" in told  # in place of
    assert words.MODEL["reals_note"] in told


def test_commands_name_the_calibration_that_a_result_was_judged_with(
    desk: Desk, calibrated_desk: Desk, scored_result: Callable[..., Result]
) -> None:
    before = desk.done("before.jpg")
    own = {"flag": 0.625, "clear": 0.125, "measured_on": "120 reals of this user's own"}
    result = scored_result("after.jpg")
    assert result.threshold is not None
    threshold = result.threshold.model_copy(update=own)
    after = calibrated_desk.done(
        "after.jpg", result=result.model_copy(update={"threshold": threshold})
    )
    told = calibrated_desk.client.get(f"/results/{after.id}").text
    assert (
        "unmask scan --out repeated.jsonl --max-frames 7 --calibration own.json after.jpg" in told
    )
    assert "unmask verify --max-frames 7 --calibration own.json result.json after.jpg" in told
    assert str(calibrated_desk.settings.data.parent) not in told
    told = calibrated_desk.client.get(f"/results/{before.id}").text
    assert "unmask verify --max-frames 7 result.json before.jpg" in told
    assert "--calibration" not in told


def test_long_names_are_broken_after_their_parts(desk: Desk) -> None:
    job = desk.done("a_<long>_name.jpg")
    for path in ("/", f"/results/{job.id}"):
        told = desk.client.get(path).text
        assert "<bdi>a_<wbr>&lt;long&gt;_<wbr>name.<wbr>jpg</bdi>" in told
