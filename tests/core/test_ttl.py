"""Deletion: the vectors hold the table, this the moment."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.model import Phase, Run, RunSpec, TtlStrategy
from analysis_service.core.ttl import expired, expires_at

DONE = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECONDS = st.none() | st.integers(0, 100_000)


@given(
    strategy=st.builds(TtlStrategy, SECONDS, SECONDS, SECONDS),
    phase=st.sampled_from(list(Phase)),
    late=st.integers(-10, 10),
)
def test_expires_at_is_the_first_moment(strategy: TtlStrategy, phase: Phase, late: int) -> None:
    run = Run("r", "d", "r", RunSpec((), ttl_strategy=strategy), phase=phase, completed_at=DONE)
    moment = expires_at(run)
    if moment is None:
        assert not expired(run, DONE + timedelta(days=10))
    else:
        assert expired(run, moment)
        assert not expired(run, moment - timedelta(microseconds=1))
        assert expired(run, moment + timedelta(seconds=late)) == (late >= 0)


def test_a_clock_that_went_back_deletes_nothing() -> None:
    run = Run("r", "d", "r", RunSpec((), ttl_strategy=TtlStrategy(0)), phase=Phase.SUCCESSFUL, completed_at=DONE)
    assert not expired(run, DONE - timedelta(days=1))
