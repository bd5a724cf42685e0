"""What a comparison came to, for people and for Argo: phase, value, sentence, and what goes into the record."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from analysis_service.core.compare import fixed, gaps, season
from analysis_service.core.compare.spec import KAYENTA, SAMPLE_RATIO, Spec
from analysis_service.core.compare.state import Setup, Since, State, Told, since_of
from analysis_service.core.judge import POLICY
from analysis_service.core.model import Cause, Metric, Phase
from analysis_service.core.statistics import forecast, sentence, verdict
from analysis_service.core.statistics.evidence import Evidence
from analysis_service.core.statistics.onset import edge_since

_ENDLESS = 30 * 86400.0  # seconds: no run lasts longer
TERMINATED = "Metric Terminated"  # Argo's word


@dataclass(frozen=True, slots=True)
class Ending:
    """phase: Running while it goes on."""

    phase: Phase
    cause: Cause
    value: str
    reason: str


def after_look(setup: Setup, metric: Metric, told: Told, *, over: bool) -> Ending:
    """What follows from a look. over: it was the last one, because maxDuration has passed."""
    spec, name = setup.spec, setup.name
    outcome = told.verdict.outcome
    failed = outcome == "fail"
    passed = outcome == "pass" and (spec.until == "verdict" or over)
    ends = failed or passed or over or told.gap
    text = _sentence(setup, told, ends=ends and not (failed or passed))
    if told.evidence is not None and told.evidence.used == 0:
        text = _nothing(setup, told.look.number, told.gaps, ends=ends)
    elif told.evidence is not None and spec.test == SAMPLE_RATIO:
        text = _share(setup, told, told.evidence, ends=ends)
    elif missing := gaps.in_words(told.gaps, told.look.number, told.still):
        text += f" {_as_sentence(missing)}"
    if told.misrouted:
        text += f" {_routing(told)}"
    elif "configured" in told.split and spec.test != SAMPLE_RATIO:
        text += f" Routed: {100 * told.split['canary_share']:.3g}% to the canary, configured {_configured(told)}."
    value = shown(told.evidence, told.since) if told.evidence is not None else _effect_of(told)
    if failed:
        return Ending(Phase.FAILED, Cause.HARM_SHOWN, value, text)
    if _capped(setup) and (over or told.gap):
        return Ending(Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, value, text)
    if told.gap and not passed:
        what = f"{name}: an interval had no data in one of the arms (missing: inconclusive). {text}"
        return _without_data(metric, value, what, told)
    if passed:
        return Ending(Phase.SUCCESSFUL, Cause.PASSED, value, text)
    if over:
        if told.verdict.same:  # no quiet that may pass
            return Ending(Phase.INCONCLUSIVE, Cause.NO_DATA, value, text)
        if told.still or _why(setup, told) == "no-data":
            return _without_data(metric, value, text, told)
        return Ending(Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, value, text + _wanted(setup, told.evidence))
    return Ending(Phase.RUNNING, Cause.NONE, value, text)


def at_termination(setup: Setup, state: State, evidence: Evidence | None, value: str, *, strict: bool) -> Ending:
    """What a comparison that is ended from outside comes to: it goes by what was shown until then."""
    name, spec, seen = setup.name, setup.spec, state.verdict
    so_far = ""
    if evidence is not None and evidence.used:
        late = _late(since_of(state, evidence))
        said = sentence.sentence(
            setup.plan,
            name,
            evidence,
            seen,
            interval_seconds=_seconds(spec.interval),
            late=late,
            against=_against(setup),
        )
        so_far = f"{said.removeprefix(f'{name}: ')} {_seen(spec, evidence)}".rstrip()
    if spec.season is not None:
        so_far = f"{so_far} {season.told(spec.season)}".lstrip()
    looks = f"{state.looks} look{'' if state.looks == 1 else 's'}"
    missing = gaps.in_words(state.gaps, state.looks, state.still.now)
    missing = f" {_as_sentence(missing)}" if missing else ""
    if capped := _capped(setup):
        text = f"{name}: terminated after {looks} without a verdict: {capped}. {so_far}"
        return Ending(Phase.INCONCLUSIVE, Cause.TERMINATED, value, text.rstrip())
    used = evidence.used if evidence is not None else state.looks
    if spec.until == "terminated":
        if seen.outcome == "pass":
            text = f"{name}: terminated after {looks}; shown to be within the margin at look {seen.passed_at}. {so_far}"
            return Ending(Phase.SUCCESSFUL, Cause.PASSED, value, text.rstrip())
        if used == 0 and strict:
            text = f"{name}: terminated before anything could be compared, so nothing can be said.{missing}"
            return Ending(Phase.INCONCLUSIVE, Cause.NO_EVIDENCE, value, text)
        if used == 0:
            text = f"{name}: terminated before anything could be compared: no harm was shown, for want of evidence."
            return Ending(Phase.SUCCESSFUL, Cause.NO_EVIDENCE, value, f"{text}{missing}")
        text = f"{name}: terminated after {looks} without harm shown (until: terminated). {so_far}".rstrip()
        return Ending(Phase.SUCCESSFUL, Cause.TERMINATED, value, f"{text}{missing}")
    text = f"{name}: terminated after {looks} before there was a verdict (until: verdict). {so_far}".rstrip()
    return Ending(Phase.INCONCLUSIVE, Cause.TERMINATED if used else Cause.NO_EVIDENCE, value, f"{text}{missing}")


def shown(evidence: Evidence, since: Since | None = None) -> str:
    """The effect in a few characters: `x1.9 (1.4..2.6)`; empty while there is none. After a late onset that since then.

    Where an arm had no events, there is a limit and no estimate: `above x3.1`.
    """
    estimate, lower, upper = evidence.estimate, evidence.lower, evidence.upper
    if since is not None:
        lower, upper = edge_since(evidence)
        estimate = since.estimate if since.estimate is not None else estimate
    if evidence.unit == "ratio" and lower == 0.0:
        lower = None  # no ratio is less: nothing is known
    sign = "x" if evidence.unit == "ratio" else ""
    if estimate is None:
        one = lower if upper is None else upper if lower is None else None
        return f"{'above' if upper is None else 'below'} {sign}{sentence.number(one)}" if one is not None else ""
    low, high = ("" if edge is None else sentence.number(edge) for edge in (lower, upper))
    return f"{sign}{sentence.number(estimate)}" + (f" ({low}..{high})" if low or high else "")


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"


def missed_text(name: str, missed: int, limit: int, message: str) -> str:
    times = "once" if missed == 1 else f"{missed} times in a row"
    return (
        f"{name}: a look could not be taken {times} ({limit} in a row are tolerated): {message}. "
        "It counts neither for nor against the canary"
    )


def _sentence(setup: Setup, told: Told, *, ends: bool) -> str:
    name, spec = setup.name, setup.spec
    if told.comparison is not None:
        return f"{name}: {told.comparison.reason.removeprefix(name + ': ')}. {_size(setup, told)}"
    if told.evidence is None:
        return f"{name}: look {told.look.number} taken; {spec.test} decides at {_planned_text(spec)}"
    text = sentence.sentence(
        setup.plan,
        name,
        told.evidence,
        told.verdict,
        over=ends,
        interval_seconds=_seconds(spec.interval),
        late=_late(told.since),
        against=_against(setup),
        held=sentence.Held(
            verdict.held_back(setup.plan, told.verdict, told.look, told.evidence),
            verdict.baking_seconds(setup.plan, told.look),
        ),
    )
    text = f"{text} {_seen(spec, told.evidence)}".rstrip()
    return f"{text} {season.told(spec.season)}" if spec.season is not None else text


def _capped(setup: Setup) -> str:
    """Why nothing can be decided for want of a past; "" where it can."""
    return season.why_capped(setup.plan) if setup.spec.season is not None else ""


def _against(setup: Setup) -> sentence.Against:
    if setup.spec.season is None:
        return sentence.STABLE
    return sentence.Against("its own past", "days", _capped(setup))


def _nothing(setup: Setup, looks: int, missing: Mapping[str, int], *, ends: bool) -> str:
    """The sentence of a comparison that has compared nothing: whose data is missing, and why."""
    why = gaps.in_words(missing, looks) or "no look had data that this test can use"
    end = "Inconclusive: there was no data to judge" if ends else "not decided"
    if capped := _capped(setup):
        why, end = capped, "Inconclusive" if ends else "not decided"
    return f"{setup.name}: nothing could be compared in {looks} look{'' if looks == 1 else 's'}: {why}; {end}."


def _share(setup: Setup, told: Told, evidence: Evidence, *, ends: bool) -> str:
    """The sentence of a comparison that looks at nothing but the split of the traffic."""
    share = "" if evidence.estimate is None else f"{100 * evidence.estimate:.3g}% of the traffic goes to the canary"
    if told.verdict.outcome == "fail":
        end = f"Failed at look {told.verdict.failed_at}"
    else:
        end = "Inconclusive: no wrong share was shown, and that it is right this test cannot show" if ends else ""
    parts = (
        share,
        f"configured {_configured(told)}",
        f"evidence for a wrong share {sentence.odds(evidence.log_e_harm)}",
        end or "not decided",
        f"false-alarm chance at most {sentence.chance_text(setup.plan)}, all looks included",
    )
    seen = f"{evidence.canary_total:.10g} on the canary, {evidence.stable_total:.10g} on stable"
    looks = f"{evidence.used} look{'' if evidence.used == 1 else 's'}"
    return f"{setup.name}: {'; '.join(part for part in parts if part)}. Seen: {seen}, {looks}."


def _late(since: Since | None) -> sentence.Late | None:
    return sentence.Late(since.look, since.at, since.estimate) if since is not None else None


def _size(setup: Setup, told: Told) -> str:
    """What a test that is not made for many looks promises."""
    spec, share = setup.spec, sentence.chance_text(setup.plan)
    if spec.test == KAYENTA:
        return "Kayenta's rule, over the whole run: it states no false-alarm chance, for one look or for many."
    planned = spec.planned or 1
    if planned == 1:
        return f"One look, at maxDuration: false-alarm chance {share} for this look alone."
    look = fixed.due(spec, told.look.elapsed_seconds)
    return f"Planned look {look} of {planned}: false-alarm chance {share} over all of them ({spec.spending})."


def _seen(spec: Spec, evidence: Evidence) -> str:
    """What the evidence rests on: both arms' numbers, and how many looks had any."""
    if not evidence.used:
        return ""
    number = sentence.number
    sizes = (evidence.canary_total, evidence.stable_total)
    arms: list[str] = []
    if spec.shape == "counts" and evidence.estimate is not None:  # without an effect they have been named already
        counts = zip(("canary", "stable"), (evidence.canary_events, evidence.stable_events), sizes, strict=True)
        arms = [f"{arm} {x:.10g} of {n:.10g} ({number(100 * x / n)}%)" for arm, x, n in counts if n > 0]
    elif evidence.quantiles:
        canary = _quantiles([(found.q, found.canary) for found in evidence.quantiles])
        stable = _quantiles([(found.q, found.stable) for found in evidence.quantiles])
        arms = [f"canary {canary} (n={sizes[0]:.10g})", f"stable {stable} (n={sizes[1]:.10g})"]
    elif spec.shape != "counts":
        other = "stable" if spec.season is None else "past"
        levels = zip(("canary", other), (evidence.level, evidence.baseline), sizes, strict=True)
        arms = [f"{arm} {number(value)} (n={n:.10g})" for arm, value, n in levels if value is not None]
    dropped = f", {evidence.dropped} without usable data" if evidence.dropped else ""
    looks = f"{evidence.used} look{'' if evidence.used == 1 else 's'}{dropped}"
    return f"Seen: {', '.join([*arms, looks])}."


