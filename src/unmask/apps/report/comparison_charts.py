"""Charts of a comparison: where lines and points stand; the template only draws them.

All positions are in the units of the chart's viewBox: x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from unmask.apps.report.charts import SHAPES, Axis, Mark

WIDTH, HEIGHT = 360.0, 276.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 338.0, 12.0, 226.0
COLOURS = 6
"""Classes c0 .. c5 of the page's style."""
MAX_MARKERS = 7
"""Along one curve with many points; where there are fewer, every point has its marker."""

Points = Sequence[tuple[float, float]]


def _same(value: float) -> float:
    return value


def probit(share: float) -> float:
    """Quantile of the standard normal distribution: the axes of a DET curve (Martin et al. 1997).

    >>> round(probit(0.975), 3), probit(0.5)
    (1.96, 0.0)
    """
    return NormalDist().inv_cdf(share)


@dataclass(frozen=True, slots=True)
class Scale:
    """How values become positions along one side of a chart.

    Attributes:
        ticks: value and label of each, in order; values outside them are cut to the first and last.
        title: of the axis.
        map: monotone, e.g. `math.log10` or `probit`.
    """

    ticks: tuple[tuple[float, str], ...]
    title: str
    map: Callable[[float], float] = _same
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The values at both ends."""
        first, last = self.ticks[0][0], self.ticks[-1][0]
        return first if self.low is None else self.low, last if self.high is None else self.high

    def axis(self, start: float, end: float) -> Axis:
        """The axis over mapped values."""
        low, high = self.ends
        return Axis(self.map(low), self.map(high), start, end)

    def at(self, axis: Axis, value: float) -> float:
        """The position of a value on it."""
        low, high = self.ends
        return axis.at(self.map(min(max(value, low), high)))


def log_scale(low: float, title: str) -> Scale:
    """Decades from `low` (a power of ten) to 1."""
    first = round(math.log10(low))
    ticks = tuple((10.0**k, _share(10.0**k)) for k in range(first, 1))
    return Scale(ticks, title, math.log10)


def probit_scale(title: str, low: float = 0.001) -> Scale:
    """From `low` to 80% on probit axes."""
    shares = [s for s in (0.001, 0.01, 0.05, 0.2, 0.5, 0.8) if s >= low]
    return Scale(tuple((s, _share(s)) for s in shares), title, probit)


def linear_scale(values: Sequence[float], title: str, digits: int = 1) -> Scale:
    """From one value to the last."""
    return Scale(tuple((v, f"{v:.{digits}f}".replace("-", "−")) for v in values), title)


def _share(value: float) -> str:
    return f"{100 * value:g}%"


@dataclass(frozen=True, slots=True)
class Look:
    """How a line or a group is told from the others: shape and colour together."""

    name: str
    shape: str
    hollow: bool
    colour: int


def looks(names: Sequence[str]) -> dict[str, Look]:
    """One look for each name, always the same for the same list.

    Twelve differ by shape; after them the shapes come again in other colours.
    """
    found = {}
    for k, name in enumerate(names):
        again, place = divmod(k, 2 * len(SHAPES))
        hollow, shape = divmod(place, len(SHAPES))
        found[name] = Look(name, SHAPES[shape], bool(hollow), (shape + again) % COLOURS)
    return found


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one cloud of points where `path` is empty."""

    look: Look
    path: str
    markers: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart.

    Attributes:
        title: shown above it; may be empty.
        label: for who cannot see it.
        diagonal: a guide line as an SVG path; may be empty.
    """

    title: str
    label: str
    x_title: str
    y_title: str
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    series: tuple[Series, ...]
    diagonal: str = ""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = RIGHT
    top: float = TOP
    bottom: float = BOTTOM


def plot(
    lines: Sequence[tuple[Look, Points]],
    x: Scale,
    y: Scale,
    *,
    label: str,
    title: str = "",
    joined: bool = True,
    guide: Points = (),
) -> Plot:
    """Draw lines, or clouds of points, in one pair of axes.

    Args:
        lines: look and (x, y) values of each; values beyond a scale's ends are drawn at its end.
        x, y: scales.
        label: what the chart shows, for who cannot see it.
        title: over the chart.
        joined: lines; else only points.
        guide: a dashed line to compare with.
    """
    across, up = x.axis(LEFT, RIGHT), y.axis(BOTTOM, TOP)

    def places(points: Points) -> list[tuple[float, float]]:
        return [(x.at(across, a), y.at(up, b)) for a, b in points]

    series = tuple(
        Series(look, _path(at) if joined else "", _markers(at, k) if joined else tuple(at))
        for k, (look, at) in enumerate((look, places(points)) for look, points in lines)
    )
    return Plot(
        title=title,
        label=label,
        x_title=x.title,
        y_title=y.title,
        x_ticks=tuple(Mark(x.at(across, v), t, x.at(across, v)) for v, t in x.ticks),
        y_ticks=tuple(Mark(y.at(up, v), t, y.at(up, v)) for v, t in y.ticks),
        series=series,
        diagonal=_path(places(guide)),
    )


def _markers(at: Sequence[tuple[float, float]], order: int) -> tuple[tuple[float, float], ...]:
    """Some points of a long line, at other places for every line so that they do not coincide."""
    if len(at) <= MAX_MARKERS + 3:
        return tuple(at)
    step = (RIGHT - LEFT) / MAX_MARKERS
    wanted = [LEFT + step * (k + 0.25 + 0.5 * (order % 3) / 2) for k in range(MAX_MARKERS)]
    chosen = dict.fromkeys(min(at, key=lambda p: abs(p[0] - w)) for w in wanted)
    return tuple(chosen)


def _path(at: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in at)
