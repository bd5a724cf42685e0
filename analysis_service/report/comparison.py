"""A comparison's looks as charts: both arms, the effect with its interval, the evidence, and each look's fate."""

import math
from collections.abc import Sequence
from dataclasses import replace

from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.looks import ArmData, Counts, Histogram
from analysis_service.core.statistics.onset import edge_since
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.sentence import Late
from analysis_service.report import scales
from analysis_service.report.chart import Axis, Band, Chart, Line, Marks, Moment, Role, Rule, Shape, Table
from analysis_service.report.seen import Comparison, Seen, Use, amount, level, level_name, uses, why_not
from analysis_service.report.text import NONE, between, clock, effect, moment, number, one_in, percent, times

LN10 = math.log(10)
LEAST, MOST = -2.0, 6.0  # log10 of the evidence that is drawn; beyond it only grows larger, or is none
WIDEST = 30.0  # ratio beyond which no interval says anything
LANES: tuple[Use, ...] = ("used", "dropped", "missed")


def charts(comparison: Comparison) -> list[Chart]:
    """In the order of the questions: what happened, how large is it, is it proven, on what does that rest."""
    if not comparison.looks:
        return []
    x = time_axis(comparison)
    turning = moments(comparison)
    found = [_arms(comparison, x, turning)]
    if comparison.evidence is not None:
        found += [_effect(comparison, x, turning), _evidence(comparison, x, turning)]
    found.append(_strip(comparison, x, turning))
    if (split := _share(comparison, x)) is not None:
        found.append(split)
    if (spread := _distribution(comparison)) is not None:
        found.append(spread)
    return found


def time_axis(comparison: Comparison) -> Axis:
    """From one interval before the first look to a little after the last."""
    first, last = comparison.looks[0].at.timestamp(), comparison.looks[-1].at.timestamp()
    interval = comparison.interval_seconds
    if interval <= 0:
        interval = (last - first) / max(len(comparison.looks) - 1, 1) or 60.0
    return Axis("time", first - interval, last + max(0.3 * interval, (last - first) * 0.01), "time (UTC)")


def moments(comparison: Comparison) -> tuple[Moment, ...]:
    failed, passed = comparison.turning
    found = []
    for look, role, word in ((failed, "bad", "Failed"), (passed, "good", "Successful")):
        if look is not None:
            found.append(Moment(f"{word} at look {look.number}", _role(role), look.at.timestamp()))
    return tuple(found)


def _role(name: str) -> Role:
    return "bad" if name == "bad" else "good"


