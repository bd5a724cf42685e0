"""Dry-run and retention rules: which metrics a rule means.

A pattern is a regular expression of Go (RE2), looked for anywhere in the metric's name. One that is not valid matches
nothing, and a rule that matches nothing is an error.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from analysis_service.core.model import DryRunRule, RetentionRule

_SPECIAL = frozenset("\\.+*?()|[]{}^$")
_CACHE = 1024
_MAX_MEMORY = 1 << 20  # bytes of one compiled pattern


class RuleError(ValueError):
    """A rule that matches no metric. `index` is its place in the list; the message is Argo's."""

    def __init__(self, field: str, index: int) -> None:
        super().__init__(f"{field}[{index}]: Rule didn't match any metric name(s)")
        self.field = field
        self.index = index


def dry_run(rules: Iterable[DryRunRule], names: Sequence[str]) -> frozenset[str]:
    """The metrics that are measured and do not decide. Raises RuleError."""
    found: set[str] = set()
    for index, rule in enumerate(rules):
        matched = matches(rule.metric_name, names)
        if not matched:
            raise RuleError("dryRun", index)
        found.update(matched)
    return frozenset(found)


def retention(rules: Iterable[RetentionRule], names: Sequence[str]) -> dict[str, int]:
    """How many measurements each metric keeps, where a rule says so; the last rule wins. Raises RuleError."""
    limits: dict[str, int] = {}
    for index, rule in enumerate(rules):
        matched = matches(rule.metric_name, names)
        if not matched:
            raise RuleError("measurementRetention", index)
        limits.update(dict.fromkeys(matched, rule.limit))
    return limits


def matches(pattern: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that hold a match of the pattern; none if the pattern is not valid."""
    finder, _ = compiled(pattern)
    return tuple(name for name in names if finder is not None and finder(name))


@lru_cache(maxsize=_CACHE)
def compiled(pattern: str) -> tuple[Callable[[str], bool] | None, str]:
    """A function that tells whether a name matches, or None and what is wrong with the pattern."""
    if not _SPECIAL & set(pattern):
        return (lambda name: pattern in name), ""
    import re2  # here: most templates name their metrics plainly

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        expression = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a regular expression"
        return None, reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return (lambda name: expression.search(name) is not None), ""
