"""A bet on the last look of counts: a test of fixed size at the planned end has a part of the error budget.

A mixture over effects pays for looking at any time. Where the end is known a part of the weight is put on the test
that a single look would be: worth 1 / level if it rejects at the last look, nothing before it and nothing otherwise.
That is 1 on average, so its weighted sum with the mixture is an e-process. What it was worth is kept, as the sums and
the dispersion of that look: nothing that comes later changes it.

The test: the canary's events are a sum of independent trials, as many as there were events, whose chances vary with
its share of the traffic. Of all such sums with the same mean the binomial has the heaviest tails, from 1 beyond the
mean on, so its tail bounds the p-value; where the share is constant it is the p-value. Hypergeometric tables are such
sums too, of as many trials as they have values, and of a rate that is held against a number there are any number of
trials: Poisson's tail. Dispersion phi divides events and trials; the larger of that p-value and the plain one counts,
so that for independent events the bound stays one whatever phi.

Sources: Hoeffding (1956), Ann. Math. Statist. 27, 713-721, for the tails; Harkness (1965), Ann. Math. Statist. 36,
938-945, for the trials of noncentral hypergeometric tables; Clopper & Pearson (1934) for the interval.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from . import last_look
from .looks import Look
from .mixture import NODES, Array, interpolation, log_add
from .plan import MAX_LOG_RATIO, Plan
from .roots import confidence_limit
from .verdict import share_elapsed

MOST_HARM = 0.35  # of the weight: before the end it is worth nothing
MOST_SAFETY = 0.5  # safety need not be found early
HALF = 60  # looks of a plan with which the part on harm would be a half: longer ones find earlier what they can find
SAFETY = 2.5  # times as much
ROW = NODES + 3  # phi, events beyond the least possible, trials, S at the nodes beyond the least possible
_STEP = 0.01  # of the derivative, a five-point stencil: its error is below 1e-9 of the trials
_ROOM = 1e-9  # of a level, for rounding
_FAINT = 1e-300
_FARTHEST, _HALVINGS = 8.0, 11  # standard errors that are searched, to a two-hundredth of one


def parts(plan: Plan) -> tuple[float, float]:
    """The bets' parts of the weight, on harm and on safety. The single-start form knows no end."""
    return parts_of(plan.planned_looks) if plan.restarts else (0.0, 0.0)


def parts_of(planned: int) -> tuple[float, float]:
    """planned: looks, 0 for open-ended."""
    if not last_look.FEWEST < planned <= last_look.LONGEST:
        return 0.0, 0.0
    part = HALF / (HALF + planned)
    return min(part, MOST_HARM), min(SAFETY * part, MOST_SAFETY)


def is_last(plan: Plan, look: Look) -> bool:
    """Whether this is the planned last look, or one after it."""
    if plan.planned_seconds <= 0.0:
        return look.number >= plan.planned_looks
    return share_elapsed(plan, look) >= 1.0 - _ROOM


def row(temper: float, events: float, trials: float, sums: Array) -> bytes:
    return np.concatenate(((temper, events, trials), sums)).tobytes()


def p_value(end: Array, null: float, sign: int, *, often: bool = True) -> float:
    """Of as many events as were seen or more (sign +1; fewer for -1) at this log ratio, |null| <= MAX_LOG_RATIO.

    end: a `row`, shape (ROW,). often: the same null comes again.
    """
    temper, events, trials = end[:3].tolist()
    mean = float(end[3:] @ (_slope(null) if often else slope(null)))
    return tail(events, trials, mean, sign, temper)


def tail(events: float, trials: float, mean: float, sign: int, temper: float) -> float:
    """Upper (sign +1) or lower tail of a binomial with this mean, 1 less than 1 beyond it. Real numbers: between.

    Of infinitely many trials: Poisson's.
    """
    if not 0.0 < mean < trials or sign * (events - mean) < 1.0:
        return 1.0
    plain = _tail(events, trials, mean, sign)
    return plain if temper <= 1.0 else max(plain, _tail(events / temper, trials / temper, mean / temper, sign))


