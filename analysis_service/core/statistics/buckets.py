"""Buckets of histograms: put on other edges, counted beyond a value; edges that several have, or that are judged."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .bucket_shape import Beyond, share_above
from .looks import Histogram

MOST_EDGES = 12  # judged


def rebin(histogram: Histogram, edges: tuple[float, ...]) -> tuple[float, ...] | None:
    """Counts per bucket of `edges`, which must all be edges of the histogram; None if one is not."""
    counts = [0.0] * (len(edges) + 1)
    missing = set(edges).difference(histogram.edges)
    if missing:
        return None
    for i, count in enumerate(histogram.counts):
        upper = histogram.edges[i] if i < len(histogram.edges) else math.inf
        at = bisect_right(edges, upper) - 1
        counts[at if at >= 0 and edges[at] == upper else at + 1] += count
    return tuple(counts)


def beyond(edges: tuple[float, ...], counts: tuple[float, ...], value: float) -> float:
    """Observations above `value`, spread evenly in a bucket. The first starts at 0 (or at its edge, if below)."""
    above = 0.0
    for i in range(len(edges), -1, -1):
        low = edges[i - 1] if i > 0 else min(0.0, edges[0])
        if i == len(edges):
            if value >= low:
                return counts[i] if value == low else 0.0
        elif value > low or i == 0:
            high = edges[i]
            share = (high - value) / (high - low) if high > low else 1.0
            return above + counts[i] * min(max(share, 0.0), 1.0)
        above += counts[i]
    return above


def beyond_shaped(
    edges: tuple[float, ...], counts: tuple[float, ...], value: float, shape: tuple[float, ...]
) -> Beyond:
    """The same by the shape of the distribution. shape: counts so far, from which it is told."""
    bucket = bisect_left(edges, value)
    above = math.fsum(counts[bucket + 1 :])
    return Beyond(*(above + counts[bucket] * share for share in share_above(edges, shape, bucket, value)))


def common_edges(histograms: Sequence[Histogram]) -> tuple[float, ...]:
    """The edges that all of them have, ascending; none without histograms."""
    if not histograms:
        return ()
    rest = [set(one.edges) for one in histograms[1:]]
    return tuple(edge for edge in histograms[0].edges if all(edge in edges for edges in rest))


def spread(edges: tuple[float, ...]) -> list[float]:
    """The edges that are judged: MOST_EDGES of them at most."""
    if len(edges) <= MOST_EDGES:
        return list(edges)
    return [edges[round(i * (len(edges) - 1) / (MOST_EDGES - 1))] for i in range(MOST_EDGES)]
