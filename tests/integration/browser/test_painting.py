"""The Annotate page in a real browser: what is painted is in the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.integration.browser.conftest import (
    CHROMIUM,
    Site,
    Window,
    conflict_noise,
    on_screen,
    painting,
    violations,
)

from unmask.data.annotation.pictures import read_pictures
from unmask.data.annotation.store import Annotations, MaskStore

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.timeout(600),
]


def test_a_mask_painted_with_the_mouse_is_in_the_store(window: Window, site: Site) -> None:
    with painting(window, "mouse") as picture:
        x0, y0 = on_screen(window, 0.4, 0.5)
        x1, y1 = on_screen(window, 0.6, 0.5)
        window.page.mouse.move(x0, y0)
        window.page.mouse.down()
        window.page.mouse.move(x1, y1, steps=5)
        window.page.mouse.up()
        assert "kept in this browser" in window.say("draft")
        window.page.reload()
        window.page.wait_for_selector("text=is back")  # the draft came back
        window.page.click("#accept")
        window.page.wait_for_selector("text=Stored: mask, revision 1.")
    answers = Annotations(site.annotations)
    record = answers.latest(picture)
    assert record is not None
    assert (record.annotator, record.source, record.kind) == ("mouse", "painted", "mask")
    mask = answers.mask(record)
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    assert columns.min() / width == pytest.approx(0.4, abs=0.04)
    assert columns.max() / width == pytest.approx(0.6, abs=0.04)
    assert rows.mean() / height == pytest.approx(0.5, abs=0.02)


def test_a_mask_can_be_painted_by_keys_alone(window: Window, site: Site) -> None:
    with painting(window, "keys") as picture:
        canvas = window.page.locator("#canvas")
        canvas.focus()
        for _ in range(20):
            canvas.press("[")
        window.page.keyboard.down(" ")
        for _ in range(5):
            canvas.press("ArrowRight")
        window.page.keyboard.up(" ")
        painted = window.say("area")
        canvas.press("z")
        assert "(0 pixels)" in window.say("area")
        canvas.press("y")
        assert window.say("area") == painted
        canvas.press("p")
        for key, times in (("ArrowDown", 3), ("ArrowRight", 3), ("ArrowUp", 2)):
            for _ in range(times):
                canvas.press(f"Shift+{key}")
            canvas.press("Enter")
        canvas.press("c")
        assert window.say("area") != painted
        canvas.press("a")
        window.page.wait_for_selector("text=Stored: mask, revision")
    record = Annotations(site.annotations).latest(picture)
    assert record is not None
    assert record.annotator == "keys"


def test_the_models_map_is_off_until_asked_for(window: Window) -> None:
    window.go("/annotate")
    window.page.wait_for_selector("#queue [aria-current]")
    window.page.wait_for_selector("text=pixels:")
    assert not window.page.is_checked("#map")
    assert not [url for url in window.asked if "/v1/analyses" in url]
    window.page.check("#map")
    window.page.wait_for_selector("text=The model's map is shown.")
    names = [Path(url).name for url in window.asked]
    assert "heat.png" in names
    window.go("/")
    fakes = window.page.locator(".recent th").all_inner_texts()
    assert not [name for name in fakes if name.endswith(".png")]  # the upload is deleted again


def test_a_conflict_is_merged(window: Window, site: Site) -> None:
    with painting(window, "second") as sha256:
        x, y = on_screen(window, 0.3, 0.3)
        window.page.mouse.click(x, y)
        picture = next(
            p for p in read_pictures(site.annotations.parent / "pictures") if p.sha256 == sha256
        )
        width, height = picture.size
        theirs = np.zeros((height, width), bool)
        theirs[-20:, -20:] = True
        with MaskStore(site.annotations) as store:
            store.add(picture, theirs, revision=0, annotator="first", source="painted")
        window.page.click("#accept")
        window.page.wait_for_selector("#merge[open]")
        assert "first answered at" in window.say("merge-text")
        axe = violations(window)
        window.page.click("#take-union")
        window.page.wait_for_selector("text=Stored: mask, revision 2.")
    window.complaints.remove(conflict_noise(window))
    assert axe == []
    answers = Annotations(site.annotations)
    record = answers.latest(sha256)
    assert record is not None
    assert (record.annotator, record.revision) == ("second", 2)
    mask = answers.mask(record)
    assert mask[-20:, -20:].all()
    assert mask[: height // 2].any()
