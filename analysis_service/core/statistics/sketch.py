"""Raw samples of both arms on a shared grid of relative width: bounded state for tests on whole distributions.

Bins are closed above, (lo, hi], numbered by the logarithm of the value; negative values mirror, zero has its own.
When there are too many bins the width doubles and neighbours merge: deterministic, and coarser bins only make the
tests built on them more careful.
"""

import math
from collections.abc import Iterable

import msgspec

FINEST = 0.01  # relative width
MOST_BINS = 1500
_SMALLEST = 1e-12  # values closer to zero are zero
_OFFSET = -math.log(_SMALLEST)


class Sketch(msgspec.Struct, frozen=True):
    width: float = FINEST
    bins: tuple[tuple[int, float, float], ...] = ()  # bin, canary count, stable count; ascending
    n_c: float = 0.0
    n_s: float = 0.0


def bin_of(value: float, width: float) -> int:
    if abs(value) < _SMALLEST:
        return 0
    steps = (math.log(abs(value)) + _OFFSET) / width
    return max(math.ceil(steps), 1) if value > 0 else -(math.floor(steps) + 1)


def edge(number: int, width: float) -> float:
    """Upper edge of a bin."""
    if number == 0:
        return 0.0
    if number > 0:
        return math.exp(number * width - _OFFSET)
    return -math.exp((-number - 1) * width - _OFFSET)


def add(sketch: Sketch, canary: Iterable[float], stable: Iterable[float]) -> Sketch:
    width = sketch.width
    counts = {number: [c, s] for number, c, s in sketch.bins}
    sizes = [sketch.n_c, sketch.n_s]
    for arm, values in enumerate((canary, stable)):
        for value in values:
            counts.setdefault(bin_of(value, width), [0.0, 0.0])[arm] += 1.0
            sizes[arm] += 1.0
    while len(counts) > MOST_BINS:
        width *= 2
        merged: dict[int, list[float]] = {}
        for number, (c, s) in counts.items():
            slot = merged.setdefault(math.ceil(number / 2) if number > 0 else math.floor(number / 2), [0.0, 0.0])
            slot[0] += c
            slot[1] += s
        counts = merged
    bins = tuple((number, c, s) for number, (c, s) in sorted(counts.items()))
    return Sketch(width, bins, sizes[0], sizes[1])


def shifted(sketch: Sketch, log_ratio: float, *, larger: bool = True) -> tuple[tuple[int, float, float], ...]:
    """The bins with stable's positive values scaled by e^log_ratio, rounded towards a larger (or smaller) stable."""
    if log_ratio == 0.0:
        return sketch.bins
    steps = math.ceil(log_ratio / sketch.width) if larger else math.floor(log_ratio / sketch.width)
    counts: dict[int, list[float]] = {}
    for number, c, s in sketch.bins:
        counts.setdefault(number, [0.0, 0.0])[0] += c
        counts.setdefault(max(number + steps, 1) if number > 0 else number, [0.0, 0.0])[1] += s
    return tuple((number, c, s) for number, (c, s) in sorted(counts.items()))
