"""Where inside its bucket an observation lies, against distributions whose answer is known."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis_service.core.statistics.bucket_shape import below, share_above

EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
Share = Callable[[float], float]  # beyond a value


def buckets(beyond: Share, n: float = 1e6) -> tuple[float, ...]:
    shares = [1.0, *(beyond(edge) for edge in EDGES), 0.0]
    return tuple(n * (a - b) for a, b in pairwise(shares))


def told(beyond: Share, value: float) -> float:
    """The share beyond a value, as the buckets tell it."""
    counts = buckets(beyond)
    at = int(np.searchsorted(EDGES, value))
    return (sum(counts[at + 1 :]) + counts[at] * share_above(EDGES, counts, at, value)) / sum(counts)


LOGNORMAL: Share = lambda x: float(stats.lognorm.sf(x, 1.0, scale=math.exp(4.0)))  # noqa: E731
NARROW: Share = lambda x: float(stats.lognorm.sf(x, 0.5, scale=math.exp(4.0)))  # noqa: E731
EXPONENTIAL: Share = lambda x: math.exp(-x / 60.0)  # noqa: E731
GAMMA: Share = lambda x: float(stats.gamma.sf(x, 4.0, scale=20.0))  # noqa: E731


@pytest.mark.parametrize("value", [6.0, 20.0, 40.0, 80.0, 200.0, 400.0])
@pytest.mark.parametrize(
    ("beyond", "low", "high"),
    [
        (LOGNORMAL, 1.0, 1.0),
        (NARROW, 1.0, 1.0),
        # too few beyond, which lets less pass; evenly spread there are up to five times too many
        (EXPONENTIAL, 0.85, 1.001),
        (GAMMA, 0.8, 1.001),
    ],
)
def test_the_share_beyond(beyond: Share, low: float, high: float, value: float) -> None:
    truth = beyond(value)
    if truth > 1e-3:  # of a million
        assert low - 1e-3 <= told(beyond, value) / truth <= high + 1e-3


@pytest.mark.parametrize(
    ("counts", "bucket", "value", "share"),
    [
        # the first bucket has no logarithm
        ((4.0, 4.0, 4.0), 0, 0.25, 0.75),
        # nothing in it to know a shape by
        ((4.0, 0.0, 4.0), 1, 1.5, 0.5),
        # its own ends
        ((4.0, 4.0, 4.0), 1, 1.0, 1.0),
        ((4.0, 4.0, 4.0), 1, 2.0, 0.0),
    ],
)
def test_what_has_no_shape_is_spread_evenly(counts: tuple[float, ...], bucket: int, value: float, share: float) -> None:
    assert share_above((1.0, 2.0), counts, bucket, value) == pytest.approx(share)


@given(
    st.lists(st.floats(0.0, 1e12), min_size=4, max_size=4).filter(lambda counts: sum(counts) > 0.0),
    st.sampled_from([(1.0, 2.0, 4.0), (-4.0, -1.0, 3.0), (1e-9, 1.0, 1e9)]),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2),
    st.integers(0, 2),
)
@settings(max_examples=200, deadline=None)
def test_it_is_a_share_that_falls(counts: list[float], edges: tuple[float, ...], at: list[float], bucket: int) -> None:
    low, high = edges[bucket - 1] if bucket else min(0.0, edges[0]), edges[bucket]
    shares = [share_above(edges, counts, bucket, low + part * (high - low)) for part in sorted(at)]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert shares[0] >= shares[1] - 1e-9


@pytest.mark.parametrize("beyond", [LOGNORMAL, EXPONENTIAL])
def test_many_values_at_once_say_the_same(beyond: Share) -> None:
    values = np.array([-1.0, 2.0, 5.0, 7.0, 33.0, 120.0, 250.0, 400.0, 2500.0, 9000.0])
    edges = np.array([0.0, *EDGES])
    shares = np.array([0.0, *(1.0 - beyond(edge) for edge in EDGES)])
    found = below(values, edges, shares)
    assert np.all(np.diff(found) >= 0.0)
    assert found[0] == 0.0
    assert found[-1] == shares[-1]
    for value, share in zip(values.tolist(), found.tolist(), strict=True):
        if 5.0 < value < 500.0:
            assert 1.0 - share == pytest.approx(told(beyond, value), abs=1e-4)
