"""Templates -> what a run executes: references expanded, lists joined, arguments merged (Argo's `helpers.go`).

Two things are added to Argo's rules: a ring of references is an error instead of an endless recursion, and references
may be at most 8 deep.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from analysis_service.core.model import Argument, DryRunRule, Metric, RetentionRule, RunSpec, Template, TemplateRef
from analysis_service.core.problem import MAX_METRICS, Problem

MAX_DEPTH = 8

Lookup = Callable[[TemplateRef], Template | None]
"""Finds a referenced template: in the run's namespace, or among the cluster's. None: there is none (or none to see)."""


class ComposeError(ValueError):
    """Templates or arguments that do not fit together. The message is Argo's where Argo has one."""

    def __init__(self, message: str, code: str = "Compose", path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(code, path, message, hint=hint)


@dataclass(frozen=True, slots=True)
class Expanded:
    """Templates with all that they refer to, each once: those of the namespace, and those of the cluster."""

    namespaced: tuple[Template, ...]
    cluster: tuple[Template, ...]


def compose(
    roots: Sequence[Template | TemplateRef],
    lookup: Lookup,
    *,
    args: Sequence[Argument] = (),
    dry_run: Sequence[DryRunRule] = (),
    retention: Sequence[RetentionRule] = (),
) -> tuple[RunSpec | None, tuple[Problem, ...]]:
    """What a run of these templates executes, or None and why there is none.

    roots: templates at hand, or references to look up. args, dry_run, retention: the caller's.
    """
    try:
        expanded = expand(roots, lookup)
        return run_spec(expanded, args=args, dry_run=dry_run, retention=retention), ()
    except ComposeError as error:
        return None, (error.problem,)


def expand(roots: Sequence[Template | TemplateRef], lookup: Lookup) -> Expanded:
    """Follow all references, depth first. Raises ComposeError: not found, a ring, too deep."""
    found: list[Template] = []
    for index, root in enumerate(roots):
        path = f"templates[{index}]"
        template = root if isinstance(root, Template) else _find(root, lookup, path)
        _expand(template, lookup, (template,), found, path)
    namespaced = unique(template for template in found if not template.cluster_scope)
    return Expanded(namespaced, unique(template for template in found if template.cluster_scope))


def _expand(template: Template, lookup: Lookup, trail: tuple[Template, ...], found: list[Template], path: str) -> None:
    found.append(template)
    if len(trail) > MAX_DEPTH:
        names = " -> ".join(_label(step) for step in trail)
        raise ComposeError(f"references deeper than {MAX_DEPTH}: {names}", "TooDeep", path)
    for index, reference in enumerate(template.templates):
        where = f"{path}.spec.templates[{index}]"
        nested = _find(reference, lookup, where)
        if any(_same(nested, step) for step in trail):
            names = " -> ".join(_label(step) for step in (*trail, nested))
            raise ComposeError(f"TemplateCycle: {names}", "TemplateCycle", where)
        _expand(nested, lookup, (*trail, nested), found, where)


def _find(reference: TemplateRef, lookup: Lookup, path: str) -> Template:
    template = lookup(reference)
    if template is None:
        kind = "ClusterAnalysisTemplate" if reference.cluster_scope else "AnalysisTemplate"
        raise ComposeError(f"{kind} '{reference.template_name}' not found", "TemplateNotFound", path)
    return template


def unique(templates: Iterable[Template]) -> tuple[Template, ...]:
    """The templates, each name once: the first."""
    by_name: dict[str, Template] = {}
    for template in templates:
        by_name.setdefault(template.name, template)
    return tuple(by_name.values())


def flatten(templates: Sequence[Template], cluster_templates: Sequence[Template] = ()) -> Template:
    """One template that holds what all of them hold. Raises ComposeError for what is there twice."""
    sources = (*templates, *cluster_templates)
    metrics = [(metric, source) for source in sources for metric in source.metrics]
    _unlike([(metric.name, source) for metric, source in metrics], "metrics")
    dry_run = [(rule, source) for source in sources for rule in source.dry_run]
    _unlike([(rule.metric_name, source) for rule, source in dry_run], "Dry-Run metric rules")
    retention = [(rule, source) for source in sources for rule in source.measurement_retention]
    _unlike([(rule.metric_name, source) for rule, source in retention], "Measurement Retention metric rules")
    return Template(
        name=sources[0].name if len(sources) == 1 else "",
        metrics=tuple(metric for metric, _ in metrics),
        dry_run=tuple(rule for rule, _ in dry_run),
        measurement_retention=tuple(rule for rule, _ in retention),
        args=_flatten_args(argument for source in sources for argument in source.args),
        score=next((source.score for source in sources if source.score is not None), None),
    )


def _unlike(names: Sequence[tuple[str, Template]], what: str) -> None:
    seen: dict[str, Template] = {}
    for name, source in names:
        if name in seen:
            first, second = _label(seen[name]), _label(source)
            where = f"Given by {first} and by {second}." if first != second else f"Both are in {first}."
            raise ComposeError(f"two {what} have the same name '{name}'", "Duplicate", hint=where)
        seen[name] = source


def _flatten_args(args: Iterable[Argument]) -> tuple[Argument, ...]:
    """Arguments by name. A later bare declaration replaces an earlier one that has no value, wholly (as Argo)."""
    by_name: dict[str, Argument] = {}
    for argument in args:
        earlier = by_name.get(argument.name)
        if earlier is None or earlier.value is None:
            by_name[argument.name] = argument
        elif argument.value is not None and argument.value != earlier.value:
            raise ComposeError(
                f"Argument `{argument.name}` specified multiple times with different values: "
                f"'{earlier.value}', '{argument.value}'",
                "ArgConflict",
                f"args.{argument.name}",
            )
    return tuple(by_name.values())


def merge_args(incoming: Sequence[Argument], declared: Sequence[Argument]) -> tuple[Argument, ...]:
    """The declared arguments with the caller's values. Names that nobody declared are dropped.

    A caller's value leaves a declared valueFrom in place, and the other way round, as in Argo.
    Raises ComposeError: `args.x was not resolved`.
    """
    merged = {argument.name: argument for argument in declared}
    for argument in incoming:
        target = merged.get(argument.name)
        if target is None:
            continue
        if argument.value is not None:
            merged[argument.name] = replace(target, value=argument.value)
        elif argument.value_from is not None:
            merged[argument.name] = replace(target, value_from=argument.value_from)
    for argument in merged.values():
        if argument.value is None and argument.value_from is None:
            raise ComposeError(f"args.{argument.name} was not resolved", "MissingArg", f"args.{argument.name}")
    return tuple(merged.values())


def run_spec(
    expanded: Expanded,
    *,
    args: Sequence[Argument] = (),
    dry_run: Sequence[DryRunRule] = (),
    retention: Sequence[RetentionRule] = (),
) -> RunSpec:
    """What a run of these templates executes; the caller's rules come first. Raises ComposeError."""
    flat = flatten(expanded.namespaced, expanded.cluster)
    if len(flat.metrics) > MAX_METRICS:
        raise ComposeError(f"{len(flat.metrics)} metrics in one run; limit {MAX_METRICS}", "TooManyMetrics", "metrics")
    merged = merge_args(args, flat.args)
    caller = Template(name="the caller", dry_run=tuple(dry_run), measurement_retention=tuple(retention))
    rules = flatten((caller, replace(flat, metrics=(), args=(), name=flat.name or "the templates")))
    return RunSpec(
        metrics=flat.metrics,
        args=merged,
        dry_run=rules.dry_run,
        measurement_retention=rules.measurement_retention,
        score=flat.score,
    )


def semantically_equal(left: RunSpec, right: RunSpec) -> bool:
    """Whether two runs would do the same: metrics, rules and arguments as JSON; whether one was told to end is moot."""
    return _meaning(left) == _meaning(right)


def _meaning(spec: RunSpec) -> bytes:
    parts: tuple[tuple[Metric | Argument | DryRunRule | RetentionRule, ...], ...] = (
        spec.metrics,
        spec.dry_run,
        spec.measurement_retention,
        spec.args,
    )
    return msgspec.json.encode(parts, order="sorted")


def _label(template: Template) -> str:
    return f"cluster template {template.name}" if template.cluster_scope else template.name


def _same(left: Template, right: Template) -> bool:
    return left.name == right.name and left.cluster_scope == right.cluster_scope
