"""A comparison as its author wrote it, read once: whom to ask in each arm, and the settings of the test.

Imports no statistics, so that a template can be judged without them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from analysis_service.core.arguments import provider_names
from analysis_service.core.compare import asks
from analysis_service.core.compare.asks import CANARY, STABLE, Ask
from analysis_service.core.compare.fields import (
    Mistake,
    above_zero,
    duration,
    from_zero,
    level,
    loose,
    number,
    or_else,
    share,
    word,
    wrong,
)
from analysis_service.core.compare.fields import SpecError as SpecError
from analysis_service.core.compare.reach import contradictions
from analysis_service.core.compare.season import season_of
from analysis_service.core.model import Metric
from analysis_service.core.statistics.budget import split_alpha
from analysis_service.core.statistics.kayenta_config import ConfigError, parse_options
from analysis_service.core.statistics.plan import Calibration, Margin, Plan
from analysis_service.core.wire_providers import PLUGIN

NAME = "compare"
READINGS = "compare.readings"  # metadata of a measurement: what the next look needs of the raw answers before it

Shape = Literal["counts", "histogram", "gauge"]
Until = Literal["verdict", "terminated"]
Missing = Literal["skip", "zero", "inconclusive"]
T = TypeVar("T")

FIXED = frozenset({"mann-whitney", "brunner-munzel", "welch", "ks", "tost", "fisher-exact", "poisson-e"})
KAYENTA = "kayenta"
OBJECTIVE = "objective"
SAMPLE_RATIO = "sample-ratio"
RAW_VALUES = frozenset({"sequential-quantile", "sequential-ks"})  # of a gauge: every series' value, not their mean
_RATES = FIXED - {"fisher-exact", "poisson-e"} | {KAYENTA}  # one number per look; of counts that is the rate
TESTS: Mapping[Shape, frozenset[str]] = {
    "counts": frozenset(
        {"sequential-rate-ratio", "sequential-odds-ratio", "sprt", "group-sequential", OBJECTIVE, SAMPLE_RATIO}
    )
    | FIXED
    | {KAYENTA},
    "histogram": frozenset({"sequential-histogram"}),
    "gauge": frozenset({"sequential-t", "sequential-mean", "group-sequential"}) | RAW_VALUES | _RATES,
}
DEFAULT_TEST: Mapping[Shape, str] = {
    "counts": "sequential-rate-ratio",
    "histogram": "sequential-histogram",
    "gauge": "sequential-t",
}
_NO_MARGIN = frozenset({OBJECTIVE, SAMPLE_RATIO, KAYENTA})
_RATIOS_ONLY = frozenset({"sequential-quantile", "sprt", "fisher-exact"})
UNTIL = ("verdict", "terminated")
FAIL_AT = ("noharm", "margin")
DIRECTIONS = ("increase", "decrease", "either")
MISSING = ("skip", "zero", "inconclusive")
LOOKBACK = timedelta(hours=6)
PLANNED_LOOKS = 20  # of a group-sequential test that names no number


@dataclass(frozen=True, slots=True)
class Spec:
    """One comparison. alpha is the whole run's: see `share_of` for this metric's part."""

    shape: Shape
    test: str
    asks: tuple[Ask, ...]
    single_arm: bool
    interval: timedelta
    max_duration: timedelta | None
    until: Until
    warm_up: timedelta
    missing: Missing
    alpha: float
    margin: Margin
    settings: Mapping[str, Any]  # the other fields of Plan
    planned: int | None  # looks of a fixed-size or group-sequential test
    spending: Literal["obrien-fleming", "pocock"] | None
    kayenta: Mapping[str, Any]
    lookback: timedelta  # history for a calibration
    canary_weight: float | None = None  # the canary's configured percentage of traffic, if it is always the same
    weight: Ask | None = None  # asked for it at every look, where it is not
    notes: tuple[str, ...] = ()
    season: timedelta | None = None  # the period, where the canary is compared with the past and not with stable
    past: Ask | None = None  # the question that the past answers

    @property
    def cumulative(self) -> bool:
        """Whether a first reading is needed before there is anything to compare."""
        return self.shape != "gauge"

    @property
    def once(self) -> bool:
        """Whether the test is of fixed size: it decides at planned looks only."""
        return self.test in FIXED or self.test == KAYENTA

    @property
    def questions(self) -> tuple[Ask, ...]:
        """All that is asked at a look."""
        return self.asks if self.weight is None else (*self.asks, self.weight)

    @property
    def every_question(self) -> tuple[Ask, ...]:
        """All that is asked, at a look or of the past."""
        return self.questions if self.past is None else (*self.questions, self.past)


def comparison_of(provider: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The comparison under `provider`, also one written under `plugin`; None for any other provider."""
    if NAME in provider:
        found = provider[NAME]
    else:
        plugins = provider.get(PLUGIN)
        found = plugins.get(NAME) if isinstance(plugins, Mapping) else None
    return found if isinstance(found, Mapping) else None


