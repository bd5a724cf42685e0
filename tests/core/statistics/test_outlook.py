"""What a comparison can find in its planned time, and how likely it is to end undecided: against runs of the tests."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from analysis_service.core.statistics.crossing import Array, at_end, critical_events, crossing
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.mixture import distances
from analysis_service.core.statistics.outlook_counts import at_most, outlook_counts, outlook_objective
from analysis_service.core.statistics.outlook_gauge import Noise, noise_of_history, outlook_gauge
from analysis_service.core.statistics.outlook_histogram import outlook_histogram
from analysis_service.core.statistics.placebo import calibrate_gauge_pair
from analysis_service.core.statistics.plan import Calibration, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(test="sequential-rate-ratio", margin=Margin(relative=0.5), planned_looks=120)
GAUGE = Plan(test="sequential-t", margin=Margin(relative=0.1), planned_looks=60, fail_at="margin")
HISTOGRAM = Plan(test="sequential-histogram", margin=Margin(relative=0.5), planned_looks=60, fail_at="margin")
EDGES = tuple(0.05 * 1.6**k for k in range(10))
Draw = Callable[[np.random.Generator], tuple[ArmData, ArmData]]


def ended(plan: Plan, draw: Draw, runs: int) -> dict[str, float]:
    """How runs of the test end: the share of "fail", "pass" and ""."""
    rng, family, outcomes = np.random.default_rng(1), families()[plan.test], {"": 0, "pass": 0, "fail": 0}
    for _ in range(runs):
        state, verdict = family.start(plan), VerdictState()
        for number in range(1, plan.planned_looks + 1):
            look = Look(number, EPOCH, *draw(rng))
            state = family.update(plan, state, look)
            verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
            if verdict.outcome:
                break
        outcomes[verdict.outcome] += 1
    return {outcome: count / runs for outcome, count in outcomes.items()}


def counts(events: float, share: float, ratio: float = 1.0) -> Draw:
    total = events / 0.01
    return lambda rng: (
        Counts(float(rng.poisson(events * share * ratio)), total * share),
        Counts(float(rng.poisson(events * (1.0 - share))), total * (1.0 - share)),
    )


def gauge(sd: float, ratio: float = 1.0) -> Draw:
    return lambda rng: (Gauge(10.0 * ratio * math.exp(sd * rng.normal())), Gauge(10.0))


def latencies(rng: np.random.Generator, mean: float, ratio: float = 1.0) -> Histogram:
    values = ratio * rng.lognormal(-1.0, 0.5, size=rng.poisson(mean))
    found = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)
    return Histogram(EDGES, tuple(float(count) for count in found))


@pytest.mark.parametrize(("events", "share"), [(3.0, 0.1), (0.3, 0.5), (3.0, 0.5)])
def test_counts_end_as_foretold(events: float, share: float) -> None:
    found = outlook_counts(PLAN, looks=120, events_per_look=events, canary_share=share)
    assert found.smallest_effect is not None
    assert found.chance_inconclusive == pytest.approx(ended(PLAN, counts(events, share), 120)[""], abs=0.12)
    assert ended(PLAN, counts(events, share, found.smallest_effect), 120)["fail"] == pytest.approx(0.8, abs=0.12)


@pytest.mark.parametrize(("sd", "margin"), [(0.1, 0.05), (0.1, 0.1)])
def test_gauges_end_as_foretold(sd: float, margin: float) -> None:
    known = Calibration(points=360, scale=sd, lag_one=0.0, log_ratio=True)
    plan = replace(GAUGE, margin=Margin(relative=margin), calibration=known)
    noise = noise_of_history(known, log_ratio=True)
    assert noise is not None
    found = outlook_gauge(plan, looks=60, noise=noise)
    assert found.smallest_effect is not None
    assert found.chance_inconclusive == pytest.approx(ended(plan, gauge(sd), 100)[""], abs=0.12)
    assert ended(plan, gauge(sd, found.smallest_effect), 100)["fail"] == pytest.approx(0.8, abs=0.12)


def test_harm_in_the_middle_is_foretold() -> None:
    """Two levels: the look-back chooses closer fences; less than a fifth is found in 60 looks, and little passes."""

    def level(rng: np.random.Generator) -> float:
        return float(rng.choice([1.0, 8.0]) * math.exp(0.03 * rng.normal()))

    rng = np.random.default_rng(3)
    back = [[level(rng) for _ in range(360)] for _ in range(2)]
    known = calibrate_gauge_pair(back[0], back[1], Margin(relative=0.2))
    assert known.harm is not None
    plan = replace(GAUGE, margin=Margin(relative=0.2), fail_at="noharm", calibration=known)
    noise, without = (noise_of_history(one, log_ratio=True) for one in (known, replace(known, harm=None)))
    assert noise is not None
    assert without is not None
    found, blind = (outlook_gauge(plan, looks=60, noise=one) for one in (noise, without))
    assert found.smallest_effect is not None
    assert found.smallest_effect < 1.2 < (blind.smallest_effect or math.inf)
    effect = found.smallest_effect
    assert ended(plan, lambda rng: (Gauge(effect * level(rng)), Gauge(level(rng))), 100)["fail"] == pytest.approx(
        0.8, abs=0.12
    )
    assert found.chance_inconclusive == blind.chance_inconclusive > 0.8


def test_a_gauge_without_history_may_be_unable_to_fail() -> None:
    """Its looks count a third each: however large the harm, three points say no more than 1 in 3."""
    without = Noise(0.01, discount=1 / 3, log_ratio=True)
    assert outlook_gauge(GAUGE, looks=8, noise=without).smallest_effect is None
    assert outlook_gauge(GAUGE, looks=30, noise=without).smallest_effect is not None
    plan = replace(GAUGE, planned_looks=8)
    assert ended(plan, gauge(0.01, 8.0), 10)["fail"] == 0.0
    assert ended(replace(plan, planned_looks=30), gauge(0.01, 8.0), 10)["fail"] == 1.0


def test_histograms_end_as_foretold() -> None:
    rng = np.random.default_rng(2)
    large = latencies(rng, 1e6)
    per_look = Histogram(EDGES, tuple(50.0 * count / 1e6 for count in large.counts))
    found = outlook_histogram(HISTOGRAM, looks=60, per_look=per_look, canary_share=0.5)
    assert found is not None
    assert found.smallest_effect is not None

    def draw(ratio: float) -> Draw:
        return lambda rng: (latencies(rng, 25.0, ratio), latencies(rng, 25.0))

    assert found.chance_inconclusive == pytest.approx(ended(HISTOGRAM, draw(1.0), 25)[""], abs=0.2)
    assert ended(HISTOGRAM, draw(found.smallest_effect), 25)["fail"] == pytest.approx(0.8, abs=0.2)


def test_low_and_high_traffic() -> None:
    low = outlook_counts(PLAN, looks=120, events_per_look=0.3, canary_share=0.1)
    high = outlook_counts(PLAN, looks=120, events_per_look=30.0, canary_share=0.1)
    assert low.unlikely
    assert low.chance_inconclusive > 0.85
    assert high.chance_inconclusive < 0.01
    assert low.smallest_effect is not None
    assert low.smallest_effect > 3
    assert high.smallest_effect is not None
    # x1.25 is shown, but a canary so near to stable is shown to be within the margin before
    assert 1.25 < high.smallest_effect < 1.5
    watched = outlook_counts(PLAN, looks=120, events_per_look=30.0, canary_share=0.1, watched=True).smallest_effect
    assert watched is not None
    assert watched < 1.25


def test_as_many_looks_as_are_wanted_decide() -> None:
    low = outlook_counts(PLAN, looks=120, events_per_look=0.3, canary_share=0.1)
    assert low.wanted_looks is not None
    assert low.wanted_looks > 240
    longer = outlook_counts(PLAN, looks=low.wanted_looks, events_per_look=0.3, canary_share=0.1)
    assert longer.chance_inconclusive == pytest.approx(0.2, abs=0.03)
    assert outlook_counts(PLAN, looks=120, events_per_look=30.0, canary_share=0.1).wanted_looks is None
    assert outlook_counts(PLAN, looks=2, events_per_look=0.001, canary_share=0.1).wanted_looks is None


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ({}, 1.3, 1.4),
        # noise costs, and what is tempered for is noise
        ({"dispersion": 4.0}, 1.35, 1.5),
        # a fall is found as a rise is; its margin, x0.5, is wider
        ({"plan": {"direction": "decrease"}}, 0.55, 0.7),
        ({"plan": {"direction": "either"}}, 1.3, 1.4),
        ({"plan": {"fail_at": "margin"}}, 1.7, 1.9),
        ({"plan": {"test": "sequential-odds-ratio"}}, 1.3, 1.4),
        ({"plan": {"test": "sprt"}}, 1.2, 1.4),
        # one look needs the least, and promises the least
        ({"plan": {"test": "poisson-e"}}, 1.1, 1.2),
        # rates below the floor are nobody's problem: 30 of 3000 is 1 %
        ({"plan": {"absolute_floor": 0.02}, "totals_per_look": 3000.0}, 2.0, 2.05),
        # margin.absolute: half a per cent above one
        ({"plan": {"margin": Margin(absolute=0.005)}, "totals_per_look": 3000.0}, 1.3, 1.4),
        ({"plan": {"restarts": False}}, 1.3, 1.4),
    ],
)
def test_smallest_effects(fields: dict[str, Any], low: float, high: float) -> None:
    plan = replace(PLAN, **fields.pop("plan", {}))
    found = outlook_counts(plan, looks=120, events_per_look=30.0, canary_share=0.1, **fields)
    assert found.smallest_effect is not None
    assert low <= found.smallest_effect <= high


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        replace(PLAN, direction="either"),
        replace(PLAN, direction="decrease", test="sprt"),
        replace(PLAN, margin=Margin(relative=0.0)),  # no margin, no pass
        replace(PLAN, margin=Margin(relative=40.0), fail_at="margin"),
        replace(PLAN, margin=Margin(absolute=0.1)),
        replace(PLAN, fail_at="margin", alpha=1e-9),
        replace(PLAN, absolute_floor=1e-9),
        replace(PLAN, min_bake=0.0),
    ],
)
@pytest.mark.parametrize("events", [0.0, 1e-9, 0.01, 1e3, 1e12])
@pytest.mark.parametrize("share", [0.0, 1e-6, 0.5, 1.0])
def test_nothing_is_too_odd(plan: Plan, events: float, share: float) -> None:
    for looks in (0, 1, 100):
        found = outlook_counts(plan, looks=looks, events_per_look=events, canary_share=share, totals_per_look=events)
        assert 0.0 <= found.chance_inconclusive <= 1.0
        assert found.smallest_effect is None or 0.0 < found.smallest_effect <= 31.0
    per_look = Histogram((1.0, 2.0, 4.0), (events, 0.0, events, 1.0))
    histogram = outlook_histogram(replace(plan, test="sequential-histogram"), looks=9, per_look=per_look,
                                  canary_share=share)  # fmt: skip
    assert histogram is None or 0.0 <= histogram.chance_inconclusive <= 1.0


def test_a_floor_can_pass_what_a_ratio_cannot() -> None:
    """No errors at all say nothing of a ratio, and everything of a rate."""
    without = outlook_counts(PLAN, looks=120, events_per_look=0.004, canary_share=0.5, totals_per_look=100.0)
    floored = outlook_counts(
        replace(PLAN, absolute_floor=0.005), looks=120, events_per_look=0.004, canary_share=0.5, totals_per_look=100.0
    )
    assert without.chance_inconclusive > 0.95
    assert floored.chance_inconclusive < 0.05


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [(0.0, 0.0, 0.1), (0.3, 0.0, 0.2), (0.6, 0.8, 1.0), (3.0, 0.0, 0.1)],  # of 30: the objective is 2 %, 0.6
)
def test_an_objective(events: float, low: float, high: float) -> None:
    plan = Plan(test="objective", objective=0.02, planned_looks=120)
    found = outlook_objective(plan, looks=120, events_per_look=events, totals_per_look=30.0)
    assert low <= found.chance_inconclusive <= high
    assert found.unit == "rate"
    assert found.smallest_effect is not None
    assert 0.025 < found.smallest_effect < 0.04


def test_a_noise_floor_takes_from_the_margin() -> None:
    """A floor as wide as the margin leaves nothing to pass."""
    chances = []
    for floor in (0.0, 0.05, 0.2):
        noise = Noise(0.15, log_ratio=True, floor=floor, known=True)
        chances.append(outlook_gauge(replace(GAUGE, margin=Margin(relative=0.2)), looks=100, noise=noise))
    assert chances[0].chance_inconclusive < chances[1].chance_inconclusive < chances[2].chance_inconclusive == 1.0


def test_a_gauge_shrinks_with_looks() -> None:
    few, many = (outlook_gauge(GAUGE, looks=looks, noise=Noise(0.1, log_ratio=True)) for looks in (20, 200))
    assert few.smallest_effect is not None
    assert many.smallest_effect is not None
    assert few.smallest_effect > many.smallest_effect > 1.1
    assert few.chance_inconclusive > many.chance_inconclusive


def test_a_gauge_in_the_metrics_own_unit() -> None:
    plan = replace(GAUGE, margin=Margin(absolute=5.0), direction="decrease")
    found = outlook_gauge(plan, looks=60, noise=Noise(2.0, baseline=100.0))
    assert found.unit == "difference"
    assert found.smallest_effect is not None
    assert -7.0 < found.smallest_effect < -5.0


@pytest.mark.parametrize(
    ("known", "log_ratio", "found"),
    [
        (Calibration(points=59, scale=0.1), True, None),
        (Calibration(points=360), True, None),
        (Calibration(points=360, scale=0.1, log_ratio=True), True, Noise(0.1, log_ratio=True)),
        # an AR(.5) as it is: a prewhitened point is sqrt(.75) / .5 as wide, and the first look counts for three
        (Calibration(points=360, scale=0.1, log_ratio=True, autocorrelation=0.5, lag_one=0.5), True,
         Noise(0.1 * math.sqrt(0.75) / 0.5, log_ratio=True, known=True, first=3.0)),
        # an absolute margin is judged on the metric's own scale
        (Calibration(points=360, scale=0.1, log_ratio=True, baseline=50.0), False, Noise(5.0, baseline=50.0)),
        (Calibration(points=360, scale=0.1, log_ratio=True), False, None),
    ],
)  # fmt: skip
def test_noise_of_history(known: Calibration, log_ratio: bool, found: Noise | None) -> None:
    noise = noise_of_history(known, log_ratio=log_ratio)
    assert noise == found if found is None else noise is not None
    if noise is not None and found is not None:
        assert noise.deviation == pytest.approx(found.deviation)
        assert noise.first == pytest.approx(found.first)
        assert replace(noise, deviation=0.0, first=1.0) == replace(found, deviation=0.0, first=1.0)


# --- the closed forms


@pytest.mark.parametrize(("distance", "bound"), [(0.0, 2.0), (2.0, 2.5), (4.0, 3.0)])
def test_crossing_a_square_root_bound(distance: float, bound: float) -> None:
    """Against walks of 400 steps whose bound at t of 1 is b (1 + t) / 2: its own tangent at the end."""
    rng, steps = np.random.default_rng(3), 400
    walks = np.cumsum(rng.normal(distance / steps, 1.0 / math.sqrt(steps), size=(4000, steps)), axis=1)
    line = bound * 0.5 * (1.0 + np.arange(1, steps + 1) / steps)
    assert crossing(distance, bound) == pytest.approx(float((walks >= line).any(axis=1).mean()), abs=0.03)
    assert at_end(distance, bound) == pytest.approx(NormalDist().cdf(distance - bound))
    assert crossing(distance, bound) >= at_end(distance, bound)


def test_what_cannot_be_reached_is_not() -> None:
    for odd in (math.nan, math.inf):
        assert crossing(5.0, odd) == at_end(5.0, odd) == 0.0
        assert crossing(odd, 3.0) == 0.0
    assert crossing(-1.0, 0.0) == 1.0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("guess", [0.0, 30.0, 1000.0])
def test_the_critical_number_is_critical(sign: int, guess: float) -> None:
    """Evidence of as many events is the limit; wherever the search starts."""
    share, total, null, limit, phi = 0.3, 1000.0, 0.2, 3.0, 2.0
    d, prior = distances()

    def partition(psi: Array) -> Array:
        found: Array = total * np.log1p(share * np.expm1(psi))
        return found

    at_null = partition(np.array([null]))
    found = critical_events(
        partition(null + sign * d)[None, :], at_null, (d, prior), null=null, sign=sign, limit=limit,
        phi=np.array([phi]), most=np.array([total]), guess=np.array([guess]),
    )  # fmt: skip
    terms = prior + (sign * d * found[0] - partition(null + sign * d) + at_null) / phi
    assert math.log(float(np.exp(terms).sum())) == pytest.approx(limit, abs=2e-3)


def test_few_events_may_never_do() -> None:
    d, prior = distances()
    found = critical_events(
        np.log1p(0.5 * np.expm1(d))[None, :], np.zeros(1), (d, prior), null=0.0, sign=1, limit=3.0,
        phi=np.ones(1), most=np.ones(1), guess=np.ones(1),
    )  # fmt: skip
    assert math.isnan(float(found[0]))


def test_poisson_chances() -> None:
    assert at_most(0.0, 2.0) == pytest.approx(math.exp(-2.0))
    assert at_most(2.7, 2.0) == pytest.approx(5.0 * math.exp(-2.0))
    assert at_most(199.0, 199.9) == pytest.approx(at_most(200.0, 200.9), abs=0.01)  # from sums to the normal
