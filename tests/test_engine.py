"""The engine's loop over a real store, asking a scripted backend: whole runs, from creation to verdict."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.core.model import (
    Argument,
    Cause,
    Metric,
    OutagePolicy,
    Phase,
    Run,
    RunSpec,
    SecretKeyRef,
    ValueFrom,
)
from analysis_service.engine import Engine
from analysis_service.measuring import Measurer
from analysis_service.secrets import EnvironmentSecrets, Secrets
from analysis_service.stores.base import Claim, Commit, NewRun, RunRecord, Store, Unavailable
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import Telemetry, configure_logging
from providers.base import Answer, Throttled, Unreachable
from tests.scripted import SCRIPTED, Scripted


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error")


async def until(condition: Callable[[], object]) -> None:
    """Looks again every few milliseconds: what is waited for happens in the engine, not here."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@dataclass
class Script:
    """What each query is answered (the last entry for ever): a number, or an error to raise."""

    entries: Mapping[str, list[float | Exception]]
    delay_seconds: float = 0.0
    at_once: int = 0
    most_at_once: int = 0

    async def answer(self, query: str) -> Answer:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay_seconds)
        self.at_once -= 1
        entries = self.entries[query]
        entry = entries.pop(0) if len(entries) > 1 else entries[0]
        if isinstance(entry, Exception):
            raise entry
        return Answer(entry, f"{entry:g}")


@dataclass
class Service:
    engine: Engine
    store: Store
    script: Script
    backend: Scripted
    telemetry: Telemetry

    async def start(self, spec: RunSpec, name: str = "run") -> RunRecord:
        now = self.engine.clock.now()
        run = Run(id=f"id-{name}", namespace="n", name=name, spec=spec, created_at=now)
        record, _ = await self.store.create_run(NewRun(run=run, due_at=now, owner=self.engine.owner), now)
        self.engine.adopt(record)
        return record

    async def verdict(self, name: str = "run", seconds: float = 10.0) -> Run:
        async with asyncio.timeout(seconds):
            while True:
                run = (await self.store.get_run("n", f"id-{name}")).run
                if run.phase.done:
                    return run
                await asyncio.sleep(0.01)


