"""Everything a report says, as data: made once from a run and its looks, written as a page or drawn as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis_service.core.compare.spec import is_comparison
from analysis_service.core.model import Look, Metric, MetricResult, Phase, Run
from analysis_service.core.prepare import Ready, prepare
from analysis_service.core.reason import progress
from analysis_service.report import comparison, condition, facts, queries, reading
from analysis_service.report.chart import Chart, Table
from analysis_service.report.condition import Check
from analysis_service.report.facts import Fact
from analysis_service.report.seen import Comparison
from analysis_service.report.text import cut, moment, span, times

Tone = Literal["good", "bad", "unsure", "error", "idle"]
Looks = Mapping[str, Sequence[Look]]
"""metric -> the looks of its comparison, oldest first."""

TONES: dict[Phase, Tone] = {
    Phase.SUCCESSFUL: "good",
    Phase.FAILED: "bad",
    Phase.INCONCLUSIVE: "unsure",
    Phase.ERROR: "error",
}
_WORST = (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE, Phase.RUNNING, Phase.PENDING, Phase.NEW, Phase.SUCCESSFUL)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The large word. word: after policies. policies: what was chosen, and which changed the outcome."""

    word: str
    tone: Tone
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricStory:
    name: str
    phase: Phase
    dry_run: bool
    value: str
    tally: str
    sentence: str
    facts: tuple[Fact, ...]
    checks: tuple[Check, ...]
    queries: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()

    @property
    def tone(self) -> Tone:
        return TONES.get(self.phase, "idle")

    @property
    def word(self) -> str:
        return self.phase.value or "Pending"


@dataclass(frozen=True, slots=True)
class Story:
    title: str
    verdict: Verdict
    sentence: str
    facts: tuple[Fact, ...]
    warnings: tuple[str, ...]
    metrics: tuple[MetricStory, ...]  # worst first; among equals as written, dry runs last


def tell(run: Run, looks: Looks, verdict: Verdict, *, title: str = "", only: Sequence[str] = ()) -> Story:
    """only: the metrics wanted, all if empty."""
    prepared = prepare(run.spec)
    ready = {metric.name: metric for metric in prepared.metrics}
    metrics = [(metric.metric, metric.dry_run) for metric in prepared.metrics]
    known = {result.name for result in run.results}
    results = [*run.results, *(MetricResult(name, dry_run=m.dry_run) for name, m in ready.items() if name not in known)]
    results.sort(key=lambda result: (result.dry_run, _WORST.index(result.phase)))
    return Story(
        title=title or run.name or run.id or "run",
        verdict=verdict,
        sentence=run.reason or run.message or f"The run is {run.phase.value or 'Pending'}.",
        facts=tuple(_run_facts(run)),
        warnings=run.warnings,
        metrics=tuple(
            _metric(result, ready.get(result.name), metrics, looks.get(result.name, ()))
            for result in results
            if not only or result.name in only
        ),
    )


def _run_facts(run: Run) -> list[Fact]:
    found = [("Run", run.id), ("Name", run.name), ("Namespace", run.namespace)]
    found += [("Started", moment(run.started_at)), ("Ended", moment(run.completed_at))]
    if run.started_at is not None and run.completed_at is not None:
        found.append(("Took", span((run.completed_at - run.started_at).total_seconds())))
    found.append(("Phase", run.phase.value or "Pending"))
    wet = [result for result in run.results if not result.dry_run]
    outcomes = (
        f"{sum(result.phase is phase for result in wet)} {phase.value}"
        for phase in _WORST
        if any(result.phase is phase for result in wet)
    )
    if wet:
        found.append(("Metrics", f"{len(wet)}: {', '.join(outcomes)}"))
    if dry := len(run.results) - len(wet):
        found.append(("Dry run", f"{times(dry, 'metric')}, measured and not counted"))
    if run.spec.strict:
        found.append(("Strict", "yes: Argo's traps are off"))
    arguments = []
    for argument in run.spec.args:
        source = argument.value_from.secret_key_ref if argument.value_from is not None else None
        value = f"(secret {source.name})" if source is not None else cut(argument.value or "", 120)
        arguments.append(f"{argument.name}={value}")
    if arguments:
        found.append(("Arguments", "\n".join(arguments)))
    if run.labels:
        found.append(("Labels", "\n".join(f"{key}={value}" for key, value in run.labels.items())))
    return [Fact(label, value) for label, value in found if value]


def _metric(
    result: MetricResult, ready: Ready | None, metrics: Sequence[tuple[Metric, bool]], looks: Sequence[Look]
) -> MetricStory:
    compared = bool(looks) or (ready is not None and is_comparison(ready.metric))
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    found: list[Fact] = []
    notes: tuple[str, ...] = ()
    if compared:
        last = result.measurements[-1].metadata if result.measurements else {}
        seen = reading.comparison(ready, metrics, looks, last)
        charts, found, notes = (
            tuple(comparison.charts(seen)),
            facts.facts(seen, done=result.phase.done),
            _notes(seen, result),
        )
        table = facts.quantiles(seen)
        tables = (table,) if table is not None else ()
        if not looks:
            notes = (*notes, "The looks of this comparison are not here, so there is nothing to draw.")
    else:
        chart = condition.chart(result, ready)
        charts = (chart,) if chart is not None else ()
        found = _condition_facts(result, ready)
    return MetricStory(
        name=result.name,
        phase=result.phase,
        dry_run=result.dry_run,
        value=next((m.value for m in reversed(result.measurements) if m.value), ""),
        tally=_tally(result, seen if compared else None),
        sentence=_sentence(result, ready),
        facts=tuple(found),
        checks=() if compared else tuple(condition.checklist(result, ready)),
        queries=tuple(queries.queries(result, ready)),
        charts=charts,
        tables=tables,
        notes=notes,
    )


def _notes(seen: Comparison, result: MetricResult) -> tuple[str, ...]:
    """What a reader should know; while it runs also that it will probably end without a verdict."""
    warning = seen.forecast.partition("Warning: ")[2]
    if not warning or result.phase.done or seen.outlook is None or not seen.outlook.unlikely:
        return seen.notes
    return (*seen.notes, f"{warning[:1].upper()}{warning[1:]}")


def _sentence(result: MetricResult, ready: Ready | None) -> str:
    said = result.reason or result.message
    if not said and result.measurements and result.measurements[-1].reason:
        said = result.measurements[-1].reason
    if not said and ready is not None:
        said = progress(ready, result)
    return said.removeprefix(f"{result.name}: ") or "not measured"


def _tally(result: MetricResult, seen: Comparison | None) -> str:
    if seen is not None and seen.looks:
        return times(len(seen.looks), "look")
    if result.count == 0 and result.error == 0:
        return "not measured"
    counted = ((result.failed, "failed"), (result.inconclusive, "inconclusive"), (result.error, "in error"))
    parts = [f"{result.successful} of {result.count} passed"] if result.count else []
    return ", ".join([*parts, *(f"{number} {word}" for number, word in counted if number)])


def _condition_facts(result: MetricResult, ready: Ready | None) -> list[Fact]:
    found: list[Fact] = []
    if ready is not None:
        for label, text in (
            ("Success condition", ready.metric.success_condition),
            ("Failure condition", ready.metric.failure_condition),
            ("Interval", ready.metric.interval),
        ):
            if text:
                found.append(Fact(label, text))
    trimmed = result.taken - len(result.measurements)
    if trimmed > 0 and result.measurements:
        found.append(Fact("Measurements", f"the newest {len(result.measurements)} of {result.taken} taken"))
    return found
