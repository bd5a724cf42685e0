"""sample-ratio: does traffic reach the arms in the configured shares? Always on, reported, never a verdict.

Dirichlet-multinomial e-process: E = B(a + S) / B(a) / prod theta^S with a = CONCENTRATION * theta. When the
configured share changes, a new factor starts; products of e-values of successive stretches stay valid. An interval
within which it changed is left out: some of its requests were routed by the one share and some by the other.

Guarantee: exact at every look for requests routed independently (sticky sessions make it overstate).
Source: Lindon & Malek (2022), arXiv 2011.03567.
"""

import math
from collections.abc import Sequence

import msgspec

from .evidence import Evidence
from .hygiene import WEIGHT_CHANGED
from .looks import Look, usable_counts
from .plan import Plan
from .roots import confidence_limit

NAME = "sample-ratio"
CONCENTRATION = 100.0


class SplitState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    share: float = 0.0  # the canary's configured share in the present stretch
    canary: float = 0.0  # requests in the present stretch
    stable: float = 0.0
    past: float = 0.0  # log e-value of the stretches before
    canary_total: float = 0.0
    stable_total: float = 0.0
    expected: float = 0.0  # the canary's requests, had all of them been routed as configured
    changes: int = 0  # of the configured share
    unheld_canary: float = 0.0  # requests that could be held to no share: none was known, or it changed meanwhile
    unheld_stable: float = 0.0


def log_e(counts: Sequence[float], shares: Sequence[float], concentration: float = CONCENTRATION) -> float:
    """Log e-value against "each observation falls in class i with probability shares[i]"."""
    return _log_mixture(counts, [concentration * share for share in shares]) - math.fsum(
        n * math.log(share) for n, share in zip(counts, shares, strict=True)
    )


def _log_mixture(counts: Sequence[float], prior: Sequence[float]) -> float:
    total, sums = math.fsum(prior), math.fsum(counts)
    value = math.lgamma(total) - math.lgamma(total + sums)
    return value + math.fsum(math.lgamma(a + n) - math.lgamma(a) for a, n in zip(prior, counts, strict=True))


def log_ratio_interval(
    counts: tuple[float, float], shares: tuple[float, float], concentration: float, alpha: float
) -> tuple[float, float]:
    """Confidence sequence of log(intensity 1 / intensity 2), two-sided: the nulls with e-value below 1/alpha."""
    (x, y), (p, q) = counts, shares
    mixture = _log_mixture(counts, [concentration * p, concentration * q]) - math.log(1.0 / alpha)

    def excess(delta: float) -> float:
        return mixture - x * (delta + math.log(p)) - y * math.log(q) + (x + y) * math.log(p * math.exp(delta) + q)

    estimate = math.log((x + 0.5) / p) - math.log((y + 0.5) / q)
    step = 2.0 / math.sqrt(x + y + 1.0)
    return confidence_limit(excess, 1, estimate, step, 60.0), confidence_limit(excess, -1, estimate, step, 60.0)


def start(plan: Plan) -> SplitState:
    return SplitState()


def update(plan: Plan, state: SplitState, look: Look) -> SplitState:
    canary, stable = usable_counts(look.canary), usable_counts(look.stable)
    share = look.weight_percent / 100.0 if look.weight_percent is not None else plan.expected_share
    mixed = WEIGHT_CHANGED in look.flags
    if canary is None or stable is None or share is None or mixed or not 0.0 < share < 1.0:
        return msgspec.structs.replace(
            state,
            look=look.number,
            dropped=state.dropped + 1,
            unheld_canary=state.unheld_canary + (canary.total if canary and stable else 0.0),
            unheld_stable=state.unheld_stable + (stable.total if canary and stable else 0.0),
        )
    past, at_c, at_s, changes = state.past, state.canary, state.stable, state.changes
    if share != state.share:
        past, at_c, at_s = _log_e(state), 0.0, 0.0
        changes += 1 if state.used else 0
    return SplitState(
        look=look.number,
        used=state.used + 1,
        dropped=state.dropped,
        share=share,
        canary=at_c + canary.total,
        stable=at_s + stable.total,
        past=past,
        canary_total=state.canary_total + canary.total,
        stable_total=state.stable_total + stable.total,
        expected=state.expected + share * (canary.total + stable.total),
        changes=changes,
        unheld_canary=state.unheld_canary,
        unheld_stable=state.unheld_stable,
    )


def delivered(state: SplitState) -> float | None:
    """The canary's share of all requests seen, whether or not they could be held to a share."""
    canary = state.canary_total + state.unheld_canary
    total = canary + state.stable_total + state.unheld_stable
    return canary / total if total > 0 else None


def _log_e(state: SplitState) -> float:
    if not 0.0 < state.share < 1.0:
        return state.past
    return state.past + log_e((state.canary, state.stable), (state.share, 1.0 - state.share))


def assess(plan: Plan, state: SplitState, *, interval: bool = True) -> Evidence:
    total = state.canary_total + state.stable_total
    return Evidence(
        test=NAME,
        look=state.look,
        unit="share",
        estimate=state.canary_total / total if total > 0 else None,
        no_change=state.expected / total if state.changes else state.share,
        log_e_harm=_log_e(state),
        used=state.used,
        dropped=state.dropped,
        canary_total=state.canary_total,
        stable_total=state.stable_total,
        grade="exact",
        calibrated=True,
    )
