"""The Prometheus provider against canned answers over real sockets, and as a pure function."""

import json
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from providers.base import (
    Answer,
    AuthFailed,
    BadAnswer,
    BadQuery,
    NotAllowed,
    ProviderError,
    Throttled,
    TooLarge,
    Unreachable,
)
from providers.prometheus import Prometheus
from providers.tools import Tools

NOW = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)
T = NOW.timestamp()


@pytest.fixture
def provider(tools: Tools) -> Prometheus:
    return Prometheus(tools)


def vector(*values: str, at: float = T) -> list[Any]:
    return [{"metric": {"pod": str(n)}, "value": [at, value]} for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("result", "kind", "value", "text"),
    [
        ([T, "10"], "scalar", 10.0, "10"),
        pytest.param([T, "NaN"], "scalar", float("nan"), "NaN", marks=pytest.mark.bad_input(154)),
        pytest.param([T, "+Inf"], "scalar", float("inf"), "+Inf", marks=pytest.mark.bad_input(154)),
        ([T, "-Inf"], "scalar", float("-inf"), "-Inf"),
        pytest.param(
            [T, "1e400"], "scalar", float("inf"), "+Inf", marks=pytest.mark.bad_input(159)
        ),  # as Go's ParseFloat rounds it
        ([T, "-0"], "scalar", -0.0, "-0"),
        ([T, "1e21"], "scalar", 1e21, "1000000000000000000000"),  # never an exponent
        ([T, "1e-7"], "scalar", 1e-7, "0.0000001"),
        ([T, "0.1"], "scalar", 0.1, "0.1"),
        ([T, "0.30000000000000004"], "scalar", 0.1 + 0.2, "0.30000000000000004"),
        (vector(), "vector", array("d"), "[]"),
        (vector("10", "11"), "vector", array("d", [10, 11]), "[10,11]"),
        pytest.param(vector("NaN"), "vector", array("d", [float("nan")]), "[NaN]", marks=pytest.mark.bad_input(154)),
        (vector("1", "+Inf", "2.5"), "vector", array("d", [1, float("inf"), 2.5]), "[1,+Inf,2.5]"),
        (
            [{"metric": {}, "values": [[T, "1"], [T + 60, "2"]]}, {"metric": {"a": "b"}, "values": [[T, "3"]]}],
            "matrix",
            array("d", [1, 2, 3]),
            "[1,2,3]",
        ),
        ([], "matrix", array("d"), "[]"),
    ],
)
async def test_values(
    provider: Prometheus, backend: Any, context: Any, api_answer: Any, result: Any, kind: str, value: Any, text: str
) -> None:
    answer = await provider.query({"address": backend.url(api_answer(result, kind)), "query": "q"}, context())
    assert type(answer.value) is type(value)
    assert str(answer.value) == str(value)  # NaN is not equal to itself
    assert answer.text == text


async def test_samples_keep_labels_and_times(provider: Prometheus, backend: Any, context: Any, api_answer: Any) -> None:
    answer = await provider.query({"address": backend.url(api_answer(vector("1", "2"))), "query": "q"}, context())
    assert [(s.labels, s.value, s.at) for s in answer.samples] == [({"pod": "0"}, 1, NOW), ({"pod": "1"}, 2, NOW)]
    assert answer.metadata == {}


@pytest.mark.parametrize(
    ("extra", "at", "metadata"),
    [
        pytest.param({"warnings": ["w1", "w2"]}, T, {"warnings": '"w1", "w2"'}, marks=pytest.mark.bad_input(158)),
        ({"warnings": []}, T, {}),
        pytest.param({}, T - 10_800, {"stale": "the sample is 10800s old"}, marks=pytest.mark.bad_input(169)),
        pytest.param({}, T + 10_800, {"stale": "the sample is 10800s in the future"}, marks=pytest.mark.bad_input(169)),
        ({}, T - 299, {}),
    ],
)
async def test_metadata(
    provider: Prometheus, backend: Any, context: Any, api_answer: Any, extra: Any, at: float, metadata: Any
) -> None:
    url = backend.url(api_answer(vector("1", at=at), **extra))
    assert (await provider.query({"address": url, "query": "q"}, context())).metadata == metadata


