"""Findings as SARIF 2.1.0, for code-scanning services."""

from importlib.metadata import version

import msgspec

from analysis_service.core.problem import Problem

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write(checked: list[tuple[str, bytes, tuple[Problem, ...]]]) -> str:
    every = [(name, problem) for name, _, problems in checked for problem in problems]
    rules = sorted({problem.code for _, problem in every})
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tidegate",
                        "version": version("tidegate"),
                        "rules": [{"id": rule} for rule in rules],
                    }
                },
                "results": [_result(name, problem, rules) for name, problem in every],
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _result(name: str, problem: Problem, rules: list[str]) -> dict[str, object]:
    region = {"startLine": problem.line, "startColumn": max(problem.column, 1)} if problem.line else {"startLine": 1}
    location = {"artifactLocation": {"uri": name.replace("\\", "/")}, "region": region}
    return {
        "ruleId": problem.code,
        "ruleIndex": rules.index(problem.code),
        "level": problem.severity,
        "message": {"text": str(problem)},
        "locations": [{"physicalLocation": location}],
    }
