"""How long until a verdict: for people, never part of one. The evidence goes on growing by its present rate per look.

What can be found at all in the planned time is said before the start: see `outlook`.
"""

import math

import msgspec

from .evidence import Evidence
from .plan import Plan
from .verdict import harm_of


class Remaining(msgspec.Struct, frozen=True, omit_defaults=True):
    """Looks until the evidence reaches its limit at the present rate; None when it is not growing."""

    looks_to_fail: float | None = None
    looks_to_pass: float | None = None
    requests_to_fail: float | None = None  # of both arms
    requests_to_pass: float | None = None


def remaining(plan: Plan, evidence: Evidence) -> Remaining:
    rate = evidence.harm_rate if plan.fail_at == "noharm" else evidence.harm_margin_rate
    fail = _looks(math.log(1 / plan.alpha) - harm_of(plan, evidence), rate)
    safe = _looks(math.log(1 / plan.beta) - evidence.log_e_safety, evidence.safety_rate)
    per_look = (evidence.canary_total + evidence.stable_total) / evidence.used if evidence.used else 0.0
    return Remaining(
        fail,
        safe,
        fail * per_look if fail is not None else None,
        safe * per_look if safe is not None else None,
    )


def _looks(missing: float, rate: float) -> float | None:
    if missing <= 0.0:
        return 0.0
    return missing / rate if rate > 0.0 else None
