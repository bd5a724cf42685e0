"""A run is judged before it starts, with its arguments filled in."""

from typing import Any

import msgspec
import pytest

from analysis_service.core.model import Argument, DryRunRule, Metric, SecretKeyRef, Template, TemplateRef, ValueFrom
from analysis_service.core.start import start

FOUND: dict[TemplateRef, Template] = {}


def template(*args: Argument, **metric: Any) -> Template:
    fields = {"name": "m", "provider": {"web": {"url": "http://x"}}, "successCondition": "result == 1", **metric}
    return Template(name="t", metrics=(msgspec.convert(fields, Metric),), args=args)


def test_the_spec_keeps_tags_and_secrets_as_references() -> None:
    secret = ValueFrom(secret_key_ref=SecretKeyRef("s", "k"))
    headers = [{"key": "A", "value": "{{args.token}}"}]
    subject = template(Argument("n"), Argument("token", value_from=secret), count="{{args.n}}",
                       provider={"web": {"url": "http://x", "headers": headers}})  # fmt: skip
    spec, problems = start([subject], FOUND.get, args=[Argument("n", "1")], dry_run=[], strict=True)
    assert problems == ()
    assert spec is not None
    assert spec.strict
    assert spec.metrics == subject.metrics
    assert spec.args == (Argument("n", "1"), Argument("token", value_from=secret))


@pytest.mark.parametrize(
    ("subject", "args", "expected"),
    [
        # all missing arguments at once, and what is wrong with the metric too
        (
            template(Argument("a"), Argument("b"), interval="1d"),
            [],
            [("MissingArg", "args.a"), ("MissingArg", "args.b"), ("BadDuration", "spec.metrics[0].interval")],
        ),
        # only the value shows that it cannot work
        (
            template(Argument("i"), interval="{{args.i}}"),
            [Argument("i", "1d")],
            [("BadDuration", "spec.metrics[0].interval")],
        ),
        (
            template(Argument("c"), count="{{args.c}}"),
            [Argument("c", "5")],
            [("IntervalRequired", "spec.metrics[0].interval")],
        ),
        (
            template(Argument("t"), successCondition="result < {{args.t}}"),
            [Argument("t", "1 &&")],
            [("Syntax", "spec.metrics[0].successCondition"), ("ArgInExpression", "spec.metrics[0].successCondition")],
        ),
        (
            template(
                Argument("a"),
                provider={"scrape": {"targets": ["http://x"], "query": "q", "aggregate": "{{args.a}}"}},
                successCondition="result == 1",
            ),
            [Argument("a", "average")],
            [("UnknownValue", "spec.metrics[0].provider.scrape.aggregate")],
        ),
        (template(interval="{{args.nobody}}"), [], [("UndeclaredArg", "spec.metrics[0].interval")]),
        (template(), [Argument("x", "1")], [("UnknownArg", "args.x")]),
    ],
)
def test_refused(subject: Template, args: list[Argument], expected: list[tuple[str, str]]) -> None:
    spec, problems = start([subject], FOUND.get, args=args)
    assert spec is None
    assert [(p.code, p.path) for p in problems] == expected


def test_a_trap_is_a_warning_unless_strict() -> None:
    subject = template(Argument("n"), count="{{args.n}}", interval="1m", failureLimit=3)
    spec, problems = start([subject], FOUND.get, args=[Argument("n", "3")])
    assert spec is not None
    assert [(p.code, p.severity) for p in problems] == [("CannotFail", "warning")]
    spec, problems = start([subject], FOUND.get, args=[Argument("n", "3")], strict=True)
    assert spec is None
    assert [(p.code, p.severity) for p in problems] == [("CannotFail", "error")]


def test_the_callers_rules_are_judged_with_the_templates() -> None:
    spec, problems = start([template()], FOUND.get, dry_run=[DryRunRule("nothing")])
    assert spec is None
    assert [(p.code, p.path) for p in problems] == [("RuleMatchesNothing", "spec.dryRun[0].metricName")]


def test_a_gate_must_end() -> None:
    _, problems = start([template(interval="1m")], FOUND.get, gate=True)
    assert [p.code for p in problems] == ["RunsForever"]
