"""A check that cannot fail proves nothing: each safety promise is broken here on purpose, and its check must notice.

What is broken is an object of the test's own (a store without a fence, a guard that lets everybody in), put where the
real one belongs. Every check is first seen to pass with the real one. The fence is broken once more for processes
that are killed, in tests/stores/test_kill.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from analysis_service.asking import Asker, Question
from analysis_service.cli.outcome import Outcome, outcome_of
from analysis_service.clock import SystemClock
from analysis_service.core.expression import ExpressionError, compile_condition
from analysis_service.core.expression.budget import Frame
from analysis_service.core.model import (
    Argument,
    Cause,
    Look,
    Metric,
    MetricResult,
    Phase,
    Run,
    RunSpec,
    SecretKeyRef,
    ValueFrom,
)
from analysis_service.core.reconcile import plan
from analysis_service.measuring import Measurer
from analysis_service.secrets import EnvironmentSecrets, Secrets
from analysis_service.stores.base import Claim, Commit, Fenced, NewRun, Page, RunEvent, RunFilter, RunRecord, Store
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import Telemetry
from providers.addresses import AddressPolicy
from providers.base import Answer, Context, NotAllowed, ProviderError, Spec
from providers.http import Http, Request
from tests.stores.suite import StoreSuite

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Red = (AssertionError, pytest.fail.Exception)


# stores: the conformance suite is the check


class NoFence(MemoryStore):
    """Whoever writes is taken for the owner."""

    async def save(self, commit: Commit) -> Claim:
        held = self._runs.get(commit.run.id)
        if held is None:
            raise Fenced("gone")
        claim = replace(commit.claim, epoch=held.epoch, owner=held.owner, resource_version=held.resource_version)
        return await super().save(replace(commit, claim=claim))


class Reopens(MemoryStore):
    """A verdict is a phase like any other."""

    async def save(self, commit: Commit) -> Claim:
        held = self._runs.get(commit.run.id)
        if held is not None and held.run.phase.done:
            held.run = msgspec.structs.replace(held.run, phase=Phase.RUNNING)
        return await super().save(commit)


class Overwrites(MemoryStore):
    """A slot may be filled again."""

    async def save(self, commit: Commit) -> Claim:
        held = self._runs.get(commit.run.id)
        before = dict(held.slots) if held is not None else {}
        if held is not None:
            held.slots = {metric: list(slots[: _first(commit, metric, len(slots))]) for metric, slots in before.items()}
        return await super().save(commit)


def _first(commit: Commit, metric: str, otherwise: int) -> int:
    return min((taken.ordinal for name, taken in commit.taken if name == metric), default=otherwise)


class Repeats(MemoryStore):
    """Every request is a new one."""

    made = 0

    async def create_run(self, new: NewRun, now: datetime) -> tuple[RunRecord, bool]:
        self.made += 1
        run = msgspec.structs.replace(new.run, name=f"{new.run.name}-{self.made}")
        return await super().create_run(replace(new, run=run, request_id=""), now)


class Skips(MemoryStore):
    """Of several changes at once, one is not told."""

    async def changes(self, after: int, limit: int, where: RunFilter | None = None) -> list[RunEvent]:
        events = await super().changes(after, limit, where)
        return events if len(events) < 2 else events[1:]


class SkipsTheLast(MemoryStore):
    """A full page moves the position on by one more than it shows."""

    async def changes(self, after: int, limit: int, where: RunFilter | None = None) -> list[RunEvent]:
        events = await super().changes(after, limit, where)
        return [*events[:-2], events[-1]] if len(events) == limit else events


SUITE = StoreSuite()


def stale(store: Store) -> Awaitable[None]:
    return SUITE.test_a_stale_writer_changes_nothing(store, lambda claim: replace(claim, epoch=claim.epoch - 1))


def final(store: Store) -> Awaitable[None]:
    return SUITE.test_a_verdict_never_changes(store, Phase.FAILED)


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (stale, NoFence),
        (final, Reopens),
        (SUITE.test_a_finished_slot_is_never_written_again, Overwrites),
        (SUITE.test_a_thousand_creates_with_one_request_id_make_one_run, Repeats),
        (SUITE.test_changes_come_in_order_and_once_per_run, Skips),
        (SUITE.test_a_watcher_that_pages_misses_no_state, SkipsTheLast),
    ],
)
async def test_a_broken_store(check: Callable[[Store], Awaitable[None]], broken: type[MemoryStore]) -> None:
    await check(MemoryStore())
    with pytest.raises(Red):
        await check(broken())


# questions: shared with the right ones only, and never a metric's own last answer


@dataclass
class Counting:
    """A provider whose answers are numbered, and whose credentials are the namespace."""

    name: str = "counting"
    asked: list[str] = field(default_factory=list)

    def check(self, spec: Spec) -> list[str]:
        return []

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {"ResolvedQuery": str(spec.get("query"))}

    def timeout_seconds(self, spec: Spec) -> float:
        return 5.0

    def credentials(self, spec: Spec, context: Context) -> str:
        return context.namespace

    async def query(self, spec: Spec, context: Context) -> Answer:
        self.asked.append(context.namespace)
        await asyncio.sleep(0)
        text = str(spec.get("query", ""))
        return Answer(float(len(self.asked)), text, metadata={"said": text})

    async def close(self) -> None:
        return None


class SharesWithAnybody(Asker):
    def _get_to_know(self, name: str, spec: Mapping[str, Any], question: Question) -> Any:
        return replace(super()._get_to_know(name, spec, question), key=name.encode())


class RepeatsItself(Asker):
    def _bucket(self, interval: timedelta | None) -> float:
        return 3600.0


def asker(kind: type[Asker], provider: Counting, environ: Mapping[str, str] | None = None) -> Asker:
    secrets = Secrets([EnvironmentSecrets(environ or {})])
    return kind(lambda name: provider, secrets, SystemClock(), Telemetry(), bucket_seconds=3600.0)


async def tenants_keep_apart(kind: type[Asker]) -> None:
    provider = Counting()
    one = asker(kind, provider)
    spec = {"counting": {"query": "q"}}
    await asyncio.gather(*(one.ask(Question(spec, tenant)) for tenant in ("a", "b", "a", "b")))
    assert sorted(provider.asked) == ["a", "b"]


async def no_answer_is_given_twice(kind: type[Asker]) -> None:
    """Two measurements of one metric, an interval apart: the second may not be the first one's answer."""
    provider = Counting()
    one = asker(kind, provider)
    question = Question({"counting": {"query": "q"}}, "a", interval=timedelta(microseconds=1))
    answers = [(await one.ask(question)).value for _ in range(2)]
    assert answers == [1.0, 2.0]


