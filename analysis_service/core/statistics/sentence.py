"""The evidence after a look as one sentence for a person: effect, interval, limit, evidence, verdict, what is next."""

import math
from datetime import datetime

import msgspec

from analysis_service.core.digits import number as number

from .calibration import WANTED_POINTS
from .evidence import CHOOSING, Evidence
from .forecast import remaining
from .histogram import wanted_first
from .onset import VIOLATED, edge_since
from .plan import Plan, harm_sign
from .verdict import Hold, VerdictState, harm_of, why_undecided

_WHY = {
    "low-traffic": "too little traffic to tell",
    "high-noise": "the metric is too noisy to tell",
    "effect-near-margin": "the effect is too close to the margin to tell",
    "no-data": "there was no data to judge",
    "frozen": "a value that stands still is no data",
    "same-processes": "both arms are the same processes, so nothing was compared",
    "bad-data": "too much of the data was unusable",
    "uncalibrated": "without history the noise is not known well enough to tell",
}

_HELD: dict[Hold, str] = {
    "bake": "safety is shown, but nothing passes before minBake",
    "absent": "safety is shown, but nothing passes while an arm has no data",
    "same": "safety is shown, but of stable: nothing passes while both arms are the same processes",
    "samples": "the evidence suffices, but minSamples is not reached",
    "bad-data": "safety is shown, but nothing passes while so many looks have unusable data",
    "floor": "harm is shown, but nothing fails below the absolute floor",
}

_OTHER = math.log(1.1)  # how much worse than the quantile that is shown another one must be to be named
_OF_COUNTS = frozenset({"sequential-rate-ratio", "sequential-odds-ratio", "sprt", "group-sequential"})


def _effect(evidence: Evidence, value: float) -> str:
    if evidence.unit == "ratio":
        return f"x{number(value)}"
    if evidence.unit == "difference":
        return f"{'+' if value >= 0 else '-'}{number(abs(value))}"
    return number(value)


def odds(log_e: float) -> str:
    """An e-value as "1 in N": how surprising the data would be without the effect."""
    if log_e <= 0.0:
        return "none"
    if log_e > math.log(1e6):
        return "1 in more than a million"
    return f"1 in {math.exp(log_e):.0f}" if log_e >= math.log(10) else f"1 in {math.exp(log_e):.1f}"


class Against(msgspec.Struct, frozen=True):
    """What the canary is compared with, in words. apart: what differs without being changed. capped: why nothing can
    be decided, "" where it can."""

    name: str = "stable"
    apart: str = "pods"
    capped: str = ""


STABLE = Against()


class Held(msgspec.Struct, frozen=True):
    """What stands between the evidence and a verdict. seconds: how much longer minBake lets nothing pass."""

    why: Hold = ""
    seconds: float = 0.0


class Late(msgspec.Struct, frozen=True):
    """Where the interval speaks of the looks after look `look` only, at `at`. estimate: of these, where known."""

    look: int
    at: datetime
    estimate: float | None = None


NOTHING = Held()


def interval_text(plan: Plan, evidence: Evidence, *, ended: bool = False) -> str:
    if VIOLATED in evidence.flags:
        return "no constant effect fits all looks"
    if bounds := _bounds(evidence):
        return f"{level_text(plan)} {bounds}"
    return f"{level_text(plan)} without bounds" if ended else "no interval yet"


def level_text(plan: Plan) -> str:
    return f"{number(100 * (1 - 2 * plan.alpha))}% sequential interval"


def _bounds(evidence: Evidence) -> str:
    lower, upper = evidence.lower, evidence.upper
    if lower == 0.0 and evidence.unit == "ratio":
        lower = None  # a ratio is never less
    if lower is None and upper is None:
        return ""
    if upper is None:
        return f"above {_effect(evidence, lower if lower is not None else 0.0)}"
    if lower is None:
        return f"below {_effect(evidence, upper)}"
    return f"{_effect(evidence, lower)} to {_effect(evidence, upper)}"


def effect_text(
    plan: Plan, evidence: Evidence, late: Late | None = None, against: Against = STABLE, *, ended: bool = False
) -> str:
    """The effect with its interval; what was counted, where one arm's lack of events leaves no effect to name."""
    of = f" of {against.name}" if evidence.unit == "ratio" else ""
    if evidence.estimate is None:
        return _counted(plan, evidence)
    which = f"p{100 * evidence.quantile:g} " if evidence.quantile is not None else ""
    whole = f"{which}{_effect(evidence, evidence.estimate)}{of}"
    if late is None:
        return f"{whole} ({interval_text(plan, evidence, ended=ended)}){_worse(plan, evidence)}"
    lower, upper = edge_since(evidence)
    edge = msgspec.structs.replace(evidence, lower=lower, upper=upper)
    since = f"since look {late.look} ({late.at:%H:%M:%S} UTC, {interval_text(plan, edge)})"
    now = _effect(evidence, late.estimate) if late.estimate is not None else _bounds(edge) or "not"
    return f"{whole} over the whole run, but {now} {since}"


def _worse(plan: Plan, evidence: Evidence) -> str:
    """The quantile that differs most towards harm, where that is another one: bodies move without their tails."""
    sign, shown = harm_sign(plan.direction), evidence.estimate
    ratios = [(q.canary / q.stable, q.q) for q in evidence.quantiles if q.canary and q.stable]
    if not shown or not ratios:
        return ""
    ratio, q = max(ratios, key=lambda one: sign * one[0])
    return f", p{100 * q:g} {_effect(evidence, ratio)}" if sign * math.log(ratio / shown) > _OTHER else ""


