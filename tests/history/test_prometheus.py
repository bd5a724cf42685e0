"""Ranges from a real Prometheus; what a server that misbehaves, or an address that is forbidden, comes to."""

import asyncio
import threading
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.history import prometheus as module
from analysis_service.history.base import Asked, Frame
from analysis_service.history.pool import Pool
from analysis_service.history.prometheus import PrometheusHistory
from providers.addresses import AddressPolicy
from providers.base import (
    AuthFailed,
    BadAnswer,
    BadQuery,
    NoData,
    NotAllowed,
    ProviderError,
    TimedOut,
    TooLarge,
    Unreachable,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def asked(query: str, **more: Any) -> Asked:
    return Asked("m", {"prometheus": {"query": query, **more}})


@pytest.mark.requires("prometheus", "promtool")
@pytest.mark.parametrize("first", [1, 7, 60])  # one piece or many: the same series
def test_range(prometheus: Any, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_POINTS", first)
    history = PrometheusHistory(prometheus.address)
    frame = history.range(asked('requests_total{pod="a"}'), START, START + 30 * MINUTE, MINUTE)
    (one,) = frame.series
    assert dict(one.labels) == {"__name__": "requests_total", "pod": "a", "code": "200"}
    assert one.values == array("d", [60.0 * k for k in range(31)])
    assert one.times == array("d", [START.timestamp() + 60 * k for k in range(31)])
    # what a live measurement would have seen at that moment
    answer = frame.answer(START + 10 * MINUTE)
    assert (answer.value, answer.text) == (array("d", [600.0]), "[600]")
    assert answer.samples[0].at == START + 10 * MINUTE
    assert frame.answer(START + 10.5 * MINUTE).value == array("d", [600.0])  # stands for one step
    assert frame.answer(START + 40 * MINUTE).value == array("d")  # and no longer


@pytest.mark.requires("prometheus", "promtool")
@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("sum by (", BadQuery, "parse error"),
        ("requests_total[5m]", BadQuery, "invalid expression type"),
        ("requests_total", BadQuery, "too many samples"),  # the server allows 100
    ],
)
def test_refused_by_the_server(prometheus: Any, query: str, kind: type[ProviderError], words: str) -> None:
    with pytest.raises(kind, match=words):
        PrometheusHistory(prometheus.address).range(asked(query), START, START + 120 * MINUTE, MINUTE)


@pytest.mark.requires("prometheus", "promtool")
def test_a_scalar_answers_as_a_number(prometheus: Any) -> None:
    frame = PrometheusHistory(prometheus.address).range(asked("scalar(ratio)"), START, START + 5 * MINUTE, MINUTE)
    assert frame.answer(START + MINUTE).value == 0.0834


@pytest.mark.requires("prometheus", "promtool")
async def test_the_loop_goes_on(prometheus: Any) -> None:
    """While a thread asks, the loop turns: the question waits for a loop that has turned ten times."""
    turned = threading.Event()

    class Waiting(PrometheusHistory):
        def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
            assert turned.wait(30)
            return super().range(asked, start, end, step)

    pool = Pool()
    history = Waiting(prometheus.address)
    work = asyncio.ensure_future(pool.range(history, asked("sum(requests_total)"), START, START + 30 * MINUTE, MINUTE))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not work.done()
    turned.set()
    assert len((await work).series) == 1
    pool.close()


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ({"status": 500}, Unreachable, "status 500"),
        ({"status": 429}, Unreachable, "status 429"),
        ({"status": 401}, AuthFailed, "status 401"),
        ({"status": 404}, BadQuery, "status 404"),
        ({"status": 302, "location": "http://127.0.0.1:1/"}, BadAnswer, "redirected"),
        ({"body": "<html>"}, BadAnswer, "not JSON"),
        ({"body": {"status": "success"}}, BadAnswer, "not an answer"),
        ({"body": {"status": "success", "data": {"result": 3}}}, BadAnswer, "not an answer"),
        ({"body": {"data": {"result": [{"metric": {}, "values": [[1, "x"]]}]}}}, BadAnswer, "no pair"),
        ({"body": {"data": {"result": [{"metric": {}, "histograms": []}]}}}, BadAnswer, "histograms"),
    ],
)
async def test_bad_answers(
    backend: Any, response: Callable[..., bytes], behaviour: Any, kind: type[ProviderError], words: str
) -> None:
    url = backend.url(response(behaviour.pop("body", b""), behaviour.pop("status", 200), **behaviour))
    history, pool = PrometheusHistory(url), Pool()
    with pytest.raises(kind, match=words):
        await pool.range(history, asked("up"), START, START + MINUTE, MINUTE)
    pool.close()


