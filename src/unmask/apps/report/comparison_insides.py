"""The parts of a comparison's page that show embeddings and spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unmask.apps.report import numbers
from unmask.apps.report.charts import nice_ticks
from unmask.apps.report.comparison_blocks import (
    Block,
    Cell,
    Charts,
    Heading,
    Pictures,
    Row,
    Section,
    Shown,
    Table,
    Words,
    shade,
)
from unmask.apps.report.comparison_charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Plot,
    Scale,
    linear_scale,
    looks,
    plot,
)
from unmask.apps.report.pictures import Picture, encoded
from unmask.evaluation.embedding import EmbeddingMap
from unmask.evaluation.spectra import BINS, GroupSpectrum, LogPicture

Floats = NDArray[np.float64]
MAX_POINTS = 150
"""Of one group in a scatter plot, taken at even steps; similarities are those of all."""
ZOOM = 4
"""By which a spectrum's picture is enlarged, by repeating pixels."""
BLACK = 0.5
"""Percentile of all spectra shown together that becomes black; their highest becomes white, so
that a peak of one frequency stands out."""
PROFILE_ROWS = 8
"""Rings of the radial profile taken together in a row of its table."""


def embedding_section(maps: Mapping[str, EmbeddingMap]) -> Section | None:
    """Scatter plots and similarities, arm by arm; None where there is none."""
    if not maps:
        return None
    groups = list(dict.fromkeys(g for m in maps.values() for g in m.similarity.groups))
    charts = Charts(
        "Each point is a picture, placed by the first two principal components of the "
        "embeddings of one arm. Axes of different arms have nothing to do with each other. A plane "
        "holds only the share of the variance named over it: groups that overlap here may lie "
        f"apart in the rest. At most {MAX_POINTS} points of a group are drawn.",
        tuple(_scatter(arm, found, groups) for arm, found in maps.items()),
        _centres(maps),
    )
    blocks: list[Block] = [charts, Heading("Similarity of groups")]
    blocks += [
        Words(
            "Mean cosine similarity of the embeddings of two groups, 1 where they point the same "
            "way; on the diagonal between different members of one group. A family of generators "
            "that lies nearer to the real pictures than to the families of the training is likely "
            "to be missed.",
        )
    ]
    blocks += [_similarity(arm, found) for arm, found in maps.items()]
    return Section("embeddings", "Embeddings", tuple(blocks))


def _scatter(arm: str, found: EmbeddingMap, groups: Sequence[str]) -> Plot:
    look = looks(groups)
    points = np.array(found.points)
    first, second = found.explained
    # one unit is as long across as up, so that distances can be compared
    unit = float((np.abs(points).max(axis=0) / (RIGHT - LEFT, BOTTOM - TOP)).max()) * 1.05
    lines = [(look[g], _some(points[[h == g for h in found.group]])) for g in groups]
    return plot(
        [(one, at) for one, at in lines if at],
        _around(unit * (RIGHT - LEFT), f"Component 1 ({numbers.percent(first)})"),
        _around(unit * (BOTTOM - TOP), f"Component 2 ({numbers.percent(second)})"),
        title=f"{arm}: {numbers.percent(first + second)} of the variance",
        label=f"Embeddings of {arm} on two principal components",
        joined=False,
    )


