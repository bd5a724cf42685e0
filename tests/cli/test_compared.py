"""What `render` says that a comparison is judged by: each row is a field of the template in words."""

from typing import Any

import pytest

from analysis_service.cli.compared import rules
from analysis_service.core.model import Metric
from analysis_service.core.prepare import ready

QUERY = {"prometheus": {"query": 'x{v="{{arm.v}}"}'}}
COUNTS = {"counts": {"events": QUERY, "totals": QUERY}}
GAUGE = {"gauge": QUERY}


def told(fields: dict[str, Any], share: float = 1.0) -> dict[str, str]:
    compare = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        "margin": {"relative": 0.5},
        "maxDuration": "10m",
        **fields,
    }
    return dict(rules(ready(Metric("m", interval="30s", provider={"compare": compare})), share))


@pytest.mark.parametrize(
    ("fields", "label", "said"),
    [
        (COUNTS, "test", "sequential-rate-ratio, a look every 30s for 10m0s (20 at most), then Inconclusive"),
        ({**COUNTS, "until": "terminated", "maxDuration": None}, "test", "a look every 30s until terminated"),
        ({**GAUGE, "test": "welch"}, "test", "welch, once, at maxDuration"),
        ({**GAUGE, "test": "kayenta", "margin": None}, "test", "kayenta, once, at maxDuration"),
        # errors fail as soon as harm is shown, gauges only beyond the margin
        (COUNTS, "fails if", "shown to be worse than no change; a harmless version with a chance of 5%"),
        (GAUGE, "fails if", "shown to be beyond x1.5 of stable;"),
        # the margin in the direction that is bad
        ({**GAUGE, "direction": "decrease"}, "passes if", "shown to be within x0.5 of stable;"),
        ({**GAUGE, "direction": "either"}, "passes if", "shown to be within x1.5 or x0.5 of stable;"),
        ({**COUNTS, "margin": {"absolute": 0.01}}, "passes if", "shown to be within stable + 0.01;"),
        ({**GAUGE, "margin": {"absolute": 2}, "direction": "decrease"}, "fails if", "beyond stable - 2;"),
        ({**COUNTS, "minBake": 0.1}, "passes if", "not in the first 60 s (minBake)"),
        ({**COUNTS, "beta": 0.01}, "passes if", "at the limit with a chance of 1%;"),
        ({**COUNTS, "absoluteFloor": 0.02}, "floor", "0.02: below it nothing fails"),
        ({**COUNTS, "arms": {"canary": {"v": "c"}}, "margin": None, "objective": 0.001},
         "fails if", "shown to be beyond the objective 0.001;"),
    ],
)  # fmt: skip
def test_rules(fields: dict[str, Any], label: str, said: str) -> None:
    assert said in told(fields)[label]


def test_the_chance_of_a_false_alarm_is_shared() -> None:
    assert "a chance of 2.5% (this metric's part of 5%)" in told(COUNTS, 0.5)["fails if"]


def test_kayenta_promises_nothing() -> None:
    assert list(told({**GAUGE, "test": "kayenta", "margin": None})) == ["test"]


@pytest.mark.parametrize("provider", [{"prometheus": {"query": "x"}}, {"compare": {"gauge": QUERY}}])
def test_what_is_no_comparison_has_none(provider: dict[str, Any]) -> None:
    assert rules(ready(Metric("m", interval="30s", provider=provider)), 1.0) == []
