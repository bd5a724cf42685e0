"""Confidence intervals for proportions and rates: Wilson, Clopper-Pearson, Newcombe, and score ratios."""

import math
from collections.abc import Callable
from statistics import NormalDist

from analysis_service.core.statistics.fixed_comparison import TwoCounts
from analysis_service.core.statistics.fixed_counts import require_counts


def wilson(*, events: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of one proportion: sound at small counts, and never outside 0 to 1.

    events: 0 to total; total: above 0. Raises ValueError.

    Source: Wilson (1927), JASA 22, 209-212; statsmodels proportion_confint(method="wilson").
    """
    _require_proportion(events, total)
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    p = events / total
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(z2 * (p * (1 - p) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    return (0.0 if events == 0 else max(0.0, middle - half)), (1.0 if events == total else min(1.0, middle + half))


def clopper_pearson(*, events: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of one proportion; at least the confidence, usually more.

    events: 0 to total; total: above 0. Raises ValueError.

    Source: Clopper and Pearson (1934), Biometrika 26, 404-413; R's binom.test.
    """
    from scipy.special import betaincinv

    _require_proportion(events, total)
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else float(betaincinv(events, total - events + 1, tail))
    high = 1.0 if events == total else float(betaincinv(events + 1, total - events, 1 - tail))
    return low, high


def newcombe_difference(counts: TwoCounts, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of canary proportion minus stable proportion, from both Wilson intervals.

    counts: events <= total. Raises ValueError.

    Source: Newcombe (1998), Statistics in Medicine 17, 873-890, method 10.
    """
    require_counts(counts)
    p1, p2 = counts.canary_events / counts.canary_total, counts.stable_events / counts.stable_total
    l1, u1 = wilson(events=counts.canary_events, total=counts.canary_total, confidence=confidence)
    l2, u2 = wilson(events=counts.stable_events, total=counts.stable_total, confidence=confidence)
    gap = p1 - p2
    return gap - math.hypot(p1 - l1, u2 - p2), gap + math.hypot(u1 - p1, p2 - l2)


def score_rate_ratio(counts: TwoCounts, *, confidence: float = 0.95) -> tuple[float, float | None]:
    """Interval of canary rate over stable rate, Poisson events: the ratios that the score test does not reject.

    counts: events in any exposure, at least one event in all. The upper end is None where stable has no event.
    Raises ValueError.

    Source: Graham, Mengersen and Morton (2003), Statistics in Medicine 22, 2071-2083.
    """
    require_counts(counts)
    x, y = counts.canary_events, counts.stable_events
    if x + y == 0:
        raise ValueError("no event in either arm: every ratio is possible")
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    exposure = counts.canary_total / counts.stable_total
    # (x - w y)^2 = z2 w (x + y), a quadratic in w = ratio * exposure
    half, root = 2 * x * y + z2 * (x + y), math.sqrt(z2 * (x + y) * (4 * x * y + z2 * (x + y)))
    low = 2 * x * x / (half + root)  # the small root as a quotient: the difference cancels
    return low / exposure, None if y * y == 0 else (half + root) / (2 * y * y) / exposure


def score_risk_ratio(counts: TwoCounts, *, confidence: float = 0.95) -> tuple[float, float | None]:
    """Interval of canary proportion over stable proportion: the ratios that the binomial score test does not reject.

    counts: events <= total, at least one event in all. The upper end is None where stable has no event.
    Raises ValueError. Accurate to 1e-12, relative.

    Source: Koopman (1984), Biometrics 40, 513-517.
    """
    require_counts(counts)
    x, m, y, n = counts.canary_events, counts.canary_total, counts.stable_events, counts.stable_total
    if x + y == 0:
        raise ValueError("no event in either arm: every ratio is possible")
    _require_proportion(x, m)
    _require_proportion(y, n)
    limit = NormalDist().inv_cdf((1 + confidence) / 2) ** 2

    def distance(ratio: float) -> float:
        # the most likely stable proportion under this ratio: the smaller root of a quadratic
        a, b, c = (m + n) * ratio, -(x + n + ratio * (y + m)), x + y
        q = 2 * c / (-b + math.sqrt(max(0.0, b * b - 4 * a * c)))
        return _squared_z(x, m, min(1.0, ratio * q)) + _squared_z(y, n, min(1.0, q))

    centre = x / m / (y / n) if x > 0 and y > 0 else 1.0
    low = 0.0 if x == 0 else _edge(distance, limit, inside=centre if y > 0 else 1e9, factor=0.5)
    high = None if y == 0 else _edge(distance, limit, inside=centre if x > 0 else 1e-9, factor=2.0)
    return low, high


def _squared_z(events: float, total: float, chance: float) -> float:
    variance = total * chance * (1 - chance)
    gap = events - total * chance
    if variance <= 0:
        return 0.0 if gap == 0 else math.inf
    return gap * gap / variance


def _edge(distance: Callable[[float], float], limit: float, *, inside: float, factor: float) -> float:
    """Where the distance reaches the limit, going from a ratio inside by the factor."""
    outside = inside
    for _ in range(400):
        outside *= factor
        if distance(outside) > limit:
            break
    for _ in range(200):
        middle = math.sqrt(inside) * math.sqrt(outside)
        if middle in (inside, outside):
            break
        inside, outside = (middle, outside) if distance(middle) <= limit else (inside, middle)
    return outside


def _require_proportion(events: float, total: float) -> None:
    if not (total > 0 and 0 <= events <= total and math.isfinite(total)):
        raise ValueError(f"{events} out of {total} is no proportion")
