"""How one metric is compared: the settings every test family shares, fixed before the first look.

Units: `alpha` is this metric's own share of the false-alarm budget (see `budget`); ratios are canary / stable.
"""

import math
from typing import Literal

import msgspec

Direction = Literal["increase", "decrease", "either"]
FailAt = Literal["noharm", "margin"]

MAX_LOG_RATIO = 3.4  # x30: the widest ratio any interval reports


class Margin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The harm that would be tolerated: `relative` 0.5 is x1.5; `absolute` is in the metric's unit."""

    relative: float | None = None
    absolute: float | None = None

    @property
    def of_ratios(self) -> bool:
        """Whether it can be told of log ratios: an absolute one alone is in the metric's own unit."""
        return self.absolute is None or self.relative is not None


class Traffic(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one interval of the look-back brought on average, all of stable's processes together.

    canary_share: what the canary's processes make of all processes; None where they cannot be told apart. edges,
    counts: of histograms, as in `looks.Histogram`.
    """

    events: float = 0.0
    total: float = 0.0
    canary_share: float | None = None
    edges: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()


class Season(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the metric was at the same phase of past periods, for a canary without a stable version beside it.

    figures: one for every step from `anchor` (seconds since 1970) on, in the metric's unit; None where the past has
    too little. why: what kept the past from being read. floor: the calibration's noise floor in the metric's unit,
    for differences that turn out not to be ratios.
    """

    period_seconds: float
    anchor: float
    step_seconds: float
    figures: tuple[float | None, ...] = ()
    periods: int = 0  # whole periods that the figures rest on
    why: str = ""
    floor: float = 0.0


class Repeats(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a value repeated the one before it exactly, among so many looks; longest: times in a row."""

    looks: int = 0
    repeats: int = 0
    longest: int = 0


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """By how much shifts of the differences, growing, move their mean within fences (see `shown`), in their unit.

    error: relative standard error of the look-back.
    """

    shifts: tuple[float, ...]
    means: tuple[float, ...]
    error: float = 0.0


class Within(msgspec.Struct, frozen=True, omit_defaults=True):
    """The middle of a gauge's differences, no further than `fence` from no change, and its noise (see `closer`)."""

    fence: float
    scale: float = 0.0  # standard deviation of one difference
    autocorrelation: float = 0.0  # as `Calibration` has it
    lag_one: float = 0.0
    noise_floor: float = 0.0
    shown: Shown | None = None


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a look-back over the stable version taught, for differences of the canary's shape (see `calibration`)."""

    points: int = 0  # intervals the look-back had
    dispersion: float = 1.0  # Pearson dispersion + 1 s.e.; 1 is Poisson
    autocorrelation: float = 0.0  # AR(1), bias-corrected, leaning up
    long_run: float = 1.0  # long-run variance / variance of one interval, >= 1
    fence_low: float | None = None  # winsor fences, in the unit of the differences
    fence_high: float | None = None
    noise_floor: float = 0.0  # what an innocent pod may differ by, in the unit of the differences
    log_ratio: bool = False  # unit of the differences: log ratio, or the metric's own
    scale: float = 0.0  # standard deviation of one difference, same unit
    lag_one: float | None = None  # correlation of neighbouring differences as it was measured, not leaning
    baseline: float | None = None  # stable rate or level
    placebo_false_alarm: float | None = None
    memory: float = 0.0  # how fast the correlation decays, per interval; 0: none beyond chance, 2 / sqrt(points)
    traffic: Traffic | None = None  # for the forecast; of counts and histograms
    by_edge: "tuple[tuple[float, Calibration], ...]" = ()  # histograms: the noise of "beyond this edge", for each edge
    season: Season | None = None  # where the canary is compared with the past
    repeats: Repeats | None = None  # of an arm of the canary's shape, while it was alive (see `frozen`)
    harm: Within | None = None  # gauges: where harm shows best; None: within the usual fences
    shown: Shown | None = None  # within the usual fences; None: whole

    @property
    def sufficient(self) -> bool:
        return self.points >= 60

    def fences(self, margin: Margin) -> tuple[float, float]:
        """Between which a run takes differences as they are, with room for a harm; infinite where there are none."""
        room = room_of(margin, self.baseline, log_ratio=self.log_ratio)
        low, high = self.fence_low, self.fence_high
        return -math.inf if low is None else low - room, math.inf if high is None else high + room

    def at_edge(self, edge: float) -> "Calibration":
        """The noise at the edge nearest to `edge`; this calibration where edges were not told apart."""
        for at, one in self.by_edge:  # nearly always there: the look-back has the buckets of the run
            if at == edge:
                return one
        return min(self.by_edge, key=lambda item: abs(item[0] - edge))[1] if self.by_edge else self


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """Settings of one comparison."""

    test: str
    margin: Margin = Margin()
    alpha: float = 0.05
    beta: float = 0.05
    direction: Direction = "increase"
    fail_at: FailAt = "noharm"
    absolute_floor: float | None = None
    min_samples: float = 0.0
    min_bake: float = 0.25  # share of the planned duration before which nothing passes
    planned_looks: int = 0  # maxDuration / interval; 0: open-ended
    planned_seconds: float = 0.0
    restarts: bool = True  # late-onset protection; False: the single-start form
    calibration: Calibration | None = None
    quantiles: tuple[float, ...] = (0.5, 0.95, 0.99)  # that must be shown harmless before a histogram passes
    objective: float | None = None  # `objective`: the rate that must be kept
    sprt_ratio: float | None = None  # `sprt`: the ratio worth finding; default from the margin
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming"
    looks: int = 20  # `group-sequential`: planned looks
    expected_share: float | None = None  # `sample-ratio`: canary's share, when the looks carry none
    run_alpha: float | None = None  # the whole run's; `alpha` is this metric's part of it


def harm_sign(direction: Direction) -> int:
    """+1 when more is worse, -1 when less is worse ("either" is looked at from both sides)."""
    return -1 if direction == "decrease" else 1


def room_of(margin: Margin, baseline: float | None, *, log_ratio: bool) -> float:
    """How far harm of the size of the margin may move a difference, on its own scale.

    Fences that are closer than the margin would clip every harm to less than it, and then pass it.
    """
    relative, absolute = margin.relative, margin.absolute
    if log_ratio:
        return min(-math.log1p(-relative) if relative < 1 else MAX_LOG_RATIO, MAX_LOG_RATIO) if relative else 0.0
    return max(relative or 0.0, 0.0) * abs(baseline or 0.0) + max(absolute or 0.0, 0.0)


def margin_log_ratio(plan: Plan, baseline: float | None, sign: int) -> float:
    """The tolerated harm as a positive log ratio, seen in the direction `sign`.

    A relative margin m is x(1+m) upwards and x(1-m) downwards (m < 1; beyond that downwards nothing is too much).
    An absolute margin needs the stable rate; without one everything up to x30 is tolerated: no margin, no pass.
    """
    margin = plan.margin
    if margin.relative is not None:
        if sign > 0:
            return min(math.log1p(max(margin.relative, 0.0)), MAX_LOG_RATIO)
        return min(-math.log1p(-margin.relative), MAX_LOG_RATIO) if margin.relative < 1 else MAX_LOG_RATIO
    if margin.absolute is not None and baseline is not None and baseline > 0:
        share = max(margin.absolute, 0.0) / baseline
        if sign > 0:
            return min(math.log1p(share), MAX_LOG_RATIO)
        return min(-math.log1p(-share), MAX_LOG_RATIO) if share < 1 else MAX_LOG_RATIO
    return 0.0 if margin.absolute is None else MAX_LOG_RATIO
