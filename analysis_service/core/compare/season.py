"""`seasonalBaseline`: a gauge without a stable version beside it, compared with its own past at the same phase.

    seasonalBaseline: 24h        # the period: a day; 168h for a week
    arms:
      canary: {hash: "{{args.canary-hash}}"}
      history: {hash: ".*"}      # the values for {{arm.x}} in the past; needed where the query uses any

Reading it, and what it does at a look: the past's figure takes the stable version's place in the look, so that all
that follows is that of two arms. Nothing is decided on fewer than seven periods. Imports no statistics.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from analysis_service.core.compare.fields import duration, wrong
from analysis_service.core.statistics.looks import Gauge, Look
from analysis_service.core.statistics.plan import Plan, Season
from analysis_service.core.statistics.verdict import VerdictState
from analysis_service.core.tags import OPEN

FIELD = "seasonalBaseline"
HISTORY = "history"  # the arm whose values for {{arm.x}} are the past's
TEST = "sequential-t"
SHORTEST = timedelta(hours=1)
MOST_LOOKS = 2_880  # a day of looks every 30 s: each has its figure, kept with the comparison
WANTED_PERIODS = 7  # see statistics.season
NO_PAST = "no-past"  # flag of a look whose phase has no figure


def season_of(written: Mapping[str, Any], shape: str) -> timedelta | None:
    """The period; None where the comparison has a stable arm. Raises SpecError."""
    arms = written.get("arms")
    arms = arms if isinstance(arms, Mapping) else {}
    if written.get(FIELD) in (None, "", "off", False):
        if HISTORY in arms:
            raise wrong(FIELD, f"missing: nothing else asks for arms.{HISTORY}; set {FIELD}: 24h, or leave them out")
        return None
    if shape != "gauge":
        text = (
            f"only a gauge can be compared with its past; for {shape} give arms.stable, or ask for a level instead, "
            "such as the share of errors or a quantile, as a gauge"
        )
        raise wrong(FIELD, text)
    if "stable" in arms:
        text = (
            f"arms.stable and {FIELD} are both set; keep arms.stable if the stable version runs beside the canary, "
            "as it sees the same traffic"
        )
        raise wrong(FIELD, text)
    test = str(written.get("test") or TEST)
    if test != TEST:
        raise wrong("test", f"{test} does not know how much innocent days differ; with {FIELD} use {TEST}")
    period = duration(written, FIELD)
    if period is None or period < SHORTEST:
        raise wrong(FIELD, f"a period of an hour or more is wanted, such as 24h or 168h, found {written[FIELD]!r}")
    data, own = written[shape], arms.get(HISTORY)
    if own is None and f"{OPEN}arm." in _text(data):
        text = (
            f"arms.{HISTORY} is missing: the query uses {{{{arm.x}}}}, so the past needs values for it, too: those of "
            "the versions that ran then, such as a pattern that fits all of them"
        )
        raise wrong(FIELD, text)
    if own is not None and not isinstance(own, Mapping):
        raise wrong(FIELD, f"arms.{HISTORY}: values for {{{{arm.x}}}} are wanted")
    return period


def too_many(period: timedelta, longest: timedelta | None, interval: timedelta) -> str:
    """What is wrong with so many looks; "" where nothing is."""
    looks = math.floor(span(period, longest) / interval)
    if looks <= MOST_LOOKS:
        return ""
    longer = math.ceil(looks / MOST_LOOKS * interval.total_seconds())
    return f"{looks} looks in a period, and at most {MOST_LOOKS} are compared with the past; want interval: {longer}s"


def span(period: timedelta, longest: timedelta | None) -> timedelta:
    """How long figures are different: after a period they come again."""
    return period if longest is None else min(period, longest)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_text(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return " ".join(_text(inner) for inner in value)
    return str(value)


def season(plan: Plan) -> Season | None:
    return plan.calibration.season if plan.calibration is not None else None


def with_past(plan: Plan, look: Look) -> Look:
    """The look with the figure of its phase in stable's place."""
    found = season(plan)
    figure = figure_at(found, look.at.timestamp()) if found is not None else None
    if figure is None:
        return replace(look, flags=(*look.flags, NO_PAST), gaps={**look.gaps, "past": NO_PAST})
    return replace(look, stable=Gauge(figure))


def figure_at(season: Season, at: float) -> float | None:
    """at: seconds since 1970. The figure of the nearest step; None beyond what was read."""
    count = len(season.figures)
    step = math.floor((at - season.anchor) / season.step_seconds + 0.5)
    if count * season.step_seconds >= season.period_seconds - season.step_seconds:  # a whole period was read
        step %= round(season.period_seconds / season.step_seconds)
    return season.figures[step] if 0 <= step < count else None


def on_its_scale(plan: Plan, *, positive: bool) -> Plan:
    """The settings for values that are not all above 0, as they were in the past: differences in the metric's unit.

    Fences and scale are not known there; the noise floor is.
    """
    calibration, found = plan.calibration, season(plan)
    if calibration is None or found is None or positive or not calibration.log_ratio:
        return plan
    plain = replace(
        calibration, log_ratio=False, noise_floor=found.floor, fence_low=None, fence_high=None, lag_one=None
    )
    return replace(plan, calibration=plain)


def capped(plan: Plan, verdict: VerdictState) -> VerdictState:
    """Without an outcome, where there is too little past for one."""
    return replace(verdict, outcome="", failed_at=0, passed_at=0, by_floor=False) if why_capped(plan) else verdict


def why_capped(plan: Plan) -> str:
    """Why nothing can be decided; "" where it can."""
    found = season(plan)
    if found is None:
        return "its past could not be read, so there is nothing to compare it with"
    if found.why:
        return f"its past could not be read ({found.why}), so there is nothing to compare it with"
    if found.periods < WANTED_PERIODS:
        had = _periods(found.periods, found.period_seconds)
        return f"there is a history of {had}, and a verdict needs {WANTED_PERIODS}"
    return ""


def told(period: timedelta) -> str:
    """What the comparison is, and what it is not, for its sentence."""
    phase = "time of day" if period == timedelta(days=1) else f"phase of {_length(period.total_seconds())}"
    return (
        f"Compared with its own past (the median at the same {phase}, up to {WANTED_PERIODS} periods back), not with a "
        "stable version at the same time: what has changed for all versions counts as the canary's."
    )


def _periods(number: int, seconds: float) -> str:
    for size, word in ((604_800, "week"), (86_400, "day"), (3_600, "hour")):
        if seconds == size:
            return f"{number} {word}{'' if number == 1 else 's'}"
    return f"{number} period{'' if number == 1 else 's'} of {_length(seconds)}"


def _length(seconds: float) -> str:
    return f"{seconds / 3600:g} h"
