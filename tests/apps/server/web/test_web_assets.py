"""Scripts and styles: served from the package alone, and with all that they refer to."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unmask.apps.server.web import words

if TYPE_CHECKING:
    from conftest import Desk

STATIC = Path(str(resources.files("unmask.apps.server.web").joinpath("static")))
SCRIPTS = sorted(STATIC.rglob("*.js"))


def test_a_copy_that_is_still_right_is_not_sent_again(desk: Desk) -> None:
    first = desk.client.get("/static/app.css")
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    tag = {"If-None-Match": first.headers["etag"]}
    assert desk.client.get("/static/app.css", headers=tag).status_code == 304
    assert desk.client.get("/static/report.css", headers=tag).status_code == 200


@pytest.mark.parametrize(
    "path", ["../words.py", "%2e%2e/words.py", "..%2fwords.py", "annotate", "", "none.js"]
)
def test_nothing_else_is_served(desk: Desk, path: str) -> None:
    assert desk.client.get(f"/static/{path}").status_code == 404


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_what_a_script_imports_is_there(script: Path) -> None:
    source = script.read_text("utf-8")
    for target in re.findall(r'from "([^"]+)"', source):
        assert target.startswith("."), target
        assert (script.parent / target).is_file(), target
    assert "http://" not in source.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in source
    assert "eval(" not in source


def test_every_sentence_a_script_says_is_there() -> None:
    parts = (words.ANALYSE, words.JOB, words.RESULT, words.BATCH, words.LOGIN, words.ANNOTATE)
    known = {name for part in (words.COMMON, *parts) for name in part.get("js", {})}
    used: set[str] = set()
    for script in SCRIPTS:
        source = script.read_text("utf-8")
        used |= set(re.findall(r'\bsay\("(\w+)"', source))
        used |= set(re.findall(r"\bwords\.(\w+)", source)) - {"js", "length"}
    assert used - known == set()
    assert len(used) > 40
