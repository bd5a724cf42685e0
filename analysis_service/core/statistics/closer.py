"""Closer fences for harm: where differences have heavy tails or two levels, the middle tells more of a shift than all.

Fences at a fraction of the spread cut most of what an outlier weighs, and of a harm, too. They cut both sides alike:
arms of which each is as likely to be the larger keep a mean of 0 within them, whatever the tails. So they can show
harm. They can not show safety, as a harm that is rare and large hardly moves the middle; that is asked of the usual
fences, and harm is, too, with a smaller share (`t_evidence`).

The look-back alone chooses, before the run: the fences within which harm of the size of the margin moves the mean by
the most standard deviations of a prewhitened point.
Source for the score: Huber (1964), the efficacy of a location score.
"""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .calibration import acf, autocorrelation, prewhitened_deviation
from .plan import Calibration, Margin, Within
from .shown import margin_size, measured, moved
from .wandering import block_factor, lasting_offset, longer, memory_of

Array = NDArray[np.float64]

WITHIN = (0.95, 0.7, 0.4, 0.2)  # shares of the differences that are not cut: tried as fences


def closest(found: Calibration, differences: Sequence[Array], margin: Margin) -> Within | None:
    """The closer fences; None where the usual ones show harm of the size of the margin better.

    found: of the comparison, with its usual fences. differences: of every placebo pair, as they were, on the scale of
    `found`.
    """
    harm, pairs = margin_size(found, margin), [d for d in differences if len(d)]
    if found.fence_low is None or found.fence_high is None or harm <= 0.0 or not pairs:
        return None
    usual = Within(
        fence=math.inf,
        scale=found.scale,
        autocorrelation=found.autocorrelation,
        lag_one=found.lag_one or 0.0,
        noise_floor=found.noise_floor,
    )
    best, chosen = _efficacy(usual, harm), None
    for share in WITHIN:
        half = median(float(np.quantile(np.abs(d), share)) for d in pairs)
        tried = _within(pairs, half, found.noise_floor) if half > 0.0 else None
        if tried is not None and _efficacy(tried, harm) > best:
            best, chosen = _efficacy(tried, harm), tried
    return chosen


def _within(pairs: Sequence[Array], half: float, floor: float) -> Within:
    """The noise within -half and half: the upper quartile of the pairs' own, because any could be the run's.

    floor: what innocent arms differ by, of all differences: a shift like any other.
    """
    clipped = [np.clip(d, -half, half) for d in pairs]
    phis = [max(autocorrelation(d), memory_of(block_factor(d))) for d in clipped]
    shown = measured(pairs, -half, half, half)
    offsets = [lasting_offset(d, phi) for d, phi in zip(clipped, phis, strict=True)]
    return Within(
        half,
        scale=_upper([float(d.std()) for d in clipped]),
        autocorrelation=_upper(phis),
        lag_one=min(acf(d, 1)[1] for d in clipped),
        noise_floor=max(_upper(offsets), moved(shown, floor)),
        shown=shown,
    )


def _upper(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.75))


def wider(within: Within) -> Within:
    """With half as much noise again."""
    return replace(within, autocorrelation=longer(within.autocorrelation), noise_floor=1.5 * within.noise_floor)


def _efficacy(within: Within, harm: float) -> float:
    """How far such harm moves the mean beyond the floor, in standard deviations of a prewhitened point."""
    deviation = prewhitened_deviation(within.scale, within.autocorrelation, within.lag_one)
    return (moved(within.shown, harm) - within.noise_floor) / deviation if deviation > 0.0 else 0.0
