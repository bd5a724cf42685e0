"""What both arms answer at a look: every query is asked at once, and each answer is read as the core reads it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from analysis_service.asking import Asker, Question
from analysis_service.core.compare.asks import Ask
from analysis_service.core.compare.interval import Readings
from analysis_service.core.compare.reading import Buckets, Reading, Series
from analysis_service.core.compare.spec import Spec
from analysis_service.core.judge import NotAnswered
from analysis_service.core.model import Run
from analysis_service.core.reconcile import Task
from providers.base import Answer, BadAnswer, NoData, ProviderError, Sample

_STARTED = "scrape.started"


async def answers(asker: Asker, run: Run, task: Task, spec: Spec, at: datetime) -> Readings | NotAnswered:
    """Every query's answer; the first failure in the order of the spec if there is one. at: the wall clock's time, the
    same for all: what one query sees the others should see too.

    The configured share of traffic is no evidence: a look goes without it where it cannot be had.
    """
    found = await asyncio.gather(*(_ask(asker, run, task, ask, at) for ask in spec.questions), return_exceptions=True)
    readings: dict[tuple[str, str], Reading] = {}
    for ask, one in zip(spec.questions, found, strict=True):
        if isinstance(one, ProviderError) and ask is spec.weight:
            readings[ask.arm, ask.part] = Reading()
        elif isinstance(one, ProviderError):
            return NotAnswered(type(one).__name__, f"{ask.arm}, {ask.part}: {one}")
        elif isinstance(one, BaseException):
            raise one
        else:
            readings[ask.arm, ask.part] = one
    return readings


async def _ask(asker: Asker, run: Run, task: Task, ask: Ask, at: datetime) -> Reading:
    question = Question(
        provider=ask.union,
        namespace=run.namespace,
        interval=task.metric.interval,
        run_started_at=run.started_at,
        strict=run.spec.strict,
        at=at,
    )
    try:
        return read(await asker.ask(question))
    except NoData:
        return Reading()  # an arm without data is no failed query: the interval has none


def read(answer: Answer) -> Reading:
    """What a provider answered, as the core reads it. Raises BadAnswer for what is no number, and for a range."""
    started = _started(answer.metadata.get(_STARTED, ""))
    if answer.samples or answer.histograms:
        if _is_range(answer.samples):
            raise BadAnswer(
                "a comparison reads one value of each series at every look, got a range: the same values would be "
                "counted again and again; leave the [range] out, or wrap it in a function such as avg_over_time()"
            )
        return Reading(
            tuple(Series(one.labels, one.value, _unix(one.at)) for one in answer.samples),
            tuple(Buckets(one.labels, dict(zip(one.bounds, one.cumulative, strict=True))) for one in answer.histograms),
            started,
        )
    value = answer.value
    if value is None:
        return Reading()
    if isinstance(value, str | Mapping):
        raise BadAnswer(f"a comparison needs numbers, got {answer.text[:60]}")
    values = list(value) if not isinstance(value, int | float) else [value]
    if any(isinstance(one, bool) or not isinstance(one, int | float | None) for one in values):
        raise BadAnswer(f"a comparison needs numbers, got {answer.text[:60]}")
    return Reading(tuple(Series({}, None if one is None else float(one)) for one in values))


def _is_range(samples: Sequence[Sample]) -> bool:
    """Whether one series has values of several times; they stand one after the other."""
    return any(
        one.at != other.at and one.at is not None and other.at is not None and one.labels == other.labels
        for one, other in pairwise(samples)
    )


def _unix(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None


def _started(text: str) -> Mapping[str, float]:
    try:
        return msgspec.json.decode(text, type=dict[str, float]) if text else {}
    except msgspec.DecodeError:
        return {}
