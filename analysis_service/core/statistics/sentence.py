"""The evidence after a look as one sentence for a person: effect, interval, limit, evidence, verdict, what is next."""

import math
from datetime import datetime

import msgspec

from analysis_service.core.digits import number as number

from .evidence import Evidence
from .forecast import remaining
from .onset import VIOLATED, edge_since
from .plan import Plan
from .verdict import VerdictState, harm_of, why_undecided

_WHY = {
    "low-traffic": "too little traffic to tell",
    "high-noise": "the metric is too noisy to tell",
    "effect-near-margin": "the effect is too close to the margin to tell",
    "no-data": "there was no data to judge",
    "frozen": "a value that stands still is no data",
    "bad-data": "too much of the data was unusable",
    "uncalibrated": "without history the noise is not known well enough to tell",
}

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


class Late(msgspec.Struct, frozen=True):
    """Where the interval speaks of the looks after look `look` only, at `at`. estimate: of these, where known."""

    look: int
    at: datetime
    estimate: float | None = None


def interval_text(plan: Plan, evidence: Evidence) -> str:
    if VIOLATED in evidence.flags:
        return "no constant effect fits all looks"
    return f"{level_text(plan)} {_bounds(evidence)}" if _bounds(evidence) else "no interval yet"


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


def effect_text(plan: Plan, evidence: Evidence, late: Late | None = None, against: Against = STABLE) -> str:
    """The effect with its interval; what was counted, where one arm's lack of events leaves no effect to name."""
    of = f" of {against.name}" if evidence.unit == "ratio" else ""
    if evidence.estimate is None:
        return _counted(plan, evidence)
    whole = f"{_effect(evidence, evidence.estimate)}{of}"
    if late is None:
        return f"{whole} ({interval_text(plan, evidence)})"
    lower, upper = edge_since(evidence)
    edge = msgspec.structs.replace(evidence, lower=lower, upper=upper)
    since = f"since look {late.look} ({late.at:%H:%M:%S} UTC, {interval_text(plan, edge)})"
    now = _effect(evidence, late.estimate) if late.estimate is not None else _bounds(edge) or "not"
    return f"{whole} over the whole run, but {now} {since}"


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
) -> str:
    """`over`: the deadline has passed (or the run was ended), so that no verdict means inconclusive."""
    if evidence.used == 0:
        effect = f"{metric}: nothing to compare in {evidence.dropped} looks"
    else:
        effect = f"{metric}: {effect_text(plan, evidence, late, against)}"
    parts = [effect]
    if evidence.margin is not None:
        parts.append(f"limit {_effect(evidence, evidence.margin)}")
    if evidence.noise_floor > 0.0:
        floor = math.exp(min(evidence.noise_floor, 700.0)) if evidence.unit == "ratio" else evidence.noise_floor
        parts.append(
            f"{against.apart} alone may differ by {_effect(evidence, floor)}, which is neither harm nor safety"
        )
    parts.append(f"evidence for harm {odds(harm_of(plan, evidence))}, for safety {odds(evidence.log_e_safety)}")
    if against.capped:
        ends = f"Inconclusive after {verdict.looks} looks" if over else "not decided"
        parts.append(f"{ends}: {against.capped}")
    else:
        parts.append(_outcome(plan, evidence, verdict, over=over, interval_seconds=interval_seconds))
    parts.append(_guarantee(plan, evidence))
    return "; ".join(parts) + "."


def _outcome(plan: Plan, evidence: Evidence, verdict: VerdictState, *, over: bool, interval_seconds: float) -> str:
    if verdict.outcome == "fail":
        return f"Failed at look {verdict.failed_at}"
    if verdict.outcome == "pass":
        how = ": the canary's level is below the absolute floor" if verdict.by_floor else ""
        return f"Successful at look {verdict.passed_at}{how}"
    if over:
        return f"Inconclusive after {verdict.looks} looks: {_WHY[why_undecided(plan, verdict, evidence)]}"
    ahead = remaining(plan, evidence)
    parts = []
    for looks, word in ((ahead.looks_to_pass, "pass"), (ahead.looks_to_fail, "fail")):
        if looks is not None and looks > 0:
            parts.append(f"about {_time(math.ceil(looks), interval_seconds)} more to {word}")
    return "not decided" + (", " + " or ".join(parts) + " if this goes on" if parts else ", no end in sight")


def _time(looks: int, interval_seconds: float) -> str:
    if looks > 100_000:
        return "endlessly"
    if interval_seconds <= 0:
        return f"{looks} look{'' if looks == 1 else 's'}"
    minutes = looks * interval_seconds / 60
    return f"{number(max(minutes, 0.1))} min" if minutes < 120 else f"{number(minutes / 60)} h"


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
        return f"false-alarm chance {share}, all looks included, as far as the noise is like the history's"
    if evidence.grade == "asymptotic":
        return f"false-alarm chance near {share} with many observations"
    return f"false-alarm chance not known (uncalibrated; meant to be {share})"
