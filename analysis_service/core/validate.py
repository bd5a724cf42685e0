"""Whether metrics can run: Argo's checks, word for word, the first failure alone.

These run at every start of a run, on metrics whose arguments are filled in. `core.problems` says more, all at once.
"""

from collections.abc import Mapping, Sequence

from analysis_service.core import limits
from analysis_service.core.model import Metric
from analysis_service.core.timing import parse_duration
from analysis_service.core.wire_providers import PLUGIN


def argo_error(metrics: Sequence[Metric]) -> str | None:
    """Argo's message for metrics that cannot run, None if they can (`utils/analysis/factory.go`)."""
    if not metrics:
        return "no metrics specified"
    names: set[str] = set()
    for index, metric in enumerate(metrics):
        if metric.name in names:
            return f"metrics[{index}]: duplicate name '{metric.name}'"
        names.add(metric.name)
        error = _limits_error(metric) or _count_error(metric) or _timing_error(metric) or _provider_error(metric)
        if error:
            return f"metrics[{index}]: {error}"
    return None


def provider_count(provider: Mapping[str, object]) -> int:
    """How many providers a metric names; a map of plugins counts one for each."""
    plugins = provider.get(PLUGIN)
    others = sum(1 for name, spec in provider.items() if name != PLUGIN and spec is not None)
    return others + (len(plugins) if isinstance(plugins, Mapping) else 0)


def _limits_error(metric: Metric) -> str | None:
    successes, failures = limits.consecutive_success_limit(metric), limits.failure_limit(metric)
    if successes < 0:
        return "consecutiveSuccessLimit must be >= 0"
    if failures < -1:
        return "failureLimit must be >= 0, or -1 to be disabled"
    if successes == 0 and failures == -1:
        return "failureLimit and consecutiveSuccessLimit cannot both be disabled"
    if limits.inconclusive_limit(metric) < 0:
        return "inconclusiveLimit must be >= 0"
    if limits.consecutive_error_limit(metric) < 0:
        return "consecutiveErrorLimit must be >= 0"
    return None


def _count_error(metric: Metric) -> str | None:
    count = limits.to_int(metric.count)
    if count <= 0:
        return None
    successes, failures = limits.consecutive_success_limit(metric), limits.failure_limit(metric)
    if failures >= 0 and count < failures + successes:
        return (
            f"count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failures} + {successes}) if both >= 0"
        )
    if failures == -1 and count < successes:
        return "count must be >= consecutiveSuccessLimit"
    if count < limits.inconclusive_limit(metric):
        return "count must be >= inconclusiveLimit"
    if count > 1 and not metric.interval:
        return "interval must be specified when count > 1"
    return None


def _timing_error(metric: Metric) -> str | None:
    for text, what in ((metric.interval, "interval"), (metric.initial_delay, "startDelay")):  # sic
        if text:
            try:
                parse_duration(text)
            except ValueError as error:
                return f"invalid {what} string: {error}"
    return None


def _provider_error(metric: Metric) -> str | None:
    count = provider_count(metric.provider)
    if count == 1:
        return None
    return "no provider specified" if count == 0 else "multiple providers specified"
