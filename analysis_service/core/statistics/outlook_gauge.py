"""The outlook of gauges: paired differences with the noise and memory of the look-back, or of the run's first looks."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import msgspec
from msgspec.structs import replace

from . import last_look, t_test
from .calibration import LONGEST_MEMORY, prewhitened_deviation
from .crossing import at_end, crossing, smallest
from .gauge_series import prior_points, worth_of_first
from .outlook import Outlook, found_first, looks_wanted
from .outlook_counts import ONCE
from .plan import MAX_LOG_RATIO, Calibration, Plan, Shown, Within, harm_sign
from .shown import at_least, moved
from .starts import FIRST
from .t_evidence import MIDDLE
from .t_mixture import G2
from .t_test import TState, uses_log_ratio

_NORMAL = NormalDist()
FEWEST = 8  # looks of the run's own from which its noise can be told
WIDEST = 1e3  # standard deviations: what is not found at this size is not found at all


class Noise(msgspec.Struct, frozen=True):
    """deviation: of one point that counts in full, on the differences' scale; each look counts `discount` of one.

    baseline: stable's level. floor: what innocent pods differ by. known: whether the deviation is a look-back's.
    """

    deviation: float
    discount: float = 1.0
    log_ratio: bool = False
    baseline: float | None = None
    floor: float = 0.0
    known: bool = False
    middle: Within | None = None  # where harm is looked for
    shown: Shown | None = None  # of a shift
    first: float = 1.0  # looks that the first one counts for


def noise_of_history(calibration: Calibration, *, log_ratio: bool) -> Noise | None:
    """From a look-back: the standard deviation of a prewhitened point. None without enough of it."""
    if not calibration.sufficient or calibration.scale <= 0.0:
        return None
    phi = min(calibration.autocorrelation, LONGEST_MEMORY)
    deviation = prewhitened_deviation(calibration.scale, phi, calibration.lag_one)
    floor, baseline = calibration.noise_floor, calibration.baseline
    if calibration.log_ratio and not log_ratio:  # an absolute margin is judged on the metric's own scale
        if not baseline:
            return None
        deviation, floor = deviation * abs(baseline), 0.0
    known = calibration.lag_one is not None and calibration.log_ratio == log_ratio
    first = worth_of_first(calibration.autocorrelation)
    noise = Noise(deviation, 1.0, log_ratio, baseline, floor, known=known, first=first)
    same = calibration.log_ratio == log_ratio
    return replace(noise, middle=calibration.harm, shown=calibration.shown) if same else noise


def noise_of_run(plan: Plan, state: TState) -> Noise | None:
    """From the run's own looks so far; None while they are too few, or show no noise."""
    log_ratio = uses_log_ratio(plan, state)
    series = state.ratio if log_ratio else state.difference
    if state.used < FEWEST or series.n < 2:
        return None
    square = series.square - series.total * series.total / series.weight
    if square <= 0.0:
        return None
    discount = t_test.autocorrelation(plan, series)[1]
    return Noise(math.sqrt(square / (series.n - 1.0)), discount, log_ratio, state.stable_sum / state.used)


def outlook_gauge(plan: Plan, *, looks: int, noise: Noise, watched: bool = False) -> Outlook:
    """smallest_effect: a ratio of levels where log ratios are compared, otherwise a difference.

    watched: a pass does not end the comparison.
    """
    model, sign = _Gauge(plan, noise, watched), harm_sign(plan.direction)
    most = MAX_LOG_RATIO if noise.log_ratio else WIDEST * max(noise.deviation, model.start)
    found = smallest(lambda effect: model.found(looks, effect), most=most)
    shown = None
    if found is not None:
        shown = math.exp(sign * found) if noise.log_ratio else sign * found
    unit: Literal["ratio", "difference"] = "ratio" if noise.log_ratio else "difference"
    wanted = looks_wanted(model.passes, looks)
    return Outlook(looks, shown, 1.0 - model.passes(looks), unit, wanted_looks=wanted)


