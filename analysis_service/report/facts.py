"""A comparison in figures: the effect, the evidence, what it rests on, how good the guarantee is, what is missing."""

import math
from dataclasses import dataclass

from analysis_service.core.compare import season
from analysis_service.core.statistics import forecast
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.looks import Counts, Gauge
from analysis_service.core.statistics.onset import edge_since
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.verdict import anytime_p
from analysis_service.report.chart import Table
from analysis_service.report.seen import Comparison, Seen, uses
from analysis_service.report.text import between, clock, count, effect, number, one_in, percent, span, times
from analysis_service.report.weighed import harm_of, safety_of

GRADES = {
    "exact": "exact: the false-alarm chance holds at every look, proven",
    "calibrated": "calibrated: holds as far as the noise is like the history's; simulated, not proven",
    "asymptotic": "asymptotic: close to what is stated once there are many observations",
    "fixed-n": "fixed size: right for the planned looks, and only for these",
    "none": "none: the noise of this metric is not known, the chance of a false alarm neither",
}


OF_THIS_RUN = "calibrated by this run: holds as far as the noise stays as it was; simulated, not proven"


def _grade(evidence: Evidence) -> str:
    return OF_THIS_RUN if evidence.grade == "calibrated" and not evidence.calibrated else GRADES[evidence.grade]


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str


def _false_alarm(plan: Plan) -> str:
    """The metric's part of alpha, and of what it is one."""
    whole = plan.run_alpha
    part = f" (of {number(whole, 3)} for the run)" if whole and plan.alpha < whole * (1 - 1e-9) else ""
    return f"α {number(plan.alpha, 3)}{part} false alarm"


def facts(comparison: Comparison, *, done: bool) -> list[Fact]:
    plan, evidence = comparison.plan, comparison.evidence
    found: list[tuple[str, str]] = []
    if evidence is not None:
        found += _effect(comparison, evidence)
    elif comparison.fixed is not None:
        found += _fixed(comparison)
    if plan is not None:
        harm = "more than no change" if plan.fail_at == "noharm" else "more than the margin"
        found.append(("Fails on", f"proof of {harm}, in the direction {plan.direction}"))
        found.append(("Chance of error", f"{_false_alarm(plan)}, β {number(plan.beta, 3)} false pass"))
    if evidence is not None:
        found += _evidence(comparison, evidence)
    fates = uses(comparison.looks)
    looks = ", ".join(f"{number} {fate}" for fate, number in fates.items() if number or fate == "used")
    found.append(("Looks", f"{looks} of {len(comparison.looks)}"))
    if evidence is not None:
        found += _basis(comparison, evidence)
    if "canary_share" in comparison.split:
        text = percent(comparison.split["canary_share"])
        if "configured" not in comparison.split:
            text += "; no configured share known"
        else:
            odds = one_in(comparison.split.get("log_e", 0.0))
            wanted = percent(comparison.split["configured"])
            if "configured_now" in comparison.split:
                wanted += f" on average ({percent(comparison.split['configured_now'])} now)"
            text += f"; configured {wanted}, evidence against that {odds}"
        found.append(("Canary's share of traffic", text))
    decided = comparison.verdict is not None and comparison.verdict.outcome != ""
    capped = season.why_capped(plan) if comparison.season is not None and plan is not None else ""
    if comparison.season is not None:
        found.append(("Compared with", season.told(comparison.season)))
    if capped:
        found.append(("No verdict", capped))
    elif evidence is not None and plan is not None and not done and not decided:
        found.append(("Still needed", _needed(plan, evidence, comparison)))
    if comparison.forecast:
        found.append(("Forecast", comparison.forecast.removeprefix("Forecast ")))
    return [Fact(*pair) for pair in found]


