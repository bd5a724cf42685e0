"""From a request to a run: templates found and composed, arguments merged and checked, the spec frozen.

Everything that can be known before the first question is said here, at once, with its field: not in the middle of a
rollout.
"""

import difflib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from analysis_service.api.convert import template_name
from analysis_service.api.errors import ApiError, Violation, invalid_document, invalid_field, of_secret
from analysis_service.api.resources import check_name, check_namespace
from analysis_service.core.argument_problems import check_secret
from analysis_service.core.lint import load_all
from analysis_service.core.model import Argument, DryRunRule, Run, RunSpec, Template, TemplateRef
from analysis_service.core.prepare import prepare
from analysis_service.core.problem import Problem, child, errors
from analysis_service.core.secret_arguments import SecretError as MissingKey
from analysis_service.core.secret_arguments import needed, reference, with_secrets
from analysis_service.core.start import start
from analysis_service.core.template import RunDocument, read_all
from analysis_service.secrets import SecretError, Secrets
from analysis_service.stores.base import NotFound, Store
from providers.base import Refusal

MAX_LABELS = 64
MAX_LABEL_CHARACTERS = 63
MAX_LABEL_PREFIX = 253  # of a key such as app.kubernetes.io/name
MAX_ANNOTATION_BYTES = 64 << 10
MAX_REFERENCED = 200
SIMILAR = 3  # names shown to someone who misspelt one


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
        """Of every field but the request id, one after the other, so that two digests tell which field differs."""
        names = [name for name in self.__dataclass_fields__ if name != "request_id"]
        return " ".join(f"{name}:{_digest(getattr(self, name))}" for name in names)


def first_difference(one: str, other: str) -> str:
    """The first field in which two digests differ."""
    pairs = zip(one.split(), other.split(), strict=False)
    return next((a.partition(":")[0] for a, b in pairs if a != b), "the body")


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:20]


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
    for index, (name, _, version) in enumerate(request.templates):
        where = f"templates[{index}]"
        attempt(lambda where=where, name=name: check_name(f"{where}.name", name))  # type: ignore[misc]
        if version < 0:
            wrong.append(Violation(f"{where}.version", f"{version} is negative; 0 is the latest", "InvalidField"))
    names = [argument.name for argument in request.args]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1 or not name):
        text = f"given {names.count(name)} times; give it once" if name else "an argument has no name"
        wrong.append(Violation(child("args", name) if name else "args", text, "DuplicateArg" if name else "Required"))
    wrong += _label_violations(request.labels)
    for key, value in request.annotations.items():
        if not 0 < len(key) <= MAX_LABEL_PREFIX + MAX_LABEL_CHARACTERS or len(value.encode()) > MAX_ANNOTATION_BYTES:
            text = f"want a key of 1 to 316 characters and at most {MAX_ANNOTATION_BYTES} bytes"
            wrong.append(Violation(child("annotations", key), text, "TooLarge"))
    if wrong:
        first = f"{wrong[0].field}: {wrong[0].description}"
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ApiError("INVALID_ARGUMENT", "INVALID_FIELD", first + more, wrong[:MAX_LABELS])


def _label_violations(labels: Mapping[str, str]) -> Iterator[Violation]:
    if len(labels) > MAX_LABELS:
        yield Violation("labels", f"{len(labels)} labels; limit {MAX_LABELS}", "TooMany")
        return
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if not _is_label(name) or len(prefix) > MAX_LABEL_PREFIX or (value and not _is_label(value)):
            want = f"want at most {MAX_LABEL_CHARACTERS} of a-z, A-Z, 0-9, '-', '_' and '.', in key and value"
            yield Violation(child("labels", key), want, "InvalidField")


