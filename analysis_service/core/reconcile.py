"""One run moves forward: what is due now, and what follows from what was answered.

    step = plan(run, now)                      # nothing is asked of the world here
    taken = [... one measurement for each of step.measure, judged by core.judge ...]
    step = settle(step.run, taken, now)        # save step.run and step.recorded together, wake at step.wake_at

The promise: calling either twice, late, or after a crash gives the same answer. A run that is done never changes. A
measurement is taken for one slot, (metric, ordinal); `settle` drops one whose slot is filled or not the next one, so
a late or repeated answer cannot count twice. Argo's order is kept: resolve, validate, rules, due metrics | record,
assess, trim, next time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from analysis_service.core.assess import assess, terminating
from analysis_service.core.due import Op, due, wake_at
from analysis_service.core.model import Cause, Measurement, MetricResult, Phase, Run
from analysis_service.core.prepare import Prepared, Ready, inherit, prepare
from analysis_service.core.record import Taken, record
from analysis_service.core.retention import trim


@dataclass(frozen=True, slots=True)
class Task:
    """One metric that is due. `metric` has its numbers read and placeholders for secrets."""

    name: str
    op: Op
    ordinal: int  # the slot that the answer is for
    metric: Ready
    measurement: Measurement | None = None  # the one in flight, unless op is RUN


@dataclass(frozen=True, slots=True)
class Step:
    """The run as it is now, and what is left to do.

    measure: what is due (from `plan`). recorded: the measurements that took effect, ready to be made durable (from
    `settle`). wake_at: when to look again (from `settle`); None while done, or as long as nobody knows.
    """

    run: Run
    measure: tuple[Task, ...] = ()
    recorded: tuple[Taken, ...] = ()
    wake_at: datetime | None = None


def plan(run: Run, now: datetime) -> Step:
    """What is due. A spec that cannot run ends the run here, without a time of completion (as Argo) unless strict."""
    if run.phase.done:
        return Step(run)
    prepared = prepare(run.spec)
    if prepared.error:
        return Step(_refused(run, prepared, now))
    stopping = terminating(run)
    tasks = []
    for ready in prepared.metrics:
        result = run.result(ready.name)
        op = due(ready, result, run.started_at, now, terminating=stopping)
        if op is not None:
            tasks.append(_task(ready, result, op))
    return Step(run, tuple(tasks))


def settle(
    run: Run, taken: Sequence[Taken], now: datetime, described: Mapping[str, Mapping[str, str]] | None = None
) -> Step:
    """The run after these measurements, assessed and trimmed, and when to look at it again.

    described: what each metric's provider tells about it (its resolved query); kept with its first measurement.
    """
    if run.phase.done:
        return Step(run)
    prepared = prepare(run.spec)
    if prepared.error:
        return Step(_refused(run, prepared, now))
    if run.started_at is None and prepared.warnings:
        run = replace(run, warnings=tuple(dict.fromkeys((*run.warnings, *prepared.warnings))))
    run, recorded = record(run, prepared.metrics, taken, now, described or {})
    run = assess(run, prepared.metrics, now)
    if recorded:
        run = _trimmed(run, prepared)
    return Step(run, recorded=recorded, wake_at=wake_at(run, now))


def terminate(run: Run) -> Run:
    """The run, asked to end. A run that is done, or was asked already, is returned as it is."""
    if run.phase.done or run.spec.terminate:
        return run
    return replace(run, spec=inherit(replace(run.spec, terminate=True), run.spec))


def secret_missing(run: Run, message: str, now: datetime) -> Run:
    """What a secret that cannot be read does to a run: Argo ends it at once, without a time of completion.

    In strict mode call `judge.mark_error` for the due metrics instead: a secret may come back, as a provider may.
    """
    if run.phase.done:
        return run
    text = f"Unable to resolve metric arguments: {message}"
    return _ended(run, text, Cause.SECRET_NOT_FOUND, now)


def quarantine(run: Run, crashes: int, now: datetime) -> Run:
    """The run, taken out because working on it fails again and again: it must not take others down with it."""
    if run.phase.done:
        return run
    message = f"quarantined: reconciling this run failed {crashes} times in a row; the service's log has the details"
    return replace(_ended(run, message, Cause.QUARANTINED, now), completed_at=now)


def end_unread(run: Run, now: datetime) -> Run:
    """The run, ended on request where its spec cannot be read: no verdict can be given, and none is made up."""
    if run.phase.done:
        return run
    message = "ended on request before a verdict: this build cannot read the run's spec"
    return replace(_ended(run, message, Cause.QUARANTINED, now), completed_at=now)


def _task(ready: Ready, result: MetricResult | None, op: Op) -> Task:
    if result is None:
        return Task(ready.name, op, 0, ready)
    if op is Op.RUN:
        return Task(ready.name, op, result.taken, ready)
    in_flight = result.measurements[-1]
    return Task(ready.name, op, in_flight.ordinal, ready, in_flight)


def _trimmed(run: Run, prepared: Prepared) -> Run:
    limits = {ready.name: ready.retention for ready in prepared.metrics}
    return replace(run, results=tuple(trim(result, limits.get(result.name, 0)) for result in run.results))


def _refused(run: Run, prepared: Prepared, now: datetime) -> Run:
    warnings = tuple(dict.fromkeys((*run.warnings, *prepared.warnings)))
    return _ended(replace(run, warnings=warnings), prepared.error, Cause.SPEC_INVALID, now)


def _ended(run: Run, message: str, cause: Cause, now: datetime) -> Run:
    run = replace(run, phase=Phase.ERROR, message=message, reason=message, cause=cause)
    if run.spec.strict:
        return replace(run, started_at=run.started_at or now, completed_at=now)
    if run.spec.ttl_strategy is None:
        return run
    note = "the run ended without a time of completion, so its ttlStrategy never deletes it (as in Argo)"
    return replace(run, warnings=(*run.warnings, note))