def _counted(plan: Plan, evidence: Evidence) -> str:
    """18 of 137 on the canary against 0 of 136 on stable."""
    arms = (
        ("the canary", evidence.canary_events, evidence.canary_total),
        ("stable", evidence.stable_events, evidence.stable_total),
    )
    said = [f"{events:.10g} of {total:.10g} on {arm}" for arm, events, total in arms if total > 0.0]
    if len(said) < len(arms) or evidence.test not in _OF_COUNTS:
        return "no effect to estimate yet"
    bounds = _bounds(evidence)
    interval = f" ({level_text(plan)} of the ratio {bounds})" if bounds else ""
    return f"{' against '.join(said)}{interval}"


def sentence(
    plan: Plan,
    metric: str,
    evidence: Evidence,
    verdict: VerdictState,
    *,
    over: bool = False,
    interval_seconds: float = 0,
    late: Late | None = None,
    against: Against = STABLE,
    held: Held = NOTHING,
) -> str:
    """`over`: the deadline has passed (or the run was ended), so that no verdict means inconclusive."""
    if evidence.used == 0:
        effect = f"{metric}: nothing to compare in {evidence.dropped} looks"
    else:
        ended = over or verdict.outcome != ""
        effect = f"{metric}: {effect_text(plan, evidence, late, against, ended=ended)}"
    parts = [effect]
    if evidence.margin is not None:
        parts.append(f"limit {_effect(evidence, evidence.margin)}")
    if evidence.noise_floor > 0.0:
        floor = math.exp(min(evidence.noise_floor, 700.0)) if evidence.unit == "ratio" else evidence.noise_floor
        parts.append(
            f"{against.apart} alone may differ by {_effect(evidence, floor)}, which is neither harm nor safety"
        )
    everywhere = " (of all buckets)" if evidence.quantiles else ""  # not of the quantile that is shown
    harm, safety = odds(harm_of(plan, evidence)), odds(evidence.log_e_safety)
    which = " beyond the limit" if plan.fail_at == "margin" and evidence.margin is not None else ""
    parts.append(f"evidence{everywhere} for harm{which} {harm}, for safety {safety}")
    if against.capped:
        ends = f"Inconclusive after {verdict.looks} looks" if over else "not decided"
        parts.append(f"{ends}: {against.capped}")
    else:
        parts.append(_outcome(plan, evidence, verdict, over=over, interval_seconds=interval_seconds, held=held))
    parts.append(_guarantee(plan, evidence))
    return "; ".join(parts) + "."


def _outcome(
    plan: Plan, evidence: Evidence, verdict: VerdictState, *, over: bool, interval_seconds: float, held: Held
) -> str:
    if verdict.outcome == "fail":
        return f"Failed at look {verdict.failed_at}"
    if verdict.outcome == "pass":
        how = ": the canary's level is below the absolute floor" if verdict.by_floor else ""
        return f"Successful at look {verdict.passed_at}{how}"
    if over:
        return f"Inconclusive after {verdict.looks} looks: {_WHY[why_undecided(plan, verdict, evidence)]}"
    if held.why:
        wait = f", for {span(held.seconds)} more" if held.why == "bake" and held.seconds > 0 else ""
        return f"not decided: {_HELD[held.why]}{wait}"
    ahead = remaining(plan, evidence)
    parts = []
    for looks, word, least in ((ahead.looks_to_pass, "pass", held.seconds), (ahead.looks_to_fail, "fail", 0.0)):
        if looks is not None and looks > 0:
            parts.append(f"about {_time(math.ceil(looks), interval_seconds, least)} more to {word}")
    if not parts and CHOOSING in evidence.flags:
        first = f"the first {wanted_first(plan):.10g} observations of stable choose the buckets that are judged"
        return f"not decided: {first}, {evidence.stable_total:.10g} so far"
    return "not decided" + (", " + " or ".join(parts) + " if this goes on" if parts else ", no end in sight")


def _time(looks: int, interval_seconds: float, least_seconds: float) -> str:
    if looks > 100_000:
        return "endlessly"
    if interval_seconds <= 0:
        return f"{looks} look{'' if looks == 1 else 's'}"
    return span(max(looks * interval_seconds, least_seconds))


def span(seconds: float) -> str:
    """How long, as people say it: 45 s, 12 min, 3.5 h."""
    if seconds < 119.5:
        return f"{number(max(seconds, 0.1))} s"
    return f"{number(seconds / 60)} min" if seconds < 7170 else f"{number(seconds / 3600)} h"


def chance_text(plan: Plan) -> str:
    """The chance of a false alarm, and of what it is a part where other metrics have theirs."""
    whole = plan.run_alpha or 0.0
    part = f" (this metric's part of {number(100 * whole)}% for the run)" if plan.alpha < whole * (1 - 1e-9) else ""
    return f"{number(100 * plan.alpha)}%{part}"


def _guarantee(plan: Plan, evidence: Evidence) -> str:
    share = chance_text(plan)
    if evidence.grade == "exact":
        return f"false-alarm chance at most {share}, all looks included"
    if evidence.grade == "calibrated":
        like = "is like the history's" if evidence.calibrated else "stays as it was in this run"
        points = plan.calibration.points if evidence.calibrated and plan.calibration is not None else WANTED_POINTS
        if points < WANTED_POINTS:
            like += f", which has only {points} intervals ({WANTED_POINTS} are wanted to see slow noise)"
        return f"false-alarm chance {share}, all looks included, as far as the noise {like}"
    if evidence.grade == "asymptotic":
        return f"false-alarm chance near {share} with many observations"
    return f"false-alarm chance not known (uncalibrated; meant to be {share})"
