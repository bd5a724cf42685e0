"""From a request to a run: templates found and composed, arguments merged and checked, the spec frozen.

Everything that can be known before the first question is said here, at once, with its field: not in the middle of a
rollout.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from analysis_service.api.convert import template_name
from analysis_service.api.errors import ApiError, Violation, invalid_document, invalid_field
from analysis_service.api.resources import check_name, check_namespace
from analysis_service.core.argument_problems import check_arguments
from analysis_service.core.compose import ComposeError, expand, flatten, run_spec
from analysis_service.core.lint import load_all
from analysis_service.core.model import Argument, DryRunRule, Run, RunSpec, Template, TemplateRef
from analysis_service.core.prepare import prepare
from analysis_service.core.problem import Problem, errors
from analysis_service.core.problems import problems
from analysis_service.core.secret_arguments import SecretError as MissingKey
from analysis_service.core.secret_arguments import needed, with_secrets
from analysis_service.core.template import RunDocument, read_all
from analysis_service.secrets import SecretError, Secrets
from analysis_service.stores.base import NotFound, Store

MAX_LABELS = 64
MAX_LABEL_CHARACTERS = 63
MAX_REFERENCED = 200
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class CreateRun:
    """What a caller asks for. templates: (name, cluster-wide, version or 0 for the latest) of stored ones."""

    namespace: str
    run_name: str = ""
    templates: tuple[tuple[str, bool, int], ...] = ()
    inline_text: str = ""
    args: tuple[Argument, ...] = ()
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    policies: Mapping[str, str] = field(default_factory=dict)
    refuse_endless: bool = False
    dry_run_metrics: tuple[str, ...] = ()

    def digest(self) -> str:
        """Of everything but the request id: the same id with another digest is another request."""
        parts = [getattr(self, name) for name in self.__dataclass_fields__ if name != "request_id"]
        return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def check_request(request: CreateRun) -> None:
    """Raises ApiError with every field that is malformed."""
    wrong: list[Violation] = []

    def attempt(check: Callable[[], None]) -> None:
        try:
            check()
        except ApiError as error:
            wrong.extend(error.violations)

    attempt(lambda: check_namespace(request.namespace))
    if request.run_name:
        attempt(lambda: check_name("run_name", request.run_name))
    if request.request_id and not _is_uuid(request.request_id):
        wrong.append(Violation("request_id", "want a UUID that is not all zero", "InvalidField"))
    if not request.templates and not request.inline_text:
        wrong.append(Violation("templates", "give templates (stored ones) or inline_text", "Required"))
    if len(request.labels) > MAX_LABELS:
        wrong.append(Violation("labels", f"{len(request.labels)} labels; limit {MAX_LABELS}", "TooMany"))
    for key, value in request.labels.items():
        if (
            not _is_label(key.rpartition("/")[2])
            or len(key) > 4 * MAX_LABEL_CHARACTERS
            or (value and not _is_label(value))
        ):
            want = f"want at most {MAX_LABEL_CHARACTERS} of a-z, A-Z, 0-9, '-', '_' and '.'"
            wrong.append(Violation(f"labels[{key[:80]!r}]", want, "InvalidField"))
    if wrong:
        first = f"{wrong[0].field}: {wrong[0].description}"
        raise ApiError("INVALID_ARGUMENT", "INVALID_FIELD", first, wrong)


async def build_run(
    request: CreateRun,
    store: Store,
    now: datetime,
    *,
    strict: bool,
    check_provider: Callable[[Mapping[str, Any]], list[str]],
    secrets: Secrets,
) -> tuple[Run, str]:
    """(the run, the resource name of its first stored template or ""). Raises ApiError."""
    strict = strict or request.strict
    inline = _inline(request.inline_text, strict=strict)
    roots: list[Template | TemplateRef] = []
    known: dict[tuple[bool, str], Template] = {}
    for name, cluster, version in request.templates:
        template = await _stored(store, request.namespace, name, cluster, version)
        roots.append(template)
        known[cluster, name] = template
    runs = [document for document in inline if isinstance(document, RunDocument)]
    for document in inline:
        if isinstance(document, Template):
            roots.append(document)
            known[document.cluster_scope, document.name] = document
    await _follow(store, request.namespace, [r for r in roots if isinstance(r, Template)], known)
    if runs:
        spec, name = _of_run(runs, roots), runs[0].name
        warnings: list[Problem] = []
    else:
        spec, name, warnings = _of_templates(request, roots, known, strict=strict)
    spec = replace(spec, strict=strict, policies=dict(request.policies))
    warnings += _check_filled_in(spec, check_provider, strict=strict, gate=request.refuse_endless)
    await _check_secrets(spec, request.namespace, secrets)
    run_id = uuid7(now)
    run = Run(
        id=run_id,
        namespace=request.namespace,
        name=request.run_name or f"{name or 'run'}-{run_id[-8:]}",
        spec=spec,
        warnings=tuple(dict.fromkeys(str(problem) for problem in warnings)),
        labels=dict(request.labels),
        annotations=dict(request.annotations),
        created_at=now,
    )
    first = request.templates[0] if request.templates else None
    return run, template_name("" if first[1] else request.namespace, first[0]) if first else ""


def _inline(text: str, *, strict: bool) -> list[Template | RunDocument]:
    """All documents of the text. Raises DocumentError with everything wrong in any of them."""
    return [checked.parsed.content for checked in load_all(text, strict=strict)] if text else []


def _of_run(runs: Sequence[RunDocument], others: Sequence[object]) -> RunSpec:
    """An AnalysisRun is whole: nothing can be composed with it."""
    if len(runs) > 1 or others:
        raise invalid_field("inline_text", "an AnalysisRun stands alone; give one AnalysisRun, or templates")
    return runs[0].spec


async def _stored(store: Store, namespace: str, name: str, cluster: bool, version: int) -> Template:
    try:
        record = await store.get_template("" if cluster else namespace, name, version or None)
    except NotFound as error:
        raise ApiError(
            "FAILED_PRECONDITION",
            "TEMPLATE_NOT_FOUND",
            str(error),
            [Violation("templates", str(error), "TemplateNotFound")],
        ) from None
    content = read_all(record.text)[0].content
    if not isinstance(content, Template):
        raise ApiError("DATA_LOSS", "DATA_LOSS_DETECTED", f"the stored template {name!r} is not a template any more")
    return content


async def _follow(
    store: Store, namespace: str, roots: Sequence[Template], known: dict[tuple[bool, str], Template]
) -> None:
    """Fetch everything that is referenced, however deep; what is missing is left for `compose` to name."""
    todo = list(roots)
    while todo and len(known) <= MAX_REFERENCED:
        for reference in todo.pop().templates:
            key = (reference.cluster_scope, reference.template_name)
            if key in known:
                continue
            try:
                known[key] = await _stored(store, namespace, reference.template_name, reference.cluster_scope, 0)
            except ApiError as error:
                if error.reason != "TEMPLATE_NOT_FOUND":
                    raise
                continue
            todo.append(known[key])


def _of_templates(
    request: CreateRun,
    roots: Sequence[Template | TemplateRef],
    known: Mapping[tuple[bool, str], Template],
    *,
    strict: bool,
) -> tuple[RunSpec, str, list[Problem]]:
    """(the composed spec, the first template's name, what is doubtful)."""
    try:
        expanded = expand(roots, lambda ref: known.get((ref.cluster_scope, ref.template_name)))
        flat = flatten(expanded.namespaced, expanded.cluster)
        found = check_arguments(flat, request.args, strict=strict)
        _raise_errors(found, "INVALID_ARGUMENT_VALUE")
        _raise_errors(found := [*found, *problems(flat, strict=strict, gate=request.refuse_endless)])
        rules = tuple(DryRunRule(metric_name=pattern) for pattern in request.dry_run_metrics)
        spec = run_spec(expanded, args=request.args, dry_run=rules)
    except ComposeError as error:
        if error.problem.code == "TemplateNotFound":
            violation = Violation(error.problem.path, error.problem.message, error.problem.code)
            raise ApiError("FAILED_PRECONDITION", "TEMPLATE_NOT_FOUND", str(error), [violation]) from None
        argument = error.problem.path.startswith("args")
        raise invalid_document([error.problem], "INVALID_ARGUMENT_VALUE" if argument else "INVALID_TEMPLATE") from None
    first = next((root.name for root in roots if isinstance(root, Template)), "")
    return spec, first, found


def _raise_errors(found: Sequence[Problem], reason: str = "INVALID_TEMPLATE") -> None:
    wrong = errors(found)
    if wrong and all(problem.code == "RunsForever" for problem in wrong):
        violations = [Violation(p.path, p.message, p.code) for p in wrong]
        raise ApiError("FAILED_PRECONDITION", "RUNS_FOREVER", wrong[0].message, violations)
    if wrong:
        raise invalid_document(wrong, reason)


def _check_filled_in(
    spec: RunSpec, check_provider: Callable[[Mapping[str, Any]], list[str]], *, strict: bool, gate: bool
) -> list[Problem]:
    """What only shows once the arguments are filled in: values, Argo's own validation, each provider's. -> warnings"""
    ready = prepare(spec)
    filled = Template(
        name="",
        metrics=tuple(metric.metric for metric in ready.metrics),
        dry_run=spec.dry_run,
        measurement_retention=spec.measurement_retention,
    )
    found = problems(filled, strict=strict, gate=gate) if ready.metrics else []
    _raise_errors(found)
    if ready.error:
        raise ApiError(
            "INVALID_ARGUMENT", "INVALID_TEMPLATE", ready.error, [Violation("spec", ready.error, "SpecInvalid")]
        )
    wrong = [
        Violation(f"spec.metrics[{index}].provider", text, "InvalidProvider")
        for index, metric in enumerate(ready.metrics)
        for text in check_provider(metric.metric.provider)
    ]
    if wrong:
        raise ApiError("INVALID_ARGUMENT", "INVALID_TEMPLATE", f"{wrong[0].field}: {wrong[0].description}", wrong)
    return found


async def _check_secrets(spec: RunSpec, namespace: str, secrets: Secrets) -> None:
    """Every secret an argument names must be there now: a rollout should not find out in its middle."""
    try:
        found = {name: await secrets.read(namespace, name) for name in needed(spec.args, strict=spec.strict)}
        with_secrets(spec.args, found, strict=spec.strict)
    except (SecretError, MissingKey) as error:
        violation = Violation("args", str(error), "SecretNotFound")
        raise ApiError("FAILED_PRECONDITION", "SECRET_NOT_FOUND", str(error), [violation]) from None


def uuid7(now: datetime) -> str:
    """A UUID that sorts by time (RFC 9562, version 7)."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (milliseconds << 80) | (0x7 << 76) | ((random >> 64 & 0xFFF) << 64) | (0b10 << 62) | (random & ((1 << 62) - 1))
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _is_uuid(text: str) -> bool:
    import uuid

    try:
        return len(text) == _UUID_LENGTH and uuid.UUID(text).int != 0
    except ValueError:
        return False


def _is_label(text: str) -> bool:
    return 0 < len(text) <= MAX_LABEL_CHARACTERS and all(c.isascii() and (c.isalnum() or c in "-_.") for c in text)
