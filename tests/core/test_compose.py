"""Templates put together: references, lists, arguments, names of runs."""

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core import rules, run_object
from analysis_service.core.compose import ComposeError, compose, expand, flatten, merge_args, semantically_equal
from analysis_service.core.model import (
    Argument,
    DryRunRule,
    Metric,
    Phase,
    RetentionRule,
    RunSpec,
    SecretKeyRef,
    Template,
    TemplateRef,
    ValueFrom,
)

SECRET = ValueFrom(secret_key_ref=SecretKeyRef("name", "key"))


def template(name: str, *refs: str, metrics: str = "", cluster: bool = False, **fields: Any) -> Template:
    """refs: names of templates, `c:` before those of the cluster. metrics: one per letter."""
    return Template(
        name=name,
        cluster_scope=cluster,
        metrics=tuple(Metric(name=letter) for letter in metrics),
        templates=tuple(TemplateRef(ref.removeprefix("c:"), ref.startswith("c:")) for ref in refs),
        **fields,
    )


class Library:
    def __init__(self, *templates: Template) -> None:
        self.found = {(t.name, t.cluster_scope): t for t in templates}

    def __call__(self, ref: TemplateRef) -> Template | None:
        return self.found.get((ref.template_name, ref.cluster_scope))


def test_references_are_followed_depth_first_and_each_template_counts_once() -> None:
    library = Library(
        template("b", "d", metrics="b"),
        template("d", metrics="d"),
        template("c", "d", "c:x", metrics="c"),
        template("x", "d", metrics="x", cluster=True),
    )
    expanded = expand([template("a", "b", "c", metrics="a")], library)
    assert [t.name for t in expanded.namespaced] == ["a", "b", "d", "c"]
    assert [t.name for t in expanded.cluster] == ["x"]
    spec, problems = compose([template("a", "b", "c", metrics="a")], library)
    assert problems == ()
    assert spec is not None
    assert [m.name for m in spec.metrics] == ["a", "b", "d", "c", "x"]  # the namespace's first, then the cluster's


@pytest.mark.parametrize(
    ("root", "library", "code", "path", "message"),
    [
        pytest.param(
            template("a", "a"),
            [template("a", "a")],
            "TemplateCycle",
            "templates[0].spec.templates[0]",
            "TemplateCycle: a -> a",
            marks=pytest.mark.bad_input(51),
        ),
        pytest.param(
            template("a", "b"),
            [template("a", "b"), template("b", "a")],
            "TemplateCycle",
            "templates[0].spec.templates[0].spec.templates[0]",
            "TemplateCycle: a -> b -> a",
            marks=pytest.mark.bad_input(51),
        ),
        (
            template("a", "c:a"),
            [template("a", "c:a", cluster=True)],
            "TemplateCycle",
            "templates[0].spec.templates[0].spec.templates[0]",
            "TemplateCycle: a -> cluster template a -> cluster template a",
        ),
        pytest.param(
            template("a", "x"),
            [],
            "TemplateNotFound",
            "templates[0].spec.templates[0]",
            "AnalysisTemplate 'x' not found",
            marks=pytest.mark.bad_input(52),
        ),
        (
            template("a", "c:x"),
            [],
            "TemplateNotFound",
            "templates[0].spec.templates[0]",
            "ClusterAnalysisTemplate 'x' not found",
        ),
        pytest.param(
            template("t0", "t1"),
            [template(f"t{i}", f"t{i + 1}") for i in range(1, 40)],
            "TooDeep",
            "templates[0]" + ".spec.templates[0]" * 8,
            "references deeper than 8: t0 -> t1 -> ",
            marks=pytest.mark.bad_input(56),
        ),
        pytest.param(
            template("a", "b", metrics="m"),
            [template("b", metrics="m")],
            "Duplicate",
            "",
            "two metrics have the same name 'm'",
            marks=pytest.mark.bad_input(54),
        ),
        pytest.param(
            template("a", args=(Argument("x"),)),
            [],
            "MissingArg",
            "args.x",
            "args.x was not resolved",
            marks=pytest.mark.bad_input(57),
        ),
        pytest.param(
            template("a", "b", args=(Argument("x", "1"),)),
            [template("b", args=(Argument("x", "2"),))],
            "ArgConflict",
            "args.x",
            "Argument `x` specified multiple times with different values: '1', '2'",
            marks=pytest.mark.bad_input(59),
        ),
    ],
)
def test_what_cannot_be_composed(root: Template, library: list[Template], code: str, path: str, message: str) -> None:
    spec, (problem,) = compose([root], Library(*library))
    assert spec is None
    assert (problem.code, problem.path) == (code, path)
    assert problem.message.startswith(message)


def test_a_missing_root() -> None:
    _, (problem,) = compose([TemplateRef("x")], Library())
    assert (problem.path, problem.message) == ("templates[0]", "AnalysisTemplate 'x' not found")


@pytest.mark.bad_input(54)
def test_both_templates_are_named() -> None:
    _, (problem,) = compose([template("a", metrics="m"), template("b", metrics="m")], Library())
    assert problem.hint == "Given by a and by b."


@pytest.mark.bad_input(55)
def test_too_many_metrics() -> None:
    many = Template(name="a", metrics=tuple(Metric(name=f"m{i}") for i in range(201)))
    _, (problem,) = compose([many], Library())
    assert problem.message == "201 metrics in one run; limit 200"


