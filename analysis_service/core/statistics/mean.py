"""sequential-mean: difference of means of raw samples (or of paired gauges), variance plugged in.

The normal mixture of mSPRT, GAVI and asymptotic confidence sequences: with information I = 1 / se^2 and difference D,
S = D I has variance process I, and the one-sided mixture of `boundaries` applies. Its precision is set for twice the
information that the first BURN_IN observations bring; nothing is decided before.

Guarantee: asymptotic. Errs over alpha at few observations or heavy tails; `sequential-t` does not.
Sources: Johari et al. (2022); Howard et al. (2021); Waudby-Smith et al. (2024), arXiv 2103.06476.
"""

import math

import msgspec

from .boundaries import best_rho, normal_log_mixture
from .evidence import Evidence
from .looks import Look, usable_gauge, usable_samples
from .plan import Plan, harm_sign
from .roots import confidence_limit

NAME = "sequential-mean"
BURN_IN = 20


class Moments(msgspec.Struct, frozen=True):
    n: float = 0.0
    mean: float = 0.0
    square: float = 0.0  # squared deviations from the mean

    @property
    def variance(self) -> float:
        return self.square / (self.n - 1.0) if self.n > 1 else 0.0


class MeanState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    canary: Moments = Moments()
    stable: Moments = Moments()
    paired: Moments = Moments()
    rho: float = 0.0


def _extend(moments: Moments, values: tuple[float, ...]) -> Moments:
    n, mean, square = moments.n, moments.mean, moments.square
    for value in values:  # Welford
        n += 1.0
        gap = value - mean
        mean += gap / n
        square += gap * (value - mean)
    return Moments(n, mean, square)


def start(plan: Plan) -> MeanState:
    return MeanState()


def update(plan: Plan, state: MeanState, look: Look) -> MeanState:
    canary, stable = usable_samples(look.canary), usable_samples(look.stable)
    paired = state.paired
    if not canary or not stable:
        c, s = usable_gauge(look.canary), usable_gauge(look.stable)
        if c is None or s is None:
            return msgspec.structs.replace(state, look=look.number, dropped=state.dropped + 1)
        canary, stable = (c,), (s,)
        paired = _extend(paired, (c - s,))
    after = MeanState(
        look=look.number,
        used=state.used + 1,
        dropped=state.dropped,
        canary=_extend(state.canary, canary),
        stable=_extend(state.stable, stable),
        paired=paired,
        rho=state.rho,
    )
    if after.rho == 0.0 and min(after.canary.n, after.stable.n) >= BURN_IN:
        information = _difference(after)[1]
        if information > 0:
            return msgspec.structs.replace(after, rho=best_rho(2 * information, plan.alpha, one_sided=True))
    return after


def _difference(state: MeanState) -> tuple[float, float]:
    """(difference of means, its information); information 0 while unknown."""
    if state.paired.n and state.paired.n == state.used:
        variance = state.paired.variance
        return state.paired.mean, state.paired.n / variance if variance > 0 else 0.0
    gap = state.canary.mean - state.stable.mean
    if state.canary.n < 2 or state.stable.n < 2:
        return gap, 0.0
    error = state.canary.variance / state.canary.n + state.stable.variance / state.stable.n
    return gap, 1.0 / error if error > 0 else 0.0


def assess(plan: Plan, state: MeanState, *, interval: bool = True) -> Evidence:
    sign = harm_sign(plan.direction)
    gap, information = _difference(state)
    margin: float | None = plan.margin.absolute
    if plan.margin.relative is not None:
        margin = plan.margin.relative * abs(state.stable.mean) if state.stable.mean else None
    elif margin is None:
        margin = 0.0
    common = Evidence(
        test=plan.test,
        look=state.look,
        unit="difference",
        no_change=0.0,
        margin=None if margin is None else sign * margin,
        used=state.used,
        dropped=state.dropped,
        canary_total=state.canary.n,
        stable_total=state.stable.n,
        estimate=gap if state.used else None,
        level=state.canary.mean if state.used else None,
        baseline=state.stable.mean if state.used else None,
        effective_n=min(state.canary.n, state.stable.n),
        grade="asymptotic",
    )
    if state.rho <= 0.0 or information <= 0.0:
        return common

    def log_e(null: float, direction: int) -> float:
        return normal_log_mixture(direction * (gap - null) * information, information, state.rho, one_sided=True)

    harm = log_e(0.0, sign)
    beyond = log_e(sign * margin, sign) if margin is not None else 0.0
    safety = log_e(sign * margin, -sign) if margin is not None else 0.0
    if plan.direction == "either":
        harm = max(harm, log_e(0.0, -sign)) - math.log(2)
        if margin is not None:
            beyond = max(beyond, log_e(-margin, -1)) - math.log(2)
            safety = min(safety, log_e(-margin, 1))
    lower = upper = None
    if interval:
        threshold, step = math.log(1 / plan.alpha), 2.0 / math.sqrt(information)
        low = confidence_limit(lambda null: log_e(null, 1) - threshold, 1, gap, step, 1e4 * step)
        high = confidence_limit(lambda null: log_e(null, -1) - threshold, -1, gap, step, 1e4 * step)
        lower, upper = (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)

    def rate(distance: float) -> float:
        return 0.5 * distance * distance * information / state.used if distance > 0 else 0.0

    return msgspec.structs.replace(
        common,
        lower=lower,
        upper=upper,
        log_e_harm=harm,
        log_e_harm_margin=beyond,
        log_e_safety=safety,
        harm_rate=rate(sign * gap),
        harm_margin_rate=rate(sign * gap - margin) if margin is not None else 0.0,
        safety_rate=rate(margin - sign * gap) if margin is not None else 0.0,
    )
