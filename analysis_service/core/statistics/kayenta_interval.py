"""Kayenta's Mann-Whitney interval for a shift, to the iterate.

Exact here means: the same staircase, the same bracket, the same zero finder, so that the digits agree and not only
the statistics. The defects come along: an absolute tolerance of 1e-4 in the metric's unit, and for samples too small
to reach the quantile an end of the bracket in place of a bound. Nothing but the `kayenta` test should use it.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

TOLERANCE: Final = 1e-4  # absolute, in the metric's unit
MAX_STEPS: Final = 1000

_Array = npt.NDArray[np.float64]


class NoInterval(ArithmeticError):
    """The samples allow no interval; the judge answers Error."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the experiment lies above the control, in the metric's unit."""

    lower: float
    upper: float
    estimate: float


def shift_interval(
    experiment: Sequence[float], control: Sequence[float], *, confidence: float, corrected_estimate: bool = True
) -> Shift:
    """Two-sided Mann-Whitney interval of experiment minus control, normal approximation, continuity-corrected.

    experiment, control: one number per point, shapes (m,) and (n,), m, n >= 1, same unit, no NaN (infinities are
        ranked). confidence: 0.98 is what the judge uses. corrected_estimate: False gives current R's estimate.

    Raises NoInterval when every rank is tied at some shift that the search visits.

    Source: spinnaker/kayenta a69573be, MannWhitney. R's wilcox.test(conf.int=TRUE, exact=FALSE, correct=TRUE), save
    that current R drops the continuity correction for the estimate and Kayenta does not.
    """
    x, y = np.asarray(experiment, dtype=np.float64), np.asarray(control, dtype=np.float64)
    low, high = float(x.min()) - float(y.max()), float(x.max()) - float(y.min())
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)

    def difference(shift: float, q: float) -> float:
        return shifted_z(x, y, shift) - q

    def root(q: float) -> float:
        at_low, at_high = difference(low, q), difference(high, q)
        if at_low <= 0:
            return low
        if at_high >= 0:
            return high
        return zero(lambda shift: difference(shift, q), low, high)

    correction = 0.5 if corrected_estimate else 0.0
    estimate = zero(lambda shift: shifted_z(x, y, shift, correction=correction), low, high)
    return Shift(root(quantile), root(-quantile), estimate)


def shifted_z(
    experiment: Sequence[float] | _Array, control: Sequence[float] | _Array, shift: float, *, correction: float = 0.5
) -> float:
    """The z of the rank sum of (experiment - shift) in the pool with control, moved towards 0 by the correction.

    A staircase that falls as the shift grows. Raises NoInterval when the whole pool is one tie.
    """
    y = np.asarray(control, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        x = np.asarray(experiment, dtype=np.float64) - shift
    x = np.where(np.isnan(x), np.inf, x)  # inf - inf: ranked last
    m, n = len(x), len(y)
    ordered = np.sort(y)
    # the rank sum less m(m+1)/2 counts the pairs in which x is above y, a tie as half
    above = np.searchsorted(ordered, x, side="left") + np.searchsorted(ordered, x, side="right")
    w = float(above.sum()) / 2 - m * n / 2
    ties = np.unique(np.concatenate((x, y)), return_counts=True)[1].astype(np.float64)
    total = m + n
    spread = (total + 1) - float((ties**3 - ties).sum()) / (total * (total - 1)) if total > 1 else 0.0
    sigma = math.sqrt(max(m * n / 12 * spread, 0.0))
    if sigma == 0:
        raise NoInterval("every value is tied with every other")
    return (w - math.copysign(correction, w) * (w != 0)) / sigma


def zero(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f crosses zero between low and high, by Brent's method.

    Source: `zeroin`, Forsythe, Malcolm and Moler (1977), as on Netlib. f is a staircase here, so the order of the
    steps is part of the answer. Raises NoInterval after MAX_STEPS.
    """
    a, b = low, high
    fa, fb = f(a), f(b)
    c, fc = a, fa
    for _ in range(MAX_STEPS + 1):
        previous = b - a
        if abs(fc) < abs(fb):
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        tolerance = 2 * sys.float_info.epsilon * abs(b) + TOLERANCE / 2
        step = (c - b) / 2
        if abs(step) <= tolerance or abs(fb) <= sys.float_info.min * sys.float_info.epsilon:
            return b
        if abs(previous) >= tolerance and abs(fa) > abs(fb):
            bracket = c - b
            if a == c:  # two points: the secant
                ratio = fb / fa
                p, q = bracket * ratio, 1 - ratio
            else:  # three: inverse quadratic
                r, s, t = fa / fc, fb / fc, fb / fa
                p = t * (bracket * r * (r - s) - (b - a) * (s - 1))
                q = (r - 1) * (s - 1) * (t - 1)
            p, q = (p, -q) if p > 0 else (-p, q)
            if p < 0.75 * bracket * q - abs(tolerance * q) / 2 and p < abs(previous * q / 2):
                step = p / q
        if abs(step) < tolerance:
            step = math.copysign(tolerance, step)
        a, fa = b, fb
        b += step
        if math.isnan(b):
            raise NoInterval("the values are too far apart to search between")
        fb = f(b)
        if (fb > 0 and fc > 0) or (fb < 0 and fc < 0):
            c, fc = a, fa
    raise NoInterval(f"no zero after {MAX_STEPS} steps")
