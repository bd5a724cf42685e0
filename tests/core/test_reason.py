"""The sentences, word for word: they are what a person reads when a rollout stopped."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.judge import Answered, NotAnswered, judge
from analysis_service.core.model import Cause, DryRunRule, Metric, MetricResult, OutagePolicy, Phase, Run, RunSpec
from analysis_service.core.prepare import prepare, ready
from analysis_service.core.reason import explain_run, progress
from analysis_service.core.reconcile import plan, settle, terminate

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
DOWN = "127.0.0.1:9090 refused the connection"
ANSWERS: dict[str, Answered | NotAnswered] = {
    "S": Answered(0.01, "0.01"),
    "F": Answered(0.08, "0.08"),
    "N": Answered(None, ""),
    "E": NotAnswered("Unreachable", DOWN),
    "Q": NotAnswered("BadQuery", "parse error: unexpected end of input"),
}


def metric(name: str, **fields: Any) -> Metric:
    given = {"interval": "10s", "success_condition": "result < 0.05", "provider": {"prometheus": {}}, **fields}
    return Metric(name, **given)


def walk(seen: dict[str, str], *metrics: Metric, stop: bool = False, **spec: Any) -> Run:
    run, now = Run("run-1", "default", "run", RunSpec(metrics, **spec)), START
    left = {name: list(letters) for name, letters in seen.items()}
    while any(left.values()) and not run.phase.done:
        taken = []
        for task in plan(run, now).measure:
            if left[task.name]:
                answer = ANSWERS[left[task.name].pop(0)]
                judged = judge(task.metric.metric, answer, ordinal=task.ordinal, started_at=now, finished_at=now)
                taken.append((task.name, judged))
        run = settle(run, taken, now).run
        now += timedelta(seconds=11)
    return settle(terminate(run), (), now).run if stop else settle(run, (), now).run


@pytest.mark.parametrize(
    ("seen", "metrics", "cause", "reason"),
    [
        (
            {"errors": "SFSF"},
            [metric("errors", count=10, failure_limit=1)],
            Cause.CONDITION_FAILED,
            "errors: 2 failures, failureLimit allows 1 (4 of 10 measurements: 2 passed, 2 failed); last: 0.08: "
            "successCondition result < 0.05: 0.08 < 0.05 is false. A failureLimit of 2 would have let it go on.",
        ),
        (
            {"errors": "SEEEEE"},
            [metric("errors", count=10)],
            Cause.PROVIDER_UNAVAILABLE,
            "errors: ProviderUnavailable: 5 errors in a row, consecutiveErrorLimit allows 4 (1 of 10 measurements: "
            f"passed, 5 errors besides); last: {DOWN}. A higher consecutiveErrorLimit, or outagePolicy with mode "
            "wait, would have waited longer.",
        ),
        (
            {"errors": "Q"},
            [metric("errors", count=10, consecutive_error_limit=0)],
            Cause.BAD_QUERY,
            "errors: BadQuery: 1 error in a row, consecutiveErrorLimit allows 0 (0 of 10 measurements, 1 error "
            "besides); last: parse error: unexpected end of input. Asking again cannot help: the metric or its "
            "credentials have to be changed.",
        ),
        (
            {"errors": "N"},
            [metric("errors", count=2, on_no_data="inconclusive")],
            Cause.NO_DATA,
            "errors: 1 inconclusive measurement, inconclusiveLimit allows 0 (1 of 2 measurements: inconclusive); "
            "last: no data was returned (onNoData: inconclusive). An inconclusiveLimit of 1 would have let it "
            "go on.",
        ),
        (
            {"errors": "SFS", "latency": "SSS"},
            [metric("errors", count=3, failure_limit=1), metric("latency", count=3)],
            Cause.PASSED,
            "All 2 metrics passed: errors 3 of 3 measurements: 2 passed, 1 failed, last 0.01; latency 3 of 3 "
            "measurements passed, last 0.01.",
        ),
        (
            # a headline of many metrics stops where it can still be read
            dict.fromkeys("abcdefg", "S"),
            [metric(name, count=1) for name in "abcdefg"],
            Cause.PASSED,
            "All 7 metrics passed: a 1 of 1 measurements passed, last 0.01; b 1 of 1 measurements passed, last 0.01; "
            "c 1 of 1 measurements passed, last 0.01; d 1 of 1 measurements passed, last 0.01; and 3 more.",
        ),
        (
            {"errors": "FSS"},
            [metric("errors", count=3, failure_limit=-1, consecutive_success_limit=3)],
            Cause.SUCCESSES_NOT_REACHED,
            "errors: count ran out with 2 of 3 successes in a row (3 of 3 measurements: 2 passed, 1 failed); a longer "
            "count or a lower consecutiveSuccessLimit would give it the chance.",
        ),
        (
            {"errors": "F", "latency": "F"},
            [metric("errors", count=3), metric("latency", count=3)],
            Cause.CONDITION_FAILED,
            "errors: 1 failure, failureLimit allows 0 (1 of 3 measurements: failed); last: 0.08: "
            "successCondition result < 0.05: 0.08 < 0.05 is false. A failureLimit of 1 would have let it go on. "
            "2 of 2 metrics are Failed: errors, latency.",
        ),
    ],
)
def test_the_verdicts_sentence(seen: dict[str, str], metrics: list[Metric], cause: Cause, reason: str) -> None:
    run = walk(seen, *metrics)
    assert (run.reason, run.cause) == (reason, cause)
    deciding = next(result for result in run.results if result.phase is run.phase)
    assert deciding.reason


@pytest.mark.parametrize(
    ("seen", "spec", "cause", "reason"),
    [
        (
            {"errors": "SF"},
            {},
            Cause.TERMINATED,
            "Terminated on request with no limit exceeded (errors 2 of 9 measurements: 1 passed, 1 failed).",
        ),
        (
            {"errors": "E"},
            {},
            Cause.NO_EVIDENCE,
            "Terminated on request before any measurement counted: there is no evidence.",
        ),
        (
            {"errors": "SF"},
            {"dry_run": (DryRunRule("errors"),)},
            Cause.PASSED,
            "No metric counts towards this run: it has dry-run metrics only.",
        ),
    ],
)
def test_terminated(seen: dict[str, str], spec: dict[str, Any], cause: Cause, reason: str) -> None:
    run = walk(seen, metric("errors", count=9, failure_limit=3), stop=True, **spec)
    assert (run.reason, run.cause) == (reason, cause)


@pytest.mark.parametrize(
    ("names", "headline"),
    [
        # one comparison: its whole sentence is the run's
        (
            ("errors",),
            "The metric passed: errors: x0.8 of stable (99% interval x0.1 to x4); limit x1.5; evidence 1 in 2.",
        ),
        # of several the effect and the limit; the rest stands in their own sentences
        (
            ("errors", "latency"),
            "All 2 metrics passed: errors x0.8 of stable (99% interval x0.1 to x4), limit x1.5; "
            "latency x0.8 of stable (99% interval x0.1 to x4), limit x1.5.",
        ),
    ],
)
def test_the_headline_of_comparisons(names: tuple[str, ...], headline: str) -> None:
    spec = RunSpec(tuple(metric(name, provider={"compare": {}}) for name in names))
    said = "x0.8 of stable (99% interval x0.1 to x4); limit x1.5; evidence 1 in 2."
    results = tuple(
        MetricResult(name, Phase.SUCCESSFUL, count=1, successful=1, reason=f"{name}: {said}") for name in names
    )
    run = Run("run-1", "default", "run", spec, Phase.SUCCESSFUL, results=results)
    assert explain_run(run, {m.name: ready(m) for m in spec.metrics})[1] == headline


@pytest.mark.parametrize(
    ("seen", "fields", "text"),
    [
        ("S", {}, "errors: 1 of 9 measurements: passed"),
        ("SF", {}, "errors: 2 of 9 measurements: 1 passed, 1 failed; 1 of 3 allowed failures used"),
        ("SEE", {}, "errors: 1 of 9 measurements: passed, 2 errors besides; 2 of 4 allowed errors in a row used"),
        ("SS", {"consecutive_success_limit": 3}, "errors: 2 of 9 measurements: all passed; 2 of 3 successes in a row"),
        ("S", {"count": None}, "errors: 1 measurement passed"),
        (
            "SEE",
            {"outage_policy": OutagePolicy("wait")},
            "errors: the provider has not answered 2 times since 2024-05-01T12:00:11+00:00; waiting, no measurement "
            f"is used. Last: {DOWN}",
        ),
    ],
)
def test_progress(seen: str, fields: dict[str, Any], text: str) -> None:
    run = walk({"errors": seen}, metric("errors", **{"count": 9, "failure_limit": 3, **fields}))
    assert progress(prepare(run.spec).metrics[0], run.results[0]) == text
    assert run.reason == ""
