"""One metric, judged as Kayenta's Mann-Whitney classifier judges it.

The verdict carries no guarantee (see `kayenta_judge`); the reasons say what it rests on, which Kayenta's do not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from analysis_service.core.digits import number
from analysis_service.core.statistics.kayenta_config import CanaryOptions, Direction, EffectSize, Measure, NanStrategy
from analysis_service.core.statistics.kayenta_interval import Shift, shift_interval
from analysis_service.core.statistics.kayenta_prepare import average, jitter

CONFIDENCE: Final = 0.98  # fixed in the judge, whatever its settings say
TOLERANCE: Final = 0.25  # of the estimated shift; no margin, for all its looks


class Label(StrEnum):
    """What became of one metric."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL = "NodataFailMetric"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Classification:
    """A label and what it rests on. ratio: mean of experiment over mean of control, NaN if either is 0.

    shift, effect and bound (what the interval must clear, in the metric's unit) are None where no test was made.
    """

    label: Label
    reason: str
    ratio: float | None = None
    critical: bool = False
    shift: Shift | None = None
    effect: float | None = None
    bound: float | None = None


def classify(
    experiment: Sequence[float],
    control: Sequence[float],
    *,
    options: CanaryOptions,
    name: str = "metric",
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
) -> Classification:
    """Judge one metric.

    experiment, control: cleaned series, shapes (m,) and (n,), any length, same unit, no NaN. confidence and
    tolerance: the judge's own constants unless a vector asks otherwise. Never raises: what cannot be judged is
    labelled Error.

    Source: spinnaker/kayenta a69573be, NetflixACAJudge and MannWhitneyClassifier.
    """
    try:
        if not experiment or not control:
            return _without_data(experiment, control, options, name)
        if sorted(experiment) == sorted(control):
            return Classification(Label.PASS, f"{name}: the experiment and control data are identical", 1.0)
        if len({*experiment, *control}) == 1:
            return Classification(Label.PASS, f"{name}: one value throughout, on both sides", 1.0)
        return _compare(experiment, control, options, name, confidence, tolerance)
    except (ArithmeticError, ValueError):
        return Classification(Label.ERROR, "Metric Classification Failed")


def classify_by_mean(experiment: Sequence[float], control: Sequence[float], *, direction: Direction) -> Label:
    """High or Low by the means alone; Kayenta's simplest classifier, which its judge does not use."""
    x, y = average(experiment), average(control)
    if direction is not Direction.DECREASE and x > y:
        return Label.HIGH
    if direction is not Direction.INCREASE and x < y:
        return Label.LOW
    return Label.PASS


def mean_ratio(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Mean of experiment over mean of control; NaN if either mean is 0."""
    x, y = average(experiment), average(control)
    return math.nan if x == 0 or y == 0 else x / y


def cles(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Common language effect size: the chance that an experiment value exceeds a control value, ties as half."""
    import numpy as np

    ordered = np.sort(np.asarray(control, dtype=np.float64))
    x = np.asarray(experiment, dtype=np.float64)
    above = np.searchsorted(ordered, x, side="left") + np.searchsorted(ordered, x, side="right")
    return float(above.sum()) / (2 * len(x) * len(ordered))


def cohen_d(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Distance of the means in pooled sample standard deviations, without sign. Needs three values in all."""
    x, y = average(experiment), average(control)
    squares = sum((v - x) ** 2 for v in experiment) + sum((v - y) ** 2 for v in control)
    return abs(x - y) / math.sqrt(squares / (len(experiment) + len(control) - 2))


def _without_data(
    experiment: Sequence[float], control: Sequence[float], options: CanaryOptions, name: str
) -> Classification:
    side = "either side" if not experiment and not control else "the experiment" if not experiment else "the control"
    if options.nan_strategy is NanStrategy.REPLACE:
        return Classification(Label.PASS, f"{name}: no data on {side}; nanStrategy replace lets that pass", 1.0)
    reason = f"{name}: no data on {side}"
    if options.must_have_data and not options.critical:
        return Classification(Label.NODATA_FAIL, f"{reason}, and the metric must have data", 1.0)
    return Classification(Label.NODATA, reason, 1.0, critical=options.critical)


def _compare(
    experiment: Sequence[float],
    control: Sequence[float],
    options: CanaryOptions,
    name: str,
    confidence: float,
    tolerance: float,
) -> Classification:
    if len(set(experiment)) == 1 and len(set(control)) == 1:
        experiment, control = jitter(experiment), jitter(control)
    shift = shift_interval(experiment, control, confidence=confidence)
    ratio = mean_ratio(experiment, control)
    limits = options.effect
    effect = cles(experiment, control) if limits.measure is Measure.CLES else ratio
    bound = tolerance * abs(shift.estimate)
    unknown = math.isnan(effect)

    above = options.direction is not Direction.DECREASE and shift.lower > bound
    below = options.direction is not Direction.INCREASE and shift.upper < -bound
    label, critical = Label.PASS, False
    if above and (unknown or effect >= limits.allowed_increase):
        label, critical = Label.HIGH, unknown or effect >= limits.critical_increase
    elif below and (unknown or effect <= limits.allowed_decrease):
        label, critical = Label.LOW, unknown or effect <= limits.critical_decrease
    return Classification(
        label,
        _reason(name, label, shift, effect, bound, limits, confidence),
        ratio,
        critical and options.critical,
        shift,
        effect,
        bound,
    )


def _reason(
    name: str, label: Label, shift: Shift, effect: float, bound: float, limits: EffectSize, confidence: float
) -> str:
    measure = "chance of a higher value" if limits.measure is Measure.CLES else "ratio of means"
    seen = (
        f"shift {number(shift.estimate, 4)} ({confidence:.0%} interval {number(shift.lower, 4)} to "
        f"{number(shift.upper, 4)}, bound {number(bound, 4)}), {measure} {number(effect, 4)}"
    )
    if label is Label.PASS:
        return f"{name}: no change that counts; {seen}"
    limit = limits.allowed_increase if label is Label.HIGH else limits.allowed_decrease
    return f"{name}: classified {label}; {seen}, limit {number(limit, 4)}"
