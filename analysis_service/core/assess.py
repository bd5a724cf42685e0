"""From counters to phases: one metric, then the run. Argo's rules, in Argo's order.

Two orders are not the same: within a metric Error outranks Inconclusive outranks Failed, across metrics Failed
outranks Error outranks Inconclusive. In strict mode (`RunSpec.strict`) a metric that ends without one counted
measurement is Inconclusive where Argo calls it Successful, and summaries tell the phase that a metric really has.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from analysis_service.core.model import MetricResult, Phase, Run, Summary
from analysis_service.core.prepare import Ready
from analysis_service.core.reason import explain_metric, explain_run
from analysis_service.core.scoring import cause_of, score_of, stopped_by
from analysis_service.core.statistics.score import ScoreResult
from analysis_service.core.warnings import verdict_warnings

_WORSE = {
    Phase.SUCCESSFUL: 0,
    Phase.RUNNING: 1,
    Phase.PENDING: 2,
    Phase.INCONCLUSIVE: 3,
    Phase.ERROR: 4,
    Phase.FAILED: 5,
}
_ENDS_RUN = frozenset({Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE})
_COUNTED = {
    Phase.SUCCESSFUL: "successful",
    Phase.FAILED: "failed",
    Phase.INCONCLUSIVE: "inconclusive",
    Phase.ERROR: "error",
}


def is_worse(new: Phase, current: Phase) -> bool:
    """Whether `new` is worse for a run than `current`."""
    return _WORSE[new] > _WORSE[current]


def worst(left: Phase, right: Phase) -> Phase:
    """The worse of two; the left one if they are equal."""
    return right if is_worse(right, left) else left


def terminating(run: Run) -> bool:
    """Asked to end, or a metric that counts has ended badly: nothing new is started."""
    if run.spec.terminate:
        return True
    if run.spec.score is not None:
        return any(stopped_by(run, result) for result in run.results if not result.dry_run)
    return any(result.phase in _ENDS_RUN and not result.dry_run for result in run.results)


def metric_completed(run: Run, name: str) -> bool:
    """Whether that metric has a verdict."""
    result = run.result(name)
    return result is not None and result.phase.done


def over_limit(ready: Ready, result: MetricResult) -> tuple[Phase, str]:
    """The limit a metric exceeded: its phase and Argo's words; (NEW, "") for none. The last rule that fits wins."""
    if result.consecutive_error > ready.error_limit:
        message = f"consecutiveErrors ({result.consecutive_error}) > consecutiveErrorLimit ({ready.error_limit})"
        return Phase.ERROR, message
    if result.inconclusive > ready.inconclusive_limit:
        message = f"inconclusive ({result.inconclusive}) > inconclusiveLimit ({ready.inconclusive_limit})"
        return Phase.INCONCLUSIVE, message
    if 0 <= ready.failure_limit < result.failed:
        return Phase.FAILED, f"failed ({result.failed}) > failureLimit ({ready.failure_limit})"
    return Phase.NEW, ""


def assess_metric(ready: Ready, result: MetricResult, *, terminating: bool, strict: bool = False) -> Phase:
    """The phase of one metric; the first rule that fits."""
    if result.phase.done:
        return result.phase
    ended = Phase.INCONCLUSIVE if strict and result.count == 0 else Phase.SUCCESSFUL
    if not result.measurements:
        return ended if terminating else Phase.PENDING
    if result.measurements[-1].finished_at is None:
        return Phase.RUNNING  # even while terminating: its verdict is still to come
    limit, _ = over_limit(ready, result)
    if limit is not Phase.NEW:
        return limit
    if 0 < ready.success_limit <= result.consecutive_success:
        return Phase.SUCCESSFUL
    if ready.count is not None and result.count >= ready.count:
        if ready.success_limit > 0:
            return Phase.INCONCLUSIVE if ready.failure_limit >= 0 else Phase.FAILED
        return Phase.SUCCESSFUL
    return ended if terminating else Phase.RUNNING


