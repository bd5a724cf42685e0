"""A comparison's measurement as it stands after a turn: running, without an answer, ended."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from analysis_service import notes
from analysis_service.core.compare import schedule
from analysis_service.core.compare.spec import Spec
from analysis_service.core.model import Cause, Measurement, Phase
from analysis_service.core.reconcile import Task

if TYPE_CHECKING:
    from analysis_service.core.compare.telling import Ending

SOON = timedelta(seconds=1)  # after a look, for the first forecast


def running(
    task: Task, spec: Spec, started: datetime, now: datetime, metadata: Mapping[str, str], value: str, reason: str
) -> Measurement:
    """Until its next look."""
    return Measurement(
        Phase.RUNNING,
        task.ordinal,
        value=value,
        started_at=started,
        resume_at=schedule.next_look(started, spec.interval, spec.max_duration, now),
        metadata=metadata,
        reason=with_forecast(reason, metadata),
    )


def soon(measurement: Measurement, now: datetime) -> Measurement:
    """Resumed before its next look, for its first forecast, unless that look is soon, too."""
    later = measurement.resume_at
    if later is None or later - now < 3 * SOON:
        return measurement
    metadata = {**measurement.metadata, notes.NEXT_LOOK: later.isoformat()}
    return replace(measurement, metadata=metadata, resume_at=now + SOON)


def next_look(base: Measurement) -> tuple[datetime | None, Measurement]:
    """When the next look is due, if the measurement was to be resumed before it; and the measurement without that."""
    later = notes.next_look(base.metadata)
    if later is None:
        return None, base
    return later, replace(base, metadata={k: v for k, v in base.metadata.items() if k != notes.NEXT_LOOK})


def missed(task: Task, base: Measurement, message: str, cause: Cause, at: datetime, now: datetime) -> Measurement:
    """After a look at `at` that could not be taken: an error, if there were too many in a row."""
    from analysis_service.core.compare.telling import missed_text

    number, limit = base.missed + 1, task.metric.error_limit
    over = number > limit
    return Measurement(
        Phase.ERROR if over else Phase.RUNNING,
        task.ordinal,
        message=message,
        value=base.value,
        started_at=base.started_at or at,
        finished_at=now if over else None,
        resume_at=None if over else schedule.retry(now),
        metadata=base.metadata,
        reason=missed_text(task.name, number, limit, message),
        cause=cause,
        missed=number,
    )


def ended(base: Measurement, ending: "Ending", metadata: Mapping[str, str], now: datetime) -> Measurement:
    return Measurement(
        ending.phase,
        base.ordinal,
        value=ending.value,
        started_at=base.started_at or now,
        finished_at=now,
        metadata=notes.at_end(metadata),
        reason=ending.reason,
        cause=ending.cause,
    )


def first(task: Task, spec: Spec) -> str:
    seconds = spec.interval.total_seconds()
    return f"{task.name}: first readings taken; the first comparison follows in {seconds:g} s"


def with_forecast(reason: str, metadata: Mapping[str, str]) -> str:
    forecast = metadata.get(notes.FORECAST, "")
    return f"{reason.rstrip('.')}. {forecast}" if forecast and reason and forecast not in reason else reason
