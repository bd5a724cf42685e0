"""Kayenta's cleaning of a series, and the figures it reports of one. A series is a bag: time plays no part."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from analysis_service.core.statistics.kayenta_config import CanaryOptions, NanStrategy


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one cleaned series, in the metric's unit; all zero when it is empty."""

    min: float = 0.0
    max: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    count: int = 0


def clean(values: Sequence[float], options: CanaryOptions) -> tuple[float, ...]:
    """NaN first, then outliers if asked. Infinities stay."""
    kept = replace_nan(values) if options.nan_strategy is NanStrategy.REPLACE else remove_nan(values)
    return remove_outliers(kept, factor=options.outlier_factor) if options.remove_outliers else kept


def remove_nan(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(value for value in values if not math.isnan(value))


def replace_nan(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(0.0 if math.isnan(value) else value for value in values)


def remove_outliers(values: Sequence[float], *, factor: float, less_sensitive: bool = True) -> tuple[float, ...]:
    """The values that are no outliers by their quartiles; see `quartile_outliers`."""
    flags = quartile_outliers(values, factor=factor, less_sensitive=less_sensitive)
    return tuple(value for value, out in zip(values, flags, strict=True) if not out)


def quartile_outliers(values: Sequence[float], *, factor: float, less_sensitive: bool = True) -> tuple[bool, ...]:
    """Which values lie strictly outside the quartiles by more than `factor` interquartile ranges.

    less_sensitive: the 1st and 99th percentile are inside, whatever the quartiles say; the judge always asks so.
    """
    if not values:
        return ()
    ordered = sorted(values)
    q1, q3 = percentile(ordered, 25), percentile(ordered, 75)
    low, high = q1 - factor * (q3 - q1), q3 + factor * (q3 - q1)
    if less_sensitive:
        low, high = min(percentile(ordered, 1), low), max(percentile(ordered, 99), high)
    return tuple(value < low or value > high for value in values)


def sigma_outliers(values: Sequence[float], *, factor: float) -> tuple[bool, ...]:
    """Which values lie further from the mean than `factor` standard deviations."""
    figures = summarise(values)
    return tuple(abs(value - figures.mean) > factor * figures.std for value in values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by linear interpolation, R's type 7. values: shape (n,), n >= 1, any order. percent: 0 to 100."""
    if not values:
        raise ValueError("a percentile needs at least one value")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    share = place - below
    if share == 0 or below + 1 == len(ordered):
        return ordered[below]
    return ordered[below] + share * (ordered[below + 1] - ordered[below])


def summarise(values: Sequence[float]) -> Summary:
    """min, max, mean, sample standard deviation (0 for one value) and count."""
    if not values:
        return Summary()
    mean, n = average(values), len(values)
    std = math.sqrt(_total((value - mean) * (value - mean) for value in values) / (n - 1)) if n > 1 else 0.0
    return Summary(min(values), max(values), mean, std, n)


def average(values: Sequence[float]) -> float:
    """The mean; infinities give what arithmetic gives, and never an exception."""
    return _total(values) / len(values)


def jitter(values: Sequence[float]) -> tuple[float, ...]:
    """Values spread like Gaussian noise of 1e-5 of their size.

    Kayenta draws the noise at random, so that one judgement can differ from the next. Here the noise is the normal
    scores: the same shape, and the same answer each time.
    """
    return tuple(
        value + noise
        for value, noise in zip(values, normal_scores(len(values), std=abs(values[0]) * 1e-5), strict=True)
    )


def normal_scores(n: int, *, mean: float = 0.0, std: float = 1.0) -> tuple[float, ...]:
    """n values that look like a normal sample: the quantiles at (i - 1/2)/n."""
    normal = NormalDist()
    return tuple(mean + std * normal.inv_cdf((i + 0.5) / n) for i in range(n))


def _total(values: Iterable[float]) -> float:
    total = 0.0
    for value in values:  # not fsum, which raises on overflow and on opposite infinities
        total += value
    return total
