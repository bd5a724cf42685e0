"""For people: the verdict and its sentence first, then a line per metric, worst first."""

from analysis_service.cli.report import Report, latest_value, plain, tally
from analysis_service.core.model import MetricResult, Phase

MARKS = {Phase.SUCCESSFUL: "✔", Phase.FAILED: "✖", Phase.ERROR: "⚠", Phase.INCONCLUSIVE: "?"}
MEANINGS = {
    "pass": "PASS",
    "fail": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "no data": "NO DATA",
    "error": "PROVIDER OR STORE ERROR",
    "timed out": "TIMED OUT",
    "bad spec": "USAGE, CONFIGURATION OR LINT",
}


def render(report: Report) -> str:
    lines = [plain(report.headline)]
    if report.link:
        lines.append(f"      {report.link}")
    metrics = report.metrics()
    width = max((len(m.name) for m in metrics), default=0)
    lines += [line(m, width) for m in metrics]
    lines += [f"  warning: {plain(w)}" for w in report.run.warnings]
    if report.note:
        lines.append(f"  policy: {report.note}")
    lines.append(f"exit {report.exit_code} ({MEANINGS[report.outcome.word]})")
    return "\n".join(lines) + "\n"


def line(result: MetricResult, width: int) -> str:
    """✖ errors   Failed   0.08   2 of 5 passed, 3 failed; <reason>"""
    mark = MARKS.get(result.phase, "◌")
    value = plain(latest_value(result)) or "-"
    value = value if len(value) <= 40 else value[:39] + "…"
    dry = " (dry run)" if result.dry_run else ""
    reason = plain(result.reason or result.message)
    said = f"  {reason}" if reason else ""
    phase = result.phase.value or "Pending"
    return f"  {mark} {plain(result.name):<{width}}  {phase:<12}  {value}  {tally(result)}{dry}{said}"
