"""Tests on ranks and distribution functions, single look: Mann-Whitney, Brunner-Munzel, Kolmogorov-Smirnov, others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np

from analysis_service.core.statistics.fixed_means import Alternative, finite_sample, opposite

MAX_PAIRED: Final = 2000  # values per arm whose pairwise differences are all formed; above, the sorted arms are thinned


@dataclass(frozen=True, slots=True)
class RankTest:
    """statistic: the test's own; p: its p-value."""

    statistic: float
    p: float


def mann_whitney(
    canary: Sequence[float],
    stable: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
    method: Literal["auto", "exact", "asymptotic"] = "auto",
) -> RankTest:
    """Whether canary values tend to be larger ("greater"): U and its p-value, ties as halves.

    canary, stable: shapes (m,) and (n,), m, n >= 2, same unit, finite. method: exact without ties only; auto takes it
    for at most 8 values a side. All values equal gives p = 1. Raises ValueError for too few or non-finite values.

    Source: Mann and Whitney (1947), Ann. Math. Stat. 18, 50-60; scipy.stats.mannwhitneyu.
    """
    from scipy import stats

    x, y = finite_sample(canary, "canary"), finite_sample(stable, "stable")
    if len({*x, *y}) == 1:
        return RankTest(len(x) * len(y) / 2, 1.0)
    found = stats.mannwhitneyu(x, y, alternative=alternative, method=method)
    return RankTest(float(found.statistic), min(1.0, float(found.pvalue)))


