"""Takes the measurements of one step: secrets in, questions out, answers judged, secrets masked again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from analysis_service.asking import Asker, Question, unwrap
from analysis_service.clock import Clock
from analysis_service.comparing import Comparer
from analysis_service.core.arguments import ArgumentError, resolve_metric
from analysis_service.core.compare.spec import is_comparison
from analysis_service.core.due import Op
from analysis_service.core.judge import Answered, NotAnswered, judge, mark_error
from analysis_service.core.model import Cause, Look, Measurement, Metric, MetricResult, Phase, Run
from analysis_service.core.prepare import prepare
from analysis_service.core.reconcile import Step, Task, secret_missing
from analysis_service.core.record import Taken
from analysis_service.core.secret_arguments import SecretError as MissingKey
from analysis_service.core.secret_arguments import needed, redact, with_secrets
from analysis_service.keeping import StoredLooks
from analysis_service.secrets import SecretError
from providers.base import Answer, ProviderError
from providers.redact import SHORTEST, forms

CARRIED_PREFIX = "scrape."  # metadata that a provider wants to see again at its next question
FIRST_READING = "FirstReading"  # the reason of a provider whose answer is the difference of two readings
FIRST_READING_GAP = timedelta(seconds=10)  # between them, for a metric without an interval

Looks = dict[tuple[str, int], tuple[Look, ...]]
"""(metric, ordinal) -> the looks taken in this step."""


class SecretMissing(Exception):
    """A secret argument cannot be read; `run` is what that makes of the run."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.message)
        self.run = run


@dataclass(slots=True)
class Measurer:
    """All metrics of a step are asked at once; each has its own deadline, its provider's timeout."""

    asker: Asker
    clock: Clock
    comparer: Comparer = field(init=False)

    def __post_init__(self) -> None:
        self.comparer = Comparer(self.asker, self.clock)

    async def take(self, step: Step, stored: StoredLooks) -> tuple[list[Taken], Looks, Mapping[str, Mapping[str, str]]]:
        """(measurements, looks, what providers tell of new metrics). stored: the looks that were saved before.

        Raises SecretMissing.
        """
        if not step.measure:
            return [], {}, {}
        run = step.run
        metrics, masked = await self._resolved(run, step.measure)
        if isinstance(metrics, str):
            if not run.spec.strict:  # Argo ends the run at once
                raise SecretMissing(secret_missing(run, metrics, self.clock.now()))
            lost = NotAnswered("SecretNotFound", metrics)
            unread: Looks = {}
            return [(t.name, await self._unresolved(run, t, lost, unread, stored)) for t in step.measure], unread, {}
        looks: Looks = {}
        one = len(step.measure) == 1
        if one:
            measurements = [await self._measure(run, step.measure[0], metrics[0], looks, stored)]
        else:
            measurements = await asyncio.gather(
                *(
                    self._measure(run, task, metric, looks, stored)
                    for task, metric in zip(step.measure, metrics, strict=True)
                )
            )
        described = {
            task.name: _masked_map(self._described(task, metric), masked)
            for task, metric in zip(step.measure, metrics, strict=True)
            if task.op is Op.RUN and task.ordinal == 0
        }
        taken = [(task.name, _masked(m, masked)) for task, m in zip(step.measure, measurements, strict=True)]
        if masked:
            looks = {slot: tuple(_masked_look(look, masked) for look in some) for slot, some in looks.items()}
        return taken, looks, described

    def provider_of(self, run: Run, name: str) -> str:
        """The kind of backend a metric asks, for counting."""
        union = next((ready.metric.provider for ready in prepare(run.spec).metrics if ready.name == name), {})
        return unwrap(union)[0] if union else ""

    async def _resolved(self, run: Run, tasks: Sequence[Task]) -> tuple[list[Metric] | str, tuple[str, ...]]:
        """The due metrics with real secrets in them and what must be masked; or what is wrong, as text."""
        names = needed(run.spec.args, strict=run.spec.strict)
        if not names:
            return [task.metric.metric for task in tasks], ()
        try:
            found = {name: await self.asker.secrets.read(run.namespace, name) for name in names}
            args, masked = with_secrets(run.spec.args, found, strict=run.spec.strict)
            written = {
                ready.name: metric for ready, metric in zip(prepare(run.spec).metrics, run.spec.metrics, strict=True)
            }
            return [resolve_metric(written[task.name], args) for task in tasks], _every_form(masked)
        except (SecretError, MissingKey, ArgumentError) as error:
            return str(error), ()

    def _described(self, task: Task, metric: Metric) -> Mapping[str, str]:
        if is_comparison(metric):
            return self.comparer.describe(metric, task.metric.interval)
        return self.asker.describe(metric.provider)

    async def _unresolved(
        self, run: Run, task: Task, lost: NotAnswered, looks: Looks, stored: StoredLooks
    ) -> Measurement:
        """Strict mode without a secret: as if the provider had not answered."""
        if is_comparison(task.metric.metric):
            if task.op is Op.TERMINATE:  # nobody is asked for it
                measurement, taken = await self.comparer.measure(run, task, task.metric.metric, stored)
            else:
                measurement, taken = await self.comparer.unanswered(run, task, lost, stored)
            if taken:
                looks[task.name, task.ordinal] = taken
            return measurement
        return self._judged(run, task, task.metric.metric, lost)

    async def _measure(self, run: Run, task: Task, metric: Metric, looks: Looks, stored: StoredLooks) -> Measurement:
        if is_comparison(metric):
            measurement, taken = await self.comparer.measure(run, task, metric, stored)
            if taken:
                looks[task.name, task.ordinal] = taken
            return measurement
        if task.op is Op.TERMINATE and task.measurement is not None:
            # What was open knows nothing yet: it must count neither for nor against the run.
            return mark_error(task.measurement, "Metric Terminated", self.clock.now(), Cause.TERMINATED)
        question = Question(
            provider=metric.provider,
            namespace=run.namespace,
            interval=task.metric.interval,
            run_started_at=run.started_at,
            previous=_carried(run.result(task.name)),
            strict=run.spec.strict,
        )
        started = self.clock.now()
        if task.measurement is not None and task.measurement.started_at is not None:
            started = task.measurement.started_at
        try:
            answer: Answered | NotAnswered = _answered(await self.asker.ask(question))
        except ProviderError as error:
            if error.reason == FIRST_READING and task.op is Op.RUN:
                return self._open(task, error, started)
            answer = NotAnswered(type(error).__name__, str(error), error.metadata)
        return self._judged(run, task, metric, answer, started)

    def _open(self, task: Task, first: ProviderError, started: datetime) -> Measurement:
        """A growth needs two readings: the measurement stays open until there is a second one."""
        gap = task.metric.interval or FIRST_READING_GAP
        return Measurement(
            Phase.RUNNING,
            task.ordinal,
            message=str(first),
            started_at=started,
            resume_at=self.clock.now() + gap,
            metadata=first.metadata,
            reason=f"{task.name}: first reading taken, the second follows in {gap.total_seconds():g} s",
        )

    def _judged(
        self, run: Run, task: Task, metric: Metric, answer: Answered | NotAnswered, started: datetime | None = None
    ) -> Measurement:
        now = self.clock.now()
        return judge(
            metric,
            answer,
            ordinal=task.ordinal,
            started_at=started or now,
            finished_at=now,
            strict=run.spec.strict,
        )


