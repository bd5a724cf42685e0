"""The scrape provider against real /metrics pages over real sockets: counters that grow, restart and misbehave."""

import asyncio
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from providers.base import (
    Answer,
    AuthFailed,
    BadAnswer,
    BadQuery,
    Context,
    NoData,
    NotAllowed,
    ProviderError,
    TimedOut,
    TooLarge,
    Unreachable,
)
from providers.readings import PREVIOUS
from providers.scrape import STARTED, Scrape
from providers.tools import Tools

START = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)


@pytest.fixture
def provider(tools: Tools) -> Scrape:
    return Scrape(tools)


class Process:
    """A process with the official client's metrics behind a real socket. `restart` begins again at 0."""

    def __init__(self, backend: Any, response: Callable[..., bytes], openmetrics: bool) -> None:
        self.openmetrics = openmetrics
        self.starts = 0
        self.restart()

        async def serve(seen: Any, writer: asyncio.StreamWriter) -> None:
            if self.openmetrics:
                kind, text = "application/openmetrics-text; version=1.0.0", generate_openmetrics(self.registry)
            else:
                kind, text = "text/plain; version=0.0.4", generate_latest(self.registry)
            writer.write(response(text, content_type=kind))

        self.url = backend.url(serve)

    def restart(self) -> None:
        self.starts += 1
        self.registry = CollectorRegistry()
        self.requests = Counter("requests", "all", ["code"], registry=self.registry)
        self.latency = Histogram("latency", "seconds", buckets=(0.1, 1), registry=self.registry)
        self.level = Gauge("level", "of the tank", registry=self.registry)
        Gauge("process_start_time_seconds", "start", registry=self.registry).set(1000.0 * self.starts)


@pytest.fixture(params=[False, True], ids=["text", "openmetrics"])
def process(request: pytest.FixtureRequest, backend: Any, response: Callable[..., bytes]) -> Process:
    return Process(backend, response, request.param)


@pytest.fixture
def ask(provider: Scrape, context: Callable[..., Context]) -> Callable[..., Any]:
    """Asks again and again, ten seconds apart, handing each measurement's metadata to the next."""
    state: dict[str, Any] = {"at": START, "previous": None}

    async def once(targets: list[str], query: str, **more: Any) -> Answer:
        spec = {"targets": targets, "query": query, **more}
        assert provider.check(spec) == []
        state["at"] += timedelta(seconds=10)
        try:
            answer = await provider.query(spec, context(5, at=state["at"], previous=state["previous"]))
        except ProviderError as error:
            state["previous"] = error.metadata or None
            raise
        state["previous"] = answer.metadata
        return answer

    return once


async def test_counters_are_differenced(ask: Any, process: Process) -> None:
    process.requests.labels("200").inc(100)
    with pytest.raises(NoData, match="first reading; a delta needs two"):
        await ask([process.url], "requests_total")
    process.requests.labels("200").inc(7)
    answer = await ask([process.url], "requests_total")
    assert (answer.value, answer.text) == (array("d", [7]), "[7]")
    assert [dict(sample.labels) for sample in answer.samples] == [
        {"__name__": "requests_total", "code": "200", "instance": process.url.split("/")[2]}
    ]
    process.requests.labels("500").inc(2)  # a series that begins in between
    assert (await ask([process.url], "requests_total")).text == "[0,2]"
    process.restart()
    process.requests.labels("200").inc(3)
    assert (await ask([process.url], "requests_total")).text == "[3]"
    process.restart()
    process.requests.labels("200").inc(50)  # further than before the restart: the start time tells
    assert (await ask([process.url], "requests_total")).text == "[50]"


async def test_a_failure_in_between_loses_no_count(ask: Any, process: Process, backend: Any) -> None:
    with pytest.raises(NoData):
        await ask([process.url], "requests_total", aggregate="sum")
    process.requests.labels("200").inc(1)
    for behaviour in ("500", "silence"):
        with pytest.raises(ProviderError) as caught:
            await ask([backend.url(behaviour)], "requests_total", aggregate="sum", timeoutSeconds=1)
        assert PREVIOUS in caught.value.metadata
    process.requests.labels("200").inc(1)
    assert (await ask([process.url], "requests_total", aggregate="sum")).value == 2.0


async def test_sum_and_rate(ask: Any, backend: Any, response: Any) -> None:
    pods = [Process(backend, response, False), Process(backend, response, True)]
    urls = [pod.url for pod in pods]
    with pytest.raises(NoData):
        await ask(urls, "requests_total", aggregate="sum", **{"as": "rate"})
    pods[0].requests.labels("200").inc(30)
    pods[1].requests.labels("200").inc(10)
    answer = await ask(urls, "requests_total", aggregate="sum", **{"as": "rate"})
    assert (answer.value, answer.text) == (4.0, "4")  # 40 in 10 s
    pods[1].restart()
    pods[1].requests.labels("500").inc(20)
    pods[0].requests.labels("200").inc(10)
    assert (await ask(urls, "requests_total", aggregate="sum", **{"as": "rate"})).value == 3.0