@pytest.mark.bad_input(152)
async def test_duplicate_keys_are_flagged(provider: Prometheus, backend: Any, context: Any, response: Any) -> None:
    twice = b'{"status":"success","data":{"resultType":"scalar","resultType":"scalar","result":[1704070800,"1"]}}'
    answer = await provider.query({"address": backend.url(response(twice)), "query": "q"}, context())
    assert (answer.value, answer.metadata) == (1.0, {"duplicateKeys": "resultType"})
    # a label whose value looks like a key is no duplicate
    label = api_like({"metric": {"status": "result"}, "value": [T, "1"]})
    answer = await provider.query({"address": backend.url(response(label)), "query": "q"}, context())
    assert answer.metadata == {}


async def test_duplicate_keys_beside_a_number_that_is_out_of_range(
    provider: Prometheus, backend: Any, context: Any, response: Any
) -> None:
    twice = b'{"status":"success","status":"success","x":1e400,"data":{"resultType":"scalar","result":[0,"1"]}}'
    answer = await provider.query({"address": backend.url(response(twice)), "query": "q"}, context())
    assert (answer.value, "duplicateKeys" in answer.metadata) == (1.0, False)


def api_like(series: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": [series]}})


@pytest.mark.bad_input(156)
async def test_a_range_from_an_instant_query_is_noted(
    provider: Prometheus, backend: Any, context: Any, api_answer: Any
) -> None:
    url = backend.url(api_answer([{"metric": {}, "values": [[T, "1"]]}], "matrix"))
    assert "note" in (await provider.query({"address": url, "query": "up[5m]"}, context())).metadata
    asked = {"address": url, "query": "up", "rangeQuery": {"start": "now()", "end": "now()", "step": "1m"}}
    assert (await provider.query(asked, context())).metadata == {}


FAILURES: list[Any] = [
    pytest.param(
        "401",
        AuthFailed,
        "client_error: client error: 401 (Prometheus at {where} refused the credentials)",
        marks=pytest.mark.bad_input(142),
    ),
    pytest.param(
        "403",
        AuthFailed,
        "client_error: client error: 403 (Prometheus at {where} refused the credentials)",
        marks=pytest.mark.bad_input(142),
    ),
    pytest.param(
        "404",
        BadQuery,
        "client_error: client error: 404 (Prometheus at {where}: no Prometheus API at this path)",
        marks=pytest.mark.bad_input(143),
    ),
    ("418", BadQuery, "client_error: client error: 418"),
    ("300", BadAnswer, "bad_response: bad response code 300"),
    ("500", Unreachable, "server_error: server error: 500"),
    ("502", Unreachable, "server_error: server error: 502"),
    pytest.param(
        "503",
        Unreachable,
        "server_error: server error: 503: timeout: query timed out",
        marks=pytest.mark.bad_input(146),
    ),
    ("429", Throttled, "Prometheus at {where}: too many requests (429)"),
    ("redirect", NotAllowed, "Prometheus at {where}: redirects are not followed (to 169.254.169.254)"),
    pytest.param(
        "html", BadAnswer, "Prometheus at {where}: expected JSON, got text/html", marks=pytest.mark.bad_input(147)
    ),
    pytest.param("empty", BadAnswer, "Prometheus at {where}: empty answer", marks=pytest.mark.bad_input(148)),
    pytest.param("no content", BadAnswer, "Prometheus at {where}: empty answer", marks=pytest.mark.bad_input(148)),
    pytest.param(
        "deep",
        BadAnswer,
        "Prometheus at {where}: not JSON: nested deeper than 100 levels",
        marks=pytest.mark.bad_input(151),
    ),
    ("deep data", BadAnswer, "Prometheus at {where}: not JSON: nested deeper than 100 levels"),
    pytest.param(
        "bad utf-8",
        BadAnswer,
        "Prometheus at {where}: not JSON: not UTF-8 at byte 19",
        marks=pytest.mark.bad_input(153),
    ),
    pytest.param(
        "utf-16", BadAnswer, "Prometheus at {where}: not JSON: not UTF-8 at byte 1", marks=pytest.mark.bad_input(153)
    ),
    ("half json", BadAnswer, "Prometheus at {where}: not JSON: "),
    ("other json", BadQuery, "the query failed and the server does not say why"),
    ("list json", BadAnswer, "Prometheus at {where}: not an answer of the Prometheus API: Expected `object`"),
    pytest.param("gzip bomb", TooLarge, "Prometheus at {where}: over 8 MiB decoded", marks=pytest.mark.bad_input(149)),
    pytest.param("endless", TooLarge, "Prometheus at {where}: over 8 MiB", marks=pytest.mark.bad_input(150)),
]


@pytest.mark.parametrize(("behaviour", "error", "message"), FAILURES)
async def test_failures(
    provider: Prometheus, backend: Any, context: Any, behaviour: str, error: type[ProviderError], message: str
) -> None:
    with pytest.raises(error) as caught:
        await provider.query({"address": backend.url(behaviour), "query": "q"}, context())
    assert type(caught.value) is error
    assert str(caught.value).startswith(message.format(where=backend.origin))
    assert "s3cr3t" not in str(caught.value)  # bodies of refusals are not echoed


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        pytest.param(
            400,
            {"status": "error", "errorType": "bad_data", "error": "1:5: parse error: unclosed left parenthesis"},
            BadQuery,
            "bad_data: 1:5: parse error: unclosed left parenthesis",
            marks=pytest.mark.bad_input(132),
        ),
        pytest.param(
            422,
            {"status": "error", "errorType": "execution", "error": "too many samples" + "x" * 1000},
            BadQuery,
            "execution: too many samples",
            marks=pytest.mark.bad_input(144),
        ),
        pytest.param(
            200,
            {"status": "error", "errorType": "bad_data", "error": "no"},
            BadQuery,
            "bad_data: no",
            marks=pytest.mark.bad_input(157),
        ),
        (400, "<html>proxy</html>", BadAnswer, "not JSON"),
        (400, {"error": 1}, BadQuery, "client_error: client error: 400"),
        (200, {"status": "success"}, BadAnswer, "Prometheus metric type not supported"),
        (200, {"status": "success", "data": None}, BadAnswer, "Prometheus metric type not supported"),
        pytest.param(
            200,
            {"status": "success", "data": {"resultType": "string", "result": [T, "x"]}},
            BadAnswer,
            "Prometheus metric type not supported (string result not supported)",
            marks=pytest.mark.bad_input(155),
        ),
    ],
)
async def test_what_the_api_says(
    provider: Prometheus, backend: Any, context: Any, response: Any, status: int, body: Any, error: Any, message: str
) -> None:
    with pytest.raises(error) as caught:
        await provider.query({"address": backend.url(response(body, status)), "query": "q"}, context())
    assert message in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.bad_input(159)
