"""Findings as annotations of a GitHub job. It shows ten of a kind per step: errors come first."""

from analysis_service.cli.formats.github import annotation
from analysis_service.core.problem import Problem


def write(checked: list[tuple[str, bytes, tuple[Problem, ...]]]) -> str:
    every = [(name, problem) for name, _, problems in checked for problem in problems]
    every.sort(key=lambda pair: pair[1].severity != "error")
    return "".join(
        annotation(problem.severity, name, problem.line, problem.code, str(problem), column=problem.column) + "\n"
        for name, problem in every
    )
