"""sequential-histogram: is the canary's distribution shifted up? Default for latency histograms.

For each bucket edge b, "slower than b" is an event among the interval's observations: a rate-ratio test (or, where
most observations are slower, the mirrored test on "not slower", which is the sharper one). Against no change the
evidence is the mean over edges of these e-processes: a mean of e-processes is one, whatever their dependence. It is
a test of stochastic order, and sees tails and bodies alike.

Against the margin the canary's share beyond b is compared with stable's share beyond the value that the margin takes to
b (`bucket_edge`); for safety the *least* evidence over the edges next to the wanted quantiles counts, since each must
be shown harmless.
Where the end is known there are bets on the last look (`last_counts`): on harm at the edge that shows it best, with
Bonferroni's correction, and on safety at each edge that needs it. Those edges are chosen from stable's first
observations (BEYOND of them beyond the highest quantile expected), which then are no evidence against the margin. Harm
either way is looked for from both sides, and must be ruled out on both.

Guarantee: exact per edge for independent observations against no change; calibrated against the margin, and where
observations hang together: every edge is tempered by its own dispersion, the look-back's or the run's.
Sources: Vovk & Wang (2021) for means of e-values; Howard & Ramdas (2022) for quantile intervals.
"""

import math

import msgspec

from . import bucket_quantiles, buckets, conditional, last_counts
from .bucket_edge import EdgeState, Pair, folded, folded_margin
from .conditional import CountState
from .evidence import CHOOSING, Evidence
from .looks import Look, usable_histogram
from .mixture import log_add
from .plan import Calibration, Plan, harm_sign, margin_log_ratio

NAME = "sequential-histogram"
_HARM, _SAFETY = conditional.Asked(True, False, False), conditional.Asked(False, False, True)
BEYOND = 10.0  # observations of stable wanted beyond the highest quantile before edges are chosen


class LastLook(msgspec.Struct, frozen=True, omit_defaults=True):
    """P-values of the bets on the last look: on harm and on harm beyond the margin, of all edges together.

    safety: of each target, towards harm; then, when harm lies both ways, of each the other way.
    """

    harm: float = 1.0
    beyond: float = 1.0
    safety: tuple[float, ...] = ()


class HistogramState(msgspec.Struct, frozen=True):
    look: int = 0
    used: int = 0
    dropped: int = 0
    edges: tuple[float, ...] = ()
    canary: tuple[float, ...] = ()  # counts so far, per bucket of `edges`
    stable: tuple[float, ...] = ()
    judged: tuple[EdgeState, ...] = ()
    targets: tuple[int, ...] = ()  # indices into `judged`: the edges that must be shown harmless
    frozen: bool = False  # targets are chosen
    flags: tuple[str, ...] = ()
    last: LastLook | None = None


def start(plan: Plan) -> HistogramState:
    return HistogramState()


def update(plan: Plan, state: HistogramState, look: Look) -> HistogramState:
    return _ended(plan, look, _with(plan, state, look))


def _with(plan: Plan, state: HistogramState, look: Look) -> HistogramState:
    canary, stable = usable_histogram(look.canary), usable_histogram(look.stable)
    if canary is None or stable is None:
        return _dropped(state, look)
    edges = state.edges or buckets.common_edges((stable, canary))
    if len(edges) < 2:
        return _dropped(state, look, "fewer-than-two-common-edges")
    c, s = buckets.rebin(canary, edges), buckets.rebin(stable, edges)
    if c is None or s is None:
        return _dropped(state, look, "edges-changed")
    n_c, n_s = sum(c), sum(s)
    judged = state.judged
    if not judged:
        pooled = n_c + n_s
        judged = tuple(
            EdgeState(e, (buckets.beyond(edges, c, e) + buckets.beyond(edges, s, e)) / pooled > 0.5)
            for e in buckets.spread(edges)
        )
    judges_margin = state.frozen and (plan.margin.relative is not None or plan.margin.absolute is not None)
    pair = Pair(look.number, edges, c, s, n_c, n_s)
    after = [folded(plan, item, pair) for item in judged]
    if judges_margin:
        after = [
            folded_margin(plan, item, pair, state.stable, target=i in state.targets) for i, item in enumerate(after)
        ]
    total_c = tuple(a + b for a, b in zip(state.canary or (0.0,) * len(c), c, strict=True))
    total_s = tuple(a + b for a, b in zip(state.stable or (0.0,) * len(s), s, strict=True))
    targets, frozen = state.targets, state.frozen
    if not frozen and sum(total_s) >= wanted_first(plan):
        targets, frozen = _targets(plan, edges, total_s, [item.edge for item in after]), True
    return HistogramState(
        look=look.number,
        used=state.used + 1,
        dropped=state.dropped,
        edges=edges,
        canary=total_c,
        stable=total_s,
        judged=tuple(after),
        targets=targets,
        frozen=frozen,
        flags=state.flags + tuple(f for f in look.flags if f not in state.flags),
        last=state.last,
    )


