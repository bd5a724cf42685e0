"""Quantiles and distributions of raw samples, compared at every look.

Sources: Howard & Ramdas (2022), Bernoulli 28 (quantile A/B test, empirical process bands).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .boundaries import beta_binomial_log_mixture, beta_binomial_precision


def _minimum(p: float, r: float, n: int) -> float:
    """The share below at which the mixture of n observations is smallest (it is convex)."""
    left, right = 0.0, 1.0
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        inner, outer = right - ratio * (right - left), left + ratio * (right - left)
        if _log_e(inner, p, r, n) < _log_e(outer, p, r, n):
            right = outer
        else:
            left = inner
    return 0.5 * (left + right)


def _log_e(share: float, p: float, r: float, n: int) -> float:
    return beta_binomial_log_mixture((share - p) * n, p * (1 - p) * n, r, p, 1 - p)


class _Arm:
    """Evidence that x is not the p-quantile of one arm, as a function of x; flat around the sample quantile."""

    def __init__(self, ordered: Sequence[float], p: float, r: float, side: int) -> None:
        n = len(ordered)
        self.ordered, self.p, self.r, self.n, self.side = ordered, p, r, n, side
        self.best = _minimum(p, r, n)
        self.low = ordered[max(math.ceil(self.best * n), 1) - 1]
        self.high = ordered[min(math.floor(self.best * n), n - 1)]

    def log_e(self, x: float) -> float:
        if self.low <= x <= self.high:
            share = self.best
        elif x < self.low:
            share = bisect_right(self.ordered, x) / self.n if self.side <= 0 or self.side == 2 else self.best
        else:
            share = bisect_left(self.ordered, x) / self.n if self.side >= 0 else self.best
        return _log_e(share, self.p, self.r, self.n)


def equal_quantile_log_e(a: Sequence[float], b: Sequence[float], p: float, t_opt: float) -> float:
    """Log e-value against "both arms have the same p-quantile": the smallest joint evidence over its value.

    a, b: raw samples, any order, not empty. exp(-result), at most 1, is an anytime-valid p-value.
    """
    r = beta_binomial_precision(t_opt * p * (1 - p), 0.05, p, 1 - p)
    first, second = _Arm(sorted(a), p, r, 2), _Arm(sorted(b), p, r, 2)
    return _smallest(first, second)


def _smallest(first: _Arm, second: _Arm) -> float:
    if first.high > second.high:
        first, second = second, first
    low, high = first.high, second.low
    points = [low, high]
    for arm in (first, second):
        points += arm.ordered[bisect_left(arm.ordered, min(low, high)) : bisect_right(arm.ordered, max(low, high))]
    return min(first.log_e(x) + second.log_e(x) for x in points)
