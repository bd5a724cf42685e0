"""JSON for programs: Report.data() as it is."""

from analysis_service.cli.report import Report, as_json


def render(report: Report) -> str:
    return as_json(report.data())
