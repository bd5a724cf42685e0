"""What is read out of measurements and looks: values, thresholds, limits, fates of looks, gaps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.model import Look, Metric, MetricResult, Phase
from analysis_service.core.prepare import ready
from analysis_service.core.statistics.looks import Counts, Gauge, Histogram, Samples
from analysis_service.report import comparison, condition, reading, weighed
from analysis_service.report.chart import Chart
from analysis_service.report.seen import Comparison, Seen, level, uses, why_not

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.004", [0.004]),
        (" 12 ", [12]),
        ("[0.1,0.2]", [0.1, 0.2]),
        ("[0.1 NaN 3]", [0.1, 3]),  # as Go prints a list with one
        ("NaN", []),
        ("+Inf", []),
        ("1e308", []),  # no place on an axis
        ("true", []),
        ("[true, 2]", [2]),
        ('{"a":1}', []),
        ("[" * 10_000, []),
        ("", []),
    ],
)
def test_values(text: str, numbers: list[float]) -> None:
    assert condition.values(text) == pytest.approx(numbers)


@pytest.mark.parametrize(
    ("success", "failure", "labels"),
    [
        ("result < 0.05", "", ["success < 0.05"]),
        ("result[0] >= 0.95", "result[0] < 0.9", ["success >= 0.95", "failure < 0.9"]),
        ("0.95 <= result", "", ["success >= 0.95"]),  # read from the result's side
        ("isNaN(result) || result <= 1", "", ["success <= 1"]),
        ("len(result) == 0 || result[0] < 3", "", ["success < 3"]),
        ("asFloat(result) > -2", "", ["success > −2"]),
        ("default(result, 0) < 5", "", ["success < 5"]),
        ("result.ok", "", []),
        ("all(result, # < 0.5)", "", []),  # of items, not of the result
        ("result < result", "", []),
        ("result <", "", []),  # what is no condition has no threshold
        ("", "", []),
    ],
)
def test_thresholds(success: str, failure: str, labels: list[str]) -> None:
    metric = Metric("m", success_condition=success, failure_condition=failure)
    assert [threshold.label for threshold in condition.thresholds(ready(metric))] == labels


@pytest.mark.parametrize(
    ("metric", "result", "checks"),
    [
        (  # the limit is what is allowed, one more fails
            {"count": 5, "failure_limit": 3},
            {"failed": 2, "count": 4, "phase": Phase.RUNNING},
            {"At most 3 failures: 2 of 3 used": True, "5 measurements that count: 4 taken": None},
        ),
        (
            {"count": 5, "failure_limit": 1},
            {"failed": 2, "count": 4, "phase": Phase.FAILED},
            {"At most 1 failure: 2 of 1 used": False, "5 measurements that count: 4 taken": False},
        ),
        ({"failure_limit": -1}, {"failed": 9}, {"Any number of failures: 9 so far": True}),
        ({}, {"inconclusive": 1}, {"No failure: 0 so far": True, "No inconclusive measurement: 1 so far": False}),
        (
            {"consecutive_success_limit": 3},
            {"consecutive_success": 2, "phase": Phase.RUNNING},
            {"3 successes in a row: 2 now": None},
        ),
    ],
)
def test_checklist(metric: dict[str, Any], result: dict[str, Any], checks: dict[str, bool | None]) -> None:
    found = condition.checklist(MetricResult("m", **result), ready(Metric("m", interval="1m", **metric)))
    assert {check.text: check.ok for check in found}.items() >= checks.items()


def test_measurements_by_phase_and_without_a_number(conditions: Make) -> None:
    metric, result = conditions("m", ["0.01", "0.2", "", "[]"], phases="SFEI")
    chart = condition.chart(result, ready(metric))
    assert chart is not None
    assert {marks.label: (marks.role, marks.shape) for marks in chart.marks} == {
        "Successful (1)": ("good", "circle"),
        "Failed (1)": ("bad", "triangle"),
        "Inconclusive (1)": ("unsure", "diamond"),
        "Error (1)": ("error", "cross"),
    }
    nowhere = [y for marks in chart.marks for _, y, _ in marks.points if marks.role in ("error", "unsure")]
    assert nowhere == [chart.y.low, chart.y.low]
    assert chart.y.low < 0.01
    assert [y for _, y in chart.lines[0].points] == [0.01, 0.2, None, None]
    assert "2 measurements without a number" in chart.note


@pytest.mark.parametrize(
    ("data", "drawn"),
    [
        (Counts(3.0, 1000.0), 0.003),
        (Counts(0.0, 0.0), None),  # 0 of 0 is not 0
        (Gauge(0.4), 0.4),
        (Samples((3.0, 1.0, 2.0)), 3.0),
        (Samples(()), None),
        (Histogram((1.0, 2.0), (0.0, 100.0, 0.0)), 1.95),  # linear inside the bucket
        (Histogram((1.0, 2.0), (0.0, 0.0, 5.0)), 2.0),  # above the last edge nothing is known
        (Histogram((1.0,), (1.0,)), None),
        (None, None),
    ],
)
def test_level(data: Any, drawn: float | None) -> None:
    assert level(data, 0.95) == (pytest.approx(drawn) if drawn is not None else None)


def read(compared: Make, **how: Any) -> tuple[Comparison, list[Look]]:
    metric, _, looks = compared(looks=30, until="terminated", effect=2.5, onset=5, **how)
    return reading.comparison(ready(metric), [(metric, False)], looks), looks


def test_looks_are_read_as_they_were_kept(compared: Make) -> None:
    found, looks = read(compared)
    assert found.plan is not None
    assert (found.plan.alpha, found.plan.fail_at, found.interval_seconds) == (0.05, "noharm", 30)
    assert uses(found.looks) == {"used": 27, "dropped": 1, "missed": 2}
    failed, passed = found.turning
    assert failed is not None
    assert passed is None
    assert failed.number == looks[-1].data["verdict"]["failed_at"]
    assert found.evidence is not None
    assert found.evidence.used == 27


def by_title(charts: list[Chart], start: str) -> Chart:
    return next(chart for chart in charts if chart.title.startswith(start))


def test_arms_have_gaps_and_what_is_known_goes_on(compared: Make) -> None:
    """Look 6 was missed and 11 had no canary: gaps in the arms, none in what accumulates."""
    charts = comparison.charts(read(compared)[0])
    canary, stable = by_title(charts, "Canary").lines
    assert [i + 1 for i, (_, y) in enumerate(canary.points) if y is None] == [6, 11, 23]
    assert [i + 1 for i, (_, y) in enumerate(stable.points) if y is None] == [6, 23]
    assert all(y is not None for _, y in by_title(charts, "Effect").lines[0].points)


def test_a_missed_look_says_why(compared: Make) -> None:
    strip = by_title(comparison.charts(read(compared)[0]), "Each look")
    assert strip.table.rows[5][2:] == (
        "missed", "not decided", "Unreachable: prometheus.monitoring:9090 refused the connection",
    )  # fmt: skip
    assert strip.table.rows[10][2] == "dropped"
    assert "no usable data of canary (no-data)" in strip.table.rows[10][4]


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ({"canary": "no-data"}, "canary: its query returned nothing"),
        (
            {"canary": "zero-traffic", "stable": "no-buckets"},
            "canary: it had no traffic; stable: its series are no buckets: they have no label le",
        ),
    ],
)
def test_an_arm_without_data_says_why(gaps: dict[str, str], said: str) -> None:
    assert why_not(Seen(3, datetime(2026, 1, 1, tzinfo=UTC), flags=("no-data",), gaps=gaps, use="dropped")) == said


def test_charts_below_each_other_show_the_same_time(compared: Make) -> None:
    charts = comparison.charts(read(compared)[0])
    timed = [chart for chart in charts if chart.x.kind == "time"]
    assert len(timed) == 4
    assert len({(chart.x.low, chart.x.high) for chart in timed}) == 1


def test_evidence_beyond_the_picture_stays_at_its_edge(compared: Make) -> None:
    found, _ = read(compared)
    chart = by_title(comparison.charts(found), "Evidence")
    harm = [y for _, y in chart.lines[0].points if y is not None]
    assert max(harm) == weighed.MOST
    assert min(harm) >= weighed.LEAST
    assert float(chart.table.rows[-1][2].replace(" ", "").replace("e", "E")) > 1e6  # the table has the value


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"canary": {"type": "counts", "events": "many"}},
        {"canary": 3, "verdict": 5, "evidence": []},
        {"missed": ["x"]},
        {"evidence": {"test": "t", "unit": "?"}, "flags": None},
    ],
)
def test_looks_that_cannot_be_read_are_missed_not_fatal(data: dict[str, Any], compared: Make) -> None:
    metric, _, looks = compared(looks=3, spoil=False)
    broken = Look(4, looks[-1].at + timedelta(seconds=30), data)
    found = reading.comparison(ready(metric), [(metric, False)], [*looks, broken])
    assert len(found.looks) == len(looks) + 1
    assert comparison.charts(found)


def test_without_a_spec_the_looks_are_drawn_all_the_same(compared: Make) -> None:
    _, _, looks = compared(looks=12, spoil=False)
    found = reading.comparison(None, [], looks)
    assert found.plan is None
    assert found.interval_seconds == 30
    assert len(comparison.charts(found)) == 4


@pytest.mark.parametrize(
    ("text", "alpha"),
    [
        ('{"test": "sequential-rate-ratio", "alpha": 0.01}', 0.01),  # what decided, not what would be decided now
        ('{"test": "sequential-rate-ratio", "alpha": 0}', 0.05),  # nothing to divide by: the spec's
        ("{", 0.05),
        ("", 0.05),
    ],
)
def test_the_plan_that_decided(text: str, alpha: float, compared: Make) -> None:
    metric, _, looks = compared(looks=3)
    found = reading.comparison(ready(metric), [(metric, False)], looks, {reading.PLAN: text})
    assert found.plan is not None
    assert found.plan.alpha == alpha
    assert comparison.charts(found)
