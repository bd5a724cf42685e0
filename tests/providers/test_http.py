"""The HTTP layer against a server that misbehaves over real sockets: which error, in which words."""

import asyncio
import json
import resource
import socket
from collections.abc import Callable
from typing import Any

import pytest

from providers.addresses import AddressPolicy
from providers.base import (
    BadAnswer,
    BadQuery,
    NotAllowed,
    ProviderError,
    Throttled,
    TimedOut,
    TooLarge,
    Unreachable,
)
from providers.http import Http, Request
from providers.limits import OverCap, Received, Undecodable, retry_after_seconds
from providers.tls import Tls


async def ask(http: Http, url: str, seconds: float = 5.0, **more: Any) -> Any:
    return await http.send(Request(url=http.url(url), who="Prometheus", **more), http.deadline(seconds))


@pytest.mark.parametrize("behaviour", ["ok", "gzip", "gzip members", "deflate", "deflate raw", "418", "500", "401"])
async def test_whole_answers(http: Http, backend: Any, behaviour: str) -> None:
    answer = await ask(http, backend.url(behaviour))
    assert answer.body
    if not behaviour.isdecimal():
        assert json.loads(answer.body)["status"] == "success"


FAILURES: list[Any] = [
    ("close", Unreachable, "ProviderDown", "the connection was closed without an answer"),
    ("close hard", Unreachable, "ProviderDown", "the connection was closed without an answer"),
    pytest.param("silence", TimedOut, "Timeout", "no answer in 0.3s", marks=pytest.mark.bad_input(137)),
    ("headers then silence", TimedOut, "Timeout", "no whole answer in 0.3s (got 1 of 100 bytes)"),
    pytest.param(
        "drip", TimedOut, "Timeout", "no whole answer in 0.3s (got", marks=pytest.mark.bad_input(138)
    ),  # the deadline is total
    pytest.param("drip headers", TimedOut, "Timeout", "no answer in 0.3s", marks=pytest.mark.bad_input(138)),
    pytest.param(
        "cut", Unreachable, "ProviderDown", "answer cut at 512 of 2 048 bytes", marks=pytest.mark.bad_input(139)
    ),
    pytest.param(
        "cut hard", Unreachable, "ProviderDown", "answer cut at 512 of 2 048 bytes", marks=pytest.mark.bad_input(139)
    ),
    ("cut chunk", Unreachable, "ProviderDown", "answer cut at 512 bytes"),
    pytest.param("endless", TooLarge, "TooLarge", "over 8 MiB", marks=pytest.mark.bad_input(150)),
    pytest.param(
        "announced", TooLarge, "TooLarge", "over 8 MiB (52 428 800 bytes announced)", marks=pytest.mark.bad_input(150)
    ),
    pytest.param("gzip bomb", TooLarge, "TooLarge", "over 8 MiB decoded", marks=pytest.mark.bad_input(149)),
    ("gzip cut", BadAnswer, "Malformed", "the answer's compressed body ends too early"),
    ("gzip garbage", BadAnswer, "Malformed", "the answer's compressed body is broken"),
    ("brotli", BadAnswer, "Malformed", "encoded as 'br', which was not asked for"),
    ("negative length", BadAnswer, "Malformed", "the answer is not HTTP"),
    ("two lengths", BadAnswer, "Malformed", "the answer is not HTTP"),
    ("http/0.9", BadAnswer, "Malformed", "the answer is not HTTP"),
    ("garbage", BadAnswer, "Malformed", "the answer is not HTTP"),
    ("ssh", BadAnswer, "Malformed", "the answer is not HTTP"),
    ("long header", BadAnswer, "Malformed", "the answer is not HTTP"),
    ("many headers", BadAnswer, "Malformed", "the answer is not HTTP"),
    pytest.param(
        "redirect",
        NotAllowed,
        "RedirectRefused",
        "redirects are not followed (to 169.254.169.254)",
        marks=pytest.mark.bad_input(141),
    ),
    pytest.param(
        "redirect https",
        NotAllowed,
        "RedirectRefused",
        "redirects are not followed (to elsewhere.example)",
        marks=pytest.mark.bad_input(141),
    ),
    pytest.param(
        "redirect 307",
        NotAllowed,
        "RedirectRefused",
        "redirects are not followed (to another path of the same host)",
        marks=pytest.mark.bad_input(141),
    ),
    ("redirect 308", NotAllowed, "RedirectRefused", "redirects are not followed (to a place that is no URL)"),
    pytest.param("429", Throttled, "Throttled", "too many requests (429)", marks=pytest.mark.bad_input(145)),
]


