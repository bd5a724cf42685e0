"""The past in stable's place: which figure belongs to a look, and what cannot be decided without one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from analysis_service.core.compare import season
from analysis_service.core.statistics.looks import Gauge, Look
from analysis_service.core.statistics.plan import Calibration, Plan, Season
from analysis_service.core.statistics.verdict import VerdictState

ANCHOR = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # a night on which some clocks change: UTC's does not
DAY = 86_400.0
HOURLY = Season(DAY, ANCHOR.timestamp(), 3600.0, tuple(float(hour) for hour in range(24)), 7)
FEW = Season(DAY, ANCHOR.timestamp(), 30.0, (10.0, None, 30.0), 7)


@pytest.mark.parametrize(
    ("past", "seconds", "figure"),
    [
        (FEW, 0, 10.0),
        (FEW, 14, 10.0),  # the nearest
        (FEW, 16, None),  # a gap
        (FEW, 61, 30.0),
        (FEW, -14, 10.0),
        (FEW, -16, None),  # before what was read, and after it
        (FEW, 76, None),
        (FEW, DAY, None),  # of a part of a period nothing comes again
        (HOURLY, 5 * 3600, 5.0),
        (HOURLY, 23.4 * 3600, 23.0),
        # a whole period comes again and again
        (HOURLY, 23.6 * 3600, 0.0),
        (HOURLY, 29 * 3600, 5.0),
        (HOURLY, 3 * DAY + 3600, 1.0),
        (Season(DAY, 0.0, 30.0), 0, None),
    ],
)
def test_the_figure_of_a_moment(past: Season, seconds: float, figure: float | None) -> None:
    assert season.figure_at(past, past.anchor + seconds) == figure


def plan_with(past: Season | None, **calibration: object) -> Plan:
    return Plan("sequential-t", calibration=Calibration(season=past, **calibration))  # type: ignore[arg-type]


def test_the_figure_takes_stable_s_place() -> None:
    look = Look(1, ANCHOR + timedelta(seconds=60), Gauge(5.0), flags=("warming-up",))
    assert season.with_past(plan_with(FEW), look) == replace(look, stable=Gauge(30.0))
    without = replace(look, flags=("warming-up", "no-past"), gaps={"past": "no-past"})
    assert season.with_past(plan_with(FEW), replace(look, at=ANCHOR + timedelta(seconds=30))).stable is None
    assert season.with_past(plan_with(None), look) == without
    assert season.with_past(Plan("sequential-t"), look) == without


@dataclass
class Capped:
    past: Season | None
    why: str


@pytest.mark.parametrize(
    "case",
    [
        Capped(FEW, ""),
        Capped(replace(FEW, periods=6), "there is a history of 6 days, and a verdict needs 7"),
        Capped(replace(FEW, periods=1), "there is a history of 1 day, and a verdict needs 7"),
        Capped(replace(FEW, periods=2, period_seconds=7 * DAY), "history of 2 weeks, and a verdict needs 7"),
        Capped(replace(FEW, periods=0, period_seconds=3600), "history of 0 hours,"),
        Capped(replace(FEW, periods=3, period_seconds=12 * 3600), "history of 3 periods of 12 h,"),
        Capped(replace(FEW, periods=0, why="no answer"), "its past could not be read (no answer), so there is nothing"),
        Capped(None, "its past could not be read, so there is nothing to compare it with"),
    ],
)
@pytest.mark.parametrize(
    "verdict",
    [VerdictState("fail", 9, failed_at=9, peak_harm=5.0), VerdictState("pass", 9, passed_at=8, by_floor=True)],
)
def test_nothing_is_decided_on_less_than_seven_periods(case: Capped, verdict: VerdictState) -> None:
    plan = plan_with(case.past)
    assert case.why in season.why_capped(plan)
    left = season.capped(plan, verdict)
    if not case.why:
        assert left == verdict
    else:
        assert (left.outcome, left.failed_at, left.passed_at, left.by_floor) == ("", 0, 0, False)
        assert (left.looks, left.peak_harm) == (verdict.looks, verdict.peak_harm)  # what was seen stays


def test_values_that_are_no_ratio_any_longer_keep_their_floor() -> None:
    """Of a gauge that was above 0 on every day of the past, and is 0 in the run."""
    past = replace(FEW, floor=3.0)
    plan = plan_with(past, points=90, log_ratio=True, noise_floor=0.1, fence_low=-1.0, fence_high=1.0, lag_one=0.2)
    assert season.on_its_scale(plan, positive=True) is plan
    found = season.on_its_scale(plan, positive=False).calibration
    assert found is not None
    assert (found.log_ratio, found.noise_floor, found.fence_low, found.lag_one) == (False, 3.0, None, None)
    plain = plan_with(past, log_ratio=False, noise_floor=3.0)
    assert season.on_its_scale(plain, positive=False) is plain
