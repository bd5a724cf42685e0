"""Takes the looks of comparisons: asks every arm's queries at once, and hands what they answer to the pure core.

A comparison is one measurement that is resumed at every look (core.compare). Its state is kept here between looks,
and rebuilt from the stored looks where it is not: after a restart, and where another engine looked in between. Raw
counters of the last look travel in the measurement's metadata, saved together with the look. Its forecast is made
between looks (foretelling).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec.structs import replace

from analysis_service import notes
from analysis_service.arms import answers
from analysis_service.asking import Asker
from analysis_service.clock import Clock
from analysis_service.core.compare import interval, schedule
from analysis_service.core.compare.spec import READINGS, Spec, SpecError, comparison_of, parse
from analysis_service.core.due import Op
from analysis_service.core.judge import CAUSES, NotAnswered, mark_error
from analysis_service.core.model import Cause, Look, Measurement, Metric, Phase, Run
from analysis_service.core.reconcile import Task
from analysis_service.core.statistics.plan import Plan
from analysis_service.foretelling import MOST_WAITING, Foretelling, Foretold
from analysis_service.notes import FORECAST, LAST_LOOK, WAITING
from analysis_service.settling import Settling, Slot, plan_for
from analysis_service.stores.base import Page
from providers.base import within

if TYPE_CHECKING:
    from analysis_service.core.compare import telling
    from analysis_service.core.compare.state import Setup, State

T = TypeVar("T")

KEPT_STATES = 20_000  # comparisons whose state is kept in memory; beyond that it is read from the store again
PAGE = 500
SOON = timedelta(seconds=1)  # after a look, for the first forecast
FEW = 4  # looks that are judged on the loop, one after the other
_IN_THREAD = frozenset({"group-sequential", "sequential-quantile", "sequential-ks", "sequential-mean"})


class StoredLooks(Protocol):
    """A page of a measurement's looks, oldest first: `Store.list_looks`."""

    def __call__(
        self, run_id: str, metric: str, ordinal: int, limit: int, after: str = ""
    ) -> Awaitable[Page[Look]]: ...


@dataclass(slots=True)
class _Held:
    """One comparison between two looks. `looked` must be the measurement's LAST_LOOK, else `state` is not its own."""

    provider: Mapping[str, Any]
    setup: "Setup"
    state: "State"
    looked: str
    foretold: Foretold


