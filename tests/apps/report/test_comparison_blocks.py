"""The pieces of a comparison's page: scales and curves, marks and footnotes."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from scipy.stats import norm

from unmask.apps.report.comparison_blocks import Cell, Charts, Row, Table, shade
from unmask.apps.report.comparison_charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    linear_scale,
    log_scale,
    looks,
    plot,
    probit,
    probit_scale,
)
from unmask.apps.report.comparison_numbers import Footnotes, highest
from unmask.evaluation.comparison.result import Estimate


def estimate(value: float | None, reason: str | None = None) -> Estimate:
    if value is None or reason is not None:
        return Estimate(value=value, low=None, high=None, reason=reason)
    return Estimate(value=value, low=value - 0.1, high=value + 0.1)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.8])
def test_probit_is_the_normal_quantile(share: float) -> None:
    assert probit(share) == pytest.approx(norm.ppf(share), abs=1e-9)


def test_a_decade_is_as_long_as_any_other() -> None:
    scale = log_scale(0.001, "FPR")
    axis = scale.axis(0.0, 300.0)
    assert [scale.at(axis, v) for v in (0.001, 0.01, 0.1, 1.0)] == [0.0, 100.0, 200.0, 300.0]
    assert scale.at(axis, 0.0) == 0.0  # log of zero is at the end, not an error
    assert [label for _, label in scale.ticks] == ["0.1%", "1%", "10%", "100%"]


def test_equal_variance_gaussians_are_a_straight_det_line() -> None:
    look = looks(["a"])["a"]
    cuts = [k / 10 for k in range(-5, 15)]
    curve = [(norm.sf(c), norm.cdf(c - 1.5)) for c in cuts]
    drawn = plot([(look, curve)], probit_scale("FPR"), probit_scale("FNR"), label="x")
    points = [tuple(map(float, p.split(","))) for p in drawn.series[0].path.split()]
    inside = [p for p in points if LEFT < p[0] < RIGHT and TOP < p[1] < BOTTOM]
    assert len(inside) > 8
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(inside)]
    assert max(slopes) - min(slopes) < 0.02


def test_points_stand_where_their_values_are() -> None:
    look = looks(["a", "b"])
    x, y = linear_scale((0.0, 1.0), "x"), linear_scale((0.0, 2.0), "y")
    drawn = plot([(look["b"], [(0.5, 1.0), (9.0, -9.0)])], x, y, label="l", joined=False)
    assert drawn.series[0].path == ""
    assert drawn.series[0].markers == (((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2), (RIGHT, BOTTOM))


def test_long_curves_have_few_markers_at_their_own_points() -> None:
    look = looks(["a"])["a"]
    curve = [(k / 500, math.sqrt(k / 500)) for k in range(501)]
    x = linear_scale((0.0, 1.0), "x")
    series = plot([(look, curve)], x, x, label="l").series[0]
    points = {tuple(map(float, p.split(","))) for p in series.path.split()}
    assert 3 <= len(series.markers) <= 8
    assert set(series.markers) <= points


def test_twelve_lines_differ_by_shape_and_more_by_colour_too() -> None:
    found = list(looks([str(k) for k in range(72)]).values())
    assert len({(look.shape, look.hollow) for look in found[:12]}) == 12
    assert len({(look.shape, look.hollow, look.colour) for look in found}) == 72


def test_a_legend_names_every_look_once() -> None:
    look = looks(["a", "b"])
    x = linear_scale((0.0, 1.0), "x")
    plots = tuple(plot([(look[n], [(0.0, 0.0)])], x, x, label=n) for n in ("a", "b", "a"))
    charts = Charts("c", plots, Table("t", ("h",), ()))
    assert [one.name for one in charts.looks] == ["a", "b"]


def test_the_best_is_the_best_as_shown() -> None:
    values = [estimate(v) for v in (0.5, 0.81204, 0.81196)] + [estimate(None, "why"), None]
    assert highest(values) == [False, True, True, False, False]
    assert highest(values, lowest=True) == [True, False, False, False, False]
    assert highest([estimate(0.5), None]) == [False, False]


def test_missing_numbers_have_their_reason_once() -> None:
    notes = Footnotes()
    assert notes.cell(estimate(None, "no run")) == Cell("–", "(a)")
    assert notes.cell(estimate(0.7, "one cluster")) == Cell("0.700", "(b)")
    assert notes.cell(estimate(None, "no run")).extra == "(a)"
    assert notes.cell(None) == Cell("–")
    assert notes.notes == ("(a) no run", "(b) one cluster")
    assert notes.cell(estimate(0.05), sign=True) == Cell("+0.050", "[−0.050, +0.150]")


def test_shades_are_even_steps() -> None:
    assert [shade(0.5 + k / 18 + 1e-9) for k in range(9)] == list(range(9))


def test_a_table_refuses_rows_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Table("t", ("a", "b"), (Row("r", ()),))
    mixed = Table("t", ("a", "b", "c"), (Row("r", (Cell("1"), Cell("x", numeric=False))),))
    assert mixed.numeric == (True, False)
