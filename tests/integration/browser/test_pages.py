"""Analyse, job, result, batch and login, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.browser.conftest import (
    CHROMIUM,
    CLIP,
    EXAMPLES,
    STILL,
    Site,
    Window,
    free_port,
    served,
    violations,
)

from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.timeout(600),
]


def test_still_from_upload_to_heatmap_and_report(window: Window) -> None:
    window.go("/")
    window.page.set_input_files("#files", STILL)
    assert STILL.name in window.page.locator("#list").inner_text()
    window.page.click("#start")
    window.page.wait_for_url("**/results/*")
    assert window.page.locator("h1").inner_text() == STILL.name
    assert "Of real faces" in window.page.locator(".finding").inner_text()
    box = window.page.locator("#boxes .box text")
    assert box.text_content().startswith("Face 0: ")
    window.page.uncheck("#show-boxes")
    assert not box.is_visible()
    window.page.wait_for_selector("#evidence .face img.layer")
    slider, layer = window.page.locator(".strength").first, window.page.locator(".layer").first
    assert layer.evaluate("node => node.naturalWidth") > 0
    slider.fill("40")
    assert layer.evaluate("node => getComputedStyle(node).opacity") == "0.4"
    assert window.page.locator(".heat output").first.inner_text() == "40%"
    slider.press("Home")
    assert layer.evaluate("node => getComputedStyle(node).opacity") == "0"
    assert window.page.locator("#evidence .pixels").first.evaluate("node => node.naturalWidth") > 0
    with window.page.expect_download() as download:
        window.page.click("text=Result (JSON)")
    told = json.loads(Path(download.value.path()).read_text())
    assert told["input"]["path"] == STILL.name
    assert told["status"] == "scored"
    window.page.click("#report")
    window.page.wait_for_url("**/report.html")
    assert STILL.name in window.page.content()


def test_clip_is_sought_by_the_timeline(window: Window, analysed: Callable[[Path], str]) -> None:
    window.go(analysed(CLIP))
    media, timeline = window.page.locator("#media"), window.page.locator("#timeline")
    frames = window.page.evaluate(
        "() => JSON.parse(document.getElementById('data').textContent).faces[0].frames"
    )
    assert len(frames) > 2
    window.page.wait_for_function("() => document.getElementById('media').readyState >= 1")

    def wait_for(frame: int) -> None:
        """Until the clip shows that frame, and the page says so."""
        window.page.wait_for_function(
            "t => Math.abs(document.getElementById('media').currentTime - t) < 0.02",
            arg=frames[frame]["t"],
        )
        assert timeline.get_attribute("aria-valuenow") == str(frame)
        assert frames[frame]["time"] in window.say("chosen-said")
        assert frames[frame]["score"] in window.say("chosen-said")

    timeline.focus()
    timeline.press("ArrowRight")
    wait_for(1)
    timeline.press("End")
    wait_for(len(frames) - 1)
    timeline.press("ArrowLeft")
    wait_for(len(frames) - 2)
    timeline.press("Home")
    wait_for(0)
    media.evaluate("node => { node.currentTime = 0.5; }")
    timeline.press("Enter")  # back to the chosen frame
    wait_for(0)
    matrix = timeline.evaluate(
        "node => { const m = node.getScreenCTM(); return [m.a, m.d, m.e, m.f]; }"
    )
    x = matrix[0] * frames[2]["x"] + matrix[2]
    y = matrix[1] * frames[2]["y"] + matrix[3]
    window.page.mouse.click(x, y + 12)
    wait_for(2)
    window.page.locator("details:has(#frames-table) > summary").click()
    window.page.locator("#frames-table [data-frame='1']").click()
    wait_for(1)
    boxes = window.page.locator("#boxes .box")
    assert boxes.count() == 1
    assert frames[1]["score"] in boxes.first.locator("text").text_content()


def test_a_job_survives_a_reload_and_can_be_cancelled(window: Window, site: Site) -> None:
    with site.worker_asleep():
        window.go("/")
        window.page.set_input_files("#files", CLIP)
        window.page.click("#start")
        window.page.wait_for_url("**/jobs/*")
        window.page.reload()
        assert window.page.locator("h1").inner_text() == CLIP.name
        job = window.page.url
        window.go("/")
        window.page.set_input_files("#files", STILL)
        window.page.click("#start")
        window.page.wait_for_url("**/jobs/*")
        window.page.click("#cancel")
        window.page.wait_for_selector("text=The analysis was cancelled")
        window.page.goto(job)
    window.page.wait_for_url("**/results/*")
    assert window.page.locator("h1").inner_text() == CLIP.name


def test_several_files_become_a_batch_that_filters_and_sorts(window: Window) -> None:
    window.go("/")
    names = ["real_london_1.jpg", "no_face.jpg", "fake_blend_london.jpg"]
    window.page.set_input_files("#files", [EXAMPLES / name for name in names])
    window.page.click("#start")
    window.page.wait_for_url("**/batches/*")
    window.page.wait_for_selector("text=All 3 ended.")
    shown = window.page.locator("#rows tr:visible th")
    assert shown.all_inner_texts() == names
    window.page.click("[data-sort=name]")
    assert shown.all_inner_texts() == sorted(names)
    window.page.click("[data-sort=name]")
    assert shown.all_inner_texts() == sorted(names, reverse=True)
    window.page.select_option("#group", "not_scored")
    assert shown.all_inner_texts() == ["no_face.jpg"]
    window.page.select_option("#group", "")
    window.page.fill("#name", "LONDON")
    assert sorted(shown.all_inner_texts()) == ["fake_blend_london.jpg", "real_london_1.jpg"]
    with window.page.expect_download() as download:
        window.page.click("text=Results (JSON lines)")
    lines = Path(download.value.path()).read_text().splitlines()
    assert [json.loads(line)["input"]["path"] for line in lines] == names


def test_files_can_be_dropped_and_empty_ones_are_named(window: Window) -> None:
    window.go("/")
    window.page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["x"], "kept.jpg"));
            data.items.add(new File([], "empty.jpg"));
            const event = new DragEvent("drop", { dataTransfer: data, bubbles: true });
            document.getElementById("drop").dispatchEvent(event);
        }"""
    )
    assert window.page.locator("#list bdi").all_inner_texts() == ["kept.jpg"]
    assert window.say("trouble") == "empty.jpg has no bytes. It was left out."
    window.page.click("#start")  # one byte of text is no picture: the service says so
    window.page.wait_for_selector("#list .failed")
    window.complaints.remove(next(text for text in window.complaints if "415" in text))
    assert window.page.locator("#start").is_enabled()


