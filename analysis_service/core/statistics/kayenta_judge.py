"""NetflixACAJudge-v1.0: a canary config and pairs of series in, a judge result out.

Kept exact for teams that move from Kayenta, with its weaknesses: the rule has no control over repeated looks or many
metrics, takes points for independent, sees neither spread nor tails, and Pass means "not shown different". Its
guarantee is none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from analysis_service.core.statistics.kayenta_classify import Classification, classify
from analysis_service.core.statistics.kayenta_config import CanaryConfig, ConfigError, Json, parse_config
from analysis_service.core.statistics.kayenta_prepare import Summary, clean, summarise
from analysis_service.core.statistics.kayenta_score import (
    Score,
    ScoreClass,
    Scored,
    Thresholds,
    score_class,
    score_results,
)

NAME: Final = "NetflixACAJudge-v1.0"


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric's two series: one number per step, NaN where a point is missing, any lengths, same unit."""

    name: str
    control: tuple[float, ...]
    experiment: tuple[float, ...]
    id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricJudgement:
    """One pair, judged: figures of both cleaned series and the classification with its reason."""

    name: str
    id: str
    tags: Mapping[str, str]
    groups: tuple[str, ...]
    muted: bool
    experiment: Summary
    control: Summary
    classification: Classification


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """What the judge says: every metric, every group, and the whole."""

    results: tuple[MetricJudgement, ...]
    score: Score
    score_class: ScoreClass
    reason: str


def judge(
    config: CanaryConfig | Mapping[str, Json], pairs: Sequence[Pair], thresholds: Thresholds, *, compatible: bool = True
) -> JudgeResult:
    """Judge all pairs.

    config: a canary config as data, or parsed. pairs: one per metric and tag set, in any number. thresholds: those of
    the execution request; the config's own are not used. compatible: see `score_results`.

    Raises ConfigError for a config that the judge cannot read, or a pair whose metric it does not name: these fail
    the whole judgement. A pair that cannot be judged is an Error in the result.
    """
    parsed = config if isinstance(config, CanaryConfig) else parse_config(config)
    metrics = {metric.name: metric for metric in parsed.metrics}
    results = []
    for pair in pairs:
        metric = metrics.get(pair.name)
        if metric is None:
            raise ConfigError(f"pair {pair.name!r}: the canary config has no such metric; it has {sorted(metrics)}")
        experiment, control = clean(pair.experiment, metric.options), clean(pair.control, metric.options)
        results.append(
            MetricJudgement(
                name=pair.name,
                id=pair.id,
                tags=pair.tags,
                groups=metric.groups,
                muted=metric.options.muted,
                experiment=summarise(experiment),
                control=summarise(control),
                classification=classify(experiment, control, options=metric.options, name=pair.name),
            )
        )
    score = score_results([_scored(r) for r in results], group_weights=parsed.group_weights, compatible=compatible)
    found = score_class(score.score, thresholds)
    return JudgeResult(tuple(results), score, found, score.reason or _reason(score, found, thresholds))


def wire(result: JudgeResult) -> dict[str, Json]:
    """The judge result as Kayenta writes it: JSON as data, NaN and infinities as text, absent fields left out."""
    return {
        "judgeName": NAME,
        "results": [_metric_wire(r) for r in result.results],
        "groupScores": [
            {"name": g.name, "score": _number(g.score), "classification": "", "classificationReason": ""}
            for g in result.score.groups
        ],
        "score": {
            "score": _number(result.score.score),
            "classification": result.score_class.value,
            "classificationReason": result.reason,
        },
    }


def _scored(result: MetricJudgement) -> Scored:
    found = result.classification
    return Scored(found.label, result.groups, found.critical, found.reason, result.muted)


def _reason(score: Score, found: ScoreClass, thresholds: Thresholds) -> str:
    where = {
        ScoreClass.PASS: f"at or above the pass threshold {thresholds.pass_:g}",
        ScoreClass.MARGINAL: f"between the marginal threshold {thresholds.marginal:g} and pass {thresholds.pass_:g}",
        ScoreClass.FAIL: f"below the marginal threshold {thresholds.marginal:g}",
    }[found]
    groups = ", ".join(f"{g.name} {'no data' if g.no_data else f'{g.score:.4g}'}" for g in score.groups)
    return f"score {score.score:g} is {where}" + (f" (groups: {groups})" if groups else "")


def _metric_wire(result: MetricJudgement) -> dict[str, Json]:
    found = result.classification
    answer: dict[str, Json] = {
        "name": result.name,
        "id": result.id,
        "tags": dict(result.tags),
        "classification": found.label.value,
        "classificationReason": found.reason,
        "groups": list(result.groups),
        "experimentMetadata": {"stats": _stats(result.experiment)},
        "controlMetadata": {"stats": _stats(result.control)},
        "critical": found.critical,
        "muted": result.muted,
    }
    if found.ratio is not None:
        answer["resultMetadata"] = {"ratio": _number(found.ratio)}
    return answer


def _stats(summary: Summary) -> dict[str, Json]:
    return {key: value if key == "count" else _number(value) for key, value in asdict(summary).items()}


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
