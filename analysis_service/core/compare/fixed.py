"""Tests of fixed size as folds: looks are collected, and judged once at the deadline, or at planned times under a
spending rule.

They need scipy, and milliseconds: whoever has a loop to keep turning asks from a thread. They need every look, too, but
only at their planned times: between these a state of many looks is kept `short`, and made anew from the stored looks
when it is wanted whole.
"""

import math

import msgspec

from analysis_service.core.compare.spec import KAYENTA, Spec
from analysis_service.core.model import Phase
from analysis_service.core.statistics.fixed_comparison import Comparison, TwoCounts, TwoSamples
from analysis_service.core.statistics.frozen import FROZEN, UNCHANGED
from analysis_service.core.statistics.hygiene import SAME
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Look
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.verdict import VerdictState

KEPT = 1_000  # looks whose values stay in a state: 40 KB as JSON, and two thousand floats


class Collected(msgspec.Struct, frozen=True):
    """One number per look and arm (NaN where there was none), and the sums of counts. judged: planned times so far.

    whole: False for a state that was shortened, which has the sums only.
    """

    canary: tuple[float, ...] = ()
    stable: tuple[float, ...] = ()
    counts: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    judged: int = 0
    whole: bool = True


def begin() -> Collected:
    return Collected()


def update(state: Collected, look: Look) -> Collected:
    counts = state.counts
    if isinstance(look.canary, Counts) and isinstance(look.stable, Counts):
        c, s = look.canary, look.stable
        counts = (counts[0] + c.events, counts[1] + c.total, counts[2] + s.events, counts[3] + s.total)
    if not state.whole:
        return msgspec.structs.replace(state, counts=counts)
    return Collected((*state.canary, _number(look.canary)), (*state.stable, _number(look.stable)), counts, state.judged)


def shortened(state: Collected) -> Collected:
    """The state as it is kept until the next look: without its values where they are many."""
    return Collected((), (), state.counts, state.judged, whole=False) if len(state.canary) > KEPT else state


def due(spec: Spec, elapsed_seconds: float) -> int:
    """How many of the planned times have come."""
    planned = spec.planned or 1
    if spec.max_duration is None:
        return 0
    share = elapsed_seconds / spec.max_duration.total_seconds()
    return min(math.floor(share * planned + 1e-9), planned)


def judged(state: Collected, spec: Spec, look: Look) -> Collected:
    return msgspec.structs.replace(state, judged=max(state.judged, due(spec, look.elapsed_seconds)))


def decide(
    name: str, spec: Spec, plan: Plan, state: Collected, before: VerdictState, look: Look
) -> tuple[Comparison | None, VerdictState]:
    """The answer at a planned time, None in between, and the verdict that stands after it. Harm once shown stays.

    At a planned time of a test of single values (all but counts) `state` must be whole.
    """
    after = msgspec.structs.replace(before, looks=before.looks + 1)
    planned, now = spec.planned or 1, due(spec, look.elapsed_seconds)
    if now <= state.judged:
        return None, after
    found = _ask(name, spec, plan, state, now, planned)
    if found.phase is Phase.FAILED and before.outcome != "fail":
        after = msgspec.structs.replace(after, outcome="fail", failed_at=look.number)
    elif found.phase is Phase.SUCCESSFUL and before.outcome == "" and now / planned >= plan.min_bake and _present(look):
        after = msgspec.structs.replace(after, outcome="pass", passed_at=look.number)
    return found, after


def _present(look: Look) -> bool:
    """Whether both arms' counts still come: sums would let a canary pass that has died since. Values show it.

    An arm that stands still is as silent, and so are two arms that are one.
    """
    if not {FROZEN, UNCHANGED, SAME}.isdisjoint(look.flags):
        return False
    return (look.canary is not None and look.stable is not None) or isinstance(look.canary or look.stable, Gauge)


def _ask(name: str, spec: Spec, plan: Plan, state: Collected, look: int, planned: int) -> Comparison:
    from analysis_service.core.statistics.fixed_family import COUNT_TESTS, SAMPLE_TESTS

    samples = TwoSamples(state.canary, state.stable)
    if spec.test == KAYENTA:
        from analysis_service.core.statistics import kayenta_comparison
        from analysis_service.core.statistics.kayenta_config import parse_options

        return kayenta_comparison.decide(samples, options=parse_options(spec.kayenta), name=name)[0]
    settings = {
        "alpha": plan.alpha, "beta": plan.beta, "margin": plan.margin, "direction": plan.direction,
        "fail_at": plan.fail_at, "look": look, "looks": planned, "spending": spec.spending,
    }  # fmt: skip
    if spec.test in COUNT_TESTS:
        return COUNT_TESTS[spec.test].decide(TwoCounts(*state.counts), **settings)  # type: ignore[arg-type]
    return SAMPLE_TESTS[spec.test].decide(samples, **settings)  # type: ignore[arg-type]


def _number(data: ArmData | None) -> float:
    if isinstance(data, Gauge):
        return data.value
    return data.events / data.total if isinstance(data, Counts) and data.total > 0 else math.nan
