"""Annotations for GitHub's log (at most five: it drops the rest silently), and step outputs beside them."""

from analysis_service.cli.report import Report, why
from analysis_service.cli.show import lines, one_line
from analysis_service.core.model import Phase

MAX_ANNOTATIONS = 5
MAX_TEXT = 4000  # characters of an annotation


def render(report: Report) -> str:
    level = "notice" if report.passed else "error"
    file = report.origin.file
    made = [annotation(level, file, 0, f"tidegate: {report.outcome.word}", report.headline)]
    for m in report.metrics():
        if len(made) == MAX_ANNOTATIONS:
            break
        if m.phase in (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE):
            kind = "warning" if m.dry_run or report.passed else "error"
            place, line = report.origin.places.get(m.name, (file, 0))
            made.append(annotation(kind, place, line, m.name, why(m)))
    return "\n".join(made) + "\n"


def outputs(report: Report) -> str:
    """What goes to $GITHUB_OUTPUT: single lines only."""
    values = {
        "verdict": report.outcome.word,
        "passed": str(report.passed).lower(),
        "reason": one_line(report.reason, MAX_TEXT),
        "run_id": report.run.id,
        "exit_code": str(report.exit_code),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def annotation(level: str, file: str, line: int, title: str, text: str, column: int = 0) -> str:
    """One workflow command; nothing in `text` can end it or start another."""
    place = [f"file={_property(file)}"] if file else []
    place += [f"line={line}"] if file and line else []
    place += [f"col={column}"] if file and line and column else []
    properties = ",".join([*place, f"title={_property(title)}"])
    return f"::{level} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return lines(text[:MAX_TEXT]).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
