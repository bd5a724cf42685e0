"""Markdown for job summaries and comments, within a size that no platform cuts off."""

from analysis_service.cli.report import Report, latest_value, tally, why
from analysis_service.cli.show import one_line
from analysis_service.core.digits import shorten
from analysis_service.core.model import MetricResult

MAX_BYTES = 900 * 1024  # a GitHub job summary is dropped whole beyond 1 MiB
MAX_REASON = 2000
MAX_VALUE = 200
MAX_WARNINGS = 50
_ICONS = {"pass": "✅", "fail": "❌"}
_MARKUP = str.maketrans({c: f"&#{ord(c)};" for c in "&<>|`*_[]\\~#@"})


def render(report: Report) -> str:
    icon = _ICONS.get(report.outcome.word, "⚠️")
    head = [
        f"## {icon} {report.word.upper()}: {cell(report.title, MAX_VALUE)}",
        "",
        cell(report.reason, MAX_REASON),
        "",
        "| metric | phase | value | measurements | why |",
        "|---|---|---|---|---|",
    ]
    warnings = report.run.warnings
    tail = ["", *(f"- ⚠️ {cell(w, MAX_REASON)}" for w in warnings[:MAX_WARNINGS])]
    if len(warnings) > MAX_WARNINGS:
        tail.append(f"- {len(warnings) - MAX_WARNINGS} more warnings")
    if report.note:
        tail.append(f"- policy: {report.note}")
    left = MAX_BYTES - sum(len(line.encode()) + 1 for line in [*head, *tail]) - 100
    rows = []
    metrics = report.metrics()
    for n, m in enumerate(metrics):
        row = _row(m)
        left -= len(row.encode()) + 1
        if left < 0:
            rows.append(f"| … | | | | {len(metrics) - n} more |")
            break
        rows.append(row)
    return "\n".join([*head, *rows, *tail]).rstrip() + "\n"


def _row(m: MetricResult) -> str:
    phase = (m.phase.value or "Pending") + (" (dry run)" if m.dry_run else "")
    name, value = cell(m.name, MAX_VALUE), cell(shorten(latest_value(m)), MAX_VALUE)
    return f"| {name} | {phase} | {value} | {tally(m)} | {cell(why(m), MAX_REASON)} |"


def cell(text: str, limit: int) -> str:
    """Text that can neither end a table cell nor start markup, mention anybody or load anything."""
    return one_line(text, limit).translate(_MARKUP).replace("://", ":&#47;/")
