"""One measurement without a run: asked, judged and explained, with every request and response kept."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from analysis_service.arms import read
from analysis_service.asking import Asker, Question, unwrap
from analysis_service.cli.gate_local import WHERE_SECRETS_ARE
from analysis_service.cli.questions import policy, questions
from analysis_service.cli.recording import Exchange, Mask, Recording
from analysis_service.cli.resolved import Composed
from analysis_service.clock import SystemClock
from analysis_service.config import Settings
from analysis_service.core.compare.asks import BUCKETS, WEIGHT
from analysis_service.core.compare.gaps import because
from analysis_service.core.compare.spec import is_comparison
from analysis_service.core.expression import ExpressionError, Part, evaluate_time, explain, prepare_condition
from analysis_service.core.judge import Answered, NotAnswered, judge
from analysis_service.core.model import Measurement, Metric
from analysis_service.core.secret_arguments import SecretError as MissingKey
from analysis_service.core.secret_arguments import needed, with_secrets
from analysis_service.main import provider_table, secret_sources
from analysis_service.secrets import SecretError, Secrets
from analysis_service.telemetry import Telemetry
from providers.base import Answer, NoData, ProviderError
from providers.tools import Tools

_CARRIED = "scrape."  # metadata that the next question wants to see


class NoSecret(click.ClickException):
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Taken:
    """One question, answered or not, judged if it is a metric's only one.

    conditions: (field, source, its parts) of each condition that was evaluated.
    """

    metric: Metric
    asked: str
    provider: str
    exchanges: tuple[Exchange, ...]
    answer: Answer | None
    problem: str
    measurement: Measurement | None
    conditions: tuple[tuple[str, str, tuple[Part, ...]], ...]
    mask: Mask
    lacks: str = ""  # of a comparison's question: why nothing could be compared with this answer


async def take_all(
    composed: Composed, picked: Sequence[int], namespace: str, settings: Settings, wait: float
) -> list[Taken]:
    """All questions of the picked metrics, at once. wait: seconds to a second reading; 0: there is none."""
    secrets = secret_sources(settings)
    try:
        metrics, masked = await _resolved(composed, namespace, secrets)
        asked = [(metrics[index], name, union) for index in picked for name, union in questions(metrics[index])]
        strict = composed.spec.strict
        return list(
            await asyncio.gather(
                *(
                    _take(metric, name, union, namespace, settings, secrets, masked, wait, strict=strict)
                    for metric, name, union in asked
                )
            )
        )
    finally:
        await secrets.close()


async def _resolved(composed: Composed, namespace: str, secrets: Secrets) -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    """(the metrics with secrets in them, what must not be shown)."""
    spec = composed.spec
    try:
        found = {name: await secrets.read(namespace, name) for name in needed(spec.args, strict=spec.strict)}
        args, masked = with_secrets(spec.args, found, strict=spec.strict)
    except (SecretError, MissingKey) as error:
        raise NoSecret(f"{error}\n{WHERE_SECRETS_ARE}") from None
    return composed.metrics(args), masked


async def _take(
    metric: Metric,
    name: str,
    union: Mapping[str, Any],
    namespace: str,
    settings: Settings,
    secrets: Secrets,
    masked: tuple[str, ...],
    wait: float,
    *,
    strict: bool,
) -> Taken:
    http, clock = Recording(policy(settings)), SystemClock()
    asker = Asker(
        load=provider_table(Tools(http=http, evaluate_time=evaluate_time)),
        secrets=secrets,
        clock=clock,
        telemetry=Telemetry(),
        environ=settings.argo_environment,
        controller_namespace=settings.controller_namespace,
    )
    started = clock.now()
    try:
        answer, problem = await _ask(asker, Question(union, namespace, run_started_at=started))
        before = {k: v for k, v in _metadata(answer, problem).items() if k.startswith(_CARRIED)}
        if wait and before:
            await asyncio.sleep(wait)
            http.exchanges.clear()
            started = clock.now()
            answer, problem = await _ask(asker, Question(union, namespace, run_started_at=started, previous=before))
    finally:
        await http.close()
    finished = clock.now()
    measurement: Measurement | None = None
    lacks = ""
    conditions: tuple[tuple[str, str, tuple[Part, ...]], ...] = ()
    if not is_comparison(metric):
        said = _answered(answer) if answer is not None else NotAnswered(type(problem).__name__, str(problem))
        measurement = judge(metric, said, ordinal=0, started_at=started, finished_at=finished, strict=strict)
        conditions = _explained(metric, answer, finished) if answer is not None else ()
    elif answer is None or not name.endswith(WEIGHT):
        problem, lacks = _usable(name, answer, problem)
    return Taken(
        metric=metric,
        asked=name,
        provider=unwrap(union)[0],
        exchanges=tuple(http.exchanges),
        answer=answer,
        problem=str(problem or ""),
        measurement=measurement,
        conditions=conditions,
        mask=Mask(masked),
        lacks=lacks,
    )


def _usable(asked: str, answer: Answer | None, problem: ProviderError | None) -> tuple[ProviderError | None, str]:
    """What a comparison would say of this answer: (that it is none, or why it has no data in it)."""
    if isinstance(problem, NoData):
        return None, because("no-data")
    if answer is None:
        return problem, ""
    try:
        found = read(answer)
    except ProviderError as error:
        return error, ""
    if not found.series and not found.histograms:
        return None, because("no-data")
    if asked.endswith(BUCKETS) and not found.histograms and not any("le" in one.labels for one in found.series):
        return None, because("no-buckets")
    numbers = [one.value for one in found.series if one.value is not None and not math.isnan(one.value)]
    return None, because("not-a-number") if found.series and not numbers else ""


async def _ask(asker: Asker, question: Question) -> tuple[Answer | None, ProviderError | None]:
    try:
        return await asker.ask(question), None
    except ProviderError as error:
        return None, error


def _metadata(answer: Answer | None, problem: ProviderError | None) -> Mapping[str, str]:
    return answer.metadata if answer is not None else problem.metadata if problem is not None else {}


def _answered(answer: Answer) -> Answered:
    samples = len(answer.samples) + len(answer.histograms)
    return Answered(answer.value, answer.text, answer.metadata, samples or None)


def _explained(metric: Metric, answer: Answer, now: datetime) -> tuple[tuple[str, str, tuple[Part, ...]], ...]:
    found = []
    for field, source in (
        ("successCondition", metric.success_condition),
        ("failureCondition", metric.failure_condition),
    ):
        if not source:
            continue
        try:
            parts = explain(prepare_condition(source), answer.value, now=now)
        except ExpressionError as error:
            parts = (Part(source, None, error.hint or error.message),)
        found.append((field, source, parts))
    return tuple(found)
