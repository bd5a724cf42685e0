"""The t-test's one-sided mixture against a numerical integral, and its false alarms on independent noise."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from analysis_service.core.statistics import t_mixture, t_test
from analysis_service.core.statistics.plan import Calibration, Margin, Plan

PLAIN = Calibration(points=360)  # history that found no memory: points count as they are


def plan(**more: object) -> Plan:
    return Plan(test="sequential-t", margin=Margin(absolute=1.0), calibration=PLAIN, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [-0.8, -0.1, 0.0, 0.3, 1.5])
@pytest.mark.parametrize("n", [3, 8, 30])
def test_one_sided_evidence_is_the_half_normal_mixture(shift: float, n: int) -> None:
    values = np.random.default_rng(n).normal(size=n) + shift
    settings = plan(restarts=False)
    state = t_test.start(settings)
    for k, value in enumerate(values.tolist(), start=1):
        state = t_test.add(settings, state, k, value, 0.0)
    t = float(stats.ttest_1samp(values, 0.0).statistic)

    def weighted(effect: float) -> float:
        return float(
            stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect, 0, math.sqrt(t_mixture.G2))
        )

    mixture = 2 * integrate.quad(weighted, 0, 4, limit=200)[0] / stats.t.pdf(t, n - 1)
    assert t_test.assess(settings, state).log_e_harm == pytest.approx(math.log(mixture), abs=1e-5)


def test_independent_noise_seldom_alarms() -> None:
    """At most alpha at any of 200 looks: 5 % and two standard errors of 300 runs."""
    settings = plan(planned_looks=200)
    alarms = 0
    for seed in range(300):
        values = np.random.default_rng(seed).normal(size=200).tolist()
        state = t_test.start(settings)
        for k, value in enumerate(values, start=1):
            state = t_test.add(settings, state, k, value, 0.0)
            if k % 4 == 0 and t_test.assess(settings, state, interval=False).log_e_harm >= math.log(20):
                alarms += 1
                break
    assert alarms / 300 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)
