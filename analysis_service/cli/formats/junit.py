"""JUnit XML: one test case per metric, the reason as the failure's message."""

from xml.sax.saxutils import escape, quoteattr

from analysis_service.cli.report import Report, plain, tally
from analysis_service.core.model import MetricResult, Phase


def render(report: Report) -> str:
    metrics = report.metrics()
    failed = sum(m.phase is Phase.FAILED and not m.dry_run for m in metrics)
    broken = sum(_broken(m) for m in metrics)
    skipped = sum(_skipped(m) for m in metrics)
    seconds = _seconds(report)
    suite = quoteattr(_xml(report.run.name))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites tests="{len(metrics) + 1}" failures="{failed + (not report.passed)}" errors="{broken}" '
        f'skipped="{skipped}" time="{seconds:.3f}">',
        f'  <testsuite name={suite} tests="{len(metrics) + 1}" failures="{failed + (not report.passed)}" '
        f'errors="{broken}" skipped="{skipped}" time="{seconds:.3f}">',
        _case("verdict", suite, "" if report.passed else _element("failure", report.headline, report.reason)),
        *(_case(m.name, suite, _body(m)) for m in metrics),
        "  </testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _body(metric: MetricResult) -> str:
    reason = metric.reason or metric.message or tally(metric)
    if _skipped(metric):
        return f"      <skipped message={quoteattr(_xml('dry run: ' + reason if metric.dry_run else reason))}/>"
    if metric.phase is Phase.FAILED:
        return _element("failure", reason, tally(metric))
    return _element("error", f"{metric.phase.value}: {reason}", tally(metric)) if _broken(metric) else ""


def _broken(metric: MetricResult) -> bool:
    return metric.phase in (Phase.ERROR, Phase.INCONCLUSIVE) and not metric.dry_run


def _skipped(metric: MetricResult) -> bool:
    return (metric.dry_run and metric.phase is not Phase.SUCCESSFUL) or not metric.phase.done


def _case(name: str, suite: str, body: str) -> str:
    head = f"    <testcase name={quoteattr(_xml(name))} classname={suite}"
    return f"{head}>\n{body}\n    </testcase>" if body else f"{head}/>"


def _element(kind: str, message: str, text: str) -> str:
    return f"      <{kind} message={quoteattr(_xml(message))}>{escape(_xml(text))}</{kind}>"


def _xml(text: str) -> str:
    """Only characters that XML 1.0 can hold."""
    return plain(text)


def _seconds(report: Report) -> float:
    run = report.run
    return (run.completed_at - run.started_at).total_seconds() if run.completed_at and run.started_at else 0.0
