"""The verdict rule, folded over looks: FAIL, PASS or keep looking; at the deadline INCONCLUSIVE, and why.

A verdict never comes from a point estimate. FAIL is sticky. A PASS stops blocking but the metric stays watched: harm
shown later still fails it. Nothing passes at a look in which an arm was silent or stood still, or both arms were
the same processes, however good it was before.
"""

import math
from typing import Literal, NamedTuple

import msgspec

from .evidence import FLOOR_FILLS_MARGIN, Evidence
from .frozen import FROZEN, UNCHANGED
from .hygiene import SAME
from .looks import Look
from .plan import Plan

Outcome = Literal["", "pass", "fail"]
Hold = Literal["", "bake", "absent", "same", "samples", "bad-data", "floor"]
Reason = Literal[
    "low-traffic", "high-noise", "effect-near-margin", "no-data", "bad-data", "uncalibrated", "frozen", "same-processes"
]

EMPTY_IN_A_ROW = 5  # looks in which only stable has data: routing or discovery is broken
BAD_SHARE = 0.2  # of looks with unusable data, beyond which nothing passes
BAD_PREFIX = "bad-"  # flags of hygiene that mean "the data was wrong", not "there was none"
_SLACK = 1e-9  # so that an e-value of exactly 1/alpha counts in spite of rounding


class VerdictState(msgspec.Struct, frozen=True, omit_defaults=True):
    outcome: Outcome = ""
    looks: int = 0
    failed_at: int = 0  # look of the first crossing
    passed_at: int = 0
    by_floor: bool = False
    peak_harm: float = 0.0  # largest log e-value for harm: anytime p = exp(-peak)
    peak_safety: float = 0.0
    bad: int = 0
    empty_in_a_row: int = 0
    longest_empty: int = 0
    frozen: bool = False  # an arm stood still at this look
    same: bool = False  # both arms were the same processes at this look


def harm_of(plan: Plan, evidence: Evidence) -> float:
    return evidence.log_e_harm if plan.fail_at == "noharm" else evidence.log_e_harm_margin


def step(plan: Plan, state: VerdictState, look: Look, evidence: Evidence) -> VerdictState:
    """The verdict after `look`, whose evidence is folded in already."""
    harm, safety = harm_of(plan, evidence), evidence.log_e_safety
    frozen = FROZEN in look.flags
    silent = look.canary is None and look.stable is not None and not frozen
    empty = state.empty_in_a_row + 1 if silent else 0
    bad = state.bad + (1 if any(flag.startswith(BAD_PREFIX) for flag in look.flags) else 0)
    looks = state.looks + 1
    hold = _hold(plan, looks, bad, look, evidence)
    outcome, failed_at, passed_at, by_floor = state.outcome, state.failed_at, state.passed_at, state.by_floor
    if outcome != "fail" and not hold.fail and harm >= math.log(1 / plan.alpha) - _SLACK:
        outcome, failed_at = "fail", look.number
    if outcome == "" and not hold.passing:
        floor, upper = plan.absolute_floor, evidence.level_upper
        below = floor is not None and upper is not None and upper < floor
        if below or safety >= math.log(1 / plan.beta) - _SLACK:
            outcome, passed_at, by_floor = "pass", look.number, below
    return VerdictState(
        outcome=outcome,
        looks=looks,
        failed_at=failed_at,
        passed_at=passed_at,
        by_floor=by_floor,
        peak_harm=max(state.peak_harm, harm),
        peak_safety=max(state.peak_safety, safety),
        bad=bad,
        empty_in_a_row=empty,
        longest_empty=max(state.longest_empty, empty),
        frozen=frozen,
        same=SAME in look.flags,
    )


def _present(look: Look, evidence: Evidence) -> bool:
    """Whether every arm that the evidence speaks of still answers: what has died since is not safe."""
    if not {FROZEN, UNCHANGED, SAME}.isdisjoint(look.flags):
        return False
    return look.canary is not None and (look.stable is not None or evidence.stable_total <= 0.0)


