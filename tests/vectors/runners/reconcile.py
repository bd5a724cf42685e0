"""Due measurements, assessment, whole reconciles, trimming, deletion, orderings, rules and traces of runs."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from analysis_service.core import rules
from analysis_service.core.arguments import resolve_metric
from analysis_service.core.assess import (
    assess,
    assess_metric,
    is_worse,
    metric_completed,
    over_limit,
    terminating,
    worst,
)
from analysis_service.core.due import Op, due, next_at
from analysis_service.core.judge import mark_error, terminated
from analysis_service.core.model import (
    Argument,
    Cause,
    DryRunRule,
    Measurement,
    Metric,
    MetricResult,
    Phase,
    RetentionRule,
    Run,
    RunSpec,
)
from analysis_service.core.outcome import Kind, outcome
from analysis_service.core.prepare import Ready, prepare, ready
from analysis_service.core.reconcile import Step, Task, plan, secret_missing, settle, terminate
from analysis_service.core.retention import trim
from analysis_service.core.secret_arguments import SecretError, needed, with_secrets
from analysis_service.core.ttl import expired

Given = Mapping[str, Any]
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
COUNTERS = ("count", "successful", "failed", "inconclusive", "error", "consecutive_error", "consecutive_success")
WEB = {"web": {"url": "http://127.0.0.1/", "jsonPath": "{$.a}"}}


# --- reading the vectors


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def seconds(time: datetime | None) -> float | None:
    return None if time is None else (time - EPOCH).total_seconds()


def read_metric(body: Given) -> Metric:
    return msgspec.convert({"name": "", **body}, Metric)


def read_result(body: Given) -> MetricResult:
    """Slots are numbered as if the listed measurements were all there ever were."""
    taken = tuple(
        Measurement(
            Phase(m["phase"]),
            ordinal,
            started_at=at(m["startedAt"]),
            finished_at=at(m["finishedAt"]) if "finishedAt" in m else None,
            resume_at=at(m["resumeAt"]) if "resumeAt" in m else None,
        )
        for ordinal, m in enumerate(body.get("measurements", ()))
    )
    plain = {"name": "", **{k: v for k, v in body.items() if k != "measurements"}}
    return msgspec.structs.replace(msgspec.convert(plain, MetricResult), measurements=taken, taken=len(taken))


def read_run(body: Given) -> Run:
    status = body.get("status", {})
    return Run(
        "run",
        "default",
        "run",
        msgspec.convert({"metrics": [], **body["spec"]}, RunSpec),
        phase=Phase(status.get("phase", "")),
        results=tuple(read_result(r) for r in status.get("metricResults", ())),
        started_at=at(status["startedAt"]) if "startedAt" in status else None,
        completed_at=at(status["completedAt"]) if "completedAt" in status else None,
    )


def read_ready(run: Run, dry: tuple[str, ...] = ()) -> tuple[Ready, ...]:
    """The metrics as they are: these vectors test single rules on metrics that no validation would let pass."""
    return tuple(ready(m, dry_run=m.name in dry) for m in run.spec.metrics)


# --- single rules


def tasks(given: Given, expect: Given) -> None:
    run, now = read_run(given["run"]), at(given["now"])
    stopping = terminating(run)
    found = []
    for one in read_ready(run):
        op = due(one, run.result(one.name), run.started_at, now, terminating=stopping)
        if op is not None:
            found.append({"metric": one.name, "resume": op is not Op.RUN})
    assert found == expect["tasks"]


def metric_assess(given: Given, expect: Given) -> None:
    phase = assess_metric(
        ready(read_metric(given["metric"])), read_result(given["result"]), terminating=given["terminating"]
    )
    assert phase == expect["phase"]


def metric_limits(given: Given, expect: Given) -> None:
    phase, message = over_limit(ready(read_metric(given["metric"])), read_result(given["result"]))
    assert (phase, message) == (expect["phase"], expect["message"])


def run_next(given: Given, expect: Given) -> None:
    run = read_run(given["run"])
    assert seconds(next_at(run, read_ready(run), at(given["now"]))) == expect["at"]


def run_assess(given: Given, expect: Given) -> None:
    run = read_run(given["run"])
    run = assess(run, read_ready(run, tuple(given["dryRunMetrics"])), at(given["now"]))
    compare_run(run, expect)


def trimming(given: Given, expect: Given) -> None:
    kept = {}
    for body in given["results"]:
        result = MetricResult(
            body["name"],
            measurements=tuple(Measurement(Phase.SUCCESSFUL, i, value=v) for i, v in enumerate(body["measurements"])),
        )
        limit = given["retention"].get(body["name"], given["defaultLimit"])
        kept[body["name"]] = [m.value for m in trim(result, limit).measurements]
    assert kept == expect["measurements"]
    if "address" in given:
        metric = Metric("metric1", provider={"prometheus": {"address": given["address"], "query": "up"}})
        args = tuple(msgspec.convert(a, Argument) for a in given["args"])
        (prepared,) = prepare(RunSpec((metric,), args=args)).metrics
        assert prepared.metric.provider["prometheus"]["address"] == expect["providerBuiltWithAddress"]


def ttl(given: Given, expect: Given) -> None:
    # a run being deleted is gone from a store here, so nobody asks about it again
    deleted = "deletionTimestamp" not in given["run"] and expired(read_run(given["run"]), at(given["now"]))
    assert deleted == expect["deleted"]


def phase_is_worse(given: Given, expect: Given) -> None:
    assert is_worse(Phase(given["new"]), Phase(given["current"])) == expect["worse"]


def phase_worst(given: Given, expect: Given) -> None:
    assert worst(Phase(given["left"]), Phase(given["right"])) == expect["worst"]


def run_terminating(given: Given, expect: Given) -> None:
    run = read_run({"spec": {"terminate": given["terminate"]}, "status": {"metricResults": given["metricResults"]}})
    assert terminating(run) == expect["terminating"]


def completed(given: Given, expect: Given) -> None:
    run = read_run({"spec": {}, "status": {"metricResults": given["metricResults"]}})
    assert metric_completed(run, given["metric"]) == expect["completed"]


def rule(apply: Callable[..., Any], kind: type[DryRunRule] | type[RetentionRule]) -> Callable[[Given, Given], None]:
    def check(given: Given, expect: Given) -> None:
        error, matched = None, set[str]()
        try:
            matched = set(apply([msgspec.convert(r, kind) for r in given["rules"]], given["metrics"]))
        except rules.RuleError as raised:
            error = str(raised)
        assert error == expect.get("error")
        assert [name for name in given["metrics"] if name in matched] == expect["matched"]

    return check


def marked_error(given: Given, expect: Given) -> None:
    measurement = mark_error(Measurement(Phase.RUNNING, started_at=EPOCH), given["error"], EPOCH)
    assert (measurement.phase, measurement.message) == (expect["phase"], expect["message"])
    assert (measurement.finished_at is not None) == expect["finished"]


# --- whole reconciles


def answer(task: Task, phase: Phase, now: datetime) -> Measurement:
    """What a provider that says just this phase makes of a task."""
    if task.op is Op.TERMINATE:
        assert task.measurement is not None
        return terminated(task.measurement, phase, now)
    finished = now if phase.done else None
    return Measurement(phase, task.ordinal, started_at=now, finished_at=finished, value="")


def reconcile(run: Run, outcomes: dict[str, list[Any]], now: datetime, described: Any = None) -> tuple[Step, list[Any]]:
    """Plan, answer, settle. Uses up the outcomes; a task that has none, or an outcome of another op, is an error."""
    step = plan(run, now)
    if step.run.phase.done:
        return step, []
    taken, log = [], []
    for task in step.measure:
        given = outcomes[task.name].pop(0)
        op, phase = (given["op"], given["phase"]) if isinstance(given, dict) else (None, given)
        assert op in (None, task.op)
        taken.append((task.name, answer(task, Phase(phase), now)))
        log.append({"metric": task.name, "op": task.op.value, "outcome": phase})
    return settle(step.run, taken, now, described), log


def run_reconcile(given: Given, expect: Given) -> None:
    if given["run"] is None or "deletionTimestamp" in given["run"]:
        # our stores have no objects that are half deleted: there is no run to reconcile
        assert expect["noop"]
        return
    run, now = read_run(given["run"]), at(given["now"])
    if missing := set(needed(run.spec.args)) - set(given.get("secrets", {})):
        run = secret_missing(run, f'secrets "{missing.pop()}" not found', now)
    outcomes = {name: list(answers) for name, answers in given["outcomes"].items()}
    step, _ = reconcile(run, outcomes, now, given.get("providerMetadata"))
    assert not any(outcomes.values()), "every given outcome is asked for"
    compare_run(step.run, expect)
    if "next" in expect:
        assert seconds(argo_next(step.run, now)) == expect["next"]
    if "deleted" in expect:
        assert expired(step.run, now) == expect["deleted"]


def argo_next(run: Run, now: datetime) -> datetime | None:
    return None if run.phase.done else next_at(run, prepare(run.spec).metrics, now)


def compare_run(run: Run, expect: Given) -> None:
    found = {
        "phase": run.phase,
        "message": run.message,
        "completedAt": seconds(run.completed_at),
        "runSummary": msgspec.structs.asdict(run.run_summary),
        "dryRunSummary": msgspec.structs.asdict(run.dry_run_summary),
        "metricPhases": {r.name: r.phase for r in run.results},
        "metricMessages": {r.name: r.message for r in run.results},
        "metricMetadata": {r.name: dict(r.metadata) for r in run.results},
        "measurements": {r.name: [m.phase for m in r.measurements] for r in run.results},
        "measurementMessages": {r.name: [m.message for m in r.measurements] for r in run.results},
        "counters": {
            r.name: {"consecutiveError": r.consecutive_error, "error": r.error, "count": r.count} for r in run.results
        },
    }
    for key, value in expect.items():
        if key in ("next", "deleted"):
            continue
        part = found[key]
        assert ({k: part[k] for k in value} if isinstance(part, dict) else part) == value, key


def resolve_secrets(given: Given, expect: Given) -> None:
    spec = read_run(given["run"]).spec
    if "error" in expect:
        with pytest.raises(SecretError) as raised:
            with_secrets(spec.args, given["secrets"])
        assert str(raised.value) == expect["error"]
        return
    args, masked = with_secrets(spec.args, given["secrets"])
    assert list(masked) == expect["redactionSet"]
    for metric in spec.metrics:
        resolved = resolve_metric(metric, args)
        assert resolved.success_condition == expect["resolved"][metric.name]["successCondition"]


def trace(given: Given, expect: Given) -> None:
    """The run's own wake-ups drive the clock; where the vector jumps early they have to ask for it."""
    spec = {"metrics": given["metrics"], "dryRun": [{"metricName": f"^{name}$"} for name in given["dryRun"]]}
    run = read_run({"spec": spec})
    outcomes = {name: list(answers) for name, answers in given["outcomes"].items()}
    wake: datetime | None = EPOCH
    for step in expect["steps"]:
        now = at(step["at"])
        if given.get("terminateAt") == step["at"]:
            run = terminate(run)
        else:
            assert wake is not None
            assert wake <= now
        before = run.phase
        taken, log = reconcile(run, outcomes, now)
        run, wake = taken.run, taken.wake_at
        assert not before.done
        assert (log, run.phase, run.message) == (step["taken"], step["runPhase"], step["message"])
        assert {r.name: counters(r) for r in run.results} == step["metrics"]
        assert seconds(argo_next(run, now)) == step["next"]
    for key in ("runSummary", "dryRunSummary"):
        compare_run(run, {key: expect[key]})
    assert plan(run, at(step["at"] + 1000)).measure == ()


