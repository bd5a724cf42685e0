"""Counts and limits of a metric, which a template may write as integers or as text.

Argo reads text with Go's `strconv.Atoi` and drops its error: text that is no integer counts as 0, an integer that
does not fit is cut to the largest one.
"""

import re
from collections.abc import Mapping

from analysis_service.core.model import IntOrText, Metric

DEFAULT_CONSECUTIVE_ERROR_LIMIT = 4  # as Argo
_ATOI = re.compile(r"[+-]?[0-9]+", re.ASCII)
_MAX = (1 << 63) - 1
_MAX_DIGITS = 19


def to_int(value: IntOrText | None, default: int = 0) -> int:
    """The number meant by an int-or-text field; `default` if the field is absent."""
    if value is None:
        return default
    if isinstance(value, int):
        return value
    if not _ATOI.fullmatch(value):
        return 0
    negative, digits = value[0] == "-", value.lstrip("+-").lstrip("0") or "0"
    largest = _MAX + negative
    size = largest if len(digits) > _MAX_DIGITS else min(int(digits), largest)
    return -size if negative else size


def is_int(value: IntOrText) -> bool:
    """Whether the field says an integer at all; `to_int` gives 0 where it does not."""
    return isinstance(value, int) or _ATOI.fullmatch(value) is not None


def effective_count(metric: Metric) -> int | None:
    """How many measurements that are no errors complete the metric; None: it runs until something else ends it.

    Absent and 0 mean the same: one measurement without an interval, no end with one. A negative count is taken as
    it is (reached at once), as Argo does. A comparison is one measurement with many looks, whatever its interval.
    """
    if _is_comparison(metric):
        return 1
    count = to_int(metric.count)
    if count != 0:
        return count
    return None if metric.interval else 1


def failure_limit(metric: Metric) -> int:
    """Tolerated failures; -1: failures never end the metric."""
    return to_int(metric.failure_limit)


def inconclusive_limit(metric: Metric) -> int:
    """Tolerated inconclusive measurements."""
    return to_int(metric.inconclusive_limit)


def consecutive_error_limit(metric: Metric) -> int:
    """Tolerated errors in a row, 4 when absent."""
    return to_int(metric.consecutive_error_limit, DEFAULT_CONSECUTIVE_ERROR_LIMIT)


def consecutive_success_limit(metric: Metric) -> int:
    """Successes in a row that end the metric Successful; 0: off."""
    return to_int(metric.consecutive_success_limit)


def _is_comparison(metric: Metric) -> bool:
    plugins = metric.provider.get("plugin")
    return "compare" in metric.provider or (isinstance(plugins, Mapping) and "compare" in plugins)