@pytest.mark.parametrize(
    "value", ["0x10", "1_000", " 1", "1 ", "", "abc", "nan1", "+NaN", "1e", "--1", "9" * 400, "１"]
)
async def test_numbers_that_are_none(
    provider: Prometheus, backend: Any, context: Any, api_answer: Any, value: str
) -> None:
    with pytest.raises(BadAnswer, match="is not a number"):
        await provider.query({"address": backend.url(api_answer(vector(value))), "query": "q"}, context())


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        ([{"metric": {}}], "vector", "a series without a value"),
        ([{"metric": {}, "histogram": [T, {"count": "1"}]}], "vector", "native histograms are not supported"),
        ([{"metric": {}, "values": [], "histograms": [[T, {}]]}], "matrix", "native histograms are not supported"),
        ([T], "scalar", "not an answer of the Prometheus API"),
        ([T, 1], "scalar", "not an answer of the Prometheus API"),
        ({}, "vector", "not an answer of the Prometheus API"),
        ([{"metric": {"a": 1}, "value": [T, "1"]}], "vector", "not an answer of the Prometheus API"),
    ],
)
async def test_shapes_we_do_not_know(
    provider: Prometheus, backend: Any, context: Any, api_answer: Any, result: Any, kind: str, message: str
) -> None:
    with pytest.raises(BadAnswer, match=message):
        await provider.query({"address": backend.url(api_answer(result, kind)), "query": "q"}, context())


@pytest.mark.bad_input(168)
async def test_caps(provider: Prometheus, backend: Any, context: Any, api_answer: Any) -> None:
    url = backend.url(api_answer(vector(*["1"] * 10_001)))
    with pytest.raises(TooLarge, match=r"^10 001 series; limit 10 000; aggregate in the query$"):
        await provider.query({"address": url, "query": "q"}, context())
    url = backend.url(api_answer([{"metric": {}, "values": [[T, "1"]] * 11_001}], "matrix"))
    with pytest.raises(TooLarge, match=r"^11 001 points in one series; limit 11 000; widen the step$"):
        await provider.query({"address": url, "query": "q"}, context())


