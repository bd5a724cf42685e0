"""What a test knows after a look, as plain data: enough to decide, to explain and to forecast."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Grade = Literal["exact", "calibrated", "asymptotic", "none"]
Unit = Literal["ratio", "difference", "rate", "share", "statistic"]

NO_EVIDENCE = 0.0  # log of an e-value of 1
CHOOSING = "choosing-buckets"  # flag: too few observations of stable to know which buckets the margin is judged at
FLOOR_FILLS_MARGIN = "noise-floor-above-margin"  # flag: innocent pods differ by the whole margin, nothing can pass


class QuantileEstimate(msgspec.Struct, frozen=True):
    """One quantile of both arms with its confidence sequence, in the metric's unit; None is "unbounded"."""

    q: float
    canary: float | None
    canary_lower: float | None
    canary_upper: float | None
    stable: float | None
    stable_lower: float | None
    stable_upper: float | None


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Evidence after `look`. Log e-values are natural logarithms; an e-value of 20 is "1 in 20".

    estimate, lower, upper: the effect in `unit` and its confidence sequence (each side errs with at most alpha);
    None is "not known" or "unbounded". no_change and margin are in the same unit.
    level*: the canary's own rate or level, for absolute floors; baseline: stable's. quantile: the one of a distribution
    that estimate, interval, level and baseline speak of; the evidence may weigh the whole of it.
    """

    test: str
    look: int = 0
    unit: Unit = "ratio"
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    no_change: float = 1.0
    margin: float | None = None
    log_e_harm: float = NO_EVIDENCE  # against "no change"
    log_e_harm_margin: float = NO_EVIDENCE  # against "within the margin"
    log_e_safety: float = NO_EVIDENCE  # against "at or beyond the margin"
    harm_rate: float = 0.0  # log e-value gained per look at the present estimate, against no change
    harm_margin_rate: float = 0.0
    safety_rate: float = 0.0
    used: int = 0  # looks that were evidence
    dropped: int = 0  # looks that were not
    canary_total: float = 0.0
    stable_total: float = 0.0
    canary_events: float = 0.0
    stable_events: float = 0.0
    level: float | None = None
    level_upper: float | None = None
    baseline: float | None = None
    quantile: float | None = None
    dispersion: float = 1.0
    autocorrelation: float = 0.0
    effective_n: float = 0.0
    noise_floor: float = 0.0
    since: int = 0  # the interval speaks of the looks after this one (0: the whole run)
    grade: Grade = "none"
    calibrated: bool = False
    placebo_false_alarm: float | None = None
    flags: tuple[str, ...] = ()
    quantiles: tuple[QuantileEstimate, ...] = ()
    detail: Mapping[str, float] = {}