async def build_run(
    request: CreateRun,
    store: Store,
    now: datetime,
    *,
    strict: bool,
    check_provider: Callable[[Mapping[str, Any]], list[str]],
    secrets: Secrets,
) -> tuple[Run, str]:
    """(the run, the resource name of its first stored template or ""). Raises ApiError, DocumentError, StoreError."""
    strict = strict or request.strict
    inline = (
        [checked.parsed.content for checked in load_all(request.inline_text, strict=strict)]
        if (request.inline_text)
        else []
    )
    roots: list[Template] = []
    for index, (name, cluster, version) in enumerate(request.templates):
        roots.append(await _stored(store, request.namespace, name, cluster, version, f"templates[{index}]"))
    document = next((content for content in inline if isinstance(content, RunDocument)), None)
    if document is None:
        roots += [content for content in inline if isinstance(content, Template)]
    elif len(inline) > 1 or roots:
        raise invalid_field("inline_text", "an AnalysisRun stands alone; give one AnalysisRun, or templates")
    else:
        roots = [_as_template(document)]
    known = await _follow(store, request.namespace, roots)
    spec, found = start(
        roots,
        lambda ref: known.get((ref.cluster_scope, ref.template_name)),
        args=request.args,
        dry_run=[DryRunRule(metric_name=pattern) for pattern in request.dry_run_metrics],
        strict=strict,
        gate=request.refuse_endless,
    )
    if spec is None:
        raise refusal(errors(found))
    _check_providers(spec, check_provider)
    found += await _check_secrets(spec, request.namespace, secrets)
    spec = replace(spec, policies=dict(request.policies))
    labels, annotations = dict(request.labels), dict(request.annotations)
    if document is not None:
        labels, annotations = {**document.labels, **labels}, {**document.annotations, **annotations}
        spec = replace(spec, ttl_strategy=document.spec.ttl_strategy, terminate=document.spec.terminate)
        _refuse_labels(labels)
    run_id = uuid7(now)
    run = Run(
        id=run_id,
        namespace=request.namespace,
        name=request.run_name or _run_name(document, roots, run_id),
        spec=spec,
        warnings=tuple(dict.fromkeys(str(problem) for problem in found)),
        labels=labels,
        annotations=annotations,
        created_at=now,
    )
    first = request.templates[0] if request.templates else None
    return run, template_name("" if first[1] else request.namespace, first[0]) if first else ""


def _as_template(document: RunDocument) -> Template:
    """An AnalysisRun is what a template of its own becomes."""
    spec = document.spec
    return Template(
        name=document.name,
        metrics=spec.metrics,
        args=spec.args,
        dry_run=spec.dry_run,
        measurement_retention=spec.measurement_retention,
        score=spec.score,
    )


def _run_name(document: RunDocument | None, roots: Sequence[Template], run_id: str) -> str:
    """A document's own name is kept: running it twice is AlreadyExists, as in a cluster."""
    if document is not None and document.name:
        return document.name
    prefix = document.generate_name if document is not None else f"{roots[0].name if roots else ''}-"
    return f"{prefix.lstrip('-') or 'run-'}{run_id[-12:]}"


def _refuse_labels(labels: Mapping[str, str]) -> None:
    wrong = list(_label_violations(labels))
    if wrong:
        raise ApiError("INVALID_ARGUMENT", "INVALID_FIELD", f"{wrong[0].field}: {wrong[0].description}", wrong)


async def _stored(store: Store, namespace: str, name: str, cluster: bool, version: int, path: str) -> Template:
    scope = "" if cluster else namespace
    try:
        record = await store.get_template(scope, name, version or None)
    except NotFound as error:
        page = await store.list_templates(scope, MAX_REFERENCED)
        near = difflib.get_close_matches(name, [record.name for record in page.items if record.name != name], SIMILAR)
        text = f"{error}; did you mean {', '.join(near)}?" if near else str(error)
        raise ApiError(
            "FAILED_PRECONDITION", "TEMPLATE_NOT_FOUND", f"{path}: {text}", [Violation(path, text, "TemplateNotFound")]
        ) from None
    content = read_all(record.text)[0].content
    if not isinstance(content, Template):
        raise ApiError("DATA_LOSS", "DATA_LOSS_DETECTED", f"the stored template {name!r} is not a template any more")
    return content


async def _follow(store: Store, namespace: str, roots: Sequence[Template]) -> dict[tuple[bool, str], Template]:
    """Everything that is referenced, however deep, beside the roots; what is missing is left for `start` to name."""
    known = {(template.cluster_scope, template.name): template for template in roots}
    todo = list(roots)
    while todo and len(known) <= MAX_REFERENCED:
        for wanted in todo.pop().templates:
            key = (wanted.cluster_scope, wanted.template_name)
            if key not in known:
                template = await _referenced(store, namespace, wanted)
                if template is not None:
                    known[key] = template
                    todo.append(template)
    return known