def _effect(comparison: Comparison, evidence: Evidence) -> list[tuple[str, str]]:
    plan, unit, late = comparison.plan, evidence.unit, comparison.late
    interval = ""
    lower, upper = edge_since(evidence) if late is not None else (evidence.lower, evidence.upper)
    if lower is not None or upper is not None:
        level = f"{percent(1 - 2 * plan.alpha)} " if plan is not None else ""
        interval = f" ({level}confidence sequence {between(lower, upper, unit)})"
    if late is not None:
        now = effect(late.estimate, unit)
        found = [("Effect", f"{effect(evidence.estimate, unit)} over the whole run")]
        found.append((f"Since look {late.look}, {clock(late.at)}", f"{now}{interval}"))
    elif evidence.estimate is None and unit == "ratio" and any(_is_counted(look) for look in comparison.looks):
        counts = (evidence.canary_events, evidence.canary_total, evidence.stable_events, evidence.stable_total)
        text = "{} of {} on the canary against {} of {} on stable".format(*map(count, counts))
        found = [("Effect", f"no ratio: {text}{interval}")]
    else:
        which = f" at p{number(100 * evidence.quantile)}" if evidence.quantile is not None else ""
        found = [("Effect", f"{effect(evidence.estimate, unit)}{which}{interval}")]
    if evidence.margin is not None:
        found.append(("Margin", f"{effect(evidence.margin, unit)}; no change is {effect(evidence.no_change, unit)}"))
    if (
        evidence.canary_total > 0
        and evidence.stable_total > 0
        and unit == "ratio"
        and evidence.canary_events + evidence.stable_events > 0
    ):
        canary, stable = evidence.canary_events / evidence.canary_total, evidence.stable_events / evidence.stable_total
        found.append(
            ("Per 10 000 requests", f"canary {number(1e4 * canary, 3)}, stable {number(1e4 * stable, 3)}: "
             f"{effect(1e4 * (canary - stable), 'difference')}")
        )  # fmt: skip
    return found


def _is_counted(look: Seen) -> bool:
    return isinstance(look.canary, Counts) and isinstance(look.stable, Counts)


def _fixed(comparison: Comparison) -> list[tuple[str, str]]:
    fixed = comparison.fixed
    assert fixed is not None
    found = [("Test", fixed.test)]
    if fixed.effect is not None:
        unit = fixed.effect.unit
        low, high = effect(fixed.effect.lower, unit), effect(fixed.effect.upper, unit)
        found.append(("Effect", f"{effect(fixed.effect.estimate, unit)} ({low} to {high})"))
    for label, p in (("p against no harm", fixed.p_harm), ("p against harm at the margin", fixed.p_safe)):
        if p is not None:
            found.append((label, number(p, 3)))
    found.append(("Values", f"canary {count(fixed.canary_n)}, stable {count(fixed.stable_n)}, {fixed.dropped} dropped"))
    found.append(("Guarantee", GRADES.get(fixed.grade, fixed.grade)))
    return found


def _evidence(comparison: Comparison, evidence: Evidence) -> list[tuple[str, str]]:
    plan, last = comparison.plan, next(look for look in reversed(comparison.looks) if look.evidence is not None)
    found: list[tuple[str, str]] = []
    alpha, beta = (plan.alpha, plan.beta) if plan is not None else (None, None)
    harm, safety = harm_of(plan, last) or 0.0, safety_of(last) or 0.0
    if evidence.quantiles:
        found = [("Evidence weighs", "all buckets, not only the quantile that is shown")]
    found += [
        ("Evidence for harm", one_in(harm) + (f"; fails at 1 in {number(1 / alpha, 3)}" if alpha else "")),
        ("Evidence for safety", one_in(safety) + (f"; passes at 1 in {number(1 / beta, 3)}" if beta else "")),
    ]
    if comparison.verdict is not None and comparison.verdict.peak_harm > 0:
        found.append(("Anytime p of harm", number(anytime_p(comparison.verdict.peak_harm), 3)))
    found.append(("Test", evidence.test))
    found.append(("Guarantee", _grade(evidence)))
    return found


