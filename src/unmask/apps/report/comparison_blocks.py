"""What a comparison's page is built of: sections of paragraphs, tables, charts and pictures.

The template draws these and nothing else, so that every table scrolls, every chart comes with its
numbers, and every name is escaped in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from unmask.apps.report.comparison_charts import Look, Plot
from unmask.apps.report.pictures import Picture

SHADES = 9
"""Steps of the background of a heatmap's cells."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number or word of a table.

    Attributes:
        text: what is said.
        extra: said after it in a quieter voice, e.g. its interval.
        best: marked as the best of its column, with a shape and a word.
        shade: 0 .. SHADES - 1, background in a heatmap; None for none.
        numeric: set to the right.
        code: set as code.
    """

    text: str
    extra: str = ""
    best: bool = False
    shade: int | None = None
    numeric: bool = True
    code: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its heading, and what is said after that in a quieter voice."""

    head: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has a cell for every column but the first, which has the headings.

    Attributes:
        caption: what the numbers are.
        columns: names, that of the headings' column first.
        tight: small, for numbers of a chart.
        folded: words to unfold it by; shown at once where they are empty.
        notes: footnotes.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    tight: bool = False
    folded: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [r.head for r in self.rows if len(r.cells) != len(self.columns) - 1]
        if wrong:
            raise ValueError(f"rows {wrong} of '{self.caption}' do not fit its columns")

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For every column but the first, whether it is set to the right."""
        return tuple(
            all(row.cells[k].numeric for row in self.rows) for k in range(len(self.columns) - 1)
        )


@dataclass(frozen=True, slots=True)
class Charts:
    """One or more charts with a common legend, and all their numbers as a table.

    Attributes:
        many: drawn small, as many side by side as there is room for.
    """

    kind: ClassVar[str] = "charts"
    caption: str
    plots: tuple[Plot, ...]
    table: Table
    many: bool = False

    @property
    def looks(self) -> tuple[Look, ...]:
        """For the legend: every look once."""
        return tuple(dict.fromkeys(line.look for one in self.plots for line in one.series))


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with its words."""

    picture: Picture
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Small pictures side by side, and their numbers as a table where they show numbers."""

    kind: ClassVar[str] = "pictures"
    caption: str
    pictures: tuple[Shown, ...]
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; a notice where it must not be overlooked. Words in backticks become code."""

    kind: ClassVar[str] = "words"
    text: str
    notice: bool = False
    small: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to be copied."""

    kind: ClassVar[str] = "code"
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms with their values; `code` sets the values as code."""

    kind: ClassVar[str] = "facts"
    items: tuple[tuple[str, str], ...]
    code: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """Of a part of a section."""

    kind: ClassVar[str] = "heading"
    text: str


Block = Table | Charts | Pictures | Words | Code | Facts | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a place in its contents.

    Attributes:
        id: of the element.
    """

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def shade(value: float, low: float = 0.5, high: float = 1.0) -> int:
    """The step of a value between `low` and `high`, both ends closed.

    >>> [shade(v) for v in (0.2, 0.5, 0.75, 1.0)]
    [0, 0, 4, 8]
    """
    share = (min(max(value, low), high) - low) / (high - low)
    return min(SHADES - 1, int(share * SHADES))