def test_the_callers_rules_come_first() -> None:
    own = template("a", metrics="m", dry_run=(DryRunRule("x"),), measurement_retention=(RetentionRule("x", 1),))
    spec, _ = compose([own], Library(), dry_run=[DryRunRule("m")], retention=[RetentionRule("m", 5)])
    assert spec is not None
    assert [rule.metric_name for rule in spec.dry_run] == ["m", "x"]
    assert [rule.limit for rule in spec.measurement_retention] == [5, 1]
    _, (problem,) = compose([own], Library(), dry_run=[DryRunRule("x")])
    assert problem.message == "two Dry-Run metric rules have the same name 'x'"
    assert problem.hint == "Given by the caller and by a."


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ([Argument("x", "1"), Argument("x", "1")], Argument("x", "1")),
        ([Argument("x", "1"), Argument("x")], Argument("x", "1")),
        ([Argument("x"), Argument("x", "1")], Argument("x", "1")),
        ([Argument("x", ""), Argument("x")], Argument("x", "")),  # "" is a value
        # a later bare declaration wipes out an earlier secret
        ([Argument("x", value_from=SECRET), Argument("x")], Argument("x")),
    ],
)
def test_one_argument_of_two_declarations(declared: list[Argument], expected: Argument) -> None:
    assert flatten([template("a", args=tuple(declared))]).args == (expected,)


@pytest.mark.parametrize(
    ("incoming", "declared", "expected"),
    [
        # a value leaves the secret beside it, and the secret wins at run time
        (Argument("x", "1"), Argument("x", value_from=SECRET), Argument("x", "1", SECRET)),
        (Argument("x", value_from=SECRET), Argument("x", "1"), Argument("x", "1", SECRET)),
        (Argument("x", ""), Argument("x", "1"), Argument("x", "")),
        (Argument("x"), Argument("x", "1"), Argument("x", "1")),
    ],
)
def test_merge(incoming: Argument, declared: Argument, expected: Argument) -> None:
    assert merge_args([incoming, Argument("extra", "1")], [declared]) == (expected,)


names = st.sampled_from("abcd")


@given(
    st.dictionaries(names, st.lists(names, max_size=3), min_size=4, max_size=4),
    st.lists(names, min_size=1, max_size=2),
)
def test_expanding_ends(graph: dict[str, list[str]], roots: list[str]) -> None:
    """Any graph of references gives an answer: every template that can be reached, or the ring."""
    library = Library(*(template(name, *refs) for name, refs in graph.items()))
    try:
        expanded = expand([TemplateRef(name) for name in roots], library)
    except ComposeError as error:
        assert error.problem.code == "TemplateCycle"  # noqa: PT017
        return
    reached: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += graph[name]
    assert {t.name for t in expanded.namespaced} == reached


# --- run objects


class Existing(NamedTuple):
    phase: Phase
    spec: RunSpec
    owner: str


SPEC = RunSpec(metrics=(Metric(name="a"),))
OTHER = RunSpec(metrics=(Metric(name="b"),))


@pytest.mark.parametrize(
    ("taken", "claimed"),
    [
        ({}, ("r", False)),
        ({"r": Existing(Phase.RUNNING, SPEC, "me")}, ("r", True)),
        ({"r": Existing(Phase.FAILED, SPEC, "me")}, ("r.1", False)),  # a finished run is not taken up again
        ({"r": Existing(Phase.RUNNING, OTHER, "me")}, ("r.1", False)),
        ({"r": Existing(Phase.RUNNING, SPEC, "you")}, ("r.1", False)),
        ({"r": Existing(Phase.FAILED, SPEC, "me"), "r.1": Existing(Phase.NEW, SPEC, "me")}, ("r.1", True)),
    ],
)
def test_claim_name(taken: dict[str, Existing], claimed: tuple[str, bool]) -> None:
    assert run_object.claim_name("r", SPEC, "me", taken.get) == claimed


def test_names_and_labels() -> None:
    assert run_object.run_name("r", "abc", "2", "pre") == "r-abc-2-pre"
    assert run_object.run_name("r", "abc", "2") == "r-abc-2"
    assert run_object.run_labels("Background", "abc", step_index="1") == {
        "rollouts-pod-template-hash": "abc",
        "rollout-type": "Background",
    }


def test_manifest_holds_argos_fields_only() -> None:
    spec = RunSpec(metrics=SPEC.metrics, strict=True, score={"groupWeights": {}}, policies={"onError": "fail"})
    made = run_object.manifest(spec, name="r", namespace="ns", labels={"a": "b"})
    assert made["spec"] == {"metrics": [{"name": "a"}]}
    assert made["metadata"] == {"name": "r", "namespace": "ns", "labels": {"a": "b"}}
    assert semantically_equal(msgspec.convert(made["spec"], RunSpec), spec)


# --- rules


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("error", {"error-rate", "no-errors"}),  # anywhere in the name
        ("^error", {"error-rate"}),
        ("(?i)ERROR-R", {"error-rate"}),
        ("error-rate|latency", {"error-rate", "latency"}),
        (".*", {"error-rate", "no-errors", "latency"}),
        ("", {"error-rate", "no-errors", "latency"}),
        ("*", set()),  # not a regular expression
        ("(?=e)", set()),  # not one of RE2
        ("(x{1000}){1000}", set()),
    ],
)
def test_rules_match(pattern: str, expected: set[str]) -> None:
    assert set(rules.matches(pattern, ["error-rate", "no-errors", "latency"])) == expected


def test_the_last_retention_rule_wins() -> None:
    limits = rules.retention([RetentionRule(".*", 3), RetentionRule("b", 7)], ["a", "b"])
    assert limits == {"a": 3, "b": 7}
    with pytest.raises(rules.RuleError) as error:
        rules.retention([RetentionRule("x", 3)], ["a"])
    assert str(error.value) == "measurementRetention[0]: Rule didn't match any metric name(s)"
