"""Positions in the charts, against the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.apps.report import charts
from unmask.results import Threshold


def test_axis_is_linear_and_clips() -> None:
    axis = charts.Axis(0.0, 4.0, 100.0, 300.0)
    assert [axis.at(v) for v in (-1, 0, 1, 4, 9)] == [100, 100, 150, 300, 300]
    assert charts.Axis(0.0, 1.0, 200.0, 0.0).at(0.25) == 150


def test_timeline_points_lie_where_time_and_score_put_them(build) -> None:
    chart = charts.timeline(build.clip([0.0, 5.0, 10.0], [[0.0, 0.5, 1.0]], duration=20.0))
    assert chart is not None
    left, right = chart.x.start, chart.x.end
    bottom, top = chart.y.start, chart.y.end
    assert bottom > top
    (line,) = chart.lines
    expected = [
        (left + t / 20 * (right - left), bottom - s * (bottom - top))
        for t, s in [(0, 0.0), (5, 0.5), (10, 1.0)]
    ]
    np.testing.assert_allclose(line.points, expected, atol=0.006)
    drawn = [tuple(map(float, point.split(","))) for point in line.path.split()]
    np.testing.assert_allclose(drawn, expected, atol=0.01)


def test_timeline_thresholds_are_drawn_at_their_scores(build) -> None:
    chart = charts.timeline(build.clip([0.0, 1.0], [[0.1, 0.2]], duration=1.0))
    assert chart is not None
    flag, clear = chart.thresholds
    assert (flag.at, clear.at) == (chart.y.at(0.8), chart.y.at(0.3))
    assert (flag.label, clear.label) == ("flag 0.800", "clear 0.300")


def test_labels_of_close_thresholds_do_not_overlap(build) -> None:
    close = Threshold(flag=0.51, clear=0.5, fpr_at_flag=0.01, ci95=(0, 0.1), measured_on="x")
    result = build.clip([0.0, 1.0], [[0.1, 0.2]], 1.0).model_copy(update={"threshold": close})
    chart = charts.timeline(result)
    assert chart is not None
    flag, clear = chart.thresholds
    assert clear.label_at - flag.label_at >= 15 - 1e-9
    assert clear.at - flag.at < 3


def test_timeline_without_a_duration_ends_at_the_last_point(build) -> None:
    result = build.clip([0.0, 8.0], [[0.1, 0.2]], duration=0.0)
    chart = charts.timeline(result)
    assert chart is not None
    assert chart.lines[0].points[-1][0] == chart.x.end


def test_stills_have_no_timeline(build) -> None:
    assert charts.timeline(build.scored()) is None


def test_each_face_has_its_own_mark_and_the_rest_is_counted(build) -> None:
    rows = [[k / 20, k / 20] for k in range(15)]
    chart = charts.timeline(build.clip([0.0, 1.0], rows, 1.0))
    assert chart is not None
    looks = {(line.shape, line.hollow) for line in chart.lines}
    assert len(looks) == len(chart.lines) == charts.MAX_LINES
    assert chart.left_out == 15 - charts.MAX_LINES
    assert [line.face_id for line in chart.lines] == list(range(3, 15))  # the highest scores


def test_scale_marks_score_and_thresholds(build) -> None:
    chart = charts.scale(build.scored(score=0.5, verdict="inconclusive"))
    assert chart is not None
    assert chart.score == (chart.x.start + chart.x.end) / 2
    assert chart.clear is not None
    assert chart.flag is not None
    assert chart.clear < chart.score < chart.flag
    assert charts.scale(build.failed()) is None


def test_bands_are_compared_with_the_range_of_reals() -> None:
    reference = np.tile(np.array([-1.0, 0.0, 1.0], np.float32), (14, 1))
    values = np.zeros(14, np.float32)
    values[3], values[9], values[13] = 1.5, -2.0, -np.inf
    values[5] = 1.0  # on the edge counts as within
    chart = charts.bands(values, reference)
    assert chart is not None
    assert chart.outside == [4, 10, 14]
    assert [chart.bands[k].place for k in (3, 9, 13, 5)] == ["above", "below", "below", "within"]
    assert len(chart.value_path.split()) == 13  # minus infinity has no position
    assert (chart.y.low, chart.y.high) == (-2.0, 2.0)
    outline = [tuple(map(float, p.split(","))) for p in chart.range_polygon.split()]
    assert outline[0] == (chart.x.start, chart.y.at(1.0))
    assert outline[-1] == (chart.x.start, chart.y.at(-1.0))


def test_bands_without_a_reference_are_not_drawn() -> None:
    assert charts.bands(np.zeros(14, np.float32), np.full((14, 3), np.nan, np.float32)) is None


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(2, 10), st.booleans())
def test_ticks_are_round_evenly_spaced_and_few(
    low: float, span: float, most: int, outward: bool
) -> None:
    high = low + span
    ticks = charts.nice_ticks(low, high, most, outward)
    steps = np.diff(ticks)
    assert len(ticks) <= most + (3 if outward else 1)
    if len(steps):
        np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
        mantissa = steps[0] / 10.0 ** np.floor(np.log10(steps[0] * (1 + 1e-6)))
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-3
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    if outward:
        assert ticks[0] <= low + slack
        assert ticks[-1] >= high - slack
    else:
        assert all(low - slack <= t <= high + slack for t in ticks)


def test_ticks_of_a_clip() -> None:
    assert charts.nice_ticks(0.0, 28.7, 6) == pytest.approx([0, 5, 10, 15, 20, 25])
