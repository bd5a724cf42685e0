"""What a finished gate has to say, before anybody decides how to write it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from analysis_service.cli.outcome import Outcome, Policies, outcome_of
from analysis_service.core.compare.spec import is_comparison
from analysis_service.core.digits import shorten
from analysis_service.core.model import Cause, Look, Measurement, MetricResult, Phase, Run

NO_POLICIES = Policies()
_ORDER = {Phase.FAILED: 0, Phase.ERROR: 1, Phase.INCONCLUSIVE: 2, Phase.RUNNING: 3, Phase.PENDING: 4, Phase.NEW: 5}
_TAIL = 6  # at least so many characters of its id stand behind the name that a run is given where it has none


@dataclass(frozen=True, slots=True)
class Origin:
    """title: the templates' names, if there are several. file: the first one; places: metric -> (file, line)."""

    title: str = ""
    file: str = ""
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Report:
    """seen, outcome: before and after policies. exit_code: the process's. note: the policy that changed the outcome.

    origin: what the run was made from, as far as it is at hand. looks: of its comparisons, by metric.
    ongoing: shown before its end to somebody who does not wait for it, so there is no outcome yet.
    """

    run: Run
    seen: Outcome
    outcome: Outcome
    exit_code: int
    note: str = ""
    policies: Policies = NO_POLICIES
    origin: Origin = NOWHERE
    looks: Mapping[str, Sequence[Look]] = field(default_factory=dict)
    ongoing: bool = False

    @property
    def word(self) -> str:
        """The outcome, or how far it is: `pass`, `no data`, `running`."""
        return (self.run.phase.value or "Pending").lower() if self.ongoing else self.outcome.word

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS

    @property
    def title(self) -> str:
        return self.origin.title or title(self.run)

    @property
    def headline(self) -> str:
        """FAIL  checkout: <reason>"""
        return f"{self.word.upper()}  {self.title}: {self.reason}"

    @property
    def reason(self) -> str:
        if self.run.reason or self.run.message:
            return self.run.reason or self.run.message
        since = f" since {_time(self.run.started_at)}" if self.run.started_at and self.ongoing else ""
        return f"the run is {self.run.phase.value or 'Pending'}{since}"

    def metrics(self) -> list[MetricResult]:
        """Worst first; among equals as written. Metrics never measured are there too."""
        known = {result.name for result in self.run.results}
        every = list(self.run.results)
        every += [MetricResult(m.name) for m in self.run.spec.metrics if m.name not in known and "{{" not in m.name]
        return sorted(every, key=lambda result: (result.dry_run, _ORDER.get(result.phase, 9)))

    def data(self) -> dict[str, Any]:
        """The machine-readable result; names say what they mean."""
        from analysis_service.report.queries import open_spec

        run = self.run
        return {
            "passed": self.passed,
            "outcome": self.word,
            "outcomeBeforePolicies": self.word if self.ongoing else self.seen.word,
            "exitCode": None if self.ongoing else self.exit_code,
            "phase": run.phase.value or "Pending",
            "reason": self.reason,
            "cause": run.cause.value,
            "message": run.message,
            "run": {"id": run.id, "namespace": run.namespace, "name": run.name, "title": self.title},
            "startedAt": _time(run.started_at),
            "completedAt": _time(run.completed_at),
            "warnings": list(run.warnings),
            "metrics": [metric_data(result) for result in self.metrics()],
            "policies": {**run.spec.policies, **self.policies.chosen()},
            "policyApplied": self.note,
            "spec": open_spec(run.spec),
            "looks": msgspec.to_builtins(self.looks) if self.looks else {},
        }


def report(run: Run, policies: Policies = NO_POLICIES, origin: Origin = NOWHERE) -> Report:
    """What the last state of a run means, policies applied."""
    return judged(run, outcome_of(run), policies, origin)


def so_far(run: Run) -> Report:
    """A run for somebody who looks at it and does not wait for it."""
    return replace(report(run), ongoing=not run.phase.done)


def judged(run: Run, seen: Outcome, policies: Policies, origin: Origin = NOWHERE) -> Report:
    outcome, note = policies.apply(seen)
    return Report(run, seen, outcome, policies.code(outcome), note, policies, origin)


def title(run: Run) -> str:
    """The run as people know it: its own name, or its template's, without the tail that made it unique."""
    head, _, tail = run.name.rpartition("-")
    if head and len(tail) >= _TAIL and run.id.endswith(tail):
        return head
    return run.name or run.id or "run"


def compared(run: Run) -> dict[str, int]:
    """The run's comparisons that have begun, each with the ordinal of its newest measurement."""
    names = {metric.name for metric in run.spec.metrics if is_comparison(metric)}
    return {r.name: r.measurements[-1].ordinal for r in run.results if r.name in names and r.measurements}


def metric_data(result: MetricResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "phase": result.phase.value or "Pending",
        "passed": result.phase is Phase.SUCCESSFUL and result.count > 0,
        "dryRun": result.dry_run,
        "reason": result.reason,
        "message": result.message,
        "cause": result.cause.value,
        "value": latest_value(result),
        "count": result.count,
        "successful": result.successful,
        "failed": result.failed,
        "inconclusive": result.inconclusive,
        "error": result.error,
        "measurements": [measurement_data(m) for m in result.measurements],
        "metadata": dict(result.metadata),
    }


def measurement_data(m: Measurement) -> dict[str, Any]:
    return {
        "ordinal": m.ordinal,
        "phase": m.phase.value,
        "value": m.value,
        "cause": m.cause.value,
        "message": m.message,
        "reason": m.reason,
        "startedAt": _time(m.started_at),
        "finishedAt": _time(m.finished_at),
        "metadata": {k: v for k, v in m.metadata.items() if not k.startswith("scrape.")},
    }


def latest_value(result: MetricResult) -> str:
    """The newest value any measurement has."""
    return next((m.value for m in reversed(result.measurements) if m.value), "")


def why(result: MetricResult, said: str = "") -> str:
    """The sentence of a metric, without the name and the value that stand beside it.

    Its last measurement's is enough where the metric passed, and where its own sentence was `said` already.
    """
    sentence = result.reason or result.message
    last = result.measurements[-1] if result.measurements else None
    short = result.cause is Cause.PASSED or not sentence or (said and sentence.rstrip(".") in said)
    if last is not None and short:
        sentence = measured(result.name, last)
    return sentence.removeprefix(f"{result.name}: ")


def measured(name: str, m: Measurement) -> str:
    """What one measurement was, without the metric's name and its value in front."""
    said = (m.reason or m.message).removeprefix(f"{name}: ")
    return said.removeprefix(f"{m.value}: ").removeprefix(f"{shorten(m.value)}: ")


def tally(result: MetricResult) -> str:
    """`3 of 5 passed, 2 failed`, how often a comparison looked, or that nothing was measured."""
    if result.count == 0 and result.error == 0:
        looks = result.measurements[-1].metadata.get("looks", "") if result.measurements else ""
        return f"{looks} look{'' if looks == '1' else 's'} so far" if looks else "not measured"
    parts = [
        f"{number} {word}"
        for number, word in (
            (result.failed, "failed"),
            (result.inconclusive, "inconclusive"),
            (result.error, "errors" if result.error != 1 else "error"),
        )
        if number
    ]
    passed = [f"{result.successful} of {result.count} passed"] if result.count else []
    return ", ".join(passed + parts)


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def as_json(data: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