def is_comparison(metric: Metric) -> bool:
    return NAME in provider_names(metric.provider)


def parse(written: Mapping[str, Any], interval: timedelta | None) -> Spec:
    """A resolved comparison (arguments filled in, {{arm.x}} not yet). interval: the metric's.

    Raises SpecError with all mistakes at once, as far as one does not hide the other.
    """
    if interval is None or interval <= timedelta():
        raise wrong("", "a comparison needs the metric's interval: how often it looks")
    shape = _shape(written)
    arms = written.get("arms")
    if not isinstance(arms, Mapping) or not isinstance(arms.get(CANARY), Mapping):
        raise wrong("arms.canary", "missing: the canary's values for {{arm.x}}")
    season = season_of(written, shape)
    single = season is None and not isinstance(arms.get(STABLE), Mapping)
    test = _test(written, shape, single=single)
    single = single or test == OBJECTIVE
    mistakes: list[Mistake] = []

    def tried(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except SpecError as error:
            mistakes.extend(error.mistakes)
            return None

    until: Until = "terminated" if tried(lambda: word(written, "until", UNTIL)) == "terminated" else "verdict"
    longest = tried(lambda: _longest(written, test, until))
    planned, spending = tried(lambda: _planned(written, test)) or (None, None)
    configured, weight = tried(lambda: asks.of_the_weight(written, shape, needed=test == SAMPLE_RATIO)) or (None, None)
    whom = asks.arms_asked(single, season)
    asked, notes = tried(lambda: asks.of_arms(written, shape, arms, interval, whom)) or ((), ())
    past = tried(lambda: asks.of_the_past(written, shape, arms)) if season is not None else None
    fail_at = tried(lambda: word(written, "failAt", FAIL_AT)) or ("noharm" if shape == "counts" else "margin")
    floor = share if shape == "counts" else from_zero
    settings: dict[str, Any] = {
        "beta": tried(lambda: level(written, "beta")),
        "direction": tried(lambda: word(written, "direction", DIRECTIONS)) or "increase",
        "fail_at": "noharm" if test == OBJECTIVE else fail_at,
        "absolute_floor": tried(lambda: floor(written, "absoluteFloor")),
        "min_samples": tried(lambda: from_zero(written, "minSamples")) or 0.0,
        "min_bake": or_else(tried(lambda: number(written, "minBake", low=0.0, high=1.0)), 0.25),
        "objective": tried(lambda: _objective(written, test)),
        "spending": spending or "obrien-fleming",
        "looks": planned or PLANNED_LOOKS,
        "expected_share": configured / 100.0 if configured else None,
    }
    missing = tried(lambda: word(written, "missing", MISSING))
    tried(lambda: above_zero(written, "weightOf"))
    warm_up: timedelta | None = tried(lambda: duration(written, "warmUp"))
    lookback: timedelta | None = tried(lambda: duration(written, "lookback"))  # 0s: none
    found = Spec(
        shape=shape,
        test=test,
        asks=asked,
        single_arm=single,
        interval=interval,
        max_duration=longest,
        until=until,
        warm_up=warm_up or timedelta(),
        missing="zero" if missing == "zero" else "inconclusive" if missing == "inconclusive" else "skip",
        alpha=tried(lambda: level(written, "alpha")) or 0.0,
        margin=tried(lambda: _margin(written, shape, test)) or Margin(),
        settings=settings,
        planned=planned,
        spending=spending,
        kayenta=tried(lambda: _kayenta(written)) or {},
        lookback=LOOKBACK if lookback is None else lookback,
        canary_weight=configured,
        weight=weight,
        notes=notes,
        season=season,
        past=past,
    )
    if not mistakes:
        mistakes.extend(contradictions(found))
    if mistakes:
        raise SpecError(*mistakes)
    return found


def plan_of(spec: Spec, share: float, calibration: Calibration | None = None) -> Plan:
    """The statistics' settings. share: of alpha, see `share_of`."""
    seconds = spec.max_duration.total_seconds() if spec.max_duration is not None else 0.0
    return Plan(
        test=spec.test,
        margin=spec.margin,
        alpha=spec.alpha * share,
        run_alpha=spec.alpha,
        planned_looks=math.floor(seconds / spec.interval.total_seconds()),
        planned_seconds=seconds,
        calibration=calibration,
        **spec.settings,
    )


def share_of(name: str, metrics: Sequence[tuple[Metric, bool]]) -> float:
    """Which part of alpha the metric `name` may use. metrics: all of the run, each with whether it is a dry run.

    A dry run can fail nothing, so it takes nothing from the others and has its own alpha whole.
    """
    compared = [(metric, comparison_of(metric.provider)) for metric, dry in metrics if not dry]
    sharing = [(metric, written) for metric, written in compared if written is not None]
    names = [metric.name for metric, _ in sharing]
    if name not in names:
        return 1.0
    weights = [or_else(loose(written.get("weightOf")), or_else(metric.weight, 1.0)) for metric, written in sharing]
    critical = [metric.critical or written.get("critical") is True for metric, written in sharing]
    return split_alpha(1.0, weights, critical)[names.index(name)]


def _shape(written: Mapping[str, Any]) -> Shape:
    shapes: tuple[Shape, ...] = ("counts", "histogram", "gauge")
    found = [shape for shape in shapes if isinstance(written.get(shape), Mapping)]
    if len(found) != 1:
        raise wrong("", f"exactly one of counts, histogram, gauge is wanted, found {', '.join(found) or 'none'}")
    return found[0]


def default_test(shape: Shape, *, single: bool) -> str:
    return OBJECTIVE if single and shape == "counts" else DEFAULT_TEST[shape]


def _test(written: Mapping[str, Any], shape: Shape, *, single: bool) -> str:
    test = str(written.get("test") or "")
    if not test:
        test = default_test(shape, single=single)
    if test not in TESTS[shape]:
        raise wrong("test", f"{test!r} cannot use {shape}; these can: {', '.join(sorted(TESTS[shape]))}")
    if single and test != OBJECTIVE:
        past = "; a gauge can be compared with its own past, as seasonalBaseline: 24h" if shape == "gauge" else ""
        raise wrong("arms.stable", f"missing: only counts can be held to an objective without it{past}")
    return test


def _margin(written: Mapping[str, Any], shape: Shape, test: str) -> Margin:
    margin = written.get("margin")
    if not isinstance(margin, Mapping):
        if test in _NO_MARGIN:
            return Margin()
        raise wrong("margin", "missing: how much worse than stable is acceptable, such as {relative: 0.5}")
    absolute = share if shape == "counts" else from_zero
    found = Margin(
        from_zero(margin, "relative", at="margin.relative"), absolute(margin, "absolute", at="margin.absolute")
    )
    if (found.relative is None) == (found.absolute is None):
        raise wrong("margin", "exactly one of relative, absolute is wanted")
    ratios = test in _RATIOS_ONLY or (test == "group-sequential" and shape == "counts")
    if ratios and found.relative is None:
        raise wrong("margin.absolute", f"{test} compares ratios; give margin.relative, such as 0.5 for 1.5 times")
    if test == "ks" and (found.absolute is None or not 0 < found.absolute < 1):
        raise wrong(
            "margin",
            "ks compares whole distributions; give margin.absolute between 0 and 1, the share of values that may move "
            "beyond any limit, as 0.1",
        )
    return found


def _longest(written: Mapping[str, Any], test: str, until: Until) -> timedelta | None:
    found = duration(written, "maxDuration")
    if found is None and (test in FIXED or test == KAYENTA):
        raise wrong("maxDuration", f"missing: {test} decides at maxDuration")
    if found is None and until == "verdict":
        raise wrong("maxDuration", "missing: undecided then is Inconclusive")
    return found


def _planned(written: Mapping[str, Any], test: str) -> tuple[int | None, Literal["obrien-fleming", "pocock"] | None]:
    looks = number(written, "looks", low=1.0)
    rule = word(written, "spending", ("obrien-fleming", "pocock"))
    spending: Literal["obrien-fleming", "pocock"] | None = None
    if rule:
        spending = "pocock" if rule == "pocock" else "obrien-fleming"
    fixed = test in FIXED or test == KAYENTA
    if fixed and looks is not None and looks > 1 and (spending is None or test == KAYENTA):
        remedy = "it has no spending rule" if test == KAYENTA else "name a spending rule (spending: obrien-fleming)"
        text = f"{test} is made for a single look; looked at {looks:g} times it raises false alarms, so {remedy}"
        raise wrong("looks", f"{text} or use a sequential test")
    return (int(looks) if looks is not None else None), spending


def _objective(written: Mapping[str, Any], test: str) -> float | None:
    found = share(written, "objective")
    if test == OBJECTIVE and not found:
        raise wrong("objective", "missing: the largest acceptable share of events, above 0")
    return found


def _kayenta(written: Mapping[str, Any]) -> Mapping[str, Any]:
    options: Mapping[str, Any] = written.get("kayenta") or {}
    try:
        parse_options(options, at="kayenta")
    except ConfigError as error:
        raise wrong("", str(error)) from None
    return options
