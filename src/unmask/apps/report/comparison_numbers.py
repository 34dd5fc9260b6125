"""How estimates of a comparison look, and what is said where one is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from string import ascii_lowercase

from unmask.apps.report import numbers
from unmask.apps.report.comparison_blocks import Cell, shade
from unmask.evaluation.comparison.result import Estimate

DIGITS = 3


def fixed(value: float, sign: bool = False) -> str:
    """Three decimals with a true minus sign; never a minus before zero.

    >>> fixed(0.8471), fixed(-0.0312), fixed(-0.0001), fixed(0.02, sign=True)
    ('0.847', '−0.031', '0.000', '+0.020')
    """
    rounded = round(value, DIGITS) + 0.0
    text = f"{rounded:+.{DIGITS}f}" if sign and rounded else f"{rounded:.{DIGITS}f}"
    return text.replace("-", "−")


def interval(low: float, high: float, sign: bool = False) -> str:
    """Both ends in brackets.

    >>> interval(0.8124, 0.8786)
    '[0.812, 0.879]'
    """
    return f"[{fixed(low, sign)}, {fixed(high, sign)}]"


def probability(p: float | None) -> str:
    """A p-value; very small ones are not spelled out.

    >>> probability(0.0421), probability(0.0002), probability(None)
    ('0.042', '< 0.001', '–')
    """
    if p is None:
        return numbers.NONE
    return f"< {10**-DIGITS:g}" if p < 10**-DIGITS else fixed(p)


@dataclass(slots=True)
class Footnotes:
    """Why numbers of one table are missing, each reason once, by letters."""

    reasons: list[str] = field(default_factory=list)

    def mark(self, reason: str) -> str:
        """The sign that stands for a reason."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return _sign(self.reasons.index(reason))

    def cell(
        self,
        estimate: Estimate | None,
        *,
        sign: bool = False,
        best: bool = False,
        heat: bool = False,
    ) -> Cell:
        """A number with its interval, as `0.847 [0.812, 0.879]`.

        Args:
            estimate: None where the table has no such number at all.
            sign: a plus before positive numbers: a difference.
            best: marked as such.
            heat: with a background by its value, from 0.5 to 1.
        """
        if estimate is None:
            return Cell(numbers.NONE)
        extra = ""
        if estimate.low is not None and estimate.high is not None:
            extra = interval(estimate.low, estimate.high, sign)
        if estimate.reason is not None:
            extra = f"{extra} ({self.mark(estimate.reason)})".strip()
        if estimate.value is None:
            return Cell(numbers.NONE, extra)
        value = estimate.value
        return Cell(fixed(value, sign), extra, best, shade(value) if heat else None)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each reason."""
        return tuple(f"({_sign(k)}) {reason}" for k, reason in enumerate(self.reasons))


def _sign(index: int) -> str:
    letters = len(ascii_lowercase)
    return ascii_lowercase[index % letters] * (index // letters + 1)


def highest(estimates: Iterable[Estimate | None], *, lowest: bool = False) -> list[bool]:
    """For every estimate whether it is the best of them as it is shown; ties are all marked.

    Nothing is marked where fewer than two have a value.
    """
    shown = [None if e is None or e.value is None else round(e.value, DIGITS) for e in estimates]
    known = [v for v in shown if v is not None]
    if len(known) < 2:
        return [False] * len(shown)
    best = min(known) if lowest else max(known)
    return [v == best for v in shown]
