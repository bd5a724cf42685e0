"""A comparison as a fold over its looks: state and look in, state and what it means out.

    state = begin(setup)
    state, told = step(setup, state, look)          # for every look that was not missed

`rebuilding` gives the states after stored looks without weighing the evidence again; `replay` weighs it all, and gives
the same verdict as it was given live. Nothing here reads a clock or draws a random number.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import replace

from analysis_service.core.compare import fixed, gaps, season, still
from analysis_service.core.compare.spec import SAMPLE_RATIO, Spec
from analysis_service.core.compare.still import Still
from analysis_service.core.model import Look as StoredLook
from analysis_service.core.statistics import onset, sample_ratio, starts, verdict
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.fixed_comparison import Comparison
from analysis_service.core.statistics.looks import ArmData, Counts, Histogram, Look
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.registry import Family, families
from analysis_service.core.statistics.sample_ratio import SplitState
from analysis_service.core.statistics.verdict import VerdictState


@dataclass(frozen=True, slots=True)
class Setup:
    """What stays the same through all looks of a comparison."""

    name: str  # the metric's
    spec: Spec
    plan: Plan


class Mark(msgspec.Struct, frozen=True):
    """A look at which a copy of the evidence started: see `statistics.starts`. used: looks of evidence until then."""

    used: int
    number: int
    at: datetime


class Since(msgspec.Struct, frozen=True, omit_defaults=True):
    """The interval speaks of the looks after this one. estimate: of these looks alone, where it is known."""

    look: int
    at: datetime
    estimate: float | None = None


class State(msgspec.Struct, frozen=True):
    """After `looks` looks. test: the test family's own state."""

    looks: int
    test: Any
    verdict: VerdictState = VerdictState()
    split: SplitState = SplitState()
    gap: bool = False  # `missing: inconclusive`, and an interval had no data
    marks: tuple[Mark, ...] = ()
    gaps: Mapping[str, int] = {}  # which arm had no data, and why: in so many looks
    still: Still = Still()


@dataclass(frozen=True, slots=True)
class Told:
    """What a look means. look: without the arms that stood still in it. evidence: of sequential tests; comparison: of
    tests of fixed size, once they decided.
    """

    look: Look
    verdict: VerdictState
    evidence: Evidence | None = None
    comparison: Comparison | None = None
    split: Mapping[str, float] = field(default_factory=dict)
    misrouted: bool = False
    gap: bool = False
    since: Since | None = None  # see `since_of`
    gaps: Mapping[str, int] = field(default_factory=dict)
    still: Mapping[str, int] = field(default_factory=dict)  # arm that stands still -> looks without a change


MISROUTED = math.log(100)  # evidence against the configured share beyond which it is said
_families = cache(families)


def family_of(setup: Setup) -> Family:
    return _families()[setup.spec.test]


def begin(setup: Setup) -> State:
    return State(0, fixed.begin() if setup.spec.once else family_of(setup).start(setup.plan))


def missed(state: State, look: Look) -> State:
    """The state after a look whose query failed: it is counted, and no evidence."""
    return replace(state, looks=look.number, gaps=gaps.counted(state.gaps, look))


def step(setup: Setup, state: State, look: Look) -> tuple[State, Told]:
    """The state after `look`, whose number follows the state's, and what it means. Not for looks that were missed."""
    spec, plan = setup.spec, setup.plan
    moved, look = still.screened(spec, plan, state.still, look)
    folded = replace(_folded(setup, state, look), still=moved)
    evidence, comparison = None, None
    if spec.once:
        comparison, decided = fixed.decide(setup.name, spec, plan, folded.test, state.verdict, look)
        folded = replace(folded, test=fixed.judged(folded.test, spec, look), verdict=decided)
    else:
        evidence = _assessed(setup, folded)
        decided = verdict.step(plan, folded.verdict, look, evidence)
        folded = replace(folded, verdict=decided if spec.season is None else season.capped(plan, decided))
    log_e = sample_ratio.assess(plan, folded.split)
    split = {}
    if log_e.estimate is not None:
        split = {"canary_share": log_e.estimate, "configured": log_e.no_change, "log_e": log_e.log_e_harm}
        if folded.split.changes:
            split["configured_now"] = folded.split.share
    elif (share := sample_ratio.delivered(folded.split)) is not None:
        split = {"canary_share": share}
    misrouted = log_e.log_e_harm >= MISROUTED and spec.test != SAMPLE_RATIO
    since = since_of(folded, evidence) if evidence is not None else None
    told = Told(look, folded.verdict, evidence, comparison, split, misrouted, folded.gap, since, folded.gaps, moved.now)
    return folded, told


def is_judged(setup: Setup, state: State, elapsed_seconds: float) -> bool:
    """Whether a look at that time is judged, and not only counted; every look of a sequential test is."""
    return not setup.spec.once or fixed.due(setup.spec, elapsed_seconds) > state.test.judged


def shortened(setup: Setup, state: State) -> State:
    """The state as it is kept between looks: at most 64 KB. It lacks nothing while `is_whole` says so."""
    return replace(state, test=fixed.shortened(state.test)) if setup.spec.once else state


