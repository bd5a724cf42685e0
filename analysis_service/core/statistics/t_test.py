"""sequential-t: has the mean of paired differences moved? Default for gauges.

Differences canary - stable at equal times (or log ratios, when every value is positive) take out season and shared
load. They are winsorised at the look-back's fences, prewhitened with its AR(1) parameter,
e_t = (d_t - phi d_{t-1}) / (1 - phi), and fed to a mixture over effect sizes N(0, G2) of the t likelihood ratio,
cut to one side: E = 2 E2 P(effect > 0 | data), the exact half-normal mixture. Restarts as in `starts`.

Without 60 points of history the number of points is discounted by the run's own autocorrelation, at least .5.

Guarantee: exact for independent Gaussian differences (phi = 0, no fences); calibrated otherwise. A series without any
variation is no evidence: there is no noise to measure a change by.
Sources: Lai (1976); Wang & Ramdas (2023), arXiv 2310.03722; Lindon et al. (2022) for the mixture's closed form.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from .calibration import FALLBACK_AUTOCORRELATION, LONGEST_MEMORY
from .evidence import Evidence
from .looks import Look, usable_gauge
from .plan import MAX_LOG_RATIO, Plan, harm_sign
from .roots import confidence_limit
from .starts import log_weight, surplus

Array = NDArray[np.float64]

NAME = "sequential-t"
G2 = 0.1  # prior variance of the effect in standard deviations: best for effects about a third of one
COARSE_POINTS = 10  # points wanted before a variance that is all rounding may speak
_ROW = 5  # of a start: look, log weight, n, sum, sum of squares


class Series(msgspec.Struct, frozen=True):
    """One scale of the differences: running sums of e_t about `origin`, and what prewhitening needs."""

    n: float = 0.0
    total: float = 0.0
    square: float = 0.0
    origin: float = 0.0
    last: float = 0.0
    products: float = 0.0  # sums for the lag-1 correlation
    products_n: int = 0
    starts: bytes = b""


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
    steps = [state.resolution] if state.resolution > 0 else []
    if not first:
        steps += [d for d in (abs(canary - state.last_canary), abs(stable - state.last_stable)) if d > 0]
    positive = state.positive and canary > 0 and stable > 0
    used = state.used + 1
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
        resolution=min(steps) if steps else 0.0,
        positive=positive,
        difference=_extend(plan, state.difference, canary - stable, used, log_ratio=False),
        ratio=_extend(plan, state.ratio, math.log(canary) - math.log(stable), used, log_ratio=True)
        if positive
        else state.ratio,
    )


def _whitening(plan: Plan) -> float:
    calibration = plan.calibration
    return calibration.autocorrelation if calibration is not None and calibration.sufficient else 0.0


def _extend(plan: Plan, series: Series, value: float, used: int, *, log_ratio: bool) -> Series:
    calibration = plan.calibration
    if calibration is not None and calibration.log_ratio == log_ratio:
        if calibration.fence_low is not None:
            value = max(value, calibration.fence_low)
        if calibration.fence_high is not None:
            value = min(value, calibration.fence_high)
    phi = _whitening(plan)
    if used == 1:
        row = _row(0, log_weight(0, plan.planned_looks) if plan.restarts else 0.0, 0.0, 0.0, 0.0)
        if phi > 0:
            return Series(origin=value, last=value, starts=row)
        return Series(n=1.0, origin=value, last=value, starts=row)
    centred = (value - phi * series.last) / (1.0 - phi) - series.origin
    n, total, square = series.n + 1.0, series.total + centred, series.square + centred * centred
    starts = series.starts
    weight = log_weight(used, plan.planned_looks) if plan.restarts else None
    if weight is not None:
        starts += _row(used, weight, n, total, square)
        rows = np.frombuffer(starts, "<f8").reshape(-1, _ROW)
        spare = surplus([used - int(at) for at in rows[:, 0]])
        if spare is not None:
            starts = np.delete(rows, spare, axis=0).tobytes()
    return Series(
        n=n,
        total=total,
        square=square,
        origin=series.origin,
        last=value,
        products=series.products + (value - series.origin) * (series.last - series.origin),
        products_n=series.products_n + 1,
        starts=starts,
    )


def _row(look: int, weight: float | None, n: float, total: float, square: float) -> bytes:
    return np.array([look, weight or 0.0, n, total, square], "<f8").tobytes()


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


class Sums(msgspec.Struct):
    """n, mean about the origin and sum of squared deviations, per start."""

    n: Array
    mean: Array
    deviation: Array
    log_weights: Array
    looks: Array
    discount: float
    floor: float  # least standard deviation


def _sums(series: Series, discount: float, floor: float, *, whole: bool) -> Sums:
    rows = np.frombuffer(series.starts, "<f8").reshape(-1, _ROW)
    if whole:
        rows = rows[:1]
    n = series.n - rows[:, 2]
    keep = n >= 2
    rows, n = rows[keep], n[keep]
    total, square = series.total - rows[:, 3], series.square - rows[:, 4]
    mean = total / n
    weights = np.zeros(len(rows)) if whole else rows[:, 1]
    return Sums(n, mean, np.maximum(square - total * mean, 0.0), weights, rows[:, 0], discount, floor)


Null = tuple[float, int]
"""(mean, sign): H0 is "at most mean" for sign +1, "at least mean" for -1; about the series' origin."""