@pytest.mark.parametrize(("behaviour", "error", "reason", "message"), FAILURES)
async def test_failures(
    http: Http, backend: Any, behaviour: str, error: type[ProviderError], reason: str, message: str
) -> None:
    with pytest.raises(error) as caught:
        await ask(http, backend.url(behaviour), 0.3 if error is TimedOut else 5.0)
    assert type(caught.value) is error
    assert caught.value.reason == reason
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"Prometheus at {backend.origin}: ")
    assert "abcdef" not in str(caught.value)  # of a redirect only the host is told
    assert (await ask(http, backend.url("ok"))).status == 200  # and the client is still good


@pytest.mark.bad_input(136)
async def test_refused(http: Http, refused_port: int) -> None:
    with pytest.raises(Unreachable, match=rf"^Prometheus at http://127\.0\.0\.1:{refused_port}: connection refused$"):
        await ask(http, f"http://127.0.0.1:{refused_port}/")


@pytest.mark.bad_input(137)
async def test_a_black_hole(http: Http, black_hole: int) -> None:
    with pytest.raises(TimedOut, match=r"no answer in 0\.3s"):
        await ask(http, f"http://127.0.0.1:{black_hole}/", 0.3)


async def test_no_time_at_all(http: Http, backend: Any) -> None:
    with pytest.raises(TimedOut, match="no answer in 0s"):
        await ask(http, backend.url("ok"), 0.0)
    assert backend.connections == 0


@pytest.mark.bad_input(136, 116)
@pytest.mark.parametrize(
    ("outcome", "error", "message"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Unreachable, "no such host"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), Unreachable, "the name could not be resolved"),
        ([], Unreachable, "no such host"),
        (["169.254.169.254"], NotAllowed, "the destination 'prom.test' is not allowed"),
        (["10.0.0.1"], NotAllowed, "the destination 'prom.test' is not allowed"),
        (["fd00:ec2::254"], NotAllowed, "the destination 'prom.test' is not allowed"),
        (["::ffff:169.254.169.254"], NotAllowed, "the destination 'prom.test' is not allowed"),
        # one bad address among good ones denies the name: the connection would pick either
        (["127.0.0.1", "169.254.169.254"], NotAllowed, "the destination 'prom.test' is not allowed"),
        (["not an address"], NotAllowed, "the destination 'prom.test' is not allowed"),
    ],
)
async def test_names(backend: Any, outcome: list[str] | OSError, error: type[ProviderError], message: str) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    http = Http(policy=AddressPolicy(allow_private=False), lookup=lookup)
    try:
        with pytest.raises(error, match=message) as caught:
            await ask(http, f"http://prom.test:{backend.port}/")
        assert "169.254" not in str(caught.value)  # what a name resolves to is not for the asker
    finally:
        await http.close()
    assert backend.connections == 0


@pytest.mark.bad_input(136)
async def test_a_slow_resolver_is_cut_off() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    http = Http(lookup=lookup)
    with pytest.raises(TimedOut, match=r"no answer in 0\.2s"):
        await ask(http, "http://prom.test/", 0.2)
    await http.close()


@pytest.mark.bad_input(116)
async def test_rebinding(backend: Any) -> None:
    """A name server that says something else each time: what is judged is what is connected to."""
    answers = [["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"], ["192.168.0.1"]]

    async def lookup(host: str, port: int) -> list[str]:
        return answers.pop(0)

    policy = AddressPolicy(allow_private=False)
    outcomes = []
    for _ in range(4):
        http = Http(policy=policy, lookup=lookup)  # a new client: nothing is cached, as with a TTL of 0
        try:
            await ask(http, backend.url("ok").replace("127.0.0.1", "prom.test"))
            outcomes.append("answered")
        except NotAllowed:
            outcomes.append("denied")
        finally:
            await http.close()
    assert outcomes == ["answered", "denied", "answered", "denied"]
    assert backend.seen[0].headers["Host"] == f"prom.test:{backend.port}"  # the name is kept, the address is ours


