"""The mixture at a null that does not come again, against the same by the null's contrast."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis_service.core.statistics import mixture
from analysis_service.core.statistics.mixture import NODES, contrast, log_add, log_all, log_late, log_whole, nodes
from analysis_service.core.statistics.plan import MAX_LOG_RATIO


def sums(seed: int, starts: int, traffic: float) -> mixture.Array:
    """[events, S at the nodes] of starts one after the other, as counts of a binomial leave them."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(starts):
        events, share = traffic * rng.random(), 0.05 + 0.9 * rng.random()
        rows.append([events * share, *(events * np.log1p(share * np.expm1(nodes())))])
        traffic *= rng.random()
    return np.array(rows)


@given(
    seed=st.integers(0, 2**32 - 1),
    starts=st.integers(1, 6),
    traffic=st.floats(1.0, 1e6),
    null=st.floats(-MAX_LOG_RATIO, MAX_LOG_RATIO),
    sign=st.sampled_from([1, -1]),
    weighted=st.booleans(),
)
@example(seed=1, starts=3, traffic=100.0, null=float(nodes()[NODES // 2]), sign=1, weighted=True)  # at a node
@example(seed=1, starts=3, traffic=100.0, null=MAX_LOG_RATIO, sign=1, weighted=True)  # alternatives out of range
@settings(max_examples=200, deadline=None)
def test_it_is_the_sum_of_all_starts(
    seed: int, starts: int, traffic: float, null: float, sign: int, weighted: bool
) -> None:
    since = sums(seed, starts, traffic)
    weights = np.log(np.full((starts, 1), 1.0 / starts)) if weighted else None
    against = contrast(null, sign)
    wanted = log_whole(since[0], against.whole, against.whole_prior)[0]
    if weights is not None:
        wanted += float(weights[0, 0])
        if starts > 1:
            wanted = log_add(wanted, log_late(since[1:], weights[1:], against)[0])
    assert log_all(since, weights, null, sign) == pytest.approx(wanted, rel=1e-10, abs=1e-9 + 1e-13 * traffic)