@dataclass(frozen=True, slots=True)
class _Gauge:
    plan: Plan
    noise: Noise
    watched: bool

    @property
    def start(self) -> float:
        """Beyond what harm is harm."""
        margin = _margin(self.plan, self.noise, harm_sign(self.plan.direction))
        return self.noise.floor + (moved(self.noise.shown, margin) if self.plan.fail_at == "margin" else 0.0)

    def chance(
        self,
        looks: int,
        distance: float,
        level: float,
        weight: float,
        part: float,
        *,
        of: int | None = None,
        noise: Noise | None = None,
    ) -> float:
        """part: the bet's. of: how many looks are planned, where these are the first of them; None: these are all."""
        noise = noise or self.noise
        points = max(looks * noise.discount, 1e-9)
        n = points + noise.first - 1.0
        freedom = points - 1.0 + (prior_points(of or looks) if noise.known else 0.0)
        standard = distance * math.sqrt(n) / noise.deviation
        if self.plan.test in ONCE:
            return at_end(standard, -_NORMAL.inv_cdf(level))
        last = _last(level * part, n, freedom) if part > 0.0 and of is None else math.inf
        return crossing(standard, _bound(-math.log(level * weight * (1.0 - part)), n, freedom), last)

    def shares(self, looks: int) -> tuple[float, float]:
        return last_look.shares(looks) if self.plan.restarts else (0.0, 0.0)

    def found(self, looks: int, effect: float) -> float:
        plan = self.plan
        harm = self.finds(looks, effect)
        if self.watched or plan.test in ONCE:
            return harm
        early = self.finds(math.ceil(looks * plan.min_bake), effect, of=looks)
        return found_first(early, harm, self.passes(looks, effect))

    def finds(self, looks: int, effect: float, *, of: int | None = None) -> float:
        alpha = self.plan.alpha / 2 if self.plan.direction == "either" else self.plan.alpha
        weight, within = FIRST if self.plan.restarts else 1.0, self.noise.middle
        part = self.shares(of or looks)[0]
        if within is None or self.plan.fail_at == "margin" or self.plan.test in ONCE:
            return self.chance(looks, moved(self.noise.shown, effect) - self.start, alpha, weight, part, of=of)
        found = moved(within.shown, effect) - within.noise_floor
        middle = self.chance(looks, found, alpha * MIDDLE, weight, part, of=of, noise=_middle(self.noise, within))
        usual = moved(self.noise.shown, effect) - self.start
        return max(middle, self.chance(looks, usual, alpha * (1.0 - MIDDLE), 1.0, 0.0, of=of))

    def passes(self, looks: int, effect: float = 0.0) -> float:
        """The chance to pass, when the arms are alike or the canary is worse by this much."""
        plan, sign = self.plan, harm_sign(self.plan.direction)
        both = plan.direction == "either" or plan.test == "tost"
        part, chances = self.shares(looks)[1], []
        for way in (sign, -sign) if both else (sign,):
            room = at_least(self.noise.shown, _margin(plan, self.noise, way)) - self.noise.floor
            worse = moved(self.noise.shown, effect)
            gap = room - worse if way == sign else room + worse
            chances.append(self.chance(looks, gap, plan.beta, 1.0, part) if room > 0 else 0.0)
        return max(sum(chances) - len(chances) + 1.0, 0.0)


def _middle(noise: Noise, within: Within) -> Noise:
    deviation = prewhitened_deviation(within.scale, within.autocorrelation, within.lag_one)
    return replace(noise, deviation=deviation, first=worth_of_first(within.autocorrelation), known=True)


def _margin(plan: Plan, noise: Noise, way: int) -> float:
    relative, absolute = plan.margin.relative, plan.margin.absolute
    if relative is None:
        return max(absolute or 0.0, 0.0)
    if not noise.log_ratio:
        return relative * abs(noise.baseline or 0.0)
    if way > 0:
        return math.log1p(relative)
    return -math.log1p(-relative) if relative < 1 else MAX_LOG_RATIO


def _last(level: float, n: float, freedom: float) -> float:
    """z at which the t-test of n points rejects; infinite where they are too few."""
    if n < last_look.FEWEST:
        return math.inf
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, level))


def _bound(limit: float, n: float, freedom: float) -> float:
    """z at which the t mixture of n points reaches exp(limit); infinite where no effect, however large, does.

    log E = log 2 - log(1 + n G2) / 2 + (nu + 1) / 2 * log((1 + t^2 / nu) / (1 + t^2 / (nu (1 + n G2)))), nu: freedom.
    """
    shrink = 1.0 + n * G2
    if freedom <= 0.0:
        return math.inf
    power = (limit - math.log(2.0) + 0.5 * math.log(shrink)) * 2.0 / (freedom + 1.0)
    if power >= math.log(shrink):
        return math.inf
    grown = math.exp(max(power, 0.0))
    return math.sqrt(freedom * (grown - 1.0) / (1.0 - grown / shrink))
