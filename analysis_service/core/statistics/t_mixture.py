"""The one-sided mixture of t likelihood ratios, for every start of a series at once.

E = 2 E2 P(effect > 0 | data), with E2 the mixture over effects N(0, G2) and the posterior of the effect a Student
with n degrees of freedom: the exact half-normal mixture. The look-back's variance counts as some points more: exact
too, when the variance has not changed since, and it saves the dozen looks that an unknown variance costs.
Sources: Lai (1976); Wang & Ramdas (2023), arXiv 2310.03722; Lindon et al. (2022) for the two-sided closed form.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .gauge_series import COARSE_POINTS, Array, Sums, Whole

G2 = 0.2  # prior variance of the effect in standard deviations: best for effects about half of one
_TINY = 1e-300  # so that a tail that underflows has a logarithm
_FAINT = 1e-290  # tails below this are that logarithm and not their own

_LOG_2, _ROOT = math.log(2.0), math.sqrt(G2)

_min = np.minimum.reduce


@cache
def _student() -> Callable[[Any, Any], Any]:
    """Student's distribution function; scipy is not imported before somebody has gauges to compare."""
    from scipy.special import stdtr

    found: Callable[[Any, Any], Any] = stdtr
    return found


def log_bayes_factor(t_square: float, nu: float, n: float, g2: float) -> float:
    """Log of the mixture over effects N(0, g2 sigma^2) against no effect, given a squared t on nu degrees."""
    return 0.5 * (nu + 1) * (math.log1p(t_square / nu) - math.log1p(t_square / (nu * (1 + n * g2)))) - 0.5 * math.log1p(
        n * g2
    )


def interval_radius(s: float, n: float, nu: float, alpha: float, g2: float = G2) -> float | None:
    """Half width of the two-sided confidence sequence of a mean; None while it is unbounded."""
    q = 1.0 / (1.0 + n * g2)
    k = (q * alpha * alpha) ** (1.0 / (nu + 1.0))
    return s / math.sqrt(n) * math.sqrt(nu * (1.0 - k) / (k - q)) if k > q else None


def log_e(data: Sums, nulls: tuple[float, ...], sign: int) -> Array:
    """log E per null and start, shape (nulls, starts); a start that has seen no noise stays at 0.

    H0 is "the mean is at most null" for sign +1, "at least null" for -1; about the series' origin.
    """
    n = data.n if data.discount is None else data.n * data.discount
    freedom = data.freedom if data.discount is None else n - 1.0
    deviation = data.deviation if data.discount is None else data.deviation / data.freedom * freedom
    if data.prior:
        deviation = deviation + data.prior_square
        freedom = freedom + data.prior
    else:
        deviation = np.maximum(deviation, data.floor * data.floor * freedom)
    means = data.mean
    ready = None
    if not data.prior and not (_min(n) > 1.0 and _min(data.deviation) > 0.0):  # seldom: before it has seen any noise
        ready = (n > 1.0) & (deviation > 0) & ((data.deviation > 0) | (data.freedom + 1.0 >= COARSE_POINTS))
        n, deviation, means, freedom = n[ready], deviation[ready], means[ready], freedom[ready]
    at = nulls[0] if len(nulls) == 1 else np.array(nulls)[:, None]
    gap = means - at if sign > 0 else at - means
    shrink = n * G2
    shrink += 1.0
    freedom = freedom + 1.0
    slope = gap * n
    square = gap * slope
    bent = square / shrink
    bent += deviation
    square += deviation
    square /= bent
    found: Array = np.log(square)
    found *= freedom
    found -= np.log(shrink)
    found *= 0.5
    # posterior of the effect: Student with this freedom about n G2 gap / shrink
    bent *= shrink
    slope *= _ROOT
    slope *= np.sqrt(freedom / bent)
    tail = _student()(freedom, slope)
    if _min(tail, axis=None, initial=1.0) < _FAINT:  # the null's side is never evidence
        found += np.log(tail + _TINY)
        found += _LOG_2
        found = np.where(gap > 0.0, found, np.minimum(found, 0.0))
    else:
        found += np.log(tail)
        found += _LOG_2
    if found.ndim == 1:
        found = found[None, :]
    if ready is None:
        return found
    whole = np.zeros((len(nulls), len(data.n)))
    whole[:, ready] = found
    return whole


def log_e_first(seen: Whole | None, null: float, sign: int) -> float:
    """`log_e` of the first start alone, and without arrays."""
    if seen is None:
        return 0.0
    n = seen.n
    gap, freedom, shrink = sign * (seen.mean - null), seen.freedom + 1.0 + seen.known, 1.0 + n * G2
    square = gap * gap * n
    tail = float(_student()(freedom, gap * n * math.sqrt(G2 * freedom / shrink / (square / shrink + seen.deviation))))
    level = log_bayes_factor(square * (freedom - 1.0) / seen.deviation, freedom - 1.0, n, G2)
    level += math.log(tail + _TINY) + _LOG_2
    return level if gap > 0.0 else min(level, 0.0)


def mixed(data: Sums, logs: Array) -> list[float]:
    """log sum_j w_j E_j of every row of `log_e`."""
    found: list[float] = np.logaddexp.reduce(logs + data.log_weights, axis=1).tolist()
    return found
