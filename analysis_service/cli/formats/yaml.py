"""The same data as YAML."""

import yaml

from analysis_service.cli.report import Report


def render(report: Report) -> str:
    text: str = yaml.safe_dump(report.data(), sort_keys=False, allow_unicode=True, width=120)
    return text
