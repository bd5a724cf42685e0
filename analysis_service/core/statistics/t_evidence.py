"""What a series of paired differences says: log e-values for harm, beyond the margin and for safety, and an interval.

Harm may begin at any look, so that every start speaks of it; safety is asked of the whole run only, as a late start
would forget harm. Where the end is known both have a bet on the last look (`last_look`). Where the look-back found that
harm shows best in the middle of the differences (`closer`), most of what is staked on harm is staked there.
"""

import math
from dataclasses import dataclass

import msgspec

from . import last_look
from .gauge_series import FEWEST, Series, Whole, alone, prior, prior_of, sums, whole
from .mixture import log_add
from .plan import Plan, Shown, Within, harm_sign
from .roots import confidence_limit
from .shown import moved, unmoved
from .t_mixture import Mixture, log_e, log_e_first, mixture

FLOOR_SHARE = 0.2  # of alpha and of beta goes to the noise floor's own error
MIDDLE = 0.9  # of what is staked on harm: the rest is for harm that is rare and large, which the middle does not see
_LOG_MIDDLE, _LOG_REST = math.log(MIDDLE), math.log1p(-MIDDLE)


@dataclass(slots=True)
class Found:
    """What a series of differences says, on its own scale; log e-values for harm, beyond the margin, for safety."""

    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    logs: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rates: tuple[float, float, float] = (0.0, 0.0, 0.0)
    since: int = 0


class Middle(msgspec.Struct, frozen=True):
    """The same looks within the closer fences."""

    within: Within
    series: Series


class _Starts(msgspec.Struct, frozen=True):
    """Every start of a series, the first of them apart; nulls are on the differences' own scale."""

    seen: Mixture
    first: Whole | None
    origin: float
    bet: last_look.Bet

    def log_e(self, null: float, sign: int, limit: float) -> tuple[float, int]:
        """(log e-value against differences at most at the null, the look that it speaks from).

        limit: the log e-value that decides.
        """
        found, since = log_e(self.seen, null - self.origin, sign)
        return last_look.joined(found, self.first, null - self.origin, sign, self.bet, limit), since


def _starts(
    series: Series, resolution: float, before: tuple[float, float], bet: last_look.Bet, *, whitened: bool
) -> _Starts:
    data = sums(series, resolution, before, whitened=whitened)
    return _Starts(mixture(data), whole(data), series.origin, bet)


class _Side(msgspec.Struct, frozen=True):
    """What all looks say, of every start only where it is asked for; and the middle, where there is one."""

    first: Whole | None
    origin: float
    bet: last_look.Bet  # on safety
    all: _Starts | None
    middle: _Starts | None

    def every(self, null: float, sign: int, limit: float) -> tuple[float, int]:
        assert self.all is not None
        return self.all.log_e(null, sign, limit)

    def harm(self, null: float, within: float, sign: int, limit: float) -> tuple[float, int]:
        """`every` of one null, which lies at `within` in the middle, where most of the stake is."""
        if self.middle is None:
            return self.every(null, sign, limit)
        found, since = self.middle.log_e(within, sign, limit - _LOG_MIDDLE)
        rest = log_e_first(self.first, null - self.origin, sign) + _LOG_REST
        return log_add(found + _LOG_MIDDLE, rest), since

    def whole(self, null: float, sign: int, limit: float) -> float:
        """Log e-value of the whole run alone."""
        at = null - self.origin
        return last_look.joined(log_e_first(self.first, at, sign), self.first, at, sign, self.bet, limit)


