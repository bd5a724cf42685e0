"""When a comparison looks again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.compare.schedule import is_over, next_look, retry

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("interval", "longest", "now", "expected"),
    [
        (30, 1200, 0, 30),
        (30, 1200, 30, 60),  # a look taken exactly then is done
        (30, 1200, 44.5, 60),  # a late look moves nothing
        (30, 1200, 100, 120),  # nor do looks that were skipped
        (30, 100, 95, 100),  # the deadline comes first
        (30, 100, 100, 120),  # past it, a retry goes on as planned
        (30, None, 5000, 5010),
        (0.1, None, 0.3, 0.4),  # what binary fractions make of it
    ],
)
def test_next_look(interval: float, longest: float | None, now: float, expected: float) -> None:
    length = timedelta(seconds=longest) if longest is not None else None
    assert next_look(START, timedelta(seconds=interval), length, at(now)) == at(expected)


@given(
    interval=st.timedeltas(min_value=timedelta(microseconds=7), max_value=timedelta(hours=1)),
    elapsed=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)),
)
def test_the_next_look_is_later_and_on_the_grid(interval: timedelta, elapsed: timedelta) -> None:
    found = next_look(START, interval, None, START + elapsed)
    assert START + elapsed < found <= START + elapsed + interval
    assert (found - START) % interval == timedelta(0)


def test_a_missed_look_is_retried_as_argo_retries_an_error() -> None:
    assert retry(at(5)) == at(15)


@pytest.mark.parametrize(("longest", "now", "over"), [(60, 59.9, False), (60, 60, True), (None, 10**6, False)])
def test_is_over(longest: float | None, now: float, over: bool) -> None:
    assert is_over(START, timedelta(seconds=longest) if longest else None, at(now)) is over
