"""Why: the sentence for people and the cause for programs, of a metric and of a run.

A sentence names the metric, what was measured against which limit, how many measurements there were, the arithmetic
of the limit that decided, and what would have changed it.
"""

from collections.abc import Mapping, Sequence

from analysis_service.core.compare.spec import is_comparison
from analysis_service.core.digits import shorten
from analysis_service.core.model import Cause, Measurement, MetricResult, Phase, Run
from analysis_service.core.prepare import Ready

_NAMED = 4  # metrics in a headline
_BAD = (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE)


def explain_metric(ready: Ready, result: MetricResult, limit: Phase) -> tuple[Cause, str]:
    """Cause and sentence of a metric whose phase was just decided; limit: the phase of the limit it exceeded.

    Pending and running metrics have neither: `progress` tells how far they are.
    """
    if not result.phase.done:
        return Cause.NONE, ""
    name, last = result.name, _last(result, result.phase)
    if last is not None and last.reason and is_comparison(ready.metric) and result.phase is not Phase.ERROR:
        return last.cause, last.reason  # it says the effect, the limit and the evidence itself
    if limit is Phase.FAILED:
        cause = last.cause if last and last.cause else Cause.CONDITION_FAILED
        return cause, (
            f"{name}: {_times(result.failed, 'failure')}, failureLimit allows {ready.failure_limit} "
            f"({_tally(ready, result)}){_because(name, last)}. "
            f"A failureLimit of {result.failed} would have let it go on."
        )
    if limit is Phase.INCONCLUSIVE:
        cause = last.cause if last and last.cause else Cause.INCONCLUSIVE_VALUES
        return cause, (
            f"{name}: {_times(result.inconclusive, 'inconclusive measurement')}, inconclusiveLimit allows "
            f"{ready.inconclusive_limit} ({_tally(ready, result)}){_because(name, last)}. "
            f"An inconclusiveLimit of {result.inconclusive} would have let it go on."
        )
    if limit is Phase.ERROR:
        return _explain_errors(ready, result, last)
    return _explain_end(ready, result)


def explain_run(run: Run, metrics: Mapping[str, Ready]) -> tuple[Cause, str]:
    """Cause and sentence of a finished run."""
    wet = [result for result in run.results if not result.dry_run]
    aside = _dry_aside(run)
    if run.phase in _BAD:
        return _explain_bad(run, wet, aside)
    counted = sum(result.count for result in wet)
    counts = any(not ready.dry_run for ready in metrics.values())
    if run.spec.terminate and counts and not (wet and all(result.cause is Cause.PASSED for result in wet)):
        if counted == 0:
            return (
                Cause.NO_EVIDENCE,
                f"Terminated on request before any measurement counted: there is no evidence{aside}.",
            )
        if all(result.cause is Cause.NO_EVIDENCE for result in wet):
            return (
                Cause.NO_EVIDENCE,
                f"Terminated on request before anything could be compared: there is no evidence{aside}.",
            )
        tallies = _some([f"{r.name} {_tally(metrics[r.name], r)}" for r in wet if r.name in metrics])
        return Cause.TERMINATED, f"Terminated on request with no limit exceeded ({tallies}){aside}."
    tallies = _some([_passed(metrics[r.name], r, alone=len(wet) == 1) for r in wet if r.name in metrics])
    if not tallies:
        return Cause.PASSED, f"No metric counts towards this run: it has dry-run metrics only{aside}."
    return Cause.PASSED, f"{_metrics(len(wet))} passed: {tallies}{aside}."


def progress(ready: Ready, result: MetricResult) -> str:
    """How far an undecided metric is, and what it still may afford."""
    if result.outage is not None:
        return (
            f"{result.name}: the provider has not answered {_times(result.outage.attempts, 'time')} since "
            f"{result.outage.since.isoformat()}; waiting, no measurement is used. Last: {result.outage.message}"
        )
    parts = [f"{result.name}: {_tally(ready, result)}"]
    if result.failed and ready.failure_limit >= 0:
        parts.append(f"{result.failed} of {ready.failure_limit} allowed failures used")
    if result.inconclusive:
        parts.append(f"{result.inconclusive} of {ready.inconclusive_limit} allowed inconclusive measurements used")
    if result.consecutive_error:
        parts.append(f"{result.consecutive_error} of {ready.error_limit} allowed errors in a row used")
    if ready.success_limit > 0:
        parts.append(f"{result.consecutive_success} of {ready.success_limit} successes in a row")
    return "; ".join(parts)


def _explain_errors(ready: Ready, result: MetricResult, last: Measurement | None) -> tuple[Cause, str]:
    cause = last.cause if last and last.cause else Cause.INTERNAL
    said = f"; last: {last.message or last.reason}" if last and (last.message or last.reason) else ""
    if cause is Cause.PROVIDER_UNAVAILABLE:
        remedy = "A higher consecutiveErrorLimit, or outagePolicy with mode wait, would have waited longer."
    elif cause in (Cause.PROVIDER_REFUSED, Cause.BAD_QUERY, Cause.CONDITION_ERROR):
        remedy = "Asking again cannot help: the metric or its credentials have to be changed."
    else:
        remedy = f"A consecutiveErrorLimit of {result.consecutive_error} would have let it go on."
    return cause, (
        f"{result.name}: {cause.value}: {_times(result.consecutive_error, 'error')} in a row, consecutiveErrorLimit "
        f"allows {ready.error_limit} ({_tally(ready, result)}){said.rstrip('.')}. {remedy}"
    )


