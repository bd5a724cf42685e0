"""The running sums that a t-test on paired differences needs: prewhitened, winsorised, with restarts.

A series holds one scale of the differences (log ratio, or the metric's own unit) in a few numbers and one short row
per start, whatever the number of looks.
"""

import math
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from .calibration import FALLBACK_AUTOCORRELATION, LONGEST_MEMORY, prewhitened_deviation
from .plan import Calibration, Plan, Within
from .starts import log_weight, surplus

Array = NDArray[np.float64]

ROW = 6  # of a start: look, log weight, n, sum, sum of squares, sum of products
FEWEST = 2.0  # points before a start has a variance
FEWEST_FOR_MEMORY = 4.0
COARSE_POINTS = 10  # points wanted before a variance that is all rounding may speak, where none is known
ZERO = np.zeros(())  # numpy takes it in half the time of a float


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
    first: float = 1.0  # what the first of the n points counts for, in points

    @property
    def weight(self) -> float:
        """What the points count for together."""
        return self.n - 1.0 + self.first


def _whitening(calibration: Calibration | None) -> float:
    return calibration.autocorrelation if calibration is not None and calibration.sufficient else 0.0


class Fold(msgspec.Struct, frozen=True):
    """How differences are folded: within which fences, and with which AR(1) parameter they are prewhitened."""

    low: float = -math.inf
    high: float = math.inf
    phi: float = 0.0


def usual(plan: Plan, *, log_ratio: bool) -> Fold:
    """The look-back's fences, with room for harm of the size of the margin."""
    calibration = plan.calibration
    phi = _whitening(calibration)
    if calibration is None or calibration.log_ratio != log_ratio:
        return Fold(phi=phi)
    return Fold(*calibration.fences(plan.margin), phi)


def closer(within: Within) -> Fold:
    return Fold(-within.fence, within.fence, within.autocorrelation)


def extend(plan: Plan, series: Series, value: float, used: int, fold: Fold) -> Series:
    """Fold one difference, the `used`-th.

    The first difference of a stationary AR(1) tells as much of the mean as (1 + phi) / (1 - phi) prewhitened ones, of
    which it is the first (the exact likelihood). A copy that starts later has it behind it.
    """
    value, phi = min(max(value, fold.low), fold.high), fold.phi
    if used == 1:
        row = _row(0, log_weight(0, plan.planned_looks) if plan.restarts else 0.0, 0.0, 0.0, 0.0, 0.0)
        return Series(n=1.0, origin=value, last=value, starts=row, first=worth_of_first(phi))
    centred = (value - phi * series.last) / (1.0 - phi) - series.origin
    n, total, square = series.n + 1.0, series.total + centred, series.square + centred * centred
    products = series.products + (value - series.origin) * (series.last - series.origin)
    starts = series.starts
    weight = log_weight(used, plan.planned_looks) if plan.restarts else None
    if weight is not None:
        starts += _row(used, weight, n, total, square, products)
        rows = np.frombuffer(starts, "<f8").reshape(-1, ROW)
        spare = surplus([used - int(at) for at in rows[:, 0]])
        if spare is not None:
            starts = np.delete(rows, spare, axis=0).tobytes()
    return Series(
        n=n,
        total=total,
        square=square,
        origin=series.origin,
        last=value,
        products=products,
        products_n=series.products_n + 1,
        starts=starts,
        first=series.first,
    )


def worth_of_first(phi: float) -> float:
    """What the first difference counts for, in prewhitened points: the ratio of their variances."""
    return (1.0 + phi) / (1.0 - phi)


def _row(look: int, weight: float | None, n: float, total: float, square: float, products: float) -> bytes:
    return np.array([look, weight or 0.0, n, total, square, products], "<f8").tobytes()


class Sums(msgspec.Struct, frozen=True):
    """Per start that has seen noise, the first in front: what its points count for together, their mean about the
    origin, squared deviations, and how many points these are of; the prior's included in both."""

    n: Array
    mean: Array
    deviation: Array
    points: Array
    log_weights: Array
    looks: Array
    known: float = 0.0  # points that the look-back's variance counts for
    discount: float = 1.0  # what a point of the first start counts for


PRIOR_POINTS = 20.0  # what a look-back's variance counts for: enough for a large harm not to wait for a variance
PRIOR_SHARE = 0.25  # of the planned looks, where that is more: a calm stretch of a long run must not pass for its noise
MOST_PRIOR_POINTS = 60.0


def prior_points(planned: int) -> float:
    """What a look-back's variance counts for. planned: looks of the run, 0 where it is open-ended."""
    return min(max(PRIOR_POINTS, PRIOR_SHARE * planned), MOST_PRIOR_POINTS)


def prior(calibration: Calibration | None, planned: int = 0) -> tuple[float, float]:
    """(points, squared deviations) that a look-back's variance is worth, one standard error up; 0 without one."""
    if calibration is None or not calibration.sufficient or calibration.lag_one is None or calibration.scale <= 0.0:
        return 0.0, 0.0
    return prior_of(calibration, calibration.points, planned)


