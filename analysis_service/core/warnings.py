"""Sentences that name the traps a run steps into: places where Argo's rule is not what most people expect.

A run in the default mode carries them and goes on as Argo would. In strict mode the traps of metrics refuse the
spec, and those of a verdict are decided the safe way (core.assess), so that nothing is left to warn of.
"""

from collections.abc import Iterable, Mapping, Sequence

from analysis_service.core import limits
from analysis_service.core.model import Cause, DryRunRule, Metric, MetricResult, Phase, Run, RunSpec

_BY_CONDITION = frozenset(
    {
        *("prometheus", "datadog", "newRelic", "wavefront", "graphite", "influxdb", "cloudWatch", "skywalking"),
        *("web", "scrape"),
    }
)
"""Providers whose answer is judged by the metric's conditions; the others bring a verdict with them."""

_LIMITS = ("count", "failure_limit", "inconclusive_limit", "consecutive_error_limit", "consecutive_success_limit")
_WIRE = {
    "count": "count",
    "failure_limit": "failureLimit",
    "inconclusive_limit": "inconclusiveLimit",
    "consecutive_error_limit": "consecutiveErrorLimit",
    "consecutive_success_limit": "consecutiveSuccessLimit",
}


def judged_by_condition(metric: Metric) -> bool:
    """Whether the metric's provider leaves the verdict to its conditions."""
    union = metric.provider
    plugin = union.get("plugin")
    if isinstance(plugin, Mapping):
        union = plugin
    return any(name in _BY_CONDITION for name in union)


def spec_notes(spec: RunSpec) -> tuple[str, ...]:
    """What can be said of a spec before its arguments are filled in. In strict mode the override takes effect."""
    if spec.strict:
        return ()
    return tuple(
        f"args.{a.name}: the plain value has no effect, the secret it was to override is used (strict mode lets the "
        f"value win)"
        for a in spec.args
        if a.value is not None and a.value_from is not None and a.value_from.secret_key_ref is not None
    )


def metric_traps(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The traps written into resolved metrics; strict mode refuses them."""
    return tuple(trap for index, metric in enumerate(metrics) for trap in _metric_traps(f"metrics[{index}]", metric))


def rule_notes(rules: Sequence[DryRunRule], names: Sequence[str], dry: frozenset[str]) -> tuple[str, ...]:
    """Dry-run rules that reach further than they read."""
    notes = []
    for index, rule in enumerate(rules):
        more = [name for name in names if rule.metric_name in name and name != rule.metric_name]
        if rule.metric_name in names and more:
            notes.append(
                f"dryRun[{index}]: {rule.metric_name!r} is an unanchored regular expression and also means "
                f"{_listed(more)}; write '^{rule.metric_name}$' for that one metric"
            )
    if names and len(dry) == len(names):
        notes.append("dryRun means every metric: this run can only end Successful, which a gate takes as no data")
    return tuple(notes)


def verdict_warnings(run: Run, metrics: Mapping[str, Metric]) -> tuple[str, ...]:
    """The traps a finished run ended in (default mode only). metrics: the resolved ones by name."""
    if run.spec.strict:
        return ()
    warnings: list[str] = []
    wet = [result for result in run.results if not result.dry_run]
    counted = any(result.count for result in wet)
    if run.phase is Phase.SUCCESSFUL and run.spec.terminate and (not counted or run.cause is Cause.NO_EVIDENCE):
        what = "anything could be compared" if counted else "any measurement counted"
        warnings.append(f"terminated before {what}: Successful without evidence")
    for result in run.results:
        warnings += _result_warnings(result)
        if result.name in metrics:
            warnings += _value_warnings(metrics[result.name], result)
    return tuple(dict.fromkeys(warnings))


def handles_nan(metric: Metric) -> bool:
    """Whether the conditions test for NaN themselves, so that its author has decided what it means."""
    return any(word in _conditions(metric) for word in ("isNaN", "isInf"))


def handles_empty(metric: Metric) -> bool:
    """Whether the conditions mention an empty or absent result themselves."""
    return any(word in _conditions(metric) for word in ("len(", "isNil", "nil", "default(", "??", "count("))


def _conditions(metric: Metric) -> str:
    return metric.success_condition + " " + metric.failure_condition


def _metric_traps(where: str, metric: Metric) -> list[str]:
    traps = []
    name, count = metric.name, limits.to_int(metric.count)
    if judged_by_condition(metric) and not metric.success_condition and not metric.failure_condition:
        traps.append(f"{where}: {name!r} has no successCondition and no failureCondition: every value passes")
    for attribute in _LIMITS:
        written = getattr(metric, attribute)
        if written is not None and not limits.is_int(written):
            traps.append(f"{where}: {_WIRE[attribute]} {written!r} is no integer and counts as 0")
    if count < 0:
        traps.append(f"{where}: count {count} is negative: {name!r} ends after its first measurement, whatever it is")
    if count > 0 and limits.consecutive_success_limit(metric) == 0:
        if limits.failure_limit(metric) >= count:
            traps.append(
                f"{where}: failureLimit {limits.failure_limit(metric)} >= count {count}: {name!r} cannot fail, "
                f"even if every measurement does"
            )
        if limits.inconclusive_limit(metric) >= count:
            traps.append(
                f"{where}: inconclusiveLimit {limits.inconclusive_limit(metric)} >= count {count}: {name!r} is "
                f"Successful even if every measurement is inconclusive"
            )
    return traps


def _result_warnings(result: MetricResult) -> list[str]:
    name, warnings = result.name, []
    if result.phase is Phase.SUCCESSFUL and result.count == 0 and result.error > 0:
        every = "its only measurement was an error" if result.error == 1 else f"all {result.error} were errors"
        warnings.append(f"{name}: Successful although {every}")
    elif result.phase is Phase.SUCCESSFUL and result.count > 0 and result.successful == 0:
        warnings.append(f"{name}: Successful although none of {result.count} measurements was")
    if result.phase in (Phase.FAILED, Phase.INCONCLUSIVE) and result.consecutive_success and not result.dry_run:
        warnings.append(f"{name}: {result.phase.value}, but counted as successful in the run's summary, as in Argo")
    if result.measurements and result.measurements[-1].finished_at is None and not result.phase.done:
        warnings.append(f"{name}: the run ended while a measurement was still in flight; it is not judged")
    return warnings


def _value_warnings(metric: Metric, result: MetricResult) -> list[str]:
    """Values that are none, and passed all the same because no comparison with them is true (or all() has no items)."""
    passed = [m for m in result.measurements if m.phase is Phase.SUCCESSFUL and not m.message]
    warnings = []
    if not metric.on_na_n and not handles_nan(metric) and any("NaN" in m.value.strip("[]").split(",") for m in passed):
        warnings.append(f"{metric.name}: NaN passed, because no comparison with it is true; set onNaN to decide it")
    if not metric.on_no_data and not handles_empty(metric) and any(m.value == "[]" for m in passed):
        warnings.append(f"{metric.name}: an empty answer passed; set onNoData to decide it")
    return warnings


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
