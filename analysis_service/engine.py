"""The one loop that waits: claim due runs, plan, ask, judge, settle, save, and look again when it is time.

Each run is advanced by one task at a time; runs do not wait for each other. All state is in the saved run, so a
crash anywhere costs at most a question asked twice, never a measurement counted twice: the store's fence refuses
the second write, and what was refused is dropped and read anew.
"""

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import structlog
from prometheus_client import Counter

from analysis_service.clock import Clock
from analysis_service.core.assess import terminating
from analysis_service.core.model import Look, Run
from analysis_service.core.reconcile import Step, plan, quarantine, settle, terminate
from analysis_service.measuring import Measurer, SecretMissing
from analysis_service.stores.base import Claim, Commit, Fenced, RunRecord, Store, StoreError
from analysis_service.telemetry import Telemetry

LEASE = timedelta(seconds=15)
RENEW_SECONDS = 5.0
SELF_FENCE_SECONDS = 10.0  # no write and no question after this long without a renewal, whatever the store says
CLAIM_BATCH = 500
POLL_SECONDS = 1.0
POLL = timedelta(seconds=POLL_SECONDS)
FOREVER = datetime.max.replace(tzinfo=UTC)
STORE_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
MAX_CRASHES = 3  # of this process's turns of a run, or of processes that held it
BURST = 25  # runs that are begun before the loop turns to something else
QUARANTINE_CRASHES = 5  # of processes, for a run that is the only suspect: kill -9 is not a run's fault
SHORTEST_GAP = timedelta(milliseconds=100)  # between measurements of one run: `interval: 0s` is legal in Argo
_log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    """A run this process owns. `due` is None while a task is at work on it or nothing is to come."""

    claim: Claim
    template: str = ""
    due: datetime | None = None
    busy: bool = False
    again: bool = False  # something happened while busy: look once more at once
    crashes: int = 0


