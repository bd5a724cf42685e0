"""A measurement takes its slot, once.

A slot is (metric, ordinal). Only the next free one, or the one in flight, can be filled: whatever comes late, twice
or for a metric that has its verdict is dropped. Counters are a fold over every measurement that was recorded.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from analysis_service.core.due import ERROR_RETRY
from analysis_service.core.model import Cause, Measurement, MetricResult, Outage, Phase, Run
from analysis_service.core.prepare import Ready

Taken = tuple[str, Measurement]
"""(metric name, measurement): finished, or in flight with the time to resume it."""


def record(
    run: Run,
    prepared: Sequence[Ready],
    taken: Sequence[Taken],
    now: datetime,
    described: Mapping[str, Mapping[str, str]],
) -> tuple[Run, tuple[Taken, ...]]:
    """The run with these measurements in their slots, and those that took effect, as they were recorded."""
    if not taken:
        return run, ()
    metrics = {ready.name: ready for ready in prepared}
    results = {result.name: result for result in run.results}
    recorded: list[Taken] = []
    moved = False
    for name, measurement in taken:
        ready = metrics.get(name)
        if ready is None:
            continue
        before = results.get(name) or MetricResult(
            name, phase=Phase.RUNNING, dry_run=ready.dry_run, metadata=described.get(name, {})
        )
        after, kept = _recorded(before, ready, measurement, now)
        if after is not before:
            results[name] = after
            moved = True
        if kept is not None:
            recorded.append((name, kept))
    if moved:
        run = replace(run, results=tuple(results.values()))
    return run, tuple(recorded)


def _recorded(
    result: MetricResult, ready: Ready, measurement: Measurement, now: datetime
) -> tuple[MetricResult, Measurement | None]:
    """The result with the measurement in its slot; unchanged, and None, if it has no claim to one."""
    last = result.measurements[-1] if result.measurements else None
    in_flight = last is not None and last.finished_at is None
    slot = last.ordinal if last is not None and in_flight else result.taken
    if result.phase.done or measurement.ordinal != slot:
        return result, None
    if measurement.cause is Cause.PROVIDER_UNAVAILABLE and _waits(result, ready, now):
        return _down(result, measurement, now), None
    if measurement.phase.done and measurement.finished_at is None:
        measurement = replace(measurement, finished_at=now)
    kept = result.measurements[:-1] if in_flight else result.measurements
    outage = result.outage if measurement.cause is Cause.PROVIDER_UNAVAILABLE else None
    fields = {"measurements": (*kept, measurement), "taken": max(result.taken, slot + 1), "outage": outage}
    return replace(result, **fields, **_counted(result, measurement)), measurement


def _counted(result: MetricResult, measurement: Measurement) -> dict[str, int]:
    """The counters that a finished measurement moves. Errors are counted apart: they use up no `count`."""
    match measurement.phase:
        case Phase.SUCCESSFUL:
            return {
                "successful": result.successful + 1,
                "count": result.count + 1,
                "consecutive_error": 0,
                "consecutive_success": result.consecutive_success + 1,
            }
        case Phase.FAILED:
            counted = {"failed": result.failed + 1}
        case Phase.INCONCLUSIVE:
            counted = {"inconclusive": result.inconclusive + 1}
        case Phase.ERROR:
            errors = max(1, measurement.missed)
            return {
                "error": result.error + errors,
                "consecutive_error": result.consecutive_error + errors,
                "consecutive_success": 0,
            }
        case _:
            return {}
    return {**counted, "count": result.count + 1, "consecutive_error": 0, "consecutive_success": 0}


def _waits(result: MetricResult, ready: Ready, now: datetime) -> bool:
    """Whether an unreachable provider costs nothing yet: the metric waits for it, and has budget left."""
    if ready.outage_max is None:
        return False
    return result.outage is None or now - result.outage.since < ready.outage_max


def _down(result: MetricResult, measurement: Measurement, now: datetime) -> MetricResult:
    seen = result.outage
    outage = Outage(seen.since if seen else now, now, seen.attempts + 1 if seen else 1, measurement.message)
    last = result.measurements[-1] if result.measurements else None
    if last is None or last.finished_at is not None:
        return replace(result, outage=outage)
    later = replace(last, resume_at=now + ERROR_RETRY)
    return replace(result, outage=outage, measurements=(*result.measurements[:-1], later))
