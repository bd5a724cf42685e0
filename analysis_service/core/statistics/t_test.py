"""sequential-t: has the mean of paired differences moved? Default for gauges.

Differences canary - stable at equal times (or log ratios, when every value is positive) take out season and shared
load. They are winsorised at the look-back's fences, prewhitened with its AR(1) parameter,
e_t = (d_t - phi d_{t-1}) / (1 - phi), and fed to a mixture over effect sizes of the t likelihood ratio (`t_mixture`)
with restarts (`starts`) and, where the end is known, a bet on the last look (`last_look`).

Where the look-back shows that harm of the size of the margin stands out best in the middle of the differences, it is
looked for mostly there (`closer`); safety is asked of all of them.

Without 60 points of history the number of points is discounted by the autocorrelation that the run has shown since each
start, at least .5.

An innocent pod may differ from the others for good: the look-back's noise floor is added to what harm must exceed,
and taken off what safety must stay within. A floor as wide as the margin leaves nothing to pass: flagged.

Guarantee: exact for independent Gaussian differences (phi = 0, no fences); calibrated otherwise. A series without any
variation is no evidence: there is no noise to measure a change by.
Sources: those of `t_mixture`.
"""

import math

import msgspec
import numpy as np

from .evidence import FLOOR_FILLS_MARGIN, Evidence
from .gauge_series import Series, closer, discount_of, extend, memory, usual
from .looks import Look, usable_gauge
from .plan import MAX_LOG_RATIO, Plan, harm_sign
from .shown import at_least
from .t_evidence import Found, Middle, weigh
from .t_mixture import interval_radius

NAME = "sequential-t"
_FAINT = 1e-300  # no level is smaller: denormal values have one that is 0


class TState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    canary_sum: float = 0.0
    stable_sum: float = 0.0
    canary_square: float = 0.0  # about canary_origin
    canary_origin: float = 0.0
    last_canary: float = 0.0
    last_stable: float = 0.0
    resolution: float = 0.0  # smallest change seen in a value
    positive: bool = True
    difference: Series = Series()
    ratio: Series = Series()
    middle: Series = Series()  # within the closer fences, where the look-back found that harm shows best there
    flags: tuple[str, ...] = ()


def start(plan: Plan) -> TState:
    return TState()


def update(plan: Plan, state: TState, look: Look) -> TState:
    canary, stable = usable_gauge(look.canary), usable_gauge(look.stable)
    if canary is None or stable is None:
        return msgspec.structs.replace(state, look=look.number, dropped=state.dropped + 1)
    return add(plan, state, look.number, canary, stable)


def add(plan: Plan, state: TState, look: int, canary: float, stable: float) -> TState:
    """Fold one pair of values, same unit."""
    first = state.used == 0
    origin = canary if first else state.canary_origin
    resolution = state.resolution
    if not first:
        for step in (abs(canary - state.last_canary), abs(stable - state.last_stable)):
            if 0.0 < step < (resolution or math.inf):
                resolution = step
    positive = state.positive and canary > 0 and stable > 0
    used = state.used + 1
    difference, ratio = canary - stable, math.log(canary) - math.log(stable) if positive else None
    calibration, middle = plan.calibration, state.middle
    if calibration is not None and calibration.harm is not None:
        value = ratio if calibration.log_ratio else difference
        if value is not None:
            middle = extend(plan, middle, value, used, closer(calibration.harm))
    return TState(
        look=look,
        used=used,
        dropped=state.dropped,
        canary_sum=state.canary_sum + canary,
        stable_sum=state.stable_sum + stable,
        canary_square=state.canary_square + (canary - origin) ** 2,
        canary_origin=origin,
        last_canary=canary,
        last_stable=stable,
        resolution=resolution,
        positive=positive,
        difference=extend(plan, state.difference, difference, used, usual(plan, log_ratio=False)),
        ratio=state.ratio if ratio is None else extend(plan, state.ratio, ratio, used, usual(plan, log_ratio=True)),
        middle=middle,
    )


def autocorrelation(plan: Plan, series: Series) -> tuple[float, float]:
    """(AR parameter, discount of n): prewhitened series count in full, others by (1 - r) / (1 + r), r >= .5."""
    calibration = plan.calibration
    if calibration is not None and calibration.sufficient:
        return calibration.autocorrelation, 1.0
    n = max(series.n, 1.0)
    mean = series.total / n
    covariance = series.products / max(series.products_n, 1) - mean * mean
    r = memory(np.array([n]), np.array([series.square / n - mean * mean]), np.array([covariance]))
    return float(r[0]), float(discount_of(r)[0])


