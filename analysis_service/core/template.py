"""AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun: document -> values, strictly.

`read` gives what could be understood together with everything that is wrong; `core.validate.load` refuses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from analysis_service.core.document import Document, parse_document, parse_documents
from analysis_service.core.model import RunSpec, Template, Value
from analysis_service.core.nodes import MapNode, Node, ScalarNode, Source, from_plain
from analysis_service.core.problem import Problem, echo, limited
from analysis_service.core.shape import Shaper, kind_of, suggest
from analysis_service.core.wire import API_VERSION, CLUSTER_TEMPLATE, DOCUMENTS, RUN, TEMPLATE

ALL_KINDS = (TEMPLATE, CLUSTER_TEMPLATE, RUN)
TEMPLATE_KINDS = (TEMPLATE, CLUSTER_TEMPLATE)


class RunDocument(Value, frozen=True):
    """An AnalysisRun as written: flat, with its own arguments."""

    name: str
    spec: RunSpec
    namespace: str = ""
    generate_name: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document. `content` holds what was understood, without the parts that `problems` complain of."""

    kind: str  # "" if it could not be told
    content: Template | RunDocument
    source: Source
    problems: tuple[Problem, ...] = field(default=())

    @property
    def template(self) -> Template:
        """The document as a template; a run is a template whose metrics stand alone."""
        if isinstance(self.content, Template):
            return self.content
        spec = self.content.spec
        return Template(
            name=self.content.name,
            namespace=self.content.namespace,
            metrics=spec.metrics,
            args=spec.args,
            dry_run=spec.dry_run,
            measurement_retention=spec.measurement_retention,
            score=spec.score,
            labels=self.content.labels,
            annotations=self.content.annotations,
        )


def read(data: bytes | str, kinds: Sequence[str] = ALL_KINDS) -> Parsed:
    """Read the one document of a text. Raises DocumentError only if it is no readable document at all."""
    return understand(parse_document(data), kinds)


def read_all(data: bytes | str, kinds: Sequence[str] = ALL_KINDS, *, skip_foreign: bool = False) -> tuple[Parsed, ...]:
    """Read every document of a text.

    skip_foreign: leave out documents of kinds that are none of ours (a Rollout or Service in the same file), unless
    nothing would be left or the kind looks like a misspelt one.
    """
    documents = parse_documents(data)
    ours = tuple(document for document in documents if not (skip_foreign and _is_foreign(document.root)))
    return tuple(understand(document, kinds) for document in ours or documents)


def read_value(value: Any, kinds: Sequence[str] = ALL_KINDS) -> Parsed:
    """Read a document that came as plain values (from a cluster, from JSON already decoded)."""
    return understand(Document(Source(from_plain(value))), kinds)


def understand(document: Document, kinds: Sequence[str] = ALL_KINDS) -> Parsed:
    """Read a parsed document against the shape of its kind."""
    shaper = Shaper()
    shaper.include(document.problems)
    root = document.root
    kind = _kind(shaper, root, kinds)
    content: Template | RunDocument = Template(name="")
    if kind:
        values = shaper.object(DOCUMENTS[kind], root, "")
        if isinstance(values, dict):
            content = _run(values) if kind == RUN else _template(values, cluster_scope=kind == CLUSTER_TEMPLATE)
    return Parsed(kind, content, document.source, limited(shaper.problems))


def _kind(shaper: Shaper, root: Node, kinds: Sequence[str]) -> str:
    """The kind to read the document as; "" when there is no telling."""
    if not isinstance(root, MapNode):
        shaper.report("WrongType", "", f"want a map with apiVersion, kind and spec, got {kind_of(root)}", root.at)
        return ""
    version, kind = root.get("apiVersion"), root.get("kind")
    if isinstance(version, ScalarNode) and isinstance(version.value, str) and version.value != API_VERSION:
        message = f"unknown apiVersion '{echo(version.value)}'"
        shaper.report("UnknownApiVersion", "apiVersion", message, version.at, f"Known: {API_VERSION}.")
    if not isinstance(kind, ScalarNode) or not isinstance(kind.value, str):
        at = kind.at if kind else root.at
        shaper.report("Required", "kind", f"required: one of {', '.join(kinds)}", at)
        return ""
    if kind.value not in kinds:
        message = f"kind '{echo(kind.value)}' is not wanted here"
        shaper.report("WrongKind", "kind", message, kind.at, suggest(kind.value, kinds))
        return kind.value if kind.value in DOCUMENTS else ""
    return kind.value


def _is_foreign(root: Node) -> bool:
    kind = root.get("kind") if isinstance(root, MapNode) else None
    if not isinstance(kind, ScalarNode) or not isinstance(kind.value, str) or kind.value in DOCUMENTS:
        return False
    return "Did you mean" not in suggest(kind.value, DOCUMENTS, cutoff=0.8)


def _template(values: dict[str, Any], *, cluster_scope: bool) -> Template:
    meta, spec = values.get("metadata", {}), values.get("spec", {})
    fields = {key: value for key, value in spec.items() if value is not None}
    document = {
        "name": meta.get("name", ""),
        "namespace": "" if cluster_scope else meta.get("namespace", ""),
        "clusterScope": cluster_scope,
        "labels": meta.get("labels", {}),
        "annotations": meta.get("annotations", {}),
        **_listed(fields),
    }
    return msgspec.convert(document, Template)


def _run(values: dict[str, Any]) -> RunDocument:
    meta, spec = values.get("metadata", {}), values.get("spec", {})
    document = {
        "name": meta.get("name", ""),
        "generateName": meta.get("generateName", ""),
        "namespace": meta.get("namespace", ""),
        "labels": meta.get("labels", {}),
        "annotations": meta.get("annotations", {}),
        "spec": {"metrics": [], **_listed(spec)},
    }
    return msgspec.convert(document, RunDocument)


# Fields without which the model cannot be built; their absence is already reported
_PLACEHOLDERS: dict[str, dict[str, Any]] = {
    "metrics": {"name": ""},
    "args": {"name": ""},
    "dryRun": {"metricName": ""},
    "measurementRetention": {"metricName": ""},
    "templates": {"templateName": ""},
}


def _listed(spec: dict[str, Any]) -> dict[str, Any]:
    filled = dict(spec)
    for key, placeholder in _PLACEHOLDERS.items():
        if key in filled:
            filled[key] = [{**placeholder, **item} for item in filled[key]]
    for argument in filled.get("args", ()):
        source = argument.get("valueFrom")
        if source is not None:
            argument["valueFrom"] = _whole(source)
    return filled


def _whole(source: dict[str, Any]) -> dict[str, Any]:
    """valueFrom without references that lack a part."""
    parts = {"secretKeyRef": ("name", "key"), "fieldRef": ("fieldPath",)}
    return {key: ref for key, ref in source.items() if all(part in ref for part in parts[key])}
