"""How many measurements a run's status keeps. The store keeps them all; counters are never trimmed."""

from msgspec.structs import replace

from analysis_service.core.model import MetricResult

DEFAULT_RETENTION = 10  # as Argo


def trim(result: MetricResult, limit: int) -> MetricResult:
    """The result with its newest `limit` measurements; a limit of 0 or less means the default."""
    keep = limit if limit > 0 else DEFAULT_RETENTION
    if len(result.measurements) <= keep:
        return result
    return replace(result, measurements=result.measurements[-keep:])
