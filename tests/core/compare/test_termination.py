"""A comparison that is ended from outside: what it had shown by then, and what that rests on."""

from datetime import UTC, datetime, timedelta

import pytest

from analysis_service.core.compare import state, telling
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup
from analysis_service.core.model import Cause, Phase
from analysis_service.core.statistics.looks import Counts, Look

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=30)
QUERY = {"web": {"url": "http://{{arm.v}}"}}


@pytest.mark.parametrize(
    ("until", "total", "phase", "cause", "said"),
    [
        # too little to decide
        ("verdict", 100.0, Phase.INCONCLUSIVE, Cause.TERMINATED, "terminated after 3 looks before there was a verdict"),
        ("terminated", 100.0, Phase.SUCCESSFUL, Cause.TERMINATED, "terminated after 3 looks without harm shown"),
        # a pass does not end a background analysis, and is remembered
        ("terminated", 1e6, Phase.SUCCESSFUL, Cause.PASSED, "shown to be within the margin at look"),
    ],
)
def test_what_was_seen_is_told(until: str, total: float, phase: Phase, cause: Cause, said: str) -> None:
    written = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        "counts": {"events": QUERY, "totals": QUERY},
        "margin": {"relative": 0.5},
        "maxDuration": "2m",
        "until": until,
    }
    spec = parse(written, EVERY)
    setup = Setup("errors", spec, plan_of(spec, 1.0))
    folded = state.begin(setup)
    for number in (1, 2, 3):
        data = Counts(total / 50, total)
        after = number * EVERY
        look = Look(number, START + after, data, data, elapsed_seconds=after.total_seconds())
        folded, _ = state.step(setup, folded, look)
    ending = telling.at_termination(setup, folded, state.evidence_of(setup, folded), "x1", strict=False)
    assert (ending.phase, ending.cause) == (phase, cause)
    assert said in ending.reason
    assert f"Seen: canary {3 * total / 50:g} of {3 * total:.10g} (2%)" in ending.reason
