"""The value and the promise of a comparison in a few words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.compare import state as fold
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup, Since
from analysis_service.core.compare.telling import after_look, shown
from analysis_service.core.model import Metric, Phase
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.looks import Counts, Gauge, Look

START = datetime(2026, 1, 1, tzinfo=UTC)
SINCE = Since(118, START, 1.96)
QUERY = {"prometheus": {"query": "{{arm.v}}"}}


@pytest.mark.parametrize(
    ("fields", "since", "value"),
    [
        ({"estimate": 1.9, "lower": 1.4, "upper": 2.6}, None, "x1.9 (1.4..2.6)"),
        ({"estimate": 1.9, "lower": 1.4}, None, "x1.9 (1.4..)"),
        ({"estimate": 1.9}, None, "x1.9"),
        ({"estimate": 0.5, "lower": 0.0}, None, "x0.5"),  # 0 is no limit of a ratio
        ({"estimate": 0.5, "lower": 0.0, "upper": 1.2}, None, "x0.5 (..1.2)"),
        ({"estimate": -2.0, "lower": -3.0, "upper": 0.0, "unit": "difference"}, None, "-2 (-3..0)"),
        # an arm without events
        ({"lower": 3.1}, None, "above x3.1"),
        ({"lower": 0.0, "upper": 0.7}, None, "below x0.7"),
        ({}, None, ""),
        # harm came late: what has been since, and the edge that speaks of it
        ({"estimate": 1.52, "lower": 1.61, "upper": 1.69}, SINCE, "x1.96 (1.61..)"),
        ({"estimate": 0.8, "lower": 0.6, "upper": 0.7}, Since(118, START, 0.5), "x0.5 (..0.7)"),
        ({"estimate": 1.52, "lower": 1.61}, Since(118, START), "x1.52 (1.61..)"),
    ],
)
def test_the_value(fields: dict[str, Any], since: Since | None, value: str) -> None:
    assert shown(Evidence("sequential-rate-ratio", **fields), since) == value


@pytest.mark.parametrize(
    ("shape", "fields", "phase", "said"),
    [
        (
            "gauge",
            {"test": "welch"},
            Phase.SUCCESSFUL,
            "One look, at maxDuration: false-alarm chance 5% for this look alone.",
        ),
        (
            "gauge",
            {"test": "mann-whitney", "looks": 2, "spending": "pocock"},
            Phase.SUCCESSFUL,
            "Planned look 1 of 2: false-alarm chance 5% over all of them (pocock).",
        ),
        (
            "counts",
            {"test": "poisson-e", "alpha": 0.01},
            Phase.SUCCESSFUL,
            "false-alarm chance 1% for this look alone.",
        ),
        # the same promise where nothing is decided, and why nothing is
        ("gauge", {"test": "welch", "margin": {"relative": 1e-4}}, Phase.INCONCLUSIVE, "for this look alone."),
        (
            "gauge",
            {"test": "welch", "margin": {"relative": 1e-4}},
            Phase.INCONCLUSIVE,
            "is shown; more data would decide (welch). One look, at maxDuration",
        ),
        (
            "gauge",
            {"test": "kayenta", "margin": None},
            Phase.SUCCESSFUL,
            "it states no false-alarm chance, for one look or for many.",
        ),
    ],
)
def test_a_test_of_fixed_size_says_what_it_promises(
    shape: str, fields: dict[str, Any], phase: Phase, said: str
) -> None:
    written = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        shape: {"events": QUERY, "totals": QUERY} if shape == "counts" else QUERY,
        "margin": {"relative": 0.5},
        "maxDuration": "10m",
        **fields,
    }
    spec = parse({key: value for key, value in written.items() if value is not None}, timedelta(seconds=30))
    setup = Setup("m", spec, plan_of(spec, 1.0))
    state, reason, ended = fold.begin(setup), "", Phase.RUNNING
    for number in range(1, 21):
        value = 10.0 + 0.1 * (number % 5)
        arm = Gauge(value) if shape == "gauge" else Counts(value, 1000.0)
        look = Look(number, START + timedelta(seconds=30 * number), arm, arm, elapsed_seconds=30.0 * number)
        state, told = fold.step(setup, state, look)
        ending = after_look(setup, Metric("m"), told, over=number == 20)
        reason, ended = ending.reason, ending.phase
        if ended.done:
            break
    assert (ended, said in reason) == (phase, True), reason
