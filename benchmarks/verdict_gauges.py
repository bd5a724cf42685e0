"""Many runs of the gauge test at once; see `verdict_counts` for why, and for what keeps it honest."""

import math

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import stdtr

from analysis_service.core.statistics import last_look
from analysis_service.core.statistics.gauge_series import (
    Fold,
    closer,
    prior,
    prior_of,
    prior_points,
    usual,
    worth_of_first,
)
from analysis_service.core.statistics.plan import Calibration, Plan
from analysis_service.core.statistics.shown import at_least, moved
from analysis_service.core.statistics.starts import log_weight, surplus
from analysis_service.core.statistics.t_evidence import FLOOR_SHARE, MIDDLE
from analysis_service.core.statistics.t_mixture import G2

Array = NDArray[np.float64]


class Gauges:
    """The state of R calibrated runs whose values are all positive: log ratios, prewhitened and winsorised."""

    def __init__(self, planned: int, folds: list[Fold], priors: list[float], floors: list[float]) -> None:
        """priors: squared deviations that the look-backs' variances bring."""
        self.planned = planned
        assert all(fold.phi > 0.0 for fold in folds)
        self.phi = np.array([fold.phi for fold in folds])
        self.low, self.high = np.array([fold.low for fold in folds]), np.array([fold.high for fold in folds])
        self.floor, self.prior = np.array(floors), np.array(priors)
        self.first = np.array([worth_of_first(fold.phi) for fold in folds])
        runs = len(folds)
        self.used = 0
        self.origin, self.last = np.zeros(runs), np.zeros(runs)
        self.levels = np.zeros((2, runs))
        self.values: tuple[Array, Array] = (np.zeros(runs), np.zeros(runs))
        self.step = np.full(runs, np.inf)
        self.sums = np.zeros((2, runs))  # of the centred points, and of their squares
        self.looks: list[int] = []
        self.weights: list[float] = []
        self.starts: list[tuple[float, Array]] = []

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        for name in ("first", "phi", "low", "high", "floor", "prior", "origin", "last", "step"):
            setattr(self, name, getattr(self, name)[chosen])
        self.values = (self.values[0][chosen], self.values[1][chosen])
        self.sums, self.levels = self.sums[:, chosen], self.levels[:, chosen]
        self.starts = [(n, sums[:, chosen]) for n, sums in self.starts]

    def add(self, canary: Array, stable: Array) -> None:
        if self.used:
            for now, before in zip((canary, stable), self.values, strict=True):
                change = np.abs(now - before)
                self.step = np.where(change > 0, np.minimum(self.step, change), self.step)
        self.values = (canary, stable)
        self.levels = self.levels + np.stack((canary, stable))
        value = np.clip(np.log(canary) - np.log(stable), self.low, self.high)
        self.used += 1
        if self.used == 1:
            self.origin = self.last = value
            return
        centred = (value - self.phi * self.last) / (1.0 - self.phi) - self.origin
        self.last = value
        self.sums = self.sums + np.stack((centred, centred * centred))
        weight = log_weight(self.used, self.planned)
        if weight is not None:
            self.looks.append(self.used)
            self.weights.append(weight)
            self.starts.append((self.used - 1.0, self.sums))
            spare = surplus([self.used - at for at in [0, *self.looks]])
            if spare is not None:
                del self.looks[spare - 1], self.weights[spare - 1], self.starts[spare - 1]

    def log_e(self, null: Array, sign: int, *, restarted: bool, part: float = 0.0, limit: Array | None = None) -> Array:
        """Log e-value of the whole run, or of the mixture over all starts; shape (R,).

        part, limit: of the bet on the last look, and the log e-values that decide; None: without one.
        """
        first = log_weight(0, self.planned)
        assert first is not None
        begins: list[tuple[float, Array | float]] = [(0.0, 0.0)]
        weights = [first if restarted else 0.0]
        if restarted:
            begins += self.starts
            weights += self.weights
        points = self.used - 1.0
        kept = [i for i, (n, _) in enumerate(begins) if points - n >= (1.0 if i == 0 else 2.0)]
        if not kept:
            return np.zeros_like(self.origin)
        freedom = np.array([points - begins[i][0] - (i > 0) for i in kept])
        rows = [self.first + points if i == 0 else np.full(len(self.first), points - begins[i][0]) for i in kept]
        n = np.array(rows).T  # (R, J)
        parts = np.stack([self.sums - begins[i][1] for i in kept], axis=2)  # (2, R, J)
        mean = parts[0] / n
        resolution = (
            np.where(np.isfinite(self.step), self.step, 0.0)
            / math.sqrt(12.0)
            * self.used
            / np.sqrt(self.levels.prod(axis=0))
        )
        deviation = np.maximum(parts[1] - parts[0] * mean, resolution[:, None] ** 2 * freedom)
        whole = np.maximum(self.sums[1] - self.sums[0] ** 2 / (self.first + points), 0.0) / points
        deviation = deviation + np.maximum(self.prior, prior_points(self.planned) * whole)[:, None]
        gap = sign * (mean - (null - self.origin)[:, None])
        shrink = 1.0 + n * G2
        square = gap * gap * n
        bent, freedom = square / shrink + deviation, freedom + 1.0 + prior_points(self.planned)
        level = 0.5 * freedom * np.log((square + deviation) / bent) - 0.5 * np.log(shrink)
        level += np.log(2.0 * stdtr(freedom, gap * n * np.sqrt(G2 * freedom / (shrink * bent))) + 1e-300)
        level = np.where(gap > 0, level, np.minimum(level, 0.0)) + np.array(weights)[kept]
        top = level.max(axis=1)
        total: Array = np.log(np.exp(level - top[:, None]).sum(axis=1)) + top
        if limit is None or part == 0.0:
            return total
        total += math.log1p(-part)
        known = self.used + prior_points(self.planned)
        left, level = self.planned - self.used, part * np.exp(-limit)
        more = bets(gap[:, 0], (square + deviation)[:, 0], n[:, 0], known, left, level)
        return np.where(total < limit, np.logaddexp(total, more + math.log(part)), total)