def _quantiles(values: Sequence[tuple[float, float | None]]) -> str:
    return " ".join(f"p{100 * q:g} {sentence.number(value)}" for q, value in values if value is not None)


def guarantee(spec: Spec, told: Told) -> str:
    """The grade of the guarantee, and whether history stands behind it: part of every result."""
    if told.evidence is None:
        return told.comparison.grade if told.comparison is not None else ""
    grade: str = told.evidence.grade
    if not told.evidence.calibrated:
        grade = "from the run's own noise, uncalibrated" if grade == "calibrated" else f"{grade}, uncalibrated"
    return grade if spec.season is None else f"{grade}, against its own past"


def _planned_text(spec: Spec) -> str:
    planned = spec.planned or 1
    return "maxDuration" if planned == 1 else f"{planned} planned times until maxDuration"


def _why(setup: Setup, told: Told) -> str:
    if told.evidence is not None:
        return verdict.why_undecided(setup.plan, told.verdict, told.evidence)
    return told.comparison.why if told.comparison is not None else ""


def _wanted(setup: Setup, evidence: Evidence | None) -> str:
    """How much more would have decided."""
    if evidence is None or not evidence.used:
        return ""
    ahead = forecast.remaining(setup.plan, evidence)
    parts = []
    ways = (
        (ahead.looks_to_pass, ahead.requests_to_pass, "pass"),
        (ahead.looks_to_fail, ahead.requests_to_fail, "fail"),
    )
    for looks, requests, word in ways:
        seconds = math.ceil(looks) * setup.spec.interval.total_seconds() if looks is not None else 0.0
        if 0 < seconds < _ENDLESS:
            more = f"{math.ceil(requests)} more requests, or " if requests and setup.spec.shape != "gauge" else ""
            parts.append(f"{more}{sentence.span(seconds)} more, to {word}")
    if not parts:
        return " At this rate more time would not decide it either."
    return f" As it stands it needs about {'; or about '.join(parts)}."


