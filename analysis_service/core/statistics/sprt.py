"""sprt: Wald's sequential probability ratio test between "no change" and one named rate ratio, on counts.

Log likelihood ratio of the conditional binomial (see `rate_ratio`) at r1 against 1. Fastest of all tests when the
truth is one of the two points; says little about anything else, and has no interval.

Guarantee: an e-value for either point, exact for independent events; untempered.
Source: Wald (1945), Ann. Math. Statist. 16, 117-186.
"""

import math

import msgspec

from .evidence import Evidence
from .looks import Look, usable_counts
from .plan import Plan, harm_sign, margin_log_ratio

NAME = "sprt"
DEFAULT_LOG_RATIO = math.log(2.0)  # when neither a ratio nor a margin is given


class SprtState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    log_ratio: float = 0.0
    x_c: float = 0.0
    n_c: float = 0.0
    x_s: float = 0.0
    n_s: float = 0.0


def wald_limits(alpha: float, beta: float) -> tuple[float, float]:
    """(log A, log B): accept "harm" at or above the first, "no change" at or below the second."""
    return math.log((1.0 - beta) / alpha), math.log(beta / (1.0 - alpha))


def log_likelihood_ratio(events_c: float, events: float, share: float, r0: float, r1: float) -> float:
    """Conditional binomial log likelihood ratio of rate ratio r1 against r0; share: canary's part of the totals."""
    return events_c * math.log(r1 / r0) - events * (math.log1p(share * (r1 - 1)) - math.log1p(share * (r0 - 1)))


def _ratio(plan: Plan) -> float:
    if plan.sprt_ratio is not None and plan.sprt_ratio > 0:
        return plan.sprt_ratio
    sign = harm_sign(plan.direction)
    margin = margin_log_ratio(plan, None, sign) if plan.margin.relative else DEFAULT_LOG_RATIO
    return math.exp(sign * margin)


def start(plan: Plan) -> SprtState:
    return SprtState()


def update(plan: Plan, state: SprtState, look: Look) -> SprtState:
    canary, stable = usable_counts(look.canary), usable_counts(look.stable)
    if canary is None or stable is None:
        return msgspec.structs.replace(state, look=look.number, dropped=state.dropped + 1)
    share = canary.total / (canary.total + stable.total)
    gain = log_likelihood_ratio(canary.events, canary.events + stable.events, share, 1.0, _ratio(plan))
    return SprtState(
        look=look.number,
        used=state.used + 1,
        dropped=state.dropped,
        log_ratio=state.log_ratio + gain,
        x_c=state.x_c + canary.events,
        n_c=state.n_c + canary.total,
        x_s=state.x_s + stable.events,
        n_s=state.n_s + stable.total,
    )


def assess(plan: Plan, state: SprtState, *, interval: bool = True) -> Evidence:
    used = max(state.used, 1)
    return Evidence(
        test=plan.test,
        look=state.look,
        estimate=(state.x_c / state.n_c) / (state.x_s / state.n_s) if state.x_s > 0 else None,
        margin=_ratio(plan),
        log_e_harm=state.log_ratio,
        log_e_harm_margin=0.0,
        log_e_safety=-state.log_ratio,
        harm_rate=max(state.log_ratio, 0.0) / used,
        safety_rate=max(-state.log_ratio, 0.0) / used,
        used=state.used,
        dropped=state.dropped,
        canary_total=state.n_c,
        stable_total=state.n_s,
        canary_events=state.x_c,
        stable_events=state.x_s,
        level=state.x_c / state.n_c if state.n_c else None,
        baseline=state.x_s / state.n_s if state.n_s else None,
        grade="exact",
        calibrated=False,
    )
