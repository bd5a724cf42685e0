"""Markdown for job summaries and comments, within a size that no platform cuts off."""

from analysis_service.cli.report import Report, latest_value, plain, tally

MAX_BYTES = 900 * 1024  # a GitHub job summary is dropped whole beyond 1 MiB
_ICONS = {"pass": "✅", "fail": "❌"}


def render(report: Report) -> str:
    icon = _ICONS.get(report.outcome.word, "⚠️")
    lines = [f"## {icon} {report.outcome.word.upper()}: {_cell(report.run.name)}", "", _cell(report.reason), ""]
    if report.link:
        lines += [f"[Open the run]({report.link})", ""]
    lines += ["| metric | phase | value | measurements | why |", "|---|---|---|---|---|"]
    size = sum(len(line.encode()) + 1 for line in lines)
    metrics = report.metrics()
    for n, m in enumerate(metrics):
        dry = " (dry run)" if m.dry_run else ""
        row = (
            f"| {_cell(m.name)} | {m.phase.value or 'Pending'}{dry} | {_cell(latest_value(m)[:200])} "
            f"| {tally(m)} | {_cell((m.reason or m.message)[:2000])} |"
        )
        size += len(row.encode()) + 1
        if size > MAX_BYTES:
            lines.append(f"| … | | | | {len(metrics) - n} more |")
            break
        lines.append(row)
    lines += ["", *(f"- ⚠️ {_cell(w)}" for w in report.run.warnings[:50])]
    if report.note:
        lines.append(f"- policy: {report.note}")
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    """Text that can neither end a table cell nor start markup."""
    safe = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("|", "\\|").replace("\n", " ").replace("`", "'")
