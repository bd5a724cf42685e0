"""Templates as people write them, read into values; and as they write them by mistake."""

from typing import Any

import jsonschema
import pytest
import yaml

from analysis_service.core.model import (
    Argument,
    Metric,
    OutagePolicy,
    SecretKeyRef,
    TemplateRef,
    TtlStrategy,
    ValueFrom,
)
from analysis_service.core.problem import Problem
from analysis_service.core.schema import json_schema
from analysis_service.core.template import RunDocument, read, read_value
from analysis_service.core.wire_providers import PROVIDERS

FULL = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: checkout
  namespace: shop
  labels: {team: a}
  annotations: {argo.example/x: "1"}
  creationTimestamp: "2026-01-01T00:00:00Z"
  managedFields: [{manager: kubectl}]
spec:
  args:
  - name: service
    value: ""
  - name: hash
  - name: token
    valueFrom: {secretKeyRef: {name: s, key: k}}
  dryRun: [{metricName: slow.*}]
  measurementRetention: [{metricName: .*, limit: 20}]
  templates: [{templateName: base, clusterScope: true}]
  score: {groupWeights: {a: 60, b: 40}, scoreThresholds: {pass: 95, marginal: 75}}
  metrics:
  - name: errors
    interval: 30s
    initialDelay: 1m
    count: "{{args.n}}"
    successCondition: result[0] < 0.05
    failureCondition: result[0] >= 0.05
    failureLimit: 1
    inconclusiveLimit: 2
    consecutiveErrorLimit: 3
    consecutiveSuccessLimit: 4
    onNoData: inconclusive
    onNaN: fail
    minSamples: 5
    outagePolicy: {mode: wait, max: 10m}
    weight: 2
    critical: true
    provider:
      prometheus:
        address: http://prometheus:9090
        query: up
        timeout: 5
        insecure: false
        headers: [{key: X-Scope-OrgID, value: "1"}]
        authentication: {basicAuth: {username: u, password: p}}
