"""Templates: validation, arguments, composition, run objects, and the enumerations of the schema."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from analysis_service.core import run_object
from analysis_service.core.arguments import resolve_metric, resolve_quoted, resolve_template
from analysis_service.core.compose import (
    ComposeError,
    Expanded,
    flatten,
    merge_args,
    run_spec,
    semantically_equal,
    unique,
)
from analysis_service.core.model import Argument, Metric, Phase, RunSpec, Template
from analysis_service.core.rollout_args import experiment_argument, rollout_arguments, rollout_field
from analysis_service.core.validate import argo_error
from analysis_service.core.wire_providers import DATADOG
from analysis_service.core.wire_types import Text

Given = Mapping[str, Any]


def judged(expect: Given, call: Callable[[], Any]) -> Any:
    """The call's result; None after checking the error that is expected instead."""
    if "error" not in expect and "errorPattern" not in expect:
        return call()
    with pytest.raises(ValueError) as failure:
        call()
    message = str(failure.value)
    if "error" in expect:
        assert message == expect["error"]
    else:
        assert re.search(expect["errorPattern"], message), message
    return None


def arguments(values: Any) -> tuple[Argument, ...]:
    return msgspec.convert(values or [], tuple[Argument, ...])


def plain(args: tuple[Argument, ...]) -> Any:
    return list(msgspec.to_builtins(args))


def metrics(values: Any) -> tuple[Metric, ...]:
    return tuple(msgspec.convert({"name": "", **value}, Metric) for value in values)


def templates(values: Any, *, cluster_scope: bool = False) -> tuple[Template, ...]:
    return tuple(
        msgspec.convert({"name": f"unnamed-{index}", **value, "clusterScope": cluster_scope}, Template)
        for index, value in enumerate(values)
    )


def validate(given: Given, expect: Given) -> None:
    error = argo_error(metrics(given["metrics"]))
    if "ok" in expect:
        assert error is None
    elif "error" in expect:
        assert error == expect["error"]
    else:
        assert error is not None
        assert re.search(expect["errorPattern"], error), error


def metric_resolve(given: Given, expect: Given) -> None:
    (metric,) = metrics([given["metric"]])
    assert msgspec.to_builtins(resolve_metric(metric, arguments(given["args"]))) == expect["metric"]


def text_resolve(resolve: Callable[[str, Any], str]) -> Callable[[Given, Given], None]:
    def run(given: Given, expect: Given) -> None:
        value = judged(expect, lambda: resolve(given["template"], arguments(given["args"])))
        assert value == expect.get("value")

    return run


def experiment_arg(given: Given, expect: Given) -> None:
    value = judged(expect, lambda: experiment_argument(given["template"], given["experiment"]))
    assert value == expect.get("value")


def rollout_args(given: Given, expect: Given) -> None:
    args, error = rollout_arguments(
        given["args"], given["rollout"], stable_hash=given["stableHash"], latest_hash=given["latestHash"]
    )
    assert not error
    assert plain(args) == expect["args"]


def rollout_path(given: Given, expect: Given) -> None:
    value = judged(expect, lambda: rollout_field(given["rollout"], given["path"]))
    assert value == expect.get("value")


def run_labels(given: Given, expect: Given) -> None:
    labels = run_object.run_labels(
        given["type"], given["podHash"], step_index=given["stepIndex"], instance_id=given["instanceID"]
    )
    assert labels == expect["labels"]


def template_flatten(given: Given, expect: Given) -> None:
    sources = templates(given["templates"]), templates(given["clusterTemplates"], cluster_scope=True)
    flat = judged(expect, lambda: flatten(*sources))
    if flat is None:
        return
    assert [metric.name for metric in flat.metrics] == expect["metrics"]
    assert plain(flat.args) == expect["args"]
    rules = [rule["metricName"] for template in given["templates"] for rule in template.get("dryRun", ())]
    rules += [rule["metricName"] for template in given["clusterTemplates"] for rule in template.get("dryRun", ())]
    assert [rule.metric_name for rule in flat.dry_run] == rules
    assert len(flat.measurement_retention) == len(rules)