@pytest.mark.parametrize(
    ("check", "broken"), [(tenants_keep_apart, SharesWithAnybody), (no_answer_is_given_twice, RepeatsItself)]
)
async def test_broken_sharing(check: Callable[[type[Asker]], Awaitable[None]], broken: type[Asker]) -> None:
    await check(Asker)
    with pytest.raises(Red):
        await check(broken)


# secrets


class Blabs(Measurer):
    async def _resolved(self, run: Run, tasks: Any) -> tuple[list[Metric] | str, tuple[str, ...]]:
        return (await super()._resolved(run, tasks))[0], ()


async def nothing_is_shown(kind: type[Measurer]) -> None:
    secret = ValueFrom(secret_key_ref=SecretKeyRef("planted", "key"))
    metric = Metric(name="m", provider={"counting": {"query": "{{args.token}}"}}, success_condition="result == 1")
    spec = RunSpec(metrics=(metric,), args=(Argument("token", value_from=secret),))
    one = asker(Asker, Counting(), {"TIDEGATE_SECRET_PLANTED__KEY": "hush-hush-0123456789"})
    step = plan(Run("id", "team", "run", spec, created_at=NOW), NOW)

    async def no_looks(run_id: str, metric: str, ordinal: int, limit: int, after: str = "") -> Page[Look]:
        raise AssertionError("no comparison here")

    taken, _, described = await kind(one, SystemClock()).take(step, no_looks)
    assert taken[0][1].phase is Phase.SUCCESSFUL
    assert "hush" not in f"{taken} {described}"


