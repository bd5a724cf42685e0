"""Arguments: filled in as Argo does, and judged before a run starts."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.argument_problems import check_arguments, check_secret, check_template_arguments
from analysis_service.core.arguments import (
    ArgumentError,
    metric_json,
    resolve_arm,
    resolve_metric,
    resolve_template,
)
from analysis_service.core.model import Argument, FieldRef, Metric, SecretKeyRef, Template, ValueFrom
from analysis_service.core.problem import Problem
from analysis_service.core.rollout_args import BadPath, metadata_field, rollout_arguments, rollout_field
from analysis_service.core.tags import go_quote

SECRET = ValueFrom(secret_key_ref=SecretKeyRef("name", "key"))


def metric(**fields: Any) -> Metric:
    return msgspec.convert({"name": "m", "provider": {"web": {"url": "http://x"}}, **fields}, Metric)


def args(**values: str | None) -> list[Argument]:
    return [Argument(name.replace("_", "-"), value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("fields", "values", "expected"),
    [
        # numbers stay text: limits read them
        ({"count": "{{args.n}}"}, {"n": "5"}, {"count": "5"}),
        ({"successCondition": "result < {{ args.n }}"}, {"n": "5"}, {"successCondition": "result < 5"}),
        # a value is not expanded again
        ({"interval": "{{args.a}}"}, {"a": "{{args.b}}", "b": "x"}, {"interval": "{{args.b}}"}),
        # keys of maps are text like any other
        (
            {"provider": {"job": {"metadata": {"labels": {"{{args.a}}": "b"}}}}},
            {"a": "k"},
            {"provider": {"job": {"metadata": {"labels": {"k": "b"}}}}},
        ),
        # quotes, backslashes, line breaks and what HTML would mind come through whole
        ({"name": "{{args.a}}<&>"}, {"a": 'a"\\\n\t<b>\u2028\u00a0é😀'}, {"name": 'a"\\\n\t<b>\u2028\u00a0é😀<&>'}),
        ({"name": "{{args.a}}"}, {"a": ""}, {"name": ""}),
    ],
)
def test_resolve_metric(fields: dict[str, Any], values: dict[str, str], expected: dict[str, Any]) -> None:
    assert resolve_metric(metric(**fields), args(**values)) == metric(**expected)


@pytest.mark.parametrize(
    ("fields", "values", "message"),
    [
        # the last unknown tag in Argo's order of fields is named, with its own spaces
        ({"successCondition": "{{args.a}}", "interval": "{{ args.b }}"}, {}, "failed to resolve {{args.a}}"),
        ({"consecutiveSuccessLimit": "{{args.a}}", "name": "{{args.b}}"}, {}, "failed to resolve {{args.a}}"),
        ({"interval": "{{ args.b }}"}, {}, "failed to resolve {{ args.b }}"),
        ({"interval": "{{inputs.b}}"}, {}, "failed to resolve {{inputs.b}}"),
        # an argument without a value fails every metric, used or not
        ({}, {"unused": None}, 'argument "unused" was not supplied'),
        # Go writes these characters in ways that JSON does not read
        ({"name": "{{args.a}}"}, {"a": "\x07"}, "invalid character 'a' in string escape code"),
        ({"name": "{{args.a}}"}, {"a": "\x0b"}, "invalid character 'v' in string escape code"),
        ({"name": "{{args.a}}"}, {"a": "\x00"}, "invalid character 'x' in string escape code"),
        ({"name": "{{args.a}}"}, {"a": "\x7f"}, "invalid character 'x' in string escape code"),
        ({"name": "{{args.a}}"}, {"a": "\U000e0001"}, "invalid character 'U' in string escape code"),
    ],
)
def test_resolve_metric_error(fields: dict[str, Any], values: dict[str, str | None], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        resolve_metric(metric(**fields), args(**values))
    assert str(error.value) == message


def test_unclosed_braces_quote_the_metric_as_go_would() -> None:
    with pytest.raises(ArgumentError) as error:
        resolve_metric(Metric(name="a", interval="{{args.x"), args(x=None))
    assert str(error.value) == (
        'Cannot find end tag="}}" in the template="{\\"name\\":\\"a\\",\\"interval\\":\\"{{args.x\\"}" '
        'starting from "args.x\\"}"'
    )


def test_a_long_value_in_many_places_is_refused() -> None:
    with pytest.raises(ArgumentError, match="more than 1048576 characters"):
        resolve_metric(metric(successCondition="{{args.a}}" * 10_000), args(a="x" * 10_000))


def test_a_metric_without_tags_is_returned_itself() -> None:
    subject = metric()
    assert resolve_metric(subject, args(a="1")) is subject


def test_argo_order_of_fields() -> None:
    subject = metric(consecutiveSuccessLimit=1, provider={"prometheus": {"query": "a<b", "address": "x"}}, count=1)
    assert metric_json(subject) == (
        '{"name":"m","count":1,"provider":{"prometheus":{"address":"x","query":"a\\u003cb"}},'
        '"consecutiveSuccessLimit":1}'
    )


def test_arms_are_filled_in_later_and_in_comparisons_only() -> None:
    spec = {"arms": {"canary": {"hash": "{{args.c}}"}}, "gauge": {"prometheus": {"query": "x{h='{{ arm.hash }}'}"}}}
    resolved = resolve_metric(metric(provider={"compare": spec}), args(c="abc"))
    comparison = resolved.provider["compare"]
    assert comparison["arms"]["canary"] == {"hash": "abc"}
    assert resolve_arm(comparison["gauge"], comparison["arms"]["canary"]) == {"prometheus": {"query": "x{h='abc'}"}}
    with pytest.raises(ArgumentError, match=r"failed to resolve {{arm\.zone}}"):
        resolve_arm("{{arm.zone}}", {"hash": "abc"})
    with pytest.raises(ArgumentError, match=r"failed to resolve {{arm\.hash}}"):
        resolve_metric(metric(interval="{{arm.hash}}"), [])


def test_go_quote() -> None:
    assert go_quote('a"\\\n\x07\x00\x7f\u00a0\u00e9\U000e0001') == '"a\\"\\\\\\n\\a\\x00\\x7f\\u00a0é\\U000e0001"'


@given(st.text(max_size=30), st.text(max_size=30))
def test_resolving_raises_nothing_else(text: str, value: str) -> None:
    with suppress(ArgumentError):
        resolve_template(text, args(a=value))
    with suppress(ArgumentError):
        assert resolve_metric(metric(interval="{{args.a}}"), args(a=value)).interval == value


# --- judged before a run starts


def template(*metrics: Metric, **declared: str | None) -> Template:
    return Template(name="t", metrics=metrics or (metric(),), args=tuple(args(**declared)))


def query(text: str) -> Metric:
    return metric(provider={"prometheus": {"query": text}})


def codes(problems: list[Problem]) -> list[tuple[str, str, str]]:
    return [(p.code, p.path, p.severity) for p in problems]


QUERY = "spec.metrics[0].provider.prometheus.query"


@pytest.mark.parametrize(
    ("subject", "supplied", "code", "path", "message", "lenient"),
    [
        pytest.param(
            template(service_name=None),
            {},
            "MissingArg",
            "args.service-name",
            "required by template 't', not supplied",
            "error",
            marks=pytest.mark.bad_input(57),
        ),
        pytest.param(
            template(service=None),
            {"service": "a", "servce": "b"},
            "UnknownArg",
            "args.servce",
            "no template declares an argument 'servce'",
            "error",
            marks=pytest.mark.bad_input(58),
        ),
        pytest.param(
            template(query("{{args.typo}}"), type="a"),
            {},
            "UndeclaredArg",
            QUERY,
            "{{args.typo}} is not declared",
            "error",
            marks=pytest.mark.bad_input(61),
        ),
        (template(query("{{typo}}")), {}, "UndeclaredArg", QUERY, "only {{args.<name>}} is filled in", "error"),
        (
            template(query("{{arm.x}}")),
            {},
            "UndeclaredArg",
            QUERY,
            "{{arm.x}} has a meaning in a comparison only",
            "error",
        ),
        pytest.param(
            template(query("ab {{ args.x")),
            {},
            "UnclosedTag",
            QUERY,
            "'{{' at character 4 is never closed",
            "error",
            marks=pytest.mark.bad_input(62),
        ),
        pytest.param(
            template(a=None),
            {"a": "{{args.b}}"},
            "TagInValue",
            "args.a",
            "filled in once",
            "warning",
            marks=pytest.mark.bad_input(63),
        ),
        pytest.param(
            template(a=None),
            {"a": "a\x07b"},
            "ControlCharacter",
            "args.a",
            "U+0007",
            "error",
            marks=pytest.mark.bad_input(66),
        ),
        pytest.param(
            template(a=None),
            {"a": "a\x00b"},
            "ControlCharacter",
            "args.a",
            "U+0000",
            "error",
            marks=pytest.mark.bad_input(66),
        ),
        (template(a=None), {"a": "a\u202eb"}, "ControlCharacter", "args.a", "U+202E", "error"),
        pytest.param(
            template(a=None),
            {"a": "x" * 2**20},
            "TooLarge",
            "args.a",
            "value is 1 048 576 bytes; limit 16 384",
            "error",
            marks=pytest.mark.bad_input(67),
        ),
        pytest.param(
            template(metric(count="{{args.n}}"), n=None),
            {"n": "ten"},
            "NotAnInteger",
            "spec.metrics[0].count",
            "'ten' from args.n is not an integer",
            "warning",
            marks=pytest.mark.bad_input(68),
        ),
        pytest.param(
            template(metric(interval="{{args.i}}"), i=None),
            {"i": ""},
            "EmptyInterval",
            "spec.metrics[0].interval",
            "args.i is empty",
            "warning",
            marks=pytest.mark.bad_input(69),
        ),
        # text in a condition can pass everything: 0 || true
        pytest.param(
            template(metric(successCondition="result < {{args.t}}"), t=None),
            {"t": "0 || true"},
            "ArgInExpression",
            "spec.metrics[0].successCondition",
            "args.t must be a number literal here; got '0 || true'",
            "warning",
            marks=pytest.mark.bad_input(64),
        ),
        (
            template(metric(successCondition="{{args.t}}"), t="true || x"),
            {},
            "ArgInExpression",
            "spec.metrics[0].successCondition",
            "the whole condition comes from args.t",
            "warning",
        ),
        (
            template(metric(successCondition='result == "{{args.t}}"'), t='" || "" == "'),
            {},
            "ArgInExpression",
            "spec.metrics[0].successCondition",
            "args.t would end the text it stands in",
            "warning",
        ),
        pytest.param(
            template(query('up{a="{{args.x}}"}'), x=None),
            {"x": '"} or vector(1) #'},
            "ArgInQuery",
            QUERY,
            "args.x would end the quoted text it stands in",
            "warning",
            marks=pytest.mark.bad_input(65),
        ),
    ],
)
def test_argument_problems(
    subject: Template, supplied: dict[str, str], code: str, path: str, message: str, lenient: str
) -> None:
    found = [p for p in check_arguments(subject, args(**supplied)) if p.code == code]
    assert [(p.path, p.severity) for p in found] == [(path, lenient)]
    assert message in found[0].message
    if lenient == "warning" and code != "TagInValue":
        strict = [p for p in check_arguments(subject, args(**supplied), strict=True) if p.code == code]
        assert [p.severity for p in strict] == ["error"]


@pytest.mark.parametrize(
    "value", ["5", "-1.5", "1e3", ".5", "true", "nil", '"a b"', "'x'", "[200, 201]", "['a', \"b\"]", " 5 "]
)
def test_literals_may_stand_in_a_condition(value: str) -> None:
    subject = template(metric(successCondition="result in {{args.t}}"), t=value)
    assert check_arguments(subject, strict=True) == []


def test_quoted_values_may_hold_what_ends_nothing() -> None:
    subject = template(query('up{a="{{args.x}}"} * {{args.y}}'), x="it's {x}", y="2 or 'a'")
    assert check_arguments(subject, strict=True) == []


@pytest.mark.bad_input(58)
def test_suggestions() -> None:
    (problem,) = check_arguments(template(service="a"), args(servce="b"))
    assert problem.hint == "Did you mean 'service'?"
    assert check_arguments(template(service="a"), args(servce="b"), allow_extra=True) == []


def test_one_name_with_two_values() -> None:
    """Every run would end with it, so it is said before one is made. The same value twice does no harm."""
    twice = Template(name="t", metrics=(), args=(Argument("a", "x"), Argument("a", "x"), Argument("a", "y")))
    assert codes(check_template_arguments(twice)) == [("ArgConflict", "spec.args[2].name", "error")]


@pytest.mark.bad_input(60)
def test_value_and_value_from() -> None:
    subject = Template(name="t", metrics=(metric(),), args=(Argument("a", "x", SECRET),))
    assert codes(check_template_arguments(subject)) == [
        ("UnusedArg", "spec.args[0]", "warning"),
        ("ExactlyOne", "spec.args[0]", "warning"),
    ]
    assert ("ExactlyOne", "spec.args[0]", "error") in codes(check_template_arguments(subject, strict=True))


def test_field_ref_is_never_filled_in() -> None:
    subject = Template(name="t", args=(Argument("a", value_from=ValueFrom(field_ref=FieldRef("metadata.name"))),))
    assert codes(check_template_arguments(subject)) == [("FieldRefUnresolved", "spec.args[0]", "warning")]


def test_a_template_alone_may_use_what_another_declares() -> None:
    subject = template(query("{{args.elsewhere}}"))
    assert codes(check_template_arguments(subject)) == [("UndeclaredArg", QUERY, "warning")]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param(
            {"provider": {"prometheus": {"query": "x{t='{{args.s}}'}"}}},
            "SecretInQuery",
            marks=pytest.mark.bad_input(75),
        ),
        ({"provider": {"web": {"url": "http://x?key={{args.s}}"}}}, "SecretInQuery"),
        ({"count": "{{args.s}}"}, "SecretNotHere"),
        ({"successCondition": "result == {{args.s}}"}, "SecretNotHere"),
        # where secrets belong
        ({"provider": {"web": {"url": "http://x", "headers": [{"key": "A", "value": "{{args.s}}"}]}}}, ""),
        ({"provider": {"prometheus": {"authentication": {"basicAuth": {"password": "{{args.s}}"}}}}}, ""),
    ],
)
def test_where_a_secret_is_used(fields: dict[str, Any], code: str) -> None:
    subject = Template(name="t", metrics=(metric(**fields),), args=(Argument("s", value_from=SECRET),))
    expected = [code] if code else []
    assert [(p.code, p.severity) for p in check_arguments(subject)] == [(code, "warning") for code in expected]
    assert [(p.code, p.severity) for p in check_arguments(subject, strict=True)] == [(c, "error") for c in expected]


@pytest.mark.bad_input(72)
def test_a_secret_of_another_namespace() -> None:
    reference = ValueFrom(secret_key_ref=SecretKeyRef("other/dd", "k"))
    subject = Template(name="t", args=(Argument("s", value_from=reference),))
    (problem,) = check_arguments(subject)
    assert (problem.code, problem.path, problem.severity) == ("SecretOutsideNamespace", "args.s", "error")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("", [("SecretEmpty", "warning")], marks=pytest.mark.bad_input(74)),
        pytest.param("longenough\n", [("SecretTrailingNewline", "warning")], marks=pytest.mark.bad_input(73)),
        pytest.param("ab", [("SecretTooShort", "warning")], marks=pytest.mark.bad_input(76)),
        ("longenough", []),
    ],
)
def test_odd_secrets(value: str, found: list[tuple[str, str]]) -> None:
    problems = check_secret("token", "dd", value)
    assert [(p.code, p.severity) for p in problems] == found
    assert all(p.path == "args.token" and (not value or value not in p.message) for p in problems)


# --- a Rollout's arguments

ROLLOUT = {
    "metadata": {"name": "r", "labels": {"app": "x", "b": 'q"'}, "annotations": {}},
    "spec": {
        "replicas": 5,
        "big": 12_345_678,
        "million": 1_000_000,
        "below": 999_999,
        "tiny": 1.5e-7,
        "paused": True,
        "ratio": 0.5,
    },
    "status": {"list": ["a", {"b": None}]},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.replicas", "5"),
        ("spec.big", "1.2345678e+07"),  # as Go prints a number that came from JSON
        ("spec.million", "1e+06"),
        ("spec.below", "999999"),
        ("spec.tiny", "1.5e-07"),
        ("spec.paused", "true"),
        ("spec.ratio", "0.5"),
        ("status.list[0]", "a"),
    ],
)
def test_rollout_field(path: str, value: str) -> None:
    assert rollout_field(ROLLOUT, path) == value


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("status.list[9]", "index 9 out of range"),
        ("status.list[-1]", "index -1 out of range"),
        ("status.list[x]", "invalid index 'x'"),
        ("status.list[1].b", "invalid path status.list[1].b in rollout"),
        pytest.param("spec.nothing", "invalid path spec.nothing in rollout", marks=pytest.mark.bad_input(77)),
        ("spec.replicas.deeper", "invalid path spec.replicas.deeper in rollout"),
        pytest.param(
            "metadata.labels",
            "path metadata.labels in rollout must terminate in a primitive value",
            marks=pytest.mark.bad_input(78),
        ),
    ],
)
def test_rollout_field_error(path: str, message: str) -> None:
    with pytest.raises(BadPath) as error:
        rollout_field(ROLLOUT, path)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.labels['app']", "x"),
        pytest.param("metadata.labels['absent']", "", marks=pytest.mark.bad_input(77)),
        ("metadata.labels", 'app="x"\nb="q\\""'),
        ("metadata.name", "r"),
        ("metadata.uid", ""),
    ],
)
def test_metadata_field(path: str, value: str) -> None:
    assert metadata_field(ROLLOUT, path) == value


@pytest.mark.parametrize("path", ["metadata.generation", "metadata.name['x']", "metadata.labels['a b']"])
def test_metadata_field_error(path: str) -> None:
    with pytest.raises(BadPath, match="metadata"):
        metadata_field(ROLLOUT, path)


def test_an_error_is_lost_when_a_later_path_is_good() -> None:
    def of(*paths: str) -> tuple[list[str | None], str]:
        fields = [{"name": p, "valueFrom": {"fieldRef": {"fieldPath": p}}} for p in paths]
        built, error = rollout_arguments(fields, ROLLOUT, stable_hash="s", latest_hash="l")
        return [argument.value for argument in built], error

    assert of("spec.nothing") == ([""], "invalid path spec.nothing in rollout")
    assert of("spec.nothing", "spec.replicas") == (["", "5"], "")
