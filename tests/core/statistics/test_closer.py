"""Closer fences for harm: chosen by the look-back, blind to tails, quiet without harm, and told in the interval."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from analysis_service.core.statistics import t_test
from analysis_service.core.statistics.closer import closest
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.looks import ArmData, Gauge, Look
from analysis_service.core.statistics.onset import VIOLATED, starts_of
from analysis_service.core.statistics.placebo import calibrate_gauge_pair, learn
from analysis_service.core.statistics.plan import Calibration, FailAt, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.shown import moved

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
MARGIN = Margin(relative=0.2)
LIMIT = math.log(20)
START = datetime(2026, 1, 1, tzinfo=UTC)


def normal(rng: np.random.Generator, n: int) -> Array:
    return np.exp(0.1 * rng.normal(size=n))


def heavy(rng: np.random.Generator, n: int) -> Array:
    """Latencies of which some are many times as long."""
    return np.exp(np.clip(0.2 * rng.standard_t(1.2, size=n), -3, 3))


def two_levels(rng: np.random.Generator, n: int) -> Array:
    """A cache that hits or not: within each level there is little noise."""
    return np.where(rng.random(n) < 0.5, 1.0, 8.0) * np.exp(0.03 * rng.normal(size=n))


def learnt(draw: Draw, seed: int) -> Calibration:
    rng = np.random.default_rng([seed, 1])
    return calibrate_gauge_pair(draw(rng, 360), draw(rng, 360), MARGIN)


def judged(known: Calibration, canary: Array, stable: Array, **more: object) -> list[Evidence]:
    plan = Plan("sequential-t", MARGIN, planned_looks=len(canary), calibration=known, **more)  # type: ignore[arg-type]
    state, found = t_test.start(plan), []
    for k, (c, s) in enumerate(zip(canary.tolist(), stable.tolist(), strict=True), start=1):
        state = t_test.add(plan, state, k, c, s)
        found.append(t_test.assess(plan, state, interval=False))
    return found


def failed_at(found: Sequence[Evidence]) -> int:
    return next((one.look for one in found if one.log_e_harm >= LIMIT), 0)


@pytest.mark.parametrize(
    ("draw", "often"),
    [
        (normal, False),  # nothing is gained: the usual fences cut a normal's outermost only
        (heavy, True),
        (two_levels, True),
    ],
)
def test_what_the_look_back_chooses(draw: Draw, often: bool) -> None:
    chosen = [learnt(draw, seed).harm is not None for seed in range(20)]
    assert sum(chosen) >= 14 if often else sum(chosen) <= 4


@pytest.mark.parametrize("draw", [heavy, two_levels])
def test_a_shift_moves_the_middle_by_less(draw: Draw) -> None:
    within = learnt(draw, 1).harm
    assert within is not None
    shifts = np.linspace(0.0, 20 * within.fence, 200)
    means = [moved(within.shown, float(shift)) for shift in shifts]
    assert means[0] == 0.0
    assert means == sorted(means)
    assert all(mean <= min(shift, within.fence) + 1e-12 for mean, shift in zip(means, shifts, strict=True))
    assert [moved(within.shown, -float(shift)) for shift in shifts] == pytest.approx([-mean for mean in means])


@pytest.mark.parametrize("draw", [heavy, two_levels])
def test_harm_is_found_that_the_usual_fences_miss(draw: Draw) -> None:
    rng, found = np.random.default_rng(5), [0, 0]
    for seed in range(40):
        known = learnt(draw, seed)
        canary, stable = 1.2 * draw(rng, 60), draw(rng, 60)
        for k, one in enumerate((known, replace(known, harm=None))):
            found[k] += failed_at(judged(one, canary, stable)) > 0
    assert found[0] >= found[1] + 4


@pytest.mark.parametrize("draw", [heavy, two_levels])
def test_arms_that_are_alike_seldom_alarm(draw: Draw) -> None:
    """At most alpha at any of 60 looks: 5 % and two standard errors of 200 runs, each with a look-back of its own."""
    rng, alarms, runs = np.random.default_rng(6), 0, 200
    for seed in range(runs):
        alarms += failed_at(judged(learnt(draw, seed), draw(rng, 60), draw(rng, 60))) > 0
    assert alarms / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_harm_that_is_rare_and_large_is_found_all_the_same() -> None:
    """Every fifth value is ten times as large: the middle sees little of it, which is why not all is staked there."""
    known = learnt(two_levels, 3)
    assert known.harm is not None
    rng = np.random.default_rng(7)
    canary, stable = two_levels(rng, 240), two_levels(rng, 240)
    canary[::2] *= 10
    assert failed_at(judged(known, canary, stable)) > 0
    assert max(one.log_e_safety for one in judged(known, canary, stable)) < LIMIT


@pytest.mark.parametrize("draw", [normal, heavy])
def test_a_harm_beyond_all_fences_is_found_at_once(draw: Draw) -> None:
    """Every difference is the fence's, so that the run shows no noise of its own: the look-back's is known."""
    rng = np.random.default_rng(8)
    assert 0 < failed_at(judged(learnt(draw, 2), 100 * draw(rng, 24), draw(rng, 24))) <= 6


@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), effect=st.sampled_from([0.7, 0.85, 1.0, 1.1, 1.2, 1.5]))
def test_the_interval_says_what_the_verdict_says(direction: str, seed: int, effect: float) -> None:
    rng = np.random.default_rng(seed)
    known = replace(learnt(two_levels, 3 * (seed % 2)), noise_floor=0.0)
    assert known.harm is not None
    known = replace(known, harm=replace(known.harm, noise_floor=0.0))
    plan = Plan("sequential-t", MARGIN, planned_looks=40, calibration=known, direction=direction)  # type: ignore[arg-type]
    state = t_test.start(plan)
    canary, stable = effect * two_levels(rng, 40), two_levels(rng, 40)
    for k, (c, s) in enumerate(zip(canary.tolist(), stable.tolist(), strict=True), start=1):
        state = t_test.add(plan, state, k, c, s)
        found = t_test.assess(plan, state)
        if k % 8 or VIOLATED in found.flags:  # all looks and their middle may contradict each other
            continue
        low, high = found.lower or 0.0, found.upper or math.inf
        excluded = {"increase": low > 1.0, "decrease": high < 1.0, "either": low > 1.0 or high < 1.0}[direction]
        if abs(found.log_e_harm - LIMIT) > (0.7 if direction == "either" else 1e-3):  # each side of either has a half
            assert excluded == (found.log_e_harm >= LIMIT)
        if found.estimate is not None and not found.since:
            assert low * (1 - 1e-9) <= found.estimate <= high * (1 + 1e-9)


def test_swapping_the_arms_mirrors_the_answer() -> None:
    rng = np.random.default_rng(9)
    known = learnt(heavy, 4)
    canary, stable = 1.1 * heavy(rng, 60), heavy(rng, 60)
    there = judged(known, canary, stable, direction="either")
    low, high = known.fence_low, known.fence_high
    assert low is not None
    assert high is not None
    back = judged(replace(known, fence_low=-high, fence_high=-low), stable, canary, direction="either")
    assert [one.log_e_harm for one in there] == pytest.approx([one.log_e_harm for one in back])


def test_both_series_have_the_same_starts() -> None:
    """The look that evidence of the middle speaks from is looked up in the series of all differences."""
    known = learnt(heavy, 4)
    plan = Plan("sequential-t", MARGIN, planned_looks=300, calibration=known)
    rng = np.random.default_rng(10)
    state = t_test.start(plan)
    for k, (c, s) in enumerate(zip(heavy(rng, 300).tolist(), heavy(rng, 300).tolist(), strict=True), start=1):
        state = t_test.add(plan, state, k, c, s)
        middle = np.frombuffer(state.middle.starts, "<f8").reshape(-1, 6)[:, 0].astype(int).tolist()
        assert starts_of(state) == frozenset(middle)


@pytest.mark.parametrize(
    ("draw", "margin", "fail_at", "chosen"),
    [
        (two_levels, Margin(relative=0.2), "noharm", True),
        (two_levels, Margin(relative=0.2), "margin", False),  # harm within the margin fails nothing: not looked for
        (two_levels, Margin(absolute=0.2), "noharm", True),  # on the metric's own scale
        (two_levels, Margin(), "noharm", False),  # no size of harm to go by
        (normal, Margin(relative=0.2), "noharm", False),
    ],
)  # fmt: skip
def test_learning_from_pods(draw: Draw, margin: Margin, fail_at: FailAt, chosen: bool) -> None:
    rng = np.random.default_rng(11)
    pods: list[list[ArmData | None]] = [[Gauge(one) for one in draw(rng, 360).tolist()] for _ in range(2)]
    found = learn(pods, 1, lambda known: Plan("sequential-t", margin, fail_at=fail_at, calibration=known))
    assert (found.harm is not None) is chosen
    assert found.log_ratio is (margin.absolute is None)
    assert found.placebo_false_alarm is not None
    assert found.placebo_false_alarm <= 0.1


def test_a_floor_is_a_shift_and_shows_as_one() -> None:
    rng = np.random.default_rng(12)
    found = calibrate_gauge_pair(two_levels(rng, 360), two_levels(rng, 360), MARGIN, floor=0.05)
    assert found.harm is not None
    assert found.harm.noise_floor >= moved(found.harm.shown, 0.05) > 0.0
    assert closest(found, [np.zeros(360)], MARGIN) is None  # without spread there is no middle
    assert closest(replace(found, fence_low=None), [rng.normal(size=360)], MARGIN) is None


def test_a_state_of_an_earlier_version_goes_on() -> None:
    """Without a middle, and with a first difference that counts for one point: as it was begun."""
    known = Calibration(points=360, scale=0.1, autocorrelation=0.6, lag_one=0.55, log_ratio=True)
    plan = Plan("sequential-t", MARGIN, planned_looks=40, calibration=known)
    family, state = families()["sequential-t"], t_test.start(plan)
    rng = np.random.default_rng(13)
    for k, (c, s) in enumerate(zip(normal(rng, 20).tolist(), normal(rng, 20).tolist(), strict=True), start=1):
        state = family.update(plan, state, Look(k, START, Gauge(c), Gauge(s)))
    old = json.loads(family.encode(state))
    del old["middle"]
    for series in ("ratio", "difference"):
        del old[series]["first"]
        old[series]["n"] -= 1.0  # the first difference was the base of the second, and no point
    resumed = family.update(plan, family.decode(json.dumps(old).encode()), Look(21, START, Gauge(1.1), Gauge(1.0)))
    assert resumed.ratio.weight == resumed.ratio.n == 20.0
    assert math.isfinite(family.assess(plan, resumed).log_e_harm)
