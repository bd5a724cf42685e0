"""The bet on the last look: a martingale under no change, worth 1 / level at the end where the t-test rejects."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from analysis_service.core.statistics import last_look, t_test
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.plan import Calibration, Margin, Plan

PLAIN = Calibration(points=360)  # history that found no memory: points count as they are
KNOWN = Calibration(points=360, scale=1.0, lag_one=0.0)  # and a look-back's variance
PLANNED = 24


def worth(total: float, square: float, n: int, prior: float, left: int, level: float) -> float:
    return math.exp(last_look.log_bet(total / n, square, n, prior, left, level))


@pytest.mark.parametrize("prior", [0.0, 20.0])
@pytest.mark.parametrize(("n", "left"), [(4, 20), (12, 12), (21, 3), (23, 1), (120, 120), (238, 2)])
@pytest.mark.parametrize("chance", [0.1, 0.4, 0.8])
def test_the_bet_is_a_martingale(prior: float, n: int, left: int, chance: float) -> None:
    """Of the next point, a Student's on as many degrees as points are known; what is below 1 is not counted."""
    level, known = 0.02, n + prior
    totals = np.linspace(0.0, 0.999 * math.sqrt(known), 400)
    now = min(totals, key=lambda one: abs(worth(one, known, n, prior, left, level) * level - chance))
    found = worth(now, known, n, prior, left, level)

    def after(value: float) -> float:
        return worth(now + value, known + value * value, n + 1, prior, left - 1, level) * stats.t.pdf(value, known)

    at = np.linspace(-8.0, 12.0, 1001)
    mean = integrate.trapezoid([after(value) for value in at.tolist()], at)
    assert mean <= found * 1.01 + 0.01
    assert mean >= found * 0.9 - 0.2 * (found < 10)


@pytest.mark.parametrize("prior", [0.0, 20.0])
@pytest.mark.parametrize("n", [3, 24, 240])
def test_at_the_end_it_is_the_t_test(prior: float, n: int) -> None:
    level, freedom = 0.02, prior + n - 1
    for p, won in ((0.0199, True), (0.0201, False)):
        t = stats.t.isf(p, freedom)
        mean = t * math.sqrt(freedom / (freedom * n))  # of points with these squared deviations: freedom
        found = last_look.log_bet(mean, freedom + n * mean * mean, n, prior, 0, level)
        assert found == (pytest.approx(-math.log(level)) if won else -math.inf)
        assert last_look.log_bet(mean, freedom + n * mean * mean, n, prior, -1, level) == -math.inf


@pytest.mark.parametrize("planned", [0, 1, 3, 4, 24, 240, 2000, 2001, 10_000])
def test_the_share_is_a_share(planned: int) -> None:
    harm, safety = last_look.shares(planned)
    assert 0.0 <= harm <= safety <= last_look.MOST
    assert (harm > 0.0) == (safety > 0.0) == (4 <= planned <= 2000)


def judged(
    values: np.ndarray, planned: int = PLANNED, calibration: Calibration = PLAIN, **more: object
) -> list[Evidence]:
    plan = Plan(
        "sequential-t",
        Margin(absolute=1.0),
        planned_looks=planned,
        calibration=calibration,
        **more,  # type: ignore[arg-type]
    )
    state, found = t_test.start(plan), []
    for k, value in enumerate(values.tolist(), start=1):
        state = t_test.add(plan, state, k, value, 0.0)
        found.append(t_test.assess(plan, state))
    return found


def with_p(p: float, seed: int) -> np.ndarray:
    """Independent noise, moved so that a t-test of all of it has this p."""
    noise = np.random.default_rng(seed).normal(size=PLANNED)
    noise -= noise.mean()
    moved: np.ndarray = noise + stats.t.isf(p, PLANNED - 1) * noise.std(ddof=1) / math.sqrt(PLANNED)
    return moved


@pytest.mark.parametrize("seed", range(5))
def test_harm_is_shown_at_the_last_look_as_a_t_test_of_that_size_shows_it(seed: int) -> None:
    level = last_look.shares(PLANNED)[0] * 0.05
    limit = math.log(20)
    just, not_quite = judged(with_p(0.99 * level, seed)), judged(with_p(1.5 * level, seed))
    assert just[-1].log_e_harm >= limit
    assert just[-1].lower is not None
    assert just[-1].lower > 0.0
    assert max(one.log_e_harm for one in not_quite[-1:]) < limit
    # the same points in a run that was planned longer: the end has not come
    assert judged(with_p(0.99 * level, seed), 2 * PLANNED)[-1].log_e_harm < limit


def test_either_way_each_side_has_half() -> None:
    level = last_look.shares(PLANNED)[0] * 0.05 / 2
    for sign in (1, -1):
        found = judged(sign * with_p(0.99 * level, 1), direction="either")[-1]
        assert found.log_e_harm >= math.log(20)
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower > 0.0 or found.upper < 0.0


@pytest.mark.parametrize("calibration", [PLAIN, KNOWN])
def test_false_alarms_at_any_look_stay_below_alpha(calibration: Calibration) -> None:
    rng = np.random.default_rng(8)
    runs = 600
    failed = passed = 0
    for _ in range(runs):
        noise = rng.normal(size=PLANNED)
        failed += max(one.log_e_harm for one in fast(noise, calibration)) >= math.log(20)
        passed += max(one.log_e_safety for one in fast(noise + 1.0, calibration)) >= math.log(20)
    assert failed / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert passed / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert failed / runs > 0.015  # what a short run may spend it does spend


def fast(values: np.ndarray, calibration: Calibration) -> list[Evidence]:
    plan = Plan("sequential-t", Margin(absolute=1.0), planned_looks=PLANNED, calibration=calibration)
    state, found = t_test.start(plan), []
    for k, value in enumerate(values.tolist(), start=1):
        state = t_test.add(plan, state, k, value, 0.0)
        found.append(t_test.assess(plan, state, interval=False))
    return found
