"""sequential-quantile: is one quantile of the canary's raw samples larger than stable's?

If Q_c <= Q_s, then every x has either Q_c <= x or Q_s >= x: the evidence is the least, over x, of the joint evidence
of "canary's quantile is above x" and "stable's is below x", each a one-sided beta-binomial mixture. Between two grid
values each arm's evidence is taken at its worse end, so the grid costs a little power and no error. Against the
margin stable's samples are scaled by it.

Guarantee: exact at every look for independent samples.
Source: Howard & Ramdas (2022), Bernoulli 28, 1704-1728 (the two-sided form is `distribution.equal_quantile_log_e`).
"""

import math

import msgspec

from .boundaries import beta_binomial_log_mixture, beta_binomial_precision
from .evidence import Evidence
from .looks import Look, usable_samples
from .plan import Plan, harm_sign, margin_log_ratio
from .sketch import Sketch, add, edge, shifted

NAME = "sequential-quantile"
T_OPT = 500.0


class SampleState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    sketch: Sketch = Sketch()
    flags: tuple[str, ...] = ()


def start(plan: Plan) -> SampleState:
    return SampleState()


def update(plan: Plan, state: SampleState, look: Look) -> SampleState:
    canary, stable = usable_samples(look.canary), usable_samples(look.stable)
    if not canary or not stable:
        return msgspec.structs.replace(state, look=look.number, dropped=state.dropped + 1)
    sketch = add(state.sketch, canary, stable)
    flags = state.flags + tuple(f for f in look.flags if f not in state.flags)
    return SampleState(look.number, state.used + 1, state.dropped, sketch, flags)


def _above(share: float, n: float, q: float) -> float:
    """Evidence that the quantile lies above a value with this share of samples at or below it."""
    r = beta_binomial_precision(T_OPT * q * (1 - q), 0.05, 1 - q, q, one_sided=True)
    return beta_binomial_log_mixture((q - share) * n, q * (1 - q) * n, r, 1 - q, q, one_sided=True)


def _below(share: float, n: float, q: float) -> float:
    r = beta_binomial_precision(T_OPT * q * (1 - q), 0.05, q, 1 - q, one_sided=True)
    return beta_binomial_log_mixture((share - q) * n, q * (1 - q) * n, r, q, 1 - q, one_sided=True)


def log_e_order(bins: tuple[tuple[int, float, float], ...], n_c: float, n_s: float, q: float, *, up: bool) -> float:
    """Log e-value against "canary's q-quantile is not above stable's" (up) or "not below" (not up)."""
    worst = math.inf
    seen_c = seen_s = 0.0
    # x in the bin: shares at or below x lie between those before and after the bin
    for _, c, s in (*bins, (0, 0.0, 0.0)):
        after_c, after_s = (seen_c + c) / n_c, (seen_s + s) / n_s
        if up:
            value = _above(after_c, n_c, q) + _below(seen_s / n_s, n_s, q)
        else:
            value = _below(seen_c / n_c, n_c, q) + _above(after_s, n_s, q)
        worst = min(worst, value)
        seen_c, seen_s = seen_c + c, seen_s + s
    return worst


def _quantile(sketch: Sketch, q: float, arm: int) -> float | None:
    n = sketch.n_c if arm == 1 else sketch.n_s
    seen = 0.0
    for row in sketch.bins:
        seen += row[arm]
        if seen >= q * n and seen > 0:
            return edge(row[0], sketch.width)
    return None


def _interval(sketch: Sketch, q: float, arm: int, alpha: float) -> tuple[float | None, float | None]:
    n = sketch.n_c if arm == 1 else sketch.n_s
    threshold, seen = math.log(1 / alpha), 0.0
    lower = upper = None
    for row in sketch.bins:
        seen += row[arm]
        if _above(seen / n, n, q) >= threshold:
            lower = edge(row[0], sketch.width)
        elif upper is None and _below(seen / n, n, q) >= threshold:
            upper = edge(row[0], sketch.width)
            break
    return lower, upper


def assess(plan: Plan, state: SampleState, *, interval: bool = True) -> Evidence:
    sign = harm_sign(plan.direction)
    margin = margin_log_ratio(plan, None, sign)
    sketch = state.sketch
    q = max((q for q in plan.quantiles if 0 < q < 1), default=0.5)
    common = Evidence(
        test=plan.test,
        look=state.look,
        margin=math.exp(sign * margin),
        used=state.used,
        dropped=state.dropped,
        canary_total=sketch.n_c,
        stable_total=sketch.n_s,
        effective_n=sketch.n_c + sketch.n_s,
        flags=state.flags,
        grade="exact",
    )
    if sketch.n_c <= 0 or sketch.n_s <= 0:
        return common
    up = sign > 0
    harm = log_e_order(sketch.bins, sketch.n_c, sketch.n_s, q, up=up)
    moved = shifted(sketch, sign * margin)
    beyond = log_e_order(moved, sketch.n_c, sketch.n_s, q, up=up)
    safety = log_e_order(moved, sketch.n_c, sketch.n_s, q, up=not up)
    if plan.direction == "either":
        other = log_e_order(sketch.bins, sketch.n_c, sketch.n_s, q, up=False)
        harm = max(harm, other) - math.log(2)
        safety = 0.0
    canary, stable = _quantile(sketch, q, 1), _quantile(sketch, q, 2)
    lower = upper = level_upper = None
    if interval:
        c, s = _interval(sketch, q, 1, plan.alpha / 2), _interval(sketch, q, 2, plan.alpha / 2)
        level_upper = c[1]
        if c[0] is not None and s[1] is not None and c[0] > 0 and s[1] > 0:
            lower = c[0] / s[1]
        if c[1] is not None and s[0] is not None and s[0] > 0:
            upper = c[1] / s[0]
    used = max(state.used, 1)
    return msgspec.structs.replace(
        common,
        estimate=canary / stable if canary is not None and stable else None,
        lower=lower,
        upper=upper,
        log_e_harm=harm,
        log_e_harm_margin=beyond,
        log_e_safety=safety,
        harm_rate=max(harm, 0.0) / used,
        harm_margin_rate=max(beyond, 0.0) / used,
        safety_rate=max(safety, 0.0) / used,
        level=canary,
        level_upper=level_upper,
        baseline=stable,
    )