async def test_what_is_sent(provider: Prometheus, backend: Any, context: Any, api_answer: Any) -> None:
    url = backend.url(api_answer(vector("1")))
    at = NOW + timedelta(milliseconds=250)
    await provider.query({"address": f"{url}/", "query": 'sum(rate(a{b="c&d"}[5m]))'}, context(at=at))
    ranged = {"start": "2024-01-01T00:00:00+00:00", "end": "now()", "step": "1m30s"}
    await provider.query({"address": f"{url}?tenant=a", "query": "q", "rangeQuery": ranged}, context())
    instant, range_query = backend.seen
    assert (instant.method, instant.target) == ("POST", "/0/api/v1/query")
    assert instant.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(instant.body.decode()) == {"query": ['sum(rate(a{b="c&d"}[5m]))'], "time": ["1704070800.25"]}
    assert range_query.target == "/0/api/v1/query_range?tenant=a"
    assert parse_qs(range_query.body.decode()) == {
        "query": ["q"],
        "start": ["1704067200"],
        "end": ["1704070800"],
        "step": ["90"],
    }


@pytest.mark.parametrize("status", [405, 501])
async def test_get_where_post_is_refused(
    provider: Prometheus, backend: Any, context: Any, response: Any, api_answer: Any, status: int
) -> None:
    async def only_get(seen: Any, writer: Any) -> None:
        writer.write(api_answer(vector("1")) if seen.method == "GET" else response("no", status))

    spec = {"address": backend.url(only_get), "query": "a + b", "headers": [{"key": "X-Scope-OrgID", "value": "t"}]}
    assert (await provider.query(spec, context())).text == "[1]"
    assert [seen.method for seen in backend.seen] == ["POST", "GET"]
    assert backend.seen[1].target == "/0/api/v1/query?query=a+%2B+b&time=1704070800"
    assert backend.seen[1].headers["X-Scope-OrgID"] == "t"


@pytest.mark.bad_input(133)
@pytest.mark.parametrize(
    ("ranged", "message"),
    [
        ({"start": "junk", "end": "now()", "step": "1m"}, "failed to parse rangeQuery.start as time: "),
        ({"start": "now()", "end": "junk", "step": "1m"}, "failed to parse rangeQuery.end as time: "),
        (
            {"start": "now()", "end": "now()", "step": "??"},
            'failed to parse rangeQuery.step as duration: time: invalid duration "??"',
        ),
        ({"start": "now()", "end": "now()", "step": "5"}, "time: missing unit in duration"),
        ({"start": "now()", "end": "now()", "step": "0s"}, "rangeQuery.step must be longer than 0, not 0s"),
        ({"start": "now()", "end": "2023-01-01T00:00:00+00:00", "step": "1m"}, "is before start"),
        (
            {"start": "2000-01-01T00:00:00+00:00", "end": "now()", "step": "1s"},
            "757 386 001 points in each series; limit 11 000; widen the step",
        ),
    ],
)
async def test_ranges_refused_before_sending(
    provider: Prometheus, backend: Any, context: Any, ranged: Any, message: str
) -> None:
    with pytest.raises(BadQuery) as caught:
        await provider.query({"address": backend.url("ok"), "query": "q", "rangeQuery": ranged}, context())
    assert message in str(caught.value)
    assert backend.seen == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"query": "q"}, ""),
        ({"query": "q", "address": "http://prom:9090", "timeout": 0}, ""),
        ({"query": "q", "timeout": -20}, "prometheus timeout should not be negative"),
        ({"query": "q", "timeout": "soon"}, "prometheus: Expected `int | null`, got `str` - at `$.timeout`"),
        ({"query": 5}, "prometheus: Expected `str`, got `int` - at `$.query`"),
        ({"address": "prometheus:9090"}, "prometheus address is not is url format: address needs http:// or https://"),
        ({"address": ":invalid::url"}, "prometheus address is not is url format: address needs http:// or https://"),
        ({"address": "http://u:pw@prom"}, "credentials in URL; use authentication"),
        (
            {"authentication": {"basicAuth": {"username": "u"}}},
            "missing mandatory parameter in metric for basic auth setup: password",
        ),
        (
            {"authentication": {"basicAuth": {"password": "p"}}},
            "missing mandatory parameter in metric for basic auth setup: username",
        ),
        (
            {"authentication": {"oauth2": {"tokenUrl": "http://t", "clientId": "i"}}},
            "missing mandatory parameter in metric for OAuth2 setup",
        ),
        (
            {"authentication": {"oauth2": {"tokenUrl": "t", "clientId": "i", "clientSecret": "s"}}},
            "authentication.oauth2.tokenUrl needs http:// or https://",
        ),
        ({"headers": [{"key": "Host", "value": "x"}]}, "header 'Host' is set by the connection"),
        ({"headers": [{"key": "A", "value": "x\r\ny"}]}, "line breaks and control characters"),
        ({"rangeQuery": {"step": "??"}}, "failed to parse rangeQuery.step as duration"),
    ],
)
def test_check(provider: Prometheus, spec: Any, problem: str) -> None:
    found = provider.check(spec)
    assert len(found) == (1 if problem else 0)
    assert problem in "".join(found)


