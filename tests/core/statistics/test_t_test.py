"""The t-test's one-sided mixture against a numerical integral, and its false alarms on independent noise."""

import math

import msgspec
import numpy as np
import pytest
from scipy import integrate, signal, stats

from analysis_service.core.statistics import gauge_series, t_mixture, t_test
from analysis_service.core.statistics.evidence import FLOOR_FILLS_MARGIN
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


KNOWN = Calibration(points=360, scale=1.2, lag_one=0.0)  # and a look-back's variance


@pytest.mark.parametrize("shift", [-0.8, 0.0, 0.3, 1.5])
@pytest.mark.parametrize("n", [3, 8, 30])
def test_a_known_variance_counts_as_twenty_points_more(shift: float, n: int) -> None:
    """Independent noise of the look-back's variance: the pooled t is a noncentral t with as many degrees more."""
    values = np.random.default_rng(n).normal(size=n) + shift
    settings = Plan(test="sequential-t", margin=Margin(absolute=1.0), calibration=KNOWN, restarts=False)
    state = t_test.start(settings)
    for k, value in enumerate(values.tolist(), start=1):
        state = t_test.add(settings, state, k, value, 0.0)
    points = gauge_series.PRIOR_POINTS
    freedom = n - 1 + points
    known = max((1.2 * (1 + 1 / math.sqrt(720))) ** 2, values.var(ddof=1))  # a noisier run than its look-back
    pooled = ((n - 1) * values.var(ddof=1) + points * known) / freedom
    t = values.mean() * math.sqrt(n / pooled)

    def weighted(effect: float) -> float:
        density = stats.nct.pdf(t, freedom, effect * math.sqrt(n))
        return float(density * stats.norm.pdf(effect, 0, math.sqrt(t_mixture.G2)))

    mixture = 2 * integrate.quad(weighted, 0, 4, limit=200)[0] / stats.t.pdf(t, freedom)
    assert t_test.assess(settings, state).log_e_harm == pytest.approx(math.log(mixture), abs=1e-5)


@pytest.mark.parametrize(("phi", "lag_one"), [(0.0, 0.0), (0.5, 0.45), (0.93, 0.9)])
def test_the_variance_of_a_prewhitened_point(phi: float, lag_one: float) -> None:
    """Of e_t = (d_t - phi d_{t-1}) / (1 - phi) for an AR(1) with this lag-1 correlation, measured on a long series."""
    noise = np.random.default_rng(5).normal(size=200_000) * math.sqrt(1 - lag_one**2)
    d = signal.lfilter([1.0], [1.0, -lag_one], noise)[1000:]
    found = gauge_series.prior(Calibration(points=10**9, scale=1.0, autocorrelation=phi, lag_one=lag_one))
    assert found[1] / found[0] == pytest.approx(float(((d[1:] - phi * d[:-1]) / (1 - phi)).var()), rel=0.03)
    # what the look-back did not measure is no knowledge
    assert gauge_series.prior(Calibration(points=360, scale=1.0)) == (0.0, 0.0)
    assert gauge_series.prior(Calibration(points=59, scale=1.0, lag_one=0.0)) == (0.0, 0.0)


@pytest.mark.parametrize(("planned", "points"), [(0, 20), (24, 20), (80, 20), (120, 30), (240, 60), (10_000, 60)])
def test_what_a_look_back_counts_for(planned: int, points: float) -> None:
    known = Calibration(points=360, scale=1.0, lag_one=0.0)
    assert gauge_series.prior_points(planned) == points
    assert gauge_series.prior(known, planned)[0] == points


@pytest.mark.parametrize("phi", [0.0, 0.4, 0.9])
def test_the_first_difference_counts_as_the_exact_likelihood_has_it(phi: float) -> None:
    """Mean, its weight and the squared deviations are those of generalised least squares for an AR(1)."""
    n = 12
    d = np.random.default_rng(3).normal(size=n) + 0.7
    settings = plan(planned_looks=240)
    settings = msgspec.structs.replace(settings, calibration=Calibration(points=360, autocorrelation=phi))
    state = t_test.start(settings)
    for k, value in enumerate(d.tolist(), start=1):
        state = t_test.add(settings, state, k, value, 0.0)
    at = np.arange(n)
    inverse = np.linalg.inv(phi ** np.abs(at[:, None] - at[None, :]) / (1 - phi**2)) / (1 - phi) ** 2  # of one point
    weight = inverse.sum()
    mean = (inverse @ d).sum() / weight
    found = gauge_series.sums(state.difference, 0.0, whitened=True)
    assert float(found.n[0]) == pytest.approx(weight)
    assert float(found.mean[0]) + state.difference.origin == pytest.approx(mean)
    assert float(found.deviation[0]) == pytest.approx((d - mean) @ inverse @ (d - mean))
    assert float(found.points[0]) == n


@pytest.mark.parametrize("phi", [0.5, 0.95])
def test_a_known_memory_seldom_alarms(phi: float) -> None:
    """A stationary AR(1) whose memory and spread are known: 5 % and two standard errors of 300 runs, short and long."""
    known = Calibration(points=10_000, scale=1.0, autocorrelation=phi, lag_one=phi)
    rng = np.random.default_rng(4)
    runs, alarms = 300, 0
    for _ in range(runs):
        noise = signal.lfilter(
            [1.0], [1.0, -phi], rng.normal(size=30) * math.sqrt(1 - phi**2), zi=[phi * rng.normal()]
        )[0]
        settings = Plan(test="sequential-t", margin=Margin(absolute=1.0), calibration=known, planned_looks=30)
        state = t_test.start(settings)
        for k, value in enumerate(noise.tolist(), start=1):
            state = t_test.add(settings, state, k, value, 0.0)
            if t_test.assess(settings, state, interval=False).log_e_harm >= math.log(20):
                alarms += 1
                break
    assert alarms / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_a_variance_that_has_changed_since_seldom_alarms(noise: float) -> None:
    """Also noise three times the look-back's: what is known then gives way to what is seen."""
    settings = Plan(test="sequential-t", margin=Margin(absolute=1.0), calibration=KNOWN, planned_looks=60)
    alarms, runs = 0, 150
    for seed in range(runs):
        state = t_test.start(settings)
        for k, value in enumerate((noise * np.random.default_rng(seed).normal(size=40)).tolist(), start=1):
            state = t_test.add(settings, state, k, value, 0.0)
            if t_test.assess(settings, state, interval=False).log_e_harm >= math.log(20):
                alarms += 1
                break
    assert alarms / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_pod_offsets_widen_both_verdicts(floor: float) -> None:
    """An innocent pod's offset is neither harm nor, taken off real harm, safety."""
    rng = np.random.default_rng(2)
    settings = Plan(
        test="sequential-t",
        margin=Margin(relative=0.2),
        calibration=Calibration(points=360, log_ratio=True, noise_floor=floor),
    )
    found = []
    for ratio in (1.08, 1.12):
        state = t_test.start(settings)
        for k, (c, s) in enumerate(np.exp(0.02 * rng.normal(size=(60, 2))).tolist(), start=1):
            state = t_test.add(settings, state, k, ratio * c, s)
        found.append(t_test.assess(settings, state, interval=False))
    limit = math.log(20)
    assert (found[0].log_e_harm >= limit) is (floor == 0.0)
    assert (found[1].log_e_safety >= limit) is (floor == 0.0)
    wide = Calibration(points=360, log_ratio=True, noise_floor=0.3)
    fills = msgspec.structs.replace(settings, calibration=wide)
    assert FLOOR_FILLS_MARGIN in t_test.assess(fills, state, interval=False).flags


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
