"""Providers and the engine together, over real sockets: sharing, limits, outages, and what must not leave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from analysis_service.asking import Asker, Question
from analysis_service.clock import Clock, SystemClock
from analysis_service.core.expression import evaluate_time
from analysis_service.core.model import Argument, Cause, Metric, Phase, Run, RunSpec, SecretKeyRef, ValueFrom
from analysis_service.engine import SHORTEST_GAP, Engine
from analysis_service.main import provider_table
from analysis_service.measuring import Measurer
from analysis_service.secrets import EnvironmentSecrets, Secrets
from analysis_service.stores.base import NewRun
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import Telemetry, configure_logging
from providers.base import Answer, NotAllowed, Throttled, TimedOut
from providers.http import Http
from providers.redact import forms
from providers.tools import Tools

SECRET = "hush+hush/0123456789"
ENVIRON = {
    "TIDEGATE_SECRET_DD__API_KEY": "api-key-0123456789", "TIDEGATE_SECRET_DD__APP_KEY": "app-key-0123456789",
    "TIDEGATE_SECRET_NR__PERSONAL_API_KEY": "NRAK-0123456789", "TIDEGATE_SECRET_NR__ACCOUNT_ID": "42",
    "TIDEGATE_SECRET_PLANTED__KEY": SECRET,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error")


@dataclass
class Stepped(SystemClock):
    """Schedules follow `step` and nothing else: ten seconds pass when the test says so."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def step(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Parts:
    asker: Asker
    clock: Stepped = field(default_factory=Stepped)
    store: MemoryStore = field(default_factory=MemoryStore)


@asynccontextmanager
async def parts(environ: dict[str, str] | None = None, **options: Any) -> AsyncIterator[Parts]:
    http = Http()
    secrets = Secrets([EnvironmentSecrets({**ENVIRON, **(environ or {})})])
    load = provider_table(Tools(http, evaluate_time))
    yield Parts(Asker(load, secrets, SystemClock(), Telemetry(), **options))
    await http.close()


def prometheus(address: str, query: str = "up", token: str = "", **more: Any) -> Question:
    authentication = {"authentication": {"bearerToken": token}} if token else {}
    return Question({"prometheus": {"address": address, "query": query, **authentication, **more}}, "team")


# what is asked, and how often


