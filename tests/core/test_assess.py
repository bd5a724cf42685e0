"""Orders and repetition; the table of rules is in the vectors."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.assess import assess, is_worse, over_limit, worst
from analysis_service.core.model import Measurement, Metric, MetricResult, Phase, Run, RunSpec
from analysis_service.core.outcome import Kind, outcome
from analysis_service.core.prepare import ready

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
RANKED = [Phase.SUCCESSFUL, Phase.RUNNING, Phase.PENDING, Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED]
PHASES = st.sampled_from(RANKED)
SMALL = st.integers(0, 4)
COUNTERS = st.fixed_dictionaries(
    dict.fromkeys(("failed", "inconclusive", "error", "consecutive_error", "consecutive_success", "count"), SMALL)
)
LIMITS = st.fixed_dictionaries(
    {
        "failure_limit": st.integers(-1, 3),
        "inconclusive_limit": SMALL,
        "consecutive_error_limit": SMALL,
        "consecutive_success_limit": SMALL,
        "count": st.none() | st.integers(-1, 4),
        "interval": st.sampled_from(["", "10s"]),
    }
)


@given(PHASES, PHASES)
def test_the_order_of_phases(one: Phase, other: Phase) -> None:
    assert is_worse(one, other) == (RANKED.index(one) > RANKED.index(other))
    assert worst(one, other) is max(one, other, key=RANKED.index)


def result_of(name: str, counters: dict[str, Any], last: Phase, dry: bool) -> MetricResult:
    measured = Measurement(last, 0, finished_at=NOW if last.done else None)
    return MetricResult(name, Phase.RUNNING, measurements=(measured,), dry_run=dry, taken=1, **counters)


@given(
    metrics=st.lists(st.tuples(LIMITS, COUNTERS, PHASES, st.booleans()), min_size=1, max_size=3),
    strict=st.booleans(),
    stop=st.booleans(),
)
def test_assessing_again_changes_nothing_once_it_settled(metrics: list[Any], strict: bool, stop: bool) -> None:
    named = [(f"m{i}", *rest) for i, rest in enumerate(metrics)]
    prepared = [ready(Metric(name, **limits), dry_run=dry) for name, limits, _, _, dry in named]
    results = tuple(result_of(name, counters, last, dry) for name, _, counters, last, dry in named)
    spec = RunSpec(tuple(r.metric for r in prepared), strict=strict, terminate=stop)
    run = assess(Run("r", "d", "r", spec, results=results), prepared, NOW)
    # a metric that ended badly ends its siblings in the second round; after that nothing moves
    second = assess(run, prepared, NOW + timedelta(seconds=1)) if not run.phase.done else run
    third = assess(second, prepared, NOW + timedelta(seconds=2)) if not second.phase.done else second
    assert third is second
    wet, dry = second.run_summary, second.dry_run_summary
    assert wet.count + dry.count == len(metrics)
    for summary in (wet, dry):
        assert summary.successful + summary.failed + summary.inconclusive + summary.error <= summary.count
    assert second.phase is not Phase.NEW
    # dry-run metrics alone never decide
    if all(dry_run for *_, dry_run in metrics):
        assert second.phase in (Phase.RUNNING, Phase.SUCCESSFUL)
    if second.phase.done:
        assert second.completed_at is not None
        assert second.reason


@given(LIMITS, COUNTERS)
def test_the_worst_limit_of_a_metric_wins(limits: dict[str, Any], counters: dict[str, Any]) -> None:
    phase, message = over_limit(ready(Metric("m", **limits)), MetricResult("m", **counters))
    exceeded = [
        counters["consecutive_error"] > limits["consecutive_error_limit"],
        counters["inconclusive"] > limits["inconclusive_limit"],
        limits["failure_limit"] >= 0 and counters["failed"] > limits["failure_limit"],
    ]
    order = [Phase.ERROR, Phase.INCONCLUSIVE, Phase.FAILED]
    assert phase is next((p for p, over in zip(order, exceeded, strict=True) if over), Phase.NEW)
    assert bool(message) == any(exceeded)


def test_what_an_aborted_rollout_is_told() -> None:
    told = outcome(Kind.PRE_PROMOTION, Phase.FAILED, "why")
    assert told.phase == "Degraded"
    assert told.message == "Blue/green pre-promotion analysis phase error/failed: why"
