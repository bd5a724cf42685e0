"""Web metrics over real sockets: what is sent, what is found in the answer, and which error in which words."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import web
from providers.base import (
    AuthFailed,
    BadAnswer,
    BadQuery,
    Context,
    NotAllowed,
    ProviderError,
    Throttled,
    TimedOut,
    TooLarge,
    Unreachable,
)
from providers.http import Response
from providers.tools import Tools
from providers.web import Web

BOTH = "use either Body or JSONBody; both cannot exists for WebMetric payload"
NO_BODY = "Body/JSONBody can only be used with POST or PUT WebMetric Method types"


@pytest.fixture
def provider(tools: Tools) -> Web:
    return Web(tools)


def response_of(body: bytes, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "text/plain"}, body)


@pytest.mark.parametrize(
    ("spec", "method", "sent", "headers"),
    [
        ({}, "GET", b"", {"X-A": "1", "User-Agent": "tidegate"}),
        ({"method": ""}, "GET", b"", {}),
        ({"method": "POST", "body": "a=b"}, "POST", b"a=b", {}),
        ({"method": "PUT", "body": "é"}, "PUT", "é".encode(), {}),
        # JSON as text goes out as it is, anything else as JSON; its type cannot be overruled
        ({"method": "POST", "jsonBody": '{"b": 1,  "a": 2}'}, "POST", b'{"b": 1,  "a": 2}', {}),
        (
            {
                "method": "POST",
                "jsonBody": {"b": [1, None], "a": "x"},
                "headers": [{"key": "content-type", "value": "text/plain"}],
            },
            "POST",
            b'{"a":"x","b":[1,null]}',
            {"Content-Type": "application/json"},
        ),
        # of headers of one name the last one counts
        (
            {"headers": [{"key": "X-A", "value": "2"}, {"key": "x-a", "value": "3"}]},
            "GET",
            b"",
            {"x-a": "3"},
        ),
        (
            {"authentication": {"basicAuth": {"username": "u", "password": "p4ssw0rd"}}},
            "GET",
            b"",
            {"Authorization": "Basic " + base64.b64encode(b"u:p4ssw0rd").decode()},
        ),
        ({"authentication": {"bearerToken": "t0ken"}}, "GET", b"", {"Authorization": "Bearer t0ken"}),
    ],
)
async def test_what_is_sent(
    spec: dict[str, Any],
    method: str,
    sent: bytes,
    headers: dict[str, str],
    provider: Web,
    backend: Any,
    response: Any,
    context: Callable[..., Context],
) -> None:
    url = backend.url(response({"ok": True})) + "?q=a%20b&r=%2F"
    await provider.query({"url": url, "headers": [{"key": "X-A", "value": "1"}], **spec}, context())
    seen = backend.seen[0]
    assert (seen.method, seen.body) == (method, sent)
    lower = {name.lower(): value for name, value in seen.headers.items()}
    for name, value in headers.items():
        assert lower[name.lower()] == value


async def test_oauth2_token_goes_before_a_custom_authorization(
    provider: Web, backend: Any, response: Any, context: Callable[..., Context]
) -> None:
    token = backend.url(response({"access_token": "fresh-token", "expires_in": 3600, "token_type": "bearer"}))
    oauth2 = {"tokenUrl": token, "clientId": "id", "clientSecret": "client-secret", "scopes": ["a", "b"]}
    spec = {
        "url": backend.url(response({"a": 1})),
        "headers": [{"key": "authorization", "value": "Custom x"}, {"key": "X-B", "value": "y"}],
        "authentication": {"oauth2": oauth2},
    }
    await provider.query(spec, context())
    await provider.query(spec, context())
    asked, first, second = backend.seen  # the token is kept for the second question
    assert b"scope=a+b" in asked.body
    for seen in (first, second):
        assert (seen.headers["Authorization"], seen.headers["X-B"]) == ("Bearer fresh-token", "y")


@pytest.mark.parametrize(
    ("body", "path", "value", "text"),
    [
        (b'{"a": 1, "b": [true, null]}', "", {"a": 1.0, "b": [True, None]}, '{"a":1,"b":[true,null]}'),
        (b'{"a": {"b": [{"c": "x"}]}}', "{$.a.b[0].c}", "x", '"x"'),
        (b'{"rate": 1e-7}', "{.rate}", 1e-7, "1e-7"),
        (b'{"rate": 123456789012345678901234567890}', "{.rate}", 1.2345678901234568e29, "1.2345678901234568e+29"),
        (b" 5 \n", "", 5.0, "5"),
        (b'"quoted"', "", "quoted", '"quoted"'),
        (b"null", "", None, "null"),
        (b"false", "{$}", False, "false"),
        pytest.param(
            b'{"t": "<script>"}', "{.t}", "<script>", r'"\u003cscript\u003e"', marks=pytest.mark.bad_input(167)
        ),
        (b'[{"s":"up","v":1},{"s":"down","v":2}]', '{[?(@.s=="down")].v}', 2.0, "2"),
        # no JSON: the text as it is, whatever the path says
        (b"", "{.a}", "", ""),
        pytest.param(b"OK\n", "{.a}", "OK\n", "OK\n", marks=pytest.mark.bad_input(165)),
        (b"{'a': 1}", "{.a}", "{'a': 1}", "{'a': 1}"),
        (b"NaN", "", "NaN", "NaN"),
        (b"1 2", "", "1 2", "1 2"),
        pytest.param(b"\x1b[31mred", "", "\x1b[31mred", "\x1b[31mred", marks=pytest.mark.bad_input(167)),
        ("\ufeff{}".encode(), "", "\ufeff{}", "\ufeff{}"),
    ],
)
def test_what_is_found(body: bytes, path: str, value: Any, text: str) -> None:
    found = web.parse(response_of(body), web.read({"jsonPath": path}))
    assert (found.value, found.text, found.metadata) == (value, text, {})


@pytest.mark.parametrize(
    ("body", "spec", "metadata"),
    [
        pytest.param(
            b"[1,2,3]",
            {"jsonPath": "{[*]}"},
            {"note": "3 values at {[*]}: the first is the result"},
            marks=pytest.mark.bad_input(166),
        ),
        (b'{"a":1,"a":2}', {}, {"duplicateKeys": "a"}),
        (
            b"{}",
            {"jsonPath": "$.a"},
            {"warnings": '"jsonPath has no braces, so the result is the path\'s own text; write {$.field}"'},
        ),
        (
            b"{}",
            {"authentication": {"basicAuth": {"username": "u", "password": "p"}}},
            {"warnings": '"authentication.basicAuth is sent; Argo Rollouts ignores it for web metrics"'},
        ),
        pytest.param(
            b"x" * 5000,
            {},
            {"truncated": "the value shows 4096 of 5000 characters; the condition saw all"},
            marks=pytest.mark.bad_input(165),
        ),
        (
            b'"' + b"x" * 70_000 + b'"',
            {},
            {"truncated": "the value shows 65536 of 70002 characters; the condition saw all"},
        ),
    ],
)
def test_what_is_noted(body: bytes, spec: dict[str, Any], metadata: dict[str, str]) -> None:
    found = web.parse(response_of(body), web.read(spec))
    assert found.metadata == metadata
    if "truncated" in metadata:
        assert len(found.text) < len(body)
        assert len(found.value) >= len(body) - 2


@pytest.mark.parametrize(
    ("body", "path", "error", "message"),
    [
        pytest.param(
            b'{"a": 1}',
            "{.b}",
            BadAnswer,
            "Could not find JSONPath in body: b is not found",
            marks=pytest.mark.bad_input(166),
        ),
        (b'{"a": 1}', "{.a[0]}", BadAnswer, "Could not find JSONPath in body: float64 is not array or slice"),
        (b"[]", "{[*]}", BadAnswer, "result of web metric produced no value"),
        (b'{"a": []}', '{.a[?(@.b=="c")]}', BadAnswer, "result of web metric produced no value"),
        pytest.param(
            b"[" + b"0," * 300_000 + b"0]",
            "{..[*]}",
            TooLarge,
            "jsonPath {..[*]}: TooMuchWork: more than 250000 values",
            marks=pytest.mark.bad_input(125),
        ),
        # it may be JSON, but not such as we read: never taken for a text
        (b"[" * 200_000, "", BadAnswer, "the body of 200000 bytes cannot be read: nested deeper than 100 levels"),
        (b'{"a": "\xff"}', "", BadAnswer, "the body of 10 bytes cannot be read: not UTF-8 at byte 8"),
        ('{"a": 1}'.encode("utf-16"), "", BadAnswer, "cannot be read: not UTF-8 at byte 1"),
        pytest.param(
            b'{"a": %s}' % (b"9" * 400),
            "{.a}",
            BadAnswer,
            "cannot be read: a number of 400 characters",
            marks=pytest.mark.bad_input(170),
        ),
        (b'{"a": 1e400}', "{.a}", BadAnswer, "cannot be read: the number 1e400 is out of range"),
    ],
)
def test_what_cannot_be_found(body: bytes, path: str, error: type[ProviderError], message: str) -> None:
    with pytest.raises(error) as caught:
        web.parse(response_of(body), web.read({"jsonPath": path}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "error", "reason", "message"),
    [
        ("silence", TimedOut, "Timeout", "no answer in 0."),
        ("drip", TimedOut, "Timeout", "no whole answer in 0."),
        ("cut", Unreachable, "ProviderDown", "answer cut at 512 of 2 048 bytes"),
        ("redirect", NotAllowed, "RedirectRefused", "redirects are not followed (to 169.254.169.254)"),
        # a body is never part of these errors
        ("300", BadQuery, "BadQuery", "received non 2xx response code: 300"),
        ("401", AuthFailed, "AuthFailed", "received non 2xx response code: 401"),
        ("403", AuthFailed, "AuthFailed", "received non 2xx response code: 403"),
        ("404", BadQuery, "BadQuery", "received non 2xx response code: 404"),
        ("429", Throttled, "Throttled", "too many requests (429)"),
        ("500", Unreachable, "ProviderDown", "received non 2xx response code: 500"),
        ("503", Unreachable, "ProviderDown", "received non 2xx response code: 503"),
        ("deep", BadAnswer, "Malformed", "nested deeper than 100 levels"),
        ("gzip bomb", TooLarge, "TooLarge", "over 8 MiB decoded"),
        ("endless", TooLarge, "TooLarge", "over 8 MiB"),
        ("http/0.9", BadAnswer, "Malformed", "the answer is not HTTP"),
    ],
)
async def test_failures(
    behaviour: str,
    error: type[ProviderError],
    reason: str,
    message: str,
    provider: Web,
    backend: Any,
    context: Callable[..., Context],
) -> None:
    with pytest.raises(error) as caught:
        await provider.query({"url": backend.url(behaviour)}, context(0.3 if error is TimedOut else 5.0))
    assert message in str(caught.value)
    assert caught.value.reason == reason
    for text in ("s3cr3t", "forbidden", "not found", "oops"):
        assert text not in str(caught.value)


@pytest.mark.parametrize("behaviour", ["html", "empty"])
async def test_a_page_is_a_text(behaviour: str, provider: Web, backend: Any, context: Callable[..., Context]) -> None:
    found = await provider.query({"url": backend.url(behaviour), "jsonPath": "{.a}"}, context())
    assert found.value == {"html": "<html><body>Sign in</body></html>", "empty": ""}[behaviour]


async def test_a_post_is_sent_once(provider: Web, backend: Any, context: Callable[..., Context]) -> None:
    """What it does at the other end is not known: a lost answer is no reason to do it again."""
    with pytest.raises(Unreachable):
        await provider.query({"url": backend.url("close"), "method": "POST", "body": "x"}, context())
    assert len(backend.seen) == 1


async def test_the_timeout_is_the_metrics_own(provider: Web, backend: Any, context: Callable[..., Context]) -> None:
    spec = {"url": backend.url("silence"), "timeoutSeconds": 1}
    with pytest.raises(TimedOut, match="no answer in"):
        async with asyncio.timeout(20):
            await provider.query(spec, context(30.0))


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ({}, []),
        ({"url": "https://a.example/x?y=z", "method": "PUT", "body": "x"}, []),
        pytest.param({"body": "x"}, [NO_BODY], marks=pytest.mark.bad_input(121)),
        ({"jsonBody": {}}, [NO_BODY]),
        ({"body": "x", "jsonBody": {}}, [BOTH]),
        pytest.param({"method": "POST", "body": "x", "jsonBody": {}}, [BOTH], marks=pytest.mark.bad_input(122)),
        ({"method": "DELETE"}, ["method 'DELETE' is not allowed: GET, POST, PUT"]),
        # 0 and less mean the default, as in Argo
        pytest.param({"timeoutSeconds": -1}, [], marks=pytest.mark.bad_input(126)),
        pytest.param(
            {"timeoutSeconds": 100_000},
            ["timeoutSeconds is 100000: 1..300 is allowed"],
            marks=pytest.mark.bad_input(126),
        ),
        pytest.param(
            {"jsonPath": "{$."}, ["jsonPath '{$.', column 4: unclosed action"], marks=pytest.mark.bad_input(124)
        ),
        ({"jsonPath": "{.a[b]}"}, ["jsonPath '{.a[b]}', column 5: invalid array index b"]),
        ({"url": "bad://url.com"}, ['unsupported protocol scheme "bad" (url: http or https only)']),
        ({"url": "localhost:8080"}, ['unsupported protocol scheme "" (url needs http:// or https://)']),
        ({"url": "http://u:secret-word@h/"}, ["url: credentials in URL; use authentication"]),
        ({"url": "http://2852039166/"}, ["url: '2852039166' is not a host name, and IP literals are not allowed here"]),
        (
            {"headers": [{"key": "Host", "value": "x"}, {"key": "X", "value": "a\r\nB: c"}]},
            [
                "header 'Host' is set by the connection and not by a template",
                "header 'X': line breaks and control characters are not allowed in a value",
            ],
        ),
        (
            {"authentication": {"basicAuth": {"username": "u"}}},
            ["missing mandatory parameter in metric for basic auth setup: password"],
        ),
        (
            {"authentication": {"oauth2": {"tokenUrl": "http://t.example", "clientId": "x"}}},
            ["missing mandatory parameter in metric for OAuth2 setup"],
        ),
        (
            {"authentication": {"oauth2": {"tokenUrl": "t", "clientId": "x", "clientSecret": "y"}}},
            ['unsupported protocol scheme "" (authentication.oauth2.tokenUrl needs http:// or https://)'],
        ),
        ({"url": 5}, ["web: Expected `str`, got `int` - at `$.url`"]),
    ],
)
def test_check(spec: dict[str, Any], problems: list[str], provider: Web) -> None:
    found = provider.check(spec)
    assert len(found) == len(problems)
    for sentence, start in zip(found, problems, strict=True):
        assert sentence.startswith(start)


async def test_metadata_addresses_are_refused(provider: Web, context: Callable[..., Context]) -> None:
    with pytest.raises(NotAllowed, match=r"the destination '169\.254\.169\.254' is not allowed"):
        await provider.query({"url": "http://169.254.169.254/latest/meta-data"}, context())


def test_the_rest_of_the_protocol(provider: Web, context: Callable[..., Context]) -> None:
    assert provider.name == "web"
    assert provider.describe({"url": "http://a"}) == {}
    assert [provider.timeout_seconds({"timeoutSeconds": seconds}) for seconds in (7, 0, -1)] == [7.0, 10.0, 10.0]
    keys = {
        provider.credentials({"url": "http://a", "headers": [{"key": "Authorization", "value": value}]}, context())
        for value in ("one", "two", "two")
    }
    assert len(keys) == 2
    assert not any(word in key for key in keys for word in ("one", "two"))


@given(
    st.binary(max_size=80) | st.text('[]{}",:019.eE-nulltrue ab', max_size=40).map(str.encode),
    st.sampled_from(["", "{$.a}", "{..a}", "{[*]}", "{.a[0:2]}", "{[?(@.a)]}", "{", "x{$", "{range $}{.a}"]),
    st.sampled_from([200, 204, 302, 404, 500]),
)
def test_nothing_but_provider_errors(body: bytes, path: str, status: int) -> None:
    message = "-"
    try:
        json.dumps(web.parse(response_of(body, status), web.read({"jsonPath": path})).value)
    except ProviderError as error:
        message = str(error)
    assert message