async def test_equal_questions_are_asked_once_but_not_across_credentials(backend: Any, api_answer: Any) -> None:
    async def slow(seen: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(api_answer([0, "1"], "scalar"))

    url = backend.url(slow)
    async with parts() as it:
        answers = await asyncio.gather(
            *(it.asker.ask(prometheus(url, token=f"token-of-{n % 3}")) for n in range(60)),
            *(it.asker.ask(prometheus(url, token="token-of-0")) for _ in range(10)),
        )
    assert {answer.text for answer in answers} == {"1"}
    assert sorted(seen.headers["Authorization"] for seen in backend.seen) == [f"Bearer token-of-{n}" for n in range(3)]


async def test_a_prometheus_is_asked_four_things_at_once(backend: Any, api_answer: Any) -> None:
    running, most = 0, 0

    async def slow(seen: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        writer.write(api_answer([0, "1"], "scalar"))

    url = backend.url(slow)
    async with parts() as it:
        await asyncio.gather(*(it.asker.ask(prometheus(url, f"q{n}")) for n in range(40)))
    assert (most, len(backend.seen)) == (4, 40)


@pytest.mark.parametrize(("wait", "timeout", "asked"), [("0.1", 5, 2), ("10", 2, 1)])
async def test_a_wait_that_is_asked_for_is_kept_while_there_is_time(
    backend: Any, response: Any, api_answer: Any, wait: str, timeout: int, asked: int
) -> None:
    async def busy_once(seen: Any, writer: asyncio.StreamWriter) -> None:
        first = len(backend.seen) == 1
        writer.write(response(status=429, Retry_After=wait) if first else api_answer([0, "1"], "scalar"))

    question = prometheus(backend.url(busy_once), timeout=timeout)
    async with parts() as it:
        if asked == 2:
            assert (await it.asker.ask(question)).text == "1"
        else:
            with pytest.raises(Throttled):  # at once: there is no time for ten seconds in two
                await it.asker.ask(question)
    assert len(backend.seen) == asked


async def test_a_backend_that_does_not_answer_holds_up_nobody_else(backend: Any, api_answer: Any) -> None:
    """Many more questions than places wait for the one; those of the other are all answered meanwhile."""
    sick = {"url": backend.url("silence"), "timeoutSeconds": 300}
    well = backend.url(api_answer([0, "1"], "scalar"))
    async with parts(in_flight=20) as it:
        waiting = [
            asyncio.create_task(it.asker.ask(Question({"web": {**sick, "url": f"{sick['url']}?{n}"}}, "team")))
            for n in range(100)
        ]
        while not backend.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        other = well.replace("127.0.0.1", "localhost")  # another backend, though of this test's one server
        async with asyncio.timeout(30):  # or for ever, if places were shared
            answers = await asyncio.gather(*(it.asker.ask(prometheus(other, f"q{n}")) for n in range(100)))
        assert [answer.text for answer in answers] == ["1"] * 100
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_waiting_for_a_place_is_part_of_the_deadline(backend: Any) -> None:
    async with parts(in_flight=1) as it:
        url = backend.url("silence")
        first = asyncio.create_task(it.asker.ask(Question({"web": {"url": url, "timeoutSeconds": 300}}, "team")))
        while not backend.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        with pytest.raises(TimedOut, match=r"not asked in 1s: 1 questions to this backend are waiting"):
            await it.asker.ask(Question({"web": {"url": f"{url}?2", "timeoutSeconds": 1}}, "team"))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert len(backend.seen) == 1


@pytest.mark.parametrize("name", ["prometheus", "scrape", "datadog", "newRelic", "web"])
async def test_no_proxy_of_the_environment_sees_anything(
    name: str, backend: Any, response: Any, api_answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caught.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(trap, "127.0.0.1", 0)
    for scheme in ("http", "https", "all"):
        for variable in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    url = backend.url(
        {
            "prometheus": api_answer([0, "1"], "scalar"),
            "scrape": response("a 1\n", content_type="text/plain"),
            "datadog": response({"status": "ok", "series": [{"pointlist": [[1704070740000.0, 1]]}]}),
            "newRelic": response({"data": {"actor": {"account": {"nrql": {"results": [{"a": 1}]}}}}}),
            "web": response("1"),
        }[name]
    )
    specs: dict[str, dict[str, Any]] = {
        "prometheus": {"address": url, "query": "up"},
        "scrape": {"targets": [url], "query": "a"},
        "datadog": {"query": "q", "secretRef": {"name": "dd", "namespaced": True}},
        "newRelic": {"query": "q", "profile": "nr"},
        "web": {"url": url},
    }
    environ = {"TIDEGATE_SECRET_DD__ADDRESS": url, "TIDEGATE_SECRET_NR__BASE_URL_NERDGRAPH": url}
    async with parts(environ) as it:
        answer = await it.asker.ask(Question({name: specs[name]}, "team"))
    server.close()
    assert isinstance(answer, Answer)
    assert (len(backend.seen), caught) == (1, [])


@pytest.mark.bad_input(109, 118)
@pytest.mark.parametrize(
    ("union", "reason"),
    [
        ({"web": {"url": "http://169.254.169.254/"}}, "DestinationNotAllowed"),
        ({"prometheus": {"address": "http://127.0.0.1:6379", "query": "up"}}, "PortNotAllowed"),
        ({"scrape": {"targets": ["http://169.254.169.254/"], "query": "a"}}, "DestinationNotAllowed"),
    ],
)
async def test_what_the_operator_forbids_is_told_apart_from_a_wrong_template(union: Any, reason: str) -> None:
    """Known before the first question, and still the operator's refusal when it is asked."""
    async with parts() as it:
        (problem,) = it.asker.check(union)
        with pytest.raises(NotAllowed) as caught:
            await it.asker.ask(Question(union, "team"))
    assert (str(caught.value), caught.value.reason) == (problem, reason)


# whole runs


async def started(it: Parts, spec: RunSpec, clock: Clock | None = None) -> Engine:
    clock = clock or it.clock
    engine = Engine(it.store, Measurer(it.asker, clock), clock, it.asker.telemetry, owner="me")
    run = Run(id="id", namespace="team", name="run", spec=spec, created_at=clock.now())
    record, _ = await it.store.create_run(NewRun(run=run, due_at=clock.now(), owner="me"), clock.now())
    engine.adopt(record)
    return engine


async def seen_run(it: Parts, ready: Callable[[Run], bool]) -> Run:
    """The stored run, once it is as wanted."""
    async with asyncio.timeout(30):
        while True:
            run = (await it.store.get_run("team", "id")).run
            if ready(run):
                return run
            await asyncio.sleep(0.01)


def taken(count: int) -> Callable[[Run], bool]:
    return lambda run: bool(run.results) and run.results[0].taken >= count


@pytest.mark.bad_input(167)
async def test_a_backend_that_gives_a_secret_back_in_every_form(backend: Any, response: Any) -> None:
    """In a value, in an error of a condition, in the metadata: what is stored shows the mask."""
    every = " ".join(sorted(forms(SECRET)))
    said = backend.url(response({"said": every, "plain": SECRET}))
    refusing = backend.url(response({"status": "error", "errorType": "bad_data", "error": every}, 400))
    headers = [{"key": "X-Token", "value": "{{args.token}}"}]
    web = {"url": said, "headers": headers, "jsonPath": "{$.said}"}
    metrics = (
        Metric(name="value", provider={"web": web}, success_condition="result == '1'"),
        Metric(name="error", provider={"web": web | {"jsonPath": "{$}"}}, success_condition="result > 1"),
        Metric(
            name="refused",
            provider={"prometheus": {"address": refusing, "query": "up{{args.token}}", "headers": headers}},
            success_condition="result > 1",
            consecutive_error_limit=0,
        ),
    )
    token = Argument("token", value_from=ValueFrom(secret_key_ref=SecretKeyRef("planted", "key")))
    async with parts() as it:
        engine = await started(it, RunSpec(metrics=metrics, args=(token,)))
        serving = asyncio.create_task(engine.serve())
        run = await seen_run(it, lambda run: run.phase.done)
        await engine.drain(1.0)
        await serving
    assert {seen.headers["X-Token"] for seen in backend.seen} == {SECRET}
    assert {result.name: bool(result.measurements) for result in run.results} == dict.fromkeys(
        ("value", "error", "refused"), True
    )
    for form in (SECRET, *forms(SECRET)):
        assert form not in repr(run)
    assert "*****" in repr(run)


@pytest.mark.requires("prometheus")
@pytest.mark.parametrize(
    ("errors", "phase", "cause", "message"),
    [
        # four errors in a row are allowed, and a good answer forgets them
        (4, Phase.SUCCESSFUL, Cause.PASSED, ""),
        # the fifth ends the run; whose fault that is has a name
        (
            5,
            Phase.ERROR,
            Cause.PROVIDER_UNAVAILABLE,
            'Metric "alive" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4): "Error Message: ',
        ),
    ],
)
async def test_a_prometheus_that_is_killed_in_mid_run(
    run_prometheus: Any, errors: int, phase: Phase, cause: Cause, message: str
) -> None:
    server = run_prometheus()
    provider = {"prometheus": {"address": server.address, "query": "vector(1)"}}
    metric = Metric(
        name="alive", provider=provider, interval="10s", count=3, success_condition="len(result) > 0 && result[0] == 1"
    )
    async with parts(bucket_seconds=0.0) as it:
        engine = await started(it, RunSpec(metrics=(metric,)))
        serving = asyncio.create_task(engine.serve())
        await seen_run(it, taken(1))
        server.kill()
        for n in range(errors):
            it.clock.step(10.001)
            await seen_run(it, taken(2 + n))
        if errors == 4:
            run_prometheus("global: {}\n", port=server.port)
            for n in range(2):
                it.clock.step(10.001)
                await seen_run(it, taken(2 + errors + n))
        run = await seen_run(it, lambda run: run.phase.done)
        await engine.drain(1.0)
        await serving
    (result,) = run.results
    assert (run.phase, run.cause, result.error) == (phase, cause, errors)
    assert run.message.startswith(message)
    if phase is Phase.ERROR:
        assert "ProviderUnavailable: 5 errors in a row, consecutiveErrorLimit allows 4" in run.reason
        assert f"Prometheus at {server.address}: connection refused" in run.reason
        assert "outagePolicy" in run.reason
    else:
        assert (result.successful, result.consecutive_error) == (3, 0)


async def test_an_interval_of_nothing_does_not_spin(backend: Any, response: Any) -> None:
    """Argo takes `0s`: the next question follows at once there. Here a run leaves time to others."""
    metric = Metric(name="m", provider={"web": {"url": backend.url(response("1"))}}, interval="0s", count=4)
    async with parts(bucket_seconds=0.0) as it:
        engine = await started(it, RunSpec(metrics=(metric,)), SystemClock())
        serving = asyncio.create_task(engine.serve())
        run = await seen_run(it, lambda run: run.phase.done)
        await engine.drain(1.0)
        await serving
    begun = [one.started_at for one in run.results[0].measurements if one.started_at is not None]
    gaps = [second - first for first, second in pairwise(begun)]
    assert len(gaps) == 3
    assert min(gaps) >= SHORTEST_GAP
