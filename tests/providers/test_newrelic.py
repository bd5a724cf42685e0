"""New Relic over real sockets: what is asked, with what, and which error in which words."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import newrelic
from providers.base import (
    AuthFailed,
    BadAnswer,
    BadQuery,
    Context,
    NoData,
    NotAllowed,
    ProviderError,
    Throttled,
    TimedOut,
    TooLarge,
    Unreachable,
)
from providers.http import Http, Response
from providers.newrelic import NewRelic
from providers.tools import Tools

KEY = "NRAK-0123456789ABCDEF"
SPEC: dict[str, Any] = {"query": "FROM Transaction SELECT count(*)"}


@dataclass
class Known:
    """One secret under every name, and what was asked for."""

    data: Mapping[str, str]
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        self.asked.append((namespace, name))
        return self.data


def secret(address: str = "", **more: str) -> dict[str, str]:
    return {"personal-api-key": KEY, "account-id": "42", "base-url-nerdgraph": address, **more}


def rows(*found: object) -> dict[str, Any]:
    return {"data": {"actor": {"account": {"nrql": {"results": found}}}}}


def failed(message: str, **extensions: str) -> dict[str, Any]:
    return {"data": None, "errors": [{"message": message, "extensions": extensions}]}


@pytest.fixture
def provider(tools: Tools) -> NewRelic:
    return NewRelic(tools)


@pytest.fixture
def at_address(context: Callable[..., Context]) -> Callable[..., Context]:
    def make(address: str, seconds: float = 5.0) -> Context:
        return replace(context(seconds), secrets=Known(secret(address)))

    return make


@pytest.mark.bad_input(131)
async def test_question_and_answer(provider: NewRelic, backend: Any, response: Any, at_address: Any) -> None:
    asked = at_address(backend.url(response(rows({"count": 3, "facet": "a<b"}))))
    found = await provider.query({**SPEC, "profile": "team", "timeout": 7}, asked)
    assert found.value == {"count": 3.0, "facet": "a<b"}
    assert found.text == r'{"count":3,"facet":"a\u003cb"}'
    assert [(sample.labels, sample.value) for sample in found.samples] == [({"facet": "a<b", "field": "count"}, 3.0)]
    assert asked.secrets.asked == [("argo-rollouts", "team")]
    seen = backend.seen[0]
    assert (seen.method, seen.headers["Api-Key"]) == ("POST", KEY)
    body = json.loads(seen.body)
    assert body["variables"] == {"query": SPEC["query"], "accountId": 42, "timeout": 7}
    for part in ("$query: Nrql!", "$accountId: Int!", "$timeout: Seconds!", "results"):
        assert part in body["query"]


@pytest.mark.parametrize(
    ("found", "value", "text"),
    [
        # one row is a map, more are a list of maps
        pytest.param(
            [{"b": 1, "a": None}], {"b": 1.0, "a": None}, '{"a":null,"b":1}', marks=pytest.mark.bad_input(164)
        ),
        ([{"a": 1}, {}], [{"a": 1.0}, {}], '[{"a":1},{}]'),
        ([{"p": {"95": 1e-7}}], {"p": {"95": 1e-7}}, '{"p":{"95":1e-7}}'),
    ],
)
def test_rows(found: list[Any], value: Any, text: str) -> None:
    answer = newrelic.parse(response_of(rows(*found)))
    assert (answer.value, answer.text) == (value, text)


def response_of(body: object, status: int = 200) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"Content-Type": "application/json"}, raw, (KEY,))


def test_a_long_value_is_cut_where_it_is_shown() -> None:
    answer = newrelic.parse(response_of(rows({"text": "x" * 70_000})))
    assert len(answer.value["text"]) == 70_000
    assert len(answer.text) == 65_536
    assert answer.metadata["truncated"] == "the value shows 65536 of 70011 characters; the condition saw all"


NOTHING = "no results returned from NRQL query"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        pytest.param(rows(), NoData, NOTHING, marks=pytest.mark.bad_input(164)),
        pytest.param(rows({}), NoData, NOTHING, marks=pytest.mark.bad_input(164)),
        ({"data": {"actor": {"account": {"nrql": None}}}}, NoData, NOTHING),
        ({"data": None}, NoData, NOTHING),
        ({}, BadAnswer, "New Relic's answer has neither data nor errors"),
        ([], BadAnswer, "New Relic's answer is not a JSON object"),
        ({"data": {"actor": []}}, BadAnswer, "New Relic's answer has no map around 'account'"),
        (rows(1), BadAnswer, "New Relic's results are not a list of rows"),
        (rows({"a": 1})["data"], BadAnswer, "New Relic's answer has neither data nor errors"),
        (b'{"data":{"actor":{"account":{"nrql":{"results":[{"n":1e400}]}}}}}', BadAnswer, "1e400 is out of range"),
        (b'{"data":NaN}', BadAnswer, "could not parse New Relic's answer: NaN is not a JSON value"),
        # GraphQL errors come with status 200, and their class says whose move is next
        pytest.param(
            failed("NRQL Syntax Error: Error at line 1 position 6", errorClass="INVALID_INPUT"),
            BadQuery,
            "NRQL Syntax",
            marks=pytest.mark.bad_input(163),
        ),
        pytest.param(
            failed("The API key is unknown", errorCode="BAD_API_KEY"),
            AuthFailed,
            "The API key is unknown",
            marks=pytest.mark.bad_input(163),
        ),
        (failed("no access", errorClass="ACCESS_DENIED"), AuthFailed, "no access"),
        (failed("took too long", errorClass="TIMEOUT"), TimedOut, "took too long"),
        (failed("sorry", errorClass="SERVER_ERROR"), Unreachable, "sorry"),
        pytest.param(
            failed("slow down", errorClass="TOO_MANY_REQUESTS"),
            Throttled,
            "slow down",
            marks=pytest.mark.bad_input(163),
        ),
        pytest.param(
            failed("NRQL rate limit reached for account 42"),
            Throttled,
            "NRQL rate limit reached",
            marks=pytest.mark.bad_input(163),
        ),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, BadQuery, "one, two"),
        ({"errors": "plain"}, BadQuery, "plain"),
        ({"errors": [{}]}, BadQuery, "the query failed and New Relic does not say why"),
        ({"errors": [{"message": f"key {KEY} " + "x" * 400}]}, BadQuery, "key [redacted] xxx"),
    ],
)
def test_errors(body: object, error: type[ProviderError], message: str) -> None:
    with pytest.raises(error) as caught:
        newrelic.parse(response_of(body))
    assert message in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_deprecated_field_is_a_warning() -> None:
    notice = "This field is deprecated! Please use `other` instead."
    answer = newrelic.parse(response_of(rows({"a": 1}) | {"errors": [{"message": notice}]}))
    assert answer.value == {"a": 1.0}
    assert answer.metadata == {"warnings": f'"{notice}"'}


def test_keys_twice_are_flagged() -> None:
    body = b'{"data":{"actor":{"account":{"nrql":{"results":[{"n":1,"n":2}]}}}}}'
    answer = newrelic.parse(response_of(body))
    assert (answer.value, answer.metadata) == ({"n": 2.0}, {"duplicateKeys": "n"})


@pytest.mark.parametrize(
    ("behaviour", "error", "reason", "message"),
    [
        ("silence", TimedOut, "Timeout", "New Relic at http://127.0.0.1"),
        ("drip", TimedOut, "Timeout", "no whole answer in 0."),
        ("cut", Unreachable, "ProviderDown", "answer cut at 512 of 2 048 bytes"),
        ("redirect", NotAllowed, "RedirectRefused", "redirects are not followed (to 169.254.169.254)"),
        ("401", AuthFailed, "AuthFailed", "New Relic refused the API key (401)"),
        ("403", AuthFailed, "AuthFailed", "New Relic refused the API key (403)"),
        ("404", BadQuery, "BadQuery", "New Relic answered 404"),
        ("429", Throttled, "Throttled", "too many requests (429)"),
        ("502", Unreachable, "ProviderDown", "New Relic answered 502"),
        ("html", BadAnswer, "Malformed", "could not parse New Relic's answer: expected JSON, got text/html"),
        ("empty", BadAnswer, "Malformed", "could not parse New Relic's answer: empty answer"),
        ("deep", BadAnswer, "Malformed", "could not parse New Relic's answer: nested deeper than 100 levels"),
        ("utf-16", BadAnswer, "Malformed", "could not parse New Relic's answer: not UTF-8 at byte 1"),
        ("gzip bomb", TooLarge, "TooLarge", "over 8 MiB decoded"),
        ("endless", TooLarge, "TooLarge", "over 8 MiB"),
    ],
)
async def test_failures(
    behaviour: str,
    error: type[ProviderError],
    reason: str,
    message: str,
    provider: NewRelic,
    backend: Any,
    at_address: Any,
) -> None:
    seconds = 0.3 if error is TimedOut else 5.0
    with pytest.raises(error) as caught:
        await provider.query(SPEC, at_address(backend.url(behaviour), seconds))
    assert message in str(caught.value)
    assert caught.value.reason == reason
    assert "[redacted]" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "endpoint"),
    [
        (secret(), "https://api.newrelic.com/graphql"),
        (secret(region="us"), "https://api.newrelic.com/graphql"),
        (secret(region="EU"), "https://api.eu.newrelic.com/graphql"),
        (secret(region="prod"), "https://api.newrelic.com/graphql"),  # as Argo: an unknown one is the US
        (secret("https://proxy.example/graphql", region="eu"), "https://proxy.example/graphql"),
    ],
)
def test_endpoints(data: dict[str, str], endpoint: str, http: Http) -> None:
    account = newrelic.account_of(data)
    assert str(newrelic.build(newrelic.read(SPEC), account, http).url) == endpoint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "account ID or personal API key not found"),
        ({"account-id": "1"}, "account ID or personal API key not found"),
        ({"personal-api-key": KEY}, "account ID or personal API key not found"),
        (secret() | {"account-id": "one"}, "could not parse account ID: it is not a whole number"),
        (secret() | {"account-id": "1.5"}, "could not parse account ID: it is not a whole number"),
        (secret() | {"account-id": "+-1"}, "could not parse account ID: it is not a whole number"),
    ],
)
def test_accounts(data: dict[str, str], message: str) -> None:
    with pytest.raises(AuthFailed) as caught:
        newrelic.account_of(data)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("example.com/query", BadQuery, "base-url-nerdgraph needs http:// or https://"),
        ("http://169.254.169.254/graphql", NotAllowed, "the destination '169.254.169.254' is not allowed"),
    ],
)
async def test_addresses(
    address: str, error: type[ProviderError], message: str, provider: NewRelic, at_address: Any
) -> None:
    with pytest.raises(error) as caught:
        await provider.query(SPEC, at_address(address))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (SPEC, []),
        ({**SPEC, "timeout": 0}, []),
        ({"query": " "}, ["newRelic: query is missing"]),
        ({**SPEC, "timeout": -1}, ["timeout value needs to be a positive value"]),
        ({**SPEC, "timeout": "5"}, ["newRelic: Expected `int | null`, got `str` - at `$.timeout`"]),
    ],
)
def test_check(spec: dict[str, Any], problems: list[str], provider: NewRelic) -> None:
    assert provider.check(spec) == problems


def test_the_rest_of_the_protocol(provider: NewRelic, context: Callable[..., Context]) -> None:
    assert provider.describe(SPEC) == {"ResolvedNewRelicQuery": SPEC["query"]}
    assert provider.timeout_seconds(SPEC) == 10.0  # five for the query, five to hear about it
    assert provider.credentials(SPEC, context()) == "argo-rollouts/newrelic"
    assert provider.credentials({**SPEC, "profile": "p"}, context()) == "argo-rollouts/p"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from("data actor account nrql results errors message extensions errorClass errorCode".split()),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(
    (JSON | JSON.map(rows) | JSON.map(lambda errors: {"errors": errors})).map(lambda v: json.dumps(v).encode())
    | st.binary(max_size=60),
    st.sampled_from([200, 400, 401, 500]),
)
def test_nothing_but_provider_errors(body: bytes, status: int) -> None:
    message = "-"
    try:
        assert newrelic.parse(response_of(body, status)).text
    except ProviderError as error:
        message = str(error)
    assert message