def location_shift(
    canary: Sequence[float], stable: Sequence[float], *, confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """How far the canary lies above stable: the median of all pairwise differences, and its interval.

    canary, stable: as `mann_whitney`. An end is None where the samples are too small to bound it at this confidence.
    Arms of more than 2,000 values are thinned to evenly spaced order statistics first.

    Source: Hodges and Lehmann (1963), Ann. Math. Stat. 34, 598-611; interval by the normal approximation to U.
    """
    x, y = _thin(finite_sample(canary, "canary")), _thin(finite_sample(stable, "stable"))
    gaps = np.sort(np.subtract.outer(x, y), axis=None)
    m, n = len(canary), len(stable)
    spread = math.sqrt(m * n * (m + n + 1) / 12) * NormalDist().inv_cdf((1 + confidence) / 2)
    below = math.floor((m * n / 2 - spread) / (m * n) * len(gaps))  # differences left out at each end
    middle = float(np.median(gaps))
    if below < 1:
        return middle, None, None
    return middle, float(gaps[below - 1]), float(gaps[len(gaps) - below])


def brunner_munzel(
    canary: Sequence[float], stable: Sequence[float], *, alternative: Alternative = "two-sided"
) -> RankTest:
    """Whether canary values tend to be larger ("greater"), without assuming equal spreads or shapes.

    canary, stable: as `mann_whitney`. statistic: negative when the canary is larger, as in scipy. Samples that do not
    overlap leave nothing to estimate the noise from; then p is that of the exact permutation, 1 in (m+n choose m).

    Source: Brunner and Munzel (2000), Biometrical Journal 42, 17-25; scipy.stats.brunnermunzel.
    """
    from scipy import stats

    x, y = finite_sample(canary, "canary"), finite_sample(stable, "stable")
    if min(x) > max(y) or max(x) < min(y):
        higher = min(x) > max(y)
        rare = math.exp(math.lgamma(len(x) + 1) + math.lgamma(len(y) + 1) - math.lgamma(len(x) + len(y) + 1))
        p = {"greater": rare if higher else 1.0, "less": 1.0 if higher else rare, "two-sided": min(1.0, 2 * rare)}
        return RankTest(-math.inf if higher else math.inf, p[alternative])
    if len({*x, *y}) == 1:
        return RankTest(0.0, 1.0)
    found = stats.brunnermunzel(x, y, alternative=alternative)
    if math.isnan(float(found.pvalue)):  # every rank within the arms is tied with the pool: no spread, no difference
        return RankTest(0.0, 1.0)
    return RankTest(float(found.statistic), float(found.pvalue))


def kolmogorov_smirnov(
    canary: Sequence[float],
    stable: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
    method: Literal["auto", "exact", "asymp"] = "auto",
) -> RankTest:
    """The largest gap between the distribution functions, D, and its p-value.

    canary, stable: as `mann_whitney`. alternative: "greater" asks whether canary values are larger somewhere, that is
    whether its distribution function lies below stable's. scipy names the function, so its word is the opposite.

    Source: Smirnov (1939); scipy.stats.ks_2samp.
    """
    from scipy import stats

    x, y = finite_sample(canary, "canary"), finite_sample(stable, "stable")
    if method == "auto" and len(x) * len(y) > 100_000:
        method = "asymp"  # the exact count of paths takes seconds there, and differs in the fourth digit
    found = stats.ks_2samp(x, y, alternative=opposite(alternative), method=method)
    return RankTest(float(found.statistic), min(1.0, float(found.pvalue)))


def share_moved(canary: Sequence[float], stable: Sequence[float], *, upwards: bool) -> float:
    """The largest share of values that lies beyond some value in the canary and not in stable, 0 to 1."""
    x, y = np.sort(finite_sample(canary, "canary")), np.sort(finite_sample(stable, "stable"))
    points = np.concatenate((x, y))
    gap = np.searchsorted(y, points, "right") / len(y) - np.searchsorted(x, points, "right") / len(x)
    return max(0.0, float((gap if upwards else -gap).max()))


def share_moved_p(moved: float, limit: float, *, m: int, n: int) -> float:
    """Chance of a share moved as small as this, where truly `limit` or more moved. moved, limit: 0 to 1.

    Both empirical functions are kept in a band at once, half of the error to each.

    Source: Massart (1990), Ann. Prob. 18, 1269-1283, whose one-sided band holds below one half.
    """
    if moved >= limit:
        return 1.0
    return min(1.0, 2 * math.exp(-2 * ((limit - moved) / (1 / math.sqrt(m) + 1 / math.sqrt(n))) ** 2))


def share_moved_beyond_p(moved: float, limit: float, *, m: int, n: int) -> float:
    """Chance of a share moved as large as this, where truly at most `limit` moved. As `share_moved_p`."""
    if moved <= limit:
        return 1.0
    return min(1.0, 2 * math.exp(-2 * ((moved - limit) / (1 / math.sqrt(m) + 1 / math.sqrt(n))) ** 2))


def anderson_darling(canary: Sequence[float], stable: Sequence[float]) -> float:
    """The two-sample Anderson-Darling statistic (standardised, ties by midranks): heavier on the tails than D.

    canary, stable: as `mann_whitney`, not all equal. Raises ValueError.

    Source: Scholz and Stephens (1987), JASA 82, 918-924; scipy.stats.anderson_ksamp(midrank).
    """
    x, y = finite_sample(canary, "canary"), finite_sample(stable, "stable")
    pool = np.sort(np.concatenate((x, y)))
    values, ties = np.unique(pool, return_counts=True)
    if len(values) < 2:
        raise ValueError("all values are equal: there is no distribution to compare")
    total = len(pool)
    below = np.searchsorted(pool, values, "left") + ties / 2
    statistic = 0.0
    for arm in (np.sort(np.asarray(x)), np.sort(np.asarray(y))):
        right = np.searchsorted(arm, values, "right")
        here = right - (right - np.searchsorted(arm, values, "left")) / 2
        part = ties * (total * here - below * len(arm)) ** 2 / (below * (total - below) - total * ties / 4)
        statistic += float(part.sum()) / len(arm)
    statistic *= (total - 1) / total**2
    return (statistic - 1) / math.sqrt(_anderson_variance(len(x), len(y)))


def wasserstein(canary: Sequence[float], stable: Sequence[float]) -> float:
    """How far values must move on average to turn one sample into the other, in the metric's unit.

    Source: scipy.stats.wasserstein_distance.
    """
    from scipy import stats

    return float(stats.wasserstein_distance(finite_sample(canary, "canary"), finite_sample(stable, "stable")))


def quantile_test(values: Sequence[float], *, value: float, quantile: float) -> RankTest:
    """Whether a quantile of the values is `value`, two-sided: the count below it and its binomial p-value.

    values: shape (n,), n >= 2, finite. quantile: in (0, 1).

    Source: Conover (1999), section 3.2; scipy.stats.quantile_test.
    """
    from scipy import stats

    found = stats.quantile_test(finite_sample(values, "values"), q=value, p=quantile, alternative="two-sided")
    return RankTest(float(found.statistic), float(found.pvalue))


def _thin(values: Sequence[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if len(ordered) <= MAX_PAIRED:
        return ordered
    return ordered[np.round((np.arange(MAX_PAIRED) + 0.5) * len(ordered) / MAX_PAIRED - 0.5).astype(np.int64)]


def _anderson_variance(m: int, n: int) -> float:
    total, k = m + n, 2
    inverse = 1 / m + 1 / n
    steps = 1 / np.arange(total - 1, 0, -1)
    h = float(steps.sum())
    g = float((np.cumsum(steps)[:-1] / np.arange(2, total)).sum())
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * inverse
    b = (2 * g - 4) * k**2 + 8 * h * k + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * k**2 + (4 * h - 4 * g + 6) * k + (2 * h - 6) * inverse + 4 * h
    d = (2 * h + 6) * k**2 - 4 * h * k
    return float((a * total**3 + b * total**2 + c * total + d) / ((total - 1) * (total - 2) * (total - 3)))
