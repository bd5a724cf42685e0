"""One interval's data made worse by a known factor: what an injected harm looks like to a test."""

from bisect import bisect_left
from itertools import pairwise

from .looks import ArmData, Counts, Gauge, Histogram, Samples
from .plan import Direction


def worse(data: ArmData, factor: float, direction: Direction = "increase") -> ArmData:
    """Events, levels or observations times `factor` (by 1 / factor where less is worse).

    Events never exceed their total. A level that is not positive grows by (factor - 1) of its size. Buckets keep
    their edges: within a bucket observations are taken to lie evenly.
    """
    by = 1.0 / factor if direction == "decrease" else factor
    if isinstance(data, Counts):
        return Counts(min(data.events * by, data.total), data.total)
    if isinstance(data, Gauge):
        return Gauge(data.value + (by - 1.0) * abs(data.value))
    if isinstance(data, Samples):
        return Samples(tuple(value + (by - 1.0) * abs(value) for value in data.values))
    return _stretched(data, by)


def _stretched(data: Histogram, by: float) -> Histogram:
    cumulative = [0.0]
    for count in data.counts:
        cumulative.append(cumulative[-1] + count)
    edges = (0.0, *data.edges) if data.edges[0] > 0 else data.edges
    known = cumulative[: len(edges)] if data.edges[0] > 0 else cumulative[1 : len(edges) + 1]

    def below(value: float) -> float:
        """How many observations were at or below a value."""
        at = bisect_left(edges, value)
        if at == 0:
            return known[0]
        if at >= len(edges):  # beyond the last edge nobody knows how far: they stay where they are
            return known[-1]
        share = (value - edges[at - 1]) / (edges[at] - edges[at - 1])
        return known[at - 1] + share * (known[at] - known[at - 1])

    moved = [below(edge / by) for edge in data.edges]
    counts = [moved[0], *(max(b - a, 0.0) for a, b in pairwise(moved)), cumulative[-1] - moved[-1]]
    return Histogram(data.edges, tuple(max(count, 0.0) for count in counts))
