"""Whole runs, driven by their own wake-ups: `S F I E` are what a provider's answers were judged as."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from analysis_service.core.due import ERROR_RETRY, TICK, Op
from analysis_service.core.model import (
    Argument,
    Cause,
    DryRunRule,
    Measurement,
    Metric,
    OutagePolicy,
    Phase,
    RetentionRule,
    Run,
    RunSpec,
    SecretKeyRef,
    TtlStrategy,
    ValueFrom,
)
from analysis_service.core.prepare import prepare
from analysis_service.core.reconcile import Step, plan, quarantine, secret_missing, settle, terminate
from analysis_service.core.ttl import expired

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
PHASES = {"S": Phase.SUCCESSFUL, "F": Phase.FAILED, "I": Phase.INCONCLUSIVE, "E": Phase.ERROR}
CAUSES = {
    "S": Cause.PASSED,
    "F": Cause.CONDITION_FAILED,
    "I": Cause.INCONCLUSIVE_VALUES,
    "E": Cause.PROVIDER_UNAVAILABLE,
}
PROMETHEUS = {"prometheus": {"address": "http://127.0.0.1:9090", "query": "errors"}}


def metric(name: str = "errors", **fields: Any) -> Metric:
    given = {"interval": "60s", "success_condition": "result < 0.05", "provider": PROMETHEUS, **fields}
    return Metric(name, **given)


def run_of(*metrics: Metric, **spec: Any) -> Run:
    return Run("run-1", "default", "run", RunSpec(metrics, **spec))


def measurement(letter: str, ordinal: int, now: datetime) -> Measurement:
    message = "connection refused" if letter == "E" else ""
    return Measurement(
        PHASES[letter], ordinal, started_at=now, finished_at=now, message=message, value="0.08", cause=CAUSES[letter]
    )


def walk(run: Run, seen: dict[str, str], until: timedelta = timedelta(hours=2)) -> Step:
    """Reconcile at every wake-up; each task takes the next letter of its metric. Stops when letters run out."""
    left = {name: list(letters) for name, letters in seen.items()}
    step, now = Step(run, wake_at=START), START
    for _ in range(1000):
        if step.wake_at is None or step.wake_at > START + until:
            return step
        now = step.wake_at
        planned = plan(step.run, now)
        if any(not left[task.name] for task in planned.measure):
            return step
        taken = [(task.name, measurement(left[task.name].pop(0), task.ordinal, now)) for task in planned.measure]
        step = settle(planned.run, taken, now)
    raise AssertionError("it wakes up again and again, and nothing comes of it")


@pytest.mark.parametrize(
    ("seen", "limits", "phase", "message"),
    [
        # failures up to the limit are forgiven
        ("SFSSS", {"count": 5, "failure_limit": 1}, "Successful", ""),
        # the first failure ends the run when failureLimit is absent
        ("SF", {"count": 5}, "Failed", 'Metric "errors" assessed Failed due to failed (1) > failureLimit (0)'),
        # errors use up no count
        ("SESSS", {"count": 5}, "Running", ""),
        ("SESSSS", {"count": 5}, "Successful", ""),
        # a success in between starts the row of errors anew
        ("EEEESEEEES", {"count": 2}, "Successful", ""),
        # the message of the last measurement is quoted
        (
            "EEEEE",
            {"count": 5},
            "Error",
            'Metric "errors" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4): '
            '"Error Message: connection refused"',
        ),
        # -1 never ends a metric by failures: the row of successes does
        ("FFFSS", {"failure_limit": -1, "consecutive_success_limit": 2}, "Successful", ""),
        # neither limit reached when count runs out: nobody can say
        ("SFSF", {"count": 4, "failure_limit": 2, "consecutive_success_limit": 2}, "Inconclusive", ""),
        # limits are written as text, too
        ("FS", {"count": "2", "failure_limit": "1"}, "Successful", ""),
        # without count it runs on
        ("SSSSS", {}, "Running", ""),
        # without interval and count it is one measurement
        ("S", {"interval": ""}, "Successful", ""),
    ],
)
def test_phase(seen: str, limits: dict[str, Any], phase: str, message: str) -> None:
    run = walk(run_of(metric(**limits)), {"errors": seen}).run
    assert (run.phase, run.message) == (phase, message)


@pytest.mark.parametrize(
    ("seen", "limits", "word"),
    [
        # every one of these ends a default-mode run in a way that surprises people
        ("FF", {"count": 2, "failure_limit": 2}, "failureLimit 2 >= count 2: 'errors' cannot fail"),
        ("FF", {"count": 2, "failure_limit": 2}, "Successful although none of 2 measurements was"),
        ("II", {"count": 2, "inconclusive_limit": 2}, "inconclusiveLimit 2 >= count 2"),
        ("S", {"count": 1, "success_condition": ""}, "no successCondition and no failureCondition"),
        ("E", {"count": -1}, "count -1 is negative"),
        ("E", {"count": -1}, "Successful although its only measurement was an error"),
        ("S", {"count": 1, "failure_limit": "10%"}, "failureLimit '10%' is no integer and counts as 0"),
        # Argo's summary calls this metric successful
        ("FS", {"count": 2, "failure_limit": -1, "consecutive_success_limit": 2}, "Failed, but counted as successful"),
    ],
)
def test_a_trap_is_named_and_strict_mode_refuses_or_decides_it(seen: str, limits: dict[str, Any], word: str) -> None:
    run = walk(run_of(metric(**limits)), {"errors": seen}).run
    assert [w for w in run.warnings if word in w], run.warnings
    strict = walk(run_of(metric(**limits), strict=True), {"errors": seen}).run
    assert not [w for w in strict.warnings if word in w]
    assert strict.phase in (Phase.ERROR, Phase.FAILED)
    assert strict.message
    assert strict.completed_at is not None


def test_a_quiet_run_has_no_warnings() -> None:
    run = walk(run_of(metric(count=3, failure_limit=1)), {"errors": "SFS"}).run
    assert (run.phase, run.warnings) == (Phase.SUCCESSFUL, ())


def test_strict_tells_a_metric_that_never_reached_its_row_of_successes() -> None:
    limits: dict[str, Any] = {"count": 2, "failure_limit": -1, "consecutive_success_limit": 2}
    run = walk(run_of(metric(**limits), strict=True), {"errors": "FS"}).run
    assert run.message == 'Metric "errors" assessed Failed due to consecutiveSuccess (1) < consecutiveSuccessLimit (2)'
    assert (run.run_summary.failed, run.run_summary.successful) == (1, 0)
    assert run.cause is Cause.SUCCESSES_NOT_REACHED


@pytest.mark.parametrize(
    ("seen", "strict", "phase", "cause"),
    [
        # Argo: ended before it began is Successful; strict: there is no evidence
        ("", False, Phase.SUCCESSFUL, Cause.NO_EVIDENCE),
        ("", True, Phase.INCONCLUSIVE, Cause.NO_EVIDENCE),
        # errors are no evidence either
        ("EE", False, Phase.SUCCESSFUL, Cause.NO_EVIDENCE),
        ("EE", True, Phase.INCONCLUSIVE, Cause.NO_EVIDENCE),
        ("SS", False, Phase.SUCCESSFUL, Cause.TERMINATED),
        ("SS", True, Phase.SUCCESSFUL, Cause.TERMINATED),
    ],
)
def test_terminated_early(seen: str, strict: bool, phase: Phase, cause: Cause) -> None:
    run = walk(run_of(metric(count=5, initial_delay="30s"), strict=strict), {"errors": seen}).run
    step = settle(terminate(run), (), START + timedelta(hours=1))
    assert (step.run.phase, step.run.cause) == (phase, cause)
    assert step.run.message.startswith("Run Terminated") or strict
    assert bool(step.run.warnings) == (not strict and cause is Cause.NO_EVIDENCE)


def test_strict_wants_evidence_of_every_metric() -> None:
    run = run_of(metric("a", count=5), metric("b", count=5, initial_delay="1h"), strict=True)
    run = settle(terminate(walk(run, {"a": "SS", "b": ""}).run), (), START + timedelta(minutes=3)).run
    assert (run.phase, run.message) == (
        Phase.INCONCLUSIVE,
        'Metric "b" assessed Inconclusive due to no evidence',
    )


def test_a_failed_sibling_ends_the_others_at_once() -> None:
    run = run_of(metric("a", count=9), metric("b", count=9))
    left = walk(run, {"a": "SF", "b": "SS"})
    assert left.run.phase is Phase.FAILED
    assert [r.phase for r in left.run.results] == [Phase.FAILED, Phase.SUCCESSFUL]
    # at the moment of the second measurement, not an interval later
    assert left.run.completed_at == START + timedelta(seconds=60) + TICK


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"metrics": ()}, "Analysis spec invalid: no metrics specified"),
        (
            {"metrics": (metric(success_condition="result < {{args.limit}}"),)},
            "Unable to resolve metric arguments: failed to resolve {{args.limit}}",
        ),
        (
            {"metrics": (metric(),), "args": (Argument("unused"),)},
            'Unable to resolve metric arguments: argument "unused" was not supplied',
        ),
        (
            {"metrics": (metric(),), "dry_run": (DryRunRule("*"),)},
            "Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)",
        ),
        (
            {"metrics": (metric(),), "measurement_retention": (RetentionRule("x", 3),)},
            "Analysis spec invalid: measurementRetention[0]: Rule didn't match any metric name(s)",
        ),
        # metrics are validated before rules
        (
            {"metrics": (metric(provider={}),), "dry_run": (DryRunRule("*"),)},
            "Analysis spec invalid: metrics[0]: no provider specified",
        ),
    ],
)
def test_a_spec_that_cannot_run_ends_at_once(spec: dict[str, Any], message: str) -> None:
    run = Run("run-1", "default", "run", RunSpec(ttl_strategy=TtlStrategy(1), **spec))
    for end in (plan, lambda run, now: settle(run, (), now)):
        ended = end(run, START).run
        assert (ended.phase, ended.message, ended.cause) == (Phase.ERROR, message, Cause.SPEC_INVALID)
        # as Argo: no times, so that its ttlStrategy never applies; the run says so
        assert (ended.started_at, ended.completed_at) == (None, None)
        assert not expired(ended, START + timedelta(days=1))
        assert any("ttlStrategy never deletes it" in w for w in ended.warnings)
    strict = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, strict=True))
    assert expired(plan(strict, START).run, START + timedelta(days=1))


def test_limits_of_retention_and_dry_run_apply() -> None:
    run = run_of(
        metric("a", count=14),
        metric("b", count=14, failure_limit=0),
        dry_run=(DryRunRule("^b$"),),
        measurement_retention=(RetentionRule("a|b", 2), RetentionRule("a", 3)),
    )
    run = walk(run, {"a": "S" * 14, "b": "SSF"}).run
    kept = {r.name: [m.ordinal for m in r.measurements] for r in run.results}
    assert kept == {"a": [11, 12, 13], "b": [1, 2]}
    assert run.phase is Phase.SUCCESSFUL
    assert (run.dry_run_summary.failed, run.run_summary.successful) == (1, 1)
    assert "dry run, not counted: b Failed" in run.reason


def test_a_wide_dry_run_rule_is_named() -> None:
    run = run_of(metric("error"), metric("error-rate"), metric("latency"), dry_run=(DryRunRule("error"),))
    (warning,) = plan_and_settle(run).warnings
    assert "also means 'error-rate'; write '^error$'" in warning


def test_a_secret_that_a_plain_value_does_not_override_is_named() -> None:
    secret = Argument("token", value="plain", value_from=ValueFrom(SecretKeyRef("s", "k")))
    (warning,) = plan_and_settle(run_of(metric(), args=(secret,))).warnings
    assert warning.startswith("args.token: the plain value has no effect")
    assert plan_and_settle(run_of(metric(), args=(secret,), strict=True)).warnings == ()


def plan_and_settle(run: Run) -> Run:
    return settle(plan(run, START).run, (), START).run


# --- late, twice, out of order


def test_the_same_answer_twice_counts_once() -> None:
    run = run_of(metric(count=3))
    taken = [("errors", measurement("S", 0, START))]
    once = settle(run, taken, START)
    again = settle(once.run, taken, START + timedelta(seconds=5))
    assert again.run is once.run
    assert again.recorded == ()
    assert settle(run, taken * 2, START).run == once.run


@pytest.mark.parametrize("ordinal", [-1, 0, 2, 7])
def test_an_answer_for_another_slot_is_dropped(ordinal: int) -> None:
    run = settle(run_of(metric(count=9)), [("errors", measurement("S", 0, START))], START).run
    late = settle(run, [("errors", measurement("F", ordinal, START))], START + timedelta(minutes=2))
    assert (late.run, late.recorded) == (run, ())


def test_answers_for_unknown_or_decided_metrics_are_dropped() -> None:
    run = settle(run_of(metric("a", count=1), metric("b")), [("a", measurement("S", 0, START))], START).run
    assert run.result("a").phase is Phase.SUCCESSFUL  # type: ignore[union-attr]
    late = [("a", measurement("F", 1, START)), ("c", measurement("F", 0, START))]
    assert settle(run, late, START).run is run


def test_a_done_run_never_changes() -> None:
    run = walk(run_of(metric(count=1)), {"errors": "F"}).run
    later = START + timedelta(days=1)
    assert plan(run, later) == Step(run)
    assert settle(run, [("errors", measurement("S", 1, later))], later) == Step(run)
    assert terminate(run) is run
    assert secret_missing(run, "gone", later) is run
    assert quarantine(run, 3, later) is run


def test_nothing_changes_without_news() -> None:
    step = walk(run_of(metric(count=3), metric("b", count=3)), {"errors": "S", "b": "S"})
    assert settle(step.run, (), START + timedelta(seconds=1)).run is step.run


# --- in flight


def in_flight(ordinal: int, resume_at: datetime | None = None) -> Measurement:
    return Measurement(Phase.RUNNING, ordinal, started_at=START, resume_at=resume_at, metadata={"job": "j"})


def test_a_measurement_in_flight_is_resumed_at_its_time_and_keeps_its_slot() -> None:
    resume_at = START + timedelta(seconds=15)
    step = settle(run_of(metric(count=2)), [("errors", in_flight(0, resume_at))], START)
    assert step.wake_at == resume_at + TICK
    assert plan(step.run, START + timedelta(seconds=14)).measure == ()
    (task,) = plan(step.run, resume_at).measure
    assert (task.op, task.ordinal, task.measurement) == (Op.RESUME, 0, in_flight(0, resume_at))
    done = settle(step.run, [("errors", measurement("S", 0, resume_at))], resume_at)
    (result,) = done.run.results
    assert (len(result.measurements), result.count, result.taken) == (1, 1, 1)


def test_one_that_names_no_time_is_looked_at_again_anyway() -> None:
    step = settle(run_of(metric(count=2)), [("errors", in_flight(0))], START)
    assert step.wake_at == START + ERROR_RETRY
    assert plan(step.run, START).measure[0].op is Op.RESUME


def test_terminating_ends_it_whatever_its_time() -> None:
    step = settle(run_of(metric(count=2)), [("errors", in_flight(0, START + timedelta(hours=1)))], START)
    run = terminate(step.run)
    (task,) = plan(run, START + timedelta(seconds=1)).measure
    assert task.op is Op.TERMINATE
    # a provider that cannot end it leaves the run to end without it, and the run says so
    ended = settle(run, [], START + timedelta(seconds=1)).run
    assert ended.phase is Phase.SUCCESSFUL
    assert any("still in flight" in w for w in ended.warnings)
    strict = msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, strict=True))
    assert settle(strict, [], START + timedelta(seconds=1)).run.phase is Phase.INCONCLUSIVE


# --- outages


def down(count: int, every: timedelta = timedelta(seconds=11), **policy: Any) -> tuple[Run, datetime]:
    run, now = run_of(metric(count=3, outage_policy=OutagePolicy("wait", **policy))), START
    for _ in range(count):
        (task,) = plan(run, now).measure
        run = settle(run, [("errors", measurement("E", task.ordinal, now))], now).run
        now += every
    return run, now


def test_an_outage_takes_no_slot_while_its_budget_lasts() -> None:
    run, now = down(100)
    (result,) = run.results
    assert (result.taken, result.error, result.phase) == (0, 0, Phase.PENDING)
    assert result.outage is not None
    assert (result.outage.attempts, result.outage.since) == (100, START)
    # an answer ends it, and the next outage has its whole budget again
    run = settle(run, [("errors", measurement("S", 0, now))], now).run
    assert (run.results[0].outage, run.results[0].count) == (None, 1)


def test_a_spent_outage_budget_counts_as_argo_does() -> None:
    run, _ = down(60, max="10m")
    # the budget is over at 600 s; the five errors from then on end the run
    assert run.phase is Phase.ERROR
    assert run.results[0].consecutive_error == 5
    assert run.cause is Cause.PROVIDER_UNAVAILABLE


def test_only_an_outage_waits() -> None:
    run = run_of(metric(count=3, outage_policy=OutagePolicy("wait")))
    wrong = msgspec.structs.replace(measurement("E", 0, START), cause=Cause.BAD_QUERY)
    assert settle(run, [("errors", wrong)], START).run.results[0].error == 1


def test_an_outage_while_in_flight_asks_again_later() -> None:
    run = run_of(metric(count=2, outage_policy=OutagePolicy("wait")))
    run = settle(run, [("errors", in_flight(0, START))], START).run
    step = settle(run, [("errors", measurement("E", 0, START))], START)
    assert step.run.results[0].measurements == (in_flight(0, START + ERROR_RETRY),)
    assert step.recorded == ()


# --- small promises


def test_wake_ups_are_never_too_early() -> None:
    step = walk(run_of(metric()), {"errors": "S"})
    assert step.wake_at is not None
    assert plan(step.run, step.wake_at - TICK).measure == ()
    assert len(plan(step.run, step.wake_at).measure) == 1


@pytest.mark.parametrize("interval", ["0s", "0", "-5m", "1us", "1s"])
def test_wake_ups_are_never_in_vain(interval: str) -> None:
    """Whoever is woken finds something to measure: an interval of nothing is due at once, not after ten seconds."""
    step, now = Step(run_of(metric(interval=interval, count=5)), wake_at=START), START
    for ordinal in range(5):
        now = max(now, step.wake_at or now)
        planned = plan(step.run, now)
        assert [task.ordinal for task in planned.measure] == [ordinal]
        step = settle(planned.run, [("errors", measurement("S", ordinal, now))], now + TICK)
        now += TICK
    assert step.run.phase is Phase.SUCCESSFUL


def test_a_due_metric_that_was_not_answered_stays_due() -> None:
    run = run_of(metric("a"), metric("b"))
    step = settle(run, [("a", measurement("S", 0, START))], START)
    assert step.wake_at == START
    assert [task.name for task in plan(step.run, START).measure] == ["b"]


def test_what_a_provider_tells_is_kept_once() -> None:
    run = settle(run_of(metric()), [("errors", measurement("S", 0, START))], START, {"errors": {"q": "1"}}).run
    later = START + timedelta(minutes=2)
    run = settle(run, [("errors", measurement("S", 1, later))], later, {"errors": {"q": "2"}}).run
    assert run.results[0].metadata == {"q": "1"}


def test_a_missing_secret() -> None:
    run = secret_missing(run_of(metric()), 'secrets "s" not found', START)
    assert run.message == 'Unable to resolve metric arguments: secrets "s" not found'
    assert (run.phase, run.cause, run.completed_at) == (Phase.ERROR, Cause.SECRET_NOT_FOUND, None)


def test_quarantine() -> None:
    run = quarantine(run_of(metric()), 3, START)
    assert (run.phase, run.cause, run.completed_at) == (Phase.ERROR, Cause.QUARANTINED, START)


def test_a_spec_is_worked_out_once() -> None:
    run = run_of(metric())
    assert prepare(run.spec) is prepare(run.spec)
    assert prepare(terminate(run).spec) is prepare(run.spec)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run,
        # a restart: the run comes back from its JSON
        lambda run: msgspec.json.decode(msgspec.json.encode(run), type=Run),
    ],
)
def test_a_restart_changes_nothing(change: Callable[[Run], Run]) -> None:
    def through(letters: Sequence[str]) -> Run:
        run, now = run_of(metric(count=6, failure_limit=2, interval="10s")), START
        for letter in letters:
            run = change(run)
            (task,) = plan(run, now).measure
            step = settle(change(run), [("errors", measurement(letter, task.ordinal, now))], now)
            run, now = step.run, step.wake_at or now
        return run

    assert through("SFESFSS").phase is Phase.SUCCESSFUL
    assert through("SFESFF").phase is Phase.FAILED
