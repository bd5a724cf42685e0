"""Tests on events among totals, single look: Fisher, Boschloo, Poisson rates, strata, equivalence of rates."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, Literal

import numpy as np

from analysis_service.core.statistics.fixed_comparison import TwoCounts
from analysis_service.core.statistics.fixed_means import Alternative
from analysis_service.core.statistics.fixed_ranks import RankTest

RateMethod = Literal["score", "wald", "exact", "mid-p", "e-score", "e-wald"]
_NORMAL: Final = NormalDist()
_TAIL: Final = 1e-14  # of each Poisson that a grid leaves out
_LARGEST_GRID: Final = 3_000  # events, geometric mean of the arms: some 60 ms
_FEW: Final = 50  # events: below, the normal approximation is too coarse
_LARGEST_TOTAL: Final = 10**9  # requests: beyond, log factorials lose the digits that matter
_REACH: Final = 40.0  # standard deviations around the mode; what lies outside is below 1e-300


def require_counts(counts: TwoCounts) -> None:
    """Raises ValueError for negative or non-finite counts, or an arm without a total."""
    for name in ("canary_events", "canary_total", "stable_events", "stable_total"):
        value = getattr(counts, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: a count is wanted, found {value}")
        if name.endswith("total") and value == 0:
            raise ValueError(f"{name}: an arm without traffic has no rate")


def fisher_exact(
    counts: TwoCounts, *, odds_ratio: float = 1.0, alternative: Literal["greater", "less"] = "greater"
) -> float:
    """One-sided p-value of the canary's odds against `odds_ratio` times stable's, given both margins.

    counts: whole events out of whole requests, events <= total. odds_ratio: under the hypothesis; at small rates the
    same as a ratio of rates. Exact up to 1e9 requests, by the normal log odds ratio beyond. Raises ValueError
    for counts that are none.

    Source: Fisher (1935), noncentral form; at odds_ratio 1 equal to R's fisher.test and scipy.stats.fisher_exact.
    """
    require_counts(counts)
    x, m = round(counts.canary_events), round(counts.canary_total)
    n = round(counts.stable_total)
    events = x + round(counts.stable_events)
    if x > m or events - x > n:
        raise ValueError("more events than requests: this is no proportion")
    if m + n > _LARGEST_TOTAL:
        cells = (x + 0.5, m - x + 0.5, events - x + 0.5, n - (events - x) + 0.5)
        z = math.log(cells[0] / cells[1] * cells[3] / cells[2] / odds_ratio) / math.sqrt(sum(1 / c for c in cells))
        return _NORMAL.cdf(-z if alternative == "greater" else z)
    values, weights = noncentral_hypergeometric(canary=m, stable=n, events=events, odds_ratio=odds_ratio)
    tail = weights[values >= x] if alternative == "greater" else weights[values <= x]
    return min(1.0, float(tail.sum()))


def noncentral_hypergeometric(
    *, canary: int, stable: int, events: int, odds_ratio: float
) -> "tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]]":
    """Fisher's noncentral hypergeometric distribution: the canary's possible events and their probabilities.

    canary, stable: requests per arm. events: in both arms together.

    Source: Fog (2008), Commun. Stat. Simul. 37, 258-273; scipy.stats.nchypergeom_fisher.
    """
    from scipy.special import gammaln

    low, high = max(0, events - stable), min(events, canary)
    mode = min(max(_mode(canary, stable, events, odds_ratio), low), high)  # clipped: the root is rounded
    cells = (mode, canary - mode, events - mode, stable - events + mode)
    reach = _REACH * (1 + 1 / math.sqrt(sum(1 / (c + 1) for c in cells)))
    values = np.arange(max(low, math.floor(mode - reach)), min(high, math.ceil(mode + reach)) + 1)
    logs = (
        values * math.log(odds_ratio)
        - gammaln(values + 1)
        - gammaln(canary - values + 1)
        - gammaln(events - values + 1)
        - gammaln(stable - events + values + 1)
    )
    weights = np.exp(logs - logs.max())
    return values, weights / weights.sum()


def _mode(canary: int, stable: int, events: int, odds_ratio: float) -> float:
    """Where the noncentral hypergeometric distribution stops rising, unrounded: a root of a quadratic."""
    a = odds_ratio - 1
    b = -(odds_ratio * (canary + events + 2) + stable - events)
    c = odds_ratio * (canary + 1) * (events + 1)
    return 2 * c / (-b + math.sqrt(max(0.0, b * b - 4 * a * c)))


def boschloo(counts: TwoCounts, *, alternative: Alternative = "greater") -> RankTest:
    """Fisher's p-value as the statistic of an unconditional exact test: more power, same guarantee.

    counts: whole events out of whole requests. Takes seconds from some thousands of requests on.

    Source: Boschloo (1970), Statistica Neerlandica 24, 1-9; scipy.stats.boschloo_exact.
    """
    from scipy import stats

    require_counts(counts)
    a, b = round(counts.canary_events), round(counts.stable_events)
    table = [[a, b], [round(counts.canary_total) - a, round(counts.stable_total) - b]]
    found = stats.boschloo_exact(table, alternative=alternative)
    return RankTest(float(found.statistic), float(found.pvalue))


def poisson_e(
    counts: TwoCounts,
    *,
    factor: float = 1.0,
    shift: float = 0.0,
    alternative: Literal["greater", "less"] = "greater",
) -> RankTest:
    """The E-test of the canary's event rate against `factor` times stable's plus `shift` events per unit of total.

    counts: events in any exposure (requests, seconds); shift in the same. Nearly exact at every count, and more
    powerful than the conditional test. Where its grid would hold too many events the conditional test (for a factor)
    and the normal one (for a shift) stand in, which agree there. Raises ValueError for counts that are none, or for
    factor and shift at once.

    Source: Krishnamoorthy and Thomson (2004), J. Stat. Plan. Inference 119, 23-35; scipy.stats.poisson_means_test.
    """
    from scipy import stats

    require_counts(counts)
    if factor != 1 and shift != 0:
        raise ValueError("either a factor or a shift, not both")
    k1, n1, k2, n2 = (
        round(counts.canary_events),
        counts.canary_total,
        round(counts.stable_events),
        counts.stable_total,
    )
    n2 /= factor  # a rate over a shorter exposure is a rate multiplied
    base = (k1 + k2 - shift * n1) / (n1 + n2)  # stable's rate if the hypothesis holds
    if k1 + k2 > 0 and math.sqrt((max(base + shift, 0) * n1 + 1) * (max(base, 0) * n2 + 1)) > _LARGEST_GRID:
        return _many_events(k1, n1, k2, n2, shift, alternative)
    first, second = (k1, n1), (k2, n2)
    mirrored = {"greater": "less", "less": "greater"}
    if shift < 0:
        first, second, shift, alternative = second, first, -shift, mirrored[alternative]  # type: ignore[assignment]
    if (first[0] + second[0]) - shift * first[1] <= 0:  # so few that stable's rate is put at zero
        mean = shift * first[1]
        if alternative == "greater" or mean == 0:
            return RankTest(0.0, 1.0)
        return RankTest(-math.inf, float(stats.poisson.cdf(first[0], mean)))  # holds whatever stable's rate is
    found = stats.poisson_means_test(*first, *second, diff=shift, alternative=alternative)
    return RankTest(float(found.statistic), min(1.0, float(found.pvalue)))


def _many_events(
    k1: int, n1: float, k2: int, n2: float, shift: float, alternative: Literal["greater", "less"]
) -> RankTest:
    """The E-test's p-value where there are events enough to know one rate, or both, well."""
    from scipy import stats

    gap = k1 / n1 - k2 / n2 - shift
    z = gap / math.sqrt(k1 / n1**2 + k2 / n2**2)
    above = alternative == "greater"
    if shift == 0:
        chance = n1 / (n1 + n2)
        p = stats.binom.sf(k1 - 1, k1 + k2, chance) if above else stats.binom.cdf(k1, k1 + k2, chance)
    elif k1 < _FEW:  # stable's rate is known well; the canary's events are what is left to chance
        mean = max(0.0, n1 * (k2 / n2 + shift))
        p = stats.poisson.sf(k1 - 1, mean) if above else stats.poisson.cdf(k1, mean)
    elif k2 < _FEW:
        mean = max(0.0, n2 * (k1 / n1 - shift))
        p = stats.poisson.cdf(k2, mean) if above else stats.poisson.sf(k2 - 1, mean)
    else:
        return RankTest(z, _NORMAL.cdf(-z if above else z))
    return RankTest(z, min(1.0, float(p)))


