"""From a run's spec and stored looks to comparisons. What cannot be read is left out, never a reason to fail: a report
is asked for when something went wrong, and from files that others wrote."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from analysis_service.core.compare.spec import SAMPLE_RATIO, SpecError, comparison_of, parse, plan_of, share_of
from analysis_service.core.model import Look as StoredLook
from analysis_service.core.model import Metric
from analysis_service.core.prepare import Ready
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Look, usable_counts, usable_histogram
from analysis_service.core.statistics.looks import Histogram as HistogramData
from analysis_service.core.statistics.outlook import Outlook
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.sentence import Late
from analysis_service.core.statistics.verdict import VerdictState
from analysis_service.report.seen import Comparison, FixedTest, Seen, Use

T = TypeVar("T")
_NOTHING: Mapping[str, str] = {}


FORECAST = "forecast"  # of a measurement's metadata: what can be found at all, in words
OUTLOOK = "compare.forecast"  # the same as data
PLAN = "compare.plan"  # of a measurement's metadata: the settings, calibration included, as they were fixed


def comparison(
    ready: Ready | None,
    metrics: Sequence[tuple[Metric, bool]],
    looks: Sequence[StoredLook],
    metadata: Mapping[str, str] = _NOTHING,
) -> Comparison:
    """ready: the metric as specified, None where that is not known; metrics: all of the run, and whether dry.

    metadata: of the measurement. The plan it tells is the one that decided; without it the spec's is as good but for
    the calibration.
    """
    plan, interval, notes, season = _plan(ready, metrics)
    plan = _kept_plan(metadata) or plan
    seen: list[Seen] = []
    used = 0
    for stored in sorted(looks, key=lambda look: look.number):
        one, used = _seen(stored, used)
        seen.append(one)
    data = looks[-1].data if looks else {}
    return Comparison(
        plan=plan,
        looks=tuple(seen),
        verdict=next((v for v in map(_verdict, reversed(looks)) if v is not None), None),
        interval_seconds=interval or _spacing(seen),
        split=_numbers(data.get("split")),
        fixed=next((f for f in map(_fixed, reversed(looks)) if f is not None), None),
        forecast=metadata.get(FORECAST, ""),
        outlook=_outlook(metadata.get(OUTLOOK, "")),
        notes=notes,
        season=season,
    )


def _plan(
    ready: Ready | None, metrics: Sequence[tuple[Metric, bool]]
) -> tuple[Plan | None, float, tuple[str, ...], timedelta | None]:
    written = comparison_of(ready.metric.provider) if ready is not None else None
    if ready is None or written is None:
        return None, 0.0, (), None
    interval = ready.interval or timedelta()
    try:
        spec = parse(written, ready.interval)
        plan = plan_of(spec, share_of(ready.name, metrics))
        return plan, interval.total_seconds(), spec.notes, spec.season
    except SpecError:
        return None, interval.total_seconds(), (), None


def _outlook(text: str) -> Outlook | None:
    try:
        return msgspec.json.decode(text, type=Outlook) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _kept_plan(metadata: Mapping[str, str]) -> Plan | None:
    text = metadata.get(PLAN, "")
    try:
        plan = msgspec.json.decode(text, type=Plan) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None
    sound = plan is not None and 0 < plan.alpha < 1 and 0 < plan.beta < 1
    return plan if sound else None


def _seen(stored: StoredLook, used_before: int) -> tuple[Seen, int]:
    """One look, and how many were used until then."""
    data = stored.data
    look = _read({**data, "number": stored.number, "at": stored.at}, Look)
    if look is None:
        return Seen(stored.number, stored.at, missed="this look could not be read", use="missed"), used_before
    evidence = _read(data.get("evidence"), Evidence)
    verdict = _verdict(stored)
    use: Use = "used"
    if look.missed:
        use = "missed"
    elif evidence is not None and evidence.test != SAMPLE_RATIO:
        use = "used" if evidence.used > used_before else "dropped"
        used_before = evidence.used
    elif not (_usable(look.canary) and _usable(look.stable)):
        use = "dropped"
    return Seen(
        number=stored.number,
        at=stored.at,
        canary=look.canary,
        stable=look.stable,
        missed=look.missed,
        flags=look.flags,
        gaps=look.gaps,
        weight_percent=look.weight_percent,
        evidence=evidence,
        use=use,
        outcome=verdict.outcome if verdict is not None else "",
        late=_read(data.get("since"), Late),
        elapsed_seconds=look.elapsed_seconds,
    ), used_before


def _usable(data: ArmData | None) -> bool:
    if isinstance(data, Counts):
        return usable_counts(data) is not None
    if isinstance(data, HistogramData):
        return usable_histogram(data) is not None
    return isinstance(data, Gauge) or data is not None


def _verdict(stored: StoredLook) -> VerdictState | None:
    return _read(stored.data.get("verdict"), VerdictState)


def _fixed(stored: StoredLook) -> FixedTest | None:
    return _read(stored.data.get("comparison"), FixedTest)


def _read(value: object, kind: type[T]) -> T | None:
    if value is None:
        return None
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, ValueError, TypeError):
        return None


def _numbers(value: Any) -> Mapping[str, float]:
    found = _read(value, dict[str, float])
    return found if found is not None else {}


def _spacing(looks: Sequence[Seen]) -> float:
    """The usual time between looks, where the spec does not say it."""
    gaps = sorted((b.at - a.at).total_seconds() for a, b in pairwise(looks))
    return gaps[len(gaps) // 2] if gaps else 0.0