@asynccontextmanager
async def service(
    script: Mapping[str, list[float | Exception]],
    *,
    store: Store | None = None,
    owner: str = "me",
    environ: Mapping[str, str] | None = None,
    delay_seconds: float = 0.0,
    jitter: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[Service]:
    clock, telemetry, answers = SystemClock(), Telemetry(), Script(script, delay_seconds)
    backend = Scripted(answers.answer)
    store = store or MemoryStore()
    secrets = Secrets([EnvironmentSecrets(environ or {})])
    asker = Asker(backend.load, secrets, clock, telemetry, jitter=jitter)
    engine = Engine(store, Measurer(asker, clock), clock, telemetry, owner=owner, shortest_gap=timedelta())
    serving = asyncio.create_task(engine.serve())
    yield Service(engine, store, answers, backend, telemetry)
    await engine.drain(2.0)
    await serving


def metric(query: str, **fields: Any) -> Metric:
    return Metric(name=query, provider={SCRIPTED: {"query": query}}, **fields)


async def test_runs_to_a_verdict_with_its_reason() -> None:
    spec = RunSpec(
        metrics=(metric("errors", interval="1ms", count=3, success_condition="result < 0.05", failure_limit=1),)
    )
    async with service({"errors": [0.01, 0.08, 0.09]}) as it:
        await it.start(spec)
        run = await it.verdict()
    assert (run.phase, run.message) == (
        Phase.FAILED,
        'Metric "errors" assessed Failed due to failed (2) > failureLimit (1)',
    )
    assert "0.09 < 0.05 is false" in run.reason
    assert [m.value for m in run.results[0].measurements] == ["0.01", "0.08", "0.09"]
    assert run.results[0].metadata == {"ResolvedQuery": "errors"}


async def test_a_metric_that_fails_ends_its_siblings_at_once() -> None:
    spec = RunSpec(
        metrics=(
            metric("slow", interval="1h", count=10, success_condition="result < 1"),
            metric("bad", success_condition="result < 1"),
        )
    )
    async with service({"slow": [0.5], "bad": [2.0]}) as it:
        await it.start(spec)
        run = await it.verdict()
    assert run.phase is Phase.FAILED
    assert {r.name: r.phase for r in run.results} == {"slow": Phase.SUCCESSFUL, "bad": Phase.FAILED}


async def test_terminate_ends_a_run_that_waits() -> None:
    async with service({"q": [0.5]}) as it:
        await it.start(RunSpec(metrics=(metric("q", interval="1h", success_condition="result < 1"),)))
        await until(lambda: it.backend.asked)
        await it.store.request_terminate("n", "id-run", it.engine.clock.now())
        it.engine.terminate("id-run")
        run = await it.verdict()
    assert (run.phase, run.message) == (Phase.SUCCESSFUL, "Run Terminated")


async def test_terminate_while_asking_keeps_the_answer() -> None:
    """The measurement in flight is recorded: a request to end does not move the fence."""
    async with service({"q": [0.5]}, delay_seconds=0.3) as it:
        await it.start(RunSpec(metrics=(metric("q", interval="1h", success_condition="result < 1"),)))
        await until(lambda: it.backend.asked)
        await it.store.request_terminate("n", "id-run", it.engine.clock.now())
        it.engine.terminate("id-run")
        run = await it.verdict()
    assert run.results[0].count == 1
    assert it.telemetry.fenced._value.get() == 0


async def test_equal_questions_are_asked_once_but_not_across_credentials() -> None:
    def spec(token: str) -> RunSpec:
        return RunSpec(metrics=(Metric(name="m", provider={SCRIPTED: {"query": "q", "token": token}}),))

    async with service({"q": [1.0]}, delay_seconds=0.1) as it:
        for n in range(50):
            await it.start(spec("a" if n % 2 else "b"), f"r{n}")
        runs = [await it.verdict(f"r{n}") for n in range(50)]
    assert {run.phase for run in runs} == {Phase.SUCCESSFUL}
    assert len(it.backend.asked) == 2


async def test_a_metric_is_never_given_its_own_last_answer_again() -> None:
    values = [float(n) for n in range(20)]
    async with service({"q": list(values)}) as it:
        await it.start(RunSpec(metrics=(metric("q", interval="1ms", count=20, success_condition="true"),)))
        await it.verdict()
        page = await it.store.list_measurements("id-run", "q", 100)
    assert [float(m.value) for m in page.items] == values


@pytest.mark.bad_input(145)
async def test_a_throttled_question_waits_as_told_and_costs_no_error() -> None:
    async with service({"q": [Throttled("slow down", retry_after_seconds=0.05), 1.0]}) as it:
        await it.start(RunSpec(metrics=(metric("q", success_condition="result == 1"),)))
        run = await it.verdict()
    assert (run.phase, run.results[0].error, len(it.backend.asked)) == (Phase.SUCCESSFUL, 0, 2)


@pytest.mark.parametrize(("strict", "asked", "errors"), [(True, 3, 0), (False, 1, 1)])
async def test_an_unreachable_backend_is_retried_inside_a_measurement_in_strict_mode_only(
    strict: bool, asked: int, errors: int
) -> None:
    down: list[float | Exception] = [Unreachable("down"), Unreachable("down"), 1.0]
    async with service({"q": down}) as it:
        await it.start(
            RunSpec(metrics=(metric("q", success_condition="result == 1", consecutive_error_limit=0),), strict=strict)
        )
        run = await it.verdict()
    assert (len(it.backend.asked), run.results[0].error) == (asked, errors)
    assert run.phase is (Phase.SUCCESSFUL if strict else Phase.ERROR)


async def test_retries_have_a_budget() -> None:
    async with service({"q": [Unreachable("down")]}) as it:
        for n in range(5):
            await it.start(
                RunSpec(metrics=(metric("q", consecutive_error_limit=0, interval="1ms"),), strict=True), f"r{n}"
            )
            assert (await it.verdict(f"r{n}")).phase is Phase.ERROR
    # five questions, and three retries of the burst between them
    assert len(it.backend.asked) <= 5 + 3 + 1


SECRET = Argument(name="token", value_from=ValueFrom(secret_key_ref=SecretKeyRef(name="dd", key="api-key")))


@pytest.mark.bad_input(167)
async def test_a_secret_is_filled_in_and_never_shown() -> None:
    environ = {"TIDEGATE_SECRET_DD__API_KEY": "hunter2hunter2"}
    spec = RunSpec(
        metrics=(
            Metric(
                name="m",
                provider={SCRIPTED: {"query": "{{args.token}}"}},
                success_condition='"{{args.token}}" == "x"',
            ),
        ),
        args=(SECRET,),
    )
    async with service({"hunter2hunter2": [1.0]}, environ=environ) as it:
        await it.start(spec)
        run = await it.verdict()
    assert it.backend.asked[0][0] == "hunter2hunter2"
    assert "hunter2" not in repr(run)
    assert run.results[0].metadata == {"ResolvedQuery": "*****"}


async def test_a_missing_secret_ends_the_run_in_argos_words() -> None:
    spec = RunSpec(metrics=(Metric(name="m", provider={SCRIPTED: {"query": "{{args.token}}"}}),), args=(SECRET,))
    async with service({}) as it:
        await it.start(spec)
        run = await it.verdict()
    assert (run.phase, run.message) == (
        Phase.ERROR,
        'Unable to resolve metric arguments: secrets "dd" not found',
    )
    assert not it.backend.asked


async def test_what_another_owner_left_is_taken_over_and_goes_on() -> None:
    store = MemoryStore()
    spec = RunSpec(metrics=(metric("q", interval="20ms", count=5, success_condition="result < 1"),))
    async with service({"q": [0.5]}, store=store, owner="first") as it:
        await it.start(spec)
        await until(lambda: len(it.backend.asked) >= 2)
    async with service({"q": [0.5]}, store=store, owner="second") as it:
        run = await it.verdict()
        page = await store.list_measurements("id-run", "q", 100)
    assert (run.phase, run.results[0].count) == (Phase.SUCCESSFUL, 5)
    assert [m.ordinal for m in page.items] == [0, 1, 2, 3, 4]


async def test_who_lost_a_run_writes_nothing_more() -> None:
    """A second engine takes the run while the first is asking: the first one's answer is refused and dropped."""
    store = MemoryStore()
    spec = RunSpec(metrics=(metric("q", interval="10ms", count=3, success_condition="result < 1"),))
    async with service({"q": [0.5]}, store=store, owner="first", delay_seconds=0.5) as first:
        await first.start(spec)
        await until(lambda: first.backend.asked)
        await store.release("first", first.engine.clock.now())
        async with service({"q": [0.5]}, store=store, owner="second") as second:
            run = await second.verdict()
            await until(first.telemetry.fenced._value.get)
    page = await store.list_measurements("id-run", "q", 100)
    assert (run.phase, [m.ordinal for m in page.items]) == (Phase.SUCCESSFUL, [0, 1, 2])


async def test_a_run_that_breaks_the_engine_is_quarantined_and_the_others_go_on() -> None:
    async with service({"poison": [ZeroDivisionError("a bug of a provider")], "q": [0.5]}) as it:
        await it.start(RunSpec(metrics=(metric("poison"),)), "poison")
        await it.start(RunSpec(metrics=(metric("q"),)), "fine")
        assert (await it.verdict("fine")).phase is Phase.SUCCESSFUL
        poisoned = await it.verdict("poison")
    assert (poisoned.phase, poisoned.cause) == (Phase.ERROR, Cause.QUARANTINED)
    assert "a bug" not in poisoned.message


async def test_a_write_that_took_effect_although_it_seemed_to_fail_is_found_and_gone_on_from() -> None:
    class Ambiguous(MemoryStore):
        """The answer to the second write is lost, once."""

        writes = 0

        async def save(self, commit: Commit) -> Claim:
            claim = await super().save(commit)
            Ambiguous.writes += 1
            if Ambiguous.writes == 2:
                raise Unavailable("the connection died during COMMIT")
            return claim

    store = Ambiguous()
    spec = RunSpec(metrics=(metric("q", interval="1ms", count=4, success_condition="result < 1"),))
    async with service({"q": [0.5]}, store=store) as it:
        await it.start(spec)
        run = await it.verdict()
    page = await store.list_measurements("id-run", "q", 100)
    assert (run.phase, [m.ordinal for m in page.items]) == (Phase.SUCCESSFUL, [0, 1, 2, 3])


class Suspicious(MemoryStore):
    """Five processes died holding what it gives."""

    async def claim(self, *arguments: Any) -> list[Claim]:
        return [replace(claim, crashes=5) for claim in await super().claim(*arguments)]


async def stored(store: Store, *names: str) -> None:
    now = SystemClock().now()
    for name in names:
        run = Run(id=f"id-{name}", namespace="n", name=name, spec=RunSpec(metrics=(metric(name),)), created_at=now)
        await store.create_run(NewRun(run=run, due_at=now), now)


async def test_the_only_run_in_whose_hands_processes_die_is_quarantined_unasked() -> None:
    store = Suspicious()
    await stored(store, "poison")
    async with service({"poison": [0.5]}, store=store) as it:
        run = await it.verdict("poison")
    assert (run.phase, run.cause, it.backend.asked) == (Phase.ERROR, Cause.QUARANTINED, [])


async def test_of_several_suspects_each_is_tried_alone_and_cleared() -> None:
    store = Suspicious()
    await stored(store, "a", "b", "c")
    async with service({"a": [0.5], "b": [0.5], "c": [0.5]}, store=store, delay_seconds=0.05) as it:
        runs = [await it.verdict(name) for name in "abc"]
    assert {run.phase for run in runs} == {Phase.SUCCESSFUL}
    assert it.script.most_at_once == 1


async def test_an_outage_costs_no_measurement_under_outage_policy_wait() -> None:
    spec = RunSpec(
        metrics=(
            metric(
                "q", success_condition="result == 1", consecutive_error_limit=0, outage_policy=OutagePolicy(mode="wait")
            ),
        )
    )
    async with service({"q": [Unreachable("down"), 1.0]}) as it:
        # the wait between attempts is Argo's ten seconds: look at the state rather than sit through it
        await it.start(spec)
        async with asyncio.timeout(5):
            while True:
                held = it.engine.held("id-run")
                if held is not None and held.run.results and held.run.results[0].outage is not None:
                    break
                await asyncio.sleep(0.01)
    result = held.run.results[0]
    assert (result.error, result.taken, result.outage and result.outage.message) == (0, 0, "down")


def test_clock_never_goes_back_with_the_wall() -> None:
    clock = SystemClock()
    first = clock.now()
    assert clock.now() >= first
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