def assess(run: Run, metrics: Sequence[Ready], now: datetime) -> Run:
    """The run with all metrics and itself assessed; the same object if that changes nothing.

    Whether it is terminating is read off the run as it came in: a metric that ends badly in this round reaches its
    siblings at the next one.
    """
    stopping, strict = terminating(run), run.spec.strict
    results = {result.name: result for result in run.results}
    found, message = Phase.NEW, "Run Terminated" if run.spec.terminate else ""
    complete = True
    wet, dry = dict.fromkeys(("count", *_COUNTED.values()), 0), dict.fromkeys(("count", *_COUNTED.values()), 0)
    for ready in metrics:
        summary = dry if ready.dry_run else wet
        summary["count"] += 1
        result = results.get(ready.name)
        if result is not None:
            result = results[ready.name] = _assessed(ready, result, stopping, strict)
        if result is None or not result.phase.done:
            complete = False
            if strict and stopping and not ready.dry_run and _takes_over(Phase.INCONCLUSIVE, found):
                found, message = Phase.INCONCLUSIVE, f'Metric "{ready.name}" assessed Inconclusive due to no evidence'
            continue
        limit, why = over_limit(ready, result)
        summary[_COUNTED[result.phase if strict else limit if why else Phase.SUCCESSFUL]] += 1
        if ready.dry_run:
            found = Phase.SUCCESSFUL if found is Phase.NEW else found
            told = f"Metric assessed {result.phase.value} due to {why}" if why else result.message
            if told != result.message:
                results[ready.name] = replace(result, message=told)
        elif _takes_over(result.phase, found):
            found = result.phase
            why = why or (_strict_why(ready, result) if strict and found in _ENDS_RUN else "")
            if why:
                detail = f': "Error Message: {result.message}"' if result.message else ""
                message = f'Metric "{result.name}" assessed {found.value} due to {why}{detail}'
    assessed = tuple(results.values())
    moved = len(assessed) != len(run.results) or any(a is not b for a, b in zip(assessed, run.results, strict=True))
    summaries = Summary(**wet), Summary(**dry)
    if moved or run.started_at is None or summaries != (run.run_summary, run.dry_run_summary):
        run = replace(
            run,
            started_at=run.started_at or now,
            results=assessed,
            run_summary=summaries[0],
            dry_run_summary=summaries[1],
        )
    ended = stopping or (complete and len(metrics) > 0)
    phase = (Phase.SUCCESSFUL if found is Phase.NEW else found) if ended else Phase.RUNNING
    if ended and (score := score_of(run, metrics, results)) is not None:
        return _scored(run, score, metrics, now)
    return _concluded(run, phase, message, metrics, now)


def _assessed(ready: Ready, result: MetricResult, stopping: bool, strict: bool) -> MetricResult:
    phase = assess_metric(ready, result, terminating=stopping, strict=strict)
    if phase is result.phase:
        return result
    message = result.measurements[-1].message if result.measurements else ""
    cause, reason = explain_metric(ready, replace(result, phase=phase), over_limit(ready, result)[0])
    return replace(result, phase=phase, message=message, cause=cause, reason=reason)


def _takes_over(phase: Phase, found: Phase) -> bool:
    return found is Phase.NEW or is_worse(phase, found)


def _strict_why(ready: Ready, result: MetricResult) -> str:
    """Why a metric ended badly without exceeding a limit: Argo leaves the message empty."""
    if result.count == 0:
        return "no evidence"
    return f"consecutiveSuccess ({result.consecutive_success}) < consecutiveSuccessLimit ({ready.success_limit})"


def _scored(run: Run, score: ScoreResult, metrics: Sequence[Ready], now: datetime) -> Run:
    """The score decides, whatever single metrics came to."""
    run = _concluded(run, score.phase, score.reason, metrics, now)
    return replace(run, cause=cause_of(score.phase, run.results), reason=f"{score.reason}.")


def _concluded(run: Run, phase: Phase, message: str, metrics: Sequence[Ready], now: datetime) -> Run:
    """Message, time and reason are set when the phase changes, and never again."""
    if phase is run.phase:
        return run
    if not phase.done:
        return replace(run, phase=phase, message="")
    run = replace(run, phase=phase, message=message, completed_at=now)
    cause, reason = explain_run(run, {ready.name: ready for ready in metrics})
    run = replace(run, cause=cause, reason=reason)
    return replace(
        run,
        warnings=tuple(
            dict.fromkeys((*run.warnings, *verdict_warnings(run, {ready.name: ready.metric for ready in metrics})))
        ),
    )
