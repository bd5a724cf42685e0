"""AnalysisRun objects that a Rollout makes: names, labels, and what happens when the name is taken."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from analysis_service.core.compose import ComposeError, merge_args, semantically_equal
from analysis_service.core.model import Argument, Phase, RunSpec
from analysis_service.core.wire import API_VERSION, RUN

POD_HASH = "rollouts-pod-template-hash"
RUN_TYPE = "rollout-type"
STEP_INDEX = "step-index"
INSTANCE_ID = "argo-rollouts.argoproj.io/controller-instance-id"

STEP, BACKGROUND, PRE_PROMOTION, POST_PROMOTION = "Step", "Background", "PrePromotion", "PostPromotion"


class Existing(Protocol):
    """A run that already has a name."""

    @property
    def phase(self) -> Phase: ...
    @property
    def spec(self) -> RunSpec: ...
    @property
    def owner(self) -> str:
        """UID of the object that made it."""
        ...


def run_name(rollout: str, pod_hash: str, revision: str, infix: str = "") -> str:
    """`<rollout>-<hash>-<revision>[-<infix>]`; infix: the step's index, `pre`, `post`, none for background."""
    return "-".join(part for part in (rollout, pod_hash, revision, infix) if part)


def run_labels(kind: str, pod_hash: str, *, step_index: str | None = None, instance_id: str = "") -> dict[str, str]:
    """The labels of a Rollout's run, before those of analysisRunMetadata and of the selector."""
    labels = {POD_HASH: pod_hash, RUN_TYPE: kind}
    if kind == STEP and step_index is not None:
        labels[STEP_INDEX] = step_index
    if instance_id:
        labels[INSTANCE_ID] = instance_id
    return labels


def instance_id(labels: Mapping[str, str] | None) -> str:
    """The controller instance that an object belongs to, "" for none."""
    return (labels or {}).get(INSTANCE_ID, "")


def claim_name(name: str, spec: RunSpec, owner: str, find: Callable[[str], Existing | None]) -> tuple[str, bool]:
    """A free name for a run, or that of an equal unfinished run of the same owner; True in the second case.

    Tries `name`, `name.1`, `name.2`, ... Raises ValueError for a run without an owner.
    """
    if not owner:
        raise ValueError("Supplied run does not have an owner reference")
    candidate, counter = name, 0
    while (existing := find(candidate)) is not None:
        if not existing.phase.done and existing.owner == owner and semantically_equal(existing.spec, spec):
            return candidate, True
        counter += 1
        candidate = f"{name}.{counter}"
    return candidate, False


def manifest(
    spec: RunSpec,
    *,
    name: str = "",
    generate_name: str = "",
    namespace: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The run as an object for a cluster: Argo's fields only."""
    fields: dict[str, Any] = _plain(spec)
    ours = ("strict", "score", "policies")
    return {
        "apiVersion": API_VERSION,
        "kind": RUN,
        "metadata": _metadata(name, generate_name, namespace, labels, annotations),
        "spec": {key: value for key, value in fields.items() if key not in ours},
    }


def manifest_of_template(
    template: Mapping[str, Any],
    args: Sequence[Argument],
    *,
    name: str = "",
    generate_name: str = "",
    namespace: str = "",
) -> dict[str, Any]:
    """A run object made of a template object: same spec, arguments merged, nothing of the template's own identity.

    Raises ComposeError when an argument stays without a value, msgspec.ValidationError when `args` are none.
    """
    spec = dict(template.get("spec") or {})
    declared = msgspec.convert(spec.get("args") or [], tuple[Argument, ...])
    spec["args"] = _plain(merge_args(args, declared))
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": API_VERSION,
        "kind": RUN,
        "metadata": _metadata(name, generate_name, namespace, metadata.get("labels"), metadata.get("annotations")),
        "spec": spec,
    }


def _plain(value: Any) -> Any:
    """Maps and lists; `to_builtins` would leave tuples."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _metadata(
    name: str,
    generate_name: str,
    namespace: str,
    labels: Mapping[str, str] | None,
    annotations: Mapping[str, str] | None,
) -> dict[str, Any]:
    fields = {
        "name": name,
        "generateName": generate_name,
        "namespace": namespace,
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
    }
    return {key: value for key, value in fields.items() if value}


__all__ = [
    "ComposeError",
    "Existing",
    "claim_name",
    "instance_id",
    "manifest",
    "manifest_of_template",
    "run_labels",
    "run_name",
]
