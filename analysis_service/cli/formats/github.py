"""Annotations for GitHub's log (at most five: it drops the rest silently), and step outputs beside them."""

from analysis_service.cli.report import Report, plain
from analysis_service.core.model import Phase

MAX_ANNOTATIONS = 5


def render(report: Report) -> str:
    level = "notice" if report.passed else "error"
    lines = [annotation(level, report.source, 0, f"tidegate: {report.outcome.word}", report.headline)]
    for m in report.metrics():
        if len(lines) == MAX_ANNOTATIONS:
            break
        if m.phase in (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE):
            kind = "warning" if m.dry_run or report.passed else "error"
            text = m.reason or m.message
            lines.append(annotation(kind, report.source, report.lines.get(m.name, 0), m.name, text))
    return "\n".join(lines) + "\n"


def outputs(report: Report) -> str:
    """What goes to $GITHUB_OUTPUT: single lines only."""
    one_line = plain(report.reason).replace("\n", " ")
    passed = str(report.passed).lower()
    return (
        f"verdict={report.outcome.word}\npassed={passed}\nreason={one_line}\nrun_id={report.run.id}\n"
        f"exit_code={report.exit_code}\n"
    )


def annotation(level: str, file: str, line: int, title: str, text: str, column: int = 0) -> str:
    """One workflow command; nothing in `text` can end it or start another."""
    place = [f"file={_property(file)}"] if file else []
    place += [f"line={line}"] if file and line else []
    place += [f"col={column}"] if file and line and column else []
    properties = ",".join([*place, f"title={_property(title)}"])
    return f"::{level} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
