"""The bet on the last look of counts: a test of fixed size, exact for independent events, kept as it was decided."""

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from analysis_service.core.statistics import last_counts
from analysis_service.core.statistics.conditional import CountState
from analysis_service.core.statistics.looks import Counts, Look
from analysis_service.core.statistics.plan import Calibration, Margin, Plan
from analysis_service.core.statistics.registry import families, replay
from analysis_service.core.statistics.verdict import VerdictState, step

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = math.log(20.0)
TESTS = ["sequential-rate-ratio", "sequential-odds-ratio"]
PLANNED = 6
Pair = tuple[float, float, float, float]  # canary's events and total, stable's

table = st.tuples(st.integers(0, 9), st.integers(9, 40), st.integers(0, 20), st.integers(20, 90))
tables = st.lists(table, min_size=1, max_size=5)


def plan(test: str = "sequential-rate-ratio", **more: Any) -> Plan:
    return Plan(test=test, margin=Margin(relative=0.5), **{"planned_looks": PLANNED, **more})


def looks(run: Sequence[Pair], first: int = 1) -> list[Look]:
    return [Look(k, EPOCH, Counts(a, b), Counts(c, d)) for k, (a, b, c, d) in enumerate(run, start=first)]


def at_the_end(run: Sequence[Pair]) -> list[Look]:
    """So numbered that the last one is the planned last."""
    return looks(run, PLANNED - len(run) + 1)


