"""The chance that a running test crosses its bound before the end, in closed form: for forecasts, never for verdicts.

What a test sums up behaves like a Brownian motion with drift. The bound of a mixture e-process grows like the square
root of the information, so it lies below its own tangent at the end, and the chance to cross that line is a little
less than the true one.
Source: Siegmund (1985), Sequential Analysis, equation 3.15, for a straight line.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .mixture import RANGE
from .plan import MAX_LOG_RATIO

Array = NDArray[np.float64]
Points = tuple[Array, Array]
"""Distances of the alternatives from the null, shape (D,), and their prior log weights."""

POWER = 0.8
_NORMAL = NormalDist()
_FAR = 38.0  # standard errors beyond which a normal tail is nothing
_STEPS = 60  # of Newton's method; half a dozen are usual
_CLOSE = 1e-3  # of a log e-value


def crossing(distance: float, bound: float, last: float = math.inf) -> float:
    """For a test that looks all the time. 0 for a bound that is not finite: nothing reaches it.

    distance, bound: of the truth and of the limit from the null at the end, in standard errors. last: the limit of the
    last look alone, where that is lower.
    """
    if not math.isfinite(bound):
        return at_end(distance, last)
    if not math.isfinite(distance):
        return 0.0
    last = min(bound, last)
    if last <= 0.0:
        return 1.0
    early = bound * distance - 0.5 * bound * bound
    before = math.exp(min(early, 700.0)) * _NORMAL.cdf(last - bound - distance) if distance < _FAR else 0.0
    return min(_NORMAL.cdf(distance - last) + before, 1.0)


def at_end(distance: float, bound: float) -> float:
    """For a test that looks once, at the end."""
    return _NORMAL.cdf(distance - bound) if math.isfinite(bound) and math.isfinite(distance) else 0.0


def critical_events(
    partition: Array,
    at_null: Array,
    points: Points,
    *,
    null: float,
    sign: int,
    limit: float,
    phi: Array,
    most: Array,
    guess: Array,
) -> Array:
    """How many events of the canary's make the evidence reach `limit`, per row; NaN where none from 0 to `most` do.

    The log evidence of x events is log sum_i pi_i exp((sign d_i x - partition_i + at_null) / phi): of more events for
    sign +1, of fewer for -1. partition: S at null + sign d, shape (K, D). at_null: S there; phi, most, guess: (K,).
    """
    d, prior = points
    prior = np.where(np.abs(null + sign * d) <= RANGE, prior, -np.inf)
    slope = sign * d[None, :] / phi[:, None]
    base = (at_null[:, None] - partition) / phi[:, None] + (prior - limit)[None, :]

    def surplus(x: Array) -> tuple[Array, Array]:
        terms = slope * x[:, None] + base
        top = terms.max(axis=1)
        weights = np.exp(terms - top[:, None])
        total = weights.sum(axis=1)
        return np.log(total) + top, (weights * slope).sum(axis=1) / total

    x = most if sign > 0 else np.zeros(len(most))
    reached = surplus(x)[0] >= 0.0
    x = np.clip(guess, 0.0, most)
    for _ in range(_STEPS):  # convex in x: Newton's method comes at once to the far side of the root, and down to it
        value, gradient = surplus(x)
        if not (np.abs(value[reached]) > _CLOSE).any():
            break
        x = np.where(reached, x - value / gradient, x)
    found: Array = np.where(reached, x, np.nan)
    return found


def smallest(power: Callable[[float], float], *, most: float = MAX_LOG_RATIO) -> float | None:
    """The smallest effect of 0 to `most` that is found with POWER; None if `most` is not. power: growing."""
    low, high = 0.0, most
    if power(high) < POWER:
        return None
    while high - low > 4e-3 * high + 1e-6:  # three digits are shown
        middle = 0.5 * (low + high)
        if power(middle) < POWER:
            low = middle
        else:
            high = middle
    return high
