"""What a spec implies, worked out once: arguments filled in, durations and limits read, rules applied.

`prepare` is a pure function of the spec. Its answer is remembered on the spec itself (frozen, and shared by all
states of a run), because ten thousand runs are reconciled from it every ten seconds.
"""

from dataclasses import dataclass
from datetime import timedelta

from analysis_service.core import limits, rules
from analysis_service.core.arguments import resolve_metric
from analysis_service.core.model import Metric, RunSpec
from analysis_service.core.retention import DEFAULT_RETENTION
from analysis_service.core.secret_arguments import with_placeholders
from analysis_service.core.statistics.score import ScoreError, parse_score
from analysis_service.core.tags import ArgumentError
from analysis_service.core.timing import parse_duration
from analysis_service.core.validate import argo_error
from analysis_service.core.warnings import metric_traps, rule_notes, spec_notes

_MEMO = "prepared"


@dataclass(frozen=True, slots=True)
class Ready:
    """One metric with its numbers read. Secrets are placeholders in `metric`."""

    metric: Metric
    name: str
    dry_run: bool
    retention: int
    interval: timedelta | None  # None: absent or unreadable, which validation refuses
    delayed: bool  # whether there is an initialDelay at all; an unreadable one never lets the metric start
    delay: timedelta | None
    count: int | None
    failure_limit: int
    inconclusive_limit: int
    error_limit: int
    success_limit: int
    outage_max: timedelta | None  # None: an unreachable provider costs a measurement, as in Argo


@dataclass(frozen=True, slots=True)
class Prepared:
    """A whole spec. `error` is Argo's message of a spec that cannot run, "" otherwise."""

    metrics: tuple[Ready, ...]
    error: str = ""
    warnings: tuple[str, ...] = ()


def ready(metric: Metric, *, dry_run: bool = False, retention: int = DEFAULT_RETENTION) -> Ready:
    """Read the durations and limits of a resolved metric; what is unreadable is as if absent (or 0), as in Argo."""
    policy = metric.outage_policy
    return Ready(
        metric=metric,
        name=metric.name,
        dry_run=dry_run,
        retention=retention if retention > 0 else DEFAULT_RETENTION,
        interval=_duration(metric.interval),
        delayed=metric.initial_delay != "",
        delay=_duration(metric.initial_delay),
        count=limits.effective_count(metric),
        failure_limit=limits.failure_limit(metric),
        inconclusive_limit=limits.inconclusive_limit(metric),
        error_limit=limits.consecutive_error_limit(metric),
        success_limit=limits.consecutive_success_limit(metric),
        outage_max=_duration(policy.max) if policy is not None and policy.mode == "wait" else None,
    )


def prepare(spec: RunSpec) -> Prepared:
    """What the spec implies. The same object for the same spec object."""
    memo: dict[str, Prepared] = spec.__dict__
    found = memo.get(_MEMO)
    if found is None:
        found = memo[_MEMO] = _prepare(spec)
    return found


def inherit(spec: RunSpec, origin: RunSpec) -> RunSpec:
    """Let `spec` share what was worked out for `origin`, of which it is a copy that only asks to terminate."""
    spec.__dict__.update(origin.__dict__)
    return spec


def _prepare(spec: RunSpec) -> Prepared:
    notes = spec_notes(spec)
    arguments = with_placeholders(spec.args, strict=spec.strict)
    try:
        metrics = tuple(resolve_metric(metric, arguments) for metric in spec.metrics)
    except ArgumentError as error:
        return Prepared((), f"Unable to resolve metric arguments: {error}", notes)
    traps = metric_traps(metrics)
    invalid = argo_error(metrics)
    if invalid is None and spec.strict and traps:
        invalid = f"strict mode: {traps[0]}"
    if invalid is not None:
        return Prepared((), f"Analysis spec invalid: {invalid}", notes)
    if spec.score is not None:
        try:
            parse_score(spec.score)
        except ScoreError as error:
            return Prepared((), f"Analysis spec invalid: {error}", notes)
    names = [metric.name for metric in metrics]
    try:
        dry = rules.dry_run(spec.dry_run, names) if spec.dry_run else frozenset[str]()
        keep = rules.retention(spec.measurement_retention, names) if spec.measurement_retention else {}
    except rules.RuleError as error:
        return Prepared((), f"Analysis spec invalid: {error}", notes)
    prepared = tuple(ready(m, dry_run=m.name in dry, retention=keep.get(m.name, DEFAULT_RETENTION)) for m in metrics)
    return Prepared(prepared, warnings=notes + (() if spec.strict else traps) + rule_notes(spec.dry_run, names, dry))


def _duration(text: str) -> timedelta | None:
    try:
        return parse_duration(text) if text else None
    except ValueError:
        return None
