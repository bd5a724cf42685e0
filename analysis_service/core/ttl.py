"""When a finished run may be deleted (`ttlStrategy`).

`secondsAfterSuccess` is for Successful, `secondsAfterFailure` for Failed; where that one is not given, and for Error
and Inconclusive always, `secondsAfterCompletion` counts. Whole seconds, and strictly more than the limit.
"""

from datetime import datetime, timedelta

from analysis_service.core.model import Phase, Run


def expired(run: Run, now: datetime) -> bool:
    """Whether the run's time is over. Never for a run without a strategy, or without a time of completion."""
    limit = _limit_seconds(run)
    if limit is None or run.completed_at is None:
        return False
    return (now - run.completed_at) // timedelta(seconds=1) > limit


def expires_at(run: Run) -> datetime | None:
    """The first moment at which `expired` holds, None if it never will."""
    limit = _limit_seconds(run)
    if limit is None or run.completed_at is None:
        return None
    return run.completed_at + timedelta(seconds=max(limit, -1) + 1)


def _limit_seconds(run: Run) -> int | None:
    strategy = run.spec.ttl_strategy
    if strategy is None or not run.phase.done:
        return None
    if run.phase is Phase.SUCCESSFUL and strategy.seconds_after_success is not None:
        return strategy.seconds_after_success
    if run.phase is Phase.FAILED and strategy.seconds_after_failure is not None:
        return strategy.seconds_after_failure
    return strategy.seconds_after_completion
