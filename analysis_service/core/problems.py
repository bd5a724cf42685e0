"""What is wrong with a template beyond its shape: all at once, with paths, in our words.

Three weights, decided per rule in `_WEIGHTS`:
* refused: no run of this could ever do its work (or it would cost us more than we allow);
* trap: Argo runs it, but not as most people expect: a warning, refused where the caller is strict;
* advice: a warning in any case.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from analysis_service.core import limits
from analysis_service.core.arguments import provider_names
from analysis_service.core.compare.spec import comparison_of
from analysis_service.core.model import DryRunRule, IntOrText, Metric, RetentionRule, Template
from analysis_service.core.problem import MAX_METRICS, Problem, Severity, echo
from analysis_service.core.provider_problems import provider_findings
from analysis_service.core.rules import compiled, matches
from analysis_service.core.statistics.score import ScoreError, parse_score
from analysis_service.core.tags import OPEN
from analysis_service.core.timing import format_duration, parse_duration
from analysis_service.core.wire_providers import PROVIDERS

MAX_COUNT = 10_000
MAX_NAME = 253
MIN_INTERVAL = timedelta(seconds=1)
MAX_RUN = timedelta(days=30)
NAME_PATTERN = "1 to 253 printable characters on one line"
_DECIDES_ITSELF = frozenset({"kayenta", "job", "compare"})  # the answer is a verdict: conditions are not asked
_DAY = {"d": 24, "day": 24, "days": 24, "w": 168}  # hours, for people who expect Go to know days

Finding = tuple[str, str, str, str]  # code, path, message, hint

_TRAPS = frozenset(
    {
        "BadCount", "NotAnInteger", "CannotFail", "DurationNotPositive", "IntervalTooShort", "RunTooLong",
        "AlwaysPasses", "CredentialsInUrl", "HeaderNotAllowed", "TimeoutOutOfRange",
    }
)  # fmt: skip
_ADVICE = frozenset(
    {
        "TimeoutExceedsInterval", "DelayTooLong", "NoGatingMetric", "ConditionIgnored", "SingleLook",
        "OverlappingLooks", "UnusedField", "OddSize", "TooFewLooks", "NoBuckets", "SummedCounters",
        "OutOfReach",
    }
)  # fmt: skip


def severity(code: str, *, strict: bool) -> Severity:
    """How much a finding weighs."""
    if code in _ADVICE or (code in _TRAPS and not strict):
        return "warning"
    return "error"


def problems(template: Template, *, strict: bool = False, gate: bool = False, base: str = "spec") -> list[Problem]:
    """Everything that can be said of a template by itself; `spec` stands before every path.

    strict: traps are errors. gate: somebody waits for the end, so a metric that never ends is an error.
    Values that hold `{{` are left alone: judge them again once arguments are filled in.
    """
    found = list(_template_findings(template, base))
    for index, metric in enumerate(template.metrics[:MAX_METRICS]):
        path = f"{base}.metrics[{index}]"
        found += _metric_findings(metric, path)
        if gate and (field := _endless(metric)):
            text, hint = f"metric '{echo(metric.name)}' never ends", f"Set {field}, or run it in the background."
            where = f"{path}.count" if field == "count" else f"{path}.provider.compare.{field}"
            found.append(("RunsForever", where, text, hint))
    return [
        Problem(code, path, text, hint=hint, severity=severity(code, strict=strict)) for code, path, text, hint in found
    ]


def _template_findings(template: Template, base: str) -> Iterator[Finding]:
    metrics = template.metrics
    if not metrics and not template.templates:
        yield "NoMetrics", f"{base}.metrics", "at least one metric is required", ""
    if len(metrics) > MAX_METRICS:
        yield "TooManyMetrics", f"{base}.metrics", f"{len(metrics)} metrics; limit {MAX_METRICS}", ""
        return
    first: dict[str, int] = {}
    for index, metric in enumerate(metrics):
        if metric.name in first and metric.name:
            where = f"'{echo(metric.name)}' already used by metrics[{first[metric.name]}]"
            yield "DuplicateMetric", f"{base}.metrics[{index}].name", where, "Give each metric its own name."
        first.setdefault(metric.name, index)
    names = [metric.name for metric in metrics]
    closed = not template.templates and not any(OPEN in name for name in names)
    yield from _rule_findings(template.dry_run, names, f"{base}.dryRun", closed=closed)
    yield from _rule_findings(template.measurement_retention, names, f"{base}.measurementRetention", closed=closed)
    if template.score is not None:
        try:
            parse_score(template.score)
        except ScoreError as error:
            yield "BadScore", f"{base}.score", str(error), ""
    dry = {name for rule in template.dry_run for name in matches(rule.metric_name, names)}
    if metrics and closed and dry >= set(names):
        text = "every metric is a dry run: nothing can make a run of this fail"
        yield "NoGatingMetric", f"{base}.dryRun", text, "Leave one metric out."


def _rule_findings(
    rules: Sequence[DryRunRule | RetentionRule], names: Sequence[str], base: str, *, closed: bool
) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        pattern, path = rule.metric_name, f"{base}[{index}].metricName"
        if pattern in seen:
            yield "DuplicateRule", path, f"two rules for '{echo(pattern)}'", "Keep one of them."
        seen.add(pattern)
        finder, complaint = compiled(pattern)
        if finder is None:
            code = "RegexTooLarge" if "too large" in complaint or "repetition size" in complaint else "BadRegex"
            hint = "For any name write .*" if pattern == "*" else ""
            yield code, path, f"'{echo(pattern)}' cannot be used: {complaint}", hint
        elif closed and names and not matches(pattern, names):
            yield "RuleMatchesNothing", path, f"'{echo(pattern)}' matches no metric", f"Metrics: {', '.join(names)}."


def _metric_findings(metric: Metric, path: str) -> Iterator[Finding]:
    name = metric.name
    if not name or len(name) > MAX_NAME or not name.isprintable():
        yield "BadName", f"{path}.name", f"'{echo(name)}' is no metric name: want {NAME_PATTERN}", ""
    yield from _number_findings(metric, path)
    yield from _timing_findings(metric, path)
    kinds = provider_names(metric.provider)
    if not metric.success_condition and not metric.failure_condition and _judged_by_conditions(kinds):
        text = "neither successCondition nor failureCondition: every measurement is Successful"
        yield "AlwaysPasses", path, text, 'Add one, such as successCondition: "result < 0.05".'
    if (metric.success_condition or metric.failure_condition) and _DECIDES_ITSELF.intersection(kinds):
        field = "successCondition" if metric.success_condition else "failureCondition"
        yield "ConditionIgnored", f"{path}.{field}", f"{kinds[0]} brings its own verdict: the condition is not used", ""
    yield from provider_findings(metric, path)


def _number_findings(metric: Metric, path: str) -> Iterator[Finding]:
    yield from _count_findings(metric.count, path)
    for field, value in (
        ("failureLimit", metric.failure_limit),
        ("inconclusiveLimit", metric.inconclusive_limit),
        ("consecutiveErrorLimit", metric.consecutive_error_limit),
        ("consecutiveSuccessLimit", metric.consecutive_success_limit),
    ):
        if value is None or _open(value):
            continue
        if not limits.is_int(value):
            yield "NotAnInteger", f"{path}.{field}", f"'{echo(str(value))}' is not an integer and counts as 0", ""
        elif limits.to_int(value) < (-1 if field == "failureLimit" else 0):
            allowed = ">= 0, or -1 to disable it" if field == "failureLimit" else ">= 0"
            yield "OutOfRange", f"{path}.{field}", f"want {allowed}, got {limits.to_int(value)}", ""
    if any(map(_open, (metric.count, metric.failure_limit, metric.consecutive_success_limit))):
        return
    failures, successes = limits.failure_limit(metric), limits.consecutive_success_limit(metric)
    if failures == -1 and successes == 0:
        text = "failureLimit -1 and consecutiveSuccessLimit 0 cannot both be disabled: no outcome would ever fail"
        yield "NoLimits", f"{path}.failureLimit", text, "Set one of them."
    yield from _sum_findings(metric, path, failures, successes)


def _count_findings(count: IntOrText | None, path: str) -> Iterator[Finding]:
    if count is None or _open(count):
        return
    wanted = f"want integer 1..{MAX_COUNT:,}".replace(",", " ")
    if not limits.is_int(count):
        yield "BadCount", f"{path}.count", f"{wanted}, got '{echo(str(count))}', which counts as 0", ""
    elif not 1 <= limits.to_int(count) <= MAX_COUNT:
        yield "BadCount", f"{path}.count", f"{wanted}, got {limits.to_int(count)}", ""


def _sum_findings(metric: Metric, path: str, failures: int, successes: int) -> Iterator[Finding]:
    count = limits.to_int(metric.count)
    if count <= 0:
        return
    if successes > count:
        text = f"{successes} successes in a row can never be reached with count {count}"
        yield "CannotSucceed", f"{path}.count", text, f"Set count to {successes} or more."
    elif failures >= 0 and count < failures + successes:
        text = f"count {count} < failureLimit {failures} + consecutiveSuccessLimit {successes}"
        yield "CountTooSmall", f"{path}.count", text, f"Set count to {failures + successes} or more."
    elif failures >= count and successes == 0:
        text = f"with count {count} and failureLimit {failures} the metric can never fail"
        yield "CannotFail", f"{path}.failureLimit", text, f"Set failureLimit below {count}."
    if not _open(metric.inconclusive_limit) and count < limits.inconclusive_limit(metric):
        text = f"count {count} < inconclusiveLimit {limits.inconclusive_limit(metric)}"
        yield "CountTooSmall", f"{path}.count", text, ""
    if count > 1 and not metric.interval:
        text = "interval is required when count > 1"
        yield "IntervalRequired", f"{path}.interval", text, "Add one, such as interval: 30s."


def _timing_findings(metric: Metric, path: str) -> Iterator[Finding]:
    interval, problem = _duration(metric.interval, f"{path}.interval", positive=True)
    yield from problem
    delay, problem = _duration(metric.initial_delay, f"{path}.initialDelay", positive=False)
    yield from problem
    if delay is not None and delay > MAX_RUN:
        text = f"the first measurement would come after {_days(delay)}; a run may last {_days(MAX_RUN)}"
        yield "DelayTooLong", f"{path}.initialDelay", text, ""
    if interval is None or interval <= timedelta():
        return
    if interval < MIN_INTERVAL:
        yield "IntervalTooShort", f"{path}.interval", f"{metric.interval}: minimum {format_duration(MIN_INTERVAL)}", ""
    count = 0 if _open(metric.count) else min(limits.to_int(metric.count), 10**9)
    if count > 1 and interval > MAX_RUN / count:
        text = f"run would last {_days(interval * count) if count < 10**6 else 'years'}; limit {_days(MAX_RUN)}"
        yield "RunTooLong", f"{path}.interval", text, ""
    for where, timeout in timeouts(metric.provider):
        if timeout > interval:
            text = f"timeout {format_duration(timeout)} is longer than the interval {metric.interval}"
            yield "TimeoutExceedsInterval", f"{path}.provider.{where}", text, ""


def _duration(text: str, path: str, *, positive: bool) -> tuple[timedelta | None, list[Finding]]:
    if not text or OPEN in text:
        return None, []
    try:
        value = parse_duration(text)
    except ValueError:
        found = f"want a Go duration such as 90s or 1h30m; got '{echo(text)}'"
        return None, [("BadDuration", path, found, duration_hint(text))]
    if value < timedelta() or (positive and not value):
        return value, [("DurationNotPositive", path, f"want a positive duration; got '{echo(text)}'", "")]
    return value, []


def duration_hint(text: str) -> str:
    """What was probably meant by a text that is no Go duration."""
    bare = text.strip().replace(" ", "").lower()
    number = bare.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = bare[len(number) :]
    if number.isascii() and number.isdigit() and len(number) < 10:
        if unit in _DAY:
            return f"Use {int(number) * _DAY[unit]}h."
        if not unit:
            return f"Use {number}s."
        if unit in ("s", "m", "h", "ms"):
            return f"Use {number}{unit}."
    if bare and bare[-1].isdigit() and bare.isascii():
        try:
            parse_duration(bare + "m")
        except ValueError:
            return ""
        return f"Use {bare}m or {bare}s."
    return ""


def timeouts(provider: Mapping[str, Any]) -> Iterator[tuple[str, timedelta]]:
    """The timeouts a provider spec names, with their path below `provider`."""
    for name, spec in provider.items():
        if not isinstance(spec, Mapping):
            continue
        if name == "plugin":
            yield from ((f"plugin.{where}", timeout) for where, timeout in timeouts(spec))
            continue
        for field in ("timeout", "timeoutSeconds"):
            value = spec.get(field)
            if isinstance(value, int) and 0 < value < 10**9:
                yield f"{name}.{field}", timedelta(seconds=value)
        text = spec.get("requestTimeout")
        if isinstance(text, str) and text and OPEN not in text:
            try:
                yield f"{name}.requestTimeout", parse_duration(text)
            except ValueError:
                continue


def _judged_by_conditions(kinds: Sequence[str]) -> bool:
    return any(kind in PROVIDERS and kind not in _DECIDES_ITSELF for kind in kinds)


def _endless(metric: Metric) -> str:
    """The field without which only a failure could end the metric; "" if it ends. A comparison has its maxDuration."""
    comparison = comparison_of(metric.provider)
    if comparison is not None:
        return "maxDuration" if comparison.get("until") == "terminated" and not comparison.get("maxDuration") else ""
    endless = limits.effective_count(metric) is None and not _open(metric.count)
    return "count" if endless else ""


def _open(value: IntOrText | None) -> bool:
    """Whether a limit is not known yet."""
    return isinstance(value, str) and OPEN in value


def _days(duration: timedelta) -> str:
    return f"{duration.days}d" if duration.days else format_duration(duration)