def counters(result: MetricResult) -> dict[str, Any]:
    found = {camel(name): getattr(result, name) for name in COUNTERS}
    return {"phase": result.phase, "retained": len(result.measurements), **found}


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


# --- what a run's end does to its rollout

JOB = {"activeDeadlineExceeded": Phase.FAILED, "ErrImagePull": Phase.INCONCLUSIVE}
"""What a Job provider makes of these conditions; the provider itself comes later, and with its own vectors."""


def rollout_outcome(given: Given, expect: Given) -> None:
    run = read_run({"spec": {"metrics": [{"name": "m", "interval": "60s", "provider": WEB}]}})
    promoted = given.get("event") == "promoted"
    if "runPhase" in given:
        phases = [given["runPhase"]]
    elif promoted:
        phases = ["Running", "Inconclusive"]  # a Job is in flight; ended, it is Inconclusive
    else:
        phases = [JOB[given["job"]].value]
    outcomes, now = {"m": phases}, EPOCH
    while outcomes["m"]:
        step, _ = reconcile(run, outcomes, now)
        run, now = (terminate(step.run) if promoted else step.run), now + timedelta(seconds=60)
    (result,) = run.results
    assert expect.get("measurementPhase") in (None, result.measurements[-1].phase)
    assert expect.get("metricPhase") in (None, result.phase)
    assert expect.get("runPhase", given.get("runPhase")) == run.phase
    kind = Kind.STEP if given["analysis"] == "step" else Kind.BACKGROUND
    found = outcome(kind, run.phase, run.message, fully_promoted=promoted)
    assert found.phase == expect["rollout"]
    assert expect.get("reason") in (None, found.reason)
    assert Cause.NONE is not run.cause


RUNNERS: dict[str, Callable[[Given, Given], None]] = {
    "run.tasks": tasks,
    "metric.assess": metric_assess,
    "metric.limits": metric_limits,
    "metric.completed": completed,
    "run.next": run_next,
    "run.assess": run_assess,
    "run.reconcile": run_reconcile,
    "run.resolveSecrets": resolve_secrets,
    "run.trim": trimming,
    "run.ttl": ttl,
    "run.trace": trace,
    "run.terminating": run_terminating,
    "phase.isWorse": phase_is_worse,
    "phase.worst": phase_worst,
    "rules.dryRun": rule(rules.dry_run, DryRunRule),
    "rules.retention": rule(rules.retention, RetentionRule),
    "rollout.outcome": rollout_outcome,
    "measurement.markError": marked_error,
}
