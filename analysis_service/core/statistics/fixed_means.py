"""Tests on means, single look: Welch, paired t, Yuen's trimmed means, and equivalence by two one-sided t-tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Alternative = Literal["two-sided", "greater", "less"]


def opposite(alternative: Alternative) -> Alternative:
    """The alternative as it reads with the arms exchanged."""
    if alternative == "two-sided":
        return alternative
    return "less" if alternative == "greater" else "greater"


@dataclass(frozen=True, slots=True)
class TTest:
    """difference: of means, in the metric's unit, with its two-sided interval. t, p, df: of the test."""

    t: float
    df: float
    p: float
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """p: the larger of the two one-sided p-values; t_low, t_high: their statistics."""

    p: float
    t_low: float
    t_high: float


def welch(
    canary: Sequence[float],
    stable: Sequence[float],
    *,
    difference: float = 0.0,
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
) -> TTest:
    """Compare two means without assuming equal variances.

    canary, stable: one number per measurement, shapes (m,) and (n,), m, n >= 2, same unit, finite.
    difference: canary minus stable under the hypothesis, same unit. alternative: "greater" asks whether the
    canary's mean is larger than that.

    Two constant samples give p = 1 if they lie as the hypothesis says or on its side, p = 0 if not: there is no
    noise to explain them. Raises ValueError for too few or non-finite values.

    Source: Welch (1947), Biometrika 34, 28-35. Agrees with R's t.test and scipy.stats.ttest_ind(equal_var=False).
    """
    x, y = finite_sample(canary, "canary"), finite_sample(stable, "stable")
    mean_x, mean_y = _mean(x), _mean(y)
    vx, vy = _variance(x, mean_x) / len(x), _variance(y, mean_y) / len(y)
    total = vx + vy
    share = vx / total if total > 0 else 0.5  # shares, because vx * vx underflows long before vx does
    df = 1 / (share**2 / (len(x) - 1) + (1 - share) ** 2 / (len(y) - 1))
    return _t_test(mean_x - mean_y, math.sqrt(total), df, difference, alternative, confidence)


def paired_t(
    canary: Sequence[float],
    stable: Sequence[float],
    *,
    difference: float = 0.0,
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
) -> TTest:
    """Compare two means over pairs: the i-th values of both arms belong together (same time, same load).

    canary, stable: shape (n,) each, n >= 2, same unit, finite. Otherwise as `welch`, errors too.

    Source: Student (1908), Biometrika 6, 1-25. Agrees with R's t.test(paired=TRUE).
    """
    if len(canary) != len(stable):
        raise ValueError(f"pairs are wanted: canary has {len(canary)} values and stable {len(stable)}")
    gaps = [a - b for a, b in zip(finite_sample(canary, "canary"), finite_sample(stable, "stable"), strict=True)]
    mean = _mean(gaps)
    error = math.sqrt(_variance(gaps, mean) / len(gaps))
    return _t_test(mean, error, len(gaps) - 1, difference, alternative, confidence)


def yuen(
    canary: Sequence[float], stable: Sequence[float], *, trim: float = 0.2, alternative: Alternative = "two-sided"
) -> tuple[float, float]:
    """Compare two trimmed means without assuming equal variances: (t, p).

    canary, stable: shapes (m,) and (n,), same unit, finite. trim: the share cut off at each end, below 0.5; two
    values at least must be left. Raises ValueError otherwise.

    Source: Yuen (1974), Biometrika 61, 165-170; scipy.stats.ttest_ind(equal_var=False, trim=...).
    """
    from scipy import stats

    x, y = finite_sample(canary, "canary"), finite_sample(stable, "stable")
    if not 0 <= trim < 0.5:
        raise ValueError(f"trim: {trim} is no share below one half")
    for side, values in (("canary", x), ("stable", y)):
        left = sorted(values)[int(trim * len(values)) : len(values) - int(trim * len(values))]
        if len(set(left)) < 2:
            raise ValueError(f"{side}: two different values must be left after trimming")
    found = stats.ttest_ind(x, y, equal_var=False, trim=trim, alternative=alternative)
    return float(found.statistic), float(found.pvalue)


def tost(canary: Sequence[float], stable: Sequence[float], *, low: float, high: float) -> Equivalence:
    """Whether the means differ by less than low to high: two one-sided Welch tests.

    canary, stable: as `welch`. low < high: the tolerated difference, canary minus stable, in the metric's unit.
    Raises ValueError as `welch` does, and for low >= high.

    Source: Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657-680; statsmodels ttost_ind(usevar="unequal").
    """
    if not low < high:
        raise ValueError(f"low {low} must be below high {high}")
    above = welch(canary, stable, difference=low, alternative="greater")
    below = welch(canary, stable, difference=high, alternative="less")
    return Equivalence(max(above.p, below.p), above.t, below.t)


def sample_size_for_rates(
    *, stable: float, canary: float, alpha: float = 0.05, power: float = 0.8, one_sided: bool = True
) -> float:
    """Requests needed in each arm so that a single look finds one rate against another.

    stable, canary: the two rates, in (0, 1), different. alpha, power: error probability and chance of finding it.
    Not rounded. Raises ValueError for equal rates or levels that are none.

    Source: Fleiss (1981), without continuity correction; R's power.prop.test.
    """
    for name, value in {"stable": stable, "canary": canary, "alpha": alpha, "power": power}.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}: {value} does not lie between 0 and 1")
    if stable == canary:
        raise ValueError("equal rates need no sample: there is nothing to find")
    normal = NormalDist()
    reach = normal.inv_cdf(1 - (alpha if one_sided else alpha / 2))
    mean = (stable + canary) / 2
    spread = stable * (1 - stable) + canary * (1 - canary)
    root = reach * math.sqrt(2 * mean * (1 - mean)) + normal.inv_cdf(power) * math.sqrt(spread)
    return (root / (stable - canary)) ** 2


def _t_test(
    gap: float, error: float, df: float, hypothesis: float, alternative: Alternative, confidence: float
) -> TTest:
    from scipy.special import stdtr, stdtrit

    off = gap - hypothesis
    if error == 0:
        t = 0.0 if off == 0 else math.copysign(math.inf, off)
        against = {"greater": off > 0, "less": off < 0, "two-sided": off != 0}[alternative]
        return TTest(t, df, 0.0 if against else 1.0, gap, gap, gap)
    t = off / error
    upper, lower = float(stdtr(df, -t)), float(stdtr(df, t))
    p = {"greater": upper, "less": lower, "two-sided": min(1.0, 2 * min(upper, lower))}[alternative]
    reach = float(stdtrit(df, (1 + confidence) / 2)) * error
    return TTest(t, df, p, gap, gap - reach, gap + reach)


def finite_sample(values: Sequence[float], name: str) -> list[float]:
    found = [float(v) for v in values]
    if len(found) < 2:
        raise ValueError(f"{name}: two values at least are wanted, found {len(found)}")
    if not all(math.isfinite(v) for v in found):
        raise ValueError(f"{name}: finite values are wanted; drop NaN and infinities first")
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(v / len(values) for v in values)  # divided first: a sum of large values overflows


def _variance(values: Sequence[float], mean: float) -> float:
    if len(set(values)) == 1:
        return 0.0  # a rounded mean is not noise
    return math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
