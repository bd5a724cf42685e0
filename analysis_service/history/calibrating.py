"""Calibration for a comparison that is about to take its first look: asks the look-back, learns from it, in threads.

The look-back is the stable arm's own queries over the hours before the run. Whatever stands in the way (a provider
without history, a server that does not answer, too few points) ends in None or in a calibration that is not
`sufficient`: the comparison then goes on with its stated fallbacks and calls itself uncalibrated.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from analysis_service.core.compare.spec import CANARY, STABLE, Ask, Spec, SpecError, comparison_of, parse, plan_of
from analysis_service.core.model import Run
from analysis_service.core.prepare import prepare
from analysis_service.core.timing import parse_duration
from analysis_service.history.base import Asked, Frame, History
from analysis_service.history.pool import Pool
from providers.base import ProviderError

if TYPE_CHECKING:
    from analysis_service.core.compare.reading import Reading
    from analysis_service.core.statistics.looks import ArmData
    from analysis_service.core.statistics.plan import Calibration

LOOK_BACK = timedelta(hours=6)
MOST_POINTS = 2_000  # of a look-back: more of them teach nothing new
MOST_PODS = 24
AT_ONCE = 1  # look-backs that are worked on together: each more would let the loop wait longer for the interpreter
PATIENCE = timedelta(minutes=2)  # a first look waits no longer for its turn


@dataclass(slots=True)
class Calibrator:
    """`calibrate(spec, run)` for `Comparer`. told: hears why there is no calibration, in a sentence."""

    history: History
    now: Callable[[], datetime]
    pool: Pool = field(default_factory=lambda: Pool(AT_ONCE))
    told: Callable[[str], None] = lambda text: None

    async def __call__(self, spec: Spec, run: Run) -> "Calibration | None":
        if spec.single_arm or spec.once:
            return None
        name, lookback = _named(spec, run)
        if lookback <= timedelta():
            return None
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return await self.pool.run(self._learn, name, spec, lookback, self.now())
        except TimeoutError:
            self.told(f"{name}: uncalibrated: the look-back was not done in {PATIENCE.total_seconds():g} s")
            return None

    def _learn(self, name: str, spec: Spec, lookback: timedelta, end: datetime) -> "Calibration | None":
        try:
            return look_back(self.history, name, spec, lookback, end)
        except ProviderError as error:
            self.told(f"{name}: uncalibrated: {error}")
            return None


def look_back(history: History, name: str, spec: Spec, lookback: timedelta, end: datetime) -> "Calibration":
    """What the stable version taught between end - lookback and end. Blocking; raises ProviderError."""
    from analysis_service.core.statistics import placebo
    from analysis_service.core.statistics.traffic import traffic

    lookback = min(lookback, MOST_POINTS * spec.interval)
    stable = {
        ask.part: history.range(_asked(name, ask), end - lookback, end, spec.interval)
        for ask in spec.asks
        if ask.arm == STABLE
    }
    canary = [
        history.range(_asked(name, ask), end - spec.interval, end, spec.interval)
        for ask in spec.asks[:1]
        if ask.arm == CANARY
    ]
    rows, canary_pods = pod_rows(spec, stable, end - lookback, end), pods_of(canary[0]) if canary else set()
    found = placebo.learn(rows, max(len(canary_pods), 1), lambda calibration: plan_of(spec, 1.0, calibration))
    named = "" not in canary_pods.union(*(pods_of(frame) for frame in stable.values()))
    return replace(found, traffic=traffic(rows, max(len(canary_pods), 1) if named else None))


def pod_rows(spec: Spec, frames: Mapping[str, Frame], start: datetime, end: datetime) -> "list[list[ArmData | None]]":
    """Every process's data, interval by interval, prepared as live data are."""
    from analysis_service.core.compare.interval import Memory, take
    from analysis_service.core.compare.reading import Reading

    pods = sorted({pod for frame in frames.values() for pod in pods_of(frame)})[:MOST_PODS]
    count = math.floor((end - start) / spec.interval) + 1
    rows: list[list[ArmData | None]] = []
    for pod in pods or [""]:
        memory, row = Memory(), []
        for k in range(count):
            at = start + k * spec.interval
            readings = {
                **{(STABLE, part): Reading() for part in frames},
                **{(CANARY, part): _reading(frame, at, pod) for part, frame in frames.items()},
            }
            memory, found = take(spec, memory, readings, at.timestamp())
            if k or not spec.cumulative:
                row.append(found.canary)
        rows.append(row)
    return rows


def pods_of(frame: Frame) -> set[str]:
    from analysis_service.core.compare.reading import pod_of

    return {pod_of(one.labels) for one in frame.series if one.times}


def _reading(frame: Frame, at: datetime, pod: str) -> "Reading":
    from analysis_service.core.compare.reading import Reading, Series, pod_of

    when, reach = at.timestamp(), frame.reach.total_seconds()
    found: Sequence[Series] = [
        Series(one.labels, point[1], point[0])
        for one in frame.series
        if pod_of(one.labels) == pod and (point := one.at(when, reach)) is not None
    ]
    return Reading(tuple(found))


def _asked(name: str, ask: Ask) -> Asked:
    return Asked(name, ask.union, ask.arm, ask.part)


def _named(spec: Spec, run: Run) -> tuple[str, timedelta]:
    """The metric this comparison is of, and its look-back."""
    for ready in prepare(run.spec).metrics:
        written = comparison_of(ready.metric.provider)
        if written is None:
            continue
        try:
            if [ask.part for ask in parse(written, ready.interval).asks] != [ask.part for ask in spec.asks]:
                continue
            lookback = parse_duration(str(written["lookback"])) if written.get("lookback") else LOOK_BACK
        except (SpecError, ValueError):
            continue
        if parse(written, ready.interval).margin == spec.margin:
            return ready.name, lookback
    return "", LOOK_BACK
