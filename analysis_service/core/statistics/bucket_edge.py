"""One judged edge of a histogram: "slower than it" as an event, against no change and against the margin.

At the margin (x(1+m), or m in the metric's unit) the canary's share beyond an edge b is stable's share beyond b/(1+m)
(or b - m), which is told by the shape of what stable has shown before (`bucket_shape`). Two shapes are told, and each
claim is held against the less favourable one: harm of an increase against the most of stable's that may lie there,
safety against the least, and for a decrease the other way round. Each is a state of its own.
"""

import math
from dataclasses import dataclass

import msgspec

from . import buckets, conditional, rate_ratio
from .conditional import CountState
from .plan import Plan, harm_sign, margin_log_ratio

SLOTS = 5  # starts kept per edge
Counts = tuple[float, ...]  # per bucket


class EdgeState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One edge. mirrored: events are the observations that are *not* slower."""

    edge: float
    mirrored: bool
    order: CountState = CountState()  # against no change
    shifted: CountState = CountState()  # against the margin towards harm, for harm
    opposite: CountState = CountState()  # against the margin the other way, when harm lies both ways
    shifted_safe: CountState | None = None  # the same for safety, where it is asked; None: nothing yet, or the above
    opposite_safe: CountState | None = None  # speak of both, in a run that began when they did

    def margined(self, *, opposite: bool) -> tuple[CountState, CountState]:
        """What is held against the margin, towards harm or the other way: for harm, and for safety."""
        harm, safe = (self.opposite, self.opposite_safe) if opposite else (self.shifted, self.shifted_safe)
        return harm, harm if safe is None else safe


@dataclass(frozen=True, slots=True)
class Pair:
    """Both arms' histograms of one look, over the same edges."""

    look: int
    edges: tuple[float, ...]
    canary: Counts
    stable: Counts
    n_c: float
    n_s: float


def folded(plan: Plan, item: EdgeState, pair: Pair) -> EdgeState:
    """With this look against no change."""
    x_c, x_s = (buckets.beyond(pair.edges, counts, item.edge) for counts in (pair.canary, pair.stable))
    return msgspec.structs.replace(item, order=_fold(plan, item.order, pair, *_events(item, pair, x_c, x_s)))


def folded_margin(plan: Plan, item: EdgeState, pair: Pair, shape: Counts, *, target: bool) -> EdgeState:
    """With this look against the margin. shape: stable's counts before it; target: whether safety is asked here."""
    plan, sign = msgspec.structs.replace(plan, restarts=False), harm_sign(plan.direction)
    x_c = buckets.beyond(pair.edges, pair.canary, item.edge)

    def states(way: int) -> tuple[CountState, CountState | None]:
        stable = buckets.beyond_shaped(pair.edges, pair.stable, within(plan, item.edge, way), shape)
        for_harm, for_safety = (stable.most, stable.least) if way > 0 else (stable.least, stable.most)
        harm, safe = item.margined(opposite=way != sign)
        return (
            _fold(plan, harm, pair, *_events(item, pair, x_c, for_harm), noise=False),
            _fold(plan, safe, pair, *_events(item, pair, x_c, for_safety), noise=False) if target else None,
        )

    shifted, shifted_safe = states(sign)
    opposite, opposite_safe = states(-sign) if plan.direction == "either" else (item.opposite, None)
    return EdgeState(item.edge, item.mirrored, item.order, shifted, opposite, shifted_safe, opposite_safe)


def within(plan: Plan, edge: float, sign: int) -> float:
    """The value of stable's that the margin takes to `edge`: the two shares beyond are equal at the margin."""
    if plan.margin.relative is not None:
        return edge / math.exp(sign * margin_log_ratio(plan, None, sign))
    return edge - sign * max(plan.margin.absolute or 0.0, 0.0)


def _events(item: EdgeState, pair: Pair, x_c: float, x_s: float) -> tuple[float, float]:
    return (pair.n_c - x_c, pair.n_s - x_s) if item.mirrored else (x_c, x_s)


def _fold(plan: Plan, state: CountState, pair: Pair, x_c: float, x_s: float, *, noise: bool = True) -> CountState:
    """noise: whether the state is asked for its dispersion; against the margin that of no change counts."""
    n_c, n_s = pair.n_c, pair.n_s
    n = n_c + n_s
    w = n_c / n
    least = max(0.0, x_c + x_s - n_s)
    return conditional.fold(
        plan,
        state,
        look=pair.look,
        canary=(x_c, n_c),
        stable=(x_s, n_s),
        partition=rate_ratio.partition(x_c + x_s, w),
        weighted=None,
        residual=(x_c - w * (x_c + x_s), _variance(x_c, x_s, n_c, n_s)) if noise else None,
        trials=(min(x_c + x_s, n_c) - least, least),  # as in `odds_ratio`
        slots=SLOTS,
    )


def _variance(x_c: float, x_s: float, n_c: float, n_s: float) -> float:
    """Of x_c - w x when observations are independent: shares are not small here, so the binomial's 1 - p counts."""
    n = n_c + n_s
    p = (x_c + x_s) / n
    return p * (1.0 - p) * n_c * n_s / n
