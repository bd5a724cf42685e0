"""Many runs of the count test at once, so that thousands of runs of thousands of looks can be judged.

The same fold as `conditional`, with runs along the first axis: one array operation per look for all runs instead of
one per run. `benchmarks.verdicts` judges the first runs of every scenario with the service's own fold too and stops
when any look of any verdict differs, so this file cannot drift from what it measures.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from analysis_service.core.statistics import mixture
from analysis_service.core.statistics.blocks import BLOCK, BLOCKS_WANTED, FEWEST, shown
from analysis_service.core.statistics.last_counts import slope
from analysis_service.core.statistics.starts import SLOTS, log_weight, surplus

Array = NDArray[np.float64]


class Counts:
    """The state of R runs in which every look is usable, so that their starts fall on the same looks.

    phi: the look-back's dispersion per run; calibrated: whether it had enough points; memory: its memory.
    """

    def __init__(
        self,
        runs: int,
        planned: int,
        phi: Array,
        calibrated: Array,
        *,
        memory: Array | None = None,
        restarts: bool = True,
        slots: int = SLOTS,
    ) -> None:
        self.planned, self.restarts, self.slots = planned, restarts, slots
        self.used = 0
        self.events = np.zeros(runs)  # of both arms
        self.now = np.zeros((runs, mixture.NODES + 1))
        self.phi, self.calibrated = phi, calibrated
        self.memory = np.zeros(runs) if memory is None else memory
        self.shown = np.array([shown(float(one)) for one in self.memory])
        self.last = np.zeros((2, runs))
        self.dispersion = np.zeros((2, runs))  # square, expected
        self.open = np.zeros((2, runs))  # residual and variance of the open block
        self.closed = 0
        self.block = np.zeros((2, runs))  # the last closed block
        self.blocks = np.zeros((3, runs))  # square, expected, largest
        self.looks: list[int] = []  # of the late starts, with their log weights and snapshots
        self.weights: list[float] = []
        self.snapshots: list[Array] = []
        self.projected: dict[tuple[float, int], Array] = {}

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Forget the other runs."""
        self.now, self.phi, self.calibrated = self.now[chosen], self.phi[chosen], self.calibrated[chosen]
        self.memory, self.shown, self.events = self.memory[chosen], self.shown[chosen], self.events[chosen]
        self.last, self.dispersion, self.open = self.last[:, chosen], self.dispersion[:, chosen], self.open[:, chosen]
        self.block, self.blocks = self.block[:, chosen], self.blocks[:, chosen]
        self.snapshots = [snapshot[chosen] for snapshot in self.snapshots]
        self.projected = {}

    def add(self, x_c: Array, x_s: Array, share: Array, residual: Array, variance: Array) -> None:
        """One look of every run, shape (R,) each."""
        self.events = self.events + x_c + x_s
        self.now[:, 0] += x_c
        self.now[:, 1:] += (x_c + x_s)[:, None] * np.log1p(share[:, None] * np.expm1(mixture.nodes()))
        both = np.stack((residual, variance))
        if self.used:
            self.dispersion[0] += 0.5 * (residual - self.last[0]) ** 2
            self.dispersion[1] += 0.5 * (variance + self.last[1])
        self.last = both
        self.used += 1
        self.open += both
        if self.used % BLOCK == 0:
            if self.closed:
                term = 0.5 * (self.open[0] - self.block[0]) ** 2
                self.blocks[0] += term
                self.blocks[1] += 0.5 * (self.open[1] + self.block[1])
                self.blocks[2] = np.maximum(self.blocks[2], term)
            self.closed += 1
            self.block, self.open = self.open, np.zeros_like(self.open)
        weight = log_weight(self.used, self.planned) if self.restarts else None
        if weight is not None:
            self.looks.append(self.used)
            self.weights.append(weight)
            self.snapshots.append(self.now.copy())
            spare = surplus([self.used - at for at in [0, *self.looks]], self.slots)
            if spare is not None:
                del self.looks[spare - 1], self.weights[spare - 1], self.snapshots[spare - 1]
            self.projected = {}

    def temper(self) -> Array:
        phi = np.maximum(self.phi, 1.0)
        if self.used >= 2:
            square, expected = self.dispersion
            known = expected > FEWEST
            inside = np.divide(square, expected, out=np.ones_like(square), where=known)
            sparse = np.divide(1.0, expected, out=np.zeros_like(square), where=known)
            inside = np.where(self.calibrated, inside / (1.0 + np.sqrt(1.0 / self.used + sparse)), inside)
            phi = np.maximum(phi, np.where(known, np.maximum(inside, self._long_run()), 1.0))
        return phi

    def _long_run(self) -> Array:
        steps = self.closed - 1
        square, expected, largest = self.blocks
        if steps < BLOCKS_WANTED:
            return np.ones_like(square)
        known = expected > FEWEST
        rest = np.divide(square - largest, expected * (steps - 1) / steps, out=np.ones_like(square), where=known)
        rest *= np.where(self.memory > 0.0, 1.0 / self.shown, 1.0 / (1.0 + math.sqrt(2.0 / steps)))
        return np.where(known, rest, 1.0)

    def log_e(self, null: float, sign: int, temper: Array) -> tuple[Array, Array]:
        """(log e-value of the whole run, of the mixture over all starts), shape (R,) each."""
        against = mixture.contrast(null, sign)
        whole = _log_sum((self.now @ against.whole) / temper[:, None] + against.whole_prior)
        if not self.restarts:
            return whole, whole
        first = log_weight(0, self.planned)
        assert first is not None
        total = whole + first
        if self.snapshots:
            if (null, sign) not in self.projected:
                self.projected[null, sign] = np.stack([snapshot @ against.late for snapshot in self.snapshots], axis=1)
            gain = ((self.now @ against.late)[:, None, :] - self.projected[null, sign]) / temper[:, None, None]
            gain += against.late_prior
            gain += np.array(self.weights)[:, None]
            total = np.logaddexp(total, _log_sum(gain.reshape(len(gain), -1)))
        return whole, total

    def betting(
        self,
        null: float,
        sign: int,
        temper: Array,
        level: Array | float,
        *,
        trials: Array | None = None,
        least: Array | float = 0.0,
    ) -> NDArray[np.bool_]:
        """Whether the test of fixed size rejects, were this the last look, shape (R,). level: one-sided, of the bet.

        trials, least: as in `conditional.fold`, shape (R,); as many as there were events, where they are not given.
        """
        x, n = self.now[:, 0] - least, self.events if trials is None else trials
        mean = self.now[:, 1:] @ slope(null) - least
        far = (mean > 0.0) & (mean < n) & (sign * (x - mean) >= 1.0)
        share = np.divide(mean, n, out=np.full_like(mean, 0.5), where=far)
        if sign < 0:
            x, share = n - x, 1.0 - share
        x, rest = np.where(far, x, 1.0), np.where(far, n - x, 0.0)
        p = np.maximum(betainc(x, rest + 1.0, share), betainc(x / temper, rest / temper + 1.0, share))
        found: NDArray[np.bool_] = far & (p <= level)
        return found


def _log_sum(values: Array) -> Array:
    top = values.max(axis=1)
    total: Array = np.log(np.exp(values - top[:, None]).sum(axis=1)) + top
    return total
