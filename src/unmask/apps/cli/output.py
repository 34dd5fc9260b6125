"""Results on standard output: a table for people, JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Protocol

from unmask.results import Result

CSV_COLUMNS = (
    "path",
    "status",
    "verdict",
    "score",
    "reasons",
    "media",
    "width",
    "height",
    "duration_s",
    "faces",
    "frames_read",
    "frames_failed",
    "faces_scored",
    "bytes",
    "sha256",
    "model",
    "weights_sha256",
    "settings_sha256",
    "message",
)
"""Columns of `--format csv`, as named in the result; `reasons` are joined by ';', `faces` counts
the people that were followed, and what is not known is empty."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

COLOURS = {
    "likely_manipulated": "red",
    "inconclusive": "yellow",
    "no_evidence_found": "green",
}
VERDICT_WIDTH = len("likely_manipulated")
FIXED_WIDTH = VERDICT_WIDTH + 2 + 6 + 2 + 5 + 2
MIN_PATH, REASONS_WIDTH = 16, 20


class Formatter(Protocol):
    """Results to lines, one at a time, so that nothing is held back."""

    def header(self) -> str | None: ...

    def row(self, result: Result) -> str: ...


class JsonLines:
    """One JSON object per line, as in `--out`."""

    def header(self) -> str | None:
        return None

    def row(self, result: Result) -> str:
        return result.to_json()


class Csv:
    """Comma-separated, RFC 4180 quoting, a header line, columns `CSV_COLUMNS`.

    A text that a spreadsheet would run as a formula (`FORMULA_STARTS`), such as a file's name, is
    given with a single quote before it.
    """

    def header(self) -> str | None:
        return ",".join(CSV_COLUMNS)

    def row(self, result: Result) -> str:
        known = (
            result.model_dump(exclude={"input", "coverage", "run", "faces", "reasons"})
            | result.input.model_dump()
            | result.coverage.model_dump()
            | (result.run.model_dump() if result.run else {})
            | {"reasons": ";".join(result.reasons), "faces": len(result.faces)}
        )
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            [_cell(known.get(name)) for name in CSV_COLUMNS]
        )
        return line.getvalue()


def _cell(value: object) -> object:
    """The value, made harmless for a spreadsheet if it is a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


class Table:
    """Aligned columns.

    Args:
        path_width: of the widest path.
        columns: of the terminal; longer paths lose their beginning. None, as for files and pipes:
            nothing is cut.
        style: colours a text; the verdict is always written out as well.
    """

    def __init__(
        self,
        path_width: int,
        columns: int | None = None,
        style: Callable[[str, str], str] = lambda text, colour: text,
    ) -> None:
        room = columns - FIXED_WIDTH - REASONS_WIDTH - 2 if columns else path_width
        self._width = max(min(path_width, max(room, MIN_PATH)), len("path"))
        self._style = style

    def header(self) -> str | None:
        return self._line("path", "verdict", "score", "faces", "reasons")

    def row(self, result: Result) -> str:
        verdict = result.verdict or result.status
        return self._line(
            printable(result.input.path),
            verdict,
            "-" if result.score is None else f"{result.score:.3f}",
            str(len(result.faces)),
            ", ".join(result.reasons),
            COLOURS.get(verdict),
        )

    def _line(
        self,
        path: str,
        verdict: str,
        score: str,
        faces: str,
        reasons: str,
        colour: str | None = None,
    ) -> str:
        if len(path) > self._width:
            path = "…" + path[len(path) - self._width + 1 :]
        padded = verdict.ljust(VERDICT_WIDTH)
        word = self._style(padded, COLOURS[verdict]) if verdict in COLOURS else padded
        return f"{path:<{self._width}}  {word}  {score:>6}  {faces:>5}  {reasons}".rstrip()


def printable(path: str) -> str:
    """A path for a terminal: control characters, which could rewrite the screen, are escaped.

    >>> printable("a\\x1b[2Jb.jpg")
    'a\\\\x1b[2Jb.jpg'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in path
    )
