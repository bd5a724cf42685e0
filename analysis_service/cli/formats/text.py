"""For people: the verdict and its sentence first, then a line per metric, worst first."""

from analysis_service.cli.outcome import Outcome
from analysis_service.cli.report import Report, latest_value, tally, why
from analysis_service.cli.show import MAX_CELL, columns, one_line, painter
from analysis_service.core.digits import shorten
from analysis_service.core.model import MetricResult, Phase

MARKS = {Phase.SUCCESSFUL: "✔", Phase.FAILED: "✖", Phase.ERROR: "⚠", Phase.INCONCLUSIVE: "?"}
COLORS = {Phase.SUCCESSFUL: "green", Phase.FAILED: "red", Phase.ERROR: "yellow", Phase.INCONCLUSIVE: "magenta"}
UNDECIDED = "◌"
MEANINGS = {
    Outcome.PASS: "PASS",
    Outcome.FAIL: "FAIL",
    Outcome.INCONCLUSIVE: "INCONCLUSIVE",
    Outcome.NO_DATA: "NO DATA",
    Outcome.ERROR: "PROVIDER OR STORE ERROR",
    Outcome.TIMED_OUT: "TIMED OUT",
    Outcome.BAD_SPEC: "USAGE, CONFIGURATION OR LINT",
    Outcome.INTERRUPTED: "INTERRUPTED",
}
_VERDICT_COLORS = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "magenta"}
_MAX_VALUE = 32


def render(report: Report, *, color: bool = False) -> str:
    paint = painter(color)
    verdict = paint(report.word.upper(), _VERDICT_COLORS.get(report.outcome, "yellow"))
    made = [f"{verdict}  {one_line(report.title)}: {one_line(report.reason)}"]
    metrics = report.metrics()
    for metric, line in zip(metrics, columns([_row(m, report.reason) for m in metrics], indent="  "), strict=True):
        mark = MARKS.get(metric.phase, UNDECIDED)
        made.append(line.replace(mark, paint(mark, COLORS.get(metric.phase, "dim")), 1))
    made += [f"  {paint('warning', 'yellow')}: {one_line(warning)}" for warning in report.run.warnings]
    if chosen := report.policies.options():
        made.append(f"  policy: {_applied(report) or chosen + ' (changed nothing)'}")
    if not report.ongoing:
        made.append(f"exit {report.exit_code} ({MEANINGS[report.outcome]})")
    return "\n".join(made) + "\n"


def _applied(report: Report) -> str:
    """What the chosen policies changed; "" for nothing."""
    usual, code = report.outcome.value, ""
    if report.outcome in report.policies.exit_codes and report.exit_code != usual:
        code = f"exit {report.exit_code} instead of {usual} because of --exit-code"
    return "; ".join(part for part in (report.note, code) if part)


def _row(result: MetricResult, said: str) -> tuple[str, ...]:
    """✖ | errors | Failed | 0.08 | 2 of 5 passed, 3 failed | <why>"""
    return (
        MARKS.get(result.phase, UNDECIDED),
        one_line(result.name, MAX_CELL),
        (result.phase.value or "Pending") + (" (dry run)" if result.dry_run else ""),
        one_line(shorten(latest_value(result)), _MAX_VALUE) or "-",
        tally(result),
        one_line(why(result, said)),
    )
