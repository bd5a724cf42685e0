"""group-sequential: a planned number of looks with a spending rule; for metrics that come in batches.

z is the score test of counts (Mantel-Haenszel over looks) or the paired z of gauges; it is compared with the
Lan-DeMets bound at every planned look's information fraction, k / looks. Looks in between are read but not judged.
`log_e_harm` is scaled so that it reaches log(1/alpha) exactly where z reaches its bound; it is no e-value.

Guarantee: asymptotic, for independent looks, if the planned looks are kept.
Source: Lan & DeMets (1983); see `spending`.
"""

import math
from functools import lru_cache

import msgspec

from .evidence import Evidence
from .looks import Look, usable_counts, usable_gauge
from .plan import Plan, harm_sign, margin_log_ratio
from .spending import Spending, lan_demets

NAME = "group-sequential"


class GroupState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    score: float = 0.0  # against no change
    variance: float = 0.0
    margin_score: float = 0.0  # against the margin towards harm
    margin_variance: float = 0.0
    other_score: float = 0.0  # against the margin the other way
    other_variance: float = 0.0
    n: float = 0.0  # gauges: paired differences
    mean: float = 0.0
    square: float = 0.0
    stable_mean: float = 0.0
    x_c: float = 0.0
    n_c: float = 0.0
    x_s: float = 0.0
    n_s: float = 0.0
    judged: int = 0  # planned looks done
    harm: float = 0.0  # the largest scaled z so far: a crossing stays one
    beyond: float = 0.0
    safety: float = 0.0


@lru_cache(maxsize=64)
def bounds(looks: int, alpha: float, spending: Spending) -> tuple[float, ...]:
    return tuple(lan_demets([(k + 1) / looks for k in range(looks)], alpha, spending))


def start(plan: Plan) -> GroupState:
    return GroupState()


def update(plan: Plan, state: GroupState, look: Look) -> GroupState:
    sign = harm_sign(plan.direction)
    canary, stable = usable_counts(look.canary), usable_counts(look.stable)
    c, s = usable_gauge(look.canary), usable_gauge(look.stable)
    if canary is not None and stable is not None:
        x, w = canary.events + stable.events, canary.total / (canary.total + stable.total)
        theta, other = (_share_at(math.exp(way * margin_log_ratio(plan, None, way)), w) for way in (sign, -sign))
        state = msgspec.structs.replace(
            state,
            used=state.used + 1,
            score=state.score + canary.events - w * x,
            variance=state.variance + x * w * (1 - w),
            margin_score=state.margin_score + canary.events - theta * x,
            margin_variance=state.margin_variance + x * theta * (1 - theta),
            other_score=state.other_score + canary.events - other * x,
            other_variance=state.other_variance + x * other * (1 - other),
            x_c=state.x_c + canary.events,
            n_c=state.n_c + canary.total,
            x_s=state.x_s + stable.events,
            n_s=state.n_s + stable.total,
        )
    elif c is not None and s is not None:
        n = state.n + 1
        gap = c - s - state.mean
        mean = state.mean + gap / n
        state = msgspec.structs.replace(
            state,
            used=state.used + 1,
            n=n,
            mean=mean,
            square=state.square + gap * (c - s - mean),
            stable_mean=state.stable_mean + (s - state.stable_mean) / n,
        )
    else:
        state = msgspec.structs.replace(state, dropped=state.dropped + 1)
    return _judge(plan, msgspec.structs.replace(state, look=look.number))


def _judge(plan: Plan, state: GroupState) -> GroupState:
    looks = max(plan.looks, 1)
    total = plan.planned_looks or looks
    due = min(state.look * looks // total, looks)
    if due <= state.judged:
        return state
    either = plan.direction == "either"
    bound = bounds(looks, plan.alpha / 2 if either else plan.alpha, plan.spending)[due - 1]
    ok = bounds(looks, plan.beta, plan.spending)[due - 1]
    found = [z_statistics(plan, state, way) for way in ((1, -1) if either else (harm_sign(plan.direction),))]
    a, b = math.log(1 / plan.alpha), math.log(1 / plan.beta)
    return msgspec.structs.replace(
        state,
        judged=due,
        harm=max(state.harm, *(a * z / bound for z, _ in found)),
        beyond=max(state.beyond, *(a * z_margin / bound for _, z_margin in found)),
        safety=max(state.safety, min(-b * z_margin / ok for _, z_margin in found)),  # harm ruled out on every side
    )


def _share_at(ratio: float, w: float) -> float:
    """The canary's share of the events at a rate ratio, w its share of the totals."""
    return ratio * w / (ratio * w + 1 - w)


def z_statistics(plan: Plan, state: GroupState, way: int) -> tuple[float, float]:
    """(against no change, against the margin), positive where harm lies in this direction; 0 without variation."""
    if state.variance > 0:
        towards = way == harm_sign(plan.direction)
        score = state.margin_score if towards else state.other_score
        variance = state.margin_variance if towards else state.other_variance
        beyond = way * score / math.sqrt(variance) if variance > 0 else 0.0
        return way * state.score / math.sqrt(state.variance), beyond
    if state.n < 2 or state.square <= 0:
        return 0.0, 0.0
    error = math.sqrt(state.square / (state.n - 1) / state.n)
    relative, absolute = plan.margin.relative, plan.margin.absolute
    margin = relative * abs(state.stable_mean) if relative is not None else (absolute or 0.0)
    return way * state.mean / error, (way * state.mean - margin) / error


def assess(plan: Plan, state: GroupState, *, interval: bool = True) -> Evidence:
    sign = harm_sign(plan.direction)
    counts = state.n_c > 0
    z, z_margin = z_statistics(plan, state, sign)
    looks = max(plan.looks, 1)
    at = min(max(state.judged, 1), looks)
    estimate = None
    if counts and state.x_s > 0:
        estimate = (state.x_c / state.n_c) / (state.x_s / state.n_s)
    elif state.n:
        estimate = state.mean
    return Evidence(
        test=plan.test,
        look=state.look,
        unit="ratio" if counts else "difference",
        no_change=1.0 if counts else 0.0,
        estimate=estimate,
        margin=math.exp(sign * margin_log_ratio(plan, None, sign)) if counts else None,
        log_e_harm=state.harm,
        log_e_harm_margin=state.beyond,
        log_e_safety=state.safety,
        used=state.used,
        dropped=state.dropped,
        canary_total=state.n_c or state.n,
        stable_total=state.n_s or state.n,
        canary_events=state.x_c,
        stable_events=state.x_s,
        grade="asymptotic",
        detail={
            "z": z,
            "z_margin": z_margin,
            "bound": bounds(looks, plan.alpha, plan.spending)[at - 1],
            "information": at / looks,
        },
    )