def _ended(plan: Plan, look: Look, state: HistogramState) -> HistogramState:
    """The state with this look in it, usable or not; at the planned last one with what the bets on it were worth."""
    if state.last is not None or not state.judged or not last_counts.is_last(plan, look):
        return state
    if not any(last_counts.parts(plan)):
        return state
    ways = _ways(plan)
    harm: list[float | None] = []
    beyond: list[float | None] = []
    safety: list[float] = []
    for way in ways:
        for i, item in enumerate(state.judged):
            toward = -way if item.mirrored else way
            worse, safe = item.margined(opposite=way != ways[0])
            harm.append(_p_value(plan, item, item.order, toward))
            beyond.append(_p_value(plan, item, worse, toward))
            if i in state.targets:
                p = _p_value(plan, item, safe, -toward)
                safety.append(1.0 if p is None else p)
    return msgspec.structs.replace(state, last=LastLook(_least(harm), _least(beyond), tuple(safety)))


def _p_value(plan: Plan, item: EdgeState, state: CountState, sign: int) -> float | None:
    """Of as many of the canary's events, or more (sign +1; fewer for -1), where shares are equal. None: no events."""
    if state.trials <= 0.0:
        return None
    mean = last_counts.mean_of(state.sums, 0.0) - state.least
    return last_counts.tail(state.x_c - state.least, state.trials, mean, sign, _dispersion(plan, item))


def _least(chances: list[float | None]) -> float:
    """Bonferroni's p-value; edges without events could not have shown anything, whatever the canary had of them."""
    known = [one for one in chances if one is not None]
    return min(len(known) * min(known), 1.0) if known else 1.0


def _ways(plan: Plan) -> tuple[int, ...]:
    sign = harm_sign(plan.direction)
    return (sign, -sign) if plan.direction == "either" else (sign,)


def _dispersion(plan: Plan, item: EdgeState) -> float:
    calibration = plan.calibration
    return conditional.dispersion(calibration.at_edge(item.edge) if calibration else None, item.order)


def _dropped(state: HistogramState, look: Look, flag: str = "") -> HistogramState:
    flags = tuple(f for f in (*look.flags, flag) if f and f not in state.flags)
    return msgspec.structs.replace(state, look=look.number, dropped=state.dropped + 1, flags=state.flags + flags)


def wanted_first(plan: Plan) -> float:
    """Observations of stable that choose the edges, and are no evidence against the margin."""
    return BEYOND / (1.0 - _highest(plan))


def _highest(plan: Plan) -> float:
    return max((q for q in plan.quantiles if 0 < q < 1), default=0.5)


def _targets(plan: Plan, edges: tuple[float, ...], stable: tuple[float, ...], judged: list[float]) -> tuple[int, ...]:
    """For each wanted quantile the judged edge whose share beyond it is nearest (in odds) to 1 - q."""
    n = sum(stable)
    chosen = set()
    shares = [(i, buckets.beyond(edges, stable, e) / n) for i, e in enumerate(judged)]
    inside = [(i, math.log(p / (1 - p))) for i, p in shares if 0.0 < p < 1.0]
    for q in plan.quantiles:
        if inside and 0.0 < q < 1.0:
            wanted = math.log((1 - q) / q)
            chosen.add(min(inside, key=lambda pair: abs(pair[1] - wanted))[0])
    return tuple(sorted(chosen))


