"""Tests of fixed size as folds over looks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup, begin, step
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Look

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=30)
QUERY = {"web": {"url": "http://{{arm.v}}"}}
ARMS = {"canary": {"v": "c"}, "stable": {"v": "s"}}
FEW, MANY = Counts(10.0, 10_000.0), Counts(30.0, 10_000.0)


@pytest.mark.parametrize(
    ("test", "canary", "stable", "outcome"),
    [
        ("fisher-exact", [FEW, FEW, FEW, FEW], MANY, "pass"),
        # it was good until it died: its sums still look well at the deadline
        ("fisher-exact", [FEW, FEW, FEW, None], MANY, ""),
        ("poisson-e", [FEW, FEW, FEW, None], MANY, ""),
        # harm that was shown is shown
        ("fisher-exact", [MANY, MANY, MANY, None], FEW, "fail"),
        # of single values one may be missing; how many are is the test's own business
        ("welch", [Gauge(9.0), Gauge(9.1), Gauge(9.2), Gauge(9.1), Gauge(9.0), None], Gauge(9.1), "pass"),
        ("welch", [None, None, None, None], Gauge(9.1), ""),
    ],
)
def test_a_canary_that_has_died_does_not_pass(
    test: str, canary: list[ArmData | None], stable: ArmData, outcome: str
) -> None:
    counts = isinstance(stable, Counts)
    data: dict[str, Any] = {"counts": {"events": QUERY, "totals": QUERY}} if counts else {"gauge": QUERY}
    written = {"arms": ARMS, **data, "test": test, "margin": {"relative": 0.5}, "maxDuration": f"{30 * len(canary)}s"}
    spec = parse(written, EVERY)
    setup = Setup("m", spec, plan_of(spec, 1.0))
    state = begin(setup)
    for number, one in enumerate(canary, start=1):
        after = number * EVERY
        steady = stable if counts else Gauge(9.1 + number % 3 / 10)
        look = Look(number, START + after, one, steady, elapsed_seconds=after.total_seconds())
        state, told = step(setup, state, look)
    assert told.verdict.outcome == outcome