async def test_errors_that_never_happened_count_zero(ask: Any, process: Process) -> None:
    """The series of a label value exists from its first increment on; until then the count is 0, not missing."""
    query = 'requests_total{code=~"5.."}'
    with pytest.raises(NoData, match="first reading"):
        await ask([process.url], query, aggregate="sum")
    answer = await ask([process.url], query, aggregate="sum")
    assert (answer.value, answer.text) == (0.0, "0")
    process.requests.labels("503").inc(4)
    assert (await ask([process.url], query, aggregate="sum")).value == 4.0


async def test_a_new_target_is_not_counted_as_growth(ask: Any, backend: Any, response: Any) -> None:
    old, new = Process(backend, response, False), Process(backend, response, False)
    old.requests.labels("200").inc(5)
    new.requests.labels("200").inc(500)  # it has counted for long, elsewhere
    with pytest.raises(NoData):
        await ask([old.url], "requests_total", aggregate="sum")
    old.requests.labels("200").inc(1)
    answer = await ask([old.url, new.url], "requests_total", aggregate="sum")
    assert answer.value == 1.0
    assert answer.metadata["scrape.firstReading"] == new.url.split("/")[2]
    new.requests.labels("200").inc(2)
    answer = await ask([old.url, new.url], "requests_total", aggregate="sum")
    assert answer.value == 2.0
    assert "scrape.firstReading" not in answer.metadata


async def test_another_query_is_a_first_reading(ask: Any, process: Process) -> None:
    process.requests.labels("200").inc(5)
    for query in ("requests_total", 'requests_total{code="200"}'):
        with pytest.raises(NoData, match="first reading"):
            await ask([process.url], query)


async def test_gauges_are_taken_as_they_stand(ask: Any, process: Process) -> None:
    process.level.set(2.5)
    assert (await ask([process.url], "level", aggregate="sum")).value == 2.5
    assert (await ask([process.url], "level")).text == "[2.5]"
    with pytest.raises(NoData, match="first reading"):
        await ask([process.url], "level", **{"as": "delta"})
    process.level.set(1)
    assert (await ask([process.url], "level", **{"as": "delta"})).text == "[-1.5]"


async def test_raw_values_for_comparisons(ask: Any, backend: Any, response: Any) -> None:
    pods = [Process(backend, response, False), Process(backend, response, False)]
    for number, pod in enumerate(pods):
        pod.requests.labels("200").inc(10 + number)
        pod.latency.observe(0.05)
    urls = [pod.url for pod in pods]
    answer = await ask(urls, "requests_total", **{"as": "value"})
    assert [sample.value for sample in answer.samples] == [10, 11]
    assert len({sample.labels["instance"] for sample in answer.samples}) == 1  # one server, two pages
    assert STARTED in answer.metadata
    answer = await ask(urls, "latency", **{"as": "value"})
    assert [(found.bounds, found.cumulative) for found in answer.histograms] == [((0.1, 1, float("inf")), (1, 1, 1))]


async def test_histograms(ask: Any, process: Process) -> None:
    process.latency.observe(5)
    with pytest.raises(NoData, match="first reading"):
        await ask([process.url], "latency")
    for seconds in (0.05, 0.05, 0.5, 0.5):
        process.latency.observe(seconds)
    answer = await ask([process.url], "latency")
    assert [found.cumulative for found in answer.histograms] == [(2, 4, 4)]  # what was before is not in it
    assert answer.value[0]["count"] == 4
    assert answer.value[0]["mean"] == pytest.approx(0.275)
    assert answer.value[0]["p50"] == pytest.approx(0.1)
    assert answer.text.startswith('[{"count":4,"mean":')
    quiet = await ask([process.url], "latency", aggregate="sum")
    assert (quiet.value["count"], quiet.value["p99"]) == (0, None)


FAILURES: list[tuple[str, type[ProviderError], str]] = [
    ("html", BadAnswer, "metrics page at {where}: expected metrics text, got text/html"),
    ("other json", BadAnswer, "metrics page at {where}: expected metrics text, got application/json"),
    ("empty", BadAnswer, "metrics page at {where}: empty answer"),
    ("401", AuthFailed, "metrics page at {where} refused the credentials (401)"),
    ("404", BadQuery, "metrics page at {where}: no metrics page at this path (404)"),
    ("418", BadQuery, "metrics page at {where}: status 418"),
    ("500", Unreachable, "metrics page at {where}: status 500"),
    ("close", Unreachable, "metrics page at {where}: the connection was closed without an answer"),
    ("cut", Unreachable, "metrics page at {where}: answer cut at 512 of 2 048 bytes"),
    ("endless", TooLarge, "metrics page at {where}: over 8 MiB"),
    ("gzip bomb", TooLarge, "metrics page at {where}: over 8 MiB decoded"),
    ("redirect", NotAllowed, "metrics page at {where}: redirects are not followed (to 169.254.169.254)"),
    ("silence", TimedOut, "metrics page at {where}: no answer in "),
]