def _routing(told: Told) -> str:
    share, chance = told.split.get("canary_share", 0.0), sentence.odds(told.split.get("log_e", 0.0))
    return (
        f"The canary gets {100 * share:.3g}% of the traffic; configured are {_configured(told)} ({chance} by chance)."
    )


def _configured(told: Told) -> str:
    """The configured share; where it changed, what it was over the same requests, and what it is now."""
    wanted, now = told.split.get("configured", 0.0), told.split.get("configured_now")
    return f"{100 * wanted:.3g}%" + (f" on average, {100 * now:.3g}% now" if now is not None else "")


def sample_ratio(told: Told) -> str:
    """Whether routing delivers the configured share, in words; "" where nothing counts requests."""
    share = told.split.get("canary_share")
    if share is None:
        return ""
    found = f"{100 * share:.3g}% of the traffic to the canary"
    if "configured" not in told.split:
        return f"{found}; no configured share known"
    against = sentence.odds(told.split.get("log_e", 0.0))
    return f"{found}; configured {_configured(told)}; evidence against that {against}"


def _without_data(metric: Metric, value: str, text: str, told: Told) -> Ending:
    phase = POLICY.get(metric.on_no_data)
    if phase is None or (phase is Phase.SUCCESSFUL and told.still):  # standing still is not the quiet that may pass
        return Ending(Phase.INCONCLUSIVE, Cause.NO_DATA, value, text)
    cause = Cause.PASSED if phase is Phase.SUCCESSFUL else Cause.NO_DATA
    return Ending(phase, cause, value, f"{text} (onNoData: {metric.on_no_data})")


def _effect_of(told: Told) -> str:
    effect = told.comparison.effect if told.comparison is not None else None
    if effect is None or effect.estimate is None:
        return ""
    return f"{'x' if effect.unit == 'ratio' else ''}{sentence.number(effect.estimate)}"


def _seconds(interval: timedelta) -> float:
    return interval.total_seconds()