def rate_ratio(
    counts: TwoCounts,
    *,
    ratio: float = 1.0,
    method: RateMethod = "score",
    alternative: Literal["greater", "less"] = "greater",
) -> RankTest:
    """One-sided test of canary rate over stable rate against `ratio`, for Poisson events.

    counts: whole events in any exposure. method: score and wald are normal approximations; exact and mid-p condition
    on all events (statistic NaN); e-score and e-wald sum over both Poisson distributions at the pooled rate.
    Raises ValueError for counts that are none; without any event p = 1.

    Source: Gu, Ng, Tang and Schucany (2008), Biometrical Journal 50, 283-298; statsmodels test_poisson_2indep; exact
    as R's poisson.test.
    """
    from scipy import stats

    require_counts(counts)
    x, y = counts.canary_events, counts.stable_events
    if x + y == 0:
        return RankTest(math.nan, 1.0)
    above = alternative == "greater"
    weight = ratio * counts.canary_total / counts.stable_total  # canary events expected per stable event
    if method in ("exact", "mid-p"):
        x, y = round(x), round(y)
        chance = weight / (1 + weight)
        p = stats.binom.sf(x - 1, x + y, chance) if above else stats.binom.cdf(x, x + y, chance)
        if method == "mid-p":
            p -= stats.binom.pmf(x, x + y, chance) / 2
        return RankTest(math.nan, min(1.0, float(p)))
    wald = method.endswith("wald")
    z = float(_rate_z(np.float64(x), np.float64(y), weight, wald=wald))
    if method in ("score", "wald"):
        return RankTest(z, _NORMAL.cdf(-z if above else z))
    base = (x + y) / (1 + weight)
    first, second = _grid(weight * base), _grid(base)
    grid = _rate_z(first[0][:, None], second[0][None, :], weight, wald=wald)
    beyond = grid >= z - 1e-12 if above else grid <= z + 1e-12
    return RankTest(z, min(1.0, float(first[1] @ beyond @ second[1])))


