"""`render` shows what would be asked and asks nothing; `query` asks once and explains."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Metrics = Mapping[str, Callable[..., dict[str, Any]]]
SECRET = "s3cr3t-p4ss/word"
ARGS = [{"name": "service"}, {"name": "token", "valueFrom": {"secretKeyRef": {"name": "tok", "key": "t"}}}]


def metric(provider: dict[str, Any], name: str = "m", condition: str = "result[0] < 1") -> dict[str, Any]:
    return {"name": name, "successCondition": condition, "provider": provider}


PROVIDERS = {
    "prometheus": metric({"prometheus": {"address": "{url}", "query": 'rate(x{s="{{args.service}}"}[2m])\n/ y'}}),
    "range": metric(
        {
            "prometheus": {
                "address": "{url}/base",
                "query": "x",
                "rangeQuery": {"start": 'now() - duration("1h")', "end": "now()", "step": "1m"},
                "authentication": {"basicAuth": {"username": "u", "password": "{{args.token}}"}},
            }
        }
    ),
    "web": metric(
        {
            "web": {
                "url": "{url}/api?service={{args.service}}",
                "method": "POST",
                "jsonBody": {"key": "{{args.token}}", "service": "{{args.service}}"},
                "headers": [{"key": "X-Trace", "value": "{{args.token}}"}],
                "jsonPath": "{$.data}",
            }
        }
    ),
    "oauth2": metric(
        {
            "web": {
                "url": "{url}/api",
                "authentication": {
                    "oauth2": {"tokenUrl": "{url}/token", "clientId": "me", "clientSecret": "{{args.token}}"}
                },
            }
        }
    ),
    "datadog": metric(
        {"datadog": {"apiVersion": "v2", "interval": "5m", "formula": "a / b", "queries": {"a": "sum:x{*}", "b": "y"}}}
    ),
    "datadog1": metric({"datadog": {"interval": "5m", "query": "avg:x{service:{{args.service}}}"}}),
    "newRelic": metric({"newRelic": {"query": "SELECT count(*) FROM T WHERE s = '{{args.service}}'"}}),
    "scrape": metric({"scrape": {"targets": ["{url}/metrics/a", "{url}/metrics/b"], "query": "temp{a='b'}"}}),
    "compare": metric(
        {
            "compare": {
                "arms": {"canary": {"hash": "abc"}, "stable": {"hash": "def"}},
                "gauge": {"prometheus": {"address": "{url}", "query": 'lag{hash="{{arm.hash}}"}'}},
                "margin": {"relative": 0.5},
                "maxDuration": "20m",
            }
        }
    )
    | {"successCondition": "", "interval": "30s"},
}


@pytest.fixture
def rendered(
    inside: Callable[..., Any], template: Callable[..., Path], backend: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Renders one metric with a secret in reach, and sees that nobody was asked."""

    def run(name: str, *options: str) -> Any:
        monkeypatch.setenv("TIDEGATE_SECRET_TOK__T", SECRET)
        before = sum(backend.asked.values())
        path = template(PROVIDERS[name], args=ARGS)
        done = inside("render", path, "--arg", "service=pay", *options)
        assert sum(backend.asked.values()) == before
        assert SECRET not in done.out + done.err
        assert "s3cr3t" not in done.out + done.err
        return done

    return run


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("prometheus", ["POST {url}/api/v1/query", 'rate(x{s="pay"}[2m])', "/ y", "success if"]),
        ("range", ["POST {url}/base/api/v1/query_range", "step", "60", "Authorization:", "*****"]),
        ("web", ["POST {url}/api", "service", "pay", '"key": "*****"', "X-Trace:", "jsonPath", "{$.data}"]),
        ("oauth2", ["GET {url}/api", "Authorization:", "*****"]),
        (
            "datadog",
            ["POST https://api.datadoghq.com/api/v2/query/scalar", '"formula": "a / b"', '"from": ', "sum:x{*}"],
        ),
        ("datadog1", ["GET https://api.datadoghq.com/api/v1/query", "from", "to", "avg:x{service:pay}"]),
        ("newRelic", ["POST https://api.newrelic.com/graphql", "SELECT count(*) FROM T WHERE s = 'pay'", "*****"]),
        ("scrape", ["GET {url}/metrics/a", "GET {url}/metrics/b", "select", "temp{a='b'}"]),
        (
            "compare",
            ["canary level (prometheus)", 'lag{hash="abc"}', "stable level (prometheus)", 'lag{hash="def"}',
             "sequential-t, a look every 30s for 20m0s (40 at most), then Inconclusive",
             "shown to be beyond x1.5 of stable; a harmless version with a chance of 5%",
             "shown to be within x1.5 of stable; one that is at the limit with a chance of 5%; "
             "not in the first 300 s (minBake)"],
        ),
    ],
)  # fmt: skip
def test_render(name: str, shown: list[str], rendered: Callable[..., Any], backend: Any) -> None:
    done = rendered(name)
    assert done.code == 0, done
    for text in shown:
        assert text.replace("{url}", backend.url) in done.out