def _log_e(sums: Sums, nulls: tuple[Null, ...]) -> Array:
    """log(w_j E_j) per null and start, shape (nulls, starts)."""
    from scipy.special import stdtr

    n = sums.n * sums.discount
    variance = np.maximum(sums.deviation / (sums.n - 1.0), sums.floor**2)
    ready = (n > 1.0) & (variance > 0) & ((sums.deviation > 0) | (sums.n >= COARSE_POINTS))
    means = sums.mean
    some = not ready.all()  # seldom: only before a start has seen any noise
    if some:
        if not ready.any():
            return np.tile(sums.log_weights, (len(nulls), 1))
        n, variance, means = n[ready], variance[ready], means[ready]
    at = np.array(nulls, float)
    gap = at[:, 1:] * (means - at[:, :1])
    nu, shrink = n - 1.0, 1.0 + n * G2
    square = gap * gap * (n / variance)
    bent = square / shrink + nu
    log_e = 0.5 * n * np.log((square + nu) / bent) - 0.5 * np.log(shrink)
    # posterior of the effect: Student with n degrees of freedom about n G2 gap / shrink
    log_e += np.log(stdtr(n, gap * np.sqrt(n**3 * G2 / (shrink * variance)) / np.sqrt(bent)) * 2.0 + 1e-300)
    log_e = np.where(gap > 0, log_e, np.minimum(log_e, 0.0))  # also where the tail underflows
    if not some:
        whole: Array = log_e + sums.log_weights
        return whole
    result: Array = np.tile(sums.log_weights, (len(nulls), 1))
    result[:, ready] += log_e
    return result


def _total(values: Array) -> float:
    if len(values) == 0:
        return 0.0
    top = float(values.max())
    return top + math.log(float(np.exp(values - top).sum()))


def autocorrelation(plan: Plan, series: Series) -> tuple[float, float]:
    """(AR parameter, discount of n): prewhitened series count in full, others by (1 - r) / (1 + r), r >= .5."""
    calibration = plan.calibration
    if calibration is not None and calibration.sufficient:
        return calibration.autocorrelation, 1.0
    n = series.n
    if n < 4:
        r = FALLBACK_AUTOCORRELATION
    else:
        mean = series.total / n
        variance = series.square / n - mean * mean
        covariance = series.products / series.products_n - mean * mean
        r = min(max(covariance / variance, 0.0), 1.0) if variance > 0 else 0.0
        r += (1.0 + 3.0 * r) / n + math.sqrt(max(1.0 - r * r, 0.0) / n)  # Kendall's bias and one standard error
    r = min(max(r, FALLBACK_AUTOCORRELATION), LONGEST_MEMORY)
    return r, (1.0 - r) / (1.0 + r)