@pytest.mark.parametrize("name", ["silence", "drip"])
async def test_slow_servers_meet_a_deadline(backend: Any, name: str) -> None:
    history, pool = PrometheusHistory(backend.url(name), timeout_seconds=0.3), Pool()
    with pytest.raises(TimedOut, match="answer in 0"):
        await pool.range(history, asked("up"), START, START + MINUTE, MINUTE)
    pool.close()


async def test_a_body_has_a_cap(backend: Any) -> None:
    history, pool = PrometheusHistory(backend.url("endless")), Pool()
    with pytest.raises(TooLarge, match="32 MiB"):
        await pool.range(history, asked("up"), START, START + MINUTE, MINUTE)
    pool.close()


async def test_what_is_sent(backend: Any, response: Callable[..., bytes]) -> None:
    """Identity encoding (gzip costs the server twice the work), our name, the metric's credentials, one try."""
    seen = []

    async def remember(request: Any, writer: Any) -> None:
        seen.append(request)
        writer.write(response({"data": {"result": []}}))

    history, pool = PrometheusHistory(backend.url(remember)), Pool()
    access = {
        "authentication": {"basicAuth": {"username": "u", "password": "p"}},
        "headers": [{"key": "X-Scope-OrgID", "value": "7"}],
    }
    await pool.range(history, asked("up", **access), START, START + MINUTE, MINUTE)
    (request,) = seen
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert request.method == "POST"
    assert sent["accept-encoding"] == "identity"
    assert sent["user-agent"] == "tidegate"
    assert sent["authorization"] == "Basic dTpw"
    assert sent["x-scope-orgid"] == "7"
    pool.close()


@pytest.mark.parametrize(
    ("address", "policy"),
    [
        ("http://127.0.0.1:9", AddressPolicy(allow_loopback=False)),
        ("http://localhost:9", AddressPolicy(allow_loopback=False)),  # a name is judged by what it resolves to
        ("http://169.254.169.254:80", AddressPolicy()),
    ],
)
def test_address_rules(address: str, policy: AddressPolicy) -> None:
    with pytest.raises(NotAllowed):
        PrometheusHistory(address, policy=policy).range(asked("up"), START, START + MINUTE, MINUTE)


async def test_the_connected_address_is_judged(backend: Any) -> None:
    """Whatever the name resolved to before: the socket's own peer decides."""
    from analysis_service.history import guarded

    session = guarded.session(AddressPolicy(allow_loopback=False), guarded.Deadline(1), headers={}, verify=True)
    with pytest.raises(guarded.Refused):
        await asyncio.to_thread(session.get, f"http://127.0.0.1:{backend.port}/")
    session.close()


@pytest.mark.parametrize(
    ("question", "kind", "words"),
    [
        (Asked("m", {"web": {"url": "http://x"}}), NoData, "web cannot be asked for past data here"),
        (Asked("m", {"prometheus": {"query": "up"}}), BadQuery, "not configured"),
        (Asked("m", {"prometheus": {"query": 3}}), BadQuery, "Expected `str`"),
    ],
)
def test_questions_without_a_server(question: Asked, kind: type[ProviderError], words: str) -> None:
    with pytest.raises(kind, match=words):
        PrometheusHistory().range(question, START, START + MINUTE, MINUTE)
