"""The Prometheus provider against a real Prometheus: what it answers, refuses, and how it dies."""

import asyncio
import signal
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.base import BadAnswer, BadQuery, TimedOut, Unreachable
from providers.prometheus import Prometheus
from providers.tools import Tools

pytestmark = [pytest.mark.requires("prometheus"), pytest.mark.requires("promtool")]


@pytest.fixture
def provider(tools: Tools) -> Prometheus:
    return Prometheus(tools)


@pytest.fixture
def ask(provider: Prometheus, prometheus: Any, context: Callable[..., Any]) -> Callable[..., Any]:
    async def query(text: str, **more: Any) -> Any:
        return await provider.query({"address": prometheus.address, "query": text, **more}, context())

    return query


@pytest.mark.parametrize(
    ("query", "value", "text"),
    [
        ("scalar(ratio)", 0.0834, "0.0834"),
        ("1 / 0", float("inf"), "+Inf"),
        ("-1 / 0", float("-inf"), "-Inf"),
        ("0 / 0", float("nan"), "NaN"),
        ("1e21", 1e21, "1000000000000000000000"),
        ("1e-9", 1e-9, "0.000000001"),
        ("ratio", array("d", [0.0834]), "[0.0834]"),
        ("sum by (pod) (rate(requests_total[10m])) * 60", array("d", [60, 120]), "[60,120]"),
        ('oddity{kind="nan"}', array("d", [float("nan")]), "[NaN]"),
        ('oddity{kind="inf"}', array("d", [float("inf")]), "[+Inf]"),
        ("nothing", array("d"), "[]"),
        ('requests_total{pod="a"}[2m30s]', array("d", [3480, 3540, 3600]), "[3480,3540,3600]"),
    ],
)
async def test_instant(ask: Any, query: str, value: Any, text: str) -> None:
    answer = await ask(query)
    assert (type(answer.value), str(answer.value), answer.text) == (type(value), str(value), text)


async def test_labels(ask: Any) -> None:
    answer = await ask("requests_total")
    assert [(dict(s.labels), s.value, s.at) for s in answer.samples] == [
        ({"__name__": "requests_total", "code": "200", "pod": pod}, value, datetime(2024, 1, 1, 1, tzinfo=UTC))
        for pod, value in (("a", 3600.0), ("b", 7200.0))
    ]


async def test_range(ask: Any) -> None:
    ranged = {"start": "2024-01-01T00:10:00+00:00", "end": "2024-01-01T00:12:00+00:00", "step": "1m"}
    answer = await ask("requests_total", rangeQuery=ranged)
    assert answer.text == "[600,660,720,1200,1320,1440]"  # one flat list over all series
    assert [sample.labels["pod"] for sample in answer.samples] == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("sum(", BadQuery, 'bad_data: invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
        (
            "",
            BadQuery,
            "parse error: no expression found in input",
        ),
        ('"text"', BadAnswer, "Prometheus metric type not supported (string result not supported)"),
        # the fixture allows 100 samples
        ("requests_total[2h]", BadQuery, "execution: query processing would load too many samples into memory"),
        ("requests_total * on (code) requests_total", BadQuery, "execution: found duplicate series"),
    ],
)
async def test_refusals(ask: Any, query: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        await ask(query)
    assert message in str(caught.value)


async def test_no_api_at_this_path(provider: Prometheus, prometheus: Any, context: Any) -> None:
    with pytest.raises(BadQuery, match="no Prometheus API at this path"):
        await provider.query({"address": f"{prometheus.address}/elsewhere", "query": "up"}, context())


async def test_many_at_once(ask: Any) -> None:
    answers = await asyncio.gather(*(ask(f"vector({n})") for n in range(50)))
    assert [answer.text for answer in answers] == [f"[{n}]" for n in range(50)]


async def test_warnings(provider: Prometheus, run_prometheus: Any, refused_port: int, context: Any) -> None:
    """A remote store that is down makes the answer partial: a value, and a warning."""
    config = f"remote_read: [{{url: 'http://127.0.0.1:{refused_port}/', read_recent: true}}]\n"
    server = run_prometheus(config)
    answer = await provider.query({"address": server.address, "query": "up or vector(7)"}, context())
    assert answer.text == "[7]"
    assert answer.metadata["warnings"].startswith('"remote_read: ')
    assert "connection refused" in answer.metadata["warnings"]


async def test_a_query_that_takes_too_long_for_the_server(
    provider: Prometheus, run_prometheus: Any, context: Any
) -> None:
    server = run_prometheus("global: {}\n", "--query.timeout=1ms")
    slow = "count_over_time(vector(1)[1d:1s]) + count_over_time(vector(1)[1d:1s])"
    with pytest.raises(Unreachable, match=r"^server_error: server error: 503: timeout: query timed out"):
        await provider.query({"address": server.address, "query": slow}, context())


async def test_stalled_killed_and_back(provider: Prometheus, run_prometheus: Any, context: Any) -> None:
    server = run_prometheus()
    spec = {"address": server.address, "query": "vector(1)"}
    assert (await provider.query(spec, context())).text == "[1]"

    server.send(signal.SIGSTOP)  # the kernel takes the connection and the request; nobody answers
    with pytest.raises(TimedOut, match=r"no answer in 0\.3s"):
        await provider.query(spec, context(0.3))
    server.send(signal.SIGCONT)
    assert (await provider.query(spec, context())).text == "[1]"

    heavy = spec | {"query": "sum(count_over_time(vector(1)[10d:1s]))"}
    asking = asyncio.create_task(provider.query(heavy, context(20)))
    await asyncio.sleep(0.1)
    server.send(signal.SIGKILL)
    with pytest.raises(Unreachable, match=r"closed without an answer|connection refused"):
        await asking
    server.kill()
    with pytest.raises(Unreachable, match="connection refused"):
        await provider.query(spec, context())

    again = run_prometheus("global: {}\n", port=server.port)
    assert again.port == server.port
    assert (await provider.query(spec, context())).text == "[1]"
