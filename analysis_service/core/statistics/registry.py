"""The table of sequential tests: name -> family. Families are folds; the fixed-horizon tests have a table of theirs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from . import (
    group_sequential,
    histogram,
    ks,
    mean,
    objective,
    odds_ratio,
    quantile,
    rate_ratio,
    sample_ratio,
    sprt,
    t_test,
)
from .conditional import CountState
from .evidence import Evidence
from .looks import Counts, Gauge, Histogram, Look, Samples
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Family:
    """A test as a fold over looks.

    `update` and `assess` never raise for data; state is a JSON value (`encode`, `decode`) of at most 64 KB.
    """

    name: str
    shapes: tuple[type, ...]  # arm data it can use
    needs_stable: bool
    state: type[msgspec.Struct]
    start: Callable[[Plan], Any]
    update: Callable[[Plan, Any, Look], Any]
    assess: Callable[..., Evidence]

    def encode(self, state: msgspec.Struct) -> bytes:
        return msgspec.json.encode(state)

    def decode(self, data: bytes) -> Any:
        return msgspec.json.decode(data, type=self.state)


def _family(module: Any, state: type[msgspec.Struct], *shapes: type, needs_stable: bool = True) -> Family:
    return Family(module.NAME, shapes, needs_stable, state, module.start, module.update, module.assess)


def families() -> dict[str, Family]:
    """All sequential tests by name."""
    table = (
        _family(rate_ratio, CountState, Counts),
        _family(odds_ratio, CountState, Counts),
        _family(histogram, histogram.HistogramState, Histogram),
        _family(t_test, t_test.TState, Gauge),
        _family(quantile, quantile.SampleState, Samples),
        _family(ks, quantile.SampleState, Samples),
        _family(mean, mean.MeanState, Samples, Gauge),
        _family(sprt, sprt.SprtState, Counts),
        _family(group_sequential, group_sequential.GroupState, Counts, Gauge),
        _family(objective, CountState, Counts, needs_stable=False),
        _family(sample_ratio, sample_ratio.SplitState, Counts),
    )
    return {family.name: family for family in table}


def replay(plan: Plan, looks: list[Look]) -> tuple[Any, Evidence]:
    """State and evidence after these looks: the same as live, whenever it is done."""
    family = families()[plan.test]
    state = family.start(plan)
    for look in looks:
        if not look.missed:  # a look whose query failed is no evidence
            state = family.update(plan, state, look)
    return state, family.assess(plan, state)