def test_a_token_opens_the_pages_until_logged_out(browser: Any, tmp_path: Path) -> None:
    settings = ServerSettings.of(data=tmp_path / "service", port=free_port())
    store = open_store(settings)
    _, secret = store.tokens.create("Ada", ["analyse", "read"])
    with served(settings, store) as address:
        page = browser.new_page()
        page.goto(f"{address}/model")
        page.wait_for_url("**/login?next=/model")
        page.fill("#token", "unmask_wrong")
        page.click("text=Log in >> nth=-1")
        page.wait_for_selector("text=That token was not taken.")
        page.fill("#token", secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/model")  # "**/model" is the login page's address, too
        assert page.evaluate("document.cookie") == ""  # out of reach of scripts
        page.click("#logout")
        page.wait_for_url("**/login")
        page.goto(address)
        page.wait_for_url("**/login?next=/")
        page.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[1280, 360])
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def looked_at(window: Window, scheme: str, width: int) -> Callable[[], None]:
    """Fails where the page as it is, with all that can be opened, is hard to use or too wide.

    A caption that is a letter wide is one that stands outside of its table.
    """
    window.page.emulate_media(color_scheme=scheme)
    window.page.set_viewport_size({"width": width, "height": 800})

    def look() -> None:
        for details in window.page.locator("details").all():
            details.evaluate("node => { node.open = true; }")
        path = window.page.url.removeprefix(window.site.address)
        assert violations(window) == [], path
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width, path
        captions = window.page.locator("caption:not(.seen-less):visible").all()
        assert [one for one in captions if one.bounding_box()["width"] < 60] == [], path

    return look


