"""What the looks amount to, as charts: the effect with its confidence sequence, and the evidence against its limit."""

import math
from collections.abc import Sequence

from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.onset import edge_since
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.sentence import Late
from analysis_service.report import scales
from analysis_service.report.chart import Axis, Band, Chart, Line, Moment, Rule, Table
from analysis_service.report.seen import Comparison, Seen
from analysis_service.report.text import NONE, between, clock, effect, moment, number, one_in, percent

LN10 = math.log(10)
LEAST, MOST = -2.0, 6.0  # log10 of the evidence that is drawn; beyond it only grows larger, or is none
WIDEST = 30.0  # ratio beyond which no interval says anything


def size(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
    """The effect after each look; there must be evidence."""
    looks, newest = comparison.looks, comparison.evidence
    assert newest is not None
    known = [(look, look.evidence) for look in looks]
    ratio = newest.unit == "ratio"
    # what is known so far stays known through a look that was no evidence: these curves have no gaps there
    drawable = [(look.at.timestamp(), e) for look, e in known if e is not None and look.use == "used"]
    estimates = tuple((at, _finite(e.estimate)) for at, e in drawable)
    band = tuple(_banded(look) for look in looks if look.evidence is not None and look.use == "used")
    lines = [Line("estimate", "estimate", estimates, "diamond")]
    onsets = tuple((look.at.timestamp(), _finite(look.late.estimate) if look.late else None) for look in looks)
    if any(y is not None for _, y in onsets):
        lines.append(Line("since a late onset", "estimate", onsets, "ring", dashed=True))
    wanted = [y for line in lines for _, y in line.points] + [
        newest.no_change,
        newest.margin,
        newest.lower,
        newest.upper,
    ]
    half = [e for _, e in known[len(known) // 2 :] if e is not None]
    wanted += [side for e in half for side in (e.lower, e.upper)]
    if ratio:
        low, high = scales.log_bounds(min(max(v, 1 / WIDEST), WIDEST) for v in wanted if v is not None)
        which = f"p{number(100 * newest.quantile)}, " if newest.quantile is not None else ""
        axis = Axis("log", low, high, f"{which}canary / {comparison.other}", "ratio")
    else:
        low, high = scales.bounds([*wanted])
        axis = Axis("linear", low, high, _unit_title(newest.unit, comparison.other))
    rules = [Rule(f"no change {effect(newest.no_change, newest.unit)}", "rule", newest.no_change, dashed=False)]
    if newest.margin == newest.no_change:  # an objective: there is one limit
        rules = [Rule(f"limit {effect(newest.margin, newest.unit)}", "bad", newest.margin)]
    elif newest.margin is not None:
        rules.append(Rule(f"margin {effect(newest.margin, newest.unit)}", "bad", newest.margin))
    outside = sum(
        1 for _, lower, upper in band for side in (lower, upper) if side is not None and not low <= side <= high
    )
    unit = newest.unit
    level_ = percent(1 - 2 * comparison.plan.alpha) if comparison.plan is not None else ""
    return Chart(
        title="Effect with its confidence sequence",
        summary=(
            f"{_estimated(comparison, newest)}; no change is {effect(newest.no_change, unit)}, the margin "
            f"{effect(newest.margin, unit)}."
        ),
        x=x,
        y=axis,
        table=Table(
            "Effect after each look",
            ("Look", "Time (UTC)", "Estimate", "Lower", "Upper", "No change", "Margin"),
            tuple(
                (
                    str(look.number),
                    moment(look.at),
                    effect(e.estimate if e else None, unit),
                    effect(e.lower if e else None, unit),
                    effect(e.upper if e else None, unit),
                    effect(e.no_change if e else None, unit),
                    effect(e.margin if e else None, unit),
                )
                for look, e in known
            ),
            frozenset({0, 2, 3, 4, 5, 6}),
        ),
        lines=tuple(lines),
        bands=(Band(f"{level_} confidence sequence".strip(), "estimate", band),),
        rules=tuple(rules),
        moments=turning,
        note=" ".join(
            text
            for text in (
                "Where the band leaves the picture, it goes on beyond it." if outside else "",
                _without_band(drawable, comparison.late),
            )
            if text
        ),
    )


def _banded(look: Seen) -> tuple[float, float | None, float | None]:
    """The interval after a look; since a late onset its edge towards harm, beyond which the effect since then lies."""
    evidence = look.evidence
    assert evidence is not None
    lower, upper = edge_since(evidence) if look.late is not None else (evidence.lower, evidence.upper)
    return look.at.timestamp(), _finite(lower), _finite(upper)


def _estimated(comparison: Comparison, newest: Evidence) -> str:
    unit, late = newest.unit, comparison.late
    bounds = between(newest.lower, newest.upper, unit)
    if late is not None:
        bounds = between(*edge_since(newest), unit)
        whole = f"Estimated effect {effect(newest.estimate, unit)} over the whole run"
        return f"{whole}; since look {late.look}, {clock(late.at)}, {effect(late.estimate, unit)}, {bounds}"
    if newest.estimate is None:
        return f"No effect to estimate yet, {bounds}"
    return f"Estimated effect {effect(newest.estimate, unit)}, {bounds}"


def _without_band(drawable: Sequence[tuple[float, Evidence]], late: Late | None) -> str:
    violated = any("model-violated" in e.flags for _, e in drawable)
    text = "Where there is no band, no constant effect agrees with all looks until then." if violated else ""
    if late is not None:
        text += (
            f" The newest band is bounded by the looks after look {late.look} alone; the estimate is of all of them."
        )
    return text.strip()


def _unit_title(unit: str, other: str) -> str:
    return {"difference": f"canary − {other}", "rate": "rate", "share": "canary's share"}.get(unit, "effect")


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < 1e15 else None


def evidence(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
    """For harm and for safety, on a scale of powers of ten; there must be some."""
    plan, looks = comparison.plan, comparison.looks
    weighed = [look for look in looks if look.evidence is not None]
    harm = tuple((look.at.timestamp(), _power(harm_of(plan, look))) for look in weighed)
    safety = tuple((look.at.timestamp(), _power(safety_of(look))) for look in weighed)
    alpha, beta = (plan.alpha, plan.beta) if plan is not None else (0.05, 0.05)
    to_fail, to_pass = math.log10(1 / alpha), math.log10(1 / beta)
    values = [y for points in (harm, safety) for _, y in points if y is not None]
    low = min([0.0, *values]) - 0.25
    high = max([to_fail, to_pass, *values]) + 0.25
    if abs(to_fail - to_pass) < 1e-9:
        rules: tuple[Rule, ...] = (Rule(f"1/α = 1/β = {number(1 / alpha, 3)}", "rule", to_fail),)
    else:
        rules = (
            Rule(f"1/α = {number(1 / alpha, 3)}: fail", "bad", to_fail),
            Rule(f"1/β = {number(1 / beta, 3)}: pass", "good", to_pass),
        )
    cut_off = any(y in (LEAST, MOST) for y in values)
    last = weighed[-1]
    return Chart(
        title="Evidence against its limit",
        summary=(
            f"Evidence for harm {one_in(harm_of(plan, last) or 0.0)}, fails at {number(1 / alpha, 3)}; for safety "
            f"{one_in(safety_of(last) or 0.0)}, passes at {number(1 / beta, 3)}."
        ),
        x=x,
        y=Axis("power", low, high, "evidence: 1 in …"),
        table=Table(
            "Evidence after each look",
            ("Look", "Time (UTC)", "For harm", "Limit 1/α", "For safety", "Limit 1/β"),
            tuple(
                (
                    str(look.number),
                    moment(look.at),
                    _evidence_cell(harm_of(plan, look)),
                    number(1 / alpha, 3),
                    _evidence_cell(safety_of(look)),
                    number(1 / beta, 3),
                )
                for look in looks
            ),
            frozenset({0, 2, 3, 4, 5}),
        ),
        lines=(Line("for harm", "bad", harm, "triangle"), Line("for safety", "good", safety, "circle", dashed=True)),
        rules=rules,
        moments=turning,
        note="Evidence below 1 in 0.01 or above 1 in a million is drawn at the edge." if cut_off else "",
    )


def harm_of(plan: Plan | None, look: Seen) -> float | None:
    """The log e-value that can fail the metric."""
    if look.evidence is None:
        return None
    within = plan is not None and plan.fail_at == "margin"
    return look.evidence.log_e_harm_margin if within else look.evidence.log_e_harm


def safety_of(look: Seen) -> float | None:
    return look.evidence.log_e_safety if look.evidence is not None else None


def _power(log_e: float | None) -> float | None:
    return min(max(log_e / LN10, LEAST), MOST) if log_e is not None and not math.isnan(log_e) else None


def _evidence_cell(log_e: float | None) -> str:
    """The e-value itself, as far as it can be written."""
    if log_e is None:
        return NONE
    return number(math.exp(log_e), 3) if abs(log_e) < 600 else f"10^{number(log_e / LN10, 3)}"
