"""sequential-ks: do the two distributions differ anywhere, in the harmful direction?

Bands around both empirical distribution functions that hold at every look; harm is shown where stable's lower band
lies above the canary's upper one. The effect is the largest gap F_s - F_c, a share of requests; an absolute margin
is such a share, a relative one scales stable's values. Only an absolute margin can be shown to be kept.

The "log e-value" is that of the anytime-valid p-value, log(1/p). Guarantee: exact for independent samples; slow.
Source: Howard & Ramdas (2022) for the bands; Lindon, Sanden & Shirikian (2022), arXiv 2205.14762, for the pair.
"""

import math

import msgspec

from .boundaries import lil_band, lil_error
from .evidence import Evidence
from .looks import Look
from .plan import Plan, harm_sign, margin_log_ratio
from .quantile import SampleState
from .quantile import update as update_samples
from .sketch import shifted

NAME = "sequential-ks"
_SCALE = 0.85


def start(plan: Plan) -> SampleState:
    return SampleState()


def update(plan: Plan, state: SampleState, look: Look) -> SampleState:
    return update_samples(plan, state, look)


def largest_gap(bins: tuple[tuple[int, float, float], ...], n_c: float, n_s: float, sign: int) -> float:
    """sup over bin edges of sign * (F_stable - F_canary), at least 0."""
    best = seen_c = seen_s = 0.0
    for _, c, s in bins:
        seen_c, seen_s = seen_c + c, seen_s + s
        best = max(best, sign * (seen_s / n_s - seen_c / n_c))
    return best


def log_inverse_p(gap: float, n_c: float, n_s: float) -> float:
    """log(1/p) of a gap between bands: p = 2 alpha where the two half widths at alpha add up to the gap."""
    if gap <= 0 or n_c < 1 or n_s < 1:
        return 0.0
    a, b = math.log1p(math.log(n_c)), math.log1p(math.log(n_s))

    def width(c: float) -> float:
        return _SCALE * (math.sqrt((a + c) / n_c) + math.sqrt((b + c) / n_s))

    low, high = 1.0, 2000.0
    if width(low) > gap:
        return 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if width(middle) < gap:
            low = middle
        else:
            high = middle
    error = 2.0 * lil_error(low, _SCALE)
    return math.log(1.0 / max(error, 1e-300)) if error < 1.0 else 0.0


def assess(plan: Plan, state: SampleState, *, interval: bool = True) -> Evidence:
    sign = harm_sign(plan.direction)
    sketch = state.sketch
    allowed = plan.margin.absolute
    common = Evidence(
        test=plan.test,
        look=state.look,
        unit="share",
        no_change=0.0,
        margin=allowed,
        used=state.used,
        dropped=state.dropped,
        canary_total=sketch.n_c,
        stable_total=sketch.n_s,
        effective_n=sketch.n_c + sketch.n_s,
        flags=state.flags,
        grade="exact",
    )
    n_c, n_s = sketch.n_c, sketch.n_s
    if n_c < 1 or n_s < 1:
        return common
    gap = largest_gap(sketch.bins, n_c, n_s, sign)
    harm = log_inverse_p(gap, n_c, n_s)
    if plan.direction == "either":
        gap = max(gap, largest_gap(sketch.bins, n_c, n_s, -sign))
        harm = max(log_inverse_p(gap, n_c, n_s) - math.log(2), 0.0)
    safety = 0.0
    if plan.margin.relative is not None:
        moved = shifted(sketch, sign * margin_log_ratio(plan, None, sign))
        beyond = log_inverse_p(largest_gap(moved, n_c, n_s, sign), n_c, n_s)
    elif allowed is not None:
        beyond = log_inverse_p(gap - allowed, n_c, n_s)
        safety = log_inverse_p(allowed - gap, n_c, n_s)
    else:
        beyond = harm
    half = lil_band(n_c, plan.alpha / 2) + lil_band(n_s, plan.alpha / 2)
    used = max(state.used, 1)
    return msgspec.structs.replace(
        common,
        estimate=gap,
        lower=max(gap - half, 0.0),
        upper=min(gap + half, 1.0),
        log_e_harm=harm,
        log_e_harm_margin=beyond,
        log_e_safety=safety,
        harm_rate=harm / used,
        harm_margin_rate=beyond / used,
        safety_rate=safety / used,
    )
