"""Where inside its bucket an observation lies, against distributions whose answer is known."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis_service.core.statistics.bucket_shape import Beyond, share_above
from analysis_service.core.statistics.buckets import beyond, beyond_shaped

EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
Share = Callable[[float], float]  # beyond a value


def buckets(beyond: Share, n: float = 1e6) -> tuple[float, ...]:
    shares = [1.0, *(beyond(edge) for edge in EDGES), 0.0]
    return tuple(n * (a - b) for a, b in pairwise(shares))


def told(beyond: Share, value: float) -> Beyond:
    """The shares beyond a value, as the buckets tell them."""
    counts = buckets(beyond)
    return Beyond(*(found / sum(counts) for found in beyond_shaped(EDGES, counts, value, counts)))


def lognormal(middle: float, sd: float) -> Share:
    return lambda x: float(stats.lognorm.sf(x, sd, scale=middle))


def gamma(shape: float, scale: float) -> Share:
    return lambda x: float(stats.gamma.sf(x, shape, scale=scale))


def weibull(shape: float, scale: float) -> Share:
    return lambda x: math.exp(-((x / scale) ** shape))


LOGNORMAL, NARROW, SLOW = lognormal(math.exp(4.0), 1.0), lognormal(math.exp(4.0), 0.5), lognormal(2000.0, 1.0)
GAMMA, STEEP, FLAT = gamma(4.0, 20.0), gamma(4.0, 2.0), gamma(0.5, 60.0)
EXPONENTIAL, WEIBULL, LATE = weibull(1.0, 60.0), weibull(1.5, 60.0), weibull(0.7, 2000.0)


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
        assert low - 1e-3 <= told(beyond, value).likely / truth <= high + 1e-3


@pytest.mark.parametrize("value", [2.0, 4.0, 6.0, 9.0, 20.0, 40.0, 80.0, 200.0, 400.0, 2000.0, 3000.0, 5000.0])
@pytest.mark.parametrize("shape", [LOGNORMAL, NARROW, EXPONENTIAL, GAMMA, STEEP, WEIBULL, SLOW, LATE])
def test_the_truth_lies_between_the_least_and_the_most(shape: Share, value: float) -> None:
    """Below the first edge and beyond the last one, too: what has one mode lies between both lines."""
    found, truth = told(shape, value), shape(value)
    assert found.least - 2e-3 <= truth <= found.most + 2e-3
    if 1e-3 < truth < 0.999 and 5.0 < value < 2500.0:  # where both ends are known
        assert found.most - found.least < 0.05


@pytest.mark.parametrize(
    ("edges", "counts", "value", "found"),
    [
        # a lognormal of the neighbour's slope: scores -2, -1 and so -3, of 2.275 % and 15.866 %
        ((1.0, 2.0), (2.275, 13.591, 84.134), 0.5, (99.865, 98.8625, 99.865)),
        # above the last edge alike
        ((1.0, 2.0), (84.134, 13.591, 2.275), 4.0, (0.135, 0.042, 0.135)),
        # an edge at 0 below it is no bucket's beginning with a logarithm, either
        ((0.0, 1.0, 2.0), (0.0, 2.275, 13.591, 84.134), 0.5, (99.865, 98.8625, 99.865)),
        # where the neighbour is empty its line is flat: none of them near the edge, or an even part of them
        ((1.0, 2.0), (50.0, 0.0, 50.0), 0.5, (50.0, 50.0, 75.0)),
        # nothing is known of what is above the last edge then: from none of it to all
        ((1.0, 2.0), (50.0, 0.0, 50.0), 4.0, (50.0, 0.0, 50.0)),
        # what begins below 0 has no logarithm
        ((-9.0, 1.0, 2.0), (0.0, 50.0, 25.0, 25.0), -4.0, (75.0, 75.0, 75.0)),
        ((-9.0, 1.0, 2.0), (0.0, 50.0, 25.0, 25.0), 0.5, (52.5, 52.5, 52.5)),
        ((-9.0, -4.0), (40.0, 30.0, 30.0), -5.0, (36.0, 36.0, 36.0)),
        # two edges of which the first is 0: no neighbour
        ((0.0, 2.0), (0.0, 50.0, 50.0), 1.0, (75.0, 75.0, 75.0)),
    ],
)
def test_buckets_with_one_end(
    edges: tuple[float, ...], counts: tuple[float, ...], value: float, found: tuple[float, ...]
) -> None:
    counts = tuple(1e6 * count for count in counts)  # no rounding to half an observation
    shares = [one / 1e6 for one in beyond_shaped(edges, counts, value, counts)]
    assert shares == pytest.approx(found, abs=2e-3)


def test_an_end_beyond_which_nothing_was_seen_may_lie_anywhere() -> None:
    """Half an observation says too much: of a tail that falls as before there would be far less."""
    counts = tuple(round(count) for count in buckets(lambda x: float(stats.lognorm.sf(x, 0.4, scale=math.e)), 2e4))
    found, truth = beyond_shaped(EDGES, counts, 13.3, counts), 2e4 * stats.lognorm.sf(13.3, 0.4, scale=math.e)
    assert not any(counts[3:])
    assert found.least <= truth < 0.5 * found.likely


@pytest.mark.parametrize(
    ("counts", "bucket", "value", "share"),
    [
        # the first bucket, of a neighbour that is its own last
        ((4.0, 0.0, 0.0), 0, 0.0, 1.0),
        # nothing in it to know a shape by
        ((4.0, 0.0, 4.0), 1, 1.5, 0.5),
        # its own ends
        ((4.0, 4.0, 4.0), 1, 1.0, 1.0),
        ((4.0, 4.0, 4.0), 1, 2.0, 0.0),
    ],
)
def test_what_has_no_shape_is_spread_evenly(counts: tuple[float, ...], bucket: int, value: float, share: float) -> None:
    assert share_above((1.0, 2.0), counts, bucket, value).likely == pytest.approx(share)


@given(
    st.lists(st.floats(0.0, 1e12), min_size=4, max_size=4).filter(lambda counts: sum(counts) > 0.0),
    st.sampled_from([(1.0, 2.0, 4.0), (-4.0, -1.0, 3.0), (0.0, 1.0, 3.0), (-4.0, 1.0, 3.0), (1e-9, 1.0, 1e9)]),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2),
    st.integers(0, 3),
)
@settings(max_examples=300, deadline=None)
def test_it_is_a_share_that_falls(counts: list[float], edges: tuple[float, ...], at: list[float], bucket: int) -> None:
    low, high = edges[bucket - 1] if bucket else min(0.0, edges[0]), edges[bucket] if bucket < 3 else 9.0 * edges[-1]
    shares = [share_above(edges, counts, bucket, low + part * (high - low)) for part in sorted(at)]
    for share in shares:
        assert 0.0 <= share.least <= share.likely <= share.most <= 1.0
    for before, after in zip(*shares, strict=True):
        assert before >= after - 1e-9


@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any),
    st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any),
    st.sampled_from([(1.0, 2.0, 4.0), (0.0, 1.0, 3.0), (-4.0, 1.0, 3.0)]),
    st.floats(-9.0, 20.0),
)
@settings(max_examples=200, deadline=None)
def test_what_is_told_lies_between_the_edges(
    counts: list[int], shape: list[int], edges: tuple[float, ...], value: float
) -> None:
    """So an arm that equals the other is never worse than it is told to be at the margin, whatever the shape."""
    now, before = tuple(map(float, counts)), tuple(map(float, shape))
    found = beyond_shaped(edges, now, value, before)
    for edge in edges[edges[0] <= 0.0 :]:
        assert value > edge or found.least >= beyond(edges, now, edge) - 1e-9
        assert value < edge or found.most <= beyond(edges, now, edge) + 1e-9
