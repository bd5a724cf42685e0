"""What a series of paired differences says: log e-values for harm, beyond the margin and for safety, and an interval.

Harm may begin at any look, so that every start speaks of it; safety is asked of the whole run only, as a late start
would forget harm. Where the end is known both have a bet on the last look (`last_look`).
"""

import math
from dataclasses import dataclass

from . import last_look
from .gauge_series import Series, Sums, prior, sums
from .plan import Plan, harm_sign
from .roots import confidence_limit
from .t_mixture import log_e, log_e_first, mixed

FLOOR_SHARE = 0.2  # of alpha and of beta goes to the noise floor's own error


@dataclass(slots=True)
class Found:
    """What a series of differences says, on its own scale; log e-values for harm, beyond the margin, for safety."""

    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    logs: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rates: tuple[float, float, float] = (0.0, 0.0, 0.0)
    since: int = 0


def weigh(
    plan: Plan,
    series: Series,
    margins: tuple[float, float],
    floor: float,
    discount: float,
    resolution: float,
    used: int,
    *,
    log_ratio: bool,
    interval: bool,
) -> Found:
    """margins: tolerated towards harm, and the other way (for "either"); infinite where unknown or unlimited."""
    sign, margin = harm_sign(plan.direction), margins[0]
    mean = series.origin + series.total / series.weight
    deviation = max(series.square - series.total * series.total / series.weight, 0.0)
    sd = max(math.sqrt(deviation / (series.n - 1)) if series.n > 1 else 0.0, resolution)
    found = Found(mean)
    if resolution <= 0.0:  # nothing has changed yet, in either arm: a look-back's noise is not that of a frozen value
        return found
    if sd > 0:
        gaps = (sign * mean - floor, sign * mean - margin - floor, margin - floor - sign * mean)
        found.rates = (_rate(gaps[0] / sd, discount), _rate(gaps[1] / sd, discount), _rate(gaps[2] / sd, discount))
    calibration = plan.calibration
    same = calibration is not None and calibration.log_ratio == log_ratio
    before = prior(calibration, plan.planned_looks) if same else (0.0, 0.0)
    data = sums(series, resolution, before, whitened=calibration is not None and calibration.sufficient)
    if not len(data.n):
        return found
    told = interval or plan.fail_at == "margin"  # evidence beyond the margin is asked for
    bet = _bet(plan, used)
    spent = math.log1p(-FLOOR_SHARE) if floor > 0 else 0.0
    limits = _limit(plan, plan.alpha) - spent, -math.log(plan.beta) - spent
    harm, beyond, safety, found.since = _logs(data, series.origin, margin, floor, sign, bet, limits, beyond=told)
    if plan.direction == "either":
        down = _logs(data, series.origin, margins[1], floor, -sign, bet, limits, beyond=told)
        harm, beyond = _log_mean(harm, down[0]), _log_mean(beyond, down[1])
        safety = min(safety, down[2])
    found.logs = harm + spent, beyond + spent, safety + spent
    if interval and sd > 0:
        found.lower, found.upper = _bounds(plan, series, data, bet, mean, sd, sign)
    return found


def _bet(plan: Plan, used: int) -> last_look.Bet:
    """The single-start form knows no end."""
    return last_look.Bet(last_look.share(plan.planned_looks) if plan.restarts else 0.0, plan.planned_looks - used)


def _limit(plan: Plan, level: float) -> float:
    """The log e-value that decides, of one direction."""
    return -math.log(level) + (math.log(2) if plan.direction == "either" else 0.0)


def _logs(
    data: Sums,
    origin: float,
    margin: float,
    floor: float,
    sign: int,
    bet: last_look.Bet,
    limits: tuple[float, float],
    *,
    beyond: bool,
) -> tuple[float, float, float, int]:
    """Log e-values against no change, within the margin, and at or beyond it; and the look the first speaks from.

    limits: the log e-values that decide, on harm and on safety.

    beyond: whether the second is asked for (0).
    """
    known = math.isfinite(margin)
    nulls: tuple[float, ...] = (sign * floor - origin,)
    if known and beyond:
        nulls = (*nulls, sign * (margin + floor) - origin)
    logs = log_e(data, nulls, sign)
    found = [
        last_look.joined(one, data, null, sign, bet, limits[0])
        for one, null in zip(mixed(data, logs), nulls, strict=True)
    ]
    since = int(data.looks[int((logs[0] + data.log_weights).argmax())])
    if not known:
        return found[0], 0.0, 0.0, since
    safe = sign * (margin - floor) - origin
    safety = last_look.joined(log_e_first(data, safe, -sign), data, safe, -sign, bet, limits[1])
    return found[0], found[-1] if beyond else 0.0, safety, since


def _log_mean(a: float, b: float) -> float:
    high = max(a, b)
    return high + math.log(0.5 * (math.exp(a - high) + math.exp(b - high)))


def _rate(gap: float, discount: float) -> float:
    return 0.5 * discount * math.log1p(gap * gap) if gap > 0 else 0.0


def _bounds(
    plan: Plan, series: Series, data: Sums, bet: last_look.Bet, mean: float, sd: float, sign: int
) -> tuple[float | None, float | None]:
    threshold = _limit(plan, plan.alpha)
    points = series.weight if data.discount is None else series.n * float(data.discount[0])
    step = 3.0 * sd / math.sqrt(max(points, 1.0))

    def end(direction: int) -> float | None:
        restarted = direction == sign or plan.direction == "either"

        def excess(null: float) -> float:
            at = null - series.origin
            level = mixed(data, log_e(data, (at,), direction))[0] if restarted else log_e_first(data, at, direction)
            return last_look.joined(level, data, at, direction, bet, threshold) - threshold

        found = confidence_limit(excess, direction, mean, step, 1e4 * step)
        return found if math.isfinite(found) else None

    return end(1), end(-1)
