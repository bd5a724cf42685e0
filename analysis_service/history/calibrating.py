"""Calibration for a comparison that is about to take its first look: asks the look-back, learns from it, in threads.

The look-back is the stable arm's own queries over the hours before the run. Whatever stands in the way (a provider
without history, a server that does not answer, too few points) ends in None or in a calibration that is not
`sufficient`: the comparison then goes on with its stated fallbacks and calls itself uncalibrated.
"""

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from analysis_service.core.compare.asks import CANARY, STABLE, Ask
from analysis_service.core.compare.spec import Spec, plan_of
from analysis_service.history import season
from analysis_service.history.base import Asked, Frame, History
from analysis_service.history.pool import Pool, Turns
from analysis_service.history.season import Days
from providers.base import ProviderError

if TYPE_CHECKING:
    from analysis_service.core.compare.reading import Reading
    from analysis_service.core.statistics.looks import ArmData
    from analysis_service.core.statistics.plan import Calibration

MOST_POINTS = 2_000  # of a look-back: more of them teach nothing new
MOST_PODS = 24
AT_ONCE = 1  # look-backs that are worked on together where they share the interpreter with the loop
PATIENCE = timedelta(minutes=5)  # a comparison waits no longer for its turn, and no longer than a quarter of its time
LEAST_PATIENCE = timedelta(seconds=15)  # but so long
SEASON_TRIES = 3  # where there is no verdict without the past, a server that is away for a moment is asked again
SHARED = timedelta(seconds=30)  # equal questions within it get one answer: the canary may have more pods by and by

_encode = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class Past:
    """What a look-back was answered: stable's frames by part, and the canary's processes at its end."""

    spec: Spec
    stable: Mapping[str, Frame]
    canary_pods: frozenset[str]
    start: datetime
    end: datetime


@dataclass(slots=True)
class _Shared:
    """One look-back and those who wait for it. When nobody does any longer, its turn goes to the next."""

    asked_at: datetime
    work: "asyncio.Future[Calibration | None]"
    waiting: int = 0


@dataclass(slots=True)
class Calibrator:
    """`calibrate(name, spec)` for `Comparer`. told: hears why there is no calibration, in a sentence.

    Equal comparisons that begin together are learnt about once.
    """

    history: History
    now: Callable[[], datetime]
    learn: Callable[[Past | Days], "Calibration"] = field(default_factory=lambda: learn)
    at_once: int = AT_ONCE
    pool: Pool = field(init=False)
    turns: Turns = field(init=False)
    told: Callable[[str], None] = lambda text: None
    patience: timedelta = PATIENCE
    pause_seconds: float = 5.0  # before a season's past is asked for again
    _shared: dict[bytes, _Shared] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.pool, self.turns = Pool(self.at_once), Turns(self.at_once)

    async def __call__(self, name: str, spec: Spec) -> "Calibration | None":
        if spec.season is None and (spec.single_arm or spec.once or spec.lookback <= timedelta()):
            return None
        seconds = self._patience(spec).total_seconds()
        shared = self._one_for_all(name, spec)
        shared.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(shared.work)
        except TimeoutError:
            text = f"the look-back was not done in {seconds:g} s"
            self.told(f"{name}: uncalibrated: {text}")
            return season.unread(spec, self.now(), text) if spec.season is not None else None
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.work.done():
                shared.work.cancel()

    def close(self) -> None:
        """Ends what is under way or waits for its turn; nobody will ask for it any more."""
        for shared in self._shared.values():
            shared.work.cancel()
        self.pool.close()

    def _patience(self, spec: Spec) -> timedelta:
        """What is left of the run must still be worth its settings: nothing is judged while they are waited for."""
        if spec.max_duration is None:
            return self.patience
        return min(self.patience, max(LEAST_PATIENCE, spec.max_duration / 4))

    def _one_for_all(self, name: str, spec: Spec) -> _Shared:
        now = self.now()
        self._shared = {
            key: one for key, one in self._shared.items() if not one.work.done() or now - one.asked_at < SHARED
        }
        key = hashlib.blake2b(_encode((name, spec)), digest_size=16).digest()
        found = self._shared.get(key)
        if found is None or found.work.cancelled() or now - found.asked_at >= SHARED:
            work = asyncio.ensure_future(self._in_turn(name, spec, now))
            found = self._shared[key] = _Shared(now, work)
        return found

    async def _in_turn(self, name: str, spec: Spec, end: datetime) -> "Calibration | None":
        """Those that take a tenth of the time go first: one that takes long holds up few."""
        rank = 1 if spec.shape == "histogram" else 0
        tries = SEASON_TRIES if spec.season is not None else 1
        while True:
            tries -= 1
            try:
                async with self.turns.wait(rank):
                    return await self.pool.run(self._learn, name, spec, end)
            except ProviderError as error:
                if not (tries and error.retryable):
                    self.told(f"{name}: uncalibrated: {error}")
                    return season.unread(spec, end, str(error)) if spec.season is not None else None
            await asyncio.sleep(self.pause_seconds)

    def _learn(self, name: str, spec: Spec, end: datetime) -> "Calibration":
        return self.learn(past_of(self.history, name, spec, spec.lookback, end))


def look_back(history: History, name: str, spec: Spec, lookback: timedelta, end: datetime) -> "Calibration":
    """What the stable version taught between end - lookback and end. Blocking; raises ProviderError."""
    return learn(past_of(history, name, spec, lookback, end))


def past_of(history: History, name: str, spec: Spec, lookback: timedelta, end: datetime) -> Past | Days:
    """Asks what there is to learn from. Blocking; raises ProviderError."""
    if spec.season is not None:
        return season.days_of(history, name, spec, end)
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
    pods = frozenset(pods_of(canary[0])) if canary else frozenset()
    return Past(spec, stable, pods, end - lookback, end)


def learn(past: Past | Days) -> "Calibration":
    """What these data teach. Takes seconds of one core, and asks nobody."""
    if isinstance(past, Days):
        return season.learn(past)
    from analysis_service.core.statistics import placebo
    from analysis_service.core.statistics.traffic import traffic

    spec, canary = past.spec, max(len(past.canary_pods), 1)
    rows = pod_rows(spec, past.stable, past.start, past.end)
    found = placebo.learn(rows, canary, lambda calibration: plan_of(spec, 1.0, calibration))
    named = "" not in past.canary_pods.union(*(pods_of(frame) for frame in past.stable.values()))
    return replace(found, traffic=traffic(rows, canary if named else None))


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