def test_render_json(rendered: Callable[..., Any], backend: Any) -> None:
    (one,) = json.loads(rendered("prometheus", "-o", "json").out)
    (question,) = one["questions"]
    (request,) = question["requests"]
    assert (one["metric"], question["provider"], request["method"]) == ("m", "prometheus", "POST")
    assert request["url"] == f"{backend.url}/api/v1/query"
    assert request["form"]["query"] == 'rate(x{s="pay"}[2m])\n/ y'


def test_render_without_the_secrets(rendered: Callable[..., Any]) -> None:
    """Nobody needs production's keys to see what would be asked."""
    done = rendered("newRelic")
    assert "secret 'newrelic' is not here" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "args.service: required by template 'checkout', not supplied\nGive arguments with --arg"),
        (("--arg", "service=x", "--arg", "srvice=y"), 2, "Did you mean 'service'?"),
        (("--arg", "service=x", "--metric", "mm"), 2, "did you mean 'm'?"),
    ],
)
def test_render_refuses(
    arguments: tuple[str, ...], code: int, said: str, inside: Callable[..., Any], template: Callable[..., Path]
) -> None:
    done = inside("render", template(PROVIDERS["prometheus"], args=ARGS), *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_render_needs_an_address(inside: Callable[..., Any], template: Callable[..., Path]) -> None:
    path = template(metric({"prometheus": {"query": "up"}}))
    done = inside("render", path)
    assert (done.code, "prometheus address is not configured" in done.out) == (2, True)
    assert (
        "http://prom.example:9090/api/v1/query"
        in inside("render", path, "--prometheus", "http://prom.example:9090").out
    )


def test_render_composes(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    """A template that refers to another one, in another file; without that file it is refused."""
    inner = template(metrics["web"]("json/1", name="inner"), name="inner")
    outer = template(metrics["web"]("json/2", name="outer"), name="outer", templates=[{"templateName": "inner"}])
    done = inside("render", outer, inner)
    assert done.code == 0, done
    assert [line.split()[0] for line in done.out.splitlines() if line and line[0] != " "] == ["outer", "inner"]
    missing = inside("render", outer)
    assert (missing.code, "Give the files of referenced templates too" in missing.err) == (2, True)


# -- query ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "more", "code", "shown"),
    [
        ("prometheus", "up", {}, 10, ["value", "[0.08]", "false  result[0] < 0.05  0.08 < 0.05 is false", "✖ Failed"]),
        ("prometheus", "nothing", {}, 12, ["value", "[]", "⚠ Error"]),
        ("web", "json/0.01", {}, 0, ["true  result < 0.05  0.01 < 0.05 is true", "✔ Successful"]),
        ("web", "json/0.08", {"failureCondition": "result > 0.5"}, 11, ["failureCondition", "? Inconclusive"]),
        ("web", "status/404", {}, 20, ["answer 404", "⚠ Error: "]),
        ("web", "json/0.08", {"successCondition": "result < 0.05 || result > 0.07"}, 0,
         ["false  result < 0.05", "true   result > 0.07"]),
        ("web", "text/76310a", {"successCondition": 'result == "v1"'}, 10, ["value", "v1\\n"]),
    ],
)  # fmt: skip
def test_query(
    kind: str, path: str, more: dict[str, Any], code: int, shown: list[str],
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics,
) -> None:  # fmt: skip
    done = inside("query", template({**metrics[kind](path), **more}))
    assert done.code == code, done
    for text in shown:
        assert text in done.out


def test_query_json(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, backend: Any) -> None:
    path = template(metrics["prometheus"]("up", name="a"), metrics["web"]("json/0.01", name="b"))
    before = backend.asked["/api/v1/query"]
    done = inside("query", path, "-m", "a", "-o", "json")
    (one,) = json.loads(done.out)
    assert (one["metric"], one["value"], one["phase"], one["cause"]) == ("a", "[0.08]", "Failed", "ConditionFailed")
    assert one["series"] == [{"labels": {"pod": "a"}, "value": "0.08"}]
    assert json.loads(one["responses"][0]["body"])["status"] == "success"
    assert one["conditions"][0]["parts"] == [
        {"text": "result[0] < 0.05", "value": False, "detail": "0.08 < 0.05 is false"}
    ]
    assert backend.asked["/api/v1/query"] == before + 1  # once, for real


def test_query_hides_secrets(
    inside: Callable[..., Any], template: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that comes back in the answer."""
    monkeypatch.setenv("TIDEGATE_SECRET_TOK__T", "73656372657421")
    echo = metric(
        {"web": {"url": "{url}/text/{{args.token}}", "headers": [{"key": "X-Trace", "value": "{{args.token}}"}]}},
        condition='result == "secret!"',
    )
    path = template(echo, args=ARGS[1:])
    for output in ("text", "json"):
        done = inside("query", path, "-o", output)
        assert done.code == 0, done
        assert "73656372657421" not in done.out + done.err
    monkeypatch.delenv("TIDEGATE_SECRET_TOK__T")
    missing = inside("query", path)
    assert (missing.code, 'secrets "tok" not found' in missing.err) == (2, True)


def test_query_of_a_comparison(inside: Callable[..., Any], template: Callable[..., Path]) -> None:
    """Each arm's question once; a verdict takes many looks."""
    done = inside("query", template(PROVIDERS["compare"], args=ARGS[:1]), "--arg", "service=x")
    assert done.code == 0, done
    assert "m, canary level" in done.out
    assert "m, stable level" in done.out
    assert done.out.count("[0.08]") == 2
    assert done.out.count("a comparison is judged over many looks") == 2


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        # the selector of one arm matches nothing
        ({"gauge": {"prometheus": {"address": "{url}", "query": "{{arm.v}}"}}}, 12, "its query returned nothing"),
        # and this is no histogram
        (
            {"histogram": {"prometheus": {"address": "{url}", "query": 'b{v="{{arm.w}}"}'}}},
            12,
            "its series are no buckets",
        ),
        ({"gauge": {"web": {"url": "{url}/json/NaN?{{arm.w}}"}}}, 20, "NaN"),
    ],
)
def test_query_of_a_comparison_without_data(
    data: dict[str, Any], code: int, said: str, inside: Callable[..., Any], template: Callable[..., Path]
) -> None:
    """As the run would end: whoever tries a template out must see which arm finds nothing."""
    compare = {
        "arms": {"canary": {"v": "nothing", "w": "c"}, "stable": {"v": "up", "w": "s"}},
        **data,
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
    }
    done = inside("query", template(metric({"compare": compare}) | {"successCondition": "", "interval": "30s"}))
    assert (done.code, said in done.out) == (code, True), done


def test_query_takes_two_readings_of_growth(inside: Callable[..., Any], template: Callable[..., Path]) -> None:
    path = template(metric({"scrape": {"targets": ["{url}/metrics/growth"], "query": "seen_total"}}, condition=
                           "result[0] == 10"))  # fmt: skip
    alone = inside("query", path)
    assert (alone.code, "with --wait" in alone.out) == (12, True)
    twice = inside("query", path, "--wait", "50ms")
    assert twice.code == 0, twice
