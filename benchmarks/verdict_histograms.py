"""Many runs of the histogram test at once; see `verdict_counts` for why, and for what keeps it honest.

Every edge of every run is a row of a count test; edges that most observations exceed are mirrored and form a group
of their own, as their alternatives lie on the other side.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from analysis_service.core.statistics import last_counts
from analysis_service.core.statistics.bucket_edge import SLOTS
from analysis_service.core.statistics.histogram import BEYOND
from analysis_service.core.statistics.plan import Calibration, Plan
from benchmarks.verdict_counts import Counts

Array = NDArray[np.float64]

QUANTILES = (0.5, 0.95, 0.99)
ALPHA = BETA = 0.05


class Histograms:
    """first: (R, buckets) of both arms' first look, which says which edges are mirrored.

    calibrations: of `edges`, by edge.
    """

    def __init__(
        self,
        planned: int,
        calibrations: Sequence[Calibration],
        first: Array,
        edges: tuple[float, ...],
        factor: float,
    ) -> None:
        self.edges, self.factor = np.array(edges), factor
        self.planned = planned
        self.parts = last_counts.parts(Plan("sequential-histogram", planned_looks=planned))
        below = np.cumsum(first, axis=1)[:, :-1]
        self.mirrored = 1.0 - below / first.sum(axis=1, keepdims=True) > 0.5  # (R, E)
        noise = [[one.at_edge(edge) for edge in edges] for one in calibrations]
        self.phi = np.array([[max(at.dispersion, 1.0) * max(at.long_run, 1.0) for at in row] for row in noise])
        self.sufficient = np.array([[at.sufficient for at in row] for row in noise])
        self.memory = np.array([[at.memory for at in row] for row in noise])
        self.order = self._groups(restarts=True)
        self.shifted: list[Counts] | None = None
        self.total = np.zeros_like(first)
        self.trials = np.zeros((2, 2, *self.mirrored.shape))  # against no change and the margin; how many had to be
        self.targets: NDArray[np.bool_] | None = None

    def _groups(self, *, restarts: bool) -> list[Counts]:
        groups = []
        for mirrored in (False, True):
            at = self.mirrored == mirrored
            groups.append(
                Counts(
                    int(at.sum()),
                    self.planned,
                    self.phi[at],
                    self.sufficient[at],
                    memory=self.memory[at],
                    restarts=restarts,
                    slots=SLOTS,
                )
            )
        return groups

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        for groups in (self.order, self.shifted or []):
            for mirrored, group in zip((False, True), groups, strict=False):
                rows = np.broadcast_to(chosen[:, None], self.mirrored.shape)[self.mirrored == mirrored]
                group.keep(rows)
        self.mirrored, self.total = self.mirrored[chosen], self.total[chosen]
        self.trials = self.trials[:, :, chosen]
        self.phi, self.sufficient, self.memory = self.phi[chosen], self.sufficient[chosen], self.memory[chosen]
        if self.targets is not None:
            self.targets = self.targets[chosen]

    def _beyond(self, counts: Array, values: Array) -> Array:
        """(R, E) observations above each value, linear inside a bucket."""
        below = np.concatenate((np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)), axis=1)  # at 0 and each edge
        known = np.concatenate(([min(0.0, float(self.edges[0]))], self.edges))
        at = np.clip(np.searchsorted(known, values, side="right") - 1, 0, len(known) - 2)
        share = (values - known[at]) / (known[at + 1] - known[at])
        seen = below[:, at] + (below[:, at + 1] - below[:, at]) * share
        beyond: Array = counts.sum(axis=1, keepdims=True) - seen
        return beyond

    def _least_beyond(self, counts: Array, values: Array) -> Array:
        """The least by the shape of stable's totals so far, as safety is asked of it: see `bucket_shape`."""
        found = self._beyond(counts, values)
        n = self.total.sum(axis=1)
        room = 0.5 / (n + 1.0)
        above = n[:, None] - np.cumsum(self.total, axis=1)[:, :-1]  # at each edge
        shares = np.clip(above / n[:, None], room[:, None], 1.0 - room[:, None])
        at = np.searchsorted(self.edges, values)  # the bucket that holds it
        for j, (value, i) in enumerate(zip(values.tolist(), at.tolist(), strict=True)):
            if value == self.edges[i]:
                continue
            low, high = float(self.edges[i - 1]) if i else 0.0, float(self.edges[i])
            k = max(i, 1)  # the bucket between whose ends the line is drawn
            part = math.log(value / self.edges[k - 1]) / math.log(self.edges[k] / self.edges[k - 1])
            from_, to, start, end = (
                shares[:, i - 1] if i else np.ones(len(n)),
                shares[:, i],
                shares[:, k - 1],
                shares[:, k],
            )
            normal = ndtr((1.0 - part) * ndtri(start) + part * ndtri(end))
            hazard = np.exp((1.0 - part) * np.log(-np.log(start)) + part * np.log(-np.log(end)))
            told = (self.total[:, i] > 0.0) & (from_ > to)
            even = (high - value) / (high - low)
            share = (np.minimum(normal, np.exp(-hazard)) - to) / np.where(told, from_ - to, 1.0)
            share = np.clip(share, 0.0, 1.0 if i else even)
            found[:, j] += counts[:, i] * (np.where(told, share, even) - even)
        return found

    def _feed(self, groups: list[Counts], canary: Array, stable: Array, factor: float) -> None:
        n_c, n_s = canary.sum(axis=1, keepdims=True), stable.sum(axis=1, keepdims=True)
        x_c = self._beyond(canary, self.edges)
        x_s = self._beyond(stable, self.edges) if factor == 1.0 else self._least_beyond(stable, self.edges / factor)
        x_c, x_s = np.where(self.mirrored, n_c - x_c, x_c), np.where(self.mirrored, n_s - x_s, x_s)
        n = n_c + n_s
        w = np.broadcast_to(n_c / n, x_c.shape)
        p = (x_c + x_s) / n
        least = np.maximum(x_c + x_s - n_s, 0.0)
        self.trials[int(factor != 1.0)] += np.stack((np.minimum(x_c + x_s, n_c) - least, least))
        residual, variance = x_c - w * (x_c + x_s), p * (1.0 - p) * n_c * n_s / n
        for mirrored, group in zip((False, True), groups, strict=True):
            rows = self.mirrored == mirrored
            group.add(x_c[rows], x_s[rows], w[rows], residual[rows], variance[rows])

    def add(self, canary: Array, stable: Array) -> None:
        self._feed(self.order, canary, stable, 1.0)
        if self.shifted is not None:
            self._feed(self.shifted, canary, stable, self.factor)
        self.total = self.total + stable
        totals = self.total.sum(axis=1)
        if self.shifted is None and totals.min() >= BEYOND / (1.0 - QUANTILES[-1]):
            assert totals.min() == totals.max(), "all runs choose their edges at the same look"
            self.shifted, self.targets = self._groups(restarts=False), self._choose()

    def _choose(self) -> NDArray[np.bool_]:
        targets = np.zeros(self.mirrored.shape, dtype=bool)
        share = self._beyond(self.total, self.edges) / self.total.sum(axis=1, keepdims=True)
        inside = (share > 0.0) & (share < 1.0)
        odds = np.log(np.where(inside, share, 0.5) / (1.0 - np.where(inside, share, 0.5)))
        for q in QUANTILES:
            distance = np.where(inside, np.abs(odds - math.log((1 - q) / q)), np.inf)
            targets[np.arange(len(targets)), distance.argmin(axis=1)] = True
        chosen: NDArray[np.bool_] = targets & inside
        return chosen

    def _spread(self, groups: list[Counts], null: float, sign: int, which: int) -> Array:
        found = np.zeros(self.mirrored.shape)
        for mirrored, group, order in zip((False, True), groups, self.order, strict=True):
            found[self.mirrored == mirrored] = group.log_e(null, -sign if mirrored else sign, order.temper())[which]
        return found

    def harm(self) -> Array:
        levels = self._spread(self.order, 0.0, 1, 1)
        top = levels.max(axis=1)
        mean: Array = np.log(np.exp(levels - top[:, None]).mean(axis=1)) + top + math.log1p(-self.parts[0])
        if self._bets():
            known = (self.trials[0, 0] > 0.0).sum(axis=1)[:, None]
            won = self._won(self.order, 0, 1, self.parts[0] * ALPHA / np.maximum(known, 1))
            mean = np.where(won.any(axis=1), np.logaddexp(mean, -math.log(ALPHA)), mean)
        return mean

    def safety(self) -> Array:
        if self.shifted is None or self.targets is None or self.shifted[0].used == 0:
            return np.zeros(len(self.total))
        levels = self._spread(self.shifted, 0.0, -1, 0) + math.log1p(-self.parts[1])
        if self._bets():
            won = self._won(self.shifted, 1, -1, np.full((len(levels), 1), self.parts[1] * BETA))
            levels = np.where(won, np.logaddexp(levels, -math.log(BETA)), levels)
        least: Array = np.where(self.targets, levels, np.inf).min(axis=1)
        return np.where(self.targets.any(axis=1), least, 0.0)

    def _bets(self) -> bool:
        return any(self.parts) and self.order[0].used == self.planned

    def _won(self, groups: list[Counts], against: int, sign: int, level: Array) -> NDArray[np.bool_]:
        """(R, E) whether the bet on the last look is won. against: 0 no change, 1 the margin; level: (R, 1)."""
        won: NDArray[np.bool_] = np.zeros(self.mirrored.shape, dtype=bool)
        levels = np.broadcast_to(level, won.shape)
        for mirrored, group, order in zip((False, True), groups, self.order, strict=True):
            rows = self.mirrored == mirrored
            trials, least = self.trials[against][:, rows]
            toward = -sign if mirrored else sign
            won[rows] = group.betting(0.0, toward, order.temper(), levels[rows], trials=trials, least=least)
        return won