@pytest.mark.parametrize(("behaviour", "error", "message"), FAILURES, ids=[row[0] for row in FAILURES])
async def test_failures(ask: Any, backend: Any, behaviour: str, error: type[ProviderError], message: str) -> None:
    with pytest.raises(error) as caught:
        await ask([backend.url(behaviour)], "up", timeoutSeconds=1 if error is TimedOut else 5)
    assert type(caught.value) is error
    assert str(caught.value).startswith(message.format(where=backend.origin))


async def test_one_target_that_fails_fails_the_question(ask: Any, process: Process, backend: Any) -> None:
    """A sum without one of its parts would look like fewer errors."""
    with pytest.raises(Unreachable, match=r"status 500 \(asked http://\S+/1\) \(and 1 of 3 targets more\)$"):
        await ask([process.url, backend.url("500"), backend.url("500")], "level", aggregate="sum")


async def test_nothing_found(ask: Any, process: Process) -> None:
    for query in ("no_such_total", "no_such_level"):
        with pytest.raises(NoData, match=f"no series matches {query}"):
            await ask([process.url], query, aggregate="sum")
    assert (await ask([process.url], "no_such_level")).text == "[]"


async def test_a_cut_openmetrics_page(ask: Any, backend: Any, response: Any) -> None:
    url = backend.url(response("up 1\n", content_type="application/openmetrics-text"))
    with pytest.raises(BadAnswer, match="the page is cut"):
        await ask([url], "up")


async def test_a_large_page_is_read_whole(ask: Any, backend: Any, response: Any) -> None:
    lines = "".join(f'noise{{n="{n}"}} 1\n' for n in range(100_000))
    url = backend.url(response(f"{lines}level 7\n", content_type="text/plain"))
    assert (await ask([url], "level")).text == "[7]"


async def test_own_instance_label_and_time(ask: Any, backend: Any, response: Any) -> None:
    url = backend.url(response('level{instance="own"} 7 1704070800000\n', content_type="text/plain"))
    (sample,) = (await ask([url], "level")).samples
    assert sample.labels["exported_instance"] == "own"
    assert sample.labels["instance"] == url.split("/")[2]
    assert sample.at == START


async def test_what_is_sent(ask: Any, backend: Any, response: Any) -> None:
    url = backend.url(response("level 7\n", content_type="text/plain"))
    basic = {"basicAuth": {"username": "u", "password": "p"}}
    await ask([url, url], "level", headers=[{"key": "X-A", "value": "1"}], authentication=basic)
    (seen,) = backend.seen  # the same target twice is one target
    assert seen.method == "GET"
    assert seen.headers["Authorization"] == "Basic dTpw"
    assert seen.headers["X-A"] == "1"
    assert seen.headers["Accept"].startswith("application/openmetrics-text")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"targets": ["http://a/metrics"], "query": "up"}, ""),
        ({"query": "up"}, "targets is empty"),
        ({"targets": ["a:9090"], "query": "up"}, "targets[0] needs http:// or https://"),
        ({"targets": ["http://a"] * 1001, "query": "up"}, "1001 targets; limit 1000"),
        ({"targets": ["http://a"], "query": "sum(up)"}, "a selector has no functions"),
        ({"targets": ["http://a"], "query": "up", "timeoutSeconds": -1}, "timeoutSeconds is -1; allowed are 1..300"),
        ({"targets": ["http://a"], "query": "up", "timeoutSeconds": 100_000}, "allowed are 1..300"),
        ({"targets": ["http://a"], "query": "up", "as": "speed"}, "scrape: Invalid enum value 'speed' - at `$.as`"),
        ({"targets": "http://a", "query": "up"}, "scrape: Expected `array`, got `str` - at `$.targets`"),
        (
            {"targets": ["http://a"], "query": "up", "authentication": {"basicAuth": {"username": "u"}}},
            "basic auth setup: password",
        ),
    ],
)
def test_check(provider: Scrape, spec: Any, problem: str) -> None:
    found = provider.check(spec)
    assert len(found) == (1 if problem else 0)
    assert problem in "".join(found)


async def test_secrets_on_the_page(ask: Any, backend: Any, response: Any) -> None:
    url = backend.url(response("your token tok3n-abc is bad", content_type="text/plain"))
    with pytest.raises(BadAnswer) as caught:
        await ask([url], "up", headers=[{"key": "X-Token", "value": "tok3n-abc"}])
    assert "not a line of metrics text" in str(caught.value)
    assert "tok3n" not in str(caught.value)
