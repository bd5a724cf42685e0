"""Runs judged by one score: who ends whom, and what the run comes to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.model import Cause, DryRunRule, Measurement, Metric, Phase, Run, RunSpec
from analysis_service.core.reconcile import plan, settle, terminate

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PHASES = {"S": Phase.SUCCESSFUL, "F": Phase.FAILED, "I": Phase.INCONCLUSIVE, "E": Phase.ERROR}
SCORE = {"groupWeights": {"errors": 60, "latency": 40}, "scoreThresholds": {"pass": 90, "marginal": 50}}


def metric(name: str, group: str = "", **fields: Any) -> Metric:
    spec: dict[str, Any] = {
        "arms": {"canary": {}, "stable": {}},
        "gauge": {"web": {"url": "http://x"}},
        "margin": {"relative": 0.1},
        "maxDuration": "10m",
        **({"groups": [group]} if group else {}),
    }
    return Metric(name, interval="30s", provider={"compare": spec}, consecutive_error_limit=0, **fields)


def judged(run: Run, letters: str) -> Run:
    """One measurement per metric that is due, in the template's order: how each ended; `.` is still running."""
    for turn in range(2 * len(letters) + 2):
        now = START + timedelta(minutes=turn)
        taken = []
        for task in plan(run, now).measure:
            letter = letters[[m.name for m in run.spec.metrics].index(task.name)]
            phase = PHASES.get(letter, Phase.RUNNING)
            ended = now if phase.done else None
            taken.append(
                (
                    task.name,
                    Measurement(phase, task.ordinal, started_at=now, finished_at=ended, reason=f"said {letter}"),
                )
            )
        run = settle(run, taken, now).run
        if run.phase.done:
            break
    return run


TWO = (metric("a", "errors"), metric("b", "latency"))
VITAL = (metric("a", "errors", critical=True), metric("b", "latency"))


@pytest.mark.parametrize(
    ("metrics", "letters", "phase", "said"),
    [
        (TWO, "SS", Phase.SUCCESSFUL, "Score 100 (errors 100, latency 100) reaches the pass threshold 90"),
        # the failed one does not end the other
        (TWO, "SF", Phase.INCONCLUSIVE, "Score 60 (errors 100, latency 0) lies between"),
        (TWO, "FS", Phase.FAILED, "Score 40 (errors 0, latency 100) is below the marginal threshold 50"),
        (TWO, "FF", Phase.FAILED, "Score 0"),
        (TWO, "SI", Phase.INCONCLUSIVE, "undecided: b"),
        (TWO, "EE", Phase.ERROR, "No metric could be measured"),
        (TWO, "SE", Phase.INCONCLUSIVE, "not passed: b Error"),
        (VITAL, "FS", Phase.FAILED, "Critical metric a ended Failed: said F"),
        # a critical failure stops what still runs
        (VITAL, "F.", Phase.FAILED, "Critical metric a ended Failed"),
    ],
)
def test_score(metrics: tuple[Metric, ...], letters: str, phase: Phase, said: str) -> None:
    run = judged(Run("id", "n", "run", RunSpec(metrics, score=SCORE)), letters)
    assert run.phase is phase
    assert said in run.reason
    assert run.message in run.reason
    assert run.completed_at is not None


def test_a_run_that_is_not_complete_goes_on() -> None:
    run = judged(Run("id", "n", "run", RunSpec(TWO, score=SCORE)), "F.")
    assert run.phase is Phase.RUNNING


def test_a_dry_run_does_not_count() -> None:
    run = Run("id", "n", "run", RunSpec(TWO, dry_run=(DryRunRule("^b$"),), score=SCORE))
    done = judged(run, "SF")
    assert (done.phase, done.cause) == (Phase.SUCCESSFUL, Cause.PASSED)


def test_termination_scores_what_there_is() -> None:
    run = judged(Run("id", "n", "run", RunSpec(TWO, score=SCORE)), "S.")
    asked = terminate(run)
    (task,) = plan(asked, START).measure
    ended = Measurement(Phase.INCONCLUSIVE, 0, finished_at=START, cause=Cause.TERMINATED)
    done = settle(asked, [(task.name, ended)], START).run
    assert (done.phase, done.cause) == (Phase.INCONCLUSIVE, Cause.TERMINATED)


def test_a_score_that_cannot_be_used_is_refused() -> None:
    score = {"scoreThresholds": {"pass": 50, "marginal": 90}}
    run = plan(Run("id", "n", "run", RunSpec(TWO, score=score)), START).run
    assert run.phase is Phase.ERROR
    assert run.message.startswith("Analysis spec invalid: score.scoreThresholds.marginal")
