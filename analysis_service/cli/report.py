"""What a finished gate has to say, before anybody decides how to write it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from analysis_service.cli.outcome import Outcome
from analysis_service.core.model import MetricResult, Phase, Run

_ORDER = {Phase.FAILED: 0, Phase.ERROR: 1, Phase.INCONCLUSIVE: 2, Phase.RUNNING: 3, Phase.PENDING: 4, Phase.NEW: 5}


@dataclass(frozen=True, slots=True)
class Report:
    """outcome: after policies. exit_code: what the process ends with. note: a policy that changed the outcome."""

    run: Run
    outcome: Outcome
    exit_code: int
    note: str = ""
    source: str = ""  # file or template the run was made from, for annotations
    link: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)  # metric -> line in `source`

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS

    @property
    def headline(self) -> str:
        """FAIL  checkout: <reason>"""
        return f"{self.outcome.word.upper()}  {self.run.name}: {self.reason}"

    @property
    def reason(self) -> str:
        return self.run.reason or self.run.message or f"the run is {self.run.phase.value or 'Pending'}"

    def metrics(self) -> list[MetricResult]:
        """Worst first; among equals as written. Metrics never measured are there too."""
        known = {result.name: result for result in self.run.results}
        every = list(self.run.results)
        every += [MetricResult(m.name) for m in self.run.spec.metrics if m.name not in known and "{{" not in m.name]
        return sorted(every, key=lambda result: (result.dry_run, _ORDER.get(result.phase, 9)))

    def data(self) -> dict[str, Any]:
        """The machine-readable result; names say what they mean."""
        run = self.run
        data: dict[str, Any] = {
            "passed": self.passed,
            "outcome": self.outcome.word,
            "exitCode": self.exit_code,
            "phase": run.phase.value or "Pending",
            "reason": self.reason,
            "cause": run.cause.value,
            "message": run.message,
            "run": {"id": run.id, "namespace": run.namespace, "name": run.name},
            "startedAt": _time(run.started_at),
            "completedAt": _time(run.completed_at),
            "warnings": list(run.warnings),
            "metrics": [metric_data(result) for result in self.metrics()],
            "policies": dict(run.spec.policies),
        }
        if self.note:
            data["policyApplied"] = self.note
        if self.link:
            data["link"] = self.link
        return data


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
        "measurements": [
            {
                "ordinal": m.ordinal,
                "phase": m.phase.value,
                "value": m.value,
                "message": m.message,
                "reason": m.reason,
                "startedAt": _time(m.started_at),
                "finishedAt": _time(m.finished_at),
                "metadata": {k: v for k, v in m.metadata.items() if not k.startswith("scrape.")},
            }
            for m in result.measurements
        ],
        "metadata": dict(result.metadata),
    }


def latest_value(result: MetricResult) -> str:
    """The newest value any measurement has."""
    return next((m.value for m in reversed(result.measurements) if m.value), "")


def tally(result: MetricResult) -> str:
    """`3 of 5 failed`, or how many measurements there were."""
    if result.count == 0 and result.error == 0:
        return "not measured"
    parts = [
        f"{number} {word}"
        for number, word in (
            (result.failed, "failed"),
            (result.inconclusive, "inconclusive"),
            (result.error, "errors" if result.error != 1 else "error"),
        )
        if number
    ]
    return f"{result.successful} of {result.count} passed" + "".join(f", {part}" for part in parts)


def plain(text: str) -> str:
    """Text from outside without control characters: it may end in a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def as_json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report.data()), indent=2).decode() + "\n"
