"""Writes the report: item by item to disk, put together at the end, moved into place whole."""

from __future__ import annotations

import os
import platform
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from markupsafe import Markup

from unmask.apps.report import numbers, section, text
from unmask.apps.report.page import source_hash
from unmask.apps.report.results import result_environment
from unmask.errors import ConfigError
from unmask.results import REASONS, Result

if TYPE_CHECKING:
    from unmask.inference.explain import Evidence

MAX_SECTIONS = 200
"""Inputs with a section of their own; beyond it only those that ask for attention get one."""
MAX_PICTURE_BYTES = 200_000_000
"""Size of all sections from which on pictures are left out, so that a browser can open the file."""
_CHUNK = 1 << 16


class Examined(Protocol):
    """A result and what the model saw."""

    @property
    def result(self) -> Result: ...

    @property
    def evidence(self) -> Sequence[Evidence]: ...


@dataclass(slots=True)
class _Tally:
    """What the summary says, counted as the inputs come."""

    inputs: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    without_section: int = 0
    without_pictures: int = 0

    def add(self, result: Result) -> None:
        self.inputs += 1
        self.groups[text.group_of(result)] += 1
        if result.status != "scored":
            self.unscored[result.reasons[0]] += 1


class ReportWriter:
    """Collects examined inputs into one self-contained HTML file.

    Every input is rendered as it comes and kept on disk, so memory does not grow with their
    number. The file appears whole, or not at all: on an error nothing is written, and a
    report that was there before stays. A `KeyboardInterrupt` still gives a report of what was
    examined until then, which says that it is partial.

    Args:
        path: the HTML file to write; missing folders are made.
        command: the command line of the scan, word by word, to be repeated by a second examiner.
        tool: name and version, e.g. `unmask 0.1.0`.
        created: the date to print; now, unless given.

    Raises:
        ConfigError: on entering, when nothing can be written there.

    Use as a context manager:

        with ReportWriter(Path("report.html"), command=sys.argv, tool="unmask 0.1.0") as report:
            for examined in ...:
                report.add(examined)
    """

    def __init__(
        self, path: Path, *, command: Sequence[str], tool: str, created: datetime | None = None
    ) -> None:
        self.path = path
        self._command = tuple(command)
        self._tool = tool
        self._created = created or datetime.now(UTC)
        self._env = result_environment()
        self._tally = _Tally()
        self._rows: dict[str, TextIO] = {}
        self._sections: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError("it is a folder")
            self._rows = {group: self._spool() for group in text.GROUPS}
            self._sections = self._spool()
        except OSError as error:
            self._drop_spools()
            raise ConfigError(
                f"The report cannot be written to {numbers.visible(str(self.path))}: {error}.",
                "Name a file in a folder that you may write to.",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._write(partial=kind is not None)
        finally:
            self._drop_spools()

    def add(self, examined: Examined) -> None:
        """Render one input; its evidence is not kept.

        Raises:
            RuntimeError: the writer is not open (use it in a `with` statement).
        """
        if self._sections is None:
            raise RuntimeError("ReportWriter.add needs an open writer: use it in a with statement.")
        result = examined.result
        # Rendered first, as it takes nearly all the time: an interrupt there leaves no half input.
        number = self._tally.inputs + 1
        full = number <= MAX_SECTIONS or text.group_of(result) != "no_evidence_found"
        drawn = ""
        with_pictures = self._sections.tell() < MAX_PICTURE_BYTES
        if full:
            view = section.section(number, result, examined.evidence, self._command, with_pictures)
            drawn = self._env.get_template("section.html.j2").render(item=view)
        line = self._env.get_template("row.html.j2").render(
            row=section.row(number, result, linked=full)
        )
        self._rows[text.group_of(result)].write(line)
        self._sections.write(drawn)
        self._tally.add(result)
        self._tally.without_section += not full
        self._tally.without_pictures += full and not with_pictures and bool(examined.evidence)

    def _write(self, partial: bool) -> None:
        unfinished = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("x", encoding="utf-8", newline="\n") as out:
                template = self._env.get_template("report.html.j2")
                out.writelines(template.generate(**self._page(partial)))
                out.flush()
                os.fsync(out.fileno())
            os.replace(unfinished, self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _page(self, partial: bool) -> dict[str, object]:
        """What the page's template is given."""
        tally, style, script = self._tally, self._asset("report.css"), self._asset("report.js")
        return {
            "tally": tally,
            "groups": [
                (key, label, tally.groups[key], _chunks(self._rows[key]))
                for key, label in text.GROUPS.items()
            ],
            "scored": tally.inputs - tally.groups["not_scored"],
            "unscored": [
                (REASONS[reason], n, text.ADVICE[reason])
                for reason, n in sorted(tally.unscored.items(), key=lambda e: (-e[1], e[0]))
            ],
            "sections": _chunks(self._sections),
            "max_sections": MAX_SECTIONS,
            "partial": partial,
            "tool": self._tool,
            "created": self._created,
            "command": numbers.shell_line(self._command),
            "system": f"Python {platform.python_version()}, {platform.platform(terse=True)}",
            "style": Markup(style),
            "script": Markup(script),
            "policy": (
                "default-src 'none'; img-src data:; "
                f"style-src {source_hash(style)}; script-src {source_hash(script)}; "
                "base-uri 'none'; form-action 'none'"
            ),
        }

    def _asset(self, name: str) -> str:
        assert self._env.loader is not None
        return self._env.loader.get_source(self._env, name)[0]

    def _spool(self) -> TextIO:
        # Beside the report, not in the system's temporary folder, which may be in memory.
        return tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=self.path.parent)

    def _drop_spools(self) -> None:
        for spool in (*self._rows.values(), self._sections):
            if spool is not None:
                spool.close()
        self._rows, self._sections = {}, None


def _chunks(spool: TextIO | None) -> Iterator[Markup]:
    """What was rendered before, piece by piece; already escaped."""
    assert spool is not None
    spool.seek(0)
    while piece := spool.read(_CHUNK):
        yield Markup(piece)
