"""What a comparison is judged by, for a person: `render` shows it where a plain metric has its conditions."""

import math
from collections.abc import Iterator

from analysis_service.core.compare.spec import KAYENTA, SAMPLE_RATIO, Spec, SpecError, comparison_of, parse, plan_of
from analysis_service.core.digits import number
from analysis_service.core.prepare import Ready
from analysis_service.core.statistics.plan import Plan, harm_sign, margin_log_ratio
from analysis_service.core.timing import format_duration


def rules(ready: Ready, share: float) -> list[tuple[str, str]]:
    """Rows of a label and a text; none where the metric is no comparison that can be read. share: see `share_of`."""
    written = comparison_of(ready.metric.provider)
    if written is None:
        return []
    try:
        spec = parse(written, ready.interval)
    except SpecError:  # asking says what is wrong
        return []
    plan = plan_of(spec, share)
    rows = [("test", f"{spec.test}, {_looks(spec, plan)}")]
    return rows if spec.test in (KAYENTA, SAMPLE_RATIO) else [*rows, *_limits(spec, plan)]


def _looks(spec: Spec, plan: Plan) -> str:
    if spec.once:
        return "once, at maxDuration" if (spec.planned or 1) == 1 else f"{spec.planned} times until maxDuration"
    every = f"a look every {format_duration(spec.interval)}"
    if spec.max_duration is None:
        return f"{every} until terminated"
    return f"{every} for {format_duration(spec.max_duration)} ({plan.planned_looks} at most), then Inconclusive"


def _limits(spec: Spec, plan: Plan) -> Iterator[tuple[str, str]]:
    limit, whole = _limit(spec, plan), plan.run_alpha or plan.alpha
    part = f" (this metric's part of {number(100 * whole)}%)" if plan.alpha < whole * (1 - 1e-9) else ""
    worse = "worse than no change" if plan.fail_at == "noharm" and plan.objective is None else f"beyond {limit}"
    yield "fails if", f"shown to be {worse}; a harmless version with a chance of {number(100 * plan.alpha)}%{part}"
    baked = plan.min_bake * plan.planned_seconds
    wait = f"; not in the first {number(baked)} s (minBake)" if baked > 0 and not spec.once else ""
    chance = f"one that is at the limit with a chance of {number(100 * plan.beta)}%"
    yield "passes if", f"shown to be within {limit}; {chance}{wait}"
    if plan.absolute_floor is not None:
        text = f"{number(plan.absolute_floor)}: below it nothing fails, and what is shown to be below it passes"
        yield "floor", text


def _limit(spec: Spec, plan: Plan) -> str:
    if plan.objective is not None:
        return f"the objective {number(plan.objective)}"
    other = "the past" if spec.season is not None else "stable"
    signs = (1, -1) if plan.direction == "either" else (harm_sign(plan.direction),)
    if spec.margin.relative is not None:
        return " or ".join(f"x{number(math.exp(s * margin_log_ratio(plan, None, s)))}" for s in signs) + f" of {other}"
    absolute = number(spec.margin.absolute or 0.0)
    return " or ".join(f"{other} {'+' if s > 0 else '-'} {absolute}" for s in signs)
