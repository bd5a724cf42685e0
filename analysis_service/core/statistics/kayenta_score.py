"""Kayenta's score: shares of passing metrics per group, weighted, and the class that two thresholds give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from math import isfinite

from analysis_service.core.statistics.kayenta_classify import Label

_COUNTED = frozenset({Label.PASS, Label.HIGH, Label.LOW, Label.NODATA_FAIL})


class ScoreClass(StrEnum):
    """Where a score stands against the thresholds."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    MARGINAL = "Marginal"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of 100: at or above `pass_` is Pass, at or above `marginal` is Marginal, below is Fail."""

    pass_: float
    marginal: float


@dataclass(frozen=True, slots=True)
class Scored:
    """What the score needs to know of one judged metric."""

    label: Label
    groups: tuple[str, ...] = ()
    critical: bool = False
    reason: str = ""
    muted: bool = False


@dataclass(frozen=True, slots=True)
class GroupScore:
    """score: of 100. no_data: nothing in the group could be counted; the group then counts as full."""

    name: str
    score: float
    no_data: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """score: of 100, two decimals. forced_by: `critical` or `nodata` where the groups had no say."""

    score: float
    groups: tuple[GroupScore, ...]
    reason: str = ""
    forced_by: str = ""


def score_results(results: Sequence[Scored], *, group_weights: Mapping[str, float], compatible: bool = True) -> Score:
    """Score the results of one judgement.

    group_weights: of 100; groups that are not listed share what is left. They are not normalised: a listed group
        without metrics loses its share, and a sum above 100 makes the others' weights negative.
    compatible: as Kayenta does, Error results are not counted at all, so that a run in which nothing could be judged
        scores 100. False counts an Error as a metric that did not pass.

    Source: spinnaker/kayenta a69573be, ThresholdScoreClassifier and WeightedSumScorer; the trap is kayenta#353.
    """
    heard = [result for result in results if not result.muted]
    counted = _COUNTED if compatible else _COUNTED | {Label.ERROR}
    groups = tuple(_group(name, heard, counted) for name in dict.fromkeys(g for r in heard for g in r.groups))
    if not heard:
        return Score(0.0, (), "no metric was judged")
    failed = next((r for r in heard if r.critical and r.label is not Label.PASS), None)
    if failed is not None:
        return Score(0.0, groups, f"Canary Failed: {failed.reason}", "critical")
    empty = sum(r.label is Label.NODATA for r in heard)
    if 2 * empty >= len(heard):
        return Score(0.0, groups, f"50% or more of the metrics returned NODATA ({empty} of {len(heard)})", "nodata")
    unlisted = [g for g in groups if g.name not in group_weights]
    rest = (100 - sum(group_weights.values())) / len(unlisted) if unlisted else 0.0
    total = sum((100.0 if g.no_data else g.score) * group_weights.get(g.name, rest) / 100 for g in groups)
    return Score(_round(total), groups)


def score_class(score: float, thresholds: Thresholds) -> ScoreClass:
    """Pass, Marginal or Fail; a score equal to a threshold has reached it."""
    if score >= thresholds.pass_:
        return ScoreClass.PASS
    return ScoreClass.MARGINAL if score >= thresholds.marginal else ScoreClass.FAIL


def _group(name: str, results: Sequence[Scored], counted: frozenset[Label]) -> GroupScore:
    labels = [r.label for r in results if name in r.groups and r.label in counted]
    if not labels:
        return GroupScore(name, 0.0, no_data=True)
    return GroupScore(name, 100 * labels.count(Label.PASS) / len(labels))


def _round(value: float) -> float:
    if not isfinite(value):
        return value
    return float(Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_HALF_UP))