def _explain_end(ready: Ready, result: MetricResult) -> tuple[Cause, str]:
    """A metric that ended without exceeding a limit."""
    name, tally = result.name, _tally(ready, result)
    if ready.success_limit > 0:
        row = f"{result.consecutive_success} of {ready.success_limit} successes in a row"
        if result.consecutive_success >= ready.success_limit:
            return Cause.PASSED, f"{name}: {row} ({tally}){_because(name, _last(result, Phase.SUCCESSFUL))}."
        if ready.count is not None and result.count >= ready.count:
            remedy = "a longer count or a lower consecutiveSuccessLimit would give it the chance"
            return Cause.SUCCESSES_NOT_REACHED, f"{name}: count ran out with {row} ({tally}); {remedy}."
    if ready.count is not None and result.count >= ready.count:
        allowed = f"; {result.failed} of {ready.failure_limit} allowed failures used" if result.failed else ""
        return Cause.PASSED, f"{name}: {tally}{allowed}{_because(name, _last(result, Phase.SUCCESSFUL))}."
    if result.count == 0:
        return Cause.NO_EVIDENCE, f"{name}: ended before any measurement counted ({tally}): there is no evidence."
    return (
        Cause.TERMINATED,
        f"{name}: ended early with no limit exceeded ({tally}){_because(name, _last(result, None))}.",
    )


def _explain_bad(run: Run, wet: Sequence[MetricResult], aside: str) -> tuple[Cause, str]:
    deciding = next((result for result in wet if result.phase is run.phase), None)
    if deciding is None:
        return Cause.NO_EVIDENCE, f"{run.message}: terminated before it had one, so nothing can be said{aside}."
    same = [result.name for result in wet if result.phase is run.phase]
    others = f" {len(same)} of {len(run.spec.metrics)} metrics are {run.phase.value}: {_some(same, ', ')}."
    sentence = deciding.reason or f"{deciding.name}: {run.phase.value}."
    return deciding.cause, sentence + (others if len(same) > 1 else "") + (f" Also{aside}." if aside else "")


def _dry_aside(run: Run) -> str:
    bad = [f"{result.name} {result.phase.value}" for result in run.results if result.dry_run and result.phase in _BAD]
    return f"; dry run, not counted: {', '.join(bad)}" if bad else ""


def _tally(ready: Ready, result: MetricResult) -> str:
    """`4 of 5 measurements: 3 passed, 1 failed, 2 errors besides`; `5 of 5 measurements passed`."""
    of = f" of {ready.count}" if ready.count is not None and ready.count > 0 else ""
    kinds = ((result.successful, "passed"), (result.failed, "failed"), (result.inconclusive, "inconclusive"))
    text = f"{result.count}{of} measurement{'' if result.count == 1 and not of else 's'}"
    seen = [(number, word) for number, word in kinds if number]
    errors = f", {_times(result.error, 'error')} besides" if result.error else ""
    if len(seen) == 1:  # the number is said already
        complete = ready.count is None or result.count >= ready.count
        return text + (" " if complete else ": all " if result.count > 1 else ": ") + seen[0][1] + errors
    return text + (": " if seen else "") + ", ".join(f"{number} {word}" for number, word in seen) + errors


def _last(result: MetricResult, phase: Phase | None) -> Measurement | None:
    return next((m for m in reversed(result.measurements) if phase is None or m.phase is phase), None)


def _because(name: str, measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    said = measurement.reason or measurement.message or (f"value {measurement.value}" if measurement.value else "")
    return f"; last: {said.removeprefix(name + ': ').rstrip('.')}" if said else ""


def _some(parts: Sequence[str], between: str = "; ") -> str:
    """A headline is read at a glance: the first of many, and how many more; each has a sentence of its own."""
    kept = parts if len(parts) <= _NAMED + 1 else [*parts[:_NAMED], f"and {len(parts) - _NAMED} more"]
    return between.join(kept)


def _value(result: MetricResult) -> str:
    last = _last(result, Phase.SUCCESSFUL)
    return f", last {shorten(last.value)}" if last is not None and last.value else ""


def _passed(ready: Ready, result: MetricResult, *, alone: bool) -> str:
    """Of several comparisons the effect and the limit: test, evidence and data are in their own sentences."""
    if is_comparison(ready.metric):
        said = result.reason.rstrip(".")
        if alone:
            return said
        return f"{result.name} {', '.join(said.removeprefix(result.name + ': ').split('; ')[:2])}"
    return f"{result.name} {_tally(ready, result)}{_value(result)}"


def _metrics(number: int) -> str:
    return "The metric" if number == 1 else f"All {number} metrics"


def _times(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
