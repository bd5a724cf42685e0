"""Which metrics a `dryRun` or `measurementRetention` rule means.

A rule's `metricName` is an unanchored Go regular expression, so `error` means every metric whose name holds that
word. Go's engine and RE2 accept the same language. A pattern that is no regular expression matches nothing, `*`
among them: it has nothing to repeat.
"""

from collections.abc import Iterable, Mapping, Sequence

from analysis_service.core.model import DryRunRule, RetentionRule


class RuleError(Exception):
    """A rule that means no metric; the message is Argo's."""


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that the pattern is found in, in their order; none if it is no regular expression."""
    import re2  # here: most templates have no rules, and a linter's start should not pay for the engine

    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(pattern, options)
    except re2.error:
        return []
    return [name for name in names if found.search(name)]


def dry_run(rules: Sequence[DryRunRule], names: Sequence[str]) -> frozenset[str]:
    """The metrics that are measured and never decide. Raises RuleError for a rule that matches none."""
    chosen: set[str] = set()
    for index, rule in enumerate(rules):
        found = matching(rule.metric_name, names)
        if not found:
            raise RuleError(f"dryRun[{index}]: Rule didn't match any metric name(s)")
        chosen.update(found)
    return frozenset(chosen)


def retention(rules: Sequence[RetentionRule], names: Sequence[str]) -> Mapping[str, int]:
    """Metric -> how many measurements to keep; the last matching rule counts. Raises RuleError as `dry_run`."""
    limits: dict[str, int] = {}
    for index, rule in enumerate(rules):
        found = matching(rule.metric_name, names)
        if not found:
            raise RuleError(f"measurementRetention[{index}]: Rule didn't match any metric name(s)")
        limits.update(dict.fromkeys(found, rule.limit))
    return limits
