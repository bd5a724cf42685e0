"""What a metric usually is at this phase of its period, and how far innocent days lie off it."""

import math
import random
from collections.abc import Sequence

import pytest
from scipy.stats import t as student

from analysis_service.core.statistics import season
from analysis_service.core.statistics.plan import Calibration, Margin, Plan

N = None
Day = Sequence[float | None]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        # the median of the days before, step by step; an accident on one of them moves nothing
        ([[1, 10], [2, 20], [3, 30], [4, 40], [500, 50], [2, 20], [3, 30]], [3, 30]),
        # of an even number the middle of the middle two
        ([[1], [2], [3], [4]], [2.5]),
        # only the first seven
        ([[1]] * 7 + [[100]] * 7, [1]),
        # a missing day, and gaps within one: what is left
        ([[1, 1], [N, N], [3, N], [5, 7]], [3, 4]),
        # four of seven days are there everywhere, and a step that only one of them has is no figure
        ([[1, 1], [1, N], [1, N], [1, N], [N, N], [N, N], [N, N]], [1, N]),
        ([[N, 1]], [N, 1]),
        ([[N], [N]], [N]),
        ([], []),
        # beyond what a double counts singly nothing is judged
        ([[1e15], [2], [4]], [3]),
    ],
)
def test_figures(days: list[Day], expected: Day) -> None:
    assert season.figures(days) == expected


@pytest.mark.parametrize(
    ("days", "periods"),
    [
        ([[1, 1]] * 7, 7),
        ([[1, 1]] * 14, 7),  # seven are enough
        ([[1, 1]] * 3, 3),
        ([[1, 1], [N, N], [1, N], [1, 1]], 3),  # half of a window is a day, nothing is none
        ([[1, N, N], [N, N, N]], 0),
        ([], 0),
        ([[]], 0),
    ],
)
def test_periods(days: list[Day], periods: int) -> None:
    assert season.periods(days) == periods


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        # each day against the three or more before it
        ([[5], [1], [2], [3]], [[(5, 2)]]),
        ([[6], [5], [1], [2], [3]], [[(6, 2.5)], [(5, 2)]]),
        ([[5], [1], [2]], []),
        # a day that is missing is no placebo, and no day before one
        ([[N], [5], [1], [2], [3]], [[(5, 2)]]),
        ([[5], [1], [N], [2]], []),
        # steps without a value, or without a figure, are left out
        ([[5, N, 5], [1, 1, N], [2, 2, N], [3, 3, N]], [[(5, 2)]]),
        # at most seven days before
        ([[5], *[[1]] * 7, *[[9]] * 7], [[(5, 1)], [(1, 1)], [(1, 1)], [(1, 1)], [(1, 9)], [(1, 9)], [(1, 9)], [(1, 9)],
          [(9, 9)], [(9, 9)], [(9, 9)], [(9, 9)]]),
    ],
)  # fmt: skip
def test_placebo_days(days: list[Day], expected: list[list[tuple[float, float]]]) -> None:
    assert season.placebo_days(days) == expected


def plan_with(margin: Margin, looks: int = 40) -> season.PlanWith:
    def plan(found: Calibration) -> Plan:
        return Plan("sequential-t", margin, fail_at="margin", planned_looks=looks, calibration=found)

    return plan


def made(seed: int, days: int, steps: int, *, offset: float, noise: float, memory: float = 0.0) -> list[list[float]]:
    """Days around 100 that differ by a lasting offset each, with noise of this sd and memory; the latest first."""
    draw = random.Random(seed)
    found = []
    for _ in range(days):
        level, e, day = draw.gauss(0, offset), 0.0, []
        for _ in range(steps):
            e = memory * e + draw.gauss(0, noise * math.sqrt(1 - memory * memory))
            day.append(100 * math.exp(level + e))
        found.append(day)
    return found


@pytest.mark.parametrize(
    ("offset", "noise", "memory"),
    [(0.0, 0.05, 0.0), (0.03, 0.05, 0.0), (0.03, 0.05, 0.6), (0.1, 0.02, 0.3), (0.03, 0.05, 0.9)],
)
def test_days_offsets_are_a_floor_and_what_moves_within_a_run_is_noise(
    offset: float, noise: float, memory: float
) -> None:
    found, floor = season.learn(
        made(1, 14, 160, offset=offset, noise=noise, memory=memory),
        made(1, 14, 40, offset=offset, noise=noise),
        plan_with(Margin(relative=0.2)),
    )
    assert found.sufficient
    assert found.log_ratio
    assert found.points == 11 * 160  # eleven days have three or more before them
    assert found.autocorrelation == pytest.approx(memory, abs=0.12)
    if offset:  # the spread of one day against the median of seven: about 1.1 times that of one
        expected = student.ppf(0.99, 11) * offset * 1.1
        assert expected * 0.5 <= found.noise_floor <= expected * 2.0
        assert floor == pytest.approx(100 * found.noise_floor, rel=0.3)
    else:
        assert found.noise_floor <= 0.03
    assert found.baseline == pytest.approx(100, rel=3 * offset + 0.05)
    assert found.placebo_false_alarm is not None
    assert found.placebo_false_alarm <= 0.1


@pytest.mark.parametrize(
    ("days", "sufficient"),
    [(made(2, 14, 80, offset=0.02, noise=0.03), True), (made(2, 7, 80, offset=0.02, noise=0.03), True),
     # six days teach, and are not trusted; three have nothing before them
     (made(2, 6, 80, offset=0.02, noise=0.03), False), (made(2, 3, 80, offset=0.02, noise=0.03), False),
     # seven days of so few steps that only four placebos of ten points are left
     (made(2, 7, 10, offset=0.02, noise=0.03), False), ([], False)],
)  # fmt: skip
def test_what_is_enough(days: list[Day], sufficient: bool) -> None:
    found, _ = season.learn(days, days, plan_with(Margin(relative=0.2)))
    assert found.sufficient is sufficient


@pytest.mark.parametrize(
    ("margin", "shift", "log_ratio"),
    [(Margin(relative=0.2), 0.0, True), (Margin(absolute=5.0), 0.0, False), (Margin(relative=0.2), -100.0, False)],
)
def test_the_floor_is_on_the_scale_that_is_judged(margin: Margin, shift: float, log_ratio: bool) -> None:
    days = [[value + shift for value in day] for day in made(3, 14, 80, offset=0.05, noise=0.02)]
    found, floor = season.learn(days, days, plan_with(margin))
    assert found.log_ratio is log_ratio
    assert (floor == found.noise_floor) is not log_ratio
    assert found.noise_floor > (0.05 if log_ratio else 5.0)


def test_the_past_s_order_and_unit_are_all_that_counts() -> None:
    days = made(4, 14, 80, offset=0.03, noise=0.03)
    found, floor = season.learn(days, days, plan_with(Margin(relative=0.2)))
    again, scaled = season.learn([[1000 * v for v in day] for day in days], days, plan_with(Margin(relative=0.2)))
    assert again.noise_floor == pytest.approx(found.noise_floor)
    assert again.autocorrelation == pytest.approx(found.autocorrelation)
    assert scaled == pytest.approx(1000 * floor)


@pytest.mark.parametrize("value", [0.0, 7.0, -1.0])
def test_days_that_never_move_decide_nothing(value: float) -> None:
    days = [[value] * 60] * 14
    found, floor = season.learn(days, days, plan_with(Margin(relative=0.2)))
    assert (found.noise_floor, floor, found.placebo_false_alarm) == (0.0, 0.0, 0.0)