@pytest.mark.parametrize(
    ("spec", "env", "error", "message"),
    [
        pytest.param(
            {"query": "q"}, {}, BadQuery, "prometheus address is not configured", marks=pytest.mark.bad_input(108)
        ),
        ({"query": "q"}, {"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": ""}, BadQuery, "prometheus address is not configured"),
        ({"query": "q"}, {"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": ":x"}, BadQuery, "prometheus address is not is url"),
        pytest.param(
            {"address": "http://169.254.169.254/"},
            {},
            NotAllowed,
            "the destination '169.254.169.254' is not allowed",
            marks=pytest.mark.bad_input(109),
        ),
    ],
)
async def test_addresses(provider: Prometheus, context: Any, spec: Any, env: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        await provider.query(spec, context(env=env))


async def test_address_from_the_environment(provider: Prometheus, backend: Any, context: Any) -> None:
    env = {"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": backend.url("ok")}
    assert (await provider.query({"query": "q"}, context(env=env))).text == "[1]"


async def test_the_shorter_time_counts(provider: Prometheus, backend: Any, context: Any) -> None:
    with pytest.raises(ProviderError, match=r"no answer in 0\.[12]"):
        await provider.query({"address": backend.url("silence"), "timeout": 60}, context(0.2))
    with pytest.raises(ProviderError, match="no answer in 0s"):  # as Argo: an explicit 0 is no time at all
        await provider.query({"address": backend.url("ok"), "timeout": 0}, context(5))
    assert provider.timeout_seconds({}) == 30


def test_credentials_tell_equal_questions_apart(provider: Prometheus, context: Any) -> None:
    def of(**spec: Any) -> str:
        return provider.credentials(spec, context(env=spec.pop("env", {})))

    basic = {"basicAuth": {"username": "u", "password": "hunter22"}}
    seen = [
        of(),
        of(authentication=basic),
        of(authentication={"basicAuth": {"username": "u", "password": "hunter23"}}),
        of(headers=[{"key": "X-Scope-OrgID", "value": "a"}]),
        of(headers=[{"key": "X-Scope-OrgID", "value": "b"}]),
        of(env={"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": "http://a"}),
        of(env={"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": "http://b"}),
    ]
    assert len(set(seen)) == len(seen)
    assert of(authentication=basic) == seen[1]
    assert "hunter" not in "".join(seen)


async def test_secrets_in_what_the_server_says(
    provider: Prometheus, backend: Any, context: Any, response: Callable[..., bytes], api_answer: Any
) -> None:
    """A server that repeats our credentials, in every form: none gets out."""
    forms = "hunter22 us%2Ber aHVudGVyMjI= dXMrZXI6aHVudGVyMjI= tok3n-abc s/ecret-key s%2Fecret-key"
    spec = {
        "authentication": {"basicAuth": {"username": "us+er", "password": "hunter22"}},
        "headers": [{"key": "X-Token", "value": "tok3n-abc"}, {"key": "X-Api-Key", "value": "s/ecret-key"}],
    }
    said = response({"status": "error", "errorType": "bad_data", "error": forms}, 400)
    with pytest.raises(BadQuery) as caught:
        await provider.query(spec | {"address": backend.url(said)}, context())
    with pytest.raises(BadAnswer) as malformed:
        await provider.query(spec | {"address": backend.url(api_answer(vector("tok3n-abc")))}, context())
    assert "tok3n" not in str(malformed.value)
    answer: Answer = await provider.query(
        spec | {"address": backend.url(api_answer(vector("1"), warnings=[forms]))}, context()
    )
    for text in (str(caught.value), answer.metadata["warnings"]):
        for secret in ("hunter22", "aHVudGVyMjI", "dXMrZXI6aHVudGVyMjI", "tok3n", "ecret-key"):
            assert secret not in text
        assert text.count("[redacted]") == 6
