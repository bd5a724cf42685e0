"""The count tests' evidence against the sum it stands for, written out: every start, alternative and look."""

import math

import numpy as np
import pytest

from analysis_service.core.statistics import conditional, mixture, rate_ratio, starts
from analysis_service.core.statistics.plan import Calibration, Margin, Plan

Look = tuple[float, float, float, float]


def log_e(run: list[Look], null: float, sign: int, begins: list[tuple[int, float]], phi: float) -> float:
    """log sum_j w_j sum_i pi_i exp((L_j(null + sign d_i) - L_j(null)) / phi), L the conditional binomial's."""
    d = np.geomspace(mixture.NEAREST, mixture.FARTHEST, mixture.DISTANCES).tolist()
    prior = [x / (1 + (x / mixture.CAUCHY_SCALE) ** 2) for x in d]

    def level(psi: float, after: int) -> float:
        total = 0.0
        for x_c, n_c, x_s, n_s in run[after:]:
            w = n_c / (n_c + n_s)
            total += x_c * psi - (x_c + x_s) * math.log(math.exp(psi) * w + 1 - w)
        return total

    terms = []
    for after, weight in begins:
        kept = [i for i, x in enumerate(d) if after == 0 or mixture.LATE_NEAREST <= x <= mixture.LATE_FARTHEST]
        whole = math.fsum(prior[i] for i in kept)
        base = level(null, after)
        terms += [
            math.log(weight * prior[i] / whole) + (level(null + sign * d[i], after) - base) / phi
            for i in kept
            if abs(null + sign * d[i]) <= mixture.RANGE
        ]
    top = max(terms)
    return top + math.log(math.fsum(math.exp(t - top) for t in terms))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("margin", [0.0, math.log(1.5), 3.4])
@pytest.mark.parametrize("phi", [1.0, 2.3])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5])
def test_the_evidence_is_the_mixture_written_out(sign: int, margin: float, phi: float, factor: float) -> None:
    rng = np.random.default_rng(3)
    run = [(float(rng.poisson(4 * factor)), 300.0 + k, float(rng.poisson(27)), 2700.0) for k in range(30)]
    plan = Plan(test="sequential-rate-ratio", margin=Margin(relative=0.5), planned_looks=40)
    state = rate_ratio.start(plan)
    begins = [(0, starts.FIRST)]
    for k, (x_c, n_c, x_s, n_s) in enumerate(run, start=1):
        state = rate_ratio.add(plan, state, k, (x_c, n_c), (x_s, n_s))
        weight = starts.log_weight(k, 40)
        if weight is not None:
            begins.append((k, math.exp(weight)))
            spare = starts.surplus([k - at for at, _ in begins])
            if spare is not None:
                del begins[spare]
    found = conditional.evaluate(state, sign, margin, phi)
    assert found.harm == pytest.approx(log_e(run, 0.0, sign, begins, phi), abs=1e-8)
    assert found.harm_margin == pytest.approx(log_e(run, sign * margin, sign, begins, phi), abs=1e-8)
    assert found.safety == pytest.approx(log_e(run, sign * margin, -sign, [(0, 1.0)], phi), abs=1e-8)


@pytest.mark.parametrize(("memory", "low", "high"), [(0.8, 0.9, 1.2), (0.0, 0.6, 0.9)])
def test_a_long_run_learns_its_own_long_run_dispersion(memory: float, low: float, high: float) -> None:
    """Residuals 10 a_t, a an AR(.8): long-run variance 100 (1 + .8) / (1 - .8), over the binomial's 45."""
    truth = 100 * 9 / (50 * 450 / 499)
    plan = Plan(
        test="sequential-rate-ratio",
        margin=Margin(relative=0.5),
        planned_looks=4000,
        calibration=Calibration(points=360, memory=memory),
    )
    found = []
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(size=4000) * 0.6
        state, a = rate_ratio.start(plan), 0.0
        for k, step in enumerate(noise.tolist(), start=1):
            a = 0.8 * a + step
            state = rate_ratio.add(plan, state, k, (max(50 + 10 * a, 0.0), 100.0), (max(450 - 10 * a, 0.0), 900.0))
        found.append(conditional.dispersion(plan.calibration, state) / truth)
    assert low <= float(np.mean(found)) <= high


@pytest.mark.parametrize(("factor", "most"), [(1.0, 1.1), (5.0, 1.4)])
def test_harm_in_sparse_events_is_hardly_dispersion(factor: float, most: float) -> None:
    """At most one event in most looks: their variance is that of the ratio so far; no change's would make this 1.5.

    What remains is that a look's total varies too.
    """
    plan = Plan(test="sequential-rate-ratio", margin=Margin(relative=0.5), planned_looks=240)
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        state = rate_ratio.start(plan)
        for k in range(1, 241):
            events = float(rng.poisson(0.09 * factor)), float(rng.poisson(0.81))
            state = rate_ratio.add(plan, state, k, (events[0], 9.0), (events[1], 81.0))
        found.append(state.square / state.expected)
    assert 0.9 <= float(np.mean(found)) <= most
