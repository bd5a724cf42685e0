"""The run-level `score`: metrics in weighted groups, a score of 100, and two thresholds that make a verdict of it.

Kayenta's shape without its traps: a metric that could not be measured does not pass; a group without metrics loses
its say and not the points; weights cannot turn negative; and while undecided metrics could still lift the score over
a threshold, the verdict is not Failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, TypeGuard

from analysis_service.core.model import Phase

DEFAULT_GROUP: Final = "default"
ROUNDING: Final = 1e-6  # weights such as 33.3333333 add up a little askew
_SETTLED: Final = frozenset({Phase.SUCCESSFUL, Phase.FAILED, Phase.ERROR})


class ScoreError(ValueError):
    """The `score` block cannot be used; the text says where, what was found and what would work."""


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """pass_, marginal: of 100. weights: of 100, by group; groups that are not listed share what is left."""

    pass_: float
    marginal: float
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one metric ended. groups: those it counts in, all of them; none means the group `default`.

    critical: its failure alone decides. muted (a dry run): shown, not scored.
    """

    metric: str
    phase: Phase
    groups: tuple[str, ...] = ()
    critical: bool = False
    muted: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GroupResult:
    """weight: the share of the score, of 100, among the groups that have metrics. score: share of its metrics that
    passed, of 100; possible: the same if everything undecided passed."""

    name: str
    weight: float
    score: float
    possible: float


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """score and possible: of 100, two decimals; None where no metric counts."""

    phase: Phase
    reason: str
    score: float | None
    possible: float | None
    groups: tuple[GroupResult, ...]


def parse_score(block: Mapping[str, Any]) -> ScoreSpec:
    """`score` of a template -> ScoreSpec.

        score:
          groupWeights: {errors: 60, latency: 40}
          scoreThresholds: {pass: 95, marginal: 75}

    Raises ScoreError.
    """
    limits, weights = block.get("scoreThresholds"), block.get("groupWeights") or {}
    if not isinstance(limits, Mapping):
        raise ScoreError("score.scoreThresholds: {pass, marginal} is wanted, each from 0 to 100")
    if not isinstance(weights, Mapping):
        raise ScoreError("score.groupWeights: a mapping of group to weight is wanted")
    pass_, marginal = _threshold(limits, "pass"), _threshold(limits, "marginal")
    if marginal > pass_:
        raise ScoreError(
            f"score.scoreThresholds.marginal: {marginal:g} is above pass {pass_:g}; at most that is wanted"
        )
    for group, weight in weights.items():
        if not _is_number(weight) or not (isfinite(weight) and weight >= 0):
            raise ScoreError(f"score.groupWeights.{group}: a number from 0 up is wanted, found {weight!r}")
    total = sum(weights.values())
    if total > 100 + ROUNDING:
        raise ScoreError(f"score.groupWeights: {total:g} together; 100 at most is wanted")
    return ScoreSpec(pass_, marginal, {str(group): float(weight) for group, weight in weights.items()})


def score_outcomes(spec: ScoreSpec, outcomes: Sequence[Outcome]) -> ScoreResult:
    """The verdict over metrics.

    outcomes: one per metric, in the template's order. A critical metric that Failed fails the run, one in Error makes
    it Error, whatever the score. Metrics still running or Inconclusive count as not passed in `score` and as passed in
    `possible`; the run Failed when even `possible` stays below `marginal`. Error never counts as passed, and if no
    metric could be measured the run is Error.
    """
    heard = [o for o in outcomes if not o.muted]
    groups = _groups(spec, heard)
    weighty = any(g.weight > 0 for g in groups)
    score = round(sum(g.weight * g.score for g in groups) / 100, 2) if weighty else None
    possible = round(sum(g.weight * g.possible for g in groups) / 100, 2) if weighty else None
    phase, reason = _verdict(spec, heard, groups, score, possible)
    return ScoreResult(phase, reason, score, possible, groups)


def _verdict(
    spec: ScoreSpec,
    heard: Sequence[Outcome],
    groups: tuple[GroupResult, ...],
    score: float | None,
    possible: float | None,
) -> tuple[Phase, str]:
    for phase in (Phase.FAILED, Phase.ERROR):
        first = next((o for o in heard if o.critical and o.phase is phase), None)
        if first is not None:
            why = f": {first.reason}" if first.reason else ""
            return phase, f"Critical metric {first.metric} ended {phase.value}{why}"
    if score is None or possible is None:
        return Phase.INCONCLUSIVE, "No metric counts: every one is muted or in a group without weight"
    weighty = {g.name for g in groups if g.weight > 0}
    scored = [o for o in heard if weighty & set(_groups_of(o))]
    if all(o.phase is Phase.ERROR for o in scored):
        return Phase.ERROR, f"No metric could be measured: all {len(scored)} ended in Error"
    blamed = ", ".join(f"{o.metric} {o.phase.value}" for o in scored if o.phase in (Phase.FAILED, Phase.ERROR))
    blame = f"; not passed: {blamed}" if blamed else ""
    shown = f"Score {score:g} ({', '.join(f'{g.name} {g.score:.4g}' for g in groups)})"
    if score >= spec.pass_:
        return Phase.SUCCESSFUL, f"{shown} reaches the pass threshold {spec.pass_:g}{blame}"
    if possible < spec.marginal:
        return Phase.FAILED, f"{shown} is below the marginal threshold {spec.marginal:g}{blame}"
    if score < possible:
        waiting = ", ".join(o.metric for o in scored if o.phase not in _SETTLED)
        return Phase.INCONCLUSIVE, (
            f"{shown} is below the pass threshold {spec.pass_:g} and could still become {possible:g}; "
            f"undecided: {waiting}{blame}"
        )
    return Phase.INCONCLUSIVE, (
        f"{shown} lies between the marginal threshold {spec.marginal:g} and the pass threshold {spec.pass_:g}{blame}"
    )


def _groups(spec: ScoreSpec, heard: Sequence[Outcome]) -> tuple[GroupResult, ...]:
    phases: dict[str, list[Phase]] = {}
    for outcome in heard:
        for name in _groups_of(outcome):
            phases.setdefault(name, []).append(outcome.phase)
    unlisted = sum(name not in spec.weights for name in phases)
    rest = max(0.0, 100 - sum(spec.weights.values())) / unlisted if unlisted else 0.0
    weights = {name: spec.weights.get(name, rest) for name in phases}
    total = sum(weights.values())
    return tuple(
        GroupResult(
            name,
            100 * weights[name] / total if total > 0 else 0.0,
            100 * found.count(Phase.SUCCESSFUL) / len(found),
            100 * sum(p is Phase.SUCCESSFUL or p not in _SETTLED for p in found) / len(found),
        )
        for name, found in phases.items()
    )


def _groups_of(outcome: Outcome) -> tuple[str, ...]:
    return tuple(dict.fromkeys(outcome.groups)) or (DEFAULT_GROUP,)


def _threshold(limits: Mapping[str, Any], key: str) -> float:
    value = limits.get(key)
    if not _is_number(value) or not 0 <= value <= 100:
        found = f", found {value!r}" if key in limits else ""
        raise ScoreError(f"score.scoreThresholds.{key}: a number from 0 to 100 is wanted{found}")
    return float(value)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
