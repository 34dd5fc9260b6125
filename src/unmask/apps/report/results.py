"""The templates of whatever shows a result: this report, and the pages of the service."""

from __future__ import annotations

from jinja2 import Environment

from unmask.apps.report import numbers, pictures, text
from unmask.apps.report.page import environment


def result_environment() -> Environment:
    """A fresh environment with the numbers, sentences and colours of results."""
    env = environment()
    env.filters |= {
        "score": numbers.score,
        "percent": numbers.percent,
        "count": numbers.count,
        "plural": numbers.plural,
        "seconds": numbers.seconds,
        "level": numbers.level,
        "file_size": numbers.file_size,
        "quality": text.quality,
        "track_quality": text.track_quality,
    }
    heat = ["#" + "".join(f"{part:02x}" for part in stop) for stop in pictures.HEAT_STOPS]
    env.globals |= {"text": text, "heat_colours": heat}
    return env
