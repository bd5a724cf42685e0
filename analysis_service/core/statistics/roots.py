"""Where a confidence sequence ends: the null at which a one-sided e-value falls to its threshold."""

import math
from collections.abc import Callable

STEPS = 60
TOLERANCE = 1e-6  # of the log e-value


def confidence_limit(excess: Callable[[float], float], sign: int, guess: float, step: float, farthest: float) -> float:
    """The null where `excess` (log e-value minus log threshold) crosses zero.

    sign +1: excess falls as the null grows, and the result is the lower end; -1 mirrored. The search starts at
    `guess` (about the estimate) and walks away from it in growing steps, at most `farthest`. Without a crossing the
    end is infinite; if even the far side is rejected the result lies there (the model is contradicted).
    """
    if not 0.0 < step < farthest:
        step = farthest / 8
    at, value = guess, excess(guess)
    if value < 0.0:
        kept, high = at, value
        while value < 0.0:
            if abs(at - guess) >= farthest:
                return -sign * math.inf
            at -= sign * step
            step *= 2
            value = excess(at)
            if value < 0.0:
                kept, high = at, value
        rejected, low = at, value
    else:
        rejected, low = at, value
        while value >= 0.0:
            if abs(at - guess) >= farthest:
                return at
            at += sign * step
            step *= 2
            value = excess(at)
            if value >= 0.0:
                rejected, low = at, value
        kept, high = at, value
    side = 0
    for _ in range(STEPS):  # regula falsi (Illinois)
        at = (rejected * high - kept * low) / (high - low)
        value = excess(at)
        if abs(value) < TOLERANCE:
            return at
        if value >= 0.0:
            rejected, low = at, value
            high, side = (high / 2, 1) if side == 1 else (high, 1)
        else:
            kept, high = at, value
            low, side = (low / 2, -1) if side == -1 else (low, -1)
    return rejected
