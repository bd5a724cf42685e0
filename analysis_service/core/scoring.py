"""A run judged by one score over its metrics (`spec.score`), where its author asked for that.

Metrics then end without ending the run: only a critical one that failed, or could not be measured, stops the others.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from analysis_service.core.compare.spec import comparison_of
from analysis_service.core.model import Cause, Metric, MetricResult, Phase, Run
from analysis_service.core.prepare import Ready
from analysis_service.core.statistics.score import Outcome, ScoreResult, ScoreSpec, parse_score, score_outcomes

_ENDS = frozenset({Phase.FAILED, Phase.ERROR})


def is_critical(metric: Metric) -> bool:
    written = comparison_of(metric.provider)
    return metric.critical or (written is not None and written.get("critical") is True)


def stopped_by(run: Run, result: MetricResult) -> bool:
    """Whether this metric's bad end ends a scored run at once."""
    metric = next((metric for metric in run.spec.metrics if metric.name == result.name), None)
    return metric is not None and result.phase in _ENDS and is_critical(metric)


def score_of(run: Run, metrics: Sequence[Ready], results: Mapping[str, MetricResult]) -> ScoreResult | None:
    """The score of a run whose metrics have ended; None for a run without a usable `score`."""
    if run.spec.score is None:
        return None
    outcomes = []
    for ready in metrics:
        result = results.get(ready.name)
        groups = (comparison_of(ready.metric.provider) or {}).get("groups") or ()
        outcomes.append(
            Outcome(
                ready.name,
                result.phase if result is not None else Phase.PENDING,
                groups=tuple(map(str, groups)),
                critical=is_critical(ready.metric),
                muted=ready.dry_run,
                reason=result.reason.removeprefix(f"{ready.name}: ").rstrip(".") if result is not None else "",
            )
        )
    return score_outcomes(_parsed(msgspec.json.encode(run.spec.score)), outcomes)


def cause_of(phase: Phase, results: Sequence[MetricResult]) -> Cause:
    """For programs: the cause of the first metric that ended as the run did."""
    if phase is Phase.SUCCESSFUL:
        return Cause.PASSED
    found = next((r.cause for r in results if r.phase is phase and not r.dry_run), Cause.NONE)
    return found or Cause.INCONCLUSIVE_VALUES


@lru_cache(maxsize=256)
def _parsed(block: bytes) -> ScoreSpec:
    return parse_score(msgspec.json.decode(block))
