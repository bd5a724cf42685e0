"""The past of a comparison that has a season: windows as long as the run, one, two, ... periods before it.

Each window also reaches back by the look-back, for what it teaches about the noise. All are read once, before the
first look; the figures are kept with the comparison, so that nothing of the past is asked again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from analysis_service.core.compare.asks import CANARY, LEVEL
from analysis_service.core.compare.season import span, too_many
from analysis_service.core.compare.spec import Spec, plan_of
from analysis_service.history.base import Asked, Frame, History
from providers.base import BadQuery, NoData

if TYPE_CHECKING:
    from analysis_service.core.statistics.looks import ArmData
    from analysis_service.core.statistics.plan import Calibration

MOST_BACK = 720  # points of a window before its run's part: more of them teach little
SPARE = timedelta(minutes=1)  # looks come late, and a look-back may be shared by comparisons that start a little apart
REACH_PERIODS = 14  # see statistics.season.REACH


@dataclass(frozen=True, slots=True)
class Days:
    """Windows of the past, the latest first: a value for each interval; None where there was none.

    back: how many of them lie before the run's part. anchor: the run's start. why: what kept all of them from being
    read.
    """

    spec: Spec
    values: tuple[tuple[float | None, ...], ...]
    back: int
    anchor: datetime
    why: str = ""


def days_of(history: History, name: str, spec: Spec, start: datetime) -> Days:
    """Asks for every period's window. Blocking; raises ProviderError."""
    assert spec.season is not None
    assert spec.past is not None
    if text := too_many(spec.season, spec.max_duration, spec.interval):
        raise BadQuery(f"seasonalBaseline: {text}")
    asked = Asked(name, spec.past.union, spec.past.arm, spec.past.part)
    back, ahead = _shape(spec)
    days: list[tuple[float | None, ...]] = []
    none = ""
    for period in range(1, REACH_PERIODS + 1):
        anchor = start - period * spec.season
        first, last = anchor - back * spec.interval, anchor + (ahead - 1) * spec.interval
        try:
            frame = history.range(asked, first, last, spec.interval)
        except NoData as error:
            none = none or str(error)
            days.append((None,) * (back + ahead))
            continue
        days.append(values_of(spec, frame, first, back + ahead))
    empty = all(value is None for day in days for value in day)
    return Days(spec, tuple(days), back, start, none if empty else "")


def reach_of(spec: Spec) -> timedelta:
    """How far before the run's start its past is read."""
    if spec.season is None:
        return spec.lookback
    return REACH_PERIODS * spec.season + _shape(spec)[0] * spec.interval


@dataclass(frozen=True, slots=True)
class Stretch:
    """A long piece of the past, in which any moment can be looked at as a run's start. values: one each interval."""

    spec: Spec
    values: tuple[float | None, ...]
    first: datetime
    before: int  # intervals that only serve as the past of the others

    def starts(self, size: int) -> range:
        """Where runs of `size` looks begin, one after the other."""
        return range(self.before, len(self.values) - size + 1, size)

    def days(self, at: int) -> Days:
        """The windows of a run that starts with value `at`."""
        assert self.spec.season is not None
        back, ahead = _shape(self.spec)
        found = []
        for period in range(1, REACH_PERIODS + 1):
            anchor = at - round(period * self.spec.season / self.spec.interval)
            window = range(anchor - back, anchor + ahead)
            found.append(tuple(self.values[k] if k >= 0 else None for k in window))
        return Days(self.spec, tuple(found), back, self.first + at * self.spec.interval)


def stretch_of(history: History, name: str, spec: Spec, start: datetime, end: datetime) -> Stretch:
    """What the past answers between two times, and before them as far as it is needed. Blocking."""
    assert spec.past is not None
    before = math.ceil(reach_of(spec) / spec.interval)
    first = start - before * spec.interval
    count = before + math.floor((end - start) / spec.interval) + 1
    asked = Asked(name, spec.past.union, spec.past.arm, spec.past.part)
    frame = history.range(asked, first, end, spec.interval)
    return Stretch(spec, values_of(spec, frame, first, count), first, before)


def values_of(spec: Spec, frame: Frame, first: datetime, count: int) -> tuple[float | None, ...]:
    """What asking every interval would have found, prepared as live data are."""
    from analysis_service.core.compare.interval import Memory, take
    from analysis_service.core.compare.reading import Reading, Series
    from analysis_service.core.statistics.looks import Gauge

    past = with_fields(spec, missing="skip", warm_up=timedelta())  # what was missing then is no value of 0
    reach = frame.reach.total_seconds()
    found: list[float | None] = []
    for k in range(count):
        at = (first + k * spec.interval).timestamp()
        series = [
            Series(one.labels, point[1], point[0]) for one in frame.series if (point := one.at(at, reach)) is not None
        ]
        _, data = take(past, Memory(), {(CANARY, LEVEL): Reading(tuple(series))}, at)
        found.append(data.canary.value if isinstance(data.canary, Gauge) else None)
    return tuple(found)


def learn(past: Days) -> "Calibration":
    """The figures of the run's part, and what the placebo days teach. Asks nobody."""
    from analysis_service.core.statistics import season
    from analysis_service.core.statistics.plan import Season

    spec, ahead = past.spec, [day[past.back :] for day in past.values]
    assert spec.season is not None
    calibration, floor = season.learn(past.values, ahead, lambda found: plan_of(spec, 1.0, found))
    kept = Season(
        period_seconds=spec.season.total_seconds(),
        anchor=past.anchor.timestamp(),
        step_seconds=spec.interval.total_seconds(),
        figures=tuple(season.figures(ahead)),
        periods=season.periods(ahead),
        why=past.why,
        floor=floor,
    )
    return replace(calibration, season=kept)


def periods_of(days: Days) -> int:
    """Whole periods that the run's figures rest on."""
    from analysis_service.core.statistics import season

    return season.periods([day[days.back :] for day in days.values])


def pairs_of(days: Days, values: Sequence[float | None]) -> "list[tuple[ArmData | None, ArmData | None]]":
    """Each value of a run, and the figure of its phase."""
    from analysis_service.core.statistics import season
    from analysis_service.core.statistics.looks import Gauge

    figures = season.figures([day[days.back :] for day in days.values])
    return [
        (Gauge(value) if value is not None else None, Gauge(figure) if figure is not None else None)
        for value, figure in zip(values, figures, strict=False)
    ]


def unread(spec: Spec, start: datetime, why: str) -> "Calibration":
    """What is known where the past cannot be read: why. Nothing can be decided then."""
    return learn(Days(spec, (), 0, start, why))


def _shape(spec: Spec) -> tuple[int, int]:
    """(intervals of a window before the run's start, and from it on)."""
    assert spec.season is not None
    period = math.floor(spec.season / spec.interval)
    spare = max(math.ceil(SPARE / spec.interval), 2)
    ahead = min(math.ceil(span(spec.season, spec.max_duration) / spec.interval) + spare, period)
    back = min(math.floor(spec.lookback / spec.interval), MOST_BACK, period - ahead)
    return back, ahead