@dataclass(slots=True)
class Engine:
    """Drives every run of `owner`. `serve` is the loop; all else may be called from the same event loop."""

    store: Store
    measurer: Measurer
    clock: Clock
    telemetry: Telemetry
    owner: str
    shortest_gap: timedelta = SHORTEST_GAP
    _held: dict[str, _Held] = field(default_factory=dict)
    _heap: list[tuple[datetime, int, str]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _counters: dict[tuple[str, str], Counter] = field(default_factory=dict)
    _let_go_of: set[str] = field(default_factory=set)
    _draining: bool = False
    _renewed: float = 0.0  # monotonic time at which the last successful renewal began
    _beat: float = 0.0
    _until: datetime = FOREVER  # when the loop means to look again

    # what others ask of it

    @property
    def live(self) -> int:
        return len(self._held)

    def alive(self) -> bool:
        """Whether the loop turned in the last five seconds."""
        return self.clock.monotonic() - self._beat < 5.0

    def owns_lease(self) -> bool:
        return self.clock.monotonic() - self._renewed < SELF_FENCE_SECONDS

    def held(self, run_id: str) -> RunRecord | None:
        """The newest state of a run this process owns: what the store holds, without asking it."""
        held = self._held.get(run_id)
        if held is None:
            return None
        claim = held.claim
        return RunRecord(claim.run, claim.resource_version, claim.terminate_requested, held.template)

    def live_from(self, template: str) -> int:
        return sum(held.template == template for held in self._held.values())

    def adopt(self, record: RunRecord) -> None:
        """A run just created with this engine as its owner (epoch 1)."""
        claim = Claim(record.run, 1, self.owner, record.resource_version, record.terminate_requested)
        self._hold(claim, record.template)

    def terminate(self, run_id: str) -> None:
        """A request to terminate was stored: act on it now."""
        held = self._held.get(run_id)
        if held is not None:
            held.claim = _asked_to_end(held.claim)
            self._schedule(held, self.clock.now())

    async def drain(self, seconds: float) -> None:
        """Start nothing more, let what is being asked be saved for so long, then give every run back."""
        self._draining = True
        self._news.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in self._tasks:
            task.cancel()
        try:
            await self.store.release(self.owner, self.clock.now())
        except StoreError as error:
            _log.warning("runs not given back; their lease will run out", error=str(error))
        self._held.clear()

    # the loop

    async def serve(self) -> None:
        """Until drained. A store that does not answer is waited for; nothing else ends it."""
        background = asyncio.create_task(self._keep_owning())
        try:
            while not self._draining:
                self._beat = self.clock.monotonic()
                self._news.clear()
                now = self.clock.now()
                turns = 0
                while self._heap and self._heap[0][0] <= now and self.owns_lease():
                    turns += 1
                    if turns % BURST == 0:  # many runs that are due at one instant leave room for all else
                        await asyncio.sleep(0)
                        continue  # what is due may have changed
                    due, _, run_id = heapq.heappop(self._heap)
                    held = self._held.get(run_id)
                    if held is not None and held.due == due and not held.busy:
                        self._start(held, due, now)
                await self._sleep(now)
        finally:
            background.cancel()

    async def _sleep(self, now: datetime) -> None:
        until = now + POLL
        if self._heap and self.owns_lease():  # without the lease, the renewal wakes us
            until = min(until, self._heap[0][0])
        self._until = until
        timer = asyncio.get_running_loop().call_later(max(0.0, (until - now).total_seconds()), self._news.set)
        await self._news.wait()
        timer.cancel()

    async def _keep_owning(self) -> None:
        """Renew the lease, and claim what nobody drives: at once, and every second after."""
        while True:
            began = self.clock.monotonic()
            try:
                if began - self._renewed >= RENEW_SECONDS or not self._renewed:
                    await self.store.renew(self.owner, self.clock.now(), LEASE)
                    if self._renewed and began - self._renewed >= SELF_FENCE_SECONDS:
                        await self._lose_all()
                    self._renewed = began
                    self._news.set()
                while not self._draining:
                    await self._give_back()
                    claims = await self.store.claim(self.owner, self.clock.now(), CLAIM_BATCH, LEASE)
                    suspects = []
                    for claim in claims:
                        if claim.crashes < MAX_CRASHES:
                            self._hold(claim, "")
                        else:
                            suspects.append(claim)
                    if suspects:
                        self._tasks.add(task := asyncio.create_task(self._try(suspects)))
                        task.add_done_callback(self._tasks.discard)
                    if len(claims) < CLAIM_BATCH:
                        break
            except StoreError as error:
                self.telemetry.store_errors.inc()
                _log.warning("store does not answer", error=str(error))
            self.telemetry.live_runs.set(len(self._held))
            await asyncio.sleep(POLL_SECONDS)

    async def _lose_all(self) -> None:
        """We were away too long (paused, cut off): what we hold may be somebody else's by now. Claim anew."""
        _log.warning("lease not renewed in time; all runs are dropped and claimed anew", runs=len(self._held))
        self._held.clear()
        self._heap.clear()
        await self.store.release(self.owner, self.clock.now())

    async def _let_go(self, held: _Held) -> None:
        """What we know of a run is not what is stored. If it is still ours there, give it back: it is claimed anew,
        with its stored state (a write may have taken effect although it seemed to fail)."""
        run_id = held.claim.run.id
        if self._held.get(run_id) is held:
            del self._held[run_id]
            self._let_go_of.add(run_id)
            with suppress(StoreError):  # then the next claim tries again
                await self._give_back()

    async def _give_back(self) -> None:
        for run_id in tuple(self._let_go_of):
            await self.store.release(self.owner, self.clock.now(), run_id)
            self._let_go_of.discard(run_id)

    async def _try(self, suspects: Sequence[Claim]) -> None:
        """Runs in whose hands the process died again and again: one at a time, so that the guilty one dies alone.

        A turn that succeeds clears a run. The order changes with the count, so that no run stands behind the guilty
        one for ever; the last one left is it.
        """
        for claim in sorted(suspects, key=lambda one: hash((one.crashes, one.run.id))):
            held = self._held[claim.run.id] = _Held(_asked_to_end(claim) if claim.terminate_requested else claim)
            if len(suspects) == 1 and claim.crashes >= QUARANTINE_CRASHES:
                held.crashes = claim.crashes
            _log.warning("trying a run alone", run_id=claim.run.id, crashes=claim.crashes)
            held.busy = True
            await self._advance(held)

    def _hold(self, claim: Claim, template: str) -> None:
        known = self._held.get(claim.run.id)
        held = self._held[claim.run.id] = _Held(claim, template or (known.template if known else ""))
        if claim.terminate_requested:
            held.claim = _asked_to_end(claim)
        self._schedule(held, self.clock.now())

    def _schedule(self, held: _Held, due: datetime | None) -> None:
        if held.busy:
            held.again = True
            return
        held.due = due
        if due is not None:
            heapq.heappush(self._heap, (due, next(self._order), held.claim.run.id))
            if due < self._until:  # else the loop wakes in time by itself
                self._news.set()

    def _start(self, held: _Held, due: datetime, now: datetime) -> None:
        self.telemetry.lateness.observe(max(0.0, (now - due).total_seconds()))
        held.busy, held.due, held.again = True, None, False
        task = asyncio.create_task(self._advance(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _advance(self, held: _Held) -> None:
        """One turn of one run. Whatever happens, the run is scheduled again, finished, or not ours any more."""
        run_id, wake = held.claim.run.id, None
        try:
            wake = await self._turn(held)
            held.crashes = 0
        except Fenced:
            self.telemetry.fenced.inc()
            _log.info("run changed hands; dropped", run_id=run_id)
            await self._let_go(held)
            return
        except StoreError as error:
            self.telemetry.store_errors.inc()
            _log.warning("run not saved; dropped until the store answers", run_id=run_id, error=str(error))
            wake = self.clock.now() + timedelta(seconds=1)
        except Exception as error:  # a bug met one run: the others go on, and this one ends after three
            held.crashes += 1
            _log.error("run could not be advanced", run_id=run_id, crashes=held.crashes, exc_info=error)
            wake = self.clock.now() + timedelta(seconds=1)
        finally:
            held.busy = False
        if held.claim.run.phase.done:
            if self._held.get(run_id) is held:
                del self._held[run_id]
            return
        self._schedule(held, self.clock.now() if held.again else wake)

    async def _turn(self, held: _Held) -> datetime | None:
        run = held.claim.run
        if held.crashes >= MAX_CRASHES:
            step = Step(quarantine(run, held.crashes, self.clock.now()))
            held.claim = await self._save(held, step, {})
            return None
        planned = plan(run, self.clock.now())
        try:
            taken, looks, described = await self.measurer.take(planned, self.store.list_looks)
        except SecretMissing as missing:
            step = Step(missing.run)
            held.claim = await self._save(held, step, {})
            return None
        step = settle(planned.run, taken, self.clock.now(), described)
        if step.run is run and not step.recorded:
            return step.wake_at
        before = run
        held.claim = await self._save(held, step, looks)
        self._count(before, step)
        if step.wake_at is None or not step.recorded or terminating(step.run):
            return step.wake_at
        return max(step.wake_at, self.clock.now() + self.shortest_gap)

    async def _save(self, held: _Held, step: Step, looks: Mapping[tuple[str, int], tuple[Look, ...]]) -> Claim:
        """Durable, or Fenced. A store that does not answer is asked again while we own the run."""
        recorded = {(metric, measurement.ordinal) for metric, measurement in step.recorded}
        commit = Commit(
            claim=held.claim,
            run=step.run,
            due_at=step.wake_at,
            taken=step.recorded,
            looks=[(*slot, look) for slot, some in looks.items() if slot in recorded for look in some],
        )
        waits = iter(STORE_RETRY_SECONDS)
        while True:
            try:
                claim = await self.store.save(commit)
                return _asked_to_end(claim) if claim.terminate_requested or held.claim.terminate_requested else claim
            except Fenced:
                raise
            except StoreError as error:
                wait = next(waits, None)
                if wait is None or self._draining:
                    raise
                self.telemetry.store_errors.inc()
                _log.warning("save failed; trying again", run_id=step.run.id, error=str(error), wait_seconds=wait)
                await asyncio.sleep(wait)

    def _count(self, before: Run, step: Step) -> None:
        for name, measurement in step.recorded:
            key = (self.measurer.provider_of(step.run, name), measurement.phase.value)
            counter = self._counters.get(key)
            if counter is None:
                counter = self._counters[key] = self.telemetry.measurements.labels(*key)
            counter.inc()
        if step.run.phase.done and not before.phase.done:
            self.telemetry.runs.labels(step.run.phase.value).inc()
            _log.info(
                "verdict",
                run_id=step.run.id,
                namespace=step.run.namespace,
                run=step.run.name,
                phase=step.run.phase.value,
                reason=step.run.reason,
            )


def _asked_to_end(claim: Claim) -> Claim:
    """The claim with its run told to end, which is what a stored request to terminate means."""
    return Claim(terminate(claim.run), claim.epoch, claim.owner, claim.resource_version, terminate_requested=True)
