"""One-sided mixture e-processes over a log ratio, for likelihoods of the form  x psi - S(psi).

Conditional binomial and Fisher noncentral tables have this form: x counts the canary's events and S is the sum over
looks of a log partition function, which varies with time but never with x. S is analytic within |Im psi| < pi, so
its values at Chebyshev nodes on [-RANGE, RANGE] determine it to about 1e-12 of its size; a few dozen numbers are
therefore the whole state, whatever the traffic did.

E(psi0) = sum_j w_j sum_i pi_i exp((L_j(psi0 + d_i) - L_j(psi0)) / phi): j runs over starts (late onset), i over
distances. Exact for phi = 1; phi > 1 tempers the likelihood by the dispersion (quasi-likelihood).

Sources: Wald (1945) for likelihood ratios; Robbins (1970) for mixtures; Ville's inequality for "at every look".
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from .plan import MAX_LOG_RATIO
from .roots import confidence_limit

Array = NDArray[np.float64]

RANGE = 5.0
NODES = 40  # Bernstein radius 1.8: interpolation error about 1.8 ** -40
DISTANCES = 20
NEAREST, FARTHEST = 0.02, 3.5  # log-ratio distances of the alternatives from the null
LATE_NEAREST, LATE_FARTHEST = 0.3, 2.0  # of the copies that start later
CAUCHY_SCALE = 1.0  # half of a half-Cauchy's weight lies within a factor of e: few events only show large effects

_max, _sum = np.maximum.reduce, np.add.reduce  # the methods of an array say the same in twice the time


@cache
def nodes() -> Array:
    angle = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
    return RANGE * np.cos(angle)


@cache
def _barycentric() -> Array:
    index = np.arange(NODES)
    weights: Array = np.where(index % 2 == 0, 1.0, -1.0) * np.sin((2 * index + 1) * np.pi / (2 * NODES))
    return weights


def interpolation(points: Array) -> Array:
    """Matrix (NODES, len(points)): values at the nodes @ matrix = values at `points`, which lie within RANGE."""
    gap = points[None, :] - nodes()[:, None]
    exact = gap == 0.0
    if exact.any():
        gap[exact] = 1e-300  # so near that the node's own value is all that counts
    matrix = _barycentric()[:, None] / gap
    scaled: Array = matrix / matrix.sum(axis=0)
    return scaled


@lru_cache(maxsize=256)
def _column(point: float) -> Array:
    column: Array = interpolation(np.array([point]))[:, 0]
    return column


def between(values: Array, point: float, *, often: bool) -> float:
    """The function with these values at the nodes, at a point within RANGE. often: the same point comes again."""
    if often:
        return float(values @ _column(point))
    gap = point - nodes()
    if not gap.all():
        return float(values[int(np.flatnonzero(gap == 0.0)[0])])
    share = _barycentric() / gap
    return float(values @ share / _sum(share))


@cache
def distances() -> tuple[Array, Array]:
    """Distances of the alternatives (DISTANCES,) and their prior log weights (half-Cauchy, summing to one)."""
    d = np.geomspace(NEAREST, FARTHEST, DISTANCES)
    density = d / (1.0 + (d / CAUCHY_SCALE) ** 2)  # times d: the grid is geometric
    return d, np.log(density / density.sum())


@cache
def _late() -> tuple[slice, float]:
    """Which alternatives a late start has, LATE_NEAREST to LATE_FARTHEST, and the log of what their weights grow by.

    Small effects need longer than a late start has; the first start looks for them.
    """
    d, log_prior = distances()
    kept = np.flatnonzero((d >= LATE_NEAREST) & (d <= LATE_FARTHEST))
    part = slice(int(kept[0]), int(kept[-1]) + 1)
    return part, -math.log(float(np.exp(log_prior[part]).sum()))


@dataclass(frozen=True, slots=True)
class Contrast:
    """What turns [events, S at the nodes] into log likelihood ratios of a null's alternatives against it.

    whole: (NODES + 1, DISTANCES), late: its columns for late starts; the priors are log weights of the same columns.
    """

    whole: Array
    whole_prior: Array
    late: Array
    late_prior: Array


@lru_cache(maxsize=256)
def contrast(null: float, sign: int) -> Contrast:
    """H0 is psi <= null for sign +1, psi >= null for sign -1. Alternatives outside RANGE are left out with their
    weight: the mixture then starts below 1, which is allowed.
    """
    return _contrast(null, sign)


def _contrast(null: float, sign: int) -> Contrast:
    d, log_prior = distances()
    points = null + sign * d
    prior: Array = np.where(np.abs(points) <= RANGE, log_prior, -np.inf)
    points = np.clip(points, -RANGE, RANGE)
    values = interpolation(np.concatenate(([null], points)))
    whole = np.concatenate(((points - null)[None, :], values[:, :1] - values[:, 1:]))
    part, growth = _late()
    return Contrast(whole, prior, np.ascontiguousarray(whole[:, part]), prior[part] + growth)


Null = tuple[float, int]


@lru_cache(maxsize=256)
def abreast(nulls: tuple[Null, ...]) -> tuple[Array, Array]:
    """The whole-run contrasts of several nulls side by side: (NODES + 1, nulls * DISTANCES), and their priors."""
    all_ = [contrast(*null) for null in nulls]
    return np.concatenate([one.whole for one in all_], axis=1), np.concatenate([one.whole_prior for one in all_])


def log_whole(since: Array, matrix: Array, prior: Array) -> list[float]:
    """Log e-values of the first start, one per null.

    since: (NODES + 1,) events and S, both divided by the temper phi >= 1. matrix, prior: of a
    `Contrast`, or `abreast`.
    """
    gain = (since @ matrix + prior).reshape(-1, DISTANCES)
    top = _max(gain, axis=1)
    found: list[float] = (np.log(_sum(np.exp(gain - top[:, None]), axis=1)) + top).tolist()
    return found


def log_late(since: Array, log_weights: Array, against: Contrast) -> tuple[float, int, float]:
    """(log of the summed w_j E_j of the late starts, the index of the largest, the log of that one).

    since: (J, NODES + 1) as in `log_whole`, J >= 1; log_weights: (J, 1).
    """
    gain = since @ against.late + against.late_prior + log_weights
    top = float(_max(gain, axis=None))
    each = _sum(np.exp(gain - top), axis=1)
    best = int(each.argmax())
    return math.log(float(_sum(each))) + top, best, math.log(float(each[best])) + top


def log_all(since: Array, log_weights: Array | None, null: float, sign: int) -> float:
    """Log of the summed w_j E_j of all starts against a null that does not come again; see `limit`.

    As `log_whole` and `log_late` with the null's contrast, which is not made: a confidence limit asks twenty nulls.
    """
    d, log_prior = distances()
    points, columns = _ahead(sign) + null, _column_nodes()
    gap = points - columns
    if abs(null) + FARTHEST > RANGE or not gap.all():
        return _log_all(since, log_weights, null, sign)
    share = _column_weights() / gap
    values = since[:, 1:] @ share / _sum(share, axis=0)
    gain = since[:, :1] * (sign * d) + (values[:, :1] - values[:, 1:])
    logs = gain[0] + log_prior
    if log_weights is not None:
        logs += log_weights[0, 0]
        if len(since) > 1:
            part, growth = _late()
            late = gain[1:, part] + (log_prior[part] + growth) + log_weights[1:]
            logs = np.concatenate((logs, late.ravel()))
    top = float(_max(logs))
    return math.log(float(_sum(np.exp(logs - top)))) + top


def _log_all(since: Array, log_weights: Array | None, null: float, sign: int) -> float:
    against = _contrast(null, sign)
    level = log_whole(since[0], against.whole, against.whole_prior)[0]
    if log_weights is not None:
        level += float(log_weights[0, 0])
        if len(since) > 1:
            level = log_add(level, log_late(since[1:], log_weights[1:], against)[0])
    return level


@cache
def _ahead(sign: int) -> Array:
    return np.concatenate(([0.0], sign * distances()[0]))


@cache
def _column_nodes() -> Array:
    return nodes()[:, None]


@cache
def _column_weights() -> Array:
    return _barycentric()[:, None]


def log_add(a: float, b: float) -> float:
    """log(e^a + e^b); at least one is finite."""
    high, low = (a, b) if a >= b else (b, a)
    return high + math.log1p(math.exp(low - high))


def limit(
    since: Array, log_weights: Array | None, sign: int, log_threshold: float, guess: tuple[float, float]
) -> float:
    """The end of the confidence sequence of the log ratio: lower (sign +1) or upper (-1), unbounded beyond x30.

    since: (J, NODES + 1) as in `log_late`, the first start in front. log_weights: (J, 1), or None: the first start
    alone, with all the weight. guess: the estimate and a step, where the search starts.
    """

    def excess(null: float) -> float:
        return log_all(since, log_weights, min(max(null, -MAX_LOG_RATIO), MAX_LOG_RATIO), sign) - log_threshold

    at = min(max(guess[0], -MAX_LOG_RATIO), MAX_LOG_RATIO)
    found = sign * confidence_limit(excess, sign, at, guess[1], MAX_LOG_RATIO)
    return sign * (min(found, MAX_LOG_RATIO) if found > -MAX_LOG_RATIO else -math.inf)