def weigh(
    plan: Plan,
    series: Series,
    middle: Middle | None,
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
    sign, calibration = harm_sign(plan.direction), plan.calibration
    same = calibration is not None and calibration.log_ratio == log_ratio
    shown = calibration.shown if calibration is not None and same else None
    margin = _seen(shown, margins[0])
    mean, sd = _mean_and_deviation(series, resolution)
    found = Found(unmoved(shown, mean))
    if resolution <= 0.0:  # nothing has changed yet, in either arm: a look-back's noise is not that of a frozen value
        return found
    if sd > 0:
        gaps = (sign * mean - floor, sign * mean - margin[0] - floor, margin[1] - floor - sign * mean)
        found.rates = (_rate(gaps[0] / sd, discount), _rate(gaps[1] / sd, discount), _rate(gaps[2] / sd, discount))
    if series.n < FEWEST:
        return found
    asked = interval or plan.fail_at == "noharm", interval or plan.fail_at == "margin"  # against no change; the margin
    (bet, safe), floors = _bets(plan, used), (floor, floor if middle is None else middle.within.noise_floor)
    before = prior(calibration, plan.planned_looks) if same else (0.0, 0.0)
    if middle is None or asked[1]:
        whitened = calibration is not None and calibration.sufficient
        everything = _starts(series, resolution, before, bet, whitened=whitened)
        first = everything.first
    else:
        everything, first = None, alone(series, resolution, before)
    inner = None
    if middle is not None and calibration is not None and asked[0]:
        known = prior_of(middle.within, calibration.points, plan.planned_looks)
        inner = _starts(middle.series, resolution, known, bet, whitened=True)
        inner_mean, inner_sd = _mean_and_deviation(middle.series, resolution)
        found.rates = (_rate((sign * inner_mean - floors[1]) / inner_sd, discount), *found.rates[1:])
    side = _Side(first, series.origin, safe, everything, inner)
    spent = math.log1p(-FLOOR_SHARE) if max(floors) > 0 else 0.0
    limits = _limit(plan, plan.alpha) - spent, -math.log(plan.beta) - spent
    harm, beyond, safety, found.since = _logs(side, margin, floors, sign, limits, asked)
    if plan.direction == "either":
        down = _logs(side, _seen(shown, margins[1]), floors, -sign, limits, asked)
        harm, beyond = _log_mean(harm, down[0]), _log_mean(beyond, down[1])
        safety = min(safety, down[2])
    found.logs = harm + spent, beyond + spent, safety + spent
    if interval and sd > 0:
        error = sd / math.sqrt(max(series.weight * discount, 1.0))
        found.lower, found.upper = _bounds(plan, side, shown, middle, found.mean or 0.0, error)
    return found


def _seen(shown: Shown | None, margin: float) -> tuple[float, float]:
    """What a harm of the size of the margin moves the mean by, and what it does so at least."""
    if shown is None or not math.isfinite(margin):
        return margin, margin
    found = moved(shown, margin)
    return found, found * (1.0 - shown.error)


def _mean_and_deviation(series: Series, resolution: float) -> tuple[float, float]:
    mean = series.total / series.weight
    square = max(series.square - series.total * mean, 0.0)
    return series.origin + mean, max(math.sqrt(square / (series.n - 1.0)) if series.n > 1.0 else 0.0, resolution)


def _bets(plan: Plan, used: int) -> tuple[last_look.Bet, last_look.Bet]:
    """On harm, on safety. The single-start form knows no end."""
    harm, safety = last_look.shares(plan.planned_looks) if plan.restarts else (0.0, 0.0)
    left = plan.planned_looks - used
    return last_look.Bet(harm, left), last_look.Bet(safety, left)


def _limit(plan: Plan, level: float) -> float:
    """The log e-value that decides, of one direction."""
    return -math.log(level) + (math.log(2) if plan.direction == "either" else 0.0)


def _logs(
    side: _Side,
    margin: tuple[float, float],
    floors: tuple[float, float],
    sign: int,
    limits: tuple[float, float],
    asked: tuple[bool, bool],
) -> tuple[float, float, float, int]:
    """Log e-values against no change, within the margin, and at or beyond it; and the look the first speaks from.

    margin: see `_seen`. floors: of all looks' differences and in their middle. limits: the log e-values that decide,
    on harm and on safety. asked: for the first and for the second, which are 0 where they are not.
    """
    floor, (harm, beyond), since = floors[0], (0.0, 0.0), 0
    known = math.isfinite(margin[0])
    if known and asked[1]:
        beyond, since = side.every(sign * (margin[0] + floor), sign, limits[0])
    if asked[0]:
        harm, since = side.harm(sign * floor, sign * floors[1], sign, limits[0])
    safety = side.whole(sign * (margin[1] - floor), -sign, limits[1]) if known else 0.0
    return harm, beyond, safety, since


def _log_mean(a: float, b: float) -> float:
    high = max(a, b)
    return high + math.log(0.5 * (math.exp(a - high) + math.exp(b - high)))


def _rate(gap: float, discount: float) -> float:
    return 0.5 * discount * math.log1p(gap * gap) if gap > 0 else 0.0


def _bounds(
    plan: Plan, side: _Side, shown: Shown | None, middle: Middle | None, guess: float, error: float
) -> tuple[float | None, float | None]:
    """Where the e-values that decide fall to their limit. guess, error: of the shift, to begin with."""
    sign, threshold = harm_sign(plan.direction), _limit(plan, plan.alpha)

    def end(direction: int) -> float | None:
        restarted = direction == sign or plan.direction == "either"

        def excess(null: float) -> float:
            if not restarted:
                return side.whole(moved(shown, null), direction, threshold) - threshold
            within = moved(middle.within.shown, null) if middle is not None else null
            return side.harm(moved(shown, null), within, direction, threshold)[0] - threshold

        found = confidence_limit(excess, direction, guess, 3.0 * error, 3e4 * error)
        return found if math.isfinite(found) else None

    return end(1), end(-1)