class Both:
    """All looks' differences of R runs, and their middle where the look-back chose one (see `closer`)."""

    def __init__(self, plan: Plan, calibrations: list[Calibration]) -> None:
        assert all(c.sufficient and c.log_ratio for c in calibrations)
        planned, self.level = plan.planned_looks, plan.alpha  # which is beta here
        self.parts = last_look.shares(planned)
        folds = [usual(replace(plan, calibration=c), log_ratio=True) for c in calibrations]
        priors, floors = [prior(c, planned)[1] for c in calibrations], [c.noise_floor for c in calibrations]
        self.all = Gauges(planned, folds, priors, floors)
        self.closer = np.array([c.harm is not None for c in calibrations])
        for k, c in enumerate(calibrations):
            if c.harm is not None:
                folds[k], floors[k] = closer(c.harm), c.harm.noise_floor
                priors[k] = prior_of(c.harm, c.points, planned)[1]
        self.middle = Gauges(planned, folds, priors, floors)
        assert plan.margin.relative is not None
        margin = math.log1p(plan.margin.relative)
        self.margin = np.array([[at(c.shown, margin) for c in calibrations] for at in (moved, at_least)])

    def add(self, canary: Array, stable: Array) -> None:
        self.all.add(canary, stable)
        self.middle.add(canary, stable)

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        self.all.keep(chosen)
        self.middle.keep(chosen)
        self.closer, self.margin = self.closer[chosen], self.margin[:, chosen]

    def harm(self, *, beyond: bool) -> Array:
        """beyond: the margin, of which the middle does not speak."""
        spent = self._spent()
        limit = -math.log(self.level) - spent
        if beyond:
            return (
                self.all.log_e(self.margin[0] + self.all.floor, 1, restarted=True, part=self.parts[0], limit=limit)
                + spent
            )
        more = np.where(self.closer, math.log(MIDDLE), 0.0)
        found = more + self.middle.log_e(self.middle.floor, 1, restarted=True, part=self.parts[0], limit=limit - more)
        rest = math.log1p(-MIDDLE) + self.all.log_e(self.all.floor, 1, restarted=False)
        return np.where(self.closer, np.logaddexp(found, rest), found) + spent

    def safety(self) -> Array:
        spent = self._spent()
        null, limit = self.margin[1] - self.all.floor, -math.log(self.level) - spent
        return self.all.log_e(null, -1, restarted=False, part=self.parts[1], limit=limit) + spent

    def _spent(self) -> Array:
        return np.where((self.all.floor > 0) | (self.middle.floor > 0), math.log1p(-FLOOR_SHARE), 0.0)


def bets(gap: Array, square: Array, n: Array, known: float, left: int, level: Array) -> Array:
    """`last_look.log_bet` of R runs; the levels are one or two numbers. known: points, the prior's too."""
    found = np.full(len(gap), -np.inf)
    end = n + left
    if left < 0 or end.min() < last_look.FEWEST:
        return found
    level = level * (1.0 - 1e-9)
    limit = np.array([last_look.bound(known + left - 1.0, float(one)) for one in level]) * np.sqrt(end)
    now = n * gap / np.sqrt(square)
    if left == 0:
        return np.where(now >= limit, -np.log(level), -np.inf)
    hopeful = now > np.maximum(limit * math.sqrt((known + left) / known) * (1.0 - np.sqrt(left / end)), 0.0)
    now, limit = now[hopeful], limit[hopeful]
    freedom, slope, total = known + max(left - 1.0, 0.0), left - limit * limit, np.zeros(len(now))
    root, width = math.sqrt(freedom), math.sqrt(left)
    for share, weight in last_look.nodes(known, max(left - 1.0, 0.0)):
        s = now * math.sqrt(share)
        inside = s * s + slope
        reach = limit * np.sqrt(np.maximum(inside, 0.0))
        chance = stdtr(freedom, root * (s * s - limit * limit) / (reach + s * width))
        few = slope < 0.0
        chance[few] -= stdtr(freedom, root * (s * width + reach)[few] / slope[few])
        total += np.where(inside > 0.0, weight * chance, 0.0)
    with np.errstate(divide="ignore"):
        found[hopeful] = np.log(np.maximum(total, 0.0) / level[hopeful])
    return found