def _tail(events: float, trials: float, mean: float, sign: int) -> float:
    beta, gamma, rest = _special()
    if math.isinf(trials):
        return float(gamma(events, mean) if sign > 0 else rest(events + 1.0, mean))
    share, other = mean / trials, trials - events
    if sign < 0:
        events, other, share = other, events, 1.0 - share
    return float(beta(events, max(other, 0.0) + 1.0, share)) if events > 0.0 else 1.0


def critical(trials: float, mean: float, sign: int, level: float, temper: float) -> float:
    """How many events, or how few, a binomial with this mean has with the chance `level`; for forecasts. May be NaN."""
    if not 0.0 < mean < trials:
        return math.nan
    width = _FARTHEST * math.sqrt(temper * mean * (1.0 - mean / trials)) + 1.0
    inside, outside = mean, min(max(mean + sign * width, 0.0), trials)
    if tail(outside, trials, mean, sign, temper) > level:
        return math.nan
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if tail(middle, trials, mean, sign, temper) > level:
            inside = middle
        else:
            outside = middle
    return outside


def won_at(trials: float, mean: float, sign: int, level: float, temper: float, error: float) -> float:
    """Where a bet at this level is won, in standard errors beyond the mean; infinite where no number of events does."""
    won = critical(trials, mean, sign, level, temper)
    return sign * (won - mean) / error if math.isfinite(won) else math.inf


def mean_of(sums: bytes, null: float) -> float:
    """The events that these sums, S at the nodes, expect at a log ratio."""
    return float(np.frombuffer(sums, "<f8") @ _slope(null))


def slope(point: float) -> Array:
    """(NODES,): values at the nodes @ this = the derivative at `point`."""
    at = interpolation(point + _STEP * np.array([-2.0, -1.0, 1.0, 2.0]))
    column: Array = at @ (np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * _STEP))
    return column


@lru_cache(maxsize=256)
def _slope(point: float) -> Array:
    return slope(point)


@cache
def _special() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    from scipy.special import betainc, gammainc, gammaincc  # not imported before a comparison comes to its end

    return betainc, gammainc, gammaincc


def joined(log_e: float, end: bytes, null: float, sign: int, part: float, limit: float) -> float:
    """log_e of the mixture, which has the rest of the weight, and of the bet together, against the null.

    end: a `row`; limit: the log e-value that decides.
    """
    return worth(log_e, p_value(np.frombuffer(end, "<f8"), null, sign), part, limit)


def worth(log_e: float, p: float, part: float, limit: float) -> float:
    """log_e of the mixture, which has the rest of the weight, and of a bet that ended with this p-value together."""
    return log_add(log_e, limit) if part > 0.0 and p <= _level(part, limit) else log_e


def _level(part: float, limit: float) -> float:
    return part * math.exp(-limit) * (1.0 - _ROOM)


def bound(end: bytes, sign: int, part: float, limit: float, guess: tuple[float, float]) -> float:
    """The end of the log ratio's interval that the bet alone gives: lower (sign +1) or upper (-1); may be infinite.

    guess: the estimate and a step, where the search starts.
    """
    if part == 0.0 or not end:
        return -sign * math.inf
    data, level = np.frombuffer(end, "<f8"), math.log(_level(part, limit))

    def excess(null: float) -> float:
        null = min(max(null, -MAX_LOG_RATIO), MAX_LOG_RATIO)
        return level - math.log(max(p_value(data, null, sign, often=False), _FAINT))

    at = min(max(guess[0], -MAX_LOG_RATIO), MAX_LOG_RATIO)
    found = sign * confidence_limit(excess, sign, at, guess[1], MAX_LOG_RATIO)
    return sign * (min(found, MAX_LOG_RATIO) if found > -MAX_LOG_RATIO else -math.inf)
