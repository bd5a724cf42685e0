"""Everything between "run these templates with these arguments" and a frozen spec: composed, filled in, judged.

The arguments are judged here, at creation, and not by the first measurement (Argo's runs hang or end in Error).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from analysis_service.core.argument_problems import check_arguments
from analysis_service.core.arguments import resolve_metric
from analysis_service.core.compose import ComposeError, Lookup, expand, flatten, run_spec
from analysis_service.core.lint import condition_problems
from analysis_service.core.model import Argument, DryRunRule, Metric, RetentionRule, RunSpec, Template, TemplateRef
from analysis_service.core.problem import MAX_PROBLEMS, Problem, errors
from analysis_service.core.problems import problems as template_problems
from analysis_service.core.secret_arguments import with_placeholders
from analysis_service.core.shape import check_provider
from analysis_service.core.tags import ArgumentError


def start(
    roots: Sequence[Template | TemplateRef],
    lookup: Lookup,
    *,
    args: Sequence[Argument] = (),
    dry_run: Sequence[DryRunRule] = (),
    retention: Sequence[RetentionRule] = (),
    strict: bool = False,
    gate: bool = False,
    allow_extra: bool = False,
) -> tuple[RunSpec | None, tuple[Problem, ...]]:
    """The spec of a run of these templates, and everything worth saying about it; None if it must not start.

    args, dry_run, retention: the caller's. strict: Argo's traps are errors, and the spec says so. gate: a metric
    that never ends is an error. allow_extra: arguments that nobody declares are dropped, as a Rollout's are.
    Paths of problems: `templates[i]...` for references, `args.x` for arguments, `spec.metrics[i]...` for the
    composed metrics.
    """
    try:
        expanded = expand(roots, lookup)
        flat = flatten(expanded.namespaced, expanded.cluster)
    except ComposeError as error:
        return None, (error.problem,)
    found = check_arguments(flat, args, strict=strict, allow_extra=allow_extra)
    if errors(found):
        return None, _judged(flat, found, strict=strict, gate=gate)
    try:
        spec = run_spec(expanded, args=args, dry_run=dry_run, retention=retention)
    except ComposeError as error:
        return None, (error.problem, *found)
    placeholders = with_placeholders(spec.args, strict=strict)
    metrics: list[Metric] = []
    for index, metric in enumerate(spec.metrics):
        try:
            filled = resolve_metric(metric, placeholders)
            if filled is not metric:  # a word of an argument may not be one that the field knows
                found += check_provider(filled.provider, f"spec.metrics[{index}].provider")
            metrics.append(filled)
        except ArgumentError as error:
            found.append(Problem("UndeclaredArg", f"spec.metrics[{index}]", str(error)))
            metrics.append(metric)
    resolved = replace(
        flat, metrics=tuple(metrics), dry_run=spec.dry_run, measurement_retention=spec.measurement_retention
    )
    judged = _judged(resolved, found, strict=strict, gate=gate)
    return (None if errors(judged) else replace(spec, strict=strict)), judged


def _judged(template: Template, found: list[Problem], *, strict: bool, gate: bool) -> tuple[Problem, ...]:
    """The findings so far and those of the composed template, errors first."""
    more = template_problems(template, strict=strict, gate=gate) + condition_problems(template, strict=strict)
    known = {(problem.code, problem.path) for problem in found}
    together = found + [problem for problem in more if (problem.code, problem.path) not in known]
    return tuple(sorted(together, key=lambda problem: problem.severity != "error")[:MAX_PROBLEMS])
