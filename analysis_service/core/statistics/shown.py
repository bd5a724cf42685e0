"""How a shift of the differences shows in their mean, where fences cut.

What lies at a fence does not move: a harm that shifts every difference by the margin moves their winsorised mean by
less, and as little as half of it where half of them are cut. By how much, the look-back's differences tell. Nulls are
put to a test as they show (`moved`), and what it sees is told as the shift that would show so (`unmoved`).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .plan import Calibration, Margin, Shown

Array = NDArray[np.float64]

TIMES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # a size: the shifts at which it is measured
WHOLE = 0.98  # of the margin: where so much shows, all is taken to


def measured(pairs: Sequence[Array], low: float, high: float, size: float) -> Shown:
    """Of the look-back's differences, shape (L,) of each placebo pair, cut at low and high. size: above 0."""
    d = np.concatenate(pairs)
    means = tuple(float(_moves(d, low, high, times * size).mean()) for times in TIMES)
    once = _moves(d, low, high, size)
    error = float(once.std()) / math.sqrt(len(pairs[0])) / max(float(once.mean()), 1e-9 * size)
    return Shown(tuple(times * size for times in TIMES), means, min(error, 1.0))


def _moves(d: Array, low: float, high: float, shift: float) -> Array:
    """By how much a shift moves each; the mean of both ways."""
    found: Array = 0.5 * (np.clip(d + shift, low, high) - np.clip(d - shift, low, high))
    return found


def margin_size(found: Calibration, margin: Margin) -> float:
    """The margin on the scale of these differences, as harm is above 0; 0 where it can not be told."""
    if margin.relative is None:
        return 0.0 if found.log_ratio else max(margin.absolute or 0.0, 0.0)
    if found.log_ratio:
        return math.log1p(max(margin.relative, 0.0))
    return max(margin.relative, 0.0) * abs(found.baseline or 0.0)


def within_usual(found: Calibration, pairs: Sequence[Array], margin: Margin) -> Shown | None:
    """For the usual fences; None where a shift of the size of the margin shows whole."""
    size, pairs = margin_size(found, margin), [d for d in pairs if len(d)]
    if found.fence_low is None or found.fence_high is None or size <= 0.0 or not pairs:
        return None
    shown = measured(pairs, *found.fences(margin), size)
    return shown if moved(shown, size) < WHOLE * size else None


def moved(shown: Shown | None, shift: float) -> float:
    """By how much this shift moves the mean; None: by as much."""
    if shown is None:
        return shift
    return math.copysign(_between(shown.shifts, shown.means, abs(shift)), shift)


def at_least(shown: Shown | None, shift: float) -> float:
    """`moved`, one standard error of the look-back down: what a harm of this size shows at least."""
    return moved(shown, shift) * (1.0 - shown.error) if shown is not None else shift


def unmoved(shown: Shown | None, mean: float) -> float:
    """The shift that moves the mean so far; at most the least that moves it farthest."""
    if shown is None:
        return mean
    most = shown.means.index(max(shown.means)) + 1
    return math.copysign(_between(shown.means[:most], shown.shifts[:most], abs(mean)), mean)


def _between(points: Sequence[float], values: Sequence[float], at: float) -> float:
    """Linear from (0, 0) on, the last value beyond the last point. One number is a tenth of numpy's work."""
    i = bisect_right(points, at)
    if i == len(points):
        return values[-1]
    low, value = (points[i - 1], values[i - 1]) if i else (0.0, 0.0)
    return value + (values[i] - value) * (at - low) / (points[i] - low)