def test_axe_finds_nothing_serious(
    window: Window, analysed: Callable[[Path], str], looked_at: Callable[[], None]
) -> None:
    results = [analysed(STILL), analysed(CLIP)]
    for path in ["/", "/model", "/login", "/annotate", "/docs", *results]:
        window.go(path)
        if path in results:
            window.page.wait_for_selector(".face img")
        looked_at()


def test_axe_finds_nothing_serious_while_a_batch_is_done_and_after(
    window: Window, site: Site, looked_at: Callable[[], None]
) -> None:
    names = ["real_london_1.jpg", "no_face.jpg", "fake_blend_london.jpg"]
    with site.worker_asleep():
        window.go("/")
        window.page.set_input_files("#files", [EXAMPLES / name for name in names])
        looked_at()
        window.page.click("#start")
        window.page.wait_for_url("**/batches/*")
        window.page.wait_for_selector("text=0 of 3 ended")
        batch = window.page.url
        looked_at()
        window.page.click(f"text={names[2]}")
        window.page.wait_for_selector("#ahead:not(:empty)")
        looked_at()
        window.page.click("#cancel")
        window.page.wait_for_selector("text=The analysis was cancelled")
        looked_at()
    window.page.goto(batch)
    window.page.wait_for_selector("text=All 3 ended.")
    assert window.page.locator("#rows .state").all_inner_texts()[1:] == ["Not scored", "Cancelled"]
    looked_at()


def test_a_batchs_rows_are_fetched_where_the_page_was_made_before_the_last_one_ended(
    window: Window,
) -> None:
    """As when a job ends between the page and its first question: nothing may stay "running"."""
    window.go("/")
    window.page.set_input_files("#files", [EXAMPLES / n for n in ("no_face.jpg", "truncated.jpg")])
    window.page.click("#start")
    window.page.wait_for_url("**/batches/*")
    window.page.wait_for_selector("text=All 2 ended.")
    rows = window.page.locator("#rows tr")
    groups = [row.get_attribute("data-group") for row in rows.all()]

    def earlier(route: Any) -> None:
        made = route.fetch()
        route.fulfill(
            response=made, body=re.sub('data-group="[a-z_]+"', 'data-group="running"', made.text())
        )

    window.page.route(window.page.url, earlier)
    window.page.reload()
    window.page.wait_for_selector("text=All 2 ended.")
    assert [row.get_attribute("data-group") for row in rows.all()] == groups


def test_a_queued_job_says_that_no_worker_runs(browser: Any, tmp_path: Path) -> None:
    settings = ServerSettings.of(data=tmp_path / "service", port=free_port())
    store = open_store(settings)
    with served(settings, store) as address:
        page = browser.new_page()
        page.goto(address)
        page.set_input_files("#files", STILL)
        page.click("#start")
        page.wait_for_url("**/jobs/*")
        page.wait_for_selector("#ahead:has-text('No worker runs')")
        store.jobs.register("w" * 32, model="m", weights_sha256="0" * 64)
        page.wait_for_selector("#ahead:has-text('Next in the queue.')")
        page.close()


def test_axe_finds_nothing_serious_where_nothing_is(
    window: Window, looked_at: Callable[[], None]
) -> None:
    window.go(f"/jobs/{'0' * 32}")
    window.complaints.remove(next(text for text in window.complaints if "404" in text))
    looked_at()