@pytest.mark.bad_input(116)
async def test_the_connected_socket_is_judged_again(backend: Any) -> None:
    """The resolver's answer was allowed when it was given; the operator's policy has the last word at the socket."""

    class Fickle(AddressPolicy):
        __slots__ = ("asked",)

        def allows(self, address: str, host: str) -> bool:
            object.__setattr__(self, "asked", getattr(self, "asked", 0) + 1)
            return self.asked == 1

    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    http = Http(policy=Fickle(), lookup=lookup)
    with pytest.raises(NotAllowed, match=r"prom\.test"):
        await ask(http, backend.url("ok").replace("127.0.0.1", "prom.test"))
    await http.close()
    assert backend.seen == []  # connected, and not a byte of the request sent


async def test_an_address_in_the_url_is_judged_without_a_resolver(backend: Any) -> None:
    http = Http(policy=AddressPolicy(allow_loopback=False))
    with pytest.raises(NotAllowed):
        http.url(backend.origin)
    request = Request(url=Http().url(backend.url("ok")), who="Prometheus")  # judged by a more open client
    with pytest.raises(NotAllowed):
        await http.send(request, http.deadline(5))
    await http.close()
    assert backend.connections == 0


@pytest.mark.bad_input(140)
@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        ("expired", "TLS certificate has expired (valid 2019-12-01 to 2020-01-31)"),
        ("early", "TLS certificate is not valid yet (valid "),
        ("elsewhere", "TLS certificate is for another host than '127.0.0.1'"),
        ("self-signed", "TLS certificate is self-signed"),
    ],
)
async def test_certificates(http: Http, tls_backend: Any, certificates: Any, certificate: str, message: str) -> None:
    async with tls_backend(certificate) as backend:
        with pytest.raises(Unreachable) as caught:
            await ask(http, backend.url("ok"), tls=Tls(ca_pem=certificates[certificate].ca))
        assert caught.value.reason == "TlsCertificate"
        assert message in str(caught.value)
        assert backend.seen == []
        assert (await ask(http, backend.url("ok"), tls=Tls(insecure=True))).status == 200


async def test_trust(http: Http, tls_backend: Any, certificates: Any) -> None:
    async with tls_backend("good") as backend:
        with pytest.raises(Unreachable, match="signed by an authority that is not trusted here"):
            await ask(http, backend.url("ok"))
        assert (await ask(http, backend.url("ok"), tls=Tls(ca_pem=certificates["good"].ca))).status == 200
        with pytest.raises(Unreachable, match="not trusted here"):  # the kept connection is not shared
            await ask(http, backend.url("ok"))
        trusting = Http(ca_pem=certificates["good"].ca)  # the operator's, beside the system's
        assert (await ask(trusting, backend.url("ok"))).status == 200
        await trusting.close()
    with pytest.raises(BadQuery, match="CA bundle"):
        await ask(http, "https://127.0.0.1:8443/", tls=Tls(ca_pem="nonsense"))


async def test_tls_where_plain_http_is_spoken(http: Http, backend: Any) -> None:
    with pytest.raises(Unreachable, match="TLS handshake failed; is it plain HTTP there"):
        await ask(http, backend.origin.replace("http:", "https:") + "/")


@pytest.mark.bad_input(129)
async def test_insecure_needs_permission() -> None:
    http = Http(policy=AddressPolicy(allow_insecure_tls=False))
    with pytest.raises(NotAllowed) as caught:
        await ask(http, "https://127.0.0.1:8443/", tls=Tls(insecure=True))
    assert caught.value.reason == "InsecureTlsNotAllowed"
    await http.close()


@pytest.mark.bad_input(145)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"X-RateLimit-Reset": "17"}, 17),
        ({"Retry-After": "3", "X-RateLimit-Reset": "17"}, 3),
        ({"Retry-After": "1000000000"}, 60),
        ({"Retry-After": "9" * 400}, 60),
        ({}, 5),
        ({"Retry-After": "-1"}, 5),
        ({"Retry-After": "abc"}, 5),
        ({"Retry-After": ""}, 5),
        ({"Retry-After": "nan"}, 5),
        ({"Retry-After": "1_0"}, 5),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:40 GMT"}, 19),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:00:00 GMT"}, 60),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:00 GMT", "Date": "Fri, 31 Dec 1999 23:59:40 GMT"}, 5),  # long past
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "gibberish"}, 5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:30 GMT"}, 20),  # no Date: our clock, which says 10
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_seconds(headers, now=10.0) == seconds


async def test_throttled_carries_the_wait(http: Http, backend: Any) -> None:
    with pytest.raises(Throttled) as caught:
        await ask(http, backend.url("429"))
    assert caught.value.retry_after_seconds == 17


