"""From one answer to one measurement.

An answer is judged by the metric's conditions (core.expression); no answer is an Error. Before that come the
metric's own policies on top of Argo's rules: `onNaN`, `onNoData`, `minSamples`. In strict mode a NaN or an empty
answer that the condition does not mention is Inconclusive: no comparison with it means anything.
"""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from analysis_service.core import expression
from analysis_service.core.digits import shorten
from analysis_service.core.expression.kinds import Value
from analysis_service.core.model import Cause, Measurement, Metric, Phase
from analysis_service.core.warnings import handles_empty, handles_nan

_UNAVAILABLE = frozenset({"Unreachable", "TimedOut", "Throttled"})
CAUSES = {
    "BadQuery": Cause.BAD_QUERY,
    "AuthFailed": Cause.PROVIDER_REFUSED,
    "NotAllowed": Cause.PROVIDER_REFUSED,
    "TooLarge": Cause.BAD_ANSWER,
    "BadAnswer": Cause.BAD_ANSWER,
    "NoData": Cause.NO_DATA,
    "SecretNotFound": Cause.SECRET_NOT_FOUND,
    **dict.fromkeys(_UNAVAILABLE, Cause.PROVIDER_UNAVAILABLE),
}
POLICY = {"fail": Phase.FAILED, "error": Phase.ERROR, "inconclusive": Phase.INCONCLUSIVE, "pass": Phase.SUCCESSFUL}
_KEEPS_VALUE = frozenset({"graphite", "cloudWatch"})  # they write down the value even if the condition fails on it
_NO_METADATA: Mapping[str, str] = {}  # one for all: ten thousand runs keep ten measurements each
_SHOWN = 80  # characters of a value in a sentence


@dataclass(frozen=True, slots=True)
class Answered:
    """What a provider returned: `value` as conditions see it, `text` as Argo writes it.

    samples: how many series or points it is made of, if that is known.
    """

    value: Value
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    samples: int | None = None


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """Why there is no answer: the class name of the provider's error and its message, free of secrets."""

    kind: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def judge(
    metric: Metric,
    answer: Answered | NotAnswered,
    *,
    ordinal: int,
    started_at: datetime,
    finished_at: datetime,
    strict: bool = False,
) -> Measurement:
    """The finished measurement for slot `ordinal`. metric: resolved, secrets filled in as the conditions need them.

    finished_at is also the `now()` of a condition. Never raises: a condition that cannot be evaluated is an Error
    measurement with Argo's message.
    """
    metadata = answer.metadata or _NO_METADATA
    base = Measurement(Phase.ERROR, ordinal, started_at=started_at, finished_at=finished_at, metadata=metadata)
    if isinstance(answer, NotAnswered):
        return _unanswered(metric, answer, base)
    policy = _by_policy(metric, answer, strict)
    if policy is not None:
        phase, cause, why = policy
        return replace(base, phase=phase, value=answer.text, cause=cause, message=why, reason=f"{metric.name}: {why}")
    return _by_condition(metric, answer, base)


def mark_error(base: Measurement, message: str, now: datetime, cause: Cause = Cause.INTERNAL) -> Measurement:
    """The measurement ended as an Error with that message."""
    return replace(
        base,
        phase=Phase.ERROR,
        message=message,
        finished_at=base.finished_at or now,
        cause=cause,
        reason=f"{cause.value}: {message}",
    )


def terminated(in_flight: Measurement, phase: Phase, now: datetime, message: str = "") -> Measurement:
    """A measurement in flight that its provider ended: Successful and Inconclusive get Argo's words."""
    if phase in (Phase.SUCCESSFUL, Phase.INCONCLUSIVE):
        message = "Metric Terminated"
    finished = now if phase.done else None
    return replace(
        in_flight, phase=phase, message=message, finished_at=finished, cause=Cause.TERMINATED, reason=message
    )


