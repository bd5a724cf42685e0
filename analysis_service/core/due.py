"""What a metric asks for now, and when time alone will make it ask again.

Argo's rules, in Argo's order. An interval counts from the end of a measurement, and is over strictly after it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from analysis_service.core.assess import terminating
from analysis_service.core.model import MetricResult, Phase, Run
from analysis_service.core.prepare import Ready, prepare

ERROR_RETRY = timedelta(seconds=10)  # as Argo, whatever the interval
TICK = timedelta(microseconds=1)  # a metric is due strictly after its interval: waking at it would be too early


class Op(StrEnum):
    """What to ask for: a new measurement, the next state of one in flight, or its end."""

    RUN = "Run"
    RESUME = "Resume"
    TERMINATE = "Terminate"


def due(
    ready: Ready, result: MetricResult | None, started_at: datetime | None, now: datetime, *, terminating: bool
) -> Op | None:
    """What this metric asks for at `now`, None for nothing."""
    if result is not None and result.phase.done:
        return None
    last = result.measurements[-1] if result is not None and result.measurements else None
    if last is not None and last.finished_at is None:
        if terminating:
            return Op.TERMINATE
        return None if last.resume_at is not None and last.resume_at > now else Op.RESUME
    if terminating:
        return None
    if result is not None and result.outage is not None:
        return Op.RUN if now > result.outage.last + ERROR_RETRY else None
    if result is None or last is None:
        if not ready.delayed:
            return Op.RUN
        ripe = started_at is not None and ready.delay is not None and started_at + ready.delay <= now
        return Op.RUN if ripe else None
    if ready.count is not None and result.count >= ready.count:
        return None
    # an interval of nothing is one: `0s` is due again at once
    wait = ERROR_RETRY if last.phase is Phase.ERROR or ready.interval is None else ready.interval
    return Op.RUN if last.finished_at is not None and now > last.finished_at + wait else None


def next_at(run: Run, metrics: Sequence[Ready], now: datetime) -> datetime | None:
    """When time alone makes something due: Argo's requeue time, None if time alone never will."""
    times = (_next_of(ready, run.result(ready.name), run.started_at, now) for ready in metrics)
    return min((at for at in times if at is not None), default=None)


def wake_at(run: Run, now: datetime) -> datetime | None:
    """When to call `plan` again, at the latest.

    At once where this round changed what is due: a metric that ended badly ends its siblings. A measurement in
    flight that names no time is looked at again after ten seconds: nobody else would wake us.
    """
    prepared = prepare(run.spec)
    if run.phase.done or prepared.error:
        return None
    stopping = terminating(run)
    if stopping:
        return now
    times = []
    for ready in prepared.metrics:
        result = run.result(ready.name)
        op = due(ready, result, run.started_at, now, terminating=False)
        if op is not None:
            times.append(now + ERROR_RETRY if op is Op.RESUME and _timeless(result) else now)
        elif (at := _next_of(ready, result, run.started_at, now)) is not None:
            times.append(at + TICK)
    return min(times, default=None)


def _next_of(ready: Ready, result: MetricResult | None, started_at: datetime | None, now: datetime) -> datetime | None:
    if result is not None and result.phase.done:
        return None
    last = result.measurements[-1] if result is not None and result.measurements else None
    if result is not None and result.outage is not None and (last is None or last.finished_at is not None):
        return result.outage.last + ERROR_RETRY
    if result is None or last is None:
        return (started_at or now) + ready.delay if ready.delay is not None else None
    if last.finished_at is None:
        return last.resume_at
    if ready.count is not None and result.count >= ready.count:
        return None
    if last.phase is Phase.ERROR:
        return last.finished_at + ERROR_RETRY
    return last.finished_at + ready.interval if ready.interval is not None else None


def _timeless(result: MetricResult | None) -> bool:
    return result is not None and bool(result.measurements) and result.measurements[-1].resume_at is None
