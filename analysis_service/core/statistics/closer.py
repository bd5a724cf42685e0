"""Closer fences for harm: where differences have heavy tails or two levels, the middle tells more of a shift than all.

Fences at a fraction of the spread cut most of what an outlier weighs, and of a harm, too. They cut both sides alike:
arms of which each is as likely to be the larger keep a mean of 0 within them, whatever the tails. So they can show
harm. They can not show safety, as a harm that is rare and large hardly moves the middle; that is asked of the usual
fences, and harm is, too, with a smaller share (`t_evidence`).

The look-back alone chooses, before the run: the fences within which harm of the size of the margin moves the mean by
the most standard deviations of a prewhitened point. A shift of the differences moves the mean within by less: by how
much, the look-back says, too (`moved`).
Source for the score: Huber (1964), the efficacy of a location score.
"""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from .calibration import acf, autocorrelation, prewhitened_deviation
from .plan import MAX_LOG_RATIO, Calibration, Margin, Within
from .wandering import block_factor, lasting_offset, longer, memory_of

Array = NDArray[np.float64]

WITHIN = (0.95, 0.7, 0.4, 0.2)  # shares of the differences that are not cut: tried as fences
SHIFTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # times the distance of the fence: where `moved` is measured


def closest(found: Calibration, differences: Sequence[Array], margin: Margin) -> Within | None:
    """The closer fences; None where the usual ones show harm of the size of the margin better.

    found: of the comparison, with its usual fences. differences: of every placebo pair, as they were, on the scale of
    `found`.
    """
    harm, pairs = _harm(found, margin), [d for d in differences if len(d)]
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


def _harm(found: Calibration, margin: Margin) -> float:
    """The size of harm that is to be shown, on the differences' scale; 0 where there is none to go by."""
    if margin.relative is None:
        return 0.0 if found.log_ratio else max(margin.absolute or 0.0, 0.0)
    if found.log_ratio:
        return min(math.log1p(max(margin.relative, 0.0)), MAX_LOG_RATIO)
    return max(margin.relative, 0.0) * abs(found.baseline or 0.0)


def _within(pairs: Sequence[Array], half: float, floor: float) -> Within:
    """The noise within -half and half: the upper quartile of the pairs' own, because any could be the run's.

    floor: what innocent arms differ by, of all differences: a shift like any other.
    """
    clipped = [np.clip(d, -half, half) for d in pairs]
    phis = [max(autocorrelation(d), memory_of(block_factor(d))) for d in clipped]
    together = np.concatenate(pairs)
    shifts = tuple(times * half for times in SHIFTS)
    found = Within(half, shifts=shifts, means=tuple(_moves(together, half, shift) for shift in shifts))
    offsets = [lasting_offset(d, phi) for d, phi in zip(clipped, phis, strict=True)]
    return replace(
        found,
        scale=_upper([float(d.std()) for d in clipped]),
        autocorrelation=_upper(phis),
        lag_one=min(acf(d, 1)[1] for d in clipped),
        noise_floor=max(_upper(offsets), moved(found, floor)),
    )


def _upper(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.75))


def _moves(differences: Array, half: float, shift: float) -> float:
    """By how much a shift moves the mean within the fences; the same both ways."""
    up, down = (float(np.clip(differences + way * shift, -half, half).mean()) for way in (1.0, -1.0))
    return 0.5 * (up - down)


def moved(within: Within, shift: float) -> float:
    """Where the mean within the fences lies when the differences lie `shift` off no change: at most at the fence."""
    if not within.shifts:
        return shift
    found = float(np.interp(abs(shift), (0.0, *within.shifts), (0.0, *within.means)))
    return math.copysign(found, shift)


def wider(within: Within) -> Within:
    """With half as much noise again."""
    return replace(within, autocorrelation=longer(within.autocorrelation), noise_floor=1.5 * within.noise_floor)


def _efficacy(within: Within, harm: float) -> float:
    """How far such harm moves the mean beyond the floor, in standard deviations of a prewhitened point."""
    deviation = prewhitened_deviation(within.scale, within.autocorrelation, within.lag_one)
    return (moved(within, harm) - within.noise_floor) / deviation if deviation > 0.0 else 0.0