"""


def test_every_field_is_read() -> None:
    parsed = read(FULL)
    assert parsed.problems == ()
    template = parsed.template
    assert (template.name, template.namespace, template.cluster_scope) == ("checkout", "shop", False)
    assert template.labels == {"team": "a"}
    assert template.args == (
        Argument("service", ""),  # "" is a value
        Argument("hash"),
        Argument("token", value_from=ValueFrom(SecretKeyRef("s", "k"))),
    )
    assert template.templates == (TemplateRef("base", cluster_scope=True),)
    assert template.dry_run[0].metric_name == "slow.*"
    assert (template.measurement_retention[0].metric_name, template.measurement_retention[0].limit) == (".*", 20)
    assert template.score == {"groupWeights": {"a": 60, "b": 40}, "scoreThresholds": {"pass": 95, "marginal": 75}}
    assert template.metrics == (
        Metric(
            name="errors",
            interval="30s",
            initial_delay="1m",
            count="{{args.n}}",
            success_condition="result[0] < 0.05",
            failure_condition="result[0] >= 0.05",
            failure_limit=1,
            inconclusive_limit=2,
            consecutive_error_limit=3,
            consecutive_success_limit=4,
            on_no_data="inconclusive",
            on_na_n="fail",
            min_samples=5,
            outage_policy=OutagePolicy("wait", "10m"),
            weight=2.0,
            critical=True,
            provider={
                "prometheus": {
                    "address": "http://prometheus:9090",
                    "query": "up",
                    "timeout": 5,
                    "insecure": False,
                    "headers": [{"key": "X-Scope-OrgID", "value": "1"}],
                    "authentication": {"basicAuth": {"username": "u", "password": "p"}},
                }
            },
        ),
    )


def test_a_run_is_read() -> None:
    parsed = read(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: {generateName: a-}\n"
        "spec:\n  terminate: true\n  ttlStrategy: {secondsAfterCompletion: 5}\n"
        "  metrics: [{name: m, provider: {web: {url: http://x}}}]\nstatus: {phase: Running}\n"
    )
    assert parsed.problems == ()
    assert isinstance(parsed.content, RunDocument)
    assert parsed.content.generate_name == "a-"
    assert parsed.content.spec.terminate
    assert parsed.content.spec.ttl_strategy == TtlStrategy(seconds_after_completion=5)
    assert [metric.name for metric in parsed.template.metrics] == ["m"]


def test_a_cluster_template_has_no_namespace() -> None:
    parsed = read(FULL.replace("kind: AnalysisTemplate", "kind: ClusterAnalysisTemplate"))
    assert parsed.problems == ()
    assert (parsed.template.namespace, parsed.template.cluster_scope) == ("", True)


def test_values_are_read_like_text() -> None:
    assert read_value(yaml.safe_load(FULL)).template == read(FULL).template


PROVIDER_SPECS: dict[str, dict[str, Any]] = {
    "prometheus": {"query": "up", "rangeQuery": {"start": 'now() - duration("1h")', "end": "now()", "step": "1m"}},
    "datadog": {
        "apiVersion": "v2",
        "queries": {"a": "q1", "b": "q2"},
        "formula": "a / b",
        "aggregator": "avg",
        "interval": "5m",
        "secretRef": {"name": "d", "namespaced": True},
        "requestTimeout": "5s",
    },
    "newRelic": {"profile": "p", "query": "SELECT 1", "timeout": 5},
    "wavefront": {"address": "a", "query": "q"},
    "graphite": {"address": "http://a", "query": "target=x"},
    "influxdb": {"profile": "p", "query": "q"},
    "skywalking": {"address": "http://a", "query": "q", "interval": "1m"},
    "cloudWatch": {
        "interval": "5m",
        "metricDataQueries": [
            {
                "id": "a",
                "period": "60",
                "metricStat": {
                    "period": 60,
                    "stat": "p99",
                    "unit": "Count",
                    "metric": {"namespace": "ns", "metricName": "m", "dimensions": [{"name": "d", "value": "v"}]},
                },
                "returnData": True,
                "label": "l",
            }
        ],
    },
    "web": {
        "url": "http://x",
        "method": "POST",
        "jsonBody": {"a": [1, None]},
        "jsonPath": "{$.a}",
        "timeoutSeconds": 5,
    },
    "kayenta": {
        "address": "http://k",
        "application": "a",
        "canaryConfigName": "c",
        "metricsAccountName": "m",
        "configurationAccountName": "c",
        "storageAccountName": "s",
        "threshold": {"pass": 90, "marginal": 70},
        "scopes": [
            {
                "name": "d",
                "controlScope": {"scope": "s", "region": "r", "step": 60},
                "experimentScope": {"scope": "s", "region": "r", "step": 60, "start": "t"},
            }
        ],
    },
    "job": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {"spec": {"containers": []}}}},
    "scrape": {
        "targets": ["http://127.0.0.1:8001/metrics"],
        "query": 'http_requests_total{code=~"5.."}',
        "aggregate": "sum",
        "as": "delta",
        "timeoutSeconds": 2,
    },
    "compare": {
        "arms": {"canary": {"hash": "a"}, "stable": {"hash": "b"}},
        "counts": {
            "events": {"prometheus": {"query": "e"}},
            "totals": {"plugin": {"scrape": {"targets": ["http://x"], "query": "t"}}},
        },
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
        "alpha": "{{args.alpha}}",
        "test": "sequential-rate-ratio",
        "failAt": "margin",
    },
}


def with_provider(provider: Any) -> dict[str, Any]:
    metric = {"name": "m", "interval": "1m", "successCondition": "true", "provider": provider}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "t"},
        "spec": {"metrics": [metric]},
    }


@pytest.mark.parametrize("name", sorted(PROVIDERS))
@pytest.mark.parametrize("plugin", [False, True])
def test_every_provider_under_its_own_name_and_as_a_plugin(name: str, plugin: bool) -> None:
    spec = PROVIDER_SPECS[name]
    document = with_provider({"plugin": {name: spec}} if plugin else {name: spec})
    parsed = read(yaml.safe_dump(document))
    assert parsed.problems == ()
    assert parsed.template.metrics[0].provider == document["spec"]["metrics"][0]["provider"]
    assert not list(jsonschema.Draft7Validator(json_schema()).iter_errors(document))


@pytest.mark.parametrize(
    ("provider", "code", "path", "message", "hint"),
    [
        pytest.param(
            {"promethues": {}},
            "UnknownProvider",
            ".promethues",
            "unknown provider 'promethues'",
            "Did you mean 'prometheus'?",
            marks=pytest.mark.bad_input(29),
        ),
        pytest.param({}, "NoProvider", "", "exactly one provider is required", "", marks=pytest.mark.bad_input(27)),
        ({"plugin": {}}, "NoProvider", "", "exactly one provider is required", ""),
        pytest.param(
            {"prometheus": {}, "web": {"url": "x"}},
            "MultipleProviders",
            "",
            "prometheus and web both set",
            "",
            marks=pytest.mark.bad_input(28),
        ),
        ({"plugin": {"a": {}, "b": {}}}, "MultipleProviders", "", "plugin.a and plugin.b both set", ""),
        ("prometheus", "WrongType", "", "want map with one provider, got string", ""),
        ({"prometheus": {"adress": "x"}}, "UnknownField", ".prometheus.adress", "unknown field", "'address'"),
        ({"plugin": {"prometheus": {"adress": "x"}}}, "UnknownField", ".plugin.prometheus.adress", "", "'address'"),
        pytest.param(
            {"prometheus": {"query": 5}},
            "WrongType",
            ".prometheus.query",
            "want string, got integer",
            'Quote it: "5".',
            marks=pytest.mark.bad_input(18),
        ),
        ({"prometheus": {"timeout": "5s"}}, "WrongType", ".prometheus.timeout", "want integer, got string", ""),
        ({"web": {}}, "Required", ".web.url", "required", ""),
        pytest.param(
            {"web": {"url": "x", "method": "DELETE"}},
            "UnknownValue",
            ".web.method",
            "not one of GET, POST, PUT",
            "",
            marks=pytest.mark.bad_input(123),
        ),
        pytest.param(
            {"datadog": {"apiVersion": "v3"}},
            "UnknownValue",
            ".datadog.apiVersion",
            "'v3' is not one of v1, v2",
            "",
            marks=pytest.mark.bad_input(130),
        ),
        pytest.param(
            {"datadog": {"aggregator": "median2"}},
            "UnknownValue",
            ".datadog.aggregator",
            "not one of avg",
            "'mean'",
            marks=pytest.mark.bad_input(130),
        ),
        pytest.param(
            {"plugin": {"../../bin/sh": {}}},
            "BadName",
            ".plugin['../../bin/sh']",
            "no plugin name",
            "",
            marks=pytest.mark.bad_input(134),
        ),
        ({"plugin": "../../bin/sh"}, "WrongType", ".plugin", "want map", ""),
        (
            {"compare": {"arms": {"canary": {}}, "gauge": {"job": {"spec": {}}}}},
            "WrongProvider",
            ".compare.gauge.job",
            "job gives no data",
            "",
        ),
        (
            {"compare": {"arms": {"canary": {}}}},
            "ExactlyOne",
            ".compare",
            "exactly one of counts, histogram, gauge",
            "",
        ),
        (
            {"compare": {"arms": {"canary": {}}, "gauge": {"web": {"url": "x"}}, "margin": {}}},
            "ExactlyOne",
            ".compare.margin",
            "exactly one of relative, absolute is required; none is set",
            "",
        ),
        (
            {"compare": {"arms": {"canary": {}}, "gauge": {"web": {"url": "x"}}, "test": "t-test"}},
            "UnknownValue",
            ".compare.test",
            "'t-test' is not one of",
            "",
        ),
        (
            {"compare": {"arms": {"canary": {}}, "gauge": {"web": {"url": "x"}}, "alpha": "five"}},
            "WrongType",
            ".compare.alpha",
            "want number",
            "",
        ),
    ],
)
def test_provider_mistakes(provider: Any, code: str, path: str, message: str, hint: str) -> None:
    found = [p for p in read(yaml.safe_dump(with_provider(provider))).problems if p.code == code]
    assert [p.path for p in found] == ["spec.metrics[0].provider" + path]
    assert message in found[0].message
    assert hint in found[0].hint


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        # a count may be a number or text, nothing else
        pytest.param(
            "count",
            2.5,
            Problem("WrongType", "spec.metrics[0].count", "want integer, got number"),
            marks=pytest.mark.bad_input(32),
        ),
        ("count", [1], Problem("WrongType", "spec.metrics[0].count", "want integer or string, got list")),
        ("count", True, Problem("WrongType", "spec.metrics[0].count", "want integer, got boolean")),
        pytest.param(
            "count",
            10**12,
            Problem("OutOfRange", "spec.metrics[0].count", "want integer of 32 bits, got 1000000000000"),
            marks=pytest.mark.bad_input(32),
        ),
        ("minSamples", -1, Problem("OutOfRange", "spec.metrics[0].minSamples", "want integer >= 0, got -1")),
        (
            "critical",
            "yes",
            Problem("WrongType", "spec.metrics[0].critical", "want boolean, got string", hint="Write true or false."),
        ),
        (
            "onNoData",
            "ignore",
            Problem(
                "UnknownValue",
                "spec.metrics[0].onNoData",
                "'ignore' is not one of fail, error, inconclusive, pass",
            ),
        ),
    ],
)
def test_metric_field_mistakes(field: str, value: Any, expected: Problem) -> None:
    document = with_provider(PROVIDER_SPECS["web"])
    document["spec"]["metrics"][0]["provider"] = {"web": PROVIDER_SPECS["web"]}
    document["spec"]["metrics"][0][field] = value
    assert read_value(document).problems == (expected,)


@pytest.mark.parametrize("text", ["12:30", "y", "N"])
def test_doubtful_text_is_taken_with_a_warning(text: str) -> None:
    parsed = read(FULL.replace('value: ""', f"value: {text}"))
    assert parsed.template.args[0].value == text
    assert [(p.code, p.severity) for p in parsed.problems] == [("AmbiguousScalar", "warning")]


def test_null_is_absent() -> None:
    parsed = read(FULL.replace("interval: 30s", "interval:").replace('value: ""', "value: null"))
    assert parsed.problems == ()
    assert parsed.template.metrics[0].interval == ""
    assert parsed.template.args[0].value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("insecure: yes", True), ("insecure: off", False), ("insecure: true", True)],
)
def test_old_booleans_are_taken_with_a_warning(text: str, value: bool) -> None:
    parsed = read(FULL.replace("insecure: false", text))
    assert parsed.template.metrics[0].provider["prometheus"]["insecure"] is value
    assert [(p.code, p.severity) for p in parsed.problems] == (
        [] if "true" in text else [("AmbiguousScalar", "warning")]
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())
    validator = jsonschema.Draft7Validator(json_schema())
    assert not list(validator.iter_errors(yaml.safe_load(FULL)))
    assert list(validator.iter_errors(yaml.safe_load(FULL.replace("successCondition", "sucessCondition"))))
