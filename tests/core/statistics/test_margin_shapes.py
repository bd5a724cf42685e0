"""Canaries exactly at the margin, of distributions whose shape the buckets do not say: they seldom fail, or pass."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from analysis_service.core.statistics.bucket_edge import EdgeState
from analysis_service.core.statistics.histogram import HistogramState
from analysis_service.core.statistics.looks import Histogram, Look
from analysis_service.core.statistics.plan import Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FAMILY = families()["sequential-histogram"]
LOOKS, RUNS, SIZE = 24, 10, 2000  # a look's observations of the canary; stable has nine times as many
EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
ZERO = (0.0, *EDGES[:8])  # as some libraries begin
TWO = (50.0, 250.0)
Below = Callable[[Any], Any]  # the share at or below a value


def lognormal(middle: float, sd: float) -> Below:
    return lambda x: stats.lognorm.cdf(x, sd, scale=middle)


def gamma(shape: float, scale: float) -> Below:
    return lambda x: stats.gamma.cdf(x, shape, scale=scale)


def weibull(shape: float, scale: float) -> Below:
    return lambda x: stats.weibull_min.cdf(x, shape, scale=scale)


def mixed(share: float, one: Below, other: Below) -> Below:
    return lambda x: share * one(x) + (1.0 - share) * other(x)


def plan(**more: Any) -> Plan:
    fields = {"planned_looks": LOOKS, "fail_at": "margin", **more}
    return Plan("sequential-histogram", Margin(relative=0.25), **fields)


def run(seed: int, below: Below, ratio: float, edges: tuple[float, ...] = EDGES, size: int = SIZE) -> list[Look]:
    rng = np.random.default_rng(seed)

    def arm(n: int, times: float) -> list[Histogram]:
        shares = np.diff(np.concatenate(([0.0], below(np.array(edges) / times), [1.0])))
        rows = rng.multinomial(n, np.maximum(shares, 0.0) / shares.sum(), size=LOOKS).astype(float).tolist()
        return [Histogram(edges, tuple(row)) for row in rows]

    return [Look(k, EPOCH, *pair) for k, pair in enumerate(zip(arm(size, ratio), arm(9 * size, 1.0), strict=True), 1)]


def outcome(settings: Plan, looks: list[Look]) -> str:
    state, found = FAMILY.start(settings), VerdictState()
    for look in looks:
        state = FAMILY.update(settings, state, look)
        found = step(settings, found, look, FAMILY.assess(settings, state, interval=False))
        if found.outcome:
            break
    return found.outcome


TOLD: list[tuple[str, Below, tuple[float, ...]]] = [
    # the line of one of the two shapes, in every bucket and drawn on below the first edge
    ("lognormal", lognormal(55.0, 1.0), EDGES),
    ("a narrow one", lognormal(55.0, 0.5), EDGES),
    ("a wide one, of which a part lies above the last edge", lognormal(400.0, 2.0), EDGES),
    ("exponential", weibull(1.0, 60.0), EDGES),
    ("Weibull, steeper", weibull(1.5, 60.0), EDGES),
    ("Weibull, flatter", weibull(0.7, 60.0), EDGES),
    # between both lines
    ("gamma", gamma(4.0, 20.0), EDGES),
    ("gamma, from 0 on", gamma(0.5, 60.0), EDGES),
    # most or nearly all of it lies in the first bucket
    ("a fast lognormal", lognormal(2.7, 1.0), EDGES),
    ("a fast Weibull", weibull(2.0, 6.0), EDGES),
    ("all in the first bucket", lognormal(1.5, 0.3), EDGES),
    # an edge at 0 is as good as none
    ("a first edge at 0", lognormal(7.4, 1.0), ZERO),
    # nothing in the first bucket; the last edge is near a quantile that must be shown harmless
    ("slow", lognormal(8000.0, 1.0), EDGES),
    ("slow and narrow", lognormal(3000.0, 0.7), EDGES),
    ("two edges", lognormal(55.0, 1.0), TWO),
]
SEVERAL: list[tuple[str, Below, tuple[float, ...]]] = [
    # the bucket after the fast ones is nearly empty, and its line nearly flat: the even spread holds harm back
    ("fast ones amid the first bucket", mixed(0.9, lognormal(3.0, 0.3), lognormal(150.0, 1.0)), EDGES),
    ("nothing in the next bucket", mixed(0.9, lognormal(2.0, 0.2), lognormal(400.0, 1.0)), EDGES),
]


@pytest.mark.parametrize("quantiles", [(0.5, 0.95, 0.99), (0.99,)])
@pytest.mark.parametrize(
    ("direction", "ratio", "below", "edges"),
    [pytest.param("increase", 1.25, below, edges, id=f"rise: {name}") for name, below, edges in TOLD + SEVERAL]
    + [pytest.param("decrease", 0.75, below, edges, id=f"fall: {name}") for name, below, edges in TOLD],
)
def test_a_canary_at_the_margin_seldom_fails_or_passes(
    direction: str, ratio: float, below: Below, edges: tuple[float, ...], quantiles: tuple[float, ...]
) -> None:
    settings = plan(direction=direction, quantiles=quantiles)
    ended = [outcome(settings, run(seed, below, ratio, edges)) for seed in range(RUNS)]
    # half a one expected of either at most: of more than two the chance is 1.2 %
    assert ended.count("fail") <= 2
    assert ended.count("pass") <= 2


# these are not to be told: the same counts are those of a larger harm, or of none
FAST = mixed(0.9, lognormal(4.5, 0.1), lognormal(150.0, 1.0))  # near the upper end of the first bucket
LEVELS = mixed(0.8, lognormal(3.0, 0.2), lognormal(80.0, 0.2))  # two levels


@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
@pytest.mark.parametrize(("below", "edges"), [*((below, edges) for _, below, edges in TOLD + SEVERAL), (FAST, EDGES),
                                              (LEVELS, EDGES)])  # fmt: skip
def test_an_unchanged_canary_does_not_fail_whatever_the_shape(
    direction: str, below: Below, edges: tuple[float, ...]
) -> None:
    settings = plan(direction=direction)
    assert "fail" not in [outcome(settings, run(seed, below, 1.0, edges)) for seed in range(2)]


@pytest.mark.parametrize(
    ("direction", "ratio", "below", "edges"),
    [
        ("increase", 2.0, lognormal(2.7, 1.0), EDGES),  # seen at the first edge best
        ("increase", 1.5, lognormal(55.0, 1.0), EDGES),
        ("increase", 2.0, lognormal(55.0, 1.0), TWO),
        ("decrease", 0.5, lognormal(8000.0, 1.0), EDGES),  # at the last edge
        ("decrease", 0.5, weibull(1.0, 60.0), EDGES),
        ("either", 2.0, lognormal(55.0, 1.0), EDGES),
        ("either", 0.5, lognormal(55.0, 1.0), EDGES),
    ],
)
def test_harm_beyond_the_margin_is_found_all_the_same(
    direction: str, ratio: float, below: Below, edges: tuple[float, ...]
) -> None:
    settings = plan(direction=direction)
    assert [outcome(settings, run(seed, below, ratio, edges, 200)) for seed in range(4)] == ["fail"] * 4
    assert [outcome(settings, run(seed, below, 1.0, edges, 1000)) for seed in range(4)] == ["pass"] * 4


@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
def test_safety_is_no_weaker_claim_than_the_absence_of_harm(direction: str) -> None:
    """Both are held against the less favourable shape, so that no look speaks for both at one edge."""
    settings = plan(direction=direction)
    state = FAMILY.start(settings)
    for look in run(1, gamma(4.0, 20.0), 1.1):
        state = FAMILY.update(settings, state, look)
    assert state.targets
    sides = [(False, direction != "decrease")] + ([(True, False)] if direction == "either" else [])
    for i, item in enumerate(state.judged):
        for opposite, rise in sides:
            harm, safe = item.margined(opposite=opposite)
            more_at_harm = (harm.x_s - safe.x_s) * (-1 if item.mirrored else 1) * (1 if rise else -1)
            assert more_at_harm > 0.0 if i in state.targets else harm is safe


@pytest.mark.parametrize("direction", ["increase", "either"])
def test_a_run_that_began_when_one_state_spoke_of_both_goes_on(direction: str) -> None:
    settings, looks = plan(direction=direction), run(1, lognormal(55.0, 1.0), 1.0, size=200)
    state = FAMILY.start(settings)
    for look in looks[:12]:
        state = FAMILY.update(settings, state, look)
    older = replace(state, judged=tuple(replace(item, shifted_safe=None, opposite_safe=None) for item in state.judged))
    read = FAMILY.decode(FAMILY.encode(older))
    assert isinstance(read, HistogramState)
    before = FAMILY.assess(settings, read, interval=False)
    assert before.log_e_harm_margin == FAMILY.assess(settings, state, interval=False).log_e_harm_margin
    for look in looks[12:]:
        read = FAMILY.update(settings, read, look)
    after = FAMILY.assess(settings, read, interval=False)
    assert after.log_e_safety > before.log_e_safety > 0.0
    kept: list[EdgeState] = [read.judged[i] for i in read.targets]
    assert all(item.shifted_safe is not None and item.shifted_safe.used == item.shifted.used for item in kept)
    assert math.isclose(kept[0].shifted.x_c, kept[0].margined(opposite=False)[1].x_c)