async def test_what_is_sent(http: Http, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the environment, no compression, and our own name."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    answer = await ask(http, backend.url("echo"), headers={"X-Scope-OrgID": "a"})
    sent = json.loads(answer.body)["headers"]
    assert sent["Accept-Encoding"] == "identity"
    assert sent["User-Agent"] == "tidegate"
    assert sent["X-Scope-OrgID"] == "a"
    assert "Cookie" not in sent


async def test_a_proxy_when_asked(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", backend.url("echo"))
    monkeypatch.setenv("no_proxy", "")

    async def lookup(host: str, port: int) -> list[str]:
        raise AssertionError("the proxy resolves the name")

    http = Http(trust_env=True, lookup=lookup)
    answer = await ask(http, "http://prom.test/0")
    await http.close()
    assert json.loads(answer.body)["target"] == "http://prom.test/0"


async def test_at_most_so_many_at_once(http: Http, backend: Any) -> None:
    running, most = 0, 0

    async def slow(seen: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    url = backend.url(slow)
    await asyncio.gather(*(ask(http, url, concurrency=4) for _ in range(20)))
    assert most == 4
    assert backend.connections == 4  # and they are kept


async def test_waiting_for_a_place_counts_against_the_deadline(http: Http, backend: Any) -> None:
    holder = asyncio.create_task(ask(http, backend.url("silence"), 5, concurrency=1))
    await asyncio.sleep(0.05)
    with pytest.raises(TimedOut):
        await ask(http, backend.url("ok"), 0.1, concurrency=1)
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)
    assert (await ask(http, backend.url("ok"), 5, concurrency=1)).status == 200


async def test_cancelled_in_the_middle(http: Http, backend: Any) -> None:
    task = asyncio.create_task(ask(http, backend.url("drip"), 5, concurrency=1))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ask(http, backend.url("ok"), 5, concurrency=1)).status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    ("answers", "replay", "asked", "fails"),
    [
        # a fresh connection on which nothing is answered is the server's doing: not asked again
        (0, True, 1, True),
        (0, False, 1, True),
        # a kept one that the server closes at the moment we use it: a query is sent once more, on a fresh connection
        (1, True, 2, False),
        (1, False, 1, True),
    ],
)
async def test_a_connection_that_was_closed(
    http: Http, backend: Any, response: Callable[..., bytes],
    method: str, answers: int, replay: bool, asked: int, fails: bool,
) -> None:  # fmt: skip
    """`answers`: how many requests the server answers on each connection before it closes it."""
    answered = response({"ok": True})

    async def few_per_connection(seen: Any, writer: asyncio.StreamWriter) -> None:
        if sum(one.connection == seen.connection for one in backend.seen) > answers:
            writer.close()
        else:
            writer.write(answered)

    url = backend.url(few_per_connection)
    for _ in range(answers):
        assert (await ask(http, url, method=method, body=b"x", replay=replay)).status == 200
    before = len(backend.seen)
    if fails:
        with pytest.raises(Unreachable, match="closed without an answer"):
            await ask(http, url, method=method, body=b"x", replay=replay)
    else:
        assert (await ask(http, url, method=method, body=b"x", replay=replay)).status == 200
    assert len(backend.seen) - before == asked


async def test_it_is_sent_again_no_more_than_once(http: Http, backend: Any, response: Callable[..., bytes]) -> None:
    """The kept connection is closed, and so is the fresh one after it."""
    answered = response({"ok": True})

    async def first_only(seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(answered) if len(backend.seen) == 1 else writer.close()

    url = backend.url(first_only)
    await ask(http, url)
    with pytest.raises(Unreachable):
        await ask(http, url)
    assert [one.connection for one in backend.seen] == [0, 0, 1]


async def test_a_bomb_needs_little_memory(http: Http, backend: Any) -> None:
    """200 MiB of zeros in 200 KB: refused without ever being held."""
    url = backend.url("gzip bomb")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        await ask(http, url)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024  # KiB; the server of the test shares the process


def test_received_caps() -> None:
    received = Received(10)
    received.expect({"Content-Length": "10"})
    received.add(b"0123456789")
    assert (received.body(), str(received)) == (b"0123456789", "10 of 10 bytes")
    with pytest.raises(OverCap, match="over 10 bytes"):
        received.add(b"x")
    with pytest.raises(Undecodable, match="zstd"):
        Received(10).expect({"Content-Encoding": "zstd"})