def assess(plan: Plan, state: HistogramState, *, interval: bool = True) -> Evidence:
    calibration = plan.calibration
    sign = harm_sign(plan.direction)
    common = Evidence(
        test=plan.test,
        look=state.look,
        margin=_shown_margin(plan, None, sign),
        used=state.used,
        dropped=state.dropped,
        flags=state.flags if state.frozen or not state.judged else (*state.flags, CHOOSING),
        calibrated=calibration is not None and calibration.sufficient,
        placebo_false_alarm=calibration.placebo_false_alarm if calibration else None,
    )
    if not state.judged:
        return common
    ways = _ways(plan)
    parts, last = last_counts.parts(plan), state.last or LastLook()
    share = math.log(len(ways))
    harm: list[float] = []
    beyond: list[float] = []
    safety: list[float] = []
    detail: dict[str, float] = {}
    overall = _overall_dispersion(plan, state)
    since = 0
    for i, item in enumerate(state.judged):
        temper = _dispersion(plan, item)
        value = -math.inf
        for way in ways:
            toward = -way if item.mirrored else way
            logs = conditional.evaluate(item.order, toward, 0.0, temper, parts, _HARM)
            value = log_add(value, logs.harm - share)
            worse, safe = item.margined(opposite=way != sign)
            if worse.sums:
                beyond.append(conditional.evaluate(worse, toward, 0.0, temper, parts, _HARM).harm)
                if i in state.targets:
                    shown = conditional.evaluate(safe, toward, 0.0, temper, parts, _SAFETY).safety
                    at = ways.index(way) * len(state.targets) + state.targets.index(i)
                    p = last.safety[at] if last.safety else 1.0
                    safety.append(last_counts.worth(shown, p, parts[1], -math.log(plan.beta)))
        if value >= max(harm, default=-math.inf):
            since = logs.since
        harm.append(value)
        detail[f"log_e_harm_above_{item.edge:g}"] = value
    n_c, n_s = sum(state.canary), sum(state.stable)
    quantiles = bucket_quantiles.quantiles(plan, state.edges, state.canary, state.stable, overall) if interval else ()
    wanted = _highest(plan)
    q_c, q_s = (
        bucket_quantiles.quantile(state.edges, state.canary, wanted),
        bucket_quantiles.quantile(state.edges, state.stable, wanted),
    )
    lower, upper = bucket_quantiles.ratio_interval(quantiles, wanted)
    to_fail = -math.log(plan.alpha)
    log_harm = last_counts.worth(_mean(harm), last.harm, parts[0], to_fail)
    used = max(state.used, 1)
    log_safety = min(safety, default=0.0)
    log_beyond = last_counts.worth(_mean(beyond), last.beyond, parts[0], to_fail) if beyond else 0.0
    return msgspec.structs.replace(
        common,
        margin=_shown_margin(plan, q_s, sign),
        estimate=q_c / q_s if q_c is not None and q_s else None,
        lower=lower,
        upper=upper,
        log_e_harm=log_harm,
        log_e_harm_margin=log_beyond,
        log_e_safety=log_safety,
        harm_rate=max(log_harm, 0.0) / used,
        harm_margin_rate=max(log_beyond, 0.0) / used,
        safety_rate=max(log_safety, 0.0) / used,
        canary_total=n_c,
        stable_total=n_s,
        level=q_c,
        level_upper=next((q.canary_upper for q in quantiles if q.q == wanted), None),
        baseline=q_s,
        quantile=wanted,
        dispersion=overall,
        effective_n=(n_c + n_s) / overall,
        since=since,
        grade="exact" if overall <= 1.0 and plan.fail_at == "noharm" else "calibrated",
        quantiles=quantiles,
        detail=detail,
    )


def _shown_margin(plan: Plan, stable: float | None, sign: int) -> float | None:
    """The margin as a ratio; of the quantile shown, when it is given in the metric's unit."""
    if plan.margin.relative is None and plan.margin.absolute is not None:
        return (stable + sign * plan.margin.absolute) / stable if stable else None
    return math.exp(sign * margin_log_ratio(plan, None, sign))


def _overall_dispersion(plan: Plan, state: HistogramState) -> float:
    """All edges together: for the intervals and the report; each edge's evidence is tempered by its own."""
    expected = [item.order.expected for item in state.judged]
    total = math.fsum(expected)
    calibration = plan.calibration
    if calibration is not None and calibration.by_edge and total > 0.0:
        noise = [calibration.at_edge(item.edge) for item in state.judged]
        floor = math.fsum(e * one.dispersion * one.long_run for e, one in zip(expected, noise, strict=True)) / total
        calibration = Calibration(points=calibration.points, dispersion=floor)
    square = math.fsum(item.order.square for item in state.judged)
    return conditional.dispersion(calibration, CountState(used=state.used, square=square, expected=total))


def _mean(logs: list[float]) -> float:
    top = max(logs)
    return top + math.log(math.fsum(math.exp(v - top) for v in logs) / len(logs))
