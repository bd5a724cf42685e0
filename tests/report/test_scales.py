"""Ticks, scales and bounds: what a reader takes for granted."""

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.report import scales
from analysis_service.report.chart import Axis
from analysis_service.report.layout import apart, band_runs, runs


@pytest.mark.parametrize(
    ("low", "high", "about", "ticks"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.00004, 4, [0, 0.00001, 0.00002, 0.00003, 0.00004]),  # small rates keep their digits
        (-3, 7, 5, [-2, 0, 2, 4, 6]),
        (99.7, 100.4, 4, [99.8, 100, 100.2, 100.4]),  # never forced to include 0
        (0, 2e-313, 4, [0]),  # what doubles cannot divide
        (5, 5, 4, [5]),  # nothing to divide
        (0, math.inf, 4, [0]),
    ],
)
def test_linear_ticks(low: float, high: float, about: int, ticks: list[float]) -> None:
    assert scales.linear_ticks(low, high, about) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("low", "high", "about", "ticks"),
    [
        (0.5, 3, 4, [0.5, 1, 2]),
        (1, 10_000, 4, [1, 10, 100, 1000, 10_000]),
        (0.98, 1.03, 4, [0.98, 1.0, 1.02]),  # narrower than any power: as linear
        (1e-12, 1e12, 4, [1e-7, 1, 1e7]),
    ],
)
def test_log_ticks(low: float, high: float, about: int, ticks: list[float]) -> None:
    assert scales.log_ticks(low, high, about) == pytest.approx(ticks)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        ("2026-03-04T09:00:00", "2026-03-04T09:30:00", "09:00 09:05 09:10 09:15 09:20 09:25 09:30"),
        ("2026-03-04T09:00:00", "2026-03-04T09:00:04", "09:00:00 09:00:01 09:00:02 09:00:03 09:00:04"),
        # the date stands where it changes
        ("2026-03-04T20:00:00", "2026-03-05T08:00:00", "20:00 22:00 Mar_5 02:00 04:00 06:00 08:00"),
        ("2026-03-01T00:00:00", "2026-03-13T00:00:00", "Mar_2 Mar_4 Mar_6 Mar_8 Mar_10 Mar_12"),
    ],
)
def test_time_ticks(low: str, high: str, labels: str) -> None:
    made = [label.replace(" ", "_") for _, label in scales.time_ticks(at(low), at(high), 7)]
    assert made == labels.split()


@pytest.mark.parametrize(
    ("power", "text"), [(0, "1"), (2, "100"), (4, "10 000"), (-2, "0.01"), (6, "10⁶"), (-12, "10⁻¹²")]
)
def test_powers(power: int, text: str) -> None:
    assert scales.ten_to(power) == text


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.2, 1.0], 0, None),  # near 0 anyway
        ([99.0, 100.0], 98.92, 100.08),  # 0 would hide the difference
        ([0.004], 0, 0.008),
        ([0.0], -1, 1),
        ([], 0, 1),
        ([None, math.nan, math.inf, 3.0], 0, 6),  # what is no number has no place
        ([-5.0, -1.0], None, 0),
    ],
)
def test_bounds(values: list[float | None], low: float | None, high: float | None) -> None:
    found = scales.bounds(values)
    assert low is None or found[0] == pytest.approx(low)
    assert high is None or found[1] == pytest.approx(high)
    assert found[0] < found[1]


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5), st.integers(2, 9))
def test_every_value_has_a_place_and_ticks_are_inside(values: list[float], about: int) -> None:
    low, high = scales.bounds(values)
    axis = Axis("linear", low, high)
    scale = scales.scale(axis, 200.0, 0.0)
    assert all(0 <= scale(v) <= 200 for v in values)
    ticks = scales.ticks(axis, about)
    assert len(ticks) <= 3 * about + 3
    assert [v for v, _ in ticks] == sorted({v for v, _ in ticks})


@given(st.floats(1e-200, 1e200), st.floats(1.0001, 1e60), st.integers(2, 9))
def test_log_axis(low: float, factor: float, about: int) -> None:
    axis = Axis("log", low, low * factor)
    place = scales.scale(axis, 0.0, 100.0)
    assert place(low) == pytest.approx(0)
    assert place(low * factor) == pytest.approx(100)
    assert place(-1.0) == 0  # no place on this scale: the edge
    assert all(low * 0.999 <= v <= low * factor * 1.001 for v, _ in scales.ticks(axis, about))


def test_gaps_part_a_line() -> None:
    points = [(0.0, None), (1.0, 5.0), (2.0, 6.0), (3.0, None), (4.0, None), (5.0, 7.0)]
    assert list(runs(points)) == [[(1.0, 5.0), (2.0, 6.0)], [(5.0, 7.0)]]
    assert list(runs([])) == list(runs([(0.0, None)])) == []


def test_an_unbounded_side_reaches_the_edge() -> None:
    axis = Axis("linear", 0.0, 9.0)
    points = [(0.0, 1.0, None), (1.0, None, 3.0), (2.0, None, None), (3.0, 4.0, 5.0)]
    assert list(band_runs(points, axis)) == [[(0.0, 1.0, 9.0), (1.0, 0.0, 3.0)], [(3.0, 4.0, 5.0)]]


@given(st.lists(st.floats(0, 200), max_size=6))
def test_labels_do_not_meet(places: list[float]) -> None:
    moved = sorted(apart(places, 0, 200))
    assert all(b - a >= 12.999 for a, b in pairwise(moved))
    assert all(-0.001 <= place <= 200.001 for place in moved)