def assess(plan: Plan, state: TState, *, interval: bool = True) -> Evidence:
    calibration = plan.calibration
    sign = harm_sign(plan.direction)
    log_ratio = uses_log_ratio(plan, state)
    series = state.ratio if log_ratio else state.difference
    stable = state.stable_sum / state.used if state.used else None
    baseline = calibration.baseline if calibration is not None and calibration.baseline is not None else stable
    margin = _margin(plan, baseline, sign, log_ratio=log_ratio)
    phi, discount = autocorrelation(plan, series)
    floor = calibration.noise_floor if calibration is not None and calibration.log_ratio == log_ratio else 0.0
    common = Evidence(
        test=plan.test,
        look=state.look,
        unit="ratio" if log_ratio else "difference",
        no_change=1.0 if log_ratio else 0.0,
        margin=_shown(sign * margin, log_ratio) if math.isfinite(margin) else None,
        used=state.used,
        dropped=state.dropped,
        flags=state.flags,
        baseline=stable,
        autocorrelation=phi,
        noise_floor=floor,
        grade="calibrated" if calibration is not None and calibration.sufficient else "none",
        calibrated=calibration is not None and calibration.sufficient,
        placebo_false_alarm=calibration.placebo_false_alarm if calibration else None,
    )
    if state.used == 0 or series.n < 1:
        return common
    resolution = state.resolution / math.sqrt(12.0)
    if log_ratio and stable:
        resolution /= abs(stable)
    restarted = _sums(series, discount, resolution, whole=False)
    origin = series.origin
    known = math.isfinite(margin)
    limit = margin if known else 0.0
    nulls = (
        (sign * floor - origin, sign),
        (sign * (limit + floor) - origin, sign),
        (sign * limit - origin, -sign),
    )
    logs = _log_e(restarted, nulls)

    def safe(row: Array) -> float:
        """Of the whole run only: a late start would forget harm."""
        return float(row[0] - restarted.log_weights[0]) if len(restarted.n) else 0.0

    log_harm = _total(logs[0])
    log_beyond = _total(logs[1]) if known else 0.0
    log_safety = safe(logs[2]) if known else 0.0
    if plan.direction == "either":
        other = _log_e(restarted, ((-floor - origin, -1), (-limit - floor - origin, -1), (-limit - origin, 1)))
        log_harm = float(np.logaddexp(log_harm, _total(other[0]))) - math.log(2)
        if known:
            log_beyond = float(np.logaddexp(log_beyond, _total(other[1]))) - math.log(2)
            log_safety = min(log_safety, safe(other[2]))
    if floor > 0:
        spent = math.log1p(-FLOOR_SHARE)
        log_harm, log_beyond = log_harm + spent, log_beyond + spent
    mean = series.origin + series.total / series.n
    deviation = max(series.square - series.total**2 / series.n, 0.0)
    sd = max(math.sqrt(deviation / (series.n - 1)) if series.n > 1 else 0.0, resolution)
    lower = upper = None
    flags = state.flags
    if interval and len(restarted.n) and sd > 0:
        whole = _sums(series, discount, resolution, whole=True)
        lower, upper = _bounds(plan, series, restarted, whole, mean, sd, discount, sign, log_ratio=log_ratio)
        if lower is not None and upper is not None and lower > upper:
            lower, upper, flags = None, None, (*flags, "model-violated")
    rates = [0.0, 0.0, 0.0]
    if sd > 0:
        gaps = (sign * mean - floor, sign * mean - margin - floor, margin - sign * mean)
        rates = [_rate(gap / sd, discount) for gap in gaps]
    level = state.canary_sum / state.used
    return msgspec.structs.replace(
        common,
        estimate=_shown(mean, log_ratio),
        lower=lower,
        upper=upper,
        log_e_harm=log_harm,
        log_e_harm_margin=log_beyond,
        log_e_safety=log_safety,
        harm_rate=rates[0],
        harm_margin_rate=rates[1],
        safety_rate=rates[2],
        canary_total=float(state.used),
        stable_total=float(state.used),
        level=level,
        level_upper=(
            _level_upper(plan, state, (1 - phi) / (1 + phi)) if interval or plan.absolute_floor is not None else None
        ),
        effective_n=state.used * (1 - phi) / (1 + phi),
        since=int(restarted.looks[int(logs[0].argmax())]) if len(restarted.n) else 0,
        flags=flags,
    )


FLOOR_SHARE = 0.2  # of alpha goes to the noise floor's own error


def uses_log_ratio(plan: Plan, state: TState) -> bool:
    """Log ratios need positive values throughout, in the look-back too, and a margin that is not absolute."""
    if plan.margin.absolute is not None and plan.margin.relative is None:
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


def _shown(value: float, log_ratio: bool) -> float:
    return math.exp(min(max(value, -700.0), 700.0)) if log_ratio else value


def _rate(gap: float, discount: float) -> float:
    return 0.5 * discount * math.log1p(gap * gap) if gap > 0 else 0.0


def _bounds(
    plan: Plan,
    series: Series,
    restarted: Sums,
    whole: Sums,
    mean: float,
    sd: float,
    discount: float,
    sign: int,
    *,
    log_ratio: bool,
) -> tuple[float | None, float | None]:
    threshold = math.log(1 / plan.alpha) + (math.log(2) if plan.direction == "either" else 0.0)
    step = 3.0 * sd / math.sqrt(max(series.n * discount, 1.0))

    def end(direction: int) -> float:
        sums = restarted if direction == sign or plan.direction == "either" else whole

        def excess(null: float) -> float:
            return _total(_log_e(sums, ((null - series.origin, direction),))[0]) - threshold

        return confidence_limit(excess, direction, mean, step, 1e4 * step)

    lower, upper = end(1), end(-1)
    return (
        _shown(lower, log_ratio) if math.isfinite(lower) else None,
        _shown(upper, log_ratio) if math.isfinite(upper) else None,
    )


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
