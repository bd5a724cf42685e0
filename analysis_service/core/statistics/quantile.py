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
import numpy as np
from numpy.typing import NDArray

from .boundaries import beta_binomial_precision
from .evidence import Evidence
from .looks import Look, usable_samples
from .plan import Plan, harm_sign, margin_log_ratio
from .sketch import Sketch, add, edge, shifted

Array = NDArray[np.float64]
Bins = tuple[tuple[int, float, float], ...]

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


def _side(shares: Array, n: float, q: float, *, above: bool) -> Array:
    """Log evidence that the q-quantile lies above (below) values with these shares of n samples at or below them.

    The one-sided beta-binomial mixture of `boundaries`, for many values at once.
    """
    from scipy.special import betainc, gammaln

    g, h = (1 - q, q) if above else (q, 1 - q)
    s = n * ((q - shares) if above else (shares - q))
    v = g * h
    r = beta_binomial_precision(T_OPT * v, 0.05, g, h, one_sided=True)
    a = np.maximum((r + v * n - g * s) / g, 1e-300)
    b = np.maximum((r + v * n + h * s) / h, 1e-300)
    a0, b0 = r / g, r / h
    start = math.lgamma(a0) + math.lgamma(b0) - math.lgamma(a0 + b0) + math.log(float(betainc(a0, b0, h)))
    mixture = gammaln(a) + gammaln(b) - gammaln(a + b) + np.log(np.maximum(betainc(a, b, h), 1e-300)) - start
    value = mixture - (v * n + h * s) / h * math.log(g) - (v * n - g * s) / g * math.log(h)
    # a share on the null's side is never evidence, also where the tail underflows
    result: Array = np.where(s > 0, value, np.minimum(value, 0.0))
    return result


def _shares(bins: Bins, arm: int, n: float) -> Array:
    """Share at or below each bin, with the empty share in front."""
    counts = np.array([0.0, *(row[arm] for row in bins)])
    shares: Array = np.minimum(np.cumsum(counts) / n, 1.0)
    return shares


def log_e_order(bins: Bins, n_c: float, n_s: float, q: float, *, up: bool) -> float:
    """Log e-value against "canary's q-quantile is not above stable's" (up) or "not below" (not up)."""
    c, s = _shares(bins, 1, n_c), _shares(bins, 2, n_s)
    end = np.array([1.0])
    # x in a bin: the shares at or below x lie between those before and after the bin; the last stretch is above all
    if up:
        joint = _side(np.concatenate((c[1:], end)), n_c, q, above=True) + _side(s, n_s, q, above=False)
    else:
        joint = _side(c, n_c, q, above=False) + _side(np.concatenate((s[1:], end)), n_s, q, above=True)
    return float(joint.min())


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
    shares = _shares(sketch.bins, arm, n)[1:]
    threshold = math.log(1 / alpha)
    low = np.flatnonzero(_side(shares, n, q, above=True) >= threshold)
    high = np.flatnonzero(_side(shares, n, q, above=False) >= threshold)
    return (
        edge(sketch.bins[int(low[-1])][0], sketch.width) if len(low) else None,
        edge(sketch.bins[int(high[0])][0], sketch.width) if len(high) else None,
    )


def _logs(plan: Plan, sketch: Sketch, q: float, sign: int) -> tuple[float, float, float]:
    """Log e-values against no change, within the margin, and at or beyond it, harm lying in this direction.

    Stable's values are moved by the margin, and rounded to whole bins against what is to be shown.
    """
    up = sign > 0
    margin = sign * margin_log_ratio(plan, None, sign)
    outer, inner = shifted(sketch, margin, larger=up), shifted(sketch, margin, larger=not up)
    return (
        log_e_order(sketch.bins, sketch.n_c, sketch.n_s, q, up=up),
        log_e_order(outer, sketch.n_c, sketch.n_s, q, up=up),
        log_e_order(inner, sketch.n_c, sketch.n_s, q, up=not up),
    )


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
    harm, beyond, safety = _logs(plan, sketch, q, sign)
    if plan.direction == "either":
        other = _logs(plan, sketch, q, -sign)
        harm, beyond = max(harm, other[0]) - math.log(2), max(beyond, other[1]) - math.log(2)
        safety = min(safety, other[2])
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
        quantile=q,
    )
