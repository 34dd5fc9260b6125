"""Templates of the pages: those of the report, with the app's own beside them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from unmask import __version__
from unmask.apps.report import numbers
from unmask.apps.report.results import result_environment
from unmask.apps.server.web import words

REPORT_STYLE = "report.css"


@cache
def environment() -> Environment:
    """The report's environment and filters; its templates are found after the app's."""
    env = result_environment()
    assert env.loader is not None
    env.loader = ChoiceLoader([PackageLoader("unmask.apps.server.web", "templates"), env.loader])
    env.filters |= {"moment": moment, "breakable": breakable}
    env.globals |= {"common": words.COMMON, "tool": f"unmask {__version__}"}
    return env


def render(name: str, part: dict[str, Any], *, status: int = 200, **given: object) -> HTMLResponse:
    """A page.

    Args:
        name: of its template, without `.html.j2`.
        part: its words, one of `words`; what its scripts need of them is under `js`.
        status: of the response.
        given: what else the template needs.
    """
    spoken = {**words.COMMON["js"], **part.get("js", {})}
    template = environment().get_template(f"{name}.html.j2")
    made = template.render(w=part, spoken=spoken, **given)
    return HTMLResponse(made, status, headers={"Cache-Control": "no-store"})


@cache
def report_style() -> str:
    """The style sheet of the report, which the pages share."""
    folder = resources.files("unmask.apps.report").joinpath("templates")
    return folder.joinpath(REPORT_STYLE).read_text(encoding="utf-8")


def moment(value: datetime | None) -> str:
    """A time for people, in UTC to the minute: `2026-01-02 03:04 UTC`."""
    return numbers.NONE if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def breakable(name: str) -> Markup:
    """A file name, invisible characters spelled out, that may be broken after `_` and `.`.

    >>> breakable("a_<b>.jpg")
    Markup('a_<wbr>&lt;b&gt;.<wbr>jpg')
    """
    return Markup("<wbr>").join(re.split(r"(?<=[_.])", numbers.visible(name)))


def duration(seconds: float) -> str:
    """A retention in words: `24 hours`, `7 days`, `90 seconds`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return numbers.plural(round(seconds / size), unit)
    return numbers.plural(max(1, round(seconds)), "second")
