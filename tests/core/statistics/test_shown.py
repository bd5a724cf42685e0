"""Fences that cut much show little of a shift: a harm must not pass for that, and is told as large as it is."""

import math

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from analysis_service.core.statistics import t_test
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.outlook_gauge import noise_of_history, outlook_gauge
from analysis_service.core.statistics.placebo import calibrate_gauge_pair
from analysis_service.core.statistics.plan import Calibration, Margin, Plan, Shown
from analysis_service.core.statistics.shown import at_least, measured, moved, unmoved, within_usual

Array = NDArray[np.float64]
MARGIN = Margin(relative=0.2)


def two_levels(rng: np.random.Generator, n: int) -> Array:
    """A cache that hits or not. Where half of the differences are small, fences by their median cut the others."""
    return np.where(rng.random(n) < 0.5, 1.0, 8.0) * np.exp(0.03 * rng.normal(size=n))


def narrow(seed: int) -> Calibration:
    """A look-back in which a little more than half of the pairs happened to be on the same level."""
    rng = np.random.default_rng(seed)
    while True:
        found = calibrate_gauge_pair(two_levels(rng, 360), two_levels(rng, 360), MARGIN)
        if found.fence_high is not None and found.fence_high < 1.0:
            return found


def judged(known: Calibration, canary: Array, stable: Array) -> tuple[bool, Evidence]:
    """(whether it would pass at any look, the evidence at the end)."""
    plan = Plan("sequential-t", MARGIN, planned_looks=len(canary), calibration=known)
    state, passed = t_test.start(plan), False
    for k, (c, s) in enumerate(zip(canary.tolist(), stable.tolist(), strict=True), start=1):
        state = t_test.add(plan, state, k, c, s)
        passed |= t_test.assess(plan, state, interval=False).log_e_safety >= math.log(20)
    return passed, t_test.assess(plan, state)


def test_where_nothing_is_cut_all_of_a_shift_shows() -> None:
    rng = np.random.default_rng(1)
    known = calibrate_gauge_pair(np.exp(0.1 * rng.normal(size=360)), np.exp(0.1 * rng.normal(size=360)), MARGIN)
    assert known.shown is None
    assert (moved(None, 0.3), at_least(None, 0.3), unmoved(None, 0.3)) == (0.3, 0.3, 0.3)
    assert within_usual(known, [np.zeros(0)], MARGIN) is None
    assert within_usual(known, [rng.normal(size=100)], Margin()) is None


def test_half_of_the_differences_show_half_of_a_shift() -> None:
    d = np.concatenate((0.01 * np.random.default_rng(2).normal(size=200), np.full(100, 5.0), np.full(100, -5.0)))
    shown = measured([d], -1.0, 1.0, 0.2)
    assert moved(shown, 0.2) == pytest.approx(0.1)
    assert moved(shown, -0.1) == pytest.approx(-0.05)
    assert shown.error == pytest.approx(1 / math.sqrt(400))
    assert at_least(shown, 0.2) == pytest.approx(0.095)
    assert moved(shown, 100.0) == moved(shown, 1.6)  # at most what was measured


def test_what_shows_is_told_as_the_shift_it_was() -> None:
    shown = Shown(shifts=(0.1, 0.2, 0.4, 0.8), means=(0.05, 0.1, 0.15, 0.15), error=0.05)
    for shift in (-0.3, 0.0, 0.05, 0.15, 0.4):
        assert unmoved(shown, moved(shown, shift)) == pytest.approx(shift)
    assert unmoved(shown, 0.2) == 0.4


def test_harm_at_the_margin_seldom_passes() -> None:
    """And would pass often if all of it were taken to show."""
    rng, runs, passed, blind = np.random.default_rng(3), 120, 0, 0
    for seed in range(runs):
        known = narrow(seed)
        assert known.shown is not None
        canary, stable = 1.2 * two_levels(rng, 60), two_levels(rng, 60)
        passed += judged(known, canary, stable)[0]
        blind += judged(replace(known, shown=None), canary, stable)[0]
    assert passed / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert blind / runs > 0.12


@pytest.mark.parametrize("effect", [1.0, 1.2, 1.4])
def test_the_effect_is_told_as_large_as_it_is(effect: float) -> None:
    rng = np.random.default_rng(4)
    found = judged(narrow(1), effect * two_levels(rng, 600), two_levels(rng, 600))[1]
    assert found.estimate == pytest.approx(effect, rel=0.12)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= effect <= found.upper


def test_the_forecast_knows_of_it() -> None:
    known = narrow(1)
    plan = Plan("sequential-t", MARGIN, planned_looks=240, calibration=known)
    noise = noise_of_history(known, log_ratio=True)
    assert noise is not None
    foretold = outlook_gauge(plan, looks=240, noise=noise).chance_inconclusive
    rng, runs = np.random.default_rng(5), 60
    passed = sum(judged(known, two_levels(rng, 240), two_levels(rng, 240))[0] for _ in range(runs))
    assert foretold == pytest.approx(1 - passed / runs, abs=0.2)
    assert outlook_gauge(plan, looks=240, noise=replace(noise, shown=None)).chance_inconclusive < foretold - 0.05
