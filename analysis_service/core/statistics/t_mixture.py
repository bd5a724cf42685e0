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

import msgspec
import numpy as np

from .gauge_series import Array, Sums, Whole

G2 = 0.2  # prior variance of the effect in standard deviations: best for effects about half of one
_TINY = 1e-300  # so that a tail that underflows has a logarithm
_FAINT = 1e-290  # a sum below this has lost what it is made of: its terms are no numbers any more

_LOG_2 = math.log(2.0)
# numpy takes these in half the time of floats
_G2, _ROOT, _HALF, _ONE = np.array(G2), np.array(math.sqrt(G2)), np.array(0.5), np.ones(())


@cache
def _student() -> Callable[[Any, Any], Any]:
    """Student's distribution function; scipy is not imported before somebody has gauges to compare."""
    from scipy.special import stdtr

    found: Callable[[Any, Any], Any] = stdtr
    return found


@cache
def student_one() -> Callable[[float, float], float]:
    """`_student` of single numbers, in half the time."""
    from scipy.special.cython_special import stdtr

    found: Callable[[float, float], float] = stdtr
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


class Mixture(msgspec.Struct, frozen=True):
    """Per start what every null needs; see `mixture`."""

    data: Sums
    shrink: Array
    log_shrink: Array
    spread: Array


def mixture(data: Sums) -> Mixture:
    shrink = data.n * _G2
    shrink += _ONE
    return Mixture(data, shrink, np.log(shrink), data.deviation * shrink)


def log_e(seen: Mixture, null: float, sign: int) -> tuple[float, int]:
    """(log sum_j w_j E_j, the look that the start that says most of it speaks from); (0, 0) without starts.

    H0 is "the mean is at most null" for sign +1, "at least null" for -1; about the series' origin.
    """
    data = seen.data
    if not len(data.n):
        return 0.0, 0
    gap = data.mean - null if sign > 0 else null - data.mean
    slope = gap * data.n
    square = gap * slope
    bent = square + seen.spread
    square += data.deviation
    square *= seen.shrink
    square /= bent
    logs = np.log(square)
    logs *= data.points
    logs -= seen.log_shrink
    logs *= _HALF
    logs += data.log_weights
    # posterior of the effect: Student with so many degrees of freedom about n G2 gap / shrink
    np.divide(data.points, bent, out=bent)
    np.sqrt(bent, out=bent)
    slope *= bent
    slope *= _ROOT
    tail = _student()(data.points, slope)
    top = logs.item(logs.argmax())
    parts = np.exp(logs - top)
    parts *= tail
    total = math.fsum(parts.tolist())
    if total > _FAINT:
        return top + _LOG_2 + math.log(total), int(data.looks.item(parts.argmax()))
    # tails too small for a number: the null's side, which is never evidence
    logs = np.minimum(logs + (np.log(tail + _TINY) + _LOG_2), data.log_weights)
    return float(np.logaddexp.reduce(logs)), int(data.looks.item(logs.argmax()))


def log_e_first(seen: Whole | None, null: float, sign: int) -> float:
    """`log_e` of the first start alone, and without arrays."""
    if seen is None:
        return 0.0
    n = seen.n
    gap, freedom, shrink = sign * (seen.mean - null), seen.freedom + 1.0 + seen.known, 1.0 + n * G2
    square = gap * gap * n
    tail = student_one()(freedom, gap * n * math.sqrt(G2 * freedom / shrink / (square / shrink + seen.deviation)))
    level = log_bayes_factor(square * (freedom - 1.0) / seen.deviation, freedom - 1.0, n, G2)
    level += math.log(tail + _TINY) + _LOG_2
    return level if gap > 0.0 else min(level, 0.0)
