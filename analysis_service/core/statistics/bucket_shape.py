"""Where inside its bucket an observation lies, by the shape of the whole distribution.

Spread evenly, as Prometheus does for quantiles, a bucket has too many observations at its upper end wherever the
density falls: a lognormal's may have half as many between 200 and 250 ms as an even one's from 100 to 250 ms. Against a
margin as large as that the error decides: a canary at the margin would look much better than stable.

Two shapes are told instead, each a line in the value's logarithm between a bucket's two ends: of the normal score of
the share at or below a value, exact for a lognormal, and of the logarithm of the cumulated hazard, exact for a Weibull
and so for an exponential distribution. Gamma distributions lie between the two. Which of them is nearer nobody can
tell from buckets, so a claim is held against the one that is less favourable to it.

Two buckets have one end only. Of the one from 0 on and of the one above the last edge both lines are those of the
neighbouring bucket, drawn on: a guess, and beside it the first has the even spread. A bucket beyond which nothing was
seen has both. Evenly spread is also what has no logarithm, as it begins below 0, and what lies between empty ends.

Several modes, or all observations near one value, are not to be told from buckets that wide: the shares are then wrong,
either way, and many observations make a canary near the margin fail. One that equals stable does not: never is less
told to lie beyond the value that the margin takes to an edge than beyond the edge.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

_NORMAL = NormalDist()
_LARGEST = 700.0  # whose exponential is a number


class Beyond(NamedTuple):
    """How much lies above a value: by the normal scores, and the least and the most that there may be."""

    likely: float
    least: float
    most: float


def share_above(edges: Sequence[float], counts: Sequence[float], bucket: int, value: float) -> Beyond:
    """The shares of a bucket's observations above `value`, which lies in it. counts: per bucket, so far."""
    top = bucket == len(edges)
    low, high = edges[bucket - 1] if bucket else min(0.0, edges[0]), math.inf if top else edges[bucket]
    if value <= low:
        return Beyond(1.0, 1.0, 1.0)
    even = 1.0 if top or high <= low else max((high - value) / (high - low), 0.0)
    untold = Beyond(1.0, 0.0, 1.0) if top else Beyond(even, even, even)
    lines = _lines(edges, counts, bucket, low)
    if not lines or value >= high or counts[bucket] <= 0.0:
        return untold
    n = math.fsum(counts)
    room = 0.5 / (n + 1.0)  # half an observation: no share is 0 or 1

    def above(edge: int) -> float:
        return min(max(math.fsum(counts[edge + 1 :]) / n, room), 1.0 - room)

    from_, to = 1.0 if bucket == 0 else above(bucket - 1), 0.0 if top else above(bucket)
    if from_ <= to:
        return untold
    guesses: list[float] = []
    for at in lines:
        start, end = above(at - 1), above(at)
        part = (math.log(value) - math.log(edges[at - 1])) / (math.log(edges[at]) - math.log(edges[at - 1]))
        normal = _NORMAL.cdf(_between(_NORMAL.inv_cdf(start), _NORMAL.inv_cdf(end), part))
        weibull = math.exp(-math.exp(min(_between(_hazard(start), _hazard(end), part), _LARGEST)))
        guesses += (min(max((share - to) / (from_ - to), 0.0), 1.0) for share in (normal, weibull))
    likely = guesses[0]
    if low == 0.0:
        guesses.append(even)
    return Beyond(likely, min(guesses), max(guesses))


def _lines(edges: Sequence[float], counts: Sequence[float], bucket: int, low: float) -> list[int]:
    """The buckets between whose ends lines are drawn for values in `bucket`, which begins at `low`."""
    if low == 0.0:
        return [bucket + 1] if bucket + 1 < len(edges) and edges[bucket] > 0.0 else []
    found = [bucket] if low > 0.0 and bucket < len(edges) else []
    # where nothing was seen beyond, the upper end is not known: the line may fall as steeply as before
    if bucket > 1 and edges[bucket - 2] > 0.0 and counts[bucket - 1] > 0.0 and not any(counts[bucket + 1 :]):
        found.append(bucket - 1)
    return found


def _hazard(share: float) -> float:
    """The logarithm of the cumulated hazard at a value that this share lies beyond."""
    return math.log(-math.log(share))


def _between(start: float, end: float, part: float) -> float:
    return start + (end - start) * part
