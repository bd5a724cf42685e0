"""objective: is the canary's rate above or below a number that must be kept? Needs no stable arm.

Likelihood of x events in exposure n at rate e^psi * objective: x psi - n objective e^psi, of the same form as the
comparisons, with the objective in the place of stable, and where the end is known with a bet on the last look
(`last_counts`). The only way to a pass when there are no errors at all.

Guarantee: exact at every look for Poisson events and (conservatively) for requests that fail independently.
Source: Robbins (1970); Howard et al. (2021).
"""

import math

import msgspec
import numpy as np

from . import conditional
from .conditional import CountState
from .evidence import Evidence
from .looks import Look, usable_counts
from .mixture import nodes
from .plan import Margin, Plan

NAME = "objective"


def start(plan: Plan) -> CountState:
    return CountState()


def update(plan: Plan, state: CountState, look: Look) -> CountState:
    return conditional.ended(plan, look, _with(plan, state, look), math.inf)


def _with(plan: Plan, state: CountState, look: Look) -> CountState:
    canary = usable_counts(look.canary)
    if canary is None or not plan.objective or plan.objective <= 0:
        return conditional.dropped(state, look.number, look.flags)
    expected = plan.objective * canary.total
    return conditional.fold(
        plan,
        state,
        look=look.number,
        canary=(canary.events, canary.total),
        stable=(expected, canary.total),
        partition=expected * np.exp(nodes()),
        weighted=(canary.events, expected),
        residual=(canary.events - expected, canary.events),
        flags=look.flags,
    )


def assess(plan: Plan, state: CountState, *, interval: bool = True) -> Evidence:
    """Evidence in the rate's own unit: harm is a rate beyond the objective, safety one within it."""
    bare = msgspec.structs.replace(plan, margin=Margin())
    evidence = conditional.assess(bare, state, interval=interval, grade_at_unit_dispersion="exact")
    limit = plan.objective or 0.0
    return msgspec.structs.replace(
        evidence,
        unit="rate",
        no_change=limit,
        margin=limit,
        estimate=state.x_c / state.n_c if state.n_c > 0 else None,
        lower=None if evidence.lower is None else evidence.lower * limit,
        upper=None if evidence.upper is None else evidence.upper * limit,
        stable_total=0.0,
        stable_events=0.0,
        baseline=None,
    )