def _some(points: Floats) -> list[tuple[float, float]]:
    step = max(1, -(-len(points) // MAX_POINTS))
    return [(float(a), float(b)) for a, b in points[::step]]


def _around(reach: float, title: str) -> Scale:
    ticks = nice_ticks(-reach, reach, 4)
    labels = tuple((t, f"{t:g}".replace("-", "−")) for t in ticks)
    return Scale(labels, title, low=-reach, high=reach)


def _centres(maps: Mapping[str, EmbeddingMap]) -> Table:
    rows = []
    for arm, found in maps.items():
        points = np.array(found.points)
        for group, count in zip(found.similarity.groups, found.similarity.counts, strict=True):
            own = points[[g == group for g in found.group]]
            centre, spread = own.mean(axis=0), own.std(axis=0)
            cells = [Cell(group, numeric=False), Cell(numbers.count(count))]
            cells += [Cell(_signed(v)) for v in centre]
            cells += [Cell(_signed(v) if count > 1 else numbers.NONE) for v in spread]
            rows.append(Row(arm, tuple(cells)))
    columns = ("Arm", "Group", "Pictures", "Centre 1", "Centre 2", "Spread 1", "Spread 2")
    caption = "Centre and standard deviation of every group on both components"
    return Table(caption, columns, tuple(rows), tight=True)


def _similarity(arm: str, found: EmbeddingMap) -> Table:
    similar = found.similarity
    values = [v for row in similar.matrix for v in row if v is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    rows = tuple(
        Row(
            group,
            tuple(
                Cell(numbers.NONE if v is None else _signed(v), shade=_step(v, low, high))
                for v in line
            ),
        )
        for group, line in zip(similar.groups, similar.matrix, strict=True)
    )
    return Table(f"Mean cosine similarity, {arm}", (arm, *similar.groups), rows)


def _step(value: float | None, low: float, high: float) -> int | None:
    return None if value is None or high <= low else shade(value, low, high)


def _signed(value: float) -> str:
    """Two decimals with a true minus sign, and no minus before zero."""
    return numbers.level(round(value, 2) + 0.0)


def spectra_section(spectra: Sequence[GroupSpectrum]) -> Section | None:
    """Pictures and radial profiles; None where there is no spectrum."""
    if not spectra:
        return None
    side = spectra[0].side
    about = Words(
        f"Residual: luma minus its 3 × 3 median, of {side} px in the middle of a picture at its "
        "own resolution. Frequency zero is in the middle of a spectrum, half the sampling rate at "
        "its left and upper edge. Bright dots away from the middle are traces of upsampling."
    )
    blocks: list[Block] = [about]
    for name, caption, of in (
        ("Average of the power spectra", "What a typical picture has.", "average"),
        (
            "Spectrum of the mean residual",
            "What all pictures of a group share at a fixed place: the generator's fingerprint.",
            "of_mean",
        ),
    ):
        blocks += [Heading(name), _pictures(spectra, caption, of)]
    blocks += [Heading("Radial profile"), _profiles(spectra)]
    return Section("spectra", "Spectra of the residuals", tuple(blocks))


def _pictures(spectra: Sequence[GroupSpectrum], caption: str, of: str) -> Pictures:
    packed: list[LogPicture] = [getattr(one, of) for one in spectra]
    values = [p.values() for p in packed]
    low, high = float(np.percentile(np.stack(values), BLACK)), max(p.high for p in packed)
    shown = tuple(
        Shown(
            _grey(v, low, high),
            f"{one.group}: brightest at {_where(v)}",
            f"{one.group} (n = {numbers.count(one.pictures)})",
        )
        for one, v in zip(spectra, values, strict=True)
    )
    rows = tuple(
        Row(
            one.group,
            (
                Cell(numbers.count(one.pictures)),
                Cell(numbers.level(p.low)),
                Cell(numbers.level(float(np.median(v)))),
                Cell(numbers.level(p.high)),
                Cell(_where(v), numeric=False),
            ),
        )
        for one, p, v in zip(spectra, packed, values, strict=True)
    )
    columns = ("Group", "Pictures", "Lowest", "Median", "Highest", "Highest at (x, y), cycles / px")
    words = (
        f"{caption} One grey scale for all: black is {numbers.level(low)}, white "
        f"{numbers.level(high)} (log10 of squared grey levels)."
    )
    return Pictures(words, shown, Table("log10 power of the spectra", columns, rows, tight=True))


def _grey(values: Floats, low: float, high: float) -> Picture:
    levels = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    grey = np.rint(levels).astype(np.uint8).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    return encoded(Image.fromarray(grey), "PNG", optimize=True)


def _where(values: Floats) -> str:
    """The frequency of the highest cell, without its sign: a picture's spectrum is symmetric."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    x, y = (abs(int(k) - BINS // 2) / BINS for k in (column, row))
    return f"({x:.2f}, {y:.2f})"


def _profiles(spectra: Sequence[GroupSpectrum]) -> Charts:
    look = looks([one.group for one in spectra])
    centres = [(k + 0.5) * 0.5 / BINS for k in range(BINS)]
    plots = []
    for title, of in (("Average of the spectra", "radial"), ("Mean residual", "radial_of_mean")):
        logs = {s.group: np.log10(np.maximum(getattr(s, of), 1e-12)) for s in spectra}
        low = min(float(v.min()) for v in logs.values())
        high = max(float(v.max()) for v in logs.values())
        ticks = nice_ticks(low, high, 5, outward=True)
        plots.append(
            plot(
                [
                    (look[g], [(c, float(v)) for c, v in zip(centres, logs[g], strict=True)])
                    for g in logs
                ],
                linear_scale((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "Frequency, cycles per pixel"),
                linear_scale(ticks, "log10 power"),
                label=f"{title}: power over frequency for every group",
                title=title,
            )
        )
    caption = (
        "Mean power at each distance from frequency zero. Pictures that share nothing have 1/n of "
        "the left curve's power in the right one, n being their number."
    )
    return Charts(caption, tuple(plots), _profile_table(spectra))


def _profile_table(spectra: Sequence[GroupSpectrum]) -> Table:
    edges = range(0, BINS, PROFILE_ROWS)
    kinds = [f"{s.group}, {kind}" for kind in ("average", "mean") for s in spectra]
    columns = ("Cycles per pixel", *kinds)
    rows = []
    for first in edges:
        ring = slice(first, first + PROFILE_ROWS)
        values = [float(np.mean(s.radial[ring])) for s in spectra]
        values += [float(np.mean(s.radial_of_mean[ring])) for s in spectra]
        low, high = first * 0.5 / BINS, (first + PROFILE_ROWS) * 0.5 / BINS
        cells = tuple(Cell(numbers.level(float(np.log10(max(v, 1e-12))))) for v in values)
        rows.append(Row(f"{low:.3f} to {high:.3f}", cells))
    return Table(
        f"log10 of the mean power, over {PROFILE_ROWS} rings at a time",
        columns,
        tuple(rows),
        tight=True,
    )
