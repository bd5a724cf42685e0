"""Takes the looks of comparisons: asks every arm's queries at once, and hands what they answer to the pure core.

A comparison is one measurement that is resumed at every look (core.compare). Between looks its state is kept (keeping)
and its forecast is made (foretelling). Raw counters of the last look travel in the measurement's metadata, saved
together with the look.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec.structs import replace

from analysis_service import measured, notes
from analysis_service.arms import answers
from analysis_service.asking import Asker
from analysis_service.clock import Clock
from analysis_service.core.compare import interval
from analysis_service.core.compare.spec import READINGS, Spec, SpecError, comparison_of, parse
from analysis_service.core.due import Op
from analysis_service.core.judge import CAUSES, NotAnswered, mark_error
from analysis_service.core.model import Cause, Look, Measurement, Metric, Phase, Run
from analysis_service.core.reconcile import Task
from analysis_service.foretelling import Foretelling, Foretold
from analysis_service.keeping import Held, Keeping, StoredLooks
from analysis_service.notes import LAST_LOOK, WAITING
from analysis_service.settling import Settling, plan_for
from providers.base import within

T = TypeVar("T")

FEW = 4  # looks that are judged on the loop, one after the other
_IN_THREAD = frozenset({"group-sequential", "sequential-quantile", "sequential-ks", "sequential-mean"})


@dataclass(slots=True)
class Comparer:
    """Shared by all runs of the process."""

    asker: Asker
    clock: Clock
    settling: Settling = field(init=False)
    foretelling: Foretelling = field(default_factory=Foretelling)
    keeping: Keeping = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _warm: bool = False

    def __post_init__(self) -> None:
        self.settling = Settling(self.clock)
        self.keeping = Keeping(self.settling, self.foretelling)

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
        later, base = measured.next_look(base)
        if later is not None and now < later and task.op is not Op.TERMINATE:
            return await self._between(run, task, metric, base, later, stored), ()
        try:
            await self.load()
            held = await self.keeping.find(run, task, metric, base, stored)
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
        if judged:
            held = await self.keeping.whole(run, task, held, stored)
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
        later, base = measured.next_look(base)
        if later is not None and now < later:
            return replace(base, resume_at=later), ()
        if WAITING in base.metadata:
            metric = task.metric.metric
            spec = parse(comparison_of(metric.provider) or {}, task.metric.interval)
            return await self._ahead(run, task, metric, spec, base, lost, now, stored)
        looked = base.metadata.get(LAST_LOOK, "")
        cause = CAUSES.get(lost.kind, Cause.INTERNAL)
        measurement = measured.missed(task, base, lost.message, cause, now, self.clock.now())
        look = looking.missed(notes.number(looked), f"{lost.kind}: {lost.message}", base.started_at or now, now)
        metadata = {**base.metadata, **notes.counted(look)}
        slot = (run.id, task.name, task.ordinal)
        self.keeping.miss(slot, looked, look, metadata[LAST_LOOK], done=measurement.done)
        return replace(measurement, metadata=metadata), (look,)

    # one look

    async def _looked(
        self,
        run: Run,
        task: Task,
        metric: Metric,
        held: Held,
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
            self.keeping.keep(slot, held)
            metadata = notes.with_forecast(setup, metadata, foretold.known)
            return measured.running(task, spec, started, self.clock.now(), metadata, "", measured.first(task, spec)), ()
        metadata = notes.told(metadata, found, found.look)
        ending = found.ending
        self.foretelling.consider(foretold, setup, (found.state,))
        if ending.phase is not Phase.RUNNING or self.foretelling.at_once:
            await self.foretelling.finished(foretold, setup)
        metadata = notes.with_forecast(setup, metadata, foretold.known)
        if ending.phase is Phase.RUNNING:
            self.keeping.keep(slot, Held(held.provider, setup, found.state, metadata[LAST_LOOK], foretold))
            measurement = measured.running(task, spec, started, self.clock.now(), metadata, ending.value, ending.reason)
            begins = foretold.work is not None and foretold.known is None and not foretold.awaited
            if not begins:
                return measurement, (found.look,)
            foretold.awaited = True
            return measured.soon(measurement, self.clock.now()), (found.look,)
        self.keeping.forget(slot)
        return measured.ended(base, ending, metadata, self.clock.now()), (found.look,)

    async def _between(
        self, run: Run, task: Task, metric: Metric, base: Measurement, later: datetime, stored: StoredLooks
    ) -> Measurement:
        """No look: what has been foretold since the last one, if it has."""
        await self.load()
        held = await self.keeping.find(run, task, metric, base, stored)
        if isinstance(held, Spec):  # not after a look
            return replace(base, resume_at=later)
        await self.foretelling.settled(held.foretold, measured.SOON.total_seconds())
        self.keeping.keep((run.id, task.name, task.ordinal), held)
        metadata = notes.with_forecast(held.setup, base.metadata, held.foretold.known)
        return replace(base, metadata=metadata, reason=measured.with_forecast(base.reason, metadata), resume_at=later)

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
            measurement = measured.missed(task, base, answered.message, cause, at, self.clock.now())
            missed = looking.missed(number - 1, f"{answered.kind}: {answered.message}", started, at)
            kept = waiting.with_missed(kept, missed)
            measurement = replace(measurement, metadata={**base.metadata, WAITING: waiting.dump(kept)})
            if not measurement.done:
                return measurement, ()
            setup = fold.Setup(task.name, spec, plan_for(run, task, spec, None))
            held = await self.keeping.rebuilt(run, task, metric, setup, base, stored)
            _, measurement, looks = await self._caught_up(task, metric, held, measurement)
            return measurement, looks
        if len(kept) >= waiting.MOST:  # counters lose nothing by it: the next look takes their growth
            return measured.running(task, spec, started, self.clock.now(), base.metadata, base.value, base.reason), ()
        memory, look = looking.take(spec, notes.memory(base), answered, number, started, at)
        metadata = {**base.metadata, READINGS: interval.dump(memory)}
        if look is None:
            plan = await self.settling.learnt(run, task, spec)
            if plan is not None:
                setup, foretold = fold.Setup(task.name, spec, plan), Foretold()
                self.foretelling.consider(foretold, setup, (None,))
                await self.foretelling.settled(foretold, self.settling.grace_seconds)
                metadata = notes.with_forecast(setup, metadata, foretold.known)
            return measured.running(task, spec, started, self.clock.now(), metadata, "", measured.first(task, spec)), ()
        metadata[WAITING] = waiting.dump((*kept, look))
        taken = f"{len(kept) + 1} look{'s' if kept else ''} taken"
        reason = f"{task.name}: {taken}; judged once the look-back over the stable version has been read"
        return measured.running(task, spec, started, self.clock.now(), metadata, base.value, reason), ()

    async def _caught_up(
        self, task: Task, metric: Metric, held: Held, base: Measurement
    ) -> tuple[Held, Measurement, tuple[Look, ...]]:
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
            return held, measured.ended(base, last.ending, metadata, self.clock.now()), found.looks
        value = last.ending.value if last is not None and last.ending is not None else base.value
        after = Held(held.provider, setup, found.state, metadata[LAST_LOOK], foretold)
        return after, replace(base, value=value, metadata=metadata), found.looks

    # a look whose query failed

    async def _missed(
        self, run: Run, task: Task, held: Held, base: Measurement, lost: NotAnswered, at: datetime
    ) -> tuple[Measurement, tuple[Look, ...]]:
        from analysis_service.core.compare import looking

        cause = CAUSES.get(lost.kind, Cause.INTERNAL)
        measurement = measured.missed(task, base, lost.message, cause, at, self.clock.now())
        look = looking.missed(held.state.looks, f"{lost.kind}: {lost.message}", base.started_at or at, at)
        metadata = notes.with_plan(measurement.metadata, held.setup.plan) | notes.counted(look)
        if measurement.done:
            await self.foretelling.finished(held.foretold, held.setup)
        metadata = notes.with_forecast(held.setup, metadata, held.foretold.known)
        slot = (run.id, task.name, task.ordinal)
        self.keeping.keep(slot, held)
        self.keeping.miss(slot, held.looked, look, metadata[LAST_LOOK], done=measurement.done)
        return replace(measurement, metadata=metadata), (look,)

    async def _terminated(self, run: Run, task: Task, held: Held, base: Measurement) -> Measurement:
        from analysis_service.core.compare import state as fold
        from analysis_service.core.compare import telling

        def judged() -> telling.Ending:
            evidence = fold.evidence_of(held.setup, held.state)
            return telling.at_termination(held.setup, held.state, evidence, base.value, strict=run.spec.strict)

        ending = await self._judge(judged, heavy=held.setup.spec.test in _IN_THREAD)
        self.keeping.forget((run.id, task.name, task.ordinal))
        await self.foretelling.finished(held.foretold, held.setup)
        metadata = notes.with_forecast(held.setup, base.metadata, held.foretold.known)
        return replace(measured.ended(base, ending, metadata, self.clock.now()), message=telling.TERMINATED)

    async def _judge(self, work: Callable[[], T], *, heavy: bool) -> T:
        """Weighing one look holds the loop for well under a millisecond; many at once take turns with all else."""
        if heavy:
            return await asyncio.to_thread(work)
        async with self._turn:
            result = work()
            await asyncio.sleep(0)
        return result


def _load() -> None:
    """Import what weighs evidence, so that the loop need not wait for it later."""
    from analysis_service.core.compare import looking

    looking.warm_up()
