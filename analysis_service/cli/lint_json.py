"""Findings for programs."""

import msgspec

from analysis_service.core.lint_rules import number
from analysis_service.core.problem import Problem


def write(checked: list[tuple[str, bytes, tuple[Problem, ...]]]) -> str:
    found = [
        {
            "file": name,
            "line": problem.line,
            "column": problem.column,
            "severity": problem.severity,
            "code": problem.code,
            "rule": number(problem.code),
            "path": problem.path,
            "message": problem.message,
            "hint": problem.hint,
        }
        for name, _, problems in checked
        for problem in problems
    ]
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