async def test_broken_masks() -> None:
    await nothing_is_shown(Measurer)
    with pytest.raises(Red):
        await nothing_is_shown(Blabs)


# addresses


class LetsEverybodyIn(AddressPolicy):
    __slots__ = ()

    def allows(self, address: str, host: str) -> bool:
        return True


async def nobody_gets_in(policy: AddressPolicy) -> None:
    """A canary listens where nothing may go: asked for by its address, and by a name that resolves to it."""
    visits: list[str] = []

    async def canary(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(canary, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = Http(policy=policy, lookup=lookup)
    refusals = 0
    for host in ("127.0.0.1", "innocent.test"):
        try:
            url = Http().url(f"http://{host}:{port}/")  # as if the first judgement had been passed
            await http.send(Request(url=url, who="Web"), http.deadline(5))
        except NotAllowed:
            refusals += 1
        except ProviderError as error:
            raise AssertionError(f"refused for another reason: {error}") from error
    await http.close()
    server.close()
    await server.wait_closed()
    assert (visits, refusals) == ([], 2)


async def test_a_broken_address_guard() -> None:
    await nobody_gets_in(AddressPolicy(allow_loopback=False))
    with pytest.raises(Red):
        await nobody_gets_in(LetsEverybodyIn(allow_loopback=False))


# exit codes


def only_verdicts_pass(judge: Callable[[Run], Outcome]) -> None:
    """No run passes but one that is Successful with a counted measurement behind it."""
    measured = MetricResult("m", Phase.SUCCESSFUL, count=1, successful=1)
    results = [(), (measured,), (replace_(measured, dry_run=True),), (MetricResult("m", Phase.ERROR, error=5),)]
    for phase in Phase:
        for cause in Cause:
            for found in results:
                run = Run("id", "team", "run", RunSpec(()), phase=phase, cause=cause, results=found)
                evidence = phase is Phase.SUCCESSFUL and found == (measured,)
                doubtful = cause in (Cause.NO_EVIDENCE, Cause.TERMINATED)
                if judge(run) is Outcome.PASS:
                    assert evidence, (phase, cause, found)
                    assert not doubtful, (phase, cause, found)
    passing = Run("id", "team", "run", RunSpec(()), phase=Phase.SUCCESSFUL, cause=Cause.PASSED, results=(measured,))
    assert judge(passing) is Outcome.PASS


def replace_(result: MetricResult, **fields: Any) -> MetricResult:
    return msgspec.structs.replace(result, **fields)


def fails_open(run: Run) -> Outcome:
    """What is not a failure passes."""
    return Outcome.FAIL if run.phase is Phase.FAILED else Outcome.PASS


def believes_the_phase(run: Run) -> Outcome:
    """As Argo: a run that ended before it measured anything is Successful."""
    return Outcome.PASS if run.phase is Phase.SUCCESSFUL else outcome_of(run)


@pytest.mark.parametrize("broken", [fails_open, believes_the_phase])
def test_broken_exit_codes(broken: Callable[[Run], Outcome]) -> None:
    only_verdicts_pass(outcome_of)
    with pytest.raises(Red):
        only_verdicts_pass(broken)


# conditions


class Endless(Frame):
    __slots__ = ()

    def __init__(self, now: datetime | None, slots: int) -> None:
        super().__init__(now, slots)
        self.steps = 1 << 60


def work_is_bounded(frame: type[Frame]) -> None:
    """160 000 turns of a loop are refused, by the program that `evaluate` runs."""
    condition = compile_condition("all(1..400, any(1..400, # > 399))")
    with pytest.raises(ExpressionError, match="more than 100000 steps"):
        condition.evaluate(1.0)
    program = condition._programs[float]
    with pytest.raises(ExpressionError, match="more than 100000 steps"):
        program.run(1.0, frame(None, program.slots))


def test_a_broken_budget() -> None:
    work_is_bounded(Frame)
    with pytest.raises(Red):
        work_is_bounded(Endless)