def _arms(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
    looks = comparison.looks
    shape = next((data for look in looks for data in (look.canary, look.stable) if data is not None), None)
    canary = tuple((look.at.timestamp(), _drawn(look, look.canary)) for look in looks)
    stable = tuple((look.at.timestamp(), _drawn(look, look.stable)) for look in looks)
    name = level_name(shape)
    low, high = scales.bounds(y for points in (canary, stable) for _, y in points)
    rules = []
    plan = comparison.plan
    if plan is not None and plan.absolute_floor is not None and low <= plan.absolute_floor <= high:
        rules.append(Rule("absolute floor", "rule", plan.absolute_floor))
    if plan is not None and plan.objective is not None:
        low, high = min(low, plan.objective), max(high, plan.objective * 1.05)
        rules.append(Rule(f"objective {number(plan.objective, 3)}", "rule", plan.objective))
    weights = any(look.weight_percent is not None for look in looks)
    other = comparison.other
    head = (
        "Look",
        "Time (UTC)",
        f"Canary, {name}",
        "Canary, of",
        f"{other.capitalize()}, {name}",
        f"{other.capitalize()}, of",
    )
    rows = tuple(
        (
            str(look.number),
            moment(look.at),
            number(level(look.canary)),
            amount(look.canary),
            number(level(look.stable)),
            amount(look.stable),
            *((f"{number(look.weight_percent, 3)} %" if look.weight_percent is not None else NONE,) if weights else ()),
        )
        for look in looks
    )
    gaps = sum(y is None for points in (canary, stable) for _, y in points)
    lines = [Line("canary", "canary", canary, "circle")]
    if any(y is not None for _, y in stable):
        lines.append(Line(other, "stable", stable, "square", dashed=True))
    last = next((look for look in reversed(looks) if level(look.canary) is not None), None)
    summary = f"{name.capitalize()} of each arm over {times(len(looks), 'look')}"
    if last is not None:
        summary += f"; newest: canary {number(level(last.canary))}, {other} {number(level(last.stable))}"
    return Chart(
        title=f"Canary and {other} over time: {name}",
        summary=summary + ".",
        x=x,
        y=Axis("linear", low, high, name),
        table=Table(
            "What each arm returned",
            (*head, "Canary's share of traffic") if weights else head,
            rows,
            frozenset({0, 2, 3, 4, 5, 6}),
        ),
        lines=tuple(lines),
        rules=tuple(rules),
        moments=turning,
        note=f"{times(gaps, 'value')} missing: drawn as gaps." if gaps else "",
    )


def _drawn(look: Seen, data: ArmData | None) -> float | None:
    value = level(data)
    return value if value is not None and not look.missed and abs(value) < 1e15 else None


def _effect(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
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
        axis = Axis("log", low, high, f"canary / {comparison.other}", "ratio")
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


def _evidence(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
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


def _strip(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
    """A row per fate: how a look was used can be read at any number of looks, without colour."""
    looks = comparison.looks
    counted = uses(looks)
    shapes: dict[Use, tuple[Role, Shape]] = {
        "used": ("good", "tick"),
        "dropped": ("unsure", "diamond"),
        "missed": ("error", "cross"),
    }
    marks = tuple(
        Marks(
            fate,
            shapes[fate][0],
            shapes[fate][1],
            tuple((look.at.timestamp(), float(i), _said(look, fate, len(looks))) for look in looks if look.use == fate),
        )
        for i, fate in enumerate(LANES)
        if counted[fate]
    )
    return Chart(
        title="Each look's outcome",
        summary=f"{counted['used']} looks used, {counted['dropped']} dropped, {counted['missed']} missed.",
        x=x,
        y=Axis("lanes", -0.5, len(LANES) - 0.5, lanes=tuple(f"{fate} {counted[fate]}" for fate in LANES)),
        table=Table(
            "What became of each look",
            ("Look", "Time (UTC)", "Outcome", "Verdict", "Why"),
            tuple(
                (
                    str(look.number),
                    moment(look.at),
                    look.use,
                    {"pass": "Successful", "fail": "Failed"}.get(look.outcome, "not decided"),
                    why_not(look) or NONE,
                )
                for look in looks
            ),
            frozenset({0}),
        ),
        marks=marks,
        moments=tuple(replace(one, label="") for one in turning),
        height=66,
        legend=False,
    )


def _said(look: Seen, fate: Use, of: int) -> str:
    """Pointed at; the many used ones of a long run say nothing that the table does not."""
    if fate == "used" and of > 100:
        return ""
    why = why_not(look)
    return f"look {look.number}, {clock(look.at)}: {fate}" + (f": {why}" if why else "")


def _share(comparison: Comparison, x: Axis) -> Chart | None:
    """The canary's share of traffic as configured and as delivered; None where no share is configured."""
    plan, looks = comparison.plan, comparison.looks
    fixed = 100 * plan.expected_share if plan is not None and plan.expected_share is not None else None
    configured = tuple(
        (look.at.timestamp(), look.weight_percent if look.weight_percent is not None else fixed) for look in looks
    )
    if all(share is None for _, share in configured):
        return None
    delivered = tuple((look.at.timestamp(), _delivered(look)) for look in looks)
    low, high = scales.bounds(share for points in (configured, delivered) for _, share in points)
    rows = zip(looks, configured, delivered, strict=True)
    newest, wanted = (
        next((share for _, share in reversed(points) if share is not None), None) for points in (delivered, configured)
    )
    return Chart(
        title="Canary's share of traffic",
        summary=f"Delivered {number(newest, 3)} %, configured {number(wanted, 3)} %.",
        x=x,
        y=Axis("linear", low, high, "% of requests"),
        table=Table(
            "Canary's share of traffic, per cent",
            ("Look", "Time (UTC)", "Configured", "Delivered"),
            tuple(
                (str(look.number), moment(look.at), number(one), number(two, 3)) for look, (_, one), (_, two) in rows
            ),
            frozenset({0, 2, 3}),
        ),
        lines=(
            Line("delivered", "canary", delivered, "circle"),
            Line("configured", "rule", configured, "none", dashed=True, step=True),
        ),
        height=110,
    )


def _delivered(look: Seen) -> float | None:
    totals = [
        data.total if isinstance(data, Counts) else math.fsum(data.counts) if isinstance(data, Histogram) else None
        for data in (look.canary, look.stable)
    ]
    if totals[0] is None or totals[1] is None or totals[0] + totals[1] <= 0:
        return None
    return 100 * totals[0] / (totals[0] + totals[1])


def _distribution(comparison: Comparison) -> Chart | None:
    """Histograms of the whole run: the share of observations at or below each bucket edge."""
    canary = _summed([look.canary for look in comparison.looks if look.use == "used"])
    stable = _summed([look.stable for look in comparison.looks if look.use == "used"])
    if canary is None or stable is None:
        return None
    edges = sorted({*(edge for edge, _ in canary), *(edge for edge, _ in stable)})
    positive = edges[0] > 0 and edges[-1] / edges[0] > 10
    low, high = (edges[0], edges[-1]) if len(edges) > 1 else scales.bounds(edges)
    shares = dict(canary), dict(stable)
    return Chart(
        title="Distribution of the whole run",
        summary="Share of observations at or below each bucket's upper edge, canary and stable.",
        x=Axis("log" if positive else "linear", low, high, "bucket's upper edge, in the metric's unit"),
        y=Axis("linear", 0.0, 1.0, "share at or below"),
        table=Table(
            "Share of observations at or below each edge",
            ("Edge", "Canary", "Stable"),
            tuple((number(edge), number(shares[0].get(edge)), number(shares[1].get(edge))) for edge in edges),
            frozenset({0, 1, 2}),
        ),
        lines=(
            Line("canary", "canary", tuple(canary), "circle"),
            Line("stable", "stable", tuple(stable), "square", dashed=True),
        ),
    )


def _summed(data: Sequence[ArmData | None]) -> list[tuple[float, float]] | None:
    """Cumulative shares over the looks whose buckets are the newest ones."""
    histograms = [one for one in data if isinstance(one, Histogram)]
    if not histograms:
        return None
    edges = histograms[-1].edges
    same = [one.counts for one in histograms if one.edges == edges and len(one.counts) == len(edges) + 1]
    sums = [math.fsum(column) for column in zip(*same, strict=True)]
    total = math.fsum(sums)
    if total <= 0 or not edges:
        return None
    running, made = 0.0, []
    for edge, inside in zip(edges, sums, strict=False):
        running += inside
        made.append((edge, running / total))
    return made