def assess(plan: Plan, state: TState, *, interval: bool = True) -> Evidence:
    """Evidence so far.

    `interval` False leaves out what decides nothing: the confidence sequence, and of the evidence against no change and
    beyond the margin that which does not fail.
    """
    calibration = plan.calibration
    sign = harm_sign(plan.direction)
    log_ratio = uses_log_ratio(plan, state)
    series = state.ratio if log_ratio else state.difference
    stable = state.stable_sum / state.used if state.used else None
    baseline = calibration.baseline if calibration is not None and calibration.baseline is not None else stable
    margin = _margin(plan, baseline, sign, log_ratio=log_ratio)
    phi, discount = autocorrelation(plan, series)
    floor, flags = 0.0, state.flags
    if calibration is not None and calibration.log_ratio == log_ratio:
        floor = calibration.noise_floor
        if floor > 0.0 and floor >= at_least(calibration.shown, margin) > 0.0:
            flags = (*flags, FLOOR_FILLS_MARGIN)
    found, middle = Found(), None
    if state.used and series.n >= 1:
        resolution = state.resolution / math.sqrt(12.0)
        if log_ratio:  # of both arms alike: swapping them must mirror the answer
            resolution *= state.used / max(math.sqrt(state.canary_sum) * math.sqrt(state.stable_sum), _FAINT)
        other = _margin(plan, baseline, -sign, log_ratio=log_ratio) if plan.direction == "either" else math.inf
        if calibration is not None and calibration.harm is not None and calibration.log_ratio == log_ratio:
            middle = Middle(calibration.harm, state.middle)
        found = weigh(
            plan,
            series,
            middle,
            (margin, other),
            floor,
            discount,
            resolution,
            state.used,
            log_ratio=log_ratio,
            interval=interval,
        )
        if found.lower is not None and found.upper is not None and found.lower > found.upper:
            found.lower, found.upper, flags = None, None, (*flags, "model-violated")
    calibrated = calibration is not None and calibration.sufficient
    estimate = found.mean
    if middle is not None and not found.since and estimate is not None:  # the middle may know better than all looks
        estimate = min(max(estimate, _or(found.lower, -math.inf)), _or(found.upper, math.inf))
    return Evidence(
        test=plan.test,
        look=state.look,
        unit="ratio" if log_ratio else "difference",
        estimate=_shown(estimate, log_ratio),
        lower=_shown(found.lower, log_ratio),
        upper=_shown(found.upper, log_ratio),
        no_change=1.0 if log_ratio else 0.0,
        margin=_shown(sign * margin, log_ratio) if math.isfinite(margin) else None,
        log_e_harm=found.logs[0],
        log_e_harm_margin=found.logs[1],
        log_e_safety=found.logs[2],
        harm_rate=found.rates[0],
        harm_margin_rate=found.rates[1],
        safety_rate=found.rates[2],
        used=state.used,
        dropped=state.dropped,
        canary_total=float(state.used),
        stable_total=float(state.used),
        level=state.canary_sum / state.used if state.used else None,
        level_upper=(
            _level_upper(plan, state, (1 - phi) / (1 + phi)) if interval or plan.absolute_floor is not None else None
        ),
        baseline=stable,
        autocorrelation=phi,
        effective_n=state.used * (1 - phi) / (1 + phi),
        noise_floor=floor,
        since=found.since,
        grade="calibrated" if calibrated else "none",
        calibrated=calibrated,
        placebo_false_alarm=calibration.placebo_false_alarm if calibration else None,
        flags=flags,
    )


def uses_log_ratio(plan: Plan, state: TState) -> bool:
    """Log ratios need positive values throughout, in the look-back too, and a margin that is not absolute."""
    if not plan.margin.of_ratios:
        return False
    if plan.calibration is not None and plan.calibration.sufficient and not plan.calibration.log_ratio:
        return False
    return state.positive


def _margin(plan: Plan, baseline: float | None, sign: int, *, log_ratio: bool) -> float:
    """Tolerated harm as a positive number on the differences' scale; infinite when it cannot be told."""
    relative, absolute = plan.margin.relative, plan.margin.absolute
    if relative is not None:
        if not log_ratio:
            return max(relative, 0.0) * abs(baseline) if baseline else math.inf
        if sign > 0:
            return math.log1p(max(relative, 0.0))
        return -math.log1p(-relative) if relative < 1 else MAX_LOG_RATIO
    return max(absolute, 0.0) if absolute is not None else 0.0


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _shown(value: float | None, log_ratio: bool) -> float | None:
    if value is None:
        return None
    return math.exp(min(max(value, -700.0), 700.0)) if log_ratio else value


def _level_upper(plan: Plan, state: TState, discount: float) -> float | None:
    n = state.used
    if n < 2:
        return None
    mean = state.canary_sum / n
    shift = mean - state.canary_origin
    variance = max(state.canary_square - n * shift * shift, 0.0) / (n - 1)
    effective = n * discount
    if variance <= 0 or effective <= 1:
        return None
    radius = interval_radius(math.sqrt(variance), effective, effective - 1, 2 * plan.beta)
    return None if radius is None else mean + radius
