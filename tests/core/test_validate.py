"""Structure of templates: Argo's first error word for word, and everything at once in our words."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.lint import load
from analysis_service.core.model import DryRunRule, Metric, RetentionRule, Template
from analysis_service.core.problem import DocumentError, Problem
from analysis_service.core.problems import problems
from analysis_service.core.validate import argo_error, provider_count

WEB = {"web": {"url": "http://example.test/"}}
GOOD: dict[str, Any] = {"name": "m", "provider": WEB, "successCondition": "result == 1"}


def metric(**fields: Any) -> Metric:
    return msgspec.convert({**GOOD, **fields}, Metric)


def template(*metrics: Metric, **fields: Any) -> Template:
    return Template(name="t", metrics=metrics, **fields)


def found(subject: Template, code: str, **options: bool) -> list[Problem]:
    return [problem for problem in problems(subject, **options) if problem.code == code]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"consecutiveSuccessLimit": -1}, "consecutiveSuccessLimit must be >= 0"),
        ({"failureLimit": -2}, "failureLimit must be >= 0, or -1 to be disabled"),
        ({"failureLimit": -1}, "failureLimit and consecutiveSuccessLimit cannot both be disabled"),
        ({"inconclusiveLimit": -1}, "inconclusiveLimit must be >= 0"),
        ({"consecutiveErrorLimit": -1}, "consecutiveErrorLimit must be >= 0"),
        (
            {"count": 1, "failureLimit": 2},
            "count (1) must be >= failureLimit + consecutiveSuccessLimit (2 + 0) if both >= 0",
        ),
        ({"count": 1, "failureLimit": -1, "consecutiveSuccessLimit": 2}, "count must be >= consecutiveSuccessLimit"),
        ({"count": 1, "inconclusiveLimit": 2}, "count must be >= inconclusiveLimit"),
        ({"count": 2}, "interval must be specified when count > 1"),
        ({"count": "2"}, "interval must be specified when count > 1"),  # text is read as a number
        ({"interval": "1d"}, 'invalid interval string: time: unknown unit "d" in duration "1d"'),
        ({"initialDelay": "5"}, 'invalid startDelay string: time: missing unit in duration "5"'),
        ({"provider": {}}, "no provider specified"),
        ({"provider": {"plugin": {}}}, "no provider specified"),
        ({"provider": {"plugin": {"a": {}, "b": {}}}}, "multiple providers specified"),
        ({"provider": {**WEB, "job": {}}}, "multiple providers specified"),
        # the order of the checks decides what is said
        ({"failureLimit": -2, "interval": "x"}, "failureLimit must be >= 0, or -1 to be disabled"),
    ],
)
def test_argo_refuses(fields: dict[str, Any], message: str) -> None:
    assert argo_error([metric()]) is None
    assert argo_error([metric(name="first"), metric(**fields)]) == f"metrics[1]: {message}"


@pytest.mark.parametrize(
    "fields",
    [
        {"count": -1},  # reached at once
        {"count": 0, "failureLimit": 5},
        {"count": "ten", "failureLimit": 5},  # text that is no number is 0
        {"count": 3, "interval": "1m", "failureLimit": 3},  # cannot fail, and is legal
        {"interval": "0s"},
    ],
)
def test_argo_accepts(fields: dict[str, Any]) -> None:
    assert argo_error([metric(**fields)]) is None


def test_argo_on_the_list() -> None:
    assert argo_error([]) == "no metrics specified"
    assert argo_error([metric(), metric(failureLimit=-2)]) == "metrics[1]: duplicate name 'm'"
    assert provider_count({"web": {}, "plugin": {"a": {}, "b": {}}}) == 3


@pytest.mark.parametrize(
    ("fields", "code", "field", "message", "lenient"),
    [
        pytest.param(
            {"name": ""},
            "BadName",
            "name",
            "want 1 to 253 printable characters",
            "error",
            marks=pytest.mark.bad_input(26),
        ),
        pytest.param(
            {"name": "x" * 300}, "BadName", "name", "is no metric name", "error", marks=pytest.mark.bad_input(26)
        ),
        pytest.param(
            {"name": "a\nb"}, "BadName", "name", "'a\\nb' is no metric name", "error", marks=pytest.mark.bad_input(26)
        ),
        pytest.param(
            {"count": 5},
            "IntervalRequired",
            "interval",
            "interval is required when count > 1",
            "error",
            marks=pytest.mark.bad_input(30),
        ),
        # Argo takes these counts, as something else than is written
        pytest.param(
            {"count": 0},
            "BadCount",
            "count",
            "want integer 1..10 000, got 0",
            "warning",
            marks=pytest.mark.bad_input(32),
        ),
        pytest.param(
            {"count": -1},
            "BadCount",
            "count",
            "want integer 1..10 000, got -1",
            "warning",
            marks=pytest.mark.bad_input(32),
        ),
        pytest.param(
            {"count": "three"},
            "BadCount",
            "count",
            "got 'three', which counts as 0",
            "warning",
            marks=pytest.mark.bad_input(32),
        ),
        pytest.param(
            {"count": 10_001},
            "BadCount",
            "count",
            "want integer 1..10 000, got 10001",
            "warning",
            marks=pytest.mark.bad_input(32),
        ),
        ({"failureLimit": "10%"}, "NotAnInteger", "failureLimit", "'10%' is not an integer", "warning"),
        pytest.param(
            {"failureLimit": -2},
            "OutOfRange",
            "failureLimit",
            "want >= 0, or -1 to disable it, got -2",
            "error",
            marks=pytest.mark.bad_input(33),
        ),
        pytest.param(
            {"failureLimit": -1},
            "NoLimits",
            "failureLimit",
            "cannot both be disabled",
            "error",
            marks=pytest.mark.bad_input(34),
        ),
        pytest.param(
            {"inconclusiveLimit": -1},
            "OutOfRange",
            "inconclusiveLimit",
            "want >= 0, got -1",
            "error",
            marks=pytest.mark.bad_input(35),
        ),
        pytest.param(
            {"consecutiveErrorLimit": -1},
            "OutOfRange",
            "consecutiveErrorLimit",
            "want >= 0, got -1",
            "error",
            marks=pytest.mark.bad_input(36),
        ),
        ({"consecutiveSuccessLimit": -1}, "OutOfRange", "consecutiveSuccessLimit", "want >= 0, got -1", "error"),
        pytest.param(
            {"count": 2, "interval": "1m", "consecutiveSuccessLimit": 3},
            "CannotSucceed",
            "count",
            "3 successes in a row can never be reached with count 2",
            "error",
            marks=pytest.mark.bad_input(37),
        ),
        pytest.param(
            {"count": 3, "interval": "1m", "failureLimit": 2, "consecutiveSuccessLimit": 2},
            "CountTooSmall",
            "count",
            "count 3 < failureLimit 2 + consecutiveSuccessLimit 2",
            "error",
            marks=pytest.mark.bad_input(38),
        ),
        pytest.param(
            {"count": 3, "interval": "1m", "failureLimit": 3},
            "CannotFail",
            "failureLimit",
            "with count 3 and failureLimit 3 the metric can never fail",
            "warning",
            marks=pytest.mark.bad_input(39),
        ),
        pytest.param(
            {"interval": "10ms"},
            "IntervalTooShort",
            "interval",
            "minimum 1s",
            "warning",
            marks=pytest.mark.bad_input(41),
        ),
        pytest.param(
            {"interval": "0s"},
            "DurationNotPositive",
            "interval",
            "want a positive duration; got '0s'",
            "warning",
            marks=pytest.mark.bad_input(40),
        ),
        pytest.param(
            {"interval": "-5m"},
            "DurationNotPositive",
            "interval",
            "want a positive duration; got '-5m'",
            "warning",
            marks=pytest.mark.bad_input(40),
        ),
        pytest.param(
            {"interval": "960h", "count": 10},
            "RunTooLong",
            "interval",
            "run would last 400d; limit 30d",
            "warning",
            marks=pytest.mark.bad_input(44),
        ),
        pytest.param(
            {"successCondition": ""},
            "AlwaysPasses",
            "",
            "every measurement is Successful",
            "warning",
            marks=pytest.mark.bad_input(49),
        ),
    ],
)
def test_metric_problems(fields: dict[str, Any], code: str, field: str, message: str, lenient: str) -> None:
    subject = template(metric(**fields))
    path = "spec.metrics[0]" + (f".{field}" if field else "")
    assert [(p.path, p.severity) for p in found(subject, code)] == [(path, lenient)]
    assert message in found(subject, code)[0].message
    assert [p.severity for p in found(subject, code, strict=True)] == ["error"]


@pytest.mark.bad_input(40)
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("5", "Use 5s."),
        ("5 m", "Use 5m."),
        ("1h30", "Use 1h30m or 1h30s."),
        ("1d", "Use 24h."),
        ("2w", "Use 336h."),
        ("1e999s", ""),
        ("\uff15s", ""),
    ],
)
@pytest.mark.parametrize("field", ["interval", "initialDelay"])
def test_bad_durations(text: str, hint: str, field: str) -> None:
    (problem,) = found(template(metric(**{field: text})), "BadDuration")
    assert problem.path == f"spec.metrics[0].{field}"
    assert problem.message.startswith("want a Go duration such as 90s or 1h30m; got '")
    assert problem.hint == hint
    assert problem.severity == "error"


@pytest.mark.parametrize(
    ("subject", "code", "path", "message", "severity"),
    [
        pytest.param(
            template(),
            "NoMetrics",
            "spec.metrics",
            "at least one metric is required",
            "error",
            marks=pytest.mark.bad_input(24),
        ),
        pytest.param(
            template(metric(), metric()),
            "DuplicateMetric",
            "spec.metrics[1].name",
            "'m' already used by metrics[0]",
            "error",
            marks=pytest.mark.bad_input(25),
        ),
        pytest.param(
            template(*(metric(name=f"m{i}") for i in range(201))),
            "TooManyMetrics",
            "spec.metrics",
            "201 metrics; limit 200",
            "error",
            marks=pytest.mark.bad_input(55),
        ),
        pytest.param(
            template(metric(), dry_run=(DryRunRule("^foo$"),)),
            "RuleMatchesNothing",
            "spec.dryRun[0].metricName",
            "'^foo$' matches no metric",
            "error",
            marks=pytest.mark.bad_input(45),
        ),
        pytest.param(
            template(metric(), measurement_retention=(RetentionRule("m"), RetentionRule("m"))),
            "DuplicateRule",
            "spec.measurementRetention[1].metricName",
            "two rules for 'm'",
            "error",
            marks=pytest.mark.bad_input(46),
        ),
        pytest.param(
            template(metric(), dry_run=(DryRunRule(".*"),)),
            "NoGatingMetric",
            "spec.dryRun",
            "every metric is a dry run",
            "warning",
            marks=pytest.mark.bad_input(47),
        ),
        (
            template(metric(), dry_run=(DryRunRule("*"),)),
            "BadRegex",
            "spec.dryRun[0].metricName",
            "'*' cannot be used",
            "error",
        ),
        pytest.param(
            template(metric(), dry_run=(DryRunRule("(x{1000}){1000}"),)),
            "RegexTooLarge",
            "spec.dryRun[0].metricName",
            "cannot be used",
            "error",
            marks=pytest.mark.bad_input(48),
        ),
        pytest.param(
            template(metric(interval="30s", provider={"web": {"url": "http://x", "timeoutSeconds": 60}})),
            "TimeoutExceedsInterval",
            "spec.metrics[0].provider.web.timeoutSeconds",
            "timeout 1m0s is longer than the interval 30s",
            "warning",
            marks=pytest.mark.bad_input(42),
        ),
        pytest.param(
            template(metric(initialDelay="1000h")),
            "DelayTooLong",
            "spec.metrics[0].initialDelay",
            "after 41d; a run may last 30d",
            "warning",
            marks=pytest.mark.bad_input(43),
        ),
        (
            template(metric(provider={"job": {"spec": {}}})),
            "ConditionIgnored",
            "spec.metrics[0].successCondition",
            "job brings its own verdict",
            "warning",
        ),
    ],
)
def test_template_problems(subject: Template, code: str, path: str, message: str, severity: str) -> None:
    (problem,) = found(subject, code)
    assert (problem.path, problem.severity) == (path, severity)
    assert message in problem.message


@pytest.mark.bad_input(48)
def test_a_linear_regex_is_accepted() -> None:
    subject = template(metric(name="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), dry_run=(DryRunRule("(a+)+$"),))
    assert {p.code for p in problems(subject)} == {"NoGatingMetric"}


@pytest.mark.bad_input(31)
def test_a_gate_must_end() -> None:
    endless = template(metric(interval="1m"))
    (problem,) = found(endless, "RunsForever", gate=True)
    assert (problem.path, problem.message) == ("spec.metrics[0].count", "metric 'm' never ends")
    assert not found(endless, "RunsForever")
    assert not found(template(metric(interval="1m", count="{{args.n}}")), "RunsForever", gate=True)


@pytest.mark.parametrize("plugin", [False, True])
@pytest.mark.parametrize(
    ("fields", "endless"),
    [({"maxDuration": "10m"}, False), ({"until": "terminated"}, True),
     ({"until": "terminated", "maxDuration": "10m"}, False)],
)  # fmt: skip
def test_a_comparison_in_a_gate_must_end(fields: dict[str, Any], endless: bool, plugin: bool) -> None:
    """Until it is terminated, without a maxDuration: nobody who waits would ever be told."""
    provider: dict[str, Any] = {"compare": fields}
    subject = template(metric(interval="1m", provider={"plugin": provider} if plugin else provider))
    wrong = found(subject, "RunsForever", gate=True)
    assert [p.path.rsplit(".", 1)[1] for p in wrong] == ["maxDuration"] * endless
    assert not found(subject, "RunsForever")


def compare(**fields: Any) -> Metric:
    arms = {"canary": {"v": "a"}, "stable": {"v": "b"}}
    spec = {"arms": arms, "gauge": {"scrape": {"targets": ["http://{{arm.v}}"], "query": "q"}}}
    spec |= {"margin": {"relative": 0.1}, "maxDuration": "20m", **fields.pop("spec", {})}
    spec = {key: value for key, value in spec.items() if value is not None}
    return metric(**{"interval": "30s", "successCondition": "", "provider": {"compare": spec}, **fields})


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"spec": {"margin": None}}, "MarginRequired", "provider.compare.margin"),
        ({"spec": {"maxDuration": None}}, "Required", "provider.compare.maxDuration"),
        ({"spec": {"arms": {"canary": {}}}}, "Required", "provider.compare.arms.stable"),
        ({"spec": {"maxDuration": "1d"}}, "BadDuration", "provider.compare.maxDuration"),
        ({"spec": {"alpha": 5}}, "OutOfRange", "provider.compare.alpha"),
        ({"spec": {"minBake": "1.5"}}, "OutOfRange", "provider.compare.minBake"),
        ({"spec": {"test": "welch"}}, "SingleLook", "provider.compare.test"),
        ({"spec": {"gauge": {"web": {"url": "x"}}}}, "BadAddress", "provider.compare.gauge.web.url"),
        ({"interval": ""}, "Required", "interval"),
        ({"count": 5}, "ComparisonCount", "count"),
    ],
)
def test_comparison_problems(fields: dict[str, Any], code: str, path: str) -> None:
    assert [p.code for p in problems(template(compare()))] == []
    assert [p.path for p in found(template(compare(**fields)), code)] == [f"spec.metrics[0].{path}"]


@pytest.mark.parametrize(
    ("name", "spec", "code", "path"),
    [
        pytest.param(
            "prometheus",
            {"address": "prometheus:9090", "query": "q"},
            "BadAddress",
            "address",
            marks=pytest.mark.bad_input(107),
        ),
        pytest.param(
            "prometheus",
            {"address": "file:///etc/passwd", "query": "q"},
            "BadAddress",
            "address",
            marks=pytest.mark.bad_input(117),
        ),
        pytest.param(
            "prometheus",
            {"address": "http://good.test\\@169.254.169.254/", "query": "q"},
            "BadAddress",
            "address",
            marks=pytest.mark.bad_input(112),
        ),
        pytest.param(
            "prometheus",
            {"address": "http://user:pw@host/", "query": "q"},
            "CredentialsInUrl",
            "address",
            marks=pytest.mark.bad_input(113),
        ),
        ("prometheus", {"address": "http://x"}, "Required", "query"),
        pytest.param(
            "prometheus",
            {"query": "q", "authentication": {"basicAuth": {"username": "u"}}},
            "Required",
            "authentication.basicAuth.password",
            marks=pytest.mark.bad_input(127),
        ),
        pytest.param(
            "prometheus",
            {"query": "q", "authentication": {"oauth2": {"tokenUrl": "http://x", "clientSecret": "s"}}},
            "Required",
            "authentication.oauth2.clientId",
            marks=pytest.mark.bad_input(128),
        ),
        pytest.param(
            "prometheus",
            {"query": "q", "headers": [{"key": "A", "value": "b\r\nC: d"}]},
            "HeaderInjection",
            "headers[0]",
            marks=pytest.mark.bad_input(119),
        ),
        pytest.param(
            "prometheus",
            {"query": "q", "headers": [{"key": "Host", "value": "b"}]},
            "HeaderNotAllowed",
            "headers[0].key",
            marks=pytest.mark.bad_input(120),
        ),
        pytest.param(
            "prometheus",
            {"query": "q", "timeout": -1},
            "TimeoutOutOfRange",
            "timeout",
            marks=pytest.mark.bad_input(126),
        ),
        pytest.param(
            "web",
            {"url": "http://x", "timeoutSeconds": 100_000},
            "TimeoutOutOfRange",
            "timeoutSeconds",
            marks=pytest.mark.bad_input(126),
        ),
        pytest.param(
            "web", {"url": "http://x", "body": "b"}, "BodyWithGet", "method", marks=pytest.mark.bad_input(121)
        ),
        pytest.param(
            "web",
            {"url": "http://x", "method": "POST", "body": "b", "jsonBody": {}},
            "ExactlyOne",
            "",
            marks=pytest.mark.bad_input(122),
        ),
        ("datadog", {}, "ExactlyOne", ""),
        pytest.param(
            "datadog",
            {"query": "q", "queries": {"a": "q"}, "apiVersion": "v2"},
            "ExactlyOne",
            "",
            marks=pytest.mark.bad_input(130),
        ),
        pytest.param("datadog", {"query": "q", "formula": "a"}, "NeedsV2", "formula", marks=pytest.mark.bad_input(130)),
        ("datadog", {"query": "q", "formula": "a", "apiVersion": "v2"}, "Required", "queries"),
        ("datadog", {"queries": {"a": "q", "b": "q"}, "apiVersion": "v2"}, "Required", "formula"),
        ("datadog", {"query": "q", "requestTimeout": "0s"}, "BadDuration", "requestTimeout"),
        ("scrape", {"targets": [], "query": "q"}, "Required", "targets"),
        ("scrape", {"targets": ["x:1"], "query": "q"}, "BadAddress", "targets[0]"),
    ],
)
@pytest.mark.parametrize("plugin", [False, True])
def test_provider_problems(name: str, spec: dict[str, Any], code: str, path: str, plugin: bool) -> None:
    union = {"plugin": {name: spec}} if plugin else {name: spec}
    where = f"spec.metrics[0].provider.{'plugin.' if plugin else ''}{name}" + (f".{path}" if path else "")
    assert [p.path for p in found(template(metric(provider=union)), code)] == [where]


def test_credentials_are_not_echoed() -> None:
    spec = {"address": "http://user:hunter2@host/", "query": "q"}
    assert "hunter2" not in str(problems(template(metric(provider={"prometheus": spec}))))


TEXT = """\
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: t}
spec:
  metrics:
  - name: a
    count: 3
    interval: 1m
    failureLimit: 3
    successCondition: result == 1
    provider: {web: {url: http://x}}
"""


def test_what_argo_accepts_is_accepted_unless_strict() -> None:
    checked = load(TEXT)
    assert [(p.code, p.severity, p.line) for p in checked.problems] == [("CannotFail", "warning", 9)]
    with pytest.raises(DocumentError) as error:
        load(TEXT, strict=True)
    assert [p.code for p in error.value.problems] == ["CannotFail"]


limit = st.none() | st.integers(-3, 6) | st.sampled_from(["2", "-1", "x", ""])


@given(
    st.builds(
        Metric,
        name=st.just("m"),
        interval=st.sampled_from(["", "1m", "1d"]),
        count=limit,
        failure_limit=limit,
        inconclusive_limit=limit,
        consecutive_error_limit=limit,
        consecutive_success_limit=limit,
        success_condition=st.just("result == 1"),
        provider=st.just(WEB),
    )
)
def test_whatever_argo_refuses_is_an_error_here(subject: Metric) -> None:
    refused = argo_error([subject]) is not None
    reported = any(p.severity == "error" for p in problems(template(subject)))
    assert refused == reported
