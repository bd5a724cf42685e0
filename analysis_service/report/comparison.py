"""A comparison's looks as charts: both arms, the effect with its interval, the evidence, and each look's fate."""

from dataclasses import replace

from analysis_service.report import arms, weighed
from analysis_service.report.chart import Axis, Chart, Marks, Moment, Role, Shape, Table
from analysis_service.report.seen import Comparison, Seen, Use, uses, why_not
from analysis_service.report.text import NONE, clock, moment

LANES: tuple[Use, ...] = ("used", "dropped", "missed")


def charts(comparison: Comparison) -> list[Chart]:
    """In the order of the questions: what happened, how large is it, is it proven, on what does that rest."""
    if not comparison.looks:
        return []
    x = time_axis(comparison)
    turning = moments(comparison)
    found = [arms.levels(comparison, x, turning)]
    if comparison.evidence is not None:
        found += [weighed.size(comparison, x, turning), weighed.evidence(comparison, x, turning)]
    found.append(_strip(comparison, x, turning))
    if (split := arms.share(comparison, x)) is not None:
        found.append(split)
    if (spread := arms.distribution(comparison)) is not None:
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
