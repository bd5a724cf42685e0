"""Alpha spending and the bounds of group-sequential designs, one-sided.

z-statistics at information fractions t_1 < ... < t_K have the covariance of a Brownian motion; a bound is found
look by look so that the chance of crossing first there is the alpha to be spent (recursive integration of
Armitage, McPherson & Rowe 1969). Sources: Lan & DeMets (1983); O'Brien & Fleming (1979); Pocock (1977).
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Spending = Literal["obrien-fleming", "pocock"]

GRID = 251  # points over the continuation region: 1e-6 in z, and a design of 20 looks takes about 10 ms
LOWEST = -6.5  # one-sided: below this a path is not followed back up (4e-11 of all)
TOP = 7.0  # nor above this, where the bound is higher still
HIGHEST = 9.0
NEVER = 1e-15  # a look that may spend less than this never stops: its bound is HIGHEST

_NORMAL = NormalDist()


def spent(fraction: float, alpha: float, spending: Spending) -> float:
    """One-sided alpha spent at an information fraction in [0, 1]."""
    t = min(max(fraction, 0.0), 1.0)
    if t <= 0.0:
        return 0.0
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1.0) * t)
    return math.erfc(-_NORMAL.inv_cdf(alpha / 2) / math.sqrt(t) / math.sqrt(2.0))  # 2 (1 - Phi(z / sqrt t))


def _tail(z: Array) -> Array:
    from scipy.special import ndtr

    result: Array = ndtr(-z)
    return result


def _simpson(low: float, high: float) -> tuple[Array, Array]:
    points = np.linspace(low, high, GRID)
    weights = np.full(GRID, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return points, weights * (high - low) / (GRID - 1) / 3.0


class Walk:
    """Density of the z-statistic among runs that have not stopped, at the last look."""

    def __init__(self) -> None:
        self.fraction = 0.0
        self.points: Array | None = None
        self.mass: Array | None = None

    def crossing(self, fraction: float, bound: float) -> float:
        """Chance to reach `bound` (upwards) first at this look."""
        if self.points is None or self.mass is None:
            return float(_tail(np.array([bound]))[0])
        step = fraction - self.fraction
        drift = self.points * math.sqrt(self.fraction)
        return float(self.mass @ _tail((bound * math.sqrt(fraction) - drift) / math.sqrt(step)))

    def stop_at(self, fraction: float, bound: float, low: float = LOWEST) -> None:
        """Go on with the runs that stayed between `low` and `bound` at this look."""
        points, weights = _simpson(low, min(bound, TOP))
        if self.points is None or self.mass is None:
            density = np.exp(-0.5 * points**2) / math.sqrt(2 * math.pi)
        else:
            step = fraction - self.fraction
            gap = points[:, None] * math.sqrt(fraction) - self.points[None, :] * math.sqrt(self.fraction)
            kernel = np.exp(-0.5 * gap**2 / step) * math.sqrt(fraction / step) / math.sqrt(2 * math.pi)
            density = kernel @ self.mass
        self.fraction, self.points, self.mass = fraction, points, density * weights


def lan_demets(fractions: Sequence[float], alpha: float, spending: Spending) -> list[float]:
    """One-sided z bounds at increasing information fractions (any spacing). Bounds above 9 are given as 9."""
    walk, bounds, done = Walk(), list[float](), 0.0
    for fraction in fractions:
        target = spent(fraction, alpha, spending) - done
        bound = _solve(lambda z, f=fraction: walk.crossing(f, z), target)  # type: ignore[misc]
        done += walk.crossing(fraction, bound) if bound < HIGHEST else 0.0
        walk.stop_at(fraction, bound)
        bounds.append(bound)
    return bounds


def _solve(chance: Callable[[float], float], target: float) -> float:
    low, high = LOWEST, HIGHEST
    if target < NEVER or chance(high) > target:
        return high
    for _ in range(40):  # 18 / 2^40
        middle = 0.5 * (low + high)
        if chance(middle) > target:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def classical(looks: int, alpha: float, shape: Spending) -> list[float]:
    """O'Brien-Fleming (falling as 1/sqrt t) or Pocock (constant) bounds at equal spacing, one-sided alpha."""
    fractions = [(k + 1) / looks for k in range(looks)]

    def bounds(constant: float) -> list[float]:
        return [constant / math.sqrt(t) if shape == "obrien-fleming" else constant for t in fractions]

    def total(constant: float) -> float:
        walk, chance = Walk(), 0.0
        for fraction, bound in zip(fractions, bounds(constant), strict=True):
            chance += walk.crossing(fraction, bound)
            walk.stop_at(fraction, bound)
        return chance

    return bounds(_solve(total, alpha))


def repeated_test_level(looks: int, z: float) -> float:
    """Chance that |z| exceeds a fixed z at one of `looks` equally spaced looks under no effect."""
    walk, chance = Walk(), 0.0
    for k in range(looks):
        fraction = (k + 1) / looks
        # symmetric: what leaves below equals what leaves above
        chance += 2 * walk.crossing(fraction, z)
        walk.stop_at(fraction, z, low=-z)
    return chance
