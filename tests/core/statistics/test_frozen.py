"""When a value has stood still for too long: the stated chance by enumeration, and tables of what people would say."""

import math
from bisect import bisect_left
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.statistics import frozen
from analysis_service.core.statistics.frozen import CHANCE, LEAST, Seen, after, called, is_frozen, log_e, repeats_of
from analysis_service.core.statistics.looks import Gauge
from analysis_service.core.statistics.plan import Repeats

NEVER = 100_000


def first_call(before: Repeats, known: Repeats | None = None, other: Seen | None = None) -> int:
    """At how many repeats an arm is called frozen."""
    found = (k for k in range(1, NEVER) if is_frozen(Seen(Gauge(1.0), k, k, before), known, other))
    return next(found, NEVER)


@cache
def first_improbable(n: int, r: int) -> int:
    """The fewest repeats that are improbable; e rises with every one."""
    return bisect_left(range(NEVER), -math.log(CHANCE), lo=1, key=lambda k: log_e(k, Repeats(n, r)))


@pytest.mark.parametrize(
    ("looks", "repeats", "longest", "known", "calls"),
    [
        # nothing has moved yet, in the run or before it: whatever stands still may always have done so
        (0, 0, 0, None, NEVER),
        (60, 60, 60, None, NEVER),
        # a step or two, as of a number of replicas, say next to nothing about the metric
        (1, 0, 0, None, NEVER),
        (2, 0, 0, None, 1274),
        (5, 0, 0, None, 40),
        # a float that moved at each of 15 looks: as many as are wanted at least
        (15, 0, 0, None, LEAST),
        (200, 0, 0, None, LEAST),
        # scraped at every second look
        (40, 20, 1, None, 34),
        (360, 180, 1, None, 26),
        # a queue that is mostly empty
        (360, 324, 40, None, 207),
        (720, 706, 200, None, 1896),
        # quiet stretches are known: one may be twice as long as any so far
        (100, 30, 30, None, 61),
        (20, 0, 0, Repeats(360, 100, 45), 91),
        # frozen from the first look on, where the look-back knows it alive; without looks of its own a little later
        (0, 0, 0, Repeats(360, 0, 0), 20),
        # the look-back moved at every look, and the run does not: it is asked in another way
        (40, 20, 2, Repeats(720, 0, 0), 20),
    ],
)
def test_how_many_repeats_are_too_many(
    looks: int, repeats: int, longest: int, known: Repeats | None, calls: int
) -> None:
    assert first_call(Repeats(looks, repeats, longest), known) == calls


@pytest.mark.parametrize(
    ("other", "calls"),
    [
        # the other arm goes on moving
        (Seen(Gauge(2.0), 0, 0, Repeats(60, 0)), LEAST),
        # it repeats itself nine times out of ten: so may this one
        (Seen(Gauge(2.0), 0, 0, Repeats(60, 54, 9)), 116),
        # both stood still for 20 looks
        (Seen(Gauge(2.0), 20, 20, Repeats(60, 0)), 11),
        # it never moved: a thread count that both settle at
        (Seen(Gauge(2.0), 80, 80), 1126),
    ],
)
def test_the_other_arm_has_a_say(other: Seen, calls: int) -> None:
    assert first_call(Repeats(60, 0), None, other) == calls


@given(p=st.floats(0.0, 1.0), n=st.integers(1, 250))
@settings(max_examples=150, deadline=None)
def test_a_series_that_is_alive_is_called_with_the_stated_chance_at_most(p: float, n: int) -> None:
    """Whatever its share p of repeats: the chance that look n is a change, and the repeats after it are called."""
    total = 0.0
    for r in range(n):
        k = first_improbable(n, r)
        if k < NEVER:
            total += math.comb(n - 1, r) * p**r * (1 - p) ** (n - r) * p**k
    assert total <= CHANCE * (1 + 1e-9)


@given(
    moves=st.lists(st.booleans(), min_size=20, max_size=200),
    known=st.none() | st.builds(Repeats, st.just(360), st.integers(0, 300), st.integers(0, 30)),
)
@settings(max_examples=200, deadline=None)
def test_an_arm_that_freezes_is_always_called_and_until_it_moves(moves: list[bool], known: Repeats | None) -> None:
    """Twenty moves are enough to know it alive, however often it repeated itself in between."""
    seen, value = Seen(), 0.0
    for moved in [*moves, *[True] * 20]:
        value += moved
        seen = after(seen, Gauge(value))
        if is_frozen(seen, known, None):
            seen = called(seen)
    calls = first_call(seen.before, known)
    assert LEAST <= calls < NEVER
    for look in range(1, calls + 30):
        seen = after(seen, Gauge(value))
        assert is_frozen(seen, known, None) == (look >= calls)
        if look >= calls:
            seen = called(seen)
    assert (seen.unchanged, seen.taken) == (calls + 29, calls - 1)  # what was called is not taken for data
    thawed = after(seen, Gauge(value + 1))
    assert not thawed.frozen
    assert thawed.before.repeats == seen.before.repeats + calls - 1  # nor for what the metric does alive


def test_repeats_of_a_series() -> None:
    values = [1.0, 1.0, None, 1.0, 2.0, 3.0, 3.0]
    rows = [Gauge(value) if value is not None else None for value in values]
    assert repeats_of(rows) == Repeats(looks=5, repeats=3, longest=2)
    assert repeats_of([]) == Repeats()
    # of several, the one that repeats itself most, and the longest stretch of any
    other = [Gauge(5.0)] * 4 + [Gauge(float(k)) for k in range(40)]
    assert frozen.most([rows, other]) == Repeats(looks=5, repeats=3, longest=3)
