"""Datadog over real sockets, through its own client: what is asked, with what, and which error in which words."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.api.metrics_api import MetricsApi as MetricsApiV1
from datadog_api_client.v2.api.metrics_api import MetricsApi as MetricsApiV2
from datadog_api_client.v2.model.metrics_aggregator import MetricsAggregator

from providers import datadog
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
from providers.datadog import Datadog
from providers.tools import Tools

AT = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)
API_KEY, APP_KEY = "api-key-0123456789", "app-key-9876543210"
V1: dict[str, Any] = {"query": "avg:requests{*}"}
V2: dict[str, Any] = {"apiVersion": "v2", "query": "avg:requests{*} by {pod}"}
POINT = {"status": "ok", "series": [{"pointlist": [[1704070740000.0, 0.25]], "tag_set": ["pod:a"]}]}
TABLE = {
    "data": {
        "type": "scalar_response",
        "attributes": {
            "columns": [
                {"name": "pod", "type": "group", "values": [["a"], ["b"]]},
                {"name": "query", "type": "number", "values": [0.5, None]},
            ]
        },
    }
}


@dataclass
class Known:
    """Secrets by (namespace, name), and what was asked for."""

    secrets: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        self.asked.append((namespace, name))
        if (namespace, name) not in self.secrets:
            raise AuthFailed(f'secrets "{name}" not found')
        return self.secrets[namespace, name]


def secret(address: str = "http://127.0.0.1:1") -> dict[str, str]:
    return {"api-key": API_KEY, "app-key": APP_KEY, "address": address}


@pytest.fixture
def provider(tools: Tools) -> Datadog:
    return Datadog(tools)


@pytest.fixture
def at_address(context: Callable[..., Context]) -> Callable[..., Context]:
    def make(address: str, seconds: float = 5.0) -> Context:
        return replace(context(seconds), secrets=Known({("argo-rollouts", "datadog"): secret(address)}))

    return make


async def test_v1_question_and_answer(provider: Datadog, backend: Any, response: Any, at_address: Any) -> None:
    found = await provider.query({**V1, "interval": "10m"}, at_address(backend.url(response(POINT))))
    assert (found.value, found.text, found.metadata) == (0.25, "0.25", {})
    assert [(s.labels, s.value, s.at) for s in found.samples] == [
        ({"pod": "a"}, 0.25, datetime(2024, 1, 1, 0, 59, tzinfo=UTC))
    ]
    seen = backend.seen[0]
    assert seen.method == "GET"
    assert urlsplit(seen.target).path == "/0/api/v1/query"
    assert dict(parse_qsl(urlsplit(seen.target).query)) == {
        "from": "1704070200",
        "to": "1704070800",
        "query": "avg:requests{*}",
    }
    assert (seen.headers["DD-API-KEY"], seen.headers["DD-APPLICATION-KEY"]) == (API_KEY, APP_KEY)
    assert seen.headers["Content-Type"] == "application/json"


async def test_v2_question_and_answer(provider: Datadog, backend: Any, response: Any, at_address: Any) -> None:
    spec = {"apiVersion": "v2", "queries": {"a": "sum:e{*}", "b": "sum:t{*}"}, "formula": "a / b", "aggregator": "sum"}
    found = await provider.query(spec, at_address(backend.url(response(TABLE))))
    assert (list(found.value), found.text) == ([0.5], "[0.5]")
    assert found.metadata == {"groups": '[{"name":"a","value":0.5}]'}
    attributes = json.loads(backend.seen[0].body)["data"]["attributes"]
    assert attributes == {
        "from": 1704070500000,
        "to": 1704070800000,
        "queries": [
            {"aggregator": "sum", "data_source": "metrics", "name": "a", "query": "sum:e{*}"},
            {"aggregator": "sum", "data_source": "metrics", "name": "b", "query": "sum:t{*}"},
        ],
        "formulas": [{"formula": "a / b"}],
    }


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_wire_is_what_the_official_client_would_send_and_read(
    version: str, provider: Datadog, backend: Any, response: Any, at_address: Any
) -> None:
    spec = V1 if version == "v1" else V2
    address = backend.url(response(POINT if version == "v1" else TABLE))
    asked = at_address(address)
    ours = await provider.query(spec, asked)

    def official() -> Any:
        keys = {"apiKeyAuth": API_KEY, "appKeyAuth": APP_KEY}
        with ApiClient(Configuration(host=address, api_key=keys)) as client:  # type: ignore[no-untyped-call]
            window = datadog.window(datadog.read(spec), AT)
            if version == "v1":
                api = MetricsApiV1(client)  # type: ignore[no-untyped-call]
                return api.query_metrics(_from=window.start, to=window.end, query=spec["query"])
            api2 = MetricsApiV2(client)  # type: ignore[no-untyped-call]
            return api2.query_scalar_data(body=datadog.body_v2(datadog.read(spec), window))

    theirs = await asyncio.to_thread(official)
    mine, reference = backend.seen
    assert (mine.method, parts(mine.target)) == (reference.method, parts(reference.target))
    assert (json.loads(mine.body or "0")) == json.loads(reference.body or "0")
    for name in ("DD-API-KEY", "DD-APPLICATION-KEY", "Accept", "Accept-Encoding", "User-Agent"):
        assert mine.headers[name] == reference.headers[name]
    # and its models find in the answer what we found
    if version == "v1":
        assert theirs.series[0].pointlist[-1].value[1] == ours.value
    else:
        assert [v for v in theirs.data.attributes.columns[1].values if v is not None] == list(ours.value)


def parts(target: str) -> tuple[str, list[tuple[str, str]]]:
    return urlsplit(target).path, sorted(parse_qsl(urlsplit(target).query))


FAILURES: list[tuple[str, type[ProviderError], str, str]] = [
    ("silence", TimedOut, "Timeout", "no answer in 0."),
    ("drip", TimedOut, "Timeout", "no whole answer in 0."),  # the deadline is total
    ("close", Unreachable, "ProviderDown", "the connection was closed without an answer"),
    ("cut", Unreachable, "ProviderDown", "Received no bytes in response: Datadog at http://127.0.0.1"),
    ("cut", Unreachable, "ProviderDown", "answer cut at 512 of 2 048 bytes"),
    # keys go nowhere but where they belong
    ("redirect", NotAllowed, "RedirectRefused", "redirects are not followed (to 169.254.169.254)"),
    ("401", AuthFailed, "AuthFailed", "received authentication error response code: 401"),
    ("403", AuthFailed, "AuthFailed", "received authentication error response code: 403 forbidden"),
    ("404", BadQuery, "BadQuery", "received non 2xx response code: 404 404 page not found"),
    ("418", BadQuery, "BadQuery", "received non 2xx response code: 418 teapot"),
    ("no content", BadQuery, "BadQuery", "received non 2xx response code: 204"),
    ("500", Unreachable, "ProviderDown", "received non 2xx response code: 500 oops"),
    ("503", Unreachable, "ProviderDown", "received non 2xx response code: 503"),
    ("html", BadAnswer, "Malformed", "Could not parse JSON body: expected JSON, got text/html"),
    ("empty", BadAnswer, "Malformed", "Could not parse JSON body: empty answer"),
    ("half json", BadAnswer, "Malformed", "Could not parse JSON body: "),
    ("list json", BadAnswer, "Malformed", "Could not parse JSON body: Expected `object`, got `array`"),
    ("deep", BadAnswer, "Malformed", "Could not parse JSON body: nested deeper than 100 levels"),
    ("bad utf-8", BadAnswer, "Malformed", "Could not parse JSON body: not UTF-8 at byte"),
    ("utf-16", BadAnswer, "Malformed", "Could not parse JSON body: not UTF-8 at byte 1"),
    ("gzip bomb", TooLarge, "TooLarge", "over 8 MiB decoded"),
    ("endless", TooLarge, "TooLarge", "over 8 MiB"),
]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("behaviour", "error", "reason", "message"), FAILURES)
async def test_failures(
    version: str,
    behaviour: str,
    error: type[ProviderError],
    reason: str,
    message: str,
    provider: Datadog,
    backend: Any,
    at_address: Any,
) -> None:
    seconds = 0.3 if error is TimedOut else 5.0
    with pytest.raises(error) as caught:
        await provider.query(V1 if version == "v1" else V2, at_address(backend.url(behaviour), seconds))
    assert message in str(caught.value)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 450
    assert len(backend.seen) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        # seconds until the limit is lifted, in Datadog's own header
        ({"X_RateLimit_Reset": "17"}, 17.0),
        ({"X_RateLimit_Reset": "-1"}, 5.0),
        ({"X_RateLimit_Reset": "abc"}, 5.0),
        ({"X_RateLimit_Reset": "1000000000"}, 60.0),
        ({}, 5.0),
    ],
)
async def test_throttling(
    headers: dict[str, str], seconds: float, provider: Datadog, backend: Any, response: Any, at_address: Any
) -> None:
    with pytest.raises(Throttled) as caught:
        await provider.query(V1, at_address(backend.url(response(status=429, **headers))))
    assert caught.value.retry_after_seconds == seconds
    assert len(backend.seen) == 1


async def test_keys_are_not_in_errors(provider: Datadog, backend: Any, response: Any, at_address: Any) -> None:
    said = f"bad keys: {API_KEY} {APP_KEY} in {'x' * 1000}"
    with pytest.raises(AuthFailed) as caught:
        await provider.query(V1, at_address(backend.url(response(said, 401))))
    assert str(caught.value).startswith("received authentication error response code: 401 bad keys: [redacted] [reda")
    assert len(str(caught.value)) <= 420


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("://wrong.schema", BadQuery, 'parse "://wrong.schema": missing protocol scheme'),
        ("api.datadoghq.com", BadQuery, "address of the datadog credentials needs http:// or https://"),
        ("ftp://api.datadoghq.com", BadQuery, "http or https only"),
        ("https://user:secret-word@api.datadoghq.com", BadQuery, "credentials in URL; use authentication"),
        ("http://169.254.169.254", NotAllowed, "the destination '169.254.169.254' is not allowed"),
    ],
)
async def test_addresses(
    address: str, error: type[ProviderError], message: str, provider: Datadog, at_address: Any
) -> None:
    with pytest.raises(error) as caught:
        await provider.query(V1, at_address(address))
    assert message in str(caught.value)
    assert "secret-word" not in str(caught.value)


ENV = {"DD_ADDRESS": "http://127.0.0.1:2", "DD_API_KEY": "e1", "DD_APP_KEY": "e2"}
TEAM, OURS, NAMED = ("default", "dd"), ("argo-rollouts", "datadog"), ("argo-rollouts", "dd")


@pytest.mark.parametrize(
    ("ref", "env", "known", "found", "asked", "named"),
    [
        # a named secret: the controller's, or the run's own
        ({"name": "dd"}, ENV, {NAMED: secret()}, "http://127.0.0.1:1", [NAMED], "secret argo-rollouts/dd"),
        ({"name": "dd", "namespaced": True}, ENV, {TEAM: secret()}, "http://127.0.0.1:1", [TEAM], "secret default/dd"),
        # without a name: the environment before the secret `datadog`
        ({}, ENV, {OURS: secret()}, "http://127.0.0.1:2", [], "environment"),
        # all three variables or none
        ({}, {"DD_API_KEY": "e1", "DD_APP_KEY": "e2"}, {OURS: secret()}, "http://127.0.0.1:1", [OURS], None),
        # the address may be left out
        ({}, {}, {OURS: secret("")}, "https://api.datadoghq.com", [OURS], "secret argo-rollouts/datadog"),
    ],
)
async def test_where_credentials_come_from(
    ref: dict[str, Any],
    env: dict[str, str],
    known: dict[tuple[str, str], dict[str, str]],
    found: str,
    asked: list[tuple[str, str]],
    named: str | None,
    provider: Datadog,
    context: Callable[..., Context],
) -> None:
    secrets = Known(known)
    spec = {**V1, "secretRef": ref}
    where = replace(context(env=env), secrets=secrets)
    assert (await datadog.find_credentials(datadog.read(spec), where)).address == found
    assert secrets.asked == asked
    if named is not None:
        assert provider.credentials(spec, where) == named


@pytest.mark.parametrize(
    ("ref", "known", "message"),
    [
        ({}, {}, 'datadog metrics provider: secrets "datadog" not found'),
        ({"name": "dd"}, {OURS: secret()}, 'datadog metrics provider: secrets "dd" not found'),
        ({}, {OURS: {"api-key": "a"}}, 'datadog metrics provider: secret "datadog" has no app-key'),
        ({}, {OURS: {}}, 'datadog metrics provider: secret "datadog" has no api-key and no app-key'),
    ],
)
async def test_missing_credentials(
    ref: dict[str, Any], known: Any, message: str, provider: Datadog, context: Callable[..., Context]
) -> None:
    with pytest.raises(AuthFailed) as caught:
        await provider.query({**V1, "secretRef": ref}, replace(context(), secrets=Known(known)))
    assert str(caught.value) == f"failed to find the credentials for {message}"


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (V1, []),
        ({**V2, "requestTimeout": "1m30s", "aggregator": "l2norm"}, []),
        ({}, ["Must have either a query or queries. Please review the Analysis Template."]),
        (
            {"query": "q", "queries": {"a": "q"}, "apiVersion": "v2"},
            ["Cannot have both a query and queries. Please review the Analysis Template."],
        ),
        # all that is wrong at once
        (
            {"query": "q", "formula": "a", "aggregator": "sum", "interval": "-5m", "requestTimeout": "10"},
            [
                "Formula are only valid when queries are set. Please review the Analysis Template.",
                "Aggregator is not supported in v1. Please review the Analysis Template.",
                'Could not parse the request timeout: time: missing unit in duration "10"',
                "interval must be longer than 0, not -5m",
            ],
        ),
        (
            {**V2, "aggregator": "median2"},
            ["aggregator 'median2' is not known: avg, min, max, sum, last, percentile, mean, l2norm, area"],
        ),
        ({**V1, "apiVersion": "v3"}, ["apiVersion 'v3' is not known: v1, v2"]),
        ({**V1, "interval": "soon"}, ['Could not parse the interval: time: invalid duration "soon"']),
        ({**V1, "requestTimeout": "-1s"}, ["Request timeout must be a positive duration, not -1s"]),
        ({**V1, "secretRef": {"namespaced": True}}, ["secret name is required for namespaced credentials"]),
        ({"query": 5}, ["datadog: Expected `str`, got `int` - at `$.query`"]),
    ],
)
def test_check(spec: dict[str, Any], problems: list[str], provider: Datadog) -> None:
    assert provider.check(spec) == problems


def test_the_rest_of_the_protocol(provider: Datadog) -> None:
    assert provider.name == "datadog"
    assert provider.describe(V1) == {}
    assert provider.timeout_seconds(V1) == 10.0
    assert provider.timeout_seconds({**V1, "requestTimeout": "1m"}) == 60.0
    # the aggregators we check are those the client's model knows
    assert set(datadog.AGGREGATORS) == MetricsAggregator.allowed_values