@dataclass(slots=True)
class Comparer:
    """Shared by all runs of the process."""

    asker: Asker
    clock: Clock
    settling: Settling = field(init=False)
    foretelling: Foretelling = field(default_factory=Foretelling)
    _held: "OrderedDict[Slot, _Held]" = field(default_factory=OrderedDict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _warm: bool = False

    def __post_init__(self) -> None:
        self.settling = Settling(self.clock)

    async def load(self) -> None:
        """Import what weighs evidence, once; it takes a second. Before it is done nothing is weighed."""
        if not self._warm:
            await asyncio.to_thread(_load)
            self._warm = True

    def check(self, union: Mapping[str, Any]) -> list[str]:
        """What is wrong with a resolved provider union, a comparison or not, as far as can be told without asking."""
        written = comparison_of(union)
        if written is None:
            return self.asker.check(union)
        try:
            spec = parse(written, timedelta(seconds=1))  # the metric's own interval is judged with the metric
        except SpecError as error:
            return [f"compare: {error}"]
        found = (
            within(f"{f'arms.{ask.arm}, ' if ask.arm else ''}{ask.part}", text)
            for ask in spec.every_question
            for text in self.asker.check(ask.union)
        )
        return list(dict.fromkeys(found))

    def describe(self, metric: Metric, every: timedelta | None) -> Mapping[str, str]:
        """The metric's metadata: each arm's resolved query, and the test."""
        written = comparison_of(metric.provider)
        try:
            spec = parse(written or {}, every)
        except SpecError:
            return {}
        told = {"test": spec.test, **({"note": "; ".join(spec.notes)} if spec.notes else {})}
        for ask in spec.every_question:
            part = f"{ask.arm}.{ask.part}" if ask.arm else ask.part
            told |= {f"{part}.{key}": text for key, text in self.asker.describe(ask.union).items()}
        return told

    async def measure(
        self, run: Run, task: Task, metric: Metric, stored: StoredLooks
    ) -> tuple[Measurement, tuple[Look, ...]]:
        """The measurement after one more look, or after its end; and the looks that were judged, the newest last."""
        now = self.clock.now()
        base = task.measurement or Measurement(Phase.RUNNING, task.ordinal, started_at=now)
        later, base = _next_look(base)
        if later is not None and now < later and task.op is not Op.TERMINATE:
            return await self._between(run, task, metric, base, later, stored), ()
        try:
            held = await self._setup(run, task, metric, base, stored)
        except SpecError as error:
            return mark_error(base, f"compare: {error}", now, Cause.SPEC_INVALID), ()
        now = self.clock.now()  # the look may have waited for its look-back
        if task.measurement is None:
            base = replace(base, started_at=now)  # and its time begins with its first readings
        if isinstance(held, Spec):
            answered = await answers(self.asker, run, task, held, self.clock.wall())
            return await self._ahead(run, task, metric, held, base, answered, now, stored)
        held, base, caught_up = await self._caught_up(task, metric, held, base)
        if base.done:
            return base, caught_up
        if task.op is Op.TERMINATE:
            return await self._terminated(run, task, held, base), caught_up
        answered = await answers(self.asker, run, task, held.setup.spec, self.clock.wall())
        if isinstance(answered, NotAnswered):
            measurement, looks = await self._missed(run, task, held, base, answered, now)
            return measurement, (*caught_up, *looks)
        from analysis_service.core.compare import state as fold

        since = (now - (base.started_at or now)).total_seconds()
        judged = fold.is_judged(held.setup, held.state, since)
        if judged and not fold.is_whole(held.setup, held.state):
            state, _ = await self._rebuilt(run, task, held.setup, held.looked, stored)
            held = _Held(held.provider, held.setup, state, held.looked, held.foretold)
        measurement, looks = await self._looked(run, task, metric, held, base, answered, now, judged=judged)
        return measurement, (*caught_up, *looks)

    async def unanswered(
        self, run: Run, task: Task, lost: NotAnswered, stored: StoredLooks
    ) -> tuple[Measurement, tuple[Look, ...]]:
        """A look that could not even be asked for, because a secret was missing.

        Its settings may not be fixed yet, and cannot be: the look-back needs the secret, too.
        """
        from analysis_service.core.compare import looking

        now = self.clock.now()
        base = task.measurement or Measurement(Phase.RUNNING, task.ordinal, started_at=now)
        later, base = _next_look(base)
        if later is not None and now < later:
            return replace(base, resume_at=later), ()
        if WAITING in base.metadata:
            metric = task.metric.metric
            spec = parse(comparison_of(metric.provider) or {}, task.metric.interval)
            return await self._ahead(run, task, metric, spec, base, lost, now, stored)
        looked = base.metadata.get(LAST_LOOK, "")
        measurement = self._without_answer(task, base, lost.message, CAUSES.get(lost.kind, Cause.INTERNAL), now)
        look = looking.missed(notes.number(looked), f"{lost.kind}: {lost.message}", base.started_at or now, now)
        metadata = {**base.metadata, **notes.counted(look)}
        slot = (run.id, task.name, task.ordinal)
        self._count_missed(slot, looked, look, metadata[LAST_LOOK], done=measurement.done)
        return replace(measurement, metadata=metadata), (look,)

    # one look

    async def _looked(
        self,
        run: Run,
        task: Task,
        metric: Metric,
        held: _Held,
        base: Measurement,
        readings: interval.Readings,
        at: datetime,
        *,
        judged: bool,
    ) -> tuple[Measurement, tuple[Look, ...]]:
        from analysis_service.core.compare import looking

        setup, spec, foretold = held.setup, held.setup.spec, held.foretold
        started = base.started_at or at
        found = await self._judge(
            lambda: looking.look(setup, metric, held.state, notes.memory(base), readings, started, at),
            heavy=(spec.once and judged) or spec.test in _IN_THREAD,
        )
        metadata = {**notes.with_plan(base.metadata, setup.plan), READINGS: interval.dump(found.memory)}
        slot = (run.id, task.name, task.ordinal)
        if found.state is None or found.look is None or found.ending is None:
            self.foretelling.consider(foretold, setup, (None,))
            await self.foretelling.settled(foretold, self.settling.grace_seconds)
            self._hold(slot, held)
            metadata = notes.with_forecast(setup, metadata, foretold.known)
            return self._running(task, spec, base, started, metadata, "", _first(task, spec)), ()
        metadata = notes.told(metadata, found, found.look)
        ending = found.ending
        self.foretelling.consider(foretold, setup, (found.state,))
        if ending.phase is not Phase.RUNNING or self.foretelling.at_once:
            await self.foretelling.finished(foretold, setup)
        metadata = notes.with_forecast(setup, metadata, foretold.known)
        if ending.phase is Phase.RUNNING:
            self._hold(slot, _Held(held.provider, setup, found.state, metadata[LAST_LOOK], foretold))
            measurement = self._running(task, spec, base, started, metadata, ending.value, ending.reason)
            return self._soon(measurement, foretold), (found.look,)
        self._held.pop(slot, None)
        return _ended(base, ending, metadata, self.clock.now()), (found.look,)

    def _soon(self, measurement: Measurement, foretold: Foretold) -> Measurement:
        """Resumed before the next look, once, if its first forecast may be there by then; others come with looks."""
        now, later = self.clock.now(), measurement.resume_at
        begins = foretold.work is not None and foretold.known is None and not foretold.awaited
        if not begins or later is None or later - now < 3 * SOON:
            return measurement
        foretold.awaited = True
        metadata = {**measurement.metadata, notes.NEXT_LOOK: later.isoformat()}
        return replace(measurement, metadata=metadata, resume_at=now + SOON)

    async def _between(
        self, run: Run, task: Task, metric: Metric, base: Measurement, later: datetime, stored: StoredLooks
    ) -> Measurement:
        """No look: what has been foretold since the last one, if it has."""
        held = await self._setup(run, task, metric, base, stored)
        if isinstance(held, Spec):  # not after a look
            return replace(base, resume_at=later)
        await self.foretelling.settled(held.foretold, SOON.total_seconds())
        self._hold((run.id, task.name, task.ordinal), held)
        metadata = notes.with_forecast(held.setup, base.metadata, held.foretold.known)
        return replace(base, metadata=metadata, reason=_with_forecast(base.reason, metadata), resume_at=later)

    def _running(
        self,
        task: Task,
        spec: Spec,
        base: Measurement,
        started: datetime,
        metadata: Mapping[str, str],
        value: str,
        reason: str,
    ) -> Measurement:
        return Measurement(
            Phase.RUNNING,
            task.ordinal,
            value=value,
            started_at=started,
            resume_at=schedule.next_look(started, spec.interval, spec.max_duration, self.clock.now()),
            metadata=metadata,
            reason=_with_forecast(reason, metadata),
        )

    # looks before the settings are known

    async def _ahead(
        self,
        run: Run,
        task: Task,
        metric: Metric,
        spec: Spec,
        base: Measurement,
        answered: "interval.Readings | NotAnswered",
        at: datetime,
        stored: StoredLooks,
    ) -> tuple[Measurement, tuple[Look, ...]]:
        """A look while the look-back takes its time: it waits, with those before it, until it can be judged."""
        from analysis_service.core.compare import looking, waiting
        from analysis_service.core.compare import state as fold

        kept = waiting.load(base.metadata.get(WAITING, ""))
        number, started = notes.number(base.metadata.get(LAST_LOOK, "")) + len(kept) + 1, base.started_at or at
        if isinstance(answered, NotAnswered):
            cause = CAUSES.get(answered.kind, Cause.INTERNAL)
            measurement = self._without_answer(task, base, answered.message, cause, at)
            missed = looking.missed(number - 1, f"{answered.kind}: {answered.message}", started, at)
            kept = waiting.with_missed(kept, missed)
            measurement = replace(measurement, metadata={**base.metadata, WAITING: waiting.dump(kept)})
            if not measurement.done:
                return measurement, ()
            held = await self._held_for(run, task, metric, spec, base, plan_for(run, task, spec, None), stored)
            _, measurement, looks = await self._caught_up(task, metric, held, measurement)
            return measurement, looks
        if len(kept) >= waiting.MOST:  # counters lose nothing by it: the next look takes their growth
            return self._running(task, spec, base, started, base.metadata, base.value, base.reason), ()
        memory, look = looking.take(spec, notes.memory(base), answered, number, started, at)
        metadata = {**base.metadata, READINGS: interval.dump(memory)}
        if look is None:
            plan = await self.settling.learnt(run, task, spec)
            if plan is not None:
                setup, foretold = fold.Setup(task.name, spec, plan), Foretold()
                self.foretelling.consider(foretold, setup, (None,))
                await self.foretelling.settled(foretold, self.settling.grace_seconds)
                metadata = notes.with_forecast(setup, metadata, foretold.known)
            return self._running(task, spec, base, started, metadata, "", _first(task, spec)), ()
        metadata[WAITING] = waiting.dump((*kept, look))
        taken = f"{len(kept) + 1} look{'s' if kept else ''} taken"
        reason = f"{task.name}: {taken}; judged once the look-back over the stable version has been read"
        return self._running(task, spec, base, started, metadata, base.value, reason), ()

    async def _caught_up(
        self, task: Task, metric: Metric, held: _Held, base: Measurement
    ) -> tuple[_Held, Measurement, tuple[Look, ...]]:
        """The comparison and its measurement once the looks that waited are judged; and these looks."""
        from analysis_service.core.compare import waiting

        looks = waiting.load(base.metadata.get(WAITING, ""))
        if not looks:
            return held, base, ()
        setup, foretold = held.setup, held.foretold
        found = await self._judge(lambda: waiting.judge(setup, metric, held.state, looks), heavy=len(looks) > FEW)
        self.foretelling.consider(foretold, setup, found.judged)
        last, metadata = found.last, notes.with_plan(base.metadata, setup.plan)
        del metadata[WAITING]
        metadata = notes.told(metadata, last, found.looks[-1])
        if last is not None and last.decided and last.ending is not None:
            await self.foretelling.finished(foretold, setup)
            metadata = notes.with_forecast(setup, metadata, foretold.known)
            return held, _ended(base, last.ending, metadata, self.clock.now()), found.looks
        value = last.ending.value if last is not None and last.ending is not None else base.value
        after = _Held(held.provider, setup, found.state, metadata[LAST_LOOK], foretold)
        return after, replace(base, value=value, metadata=metadata), found.looks

    # a look whose query failed

    async def _missed(
        self, run: Run, task: Task, held: _Held, base: Measurement, lost: NotAnswered, at: datetime
    ) -> tuple[Measurement, tuple[Look, ...]]:
        from analysis_service.core.compare import looking

        cause = CAUSES.get(lost.kind, Cause.INTERNAL)
        measurement = self._without_answer(task, base, lost.message, cause, at)
        look = looking.missed(held.state.looks, f"{lost.kind}: {lost.message}", base.started_at or at, at)
        metadata = notes.with_plan(measurement.metadata, held.setup.plan) | notes.counted(look)
        if measurement.done:
            await self.foretelling.finished(held.foretold, held.setup)
        metadata = notes.with_forecast(held.setup, metadata, held.foretold.known)
        slot = (run.id, task.name, task.ordinal)
        self._hold(slot, held)
        self._count_missed(slot, held.looked, look, metadata[LAST_LOOK], done=measurement.done)
        return replace(measurement, metadata=metadata), (look,)

    def _count_missed(self, slot: tuple[str, str, int], before: str, look: Look, mark: str, *, done: bool) -> None:
        """The state after a missed look; one that does not belong to the look before it is forgotten."""
        from analysis_service.core.compare import state as fold

        held = self._held.pop(slot, None)
        if held is not None and held.looked == before and not done:
            state = fold.missed(held.state, fold.look_of(look))
            self._hold(slot, _Held(held.provider, held.setup, state, mark, held.foretold))

    def _without_answer(self, task: Task, base: Measurement, message: str, cause: Cause, at: datetime) -> Measurement:
        from analysis_service.core.compare.telling import missed_text

        missed, limit = base.missed + 1, task.metric.error_limit
        text = missed_text(task.name, missed, limit, message)
        over = missed > limit
        return Measurement(
            Phase.ERROR if over else Phase.RUNNING,
            task.ordinal,
            message=message,
            value=base.value,
            started_at=base.started_at or at,
            finished_at=self.clock.now() if over else None,
            resume_at=None if over else schedule.retry(self.clock.now()),
            metadata=base.metadata,
            reason=text,
            cause=cause,
            missed=missed,
        )

    async def _terminated(self, run: Run, task: Task, held: _Held, base: Measurement) -> Measurement:
        from analysis_service.core.compare import state as fold
        from analysis_service.core.compare import telling

        def judged() -> telling.Ending:
            evidence = fold.evidence_of(held.setup, held.state)
            return telling.at_termination(held.setup, held.state, evidence, base.value, strict=run.spec.strict)

        ending = await self._judge(judged, heavy=held.setup.spec.test in _IN_THREAD)
        self._held.pop((run.id, task.name, task.ordinal), None)
        await self.foretelling.finished(held.foretold, held.setup)
        metadata = notes.with_forecast(held.setup, base.metadata, held.foretold.known)
        return replace(_ended(base, ending, metadata, self.clock.now()), message=telling.TERMINATED)

    # what lies between looks

    async def _setup(
        self, run: Run, task: Task, metric: Metric, base: Measurement, stored: StoredLooks
    ) -> "_Held | Spec":
        """The comparison as it stood after the last saved look; what is asked for, while its settings are not known.

        Raises SpecError, StoreError.
        """
        await self.load()
        from analysis_service.core.compare import state as fold

        slot = (run.id, task.name, task.ordinal)
        looked = base.metadata.get(LAST_LOOK, "")
        held = self._held.get(slot)
        if held is not None and held.looked == looked and held.provider is metric.provider:
            self._held.move_to_end(slot)
            return held
        spec = parse(comparison_of(metric.provider) or {}, task.metric.interval)
        if held is not None and held.setup.spec == spec:
            plan: Plan | None = held.setup.plan
        else:  # settings never change between looks, not even those learnt from history
            plan = notes.plan(base) or await self.settling.settled(run, task, spec, base)
        if plan is None:
            return spec
        if held is not None and held.looked == looked:
            return _Held(metric.provider, fold.Setup(task.name, spec, plan), held.state, looked, held.foretold)
        return await self._held_for(run, task, metric, spec, base, plan, stored)

    async def _held_for(
        self, run: Run, task: Task, metric: Metric, spec: Spec, base: Measurement, plan: Plan, stored: StoredLooks
    ) -> _Held:
        from analysis_service.core.compare import state as fold

        setup, looked = fold.Setup(task.name, spec, plan), base.metadata.get(LAST_LOOK, "")
        state, first = await self._rebuilt(run, task, setup, looked, stored)
        foretold = Foretold(notes.outlook(base.metadata))
        self.foretelling.consider(foretold, setup, first)  # a forecast that was not noted is made again
        return _Held(metric.provider, setup, state, looked, foretold)

    async def _rebuilt(
        self, run: Run, task: Task, setup: "Setup", looked: str, stored: StoredLooks
    ) -> "tuple[State, list[State]]":
        """The whole state, from the looks as they were saved; and those after the first of them."""
        from analysis_service.core.compare import state as fold

        if not looked:
            return fold.begin(setup), []
        page = await stored(run.id, task.name, task.ordinal, PAGE)
        looks = list(page.items)
        while page.next_key:
            page = await stored(run.id, task.name, task.ordinal, PAGE, page.next_key)
            looks += page.items
        return await asyncio.to_thread(_rebuild, setup, looks)

    def _hold(self, slot: tuple[str, str, int], held: _Held) -> None:
        from analysis_service.core.compare import state as fold

        state = fold.shortened(held.setup, held.state)
        self._held[slot] = _Held(held.provider, held.setup, state, held.looked, held.foretold)
        self._held.move_to_end(slot)
        if len(self._held) > KEPT_STATES:
            self._held.popitem(last=False)

    async def _judge(self, work: Callable[[], T], *, heavy: bool) -> T:
        """Weighing one look holds the loop for well under a millisecond; many at once take turns with all else."""
        if heavy:
            return await asyncio.to_thread(work)
        async with self._turn:
            result = work()
            await asyncio.sleep(0)
        return result


def _rebuild(setup: "Setup", looks: "Sequence[Look]") -> "tuple[State, list[State]]":
    from analysis_service.core.compare import state as fold

    first: list[State] = []
    state = fold.begin(setup)
    for state, look in fold.rebuilding(setup, looks):
        if not look.missed and len(first) < MOST_WAITING:
            first.append(state)
    return state, first


def _load() -> None:
    """Import what weighs evidence, so that the loop need not wait for it later."""
    from analysis_service.core.compare import looking

    looking.warm_up()


def _ended(base: Measurement, ending: "telling.Ending", metadata: Mapping[str, str], now: datetime) -> Measurement:
    return Measurement(
        ending.phase,
        base.ordinal,
        value=ending.value,
        started_at=base.started_at or now,
        finished_at=now,
        metadata=notes.at_end(metadata),
        reason=ending.reason,
        cause=ending.cause,
    )


def _with_forecast(reason: str, metadata: Mapping[str, str]) -> str:
    forecast = metadata.get(FORECAST, "")
    return f"{reason.rstrip('.')}. {forecast}" if forecast and reason and forecast not in reason else reason


def _next_look(base: Measurement) -> tuple[datetime | None, Measurement]:
    """When the next look is due, if the measurement was to be resumed before it; and the measurement without that."""
    later = notes.next_look(base.metadata)
    if later is None:
        return None, base
    return later, replace(base, metadata={k: v for k, v in base.metadata.items() if k != notes.NEXT_LOOK})


def _first(task: Task, spec: Spec) -> str:
    return f"{task.name}: first readings taken; the first comparison follows in {_seconds(spec.interval)}"


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():g} s"
