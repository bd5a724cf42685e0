"""Comparisons from the first look to the verdict: driven by hand where time matters, through the engine elsewhere."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from analysis_service.asking import Asker
from analysis_service.core.model import Cause, Look, Metric, Phase, Run, RunSpec
from analysis_service.core.reconcile import Step, plan, settle, terminate
from analysis_service.measuring import Measurer
from analysis_service.secrets import EnvironmentSecrets, Secrets
from analysis_service.stores.base import Claim, Commit, NewRun, Store
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import Telemetry
from providers.base import Answer, Context, Sample, Spec

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCRIPTED = "scripted"

Source = Callable[[str, float], Answer]
"""(query, seconds since the start) -> the answer, or what it raises."""


@dataclass
class Time:
    """A clock that stands still until it is moved."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def wall(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()


@dataclass
class Backend:
    """Answers by a function of the query and the time."""

    source: Source
    clock: Time
    asked: list[str] = field(default_factory=list)
    name: str = SCRIPTED

    def check(self, spec: Spec) -> list[str]:
        return [] if "query" in spec else ["query is missing"]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {"ResolvedQuery": str(spec["query"])}

    def timeout_seconds(self, spec: Spec) -> float:
        return 5.0

    def credentials(self, spec: Spec, context: Context) -> str:
        return ""

    async def query(self, spec: Spec, context: Context) -> Answer:
        query = str(spec["query"])
        self.asked.append(query)
        return self.source(query, self.clock.monotonic())

    async def close(self) -> None:
        return None


@dataclass
class Bench:
    """One run over a store, advanced step by step in its own time. `restart` forgets all that is in memory."""

    source: Source
    metrics: tuple[Metric, ...]
    strict: bool = False
    clock: Time = field(default_factory=Time)
    store: Store = field(default_factory=MemoryStore)
    claim: Claim | None = None
    measurer: Measurer | None = None
    backend: Backend | None = None

    async def create(self) -> None:
        self.restart()
        run = Run("id", "n", "run", RunSpec(metrics=self.metrics, strict=self.strict), created_at=START)
        record, _ = await self.store.create_run(NewRun(run, START, owner="me"), START)
        self.claim = Claim(record.run, 1, "me", record.resource_version)

    def restart(self) -> None:
        backend = self.backend = Backend(self.source, self.clock)

        def load(name: str) -> Backend:
            if name != SCRIPTED:
                raise LookupError(name)
            return backend

        asker = Asker(load, Secrets([EnvironmentSecrets({})]), self.clock, Telemetry(), bucket_seconds=0.0)
        self.measurer = Measurer(asker, self.clock)

    @property
    def run(self) -> Run:
        assert self.claim is not None
        return self.claim.run

    async def turn(self) -> Step:
        """One reconcile, saved as the engine saves it."""
        assert self.claim is not None
        assert self.measurer is not None
        planned = plan(self.run, self.clock.now())
        taken, looks, described = await self.measurer.take(planned, self.store.list_looks)
        step = settle(planned.run, taken, self.clock.now(), described)
        recorded = {(name, measurement.ordinal) for name, measurement in step.recorded}
        commit = Commit(
            self.claim,
            step.run,
            step.wake_at,
            step.recorded,
            [(*slot, look) for slot, some in looks.items() if slot in recorded for look in some],
        )
        self.claim = await self.store.save(commit)
        return step

    async def until_done(self, *, restarts: bool = False, turns: int = 2000) -> Run:
        if self.claim is None:
            await self.create()
        for _ in range(turns):
            step = await self.turn()
            if self.run.phase.done:
                return self.run
            assert step.wake_at is not None
            self.clock.at = max(self.clock.at, step.wake_at)
            if restarts:
                self.restart()
        raise AssertionError(f"not done after {turns} turns: {self.run.results}")

    async def advance(self, until: float) -> None:
        """Every turn that is due within so many seconds of the start."""
        if self.claim is None:
            await self.create()
        while True:
            step = await self.turn()
            assert not self.run.phase.done, self.run.reason
            if step.wake_at is None or step.wake_at > START + timedelta(seconds=until):
                return
            self.clock.at = max(self.clock.at, step.wake_at)

    async def terminated(self) -> Run:
        assert self.claim is not None
        self.claim = Claim(terminate(self.run), 1, "me", self.claim.resource_version)
        await self.turn()
        return self.run

    async def looks(self, metric: str = "errors") -> list[Look]:
        return list((await self.store.list_looks("id", metric, 0, 10_000)).items)


def comparison(interval: str = "30s", **fields: Any) -> Metric:
    spec: dict[str, Any] = {
        "arms": {"canary": {"v": "canary"}, "stable": {"v": "stable"}},
        "counts": {
            "events": {SCRIPTED: {"query": "{{arm.v}} errors"}},
            "totals": {SCRIPTED: {"query": "{{arm.v}} requests"}},
        },
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
        "cumulative": True,
    }
    metric = {
        key: fields.pop(key) for key in ("consecutive_error_limit", "outage_policy", "on_no_data") if key in fields
    }
    spec.update(fields)
    spec = {key: value for key, value in spec.items() if value is not None}
    return Metric(name="errors", interval=interval, provider={"compare": spec}, **metric)


def vector(*values: tuple[str, float]) -> Answer:
    return Answer([v for _, v in values], "", tuple(Sample({"pod": pod}, v) for pod, v in values))


def traffic(canary_share: float, stable_share: float, *, rate: float = 10.0, seed: int = 1) -> Source:
    """Counters of one process per arm: `rate` requests per second each, of which a share are errors. Seeded: the same
    question at the same time always has the same answer."""

    def errors(arm: str, seconds: int) -> int:
        draw = random.Random(f"{seed} {arm}")
        share = canary_share if arm == "canary" else stable_share
        return sum(draw.random() < share for _ in range(int(seconds * rate)))

    def source(query: str, seconds: float) -> Answer:
        arm, what = query.split()
        count = int(seconds * rate) if what == "requests" else errors(arm, int(seconds))
        return vector((f"{arm}-1", 1000.0 + count))

    return source


async def test_a_canary_twice_as_bad_fails_with_a_sentence() -> None:
    bench = Bench(traffic(0.10, 0.04), (comparison(),))
    run = await bench.until_done()
    result = run.results[0]
    assert (run.phase, result.phase, result.cause) == (Phase.FAILED, Phase.FAILED, Cause.HARM_SHOWN)
    measurement = result.measurements[-1]
    assert measurement.value.startswith("x2.")
    assert "Failed at look" in run.reason
    assert "false-alarm chance" in run.reason
    looks = await bench.looks()
    assert [look.number for look in looks] == list(range(1, len(looks) + 1))
    assert measurement.metadata["looks"] == str(len(looks))
    assert looks[-1].data["verdict"]["outcome"] == "fail"