async def _referenced(store: Store, namespace: str, wanted: TemplateRef) -> Template | None:
    try:
        return await _stored(store, namespace, wanted.template_name, wanted.cluster_scope, 0, "")
    except ApiError as error:
        if error.reason != "TEMPLATE_NOT_FOUND":
            raise
        return None


def refusal(wrong: Sequence[Problem]) -> ApiError:
    """Why a run must not start. The code and reason are those of the first problem's kind; every problem is a field."""
    violations = _violations(wrong)
    codes = {problem.code for problem in wrong}
    message = str(wrong[0])
    if codes == {"TemplateNotFound"}:
        return ApiError("FAILED_PRECONDITION", "TEMPLATE_NOT_FOUND", message, violations)
    if codes == {"RunsForever"}:
        return ApiError("FAILED_PRECONDITION", "RUNS_FOREVER", message, violations)
    if codes == {"SecretOutsideNamespace"}:
        return ApiError("PERMISSION_DENIED", "SECRET_FORBIDDEN", message, violations)
    arguments = all(problem.path.startswith("args") for problem in wrong)
    return invalid_document(wrong, "INVALID_ARGUMENT_VALUE" if arguments else "INVALID_TEMPLATE")


def _violations(wrong: Sequence[Problem]) -> list[Violation]:
    return [Violation(p.path, str(replace(p, path="")), p.code) for p in wrong]


def _check_providers(spec: RunSpec, check_provider: Callable[[Mapping[str, Any]], list[str]]) -> None:
    """What only shows once the arguments are filled in: Argo's own validation, and each provider's."""
    ready = prepare(spec)
    if ready.error:
        violation = Violation("spec", ready.error, "SpecInvalid")
        raise ApiError("INVALID_ARGUMENT", "INVALID_TEMPLATE", ready.error, [violation])
    wrong: list[Problem] = []
    forbidden: list[Problem] = []
    for index, metric in enumerate(ready.metrics):
        for text in check_provider(metric.metric.provider):
            path = f"spec.metrics[{index}].provider"
            if isinstance(text, Refusal):
                forbidden.append(Problem(text.reason, path, text))
            else:
                wrong.append(Problem("InvalidProvider", path, text))
    if wrong:
        raise refusal(wrong + forbidden)
    if forbidden:
        raise ApiError("PERMISSION_DENIED", "DESTINATION_FORBIDDEN", str(forbidden[0]), _violations(forbidden))


async def _check_secrets(spec: RunSpec, namespace: str, secrets: Secrets) -> tuple[Problem, ...]:
    """Every secret an argument names must be there now: a rollout should not find out in its middle. -> warnings"""
    found: dict[str, Mapping[str, str]] = {}
    try:
        for name in needed(spec.args, strict=spec.strict):
            found[name] = await secrets.read(namespace, name)
        filled, _ = with_secrets(spec.args, found, strict=spec.strict)
    except SecretError as error:
        raise of_secret(error) from None
    except MissingKey as error:
        references = [reference(argument, strict=spec.strict) for argument in spec.args]
        others = next(len(found[ref.name]) for ref in references if ref and ref.key not in found[ref.name])
        text = f"{error}; {others} other key{'s exist' if others != 1 else ' exists'}"
        violation = Violation("args", text, "SecretKeyNotFound")
        raise ApiError("FAILED_PRECONDITION", "SECRET_NOT_FOUND", text, [violation]) from None
    odd: list[Problem] = []
    for argument, real in zip(spec.args, filled, strict=True):
        ref = reference(argument, strict=spec.strict)
        if ref is not None:
            odd += check_secret(argument.name, ref.name, real.value or "", strict=spec.strict)
    if wrong := errors(odd):
        violations = [Violation(p.path, p.message, p.code) for p in wrong]
        raise ApiError("FAILED_PRECONDITION", "SECRET_NOT_FOUND", str(wrong[0]), violations)
    return tuple(odd)


def uuid7(now: datetime) -> str:
    """A UUID that sorts by time (RFC 9562, version 7)."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    random = int.from_bytes(os.urandom(10), "big")
    high, low = random >> 64 & 0xFFF, random & ((1 << 62) - 1)
    return str(uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower() and uuid.UUID(text).int != 0
    except ValueError:
        return False


def _is_label(text: str) -> bool:
    return 0 < len(text) <= MAX_LABEL_CHARACTERS and all(c.isascii() and (c.isalnum() or c in "-_.") for c in text)