class _Held(NamedTuple):
    """What keeps a look from failing and from passing, whatever its evidence; "" for nothing."""

    fail: Hold = ""
    passing: Hold = ""


def _hold(plan: Plan, looks: int, bad: int, look: Look, evidence: Evidence) -> _Held:
    """looks, bad: how many there were, and how many of them with unusable data, this one included."""
    samples = min(evidence.canary_total, evidence.stable_total or evidence.canary_total)
    if samples < plan.min_samples or evidence.used == 0:
        return _Held("samples", "samples")
    floor, level = plan.absolute_floor, evidence.level
    fail: Hold = "floor" if floor is not None and level is not None and level < floor else ""
    if share_elapsed(plan, look) < plan.min_bake - _SLACK:
        return _Held(fail, "bake")
    if bad > BAD_SHARE * looks:
        return _Held(fail, "bad-data")
    if _present(look, evidence):
        return _Held(fail)
    return _Held(fail, "same" if SAME in look.flags else "absent")


def held_back(plan: Plan, state: VerdictState, look: Look, evidence: Evidence) -> Hold:
    """Why there is no verdict at a look whose evidence would suffice for one; "" where it does not suffice.

    state: after this look.
    """
    hold = _hold(plan, state.looks, state.bad, look, evidence)
    if state.outcome != "":
        return ""
    if harm_of(plan, evidence) >= math.log(1 / plan.alpha) - _SLACK:
        return hold.fail
    return hold.passing if evidence.log_e_safety >= math.log(1 / plan.beta) - _SLACK else ""


def baking_seconds(plan: Plan, look: Look) -> float:
    """How much longer than this look nothing passes, because of minBake."""
    return max(plan.min_bake * plan.planned_seconds - look.elapsed_seconds, 0.0)


def share_elapsed(plan: Plan, look: Look) -> float:
    """Share of the planned duration that has passed; 1 when no duration is planned."""
    if plan.planned_seconds > 0:
        return look.elapsed_seconds / plan.planned_seconds
    if plan.planned_looks > 0:
        return look.number / plan.planned_looks
    return 1.0


def why_undecided(plan: Plan, state: VerdictState, evidence: Evidence) -> Reason:
    """The one reason that a run without a verdict at its deadline is given."""
    if state.frozen:
        return "frozen"
    if state.same:
        return "same-processes"
    if evidence.used == 0 or state.longest_empty >= EMPTY_IN_A_ROW:
        return "no-data"
    if state.bad > BAD_SHARE * max(state.looks, 1):
        return "bad-data"
    if FLOOR_FILLS_MARGIN in evidence.flags:
        return "high-noise"
    if near_margin(evidence):
        return "effect-near-margin"
    if evidence.grade == "none":
        return "uncalibrated"
    if evidence.dispersion >= 2.0 or evidence.autocorrelation >= 0.5:
        return "high-noise"
    return "low-traffic"


def near_margin(evidence: Evidence) -> bool:
    """Is the estimate within a quarter of the way between no change and the margin from the margin, either side?

    And known well enough to say so: an interval of more than four such ways says that little is known at all.
    """
    estimate, margin, zero = evidence.estimate, evidence.margin, evidence.no_change
    lower, upper = evidence.lower, evidence.upper
    if estimate is None or margin is None or margin == zero or lower is None or upper is None:
        return False
    if evidence.unit == "ratio":
        if min(estimate, margin, zero, lower, upper) <= 0:
            return False
        estimate, margin, zero, lower, upper = map(math.log, (estimate, margin, zero, lower, upper))
    way = abs(margin - zero)
    return abs(estimate - margin) <= 0.25 * way and upper - lower <= 4.0 * way


def anytime_p(peak: float) -> float:
    return math.exp(-max(peak, 0.0))
