"""What a series of differences does slowly: wandering that the first autocorrelations miss, an offset that stays."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .calibration import LONGEST_MEMORY, REQUIRED_POINTS

Array = NDArray[np.float64]

OFFSET_ERRORS = 3.0  # standard errors beyond which an offset is no accident of the look-back
OFFSET_SPREAD = 1.5  # an offset seen once may be half as large again in the run: it wanders, or it is another pod's
LONG_BLOCKS = (20, 40)  # looks; slow wandering shows in the means of blocks
FEWEST_BLOCKS = 6


def block_factor(series: ArrayLike, blocks: Sequence[int] = LONG_BLOCKS) -> float:
    """Variance of block means over what independent points would give; the largest over `blocks`, at least 1.

    Sees wandering that the first autocorrelations do not: a slow part of a tenth of the variance hides in them. One
    standard error of an overlapping-blocks variance is taken off: there are few blocks, and noise alone would find
    some factor in every look-back.
    """
    values = np.asarray(series, float).ravel()
    values = values[np.isfinite(values)]
    variance = float(values.var()) if len(values) else 0.0
    if variance <= 0:
        return 1.0
    worst = 1.0
    for size in blocks:
        count = len(values) - size + 1
        if len(values) < FEWEST_BLOCKS * size:
            continue
        sums = np.concatenate(([0.0], np.cumsum(values - values.mean())))
        means = (sums[size:] - sums[:-size])[:count] / size
        error = math.sqrt(4.0 * size / (3.0 * len(values)))
        worst = max(worst, size * float(means.var()) / variance / (1.0 + error))
    return worst


def memory_of(factor: float) -> float:
    """The AR(1) parameter whose long-run variance is `factor` times that of one point."""
    return min(max((factor - 1.0) / (factor + 1.0), 0.0), LONGEST_MEMORY)


def longer(phi: float) -> float:
    """The memory of half as much long-run noise again."""
    return memory_of(1.5 * (1.0 + phi) / (1.0 - min(phi, LONGEST_MEMORY)))


def lasting_offset(differences: Array, phi: float) -> float:
    """How far innocent arms lie apart throughout a look-back, leaning upwards; 0 if chance explains it."""
    n = len(differences)
    if n < REQUIRED_POINTS:
        return 0.0
    error = float(differences.std(ddof=1)) * math.sqrt((1 + phi) / (1 - min(phi, LONGEST_MEMORY)) / n)
    offset = abs(float(differences.mean()))
    if offset <= OFFSET_ERRORS * error:
        return 0.0
    halves = (abs(float(half.mean())) for half in (differences[: n // 2], differences[n // 2 :]))
    return OFFSET_SPREAD * (max(offset, *halves) + error)
