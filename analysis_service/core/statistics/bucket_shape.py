"""Where inside its bucket an observation lies, by the shape of the whole distribution.

Spread evenly, as Prometheus does for quantiles, a bucket has too many observations at its upper end wherever the
density falls: a lognormal's may have half as many between 200 and 250 ms as an even one's from 100 to 250 ms. Against a
margin as large as that the error decides: a canary at the margin would look much better than stable.

Here the normal score of the share at or below a value is linear in the value's logarithm inside the bucket: exact for a
lognormal, a few per cent for exponential and gamma distributions, and to the safe side in their tails. Evenly spread is
what has no logarithm, the first bucket, and what lies between empty ends.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NORMAL = NormalDist()


def share_above(edges: Sequence[float], counts: Sequence[float], bucket: int, value: float) -> float:
    """The share of a bucket's observations above `value`, which lies in it. counts: per bucket, so far."""
    low, high = edges[bucket - 1] if bucket else min(0.0, edges[0]), edges[bucket]
    even = (high - value) / (high - low) if high > low else 1.0
    n = math.fsum(counts)
    if low <= 0.0 or not low < value < high or counts[bucket] <= 0.0:
        return min(max(even, 0.0), 1.0)
    room = 0.5 / (n + 1.0)  # half an observation: no share is 0 or 1
    above = math.fsum(counts[bucket + 1 :]) / n
    from_, to = (min(max(share, room), 1.0 - room) for share in (above + counts[bucket] / n, above))
    if from_ <= to:
        return even
    # of the shares above, whose scores fall
    score = _score(-_NORMAL.inv_cdf(from_), -_NORMAL.inv_cdf(to), low, high, value)
    return min(max((_NORMAL.cdf(-score) - to) / (from_ - to), 0.0), 1.0)


def _score(at_low: float, at_high: float, low: float, high: float, value: float) -> float:
    return at_low + (at_high - at_low) * math.log(value / low) / math.log(high / low)


def below(values: Array, edges: Array, shares: Array) -> Array:
    """The share at or below each value, of a distribution with these shares at or below its edges, ascending."""
    from scipy.special import ndtr, ndtri  # not imported before somebody has histograms to forecast

    found: Array = np.interp(values, edges, shares)
    at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    low, high = edges[at], edges[at + 1]
    inside = (low > 0.0) & (values > low) & (values < high) & (shares[at] > 0.0) & (shares[at + 1] < 1.0)
    if inside.any():
        at, low, high, value = at[inside], low[inside], high[inside], values[inside]
        from_, to = ndtri(shares[at]), ndtri(shares[at + 1])
        found[inside] = ndtr(from_ + (to - from_) * np.log(value / low) / np.log(high / low))
    return found
