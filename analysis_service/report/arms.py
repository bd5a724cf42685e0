"""What both arms returned, as charts: each look, the canary's share of traffic, and the whole run's distribution."""

import math
from collections.abc import Sequence

from analysis_service.core.statistics.looks import ArmData, Counts, Histogram
from analysis_service.report import scales
from analysis_service.report.chart import Axis, Chart, Line, Moment, Rule, Table
from analysis_service.report.seen import Comparison, Seen, amount, level, level_name
from analysis_service.report.text import NONE, moment, number, times


def levels(comparison: Comparison, x: Axis, turning: tuple[Moment, ...]) -> Chart:
    """One number for each arm and look: a rate, a value or a quantile."""
    looks, q = comparison.looks, comparison.quantile
    shape = next((data for look in looks for data in (look.canary, look.stable) if data is not None), None)
    canary = tuple((look.at.timestamp(), _drawn(look, look.canary, q)) for look in looks)
    stable = tuple((look.at.timestamp(), _drawn(look, look.stable, q)) for look in looks)
    name = level_name(shape, q)
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
            number(level(look.canary, q)),
            amount(look.canary),
            number(level(look.stable, q)),
            amount(look.stable),
            *((f"{number(look.weight_percent, 3)} %" if look.weight_percent is not None else NONE,) if weights else ()),
        )
        for look in looks
    )
    gaps = sum(y is None for points in (canary, stable) for _, y in points)
    lines = [Line("canary", "canary", canary, "circle")]
    if any(y is not None for _, y in stable):
        lines.append(Line(other, "stable", stable, "square", dashed=True))
    last = next((look for look in reversed(looks) if level(look.canary, q) is not None), None)
    summary = f"{name.capitalize()} of each arm over {times(len(looks), 'look')}"
    if last is not None:
        summary += f"; newest: canary {number(level(last.canary, q))}, {other} {number(level(last.stable, q))}"
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


def _drawn(look: Seen, data: ArmData | None, q: float) -> float | None:
    value = level(data, q)
    return value if value is not None and not look.missed and abs(value) < 1e15 else None


def share(comparison: Comparison, x: Axis) -> Chart | None:
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


def distribution(comparison: Comparison) -> Chart | None:
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