def template_unique(given: Given, expect: Given) -> None:
    for key in ("templates", "clusterTemplates"):
        assert [t.name for t in unique(Template(name=name) for name in given[key])] == expect[key]


def args_merge(given: Given, expect: Given) -> None:
    merged = judged(expect, lambda: merge_args(arguments(given["incoming"]), arguments(given["template"])))
    if merged is not None:
        assert plain(merged) == (expect["args"] or [])


def run_from_templates(given: Given, expect: Given) -> None:
    expanded = Expanded(templates(given["templates"]), templates(given["clusterTemplates"], cluster_scope=True))
    spec = judged(expect, lambda: run_spec(expanded, args=arguments(given["args"])))
    if spec is None:
        return
    made = run_object.manifest(
        spec, name=given["name"], generate_name=given["generateName"], namespace=given["namespace"]
    )
    assert made["spec"]["args"] == expect["args"]
    for key in ("name", "generateName", "namespace"):
        if key in expect:
            assert made["metadata"][key] == expect[key]


def run_from_unstructured(given: Given, expect: Given) -> None:
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "template", "resourceVersion": given["resourceVersion"]},
        "spec": given["template"],
    }
    made = run_object.manifest_of_template(
        template,
        arguments(given["args"]),
        name=given["name"],
        generate_name=given["generateName"],
        namespace=given["namespace"],
    )
    assert made["kind"] == expect["kind"]
    assert made["metadata"].get("resourceVersion") == expect["resourceVersion"]
    assert made["spec"]["args"] == expect["args"]


def spec_of(value: Given) -> RunSpec:
    return RunSpec(metrics=metrics(value["metrics"]), terminate=value.get("terminate", False))


def run_semantic_equal(given: Given, expect: Given) -> None:
    assert semantically_equal(spec_of(given["left"]), spec_of(given["right"])) == expect["equal"]


class Existing(NamedTuple):
    phase: Phase
    spec: RunSpec
    owner: str


def run_create(given: Given, expect: Given) -> None:
    wanted, other = RunSpec(metrics=(Metric(name="a"),)), RunSpec(metrics=(Metric(name="b"),))
    taken = {
        run["name"]: Existing(Phase(run["phase"]), wanted if run["equal"] else other, run["controllerRef"])
        for run in given["existing"]
    }
    claimed = judged(
        expect, lambda: run_object.claim_name(given["name"], wanted, given["controllerRef"] or "", taken.get)
    )
    if claimed is not None:
        assert claimed == (expect["name"], expect.get("reused", False))


def run_instance_id(given: Given, expect: Given) -> None:
    assert run_object.instance_id(given["labels"]) == expect["instanceID"]


def crd_datadog(given: Given, expect: Given) -> None:
    field, _, aspect = given["field"].partition(".")
    shape = DATADOG.fields[field].type
    assert aspect == "enum"
    assert isinstance(shape, Text)
    assert list(shape.enum) == expect["value"]


assert issubclass(ComposeError, ValueError)  # `judged` relies on it

RUNNERS: dict[str, Callable[[Given, Given], None]] = {
    "template.validate": validate,
    "metric.resolve": metric_resolve,
    "template.resolve": text_resolve(resolve_template),
    "template.quoted": text_resolve(resolve_quoted),
    "experiment.arg": experiment_arg,
    "rollout.args": rollout_args,
    "rollout.path": rollout_path,
    "run.labels": run_labels,
    "template.flatten": template_flatten,
    "template.unique": template_unique,
    "args.merge": args_merge,
    "run.fromTemplates": run_from_templates,
    "run.fromUnstructured": run_from_unstructured,
    "run.semanticEqual": run_semantic_equal,
    "run.create": run_create,
    "run.instanceID": run_instance_id,
    "crd.datadog": crd_datadog,
}