def convolved(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    whole = np.ones(1)
    for part in parts:
        whole = np.convolve(whole, part)
    return whole


def distribution(test: str, run: Sequence[Pair], ratio: float) -> NDArray[np.float64]:
    """Of the canary's events, given each look's events: a sum of binomials, or of noncentral hypergeometrics."""
    parts = []
    for a, n_c, c, n_s in run:
        x = int(a + c)
        if test == "sequential-rate-ratio":
            parts.append(stats.binom.pmf(np.arange(x + 1), x, ratio * n_c / (ratio * n_c + n_s)))
        else:
            parts.append(stats.nchypergeom_fisher.pmf(np.arange(x + 1), n_c + n_s, n_c, x, ratio))
    return convolved(parts)


# --- the p-value


@given(tables, st.sampled_from([0.5, 1.0, 1.5, 3.0]))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("test", TESTS)
def test_the_p_value_bounds_the_exact_tail(test: str, run: list[Pair], ratio: float) -> None:
    """Whatever the shares did: by the convolution of all looks."""
    state, _ = replay(plan(test), at_the_end(run))
    if not state.end:
        assert state.trials == 0.0
        return
    chances, seen = distribution(test, run, ratio), int(sum(row[0] for row in run))
    for sign, tail in ((1, chances[seen:].sum()), (-1, chances[: seen + 1].sum())):
        for temper in (1.0, 1.7, 12.0):
            end = np.concatenate(([temper], np.frombuffer(state.end)[1:]))
            p = last_counts.p_value(end, math.log(ratio), sign)
            assert p >= tail * (1.0 - 1e-6) - 1e-12


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.5])
def test_with_a_constant_share_it_is_the_binomial(ratio: float, events: list[tuple[int, int]]) -> None:
    run = [(float(x), 10.0, float(y), 30.0) for x, y in events]
    x, n = sum(row[0] for row in run), sum(row[0] + row[2] for row in run)
    share = ratio / (ratio + 3.0)
    state, _ = replay(plan(), at_the_end(run))
    end = np.frombuffer(state.end).copy()
    if not n:
        assert not state.end
        return
    end[0] = 1.0  # as if the looks had shown no dispersion
    for sign, exact in ((1, stats.binom.sf(x - 1, n, share)), (-1, stats.binom.cdf(x, n, share))):
        p = last_counts.p_value(end, math.log(ratio), sign)
        beyond = sign * (x - n * share) - 1.0
        if abs(beyond) > 1e-6:  # on the edge rounding tells
            assert p == (pytest.approx(exact, rel=1e-6) if beyond > 0.0 else 1.0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", [0.001, 0.01, 0.1])
@pytest.mark.parametrize(("trials", "share"), [(30.0, 0.1), (900.0, 0.3), (1e6, 0.02)])
@pytest.mark.parametrize("temper", [1.0, 6.0])
def test_the_critical_number_is_critical(sign: int, level: float, trials: float, share: float, temper: float) -> None:
    mean = trials * share
    found = last_counts.critical(trials, mean, sign, level, temper)
    if math.isnan(found):  # not even no event at all is rare enough
        assert sign < 0
        assert (1.0 - share) ** (trials / temper) > level
        return
    error = math.sqrt(temper * mean * (1.0 - share))
    assert last_counts.tail(found, trials, mean, sign, temper) <= level
    assert last_counts.tail(found - 0.01 * sign * error, trials, mean, sign, temper) > level


@pytest.mark.parametrize(
    "odd", [(0.0, 0.0, 0.0), (1e15, 2e15, 1e15), (5.0, 5.0, 5.0), (0.0, 3.0, 0.0), (3.0, 3.0, 1e-300)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_no_counts_are_too_odd(odd: tuple[float, float, float], sign: int) -> None:
    assert 0.0 <= last_counts.tail(*odd, sign, 3.0) <= 1.0


@pytest.mark.parametrize(("events", "mean"), [(0.0, 3.0), (2.0, 9.5), (14.0, 6.0), (400.0, 350.0), (300.0, 350.0)])
def test_of_any_number_of_trials_it_is_poissons(events: float, mean: float) -> None:
    sign = 1 if events > mean else -1
    exact = stats.poisson.sf(events - 1, mean) if sign > 0 else stats.poisson.cdf(events, mean)
    found = last_counts.tail(events, math.inf, mean, sign, 1.0)
    assert found == pytest.approx(exact, rel=1e-9)
    assert found == pytest.approx(last_counts.tail(events, 1e9, mean, sign, 1.0), rel=1e-4)
    assert last_counts.tail(events, math.inf, mean, sign, 4.0) > found


# --- the evidence


def chance(n: int, p: float, x: int) -> float:
    return math.comb(n, x) * p**x * (1 - p) ** (n - x)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.6])
def test_the_evidence_is_fair_with_the_bet(test: str, direction: str, p: float) -> None:
    """E[e] <= 1 at the last look, by enumeration; alpha .4 lets so few requests win the bet."""
    n_c, n_s = 7, 11
    mean = won = 0.0
    settings_ = plan(test, direction=direction, alpha=0.4)
    for x, y in itertools.product(range(n_c + 1), range(n_s + 1)):
        _, evidence = replay(settings_, at_the_end([(x, n_c, y, n_s)]))
        weight = chance(n_c, p, x) * chance(n_s, p, y)
        mean += weight * math.exp(evidence.log_e_harm)
        won += weight * (evidence.log_e_harm >= -math.log(0.4) - 1e-9)
    assert mean <= 1.0 + 1e-9
    assert 0.0 < won <= 0.4


@pytest.mark.parametrize("p", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("ratio", [1.5, 1.6])  # at the margin, and beyond it
def test_safety_is_fair_with_the_bet(p: float, ratio: float) -> None:
    n_c, n_s = 11, 7
    mean = won = 0.0
    for x, y in itertools.product(range(n_c + 1), range(n_s + 1)):
        _, evidence = replay(plan(beta=0.4), at_the_end([(x, n_c, y, n_s)]))
        weight = chance(n_c, p * ratio, x) * chance(n_s, p, y)
        mean += weight * math.exp(evidence.log_e_safety)
        won += weight * (evidence.log_e_safety >= -math.log(0.4) - 1e-9)
    assert mean <= 1.0 + 1e-9
    assert 0.0 < won <= 0.4


@pytest.mark.parametrize("p", [0.1, 0.4])
def test_it_is_fair_at_every_look(p: float) -> None:
    """Four looks, the bet among them: P(ever) <= alpha for independent requests, dispersion of the run's own."""
    n_c, n_s, planned, alpha = 1, 2, 4, 0.4
    cells = [(x, y, chance(n_c, p, x) * chance(n_s, p, y)) for x in range(n_c + 1) for y in range(n_s + 1)]
    settings_, family = plan(planned_looks=planned, alpha=alpha), families()["sequential-rate-ratio"]

    def crossing(state: Any, number: int) -> float:
        total = 0.0
        for x, y, weight in cells:
            after = family.update(settings_, state, looks([(x, n_c, y, n_s)], number)[0])
            if family.assess(settings_, after, interval=False).log_e_harm >= -math.log(alpha) - 1e-9:
                total += weight
            elif number <= planned:  # and one more: the bet is not made anew
                total += weight * crossing(after, number + 1)
        return total

    assert 0.0 < crossing(family.start(settings_), 1) <= alpha


def stepped(ratio: float, *, seed: int = 0, count: int = PLANNED, events: float = 8.0) -> list[Pair]:
    """Looks with changing shares of the traffic."""
    rng, found = np.random.default_rng(seed), []
    for k in range(count):
        n_c, n_s = 100.0 + 50.0 * (k % 3), 400.0
        found.append((float(rng.poisson(events * ratio * n_c / 100.0)), n_c, float(rng.poisson(events * 4)), n_s))
    return found


def mixed_only(settings_: Plan) -> Plan:
    """The same without a planned end: nothing is bet."""
    return msgspec.structs.replace(settings_, planned_looks=0)


def won_by_the_bet(test: str) -> list[Pair]:
    """A run that the bet passes at the last look, and the mixture at none."""
    for seed in range(200):
        run = stepped(1.0, seed=seed)
        if replay(plan(test), looks(run))[1].log_e_safety >= LIMIT and not any(
            replay(mixed_only(plan(test)), looks(run[:k]))[1].log_e_safety >= LIMIT for k in range(1, PLANNED + 1)
        ):
            return run
    raise AssertionError("none of 200 runs")


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("direction", "ratio"), [("increase", 1.0), ("increase", 1.45), ("decrease", 0.6), ("either", 1.5)]
)
@pytest.mark.parametrize("dispersion", [1.0, 1.5])
def test_the_interval_agrees_with_the_evidence(test: str, direction: str, ratio: float, dispersion: float) -> None:
    """It leaves out 1 where harm is shown, and the margin where safety is, by the bet or not."""
    settings_ = plan(test, direction=direction, calibration=Calibration(points=360, dispersion=dispersion))
    rises = direction != "decrease"
    decided = [0, 0]
    for seed in range(25):
        _, evidence = replay(settings_, looks(stepped(ratio, seed=seed)))
        if evidence.lower is None or evidence.upper is None:
            continue
        outside = (evidence.lower > 1.0 and direction != "decrease") or (
            evidence.upper < 1.0 and direction != "increase"
        )
        assert outside == (evidence.log_e_harm >= LIMIT - 1e-6)
        decided[0] += outside
        if direction != "either":
            inside = evidence.upper < 1.5 if rises else evidence.lower > 0.5
            assert inside == (evidence.log_e_safety >= LIMIT - 1e-6)
            decided[1] += inside
    assert max(decided) > 0


@pytest.mark.parametrize("test", TESTS)
def test_it_decides_what_the_mixture_does_not(test: str) -> None:
    won = [0, 0, 0]
    for seed in range(60):
        run = stepped(1.0, seed=seed)
        for which, settings_ in enumerate((plan(test), mixed_only(plan(test)))):
            won[which] += replay(settings_, looks(run))[1].log_e_safety >= LIMIT
        before = replay(plan(test), looks(run)[:-1])[1]
        won[2] += before.log_e_safety >= LIMIT
    assert won[0] > won[1] + 5
    assert won[2] <= won[1]


@pytest.mark.parametrize("test", TESTS)
def test_what_it_was_worth_stays(test: str) -> None:
    """Looks after the last one change the mixture, and neither the bet nor what decided it."""
    run = won_by_the_bet(test)
    state, evidence = replay(plan(test), looks(run))
    longer, after = replay(plan(test), looks([*run, (30.0, 100.0, 32.0, 400.0)]))
    assert evidence.log_e_safety >= LIMIT
    assert longer.end == state.end
    assert after.log_e_safety >= LIMIT
    assert after.upper is not None
    assert after.upper < 1.5
    assert replay(plan(test), looks(run)[:-1])[0].end == b""


def test_evidence_before_the_last_look_is_the_mixtures_part() -> None:
    run = stepped(1.3)[:-1]
    harm, safety = last_counts.parts(plan())
    assert 0.0 < harm < safety <= last_counts.MOST_SAFETY
    state, evidence = replay(plan(restarts=False), looks(run))
    assert state.end == b""
    _, one = replay(plan(), looks(run))
    assert one.log_e_safety == pytest.approx(evidence.log_e_safety + math.log1p(-safety))


@pytest.mark.parametrize(
    ("more", "bets"),
    [
        ({}, True),
        ({"planned_looks": 0}, False),
        ({"planned_looks": 3}, False),
        ({"planned_looks": 10_000}, False),
        # the single-start form knows no end
        ({"restarts": False}, False),
    ],
)
def test_who_bets(more: dict[str, Any], bets: bool) -> None:
    parts = last_counts.parts(plan(**more))
    assert all(0.0 < part < 1.0 for part in parts) if bets else parts == (0.0, 0.0)


@pytest.mark.parametrize(
    ("look", "planned_seconds", "last"),
    [
        (Look(5, EPOCH), 0.0, False),
        (Look(6, EPOCH), 0.0, True),
        (Look(7, EPOCH), 0.0, True),
        # where the duration is known it counts, however many looks there were
        (Look(6, EPOCH, elapsed_seconds=299.0), 300.0, False),
        (Look(3, EPOCH, elapsed_seconds=300.0), 300.0, True),
    ],
)
def test_which_look_is_the_last(look: Look, planned_seconds: float, last: bool) -> None:
    assert last_counts.is_last(plan(planned_seconds=planned_seconds), look) is last


@pytest.mark.parametrize("test", TESTS)
def test_a_last_look_without_traffic_decides_too(test: str) -> None:
    run = looks(stepped(0.7, seed=4))
    silent = msgspec.structs.replace(run[-1], canary=Counts(0.0, 0.0))
    state, evidence = replay(plan(test), [*run[:-1], silent])
    assert state.end
    assert state.used == PLANNED - 1
    assert evidence.log_e_safety >= LIMIT


# --- a rate against a number


def alone(counts: Sequence[tuple[float, float]], first: int = 1) -> list[Look]:
    return [Look(k, EPOCH, Counts(*pair)) for k, pair in enumerate(counts, start=first)]


@pytest.mark.parametrize("direction", ["increase", "decrease"])
@pytest.mark.parametrize("objective", [0.1, 0.5])
def test_a_rate_at_its_objective_is_fair_with_the_bet(direction: str, objective: float) -> None:
    """Both ways at once: at the objective neither harm nor safety may be shown more often than its level."""
    n, mean, won = 24, [0.0, 0.0], [0.0, 0.0]
    settings_ = plan("objective", objective=objective, direction=direction, alpha=0.4, beta=0.4)
    for x in range(n + 1):
        _, evidence = replay(settings_, alone([(x, n)], PLANNED))
        for which, log_e in enumerate((evidence.log_e_harm, evidence.log_e_safety)):
            mean[which] += chance(n, objective, x) * math.exp(log_e)
            won[which] += chance(n, objective, x) * (log_e >= -math.log(0.4) - 1e-9)
    assert max(mean) <= 1.0 + 1e-9
    assert max(won) <= 0.4
    assert min(won) > 0.0


def test_an_objective_is_met_at_the_last_look() -> None:
    """No errors of 240 requests where four may fail: the mixture wants four and a half to be allowed."""
    settings_ = plan("objective", objective=4.0 / 240.0)
    run = alone([(0.0, 40.0)] * PLANNED)
    assert replay(mixed_only(settings_), run)[1].log_e_safety < LIMIT
    assert replay(settings_, run[:-1])[1].log_e_safety < LIMIT
    _, evidence = replay(settings_, run)
    assert evidence.log_e_safety >= LIMIT
    assert evidence.upper is not None
    assert evidence.upper < 4.0 / 240.0
    # Clopper and Pearson's limit: part of .05 lies below no event at all
    assert evidence.upper == pytest.approx(-math.log(last_counts.parts(settings_)[1] * 0.05) / 240.0, rel=1e-4)


# --- the verdict


def verdict(settings_: Plan, run: list[Look]) -> VerdictState:
    family = families()[settings_.test]
    state, found = family.start(settings_), VerdictState()
    for look in run:
        state = family.update(settings_, state, look)
        found = step(settings_, found, look, family.assess(settings_, state, interval=False))
    return found


def test_the_bet_is_a_verdict() -> None:
    run = won_by_the_bet("sequential-rate-ratio")
    found = verdict(plan(), looks([*run, (8.0, 100.0, 32.0, 400.0)]))
    assert (found.outcome, found.passed_at) == ("pass", PLANNED)
    assert verdict(mixed_only(plan()), looks(run)).outcome == ""


def test_swapping_the_arms_mirrors_the_bet() -> None:
    seen = set()
    for seed in range(40):
        run = stepped(1.7, seed=seed)
        _, one = replay(plan(), looks(run))
        _, two = replay(plan(direction="decrease"), looks([(c, d, a, b) for a, b, c, d in run]))
        assert two.log_e_harm == pytest.approx(one.log_e_harm, abs=1e-6)
        seen.add(one.log_e_harm >= LIMIT)
    assert seen == {True, False}


def test_a_state_of_before_the_bet_does_not_bet() -> None:
    """It has events, and nobody counted the trials that they came from."""
    family = families()["sequential-odds-ratio"]
    settings_, run = plan("sequential-odds-ratio"), looks(stepped(0.7, seed=4))
    state, _ = replay(settings_, run[:3])
    kept = msgspec.json.decode(family.encode(state))
    for name in ("trials", "least", "end"):
        del kept[name]
    old: CountState = family.decode(msgspec.json.encode(kept))
    for look in run[3:]:
        old = family.update(settings_, old, look)
    assert old.end == b""
    assert replay(settings_, run)[0].end