def tost_rates(counts: TwoCounts, *, low: float, high: float) -> float:
    """p-value that canary rate over stable rate lies outside low to high (score tests, Poisson events).

    Source: statsmodels tost_poisson_2indep.
    """
    return max(
        rate_ratio(counts, ratio=low, alternative="greater").p, rate_ratio(counts, ratio=high, alternative="less").p
    )


def tost_proportions(counts: TwoCounts, *, low: float, high: float) -> float:
    """p-value that the proportions differ by less than low or more than high, each with a success and a failure added.

    counts: events <= total.

    Source: Agresti and Caffo (2000), American Statistician 54, 280-288; statsmodels tost_proportions_2indep.
    """
    require_counts(counts)
    n1, n2 = counts.canary_total + 2, counts.stable_total + 2
    p1, p2 = (counts.canary_events + 1) / n1, (counts.stable_events + 1) / n2
    error = math.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
    return max(_NORMAL.cdf(-(p1 - p2 - low) / error), _NORMAL.cdf((p1 - p2 - high) / error))


def mantel_haenszel(strata: Sequence[TwoCounts]) -> tuple[float, float, float]:
    """One odds ratio over strata (intervals): (chi-square without correction, its p, common odds ratio).

    strata: events <= total each, at least one in which both outcomes and both arms occur. Raises ValueError.

    Source: Mantel and Haenszel (1959), JNCI 22, 719-748; R's mantelhaen.test(correct=FALSE).
    """
    for counts in strata:
        require_counts(counts)
    gap = spread = top = bottom = 0.0
    for s in strata:
        m, n, events = s.canary_total, s.stable_total, s.canary_events + s.stable_events
        total = m + n
        gap += s.canary_events - m * events / total
        spread += events * (total - events) * m * n / (total**2 * (total - 1))
        top += s.canary_events * (n - s.stable_events) / total
        bottom += (m - s.canary_events) * s.stable_events / total
    if spread == 0:
        raise ValueError("no stratum has both outcomes: nothing can be compared")
    chi = gap**2 / spread
    return chi, 2 * _NORMAL.cdf(-math.sqrt(chi)), top / bottom if bottom else math.inf


def _rate_z(
    x: "np.ndarray[tuple[int, ...], np.dtype[np.float64]] | np.float64",
    y: "np.ndarray[tuple[int, ...], np.dtype[np.float64]] | np.float64",
    weight: float,
    *,
    wald: bool,
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    variance = np.asarray(x + weight**2 * y if wald else weight * (x + y), dtype=np.float64)
    gap = np.asarray(x - weight * y, dtype=np.float64)
    return np.divide(gap, np.sqrt(variance), out=np.zeros_like(gap), where=variance > 0)


def _grid(
    mean: float,
) -> "tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]":
    from scipy import stats

    values = np.arange(float(stats.poisson.ppf(_TAIL, mean)), float(stats.poisson.isf(_TAIL, mean)) + 1)
    return values, np.asarray(stats.poisson.pmf(values, mean), dtype=np.float64)