def _basis(comparison: Comparison, evidence: Evidence) -> list[tuple[str, str]]:
    found = []
    gauge = any(isinstance(look.canary, Gauge) for look in comparison.looks)
    for name, events, total in (
        ("Canary", evidence.canary_events, evidence.canary_total),
        (comparison.other.capitalize(), evidence.stable_events, evidence.stable_total),
    ):
        if total > 0:
            counted = any(isinstance(look.canary, Counts) for look in comparison.looks)
            of = f"{count(events)} of {count(total)}" if counted else f"{count(total)} observations"
            found.append((name, f"{count(total)} values" if gauge else of))
    found.append(("Dispersion", f"{number(evidence.dispersion, 3)} (1: as chance alone would spread it)"))
    if evidence.autocorrelation:
        found.append(("Autocorrelation", number(evidence.autocorrelation, 3)))
    if evidence.effective_n:
        found.append(("Effective sample size", number(evidence.effective_n, 3)))
    if evidence.noise_floor:
        apart = "days" if comparison.season is not None else "pods"
        found.append((f"Noise floor between {apart}", _shift(evidence.noise_floor, evidence)))
    harm = comparison.plan.calibration.harm if comparison.plan and comparison.plan.calibration else None
    if harm is not None:
        within = f"mostly within {_shift(harm.fence, evidence)} of no change, where by the history it shows best"
        found.append(("Harm is looked for", within))
    if evidence.placebo_false_alarm is not None:
        found.append(("False alarms on placebos", percent(evidence.placebo_false_alarm)))
    if not evidence.calibrated:
        found.append(("Calibration", "none: no look-back of enough intervals"))
    return found


def _shift(value: float, evidence: Evidence) -> str:
    """How far arms differ, either way, on the scale that differences are taken on."""
    if evidence.unit == "ratio":
        return effect(math.exp(min(value, 700.0)), evidence.unit)
    return f"±{number(value, 3)}"


def _needed(plan: Plan, evidence: Evidence, comparison: Comparison) -> str:
    ahead, interval_seconds = forecast.remaining(plan, evidence), comparison.interval_seconds
    elapsed = max(look.elapsed_seconds for look in comparison.looks)
    baking = plan.min_bake * plan.planned_seconds - elapsed
    parts = []
    if ahead.looks_to_pass == 0 and baking > 0:
        parts.append(f"{span(baking)} more until minBake, before which nothing passes")
    for looks, requests, word in (
        (ahead.looks_to_pass, ahead.requests_to_pass, "pass"),
        (ahead.looks_to_fail, ahead.requests_to_fail, "fail"),
    ):
        if looks is not None and 0 < looks < 1e6:
            whole = math.ceil(looks)
            least = baking if word == "pass" else 0.0
            how_long = span(max(whole * interval_seconds, least)) if interval_seconds > 0 else times(whole, "look")
            of = f" or {count(math.ceil(requests))} requests" if requests and whole * interval_seconds >= least else ""
            parts.append(f"about {how_long}{of} more to {word}")
    return "; ".join(parts) + ", if this goes on" if parts else "no end in sight at the present rate"


def quantiles(comparison: Comparison) -> Table | None:
    """The quantiles of both arms with their confidence sequences, for histograms and samples."""
    evidence = comparison.evidence
    if evidence is None or not evidence.quantiles:
        return None
    rows = []
    for q in evidence.quantiles:
        canary = f"{number(q.canary)} ({number(q.canary_lower)} to {number(q.canary_upper)})"
        stable = f"{number(q.stable)} ({number(q.stable_lower)} to {number(q.stable_upper)})"
        ratio = q.canary / q.stable if q.canary is not None and q.stable else None
        rows.append((f"p{number(100 * q.q)}", canary, stable, effect(ratio, "ratio")))
    head = ("Quantile", "Canary (confidence sequence)", "Stable (confidence sequence)", "Ratio")
    return Table("Quantiles of the whole run", head, tuple(rows), frozenset({1, 2, 3}))