def _answered(answer: Answer) -> Answered:
    samples = len(answer.samples) + len(answer.histograms)
    return Answered(answer.value, answer.text, answer.metadata, samples or None)


def _carried(result: MetricResult | None) -> Mapping[str, str] | None:
    """What the newest answer left for the next question (raw counter readings), if its provider leaves such."""
    if result is not None and result.measurements and result.measurements[-1].metadata:
        for measurement in reversed(result.measurements):
            carried = {k: v for k, v in measurement.metadata.items() if k.startswith(CARRIED_PREFIX)}
            if carried:
                return carried
    return None


def _every_form(secrets: Sequence[str]) -> tuple[str, ...]:
    """A backend may give a secret back as a URL, JSON or base64 shows it."""
    return (*secrets, *(form for secret in secrets if len(secret) >= SHORTEST for form in forms(secret)))


def _masked(measurement: Measurement, masked: Sequence[str]) -> Measurement:
    if not masked:
        return measurement
    return replace(
        measurement,
        message=redact(measurement.message, masked),
        value=redact(measurement.value, masked),
        reason=redact(measurement.reason, masked),
        metadata=_masked_map(measurement.metadata, masked),
    )


def _masked_map(metadata: Mapping[str, str], masked: Sequence[str]) -> Mapping[str, str]:
    return {key: redact(value, masked) for key, value in metadata.items()} if masked else metadata


def _masked_look(look: Look, masked: Sequence[str]) -> Look:
    """Only what a provider said of a failed query can hold a secret."""
    missed = look.data.get("missed")
    return replace(look, data={**look.data, "missed": redact(str(missed), masked)}) if missed else look
