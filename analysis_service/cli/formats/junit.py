"""JUnit XML: one test case per metric and one for the verdict, the reason as the failure's message.

Whoever reads the numbers alone must come to the verdict too: a metric that counts and failed is a failure, a broken or
undecided one an error, a dry run that did not pass is skipped, and the case `verdict` fails whenever the gate does.
"""

from xml.sax.saxutils import escape, quoteattr

from analysis_service.cli.report import Report, tally, why
from analysis_service.cli.show import one_line
from analysis_service.core.model import MetricResult, Phase

MAX_MESSAGE = 2000  # characters; ten thousand metrics stay below the 30 MB that servers parse


def render(report: Report) -> str:
    metrics = report.metrics()
    failures = sum(_failed(m) for m in metrics) + (not report.passed)
    errors = sum(_broken(m) for m in metrics)
    skipped = sum(_skipped(m) for m in metrics)
    counts = (
        f'tests="{len(metrics) + 1}" failures="{failures}" errors="{errors}" skipped="{skipped}" '
        f'time="{_seconds(report):.3f}"'
    )
    suite = _attribute(report.title)
    verdict = _said(report.headline) if report.passed else _element("failure", report.headline, report.note)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {counts}>",
        f"  <testsuite name={suite} {counts}>",
        _case("verdict", suite, verdict),
        *(_case(m.name, suite, _body(m)) for m in metrics),
        "  </testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _body(metric: MetricResult) -> str:
    reason = why(metric) or tally(metric)
    if _skipped(metric):
        return f"      <skipped message={_attribute('dry run: ' + reason if metric.dry_run else reason)}/>"
    if _failed(metric):
        return _element("failure", reason, tally(metric))
    if _broken(metric):
        return _element("error", f"{metric.phase.value}: {reason}", tally(metric))
    return _said(reason)


def _failed(metric: MetricResult) -> bool:
    return metric.phase is Phase.FAILED and not metric.dry_run


def _broken(metric: MetricResult) -> bool:
    return metric.phase in (Phase.ERROR, Phase.INCONCLUSIVE) and not metric.dry_run


def _skipped(metric: MetricResult) -> bool:
    return (metric.dry_run and metric.phase is not Phase.SUCCESSFUL) or not metric.phase.done


def _case(name: str, suite: str, body: str) -> str:
    head = f"    <testcase name={_attribute(name)} classname={suite}"
    return f"{head}>\n{body}\n    </testcase>" if body else f"{head}/>"


def _element(kind: str, message: str, text: str) -> str:
    return f"      <{kind} message={_attribute(message)}>{escape(one_line(text))}</{kind}>"


def _said(text: str) -> str:
    """Why something passed: what readers show beside a test without a failure."""
    return f"      <system-out>{escape(one_line(text, MAX_MESSAGE))}</system-out>"


def _attribute(text: str) -> str:
    """Only characters that XML 1.0 can hold: all others are written out."""
    return quoteattr(one_line(text, MAX_MESSAGE))


def _seconds(report: Report) -> float:
    run = report.run
    return (run.completed_at - run.started_at).total_seconds() if run.completed_at and run.started_at else 0.0
