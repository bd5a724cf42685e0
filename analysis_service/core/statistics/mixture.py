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
CAUCHY_SCALE = 0.7  # half of the prior weight lies within a factor of two


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


@cache
def distances() -> tuple[Array, Array]:
    """Distances of the alternatives (DISTANCES,) and their prior log weights (half-Cauchy, summing to one)."""
    d = np.geomspace(NEAREST, FARTHEST, DISTANCES)
    density = d / (1.0 + (d / CAUCHY_SCALE) ** 2)  # times d: the grid is geometric
    return d, np.log(density / density.sum())


@cache
def _late_prior() -> Array:
    """What a late start's prior log weights differ by: alternatives LATE_NEAREST to LATE_FARTHEST only.

    Small effects need longer than a late start has; the first start looks for them.
    """
    d, log_prior = distances()
    kept = (d >= LATE_NEAREST) & (d <= LATE_FARTHEST)
    difference: Array = np.where(kept, -math.log(float(np.exp(log_prior[kept]).sum())), -np.inf)
    return difference


Null = tuple[float, int]
"""(psi0, sign): H0 is psi <= psi0 for sign +1, psi >= psi0 for sign -1."""


@lru_cache(maxsize=256)
def _one_sided(nulls: tuple[Null, ...]) -> tuple[Array, Array, Array]:
    return _grid(nulls)


def _grid(nulls: tuple[Null, ...]) -> tuple[Array, Array, Array]:
    """For each null a row [null, alternatives...]: points, their interpolation matrix, prior log weights.

    Alternatives outside RANGE are left out with their weight: the mixture then starts below 1, which is allowed.
    """
    d, log_prior = distances()
    steps = np.concatenate(([0.0], d))
    points = np.concatenate([null + sign * steps for null, sign in nulls])
    inside = np.abs(points) <= RANGE
    prior = np.where(inside, np.tile(np.concatenate(([0.0], log_prior)), len(nulls)), -np.inf)
    points = np.clip(points, -RANGE, RANGE)
    return points, interpolation(points), prior.reshape(len(nulls), DISTANCES + 1)[:, 1:]


def log_mixture(events: Array, sums: Array, log_weights: Array, nulls: tuple[Null, ...], temper: float) -> Array:
    """log(w_j E_j) per start j and null, shape (J, len(nulls)).

    events: (J,) canary events since each start, the first start in front. sums: (J, NODES) S since each start.
    temper: phi >= 1.
    """
    return _log_mixture(events, sums, log_weights, *_one_sided(nulls), temper)


def _log_mixture(
    events: Array, sums: Array, log_weights: Array, points: Array, matrix: Array, prior: Array, temper: float
) -> Array:
    level = ((events[:, None] * points - sums @ matrix) / temper).reshape(len(events), -1, DISTANCES + 1)
    gain = level[:, :, 1:] - level[:, :, :1] + prior
    gain[1:] += _late_prior()
    top = gain.max(axis=2)
    total: Array = np.log(np.exp(gain - top[:, :, None]).sum(axis=2)) + top + log_weights[:, None]
    return total


def log_sum(values: Array) -> float:
    top = float(values.max())
    return top + math.log(float(np.exp(values - top).sum()))


def limit(
    events: Array,
    sums: Array,
    log_weights: Array,
    sign: int,
    temper: float,
    log_threshold: float,
    guess: tuple[float, float],
) -> float:
    """The end of the confidence sequence of the log ratio: lower (sign +1) or upper (-1), unbounded beyond x30.

    guess: the estimate and a step, where the search starts.
    """

    def excess(null: float) -> float:
        null = min(max(null, -MAX_LOG_RATIO), MAX_LOG_RATIO)
        mixture = _log_mixture(events, sums, log_weights, *_grid(((null, sign),)), temper)
        return log_sum(mixture) - log_threshold

    at = min(max(guess[0], -MAX_LOG_RATIO), MAX_LOG_RATIO)
    found = sign * confidence_limit(excess, sign, at, guess[1], MAX_LOG_RATIO)
    return sign * (min(found, MAX_LOG_RATIO) if found > -MAX_LOG_RATIO else -math.inf)
