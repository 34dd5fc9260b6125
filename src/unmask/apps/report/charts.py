"""Where things stand in the charts of a report; the templates only draw them.

All positions are in the units of the chart's viewBox: x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unmask.apps.report import numbers
from unmask.results import FaceTrack, Result, Threshold
from unmask.types import FloatArray

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "bar")
MAX_LINES = 2 * len(SHAPES)
"""Faces drawn in a timeline: every shape once filled and once hollow."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear map from values in [low, high] to positions between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The position of `value`, rounded to a hundredth; values outside are clipped."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True, slots=True)
class Mark:
    """A position along one axis with its label."""

    at: float
    label: str
    label_at: float


@dataclass(frozen=True, slots=True)
class Line:
    """One face in a timeline.

    Attributes:
        face_id: the track's id.
        shape, hollow, colour: how its points look; `colour` is a class number from 0.
        points: (x, y) positions in order of time.
    """

    face_id: int
    shape: str
    hollow: bool
    colour: int
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """The points as an SVG polyline."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Scores of every face over time."""

    width: float
    height: float
    x: Axis
    y: Axis
    ticks: tuple[Mark, ...]
    thresholds: tuple[Mark, ...]
    lines: tuple[Line, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Scale:
    """One score on a line from 0 to 1 between its thresholds."""

    x: Axis
    score: float
    clear: float | None
    flag: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """One frequency band of a face; `value` is None where it has no energy at all."""

    number: int
    value: float | None
    low: float
    median: float
    high: float

    @property
    def place(self) -> str:
        """Where the value lies relative to real faces."""
        if self.value is None or self.value < self.low:
            return "below"
        return "above" if self.value > self.high else "within"


@dataclass(frozen=True, slots=True)
class Bands:
    """Energy per frequency band against real faces."""

    width: float
    height: float
    x: Axis
    y: Axis
    ticks: tuple[Mark, ...]
    bands: tuple[Band, ...]
    range_polygon: str
    median_path: str
    value_path: str

    @property
    def outside(self) -> list[int]:
        """Numbers of the bands outside the range of real faces."""
        return [band.number for band in self.bands if band.place != "within"]


def timeline(result: Result) -> Timeline | None:
    """The timeline of a video; None where no face has a time."""
    tracks = [t for t in result.faces if any(f.t is not None for f in t.frames)]
    if not tracks:
        return None
    last = max(f.t for t in tracks for f in t.frames if f.t is not None)
    end = max(last, result.input.duration_s or 0.0) or 1.0
    x, y = Axis(0.0, end, 44.0, 548.0), Axis(0.0, 1.0, 206.0, 14.0)
    highest = sorted(tracks, key=lambda t: (-t.score, t.id))[:MAX_LINES]
    drawn = sorted(highest, key=lambda t: t.id)
    lines = tuple(_line(k, track, x, y) for k, track in enumerate(drawn))
    ticks = tuple(Mark(x.at(t), _clock(t, end), x.at(t)) for t in nice_ticks(0.0, end, 6))
    return Timeline(
        660.0, 250.0, x, y, ticks, _thresholds(result.threshold, y), lines, len(tracks) - len(drawn)
    )


def _line(order: int, track: FaceTrack, x: Axis, y: Axis) -> Line:
    timed = sorted((f.t, f.score) for f in track.frames if f.t is not None)
    shape = order % len(SHAPES)
    points = tuple((x.at(t), y.at(score)) for t, score in timed)
    return Line(track.id, SHAPES[shape], order >= len(SHAPES), shape, points)


def _thresholds(limits: Threshold | None, y: Axis) -> tuple[Mark, ...]:
    if limits is None:
        return ()
    flag, clear = y.at(limits.flag), y.at(limits.clear)
    gap = max(0.0, 15.0 - (clear - flag)) / 2  # labels of close thresholds move apart
    return (
        Mark(flag, f"flag {numbers.score(limits.flag)}", flag - gap),
        Mark(clear, f"clear {numbers.score(limits.clear)}", clear + gap),
    )


def scale(result: Result) -> Scale | None:
    """The score between its thresholds; None where there is no score."""
    if result.score is None:
        return None
    x, limits = Axis(0.0, 1.0, 8.0, 392.0), result.threshold
    clear, flag = (x.at(limits.clear), x.at(limits.flag)) if limits else (None, None)
    return Scale(x, x.at(result.score), clear, flag)


def bands(values: FloatArray, reference: FloatArray) -> Bands | None:
    """The chart of band energies; None where the reference is not a number.

    Args:
        values: (B,) log10 energies of bands 1 .. B; minus infinity where there is no energy.
        reference: (B, 3), the 5th, 50th and 95th percentile of real faces.
    """
    if not np.isfinite(reference).all() or len(values) < 2:
        return None
    items = tuple(
        Band(n, float(v) if math.isfinite(v) else None, *(float(r) for r in ref))
        for n, (v, ref) in enumerate(zip(values, reference, strict=True), start=1)
    )
    known = [v for b in items for v in (b.value, b.low, b.high) if v is not None]
    ticks = nice_ticks(min(known), max(known), 5, outward=True)
    x = Axis(1.0, float(len(items)), 40.0, 388.0)
    y = Axis(ticks[0], ticks[-1], 212.0, 12.0)
    outline = [(x.at(b.number), y.at(b.high)) for b in items]
    outline += [(x.at(b.number), y.at(b.low)) for b in reversed(items)]
    return Bands(
        400.0,
        262.0,
        x,
        y,
        tuple(Mark(y.at(t), numbers.level(t).removesuffix(".00"), y.at(t)) for t in ticks),
        items,
        _path(outline),
        _path([(x.at(b.number), y.at(b.median)) for b in items]),
        _path([(x.at(b.number), y.at(b.value)) for b in items if b.value is not None]),
    )


def nice_ticks(low: float, high: float, most: int, outward: bool = False) -> list[float]:
    """At most about `most` round values in [low, high], in steps of 1, 2 or 5 times a power of 10.

    Args:
        low, high: the range; equal ends are widened to one unit.
        most: how many intervals are wanted at most.
        outward: also the round values just outside, so that the range is enclosed.
    """
    if high <= low:
        high = low + 1.0
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9) if outward else math.ceil(low / step - 1e-9)
    last = math.ceil(high / step - 1e-9) if outward else math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _clock(value: float, end: float) -> str:
    if end >= 60:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes}:{rest:02d}"
    return f"{value:g} s"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
