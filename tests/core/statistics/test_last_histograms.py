"""Histograms against the margin: what is at it seldom passes, and the bet on the last look decides what is within."""

import itertools
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from analysis_service.core.statistics import last_counts
from analysis_service.core.statistics.histogram import HistogramState
from analysis_service.core.statistics.looks import Histogram, Look
from analysis_service.core.statistics.plan import Margin, Plan
from analysis_service.core.statistics.registry import families, replay
from analysis_service.core.statistics.verdict import VerdictState, step

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
FAMILY = families()["sequential-histogram"]
LOOKS = 40
LIMIT = np.log(20.0) - 1e-9


def plan(**more: Any) -> Plan:
    return Plan("sequential-histogram", Margin(relative=0.25), **{"planned_looks": LOOKS, "fail_at": "margin", **more})


def looks(rng: np.random.Generator, ratio: float, count: int = LOOKS, size: int = 60) -> list[Look]:
    """Lognormal latencies, the canary's `ratio` times as long; nine observations of stable's to one of its own."""

    def histogram(n: int, times: float) -> Histogram:
        values = times * rng.lognormal(4.0, 1.0, n)
        counted = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)
        return Histogram(EDGES, tuple(counted.astype(float).tolist()))

    return [Look(k, EPOCH, histogram(size, ratio), histogram(9 * size, 1.0)) for k in range(1, count + 1)]


def verdict(settings_: Plan, run: list[Look]) -> VerdictState:
    state, found = FAMILY.start(settings_), VerdictState()
    for look in run:
        state = FAMILY.update(settings_, state, look)
        found = step(settings_, found, look, FAMILY.assess(settings_, state, interval=False))
        if found.outcome:
            break
    return found


@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
def test_the_evidence_is_fair_with_the_bet(direction: str) -> None:
    """E[e] <= 1 at the last look, by enumeration of all that four and six observations can be."""
    shares, edges, alpha = (0.5, 0.3, 0.2), (1.0, 2.0), 0.4
    settings_ = Plan("sequential-histogram", planned_looks=4, alpha=alpha, direction=direction)  # type: ignore[arg-type]
    arms = [[c for c in itertools.product(range(n + 1), repeat=3) if sum(c) == n] for n in (4, 6)]

    def chance(counts: tuple[int, ...]) -> float:
        ways = math.factorial(sum(counts)) / math.prod(math.factorial(n) for n in counts)
        return ways * math.prod(s**n for s, n in zip(shares, counts, strict=True))

    mean = won = 0.0
    for c, s in itertools.product(*arms):
        canary, stable = (Histogram(edges, tuple(map(float, counts))) for counts in (c, s))
        state, evidence = replay(settings_, [Look(4, EPOCH, canary, stable)])
        weight = chance(c) * chance(s)
        mean += weight * math.exp(evidence.log_e_harm)
        won += weight * (state.last.harm <= last_counts.parts(settings_)[0] * alpha)
    assert mean <= 1.0 + 1e-9
    assert 0.0 < won <= last_counts.parts(settings_)[0] * alpha


@pytest.mark.parametrize("quantiles", [(0.5, 0.95, 0.99), (0.99,), (0.5,)])
@pytest.mark.parametrize(("direction", "ratio"), [("increase", 1.25), ("decrease", 0.75)])
def test_a_canary_at_the_margin_seldom_passes(quantiles: tuple[float, ...], direction: str, ratio: float) -> None:
    """At most beta. Spread evenly inside their buckets, one in three of these passed the upper quantile alone."""
    rng = np.random.default_rng(5)
    settings_ = plan(quantiles=quantiles, direction=direction)
    outcomes = [verdict(settings_, looks(rng, ratio)).outcome for _ in range(30)]
    assert outcomes.count("pass") <= 4  # 1.5 expected at most: of more than four the chance is 1.6 %
    assert outcomes.count("fail") <= 4


def test_an_unchanged_canary_passes() -> None:
    rng = np.random.default_rng(6)
    outcomes = [verdict(plan(), looks(rng, 1.0)).outcome for _ in range(20)]
    assert outcomes.count("pass") >= 12
    assert "fail" not in outcomes


@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
def test_the_bet_decides_what_the_mixture_does_not(direction: str) -> None:
    won = lost = 0
    for seed in range(12):
        run = looks(np.random.default_rng(seed), 1.0)
        settings_ = plan(direction=direction)
        _, before = replay(settings_, run[:-1])
        state, evidence = replay(settings_, run)
        mixed = replay(plan(direction=direction, planned_looks=0), run)[1].log_e_safety
        part = last_counts.parts(settings_)[1]
        ways = 2 if direction == "either" else 1
        assert len(state.last.safety) == ways * len(state.targets)
        wins = max(state.last.safety) <= part * settings_.beta
        assert evidence.log_e_safety >= mixed + np.log1p(-part) - 1e-9
        assert before.log_e_safety <= mixed + 3.0
        if wins:
            assert evidence.log_e_safety >= LIMIT
        won, lost = won + wins, lost + (not wins)
    assert won
    assert won + lost == 12


@pytest.mark.parametrize("fail_at", ["noharm", "margin"])
@pytest.mark.parametrize(("direction", "ratio"), [("increase", 1.0), ("decrease", 1.0), ("either", 1.0)])
def test_an_unchanged_canary_seldom_fails(fail_at: str, direction: str, ratio: float) -> None:
    """With so few looks the bet has more of the budget than the mixture."""
    rng, settings_ = np.random.default_rng(8), plan(fail_at=fail_at, direction=direction, planned_looks=8)
    outcomes = []
    for _ in range(60):
        state = FAMILY.start(settings_)
        for look in looks(rng, ratio, 8):
            state = FAMILY.update(settings_, state, look)
        evidence = FAMILY.assess(settings_, state, interval=False)
        outcomes.append((evidence.log_e_harm if fail_at == "noharm" else evidence.log_e_harm_margin) >= LIMIT)
    assert sum(outcomes) <= 5  # 1.8 expected at most


@pytest.mark.parametrize(("direction", "ratio"), [("increase", 1.2), ("decrease", 1 / 1.2), ("either", 1.2)])
def test_harm_that_the_mixture_does_not_show(direction: str, ratio: float) -> None:
    settings_ = plan(fail_at="noharm", direction=direction, planned_looks=12)
    won = [0, 0]
    for seed in range(20):
        run = looks(np.random.default_rng(seed), ratio, 12)
        won[0] += replay(settings_, run)[1].log_e_harm >= LIMIT
        won[1] += replay(plan(direction=direction, planned_looks=0), run)[1].log_e_harm >= LIMIT
    assert won[0] >= won[1] + 5


def test_what_it_was_worth_stays() -> None:
    run = looks(np.random.default_rng(3), 1.0, LOOKS + 3)
    states = [replay(plan(), run[:k])[0] for k in (LOOKS - 1, LOOKS, LOOKS + 3)]
    assert states[0].last is None
    assert states[1].last == states[2].last is not None


def test_a_silent_last_look_decides_too() -> None:
    run = looks(np.random.default_rng(3), 1.0)
    state, _ = replay(plan(), [*run[:-1], Look(LOOKS, EPOCH, None, run[-1].stable)])
    assert isinstance(state, HistogramState)
    assert state.dropped == 1
    assert state.last is not None


def test_without_a_margin_nothing_is_bet_on_it() -> None:
    run = looks(np.random.default_rng(3), 1.0)
    state, _ = replay(Plan("sequential-histogram", planned_looks=LOOKS), run)
    assert set(state.last.safety) <= {1.0}
    assert state.last.beyond == 1.0
