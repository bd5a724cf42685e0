"""Histograms of a metrics page: from lines to buckets, and from buckets to the numbers conditions ask for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from providers.base import BadAnswer, Histogram

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(slots=True)
class _Parts:
    counts: dict[float, float] = field(default_factory=dict)
    sum: float | None = None
    count: float | None = None
    at: datetime | None = None


def assemble(family: str, lines: Iterable[tuple[str, Mapping[str, str], float, datetime | None]]) -> list[Histogram]:
    """Histograms from (name, labels, value, time) of `_bucket`, `_sum` and `_count` lines, in order of appearance.

    Counts are made to never fall with rising bounds: a page is not read at one instant of its process.
    Raises BadAnswer for a bucket without a readable `le`.
    """
    found: dict[tuple[tuple[str, str], ...], _Parts] = {}
    for name, labels, value, at in lines:
        key = tuple(sorted((label, text) for label, text in labels.items() if label != "le"))
        parts = found.setdefault(key, _Parts(at=at))
        if name == f"{family}_sum":
            parts.sum = value
        elif name == f"{family}_count":
            parts.count = value
        else:
            parts.counts[_bound(labels.get("le"))] = value
    return [_histogram(dict(key), parts) for key, parts in found.items()]


def add(histograms: Sequence[Histogram]) -> Histogram:
    """One histogram of them all. Raises BadAnswer where their bounds differ: there is no right sum then."""
    first = histograms[0]
    if any(one.bounds != first.bounds for one in histograms):
        raise BadAnswer("the histograms have different buckets and cannot be summed", reason="BucketsDiffer")
    sums = [one.sum for one in histograms if one.sum is not None]
    return Histogram(
        {},
        first.bounds,
        tuple(map(sum, zip(*(one.cumulative for one in histograms), strict=True))),
        sum(sums) if len(sums) == len(histograms) else None,
    )


def summary(histogram: Histogram) -> dict[str, float | None]:
    """What a condition sees: count, sum, mean and quantiles; None (nil) where there were no observations."""
    count = histogram.cumulative[-1]
    mean = histogram.sum / count if histogram.sum is not None and count > 0 else None
    quantiles = {name: quantile(histogram, share) for name, share in QUANTILES.items()}
    numbers = {"count": count, "sum": histogram.sum, "mean": mean, **quantiles}
    return {name: None if value is None or not math.isfinite(value) else value for name, value in numbers.items()}


def quantile(histogram: Histogram, share: float) -> float | None:
    """Interpolated within the bucket, as PromQL's histogram_quantile does; None without observations.

    In the last bucket it is that bucket's lower bound: nothing more is known.
    """
    total = histogram.cumulative[-1]
    if not total > 0:
        return None
    rank = share * total
    index = next(i for i, count in enumerate(histogram.cumulative) if count >= rank)
    upper = histogram.bounds[index]
    if math.isinf(upper):
        return histogram.bounds[index - 1] if index else None
    below = histogram.cumulative[index - 1] if index else 0.0
    if index == 0 and upper <= 0:
        return upper
    lower = histogram.bounds[index - 1] if index else 0.0
    return lower + (upper - lower) * (rank - below) / (histogram.cumulative[index] - below)


def _histogram(labels: Mapping[str, str], parts: _Parts) -> Histogram:
    if math.inf not in parts.counts:
        if parts.count is None:
            raise BadAnswer("a histogram without a +Inf bucket and without a count", reason="Malformed")
        parts.counts[math.inf] = parts.count
    bounds = tuple(sorted(parts.counts))
    cumulative, highest = [], 0.0
    for bound in bounds:
        highest = max(highest, parts.counts[bound])
        cumulative.append(highest)
    return Histogram(labels, bounds, tuple(cumulative), parts.sum, parts.at)


def _bound(text: str | None) -> float:
    try:
        bound = float(text or "")
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise BadAnswer("a bucket without a readable le", reason="Malformed")
    return bound