def has_nan(value: Value) -> bool:
    """A NaN, or a list with one in it."""
    if isinstance(value, float):
        return math.isnan(value)
    return isinstance(value, list | tuple | array) and any(isinstance(v, float) and math.isnan(v) for v in value)


def _unanswered(metric: Metric, answer: NotAnswered, base: Measurement) -> Measurement:
    cause = CAUSES.get(answer.kind, Cause.INTERNAL)
    if cause is Cause.NO_DATA and metric.on_no_data in POLICY:
        phase = POLICY[metric.on_no_data]
        why = f"{answer.message} (onNoData: {metric.on_no_data})"
        return replace(base, phase=phase, message=why, cause=_decided(phase, cause), reason=f"{metric.name}: {why}")
    reason = f"{metric.name}: {cause.value}: {answer.message}"
    return replace(base, message=answer.message, cause=cause, reason=reason)


def _by_policy(metric: Metric, answer: Answered, strict: bool) -> tuple[Phase, Cause, str] | None:
    """What the metric's own policies say of the value; None leaves it to the conditions."""
    value = answer.value
    if expression.nil_or_empty(value):
        return _policy(metric.on_no_data, "onNoData", "no data was returned", Cause.NO_DATA) or (
            _policy("inconclusive", "strict mode", "no data was returned", Cause.NO_DATA)
            if strict and not handles_empty(metric)
            else None
        )
    if has_nan(value):
        what = (
            f"{_shown(answer.text)} is not a number" if isinstance(value, float) else f"{_shown(answer.text)} has a NaN"
        )
        found = _policy(metric.on_na_n, "onNaN", what, Cause.NOT_A_NUMBER)
        if found is None and strict and not handles_nan(metric):
            found = _policy("inconclusive", "strict mode", what, Cause.NOT_A_NUMBER)
        if found is not None:
            return found
    samples = answer.samples if answer.samples is not None else _size(value)
    if metric.min_samples is not None and samples < metric.min_samples:
        what = f"{samples} sample{'' if samples == 1 else 's'}, minSamples wants {metric.min_samples}"
        return _policy(metric.on_no_data, "onNoData", what, Cause.NO_DATA) or _policy(
            "inconclusive", "minSamples", what, Cause.NO_DATA
        )
    return None


def _policy(policy: str, field_name: str, what: str, cause: Cause) -> tuple[Phase, Cause, str] | None:
    phase = POLICY.get(policy)
    return None if phase is None else (phase, _decided(phase, cause), f"{what} ({field_name}: {policy})")


def _decided(phase: Phase, cause: Cause) -> Cause:
    return Cause.PASSED if phase is Phase.SUCCESSFUL else cause


def _by_condition(metric: Metric, answer: Answered, base: Measurement) -> Measurement:
    verdict = expression.judge(metric.success_condition, metric.failure_condition, answer.value, now=base.finished_at)
    cause = Cause.NO_DATA if verdict.code == "NoData" else _cause(verdict.phase, answer.value)
    keeps = verdict.phase is not Phase.ERROR or not _KEEPS_VALUE.isdisjoint(metric.provider)
    said = verdict.explanation or verdict.message
    conditions = f"{metric.success_condition} {metric.failure_condition}"
    return replace(
        base,
        phase=verdict.phase,
        value=answer.text if keeps else "",
        message=verdict.message,
        cause=cause,
        reason=f"{metric.name}: {shorten(f'{_shown(answer.text)}: {said}', conditions)}",
    )


def _cause(phase: Phase, value: Value) -> Cause:
    if phase is Phase.SUCCESSFUL:
        return Cause.PASSED
    if phase is Phase.ERROR:
        return Cause.CONDITION_ERROR
    if has_nan(value):
        return Cause.NOT_A_NUMBER
    return Cause.CONDITION_FAILED if phase is Phase.FAILED else Cause.INCONCLUSIVE_VALUES


def _size(value: Value) -> int:
    return len(value) if isinstance(value, list | tuple | array) else 1


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