def is_whole(setup: Setup, state: State) -> bool:
    """Whether `state` can be judged; if not, `rebuilding` gives one that can."""
    return not setup.spec.once or state.test.whole


def since_of(state: State, evidence: Evidence) -> Since | None:
    """Where the interval leaves out the estimate, because harm came late: the looks that it speaks of."""
    if not onset.is_apart(evidence):
        return None
    mark = next((mark for mark in state.marks if mark.used == evidence.since), None)
    return Since(mark.number, mark.at, onset.estimate_since(state.test, evidence)) if mark is not None else None


def evidence_of(setup: Setup, state: State) -> Evidence | None:
    """The evidence so far, without another look; None for tests of fixed size."""
    return None if setup.spec.once else _assessed(setup, state)


def _assessed(setup: Setup, state: State) -> Evidence:
    plan = setup.plan
    if setup.spec.season is not None:
        plan = season.on_its_scale(plan, positive=state.test.positive)
    return family_of(setup).assess(plan, state.test)


def rebuilding(setup: Setup, stored: Iterable[StoredLook]) -> Iterator[tuple[State, Look]]:
    """The state after each of these looks. The verdicts are taken as stored: only sums are computed again."""
    state = begin(setup)
    for kept in stored:
        look = look_of(kept)
        if look.missed:
            state = missed(state, look)
        else:
            moved, look = still.screened(setup.spec, setup.plan, state.still, look)
            decided = msgspec.convert(kept.data["verdict"], VerdictState, strict=False)
            state = replace(_folded(setup, state, look), verdict=decided, still=moved)
            if setup.spec.once:
                state = replace(state, test=fixed.judged(state.test, setup.spec, look))
        yield state, look


def replay(setup: Setup, stored: Iterable[StoredLook]) -> Iterator[tuple[StoredLook, Told | None]]:
    """Every stored look with what it means, weighed anew: the same as it meant live."""
    state = begin(setup)
    for kept in stored:
        look = look_of(kept)
        if look.missed:
            state = missed(state, look)
            yield kept, None
        else:
            state, told = step(setup, state, look)
            yield kept, told


def stored(look: Look, told: Told | None) -> StoredLook:
    """A look as it is kept: both arms' data and what they mean, numbers and words only."""
    look = told.look if told is not None else look
    data: dict[str, Any] = msgspec.to_builtins(look)
    del data["number"], data["at"]
    if told is not None:
        data["verdict"] = msgspec.to_builtins(told.verdict)
        if told.evidence is not None:
            data["evidence"] = msgspec.to_builtins(told.evidence)
        if told.comparison is not None:
            data["comparison"] = msgspec.to_builtins(told.comparison)
        if told.since is not None:
            data["since"] = msgspec.to_builtins(told.since)
        if told.split:
            data["split"] = dict(told.split)
    return StoredLook(look.number, look.at, data)


def look_of(kept: StoredLook) -> Look:
    return msgspec.convert({**kept.data, "number": kept.number, "at": kept.at}, Look, strict=False)


def _folded(setup: Setup, state: State, look: Look) -> State:
    """The sums with this look in them; nothing is weighed yet."""
    spec, plan = setup.spec, setup.plan
    test = (
        fixed.update(state.test, look)
        if spec.once
        else family_of(setup).update(plan, state.test, _planned(setup, look))
    )
    totals = _totals(look)
    split = state.split
    if totals is not None:
        counted = replace(look, canary=Counts(0.0, totals[0]), stable=Counts(0.0, totals[1]))
        split = sample_ratio.update(plan, split, counted)
    empty = look.canary is None or (look.stable is None and not spec.single_arm)
    gap = state.gap or (spec.missing == "inconclusive" and empty)
    marks = _marks(setup, state, test, look)
    return State(look.number, test, state.verdict, split, gap, marks, gaps.counted(state.gaps, look))


def _marks(setup: Setup, before: State, test: Any, look: Look) -> tuple[Mark, ...]:
    """With this look, if a copy of the evidence starts after it; without those whose copies were given up."""
    used = getattr(test, "used", 0)
    if used == getattr(before.test, "used", 0) or starts.log_weight(used, setup.plan.planned_looks) is None:
        return before.marks
    kept = onset.starts_of(test)
    return tuple(mark for mark in (*before.marks, Mark(used, look.number, look.at)) if mark.used in kept)


def _planned(setup: Setup, look: Look) -> Look:
    """A group-sequential test counts planned times, whatever was missed or came in between."""
    if setup.spec.test != "group-sequential":
        return look
    number = math.floor(look.elapsed_seconds / setup.spec.interval.total_seconds() + 0.5)
    return replace(look, number=max(number, 1))


def _totals(look: Look) -> tuple[float, float] | None:
    canary, stable = _total(look.canary), _total(look.stable)
    return (canary, stable) if canary is not None and stable is not None and canary + stable > 0 else None


def _total(data: ArmData | None) -> float | None:
    if isinstance(data, Counts):
        return data.total
    return math.fsum(data.counts) if isinstance(data, Histogram) else None
