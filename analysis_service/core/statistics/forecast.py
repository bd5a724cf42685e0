"""How long until a verdict, and before the start: what can be found at all in the planned time.

Approximations for people, never part of a verdict: the evidence grows by its present rate per look, and before the
start a normal approximation with the mixture's cost stands for the e-process.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import msgspec

from .evidence import Evidence
from .mixture import CAUCHY_SCALE
from .plan import Plan, margin_log_ratio
from .starts import FIRST
from .t_mixture import G2
from .verdict import harm_of

POWER = 0.8
_NORMAL = NormalDist()


class Remaining(msgspec.Struct, frozen=True, omit_defaults=True):
    """Looks until the evidence reaches its limit at the present rate; None when it is not growing."""

    looks_to_fail: float | None = None
    looks_to_pass: float | None = None
    requests_to_fail: float | None = None  # of both arms
    requests_to_pass: float | None = None


class Outlook(msgspec.Struct, frozen=True, omit_defaults=True):
    """Before the start: the smallest harm found with POWER, and the chance of no verdict under no change.

    smallest_effect is a ratio for counts and log ratios, a difference otherwise; None: nothing can be found.
    """

    looks: int
    smallest_effect: float | None
    chance_inconclusive: float
    unit: str = "ratio"


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


def outlook_counts(plan: Plan, *, looks: int, events_per_look: float, canary_share: float) -> Outlook:
    """events_per_look: of both arms together, at stable's rate; canary_share: of the traffic, in (0, 1)."""
    calibration = plan.calibration
    phi = max(calibration.dispersion, 1.0) * max(calibration.long_run, 1.0) if calibration else 1.0
    information = looks * events_per_look * canary_share * (1.0 - canary_share) / phi
    if information <= 0.0:
        return Outlook(looks, None, 1.0)
    error = 1.0 / math.sqrt(information)

    def needed(effect: float, limit: float, weight: float) -> float:
        """z at which the mixture reaches the limit: z^2 / 2 + log(prior density * error * sqrt(2 pi)) = limit."""
        density = 2.0 / math.pi / CAUCHY_SCALE / (1.0 + (effect / CAUCHY_SCALE) ** 2)
        cost = -math.log(min(density * error * math.sqrt(2 * math.pi), 1.0)) - math.log(weight)
        return math.sqrt(2.0 * (limit + cost))

    margin = margin_log_ratio(plan, calibration.baseline if calibration else None, 1)
    offset = margin if plan.fail_at == "margin" else 0.0
    quantile = _NORMAL.inv_cdf(POWER)
    limit = math.log(1 / plan.alpha)
    smallest = _smallest(
        lambda effect: effect / error - quantile - needed(effect, limit, FIRST if plan.restarts else 1)
    )
    passes = 0.0
    if margin > 0:
        passes = _NORMAL.cdf(margin / error - needed(margin, math.log(1 / plan.beta), 1.0))
    return Outlook(looks, math.exp(smallest + offset) if smallest is not None else None, 1.0 - passes)


def outlook_gauge(plan: Plan, *, looks: int) -> Outlook | None:
    """From the calibration's scale and autocorrelation; None without them."""
    calibration = plan.calibration
    if calibration is None or calibration.scale <= 0:
        return None
    rho = calibration.autocorrelation
    innovation = calibration.scale * math.sqrt(max(1 - rho * rho, 0.0)) / (1 - rho)  # sd of the prewhitened points
    n = max(looks, 2)
    shrink = n * G2 / (1 + n * G2)

    def z_needed(limit: float, weight: float) -> float:
        return math.sqrt(2 * (limit - math.log(2 * weight) + 0.5 * math.log1p(n * G2)) / shrink)

    per_error = innovation / math.sqrt(n)
    offset = calibration.noise_floor
    ratio = calibration.log_ratio
    relative = plan.margin.relative
    if relative is not None:
        margin = math.log1p(relative) if ratio else relative * abs(calibration.baseline or 0.0)
    else:
        margin = plan.margin.absolute or 0.0
    if plan.fail_at == "margin":
        offset += margin
    first = FIRST if plan.restarts else 1.0
    smallest = offset + per_error * (z_needed(math.log(1 / plan.alpha), first) + _NORMAL.inv_cdf(POWER))
    room = margin - calibration.noise_floor
    passes = _NORMAL.cdf(room / per_error - z_needed(math.log(1 / plan.beta), 1.0)) if room > 0 else 0.0
    shown = math.exp(min(smallest, 700.0)) if ratio else smallest
    return Outlook(looks, shown, 1.0 - passes, "ratio" if ratio else "difference")


def _smallest(surplus: Callable[[float], float]) -> float | None:
    low, high = 1e-4, 3.4
    if surplus(high) < 0:
        return None
    for _ in range(60):
        middle = 0.5 * (low + high)
        if surplus(middle) < 0:
            low = middle
        else:
            high = middle
    return high