def prior_of(noise: Calibration | Within, looked_back: int, planned: int) -> tuple[float, float]:
    """`prior` of this noise. looked_back: points of the look-back."""
    return _prior(noise.scale, noise.autocorrelation, noise.lag_one, looked_back, planned)


@lru_cache(maxsize=4096)
def _prior(
    scale: float, autocorrelation: float, lag_one: float | None, looked_back: int, planned: int
) -> tuple[float, float]:
    deviation = prewhitened_deviation(scale, autocorrelation, lag_one)
    deviation *= 1.0 + 1.0 / math.sqrt(2.0 * looked_back)
    points = prior_points(planned)
    return points, points * deviation * deviation


def sums(series: Series, floor: float, before: tuple[float, float] = (0.0, 0.0), *, whitened: bool) -> Sums:
    """before: see `prior`, on this series' scale. floor: least standard deviation, where none is known.

    A start needs FEWEST points. Where the series is not whitened each start's points are discounted by the memory that
    it has seen itself: that of the whole run takes a step in the middle for a memory without end.

    A run that is noisier than its look-back takes the look-back's variance for its own: noise that tripled since would
    false-alarm 14 % of the time otherwise.
    """
    rows = np.frombuffer(series.starts, "<f8").reshape(-1, ROW)
    kept = len(rows)
    while kept and series.n - rows.item(kept - 1, 2) < FEWEST:  # starts are in order: the young ones are last
        kept -= 1
    if kept < len(rows):
        rows = rows[:kept]
    looks, log_weights = rows[:, 0], rows[:, 1]
    n = series.n - rows[:, 2]
    known, square = before
    points = n + known
    if kept:
        n[0] = series.weight  # the first start has them all
    total = series.total - rows[:, 3]
    mean = total / n
    total *= mean
    deviation = series.square - rows[:, 4]
    deviation -= total
    deviation = np.maximum(deviation, ZERO, out=deviation)
    if known:  # of a whitened series
        if kept:
            square = max(square, known * deviation.item(0) / (series.n - 1.0))
        deviation += square
        return Sums(n, mean, deviation, points, log_weights, looks, known)
    seen = (deviation > 0.0) | (points >= COARSE_POINTS)
    share = np.ones(kept)
    if not whitened and kept:
        pairs = n - (rows[:, 2] == 0.0)  # the first point has none before it
        share = discount_of(memory(n, deviation / n, (series.products - rows[:, 5]) / pairs - mean * mean))
        n = n * share
        deviation = deviation / (points - 1.0) * (n - 1.0)
        points = n
    deviation = np.maximum(deviation, floor * floor * (points - 1.0))
    ready = np.flatnonzero(seen & (n > 1.0) & (deviation > 0.0))
    n, mean, deviation, points = n[ready], mean[ready], deviation[ready], points[ready]
    return Sums(n, mean, deviation, points, log_weights[ready], looks[ready], 0.0, share.item(0) if kept else 1.0)


class Whole(msgspec.Struct, frozen=True):
    """What the first start has seen: n points that count, their mean, squared deviations (and the prior's)."""

    n: float
    mean: float
    deviation: float
    freedom: float  # of the deviations, without the prior's
    known: float  # points that the look-back's variance counts for
    discount: float = 1.0


def whole(data: Sums) -> Whole | None:
    """The first start of these; None while there is no variance to go by."""
    if not len(data.looks) or data.looks.item(0) > 0.0:
        return None
    freedom = data.points.item(0) - data.known - 1.0
    return Whole(data.n.item(0), data.mean.item(0), data.deviation.item(0), freedom, data.known, data.discount)


def alone(series: Series, floor: float, before: tuple[float, float]) -> Whole | None:
    """`whole` of a whitened series, without arrays; arguments as for `sums`."""
    mean, freedom = series.total / series.weight, series.n - 1.0
    if freedom < FEWEST - 1.0:
        return None
    seen = max(series.square - series.total * mean, 0.0)
    known, square = before
    if known:
        square = max(square, known * seen / freedom)
    elif seen <= 0.0 and freedom + 1.0 < COARSE_POINTS:
        return None
    else:
        seen = max(seen, floor * floor * freedom)
    return Whole(series.weight, mean, seen + square, freedom, known) if seen + square > 0.0 else None


def memory(n: Array, variance: Array, covariance: Array) -> Array:
    """AR parameter of series of n points, leaning up: Kendall's bias and one standard error, FALLBACK at least."""
    r = np.clip(np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 0.0), 0.0, 1.0)
    r = r + (1.0 + 3.0 * r) / n + np.sqrt((1.0 - r * r) / n)
    r = np.clip(r, FALLBACK_AUTOCORRELATION, LONGEST_MEMORY)
    found: Array = np.where(n < FEWEST_FOR_MEMORY, FALLBACK_AUTOCORRELATION, r)
    return found


def discount_of(memory: Array) -> Array:
    """What a point of an AR series counts for, in independent ones."""
    return (1.0 - memory) / (1.0 + memory)
