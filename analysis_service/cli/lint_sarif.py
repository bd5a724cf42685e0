"""Findings as SARIF 2.1.0, for code-scanning services."""

from importlib.metadata import version
from urllib.parse import quote

import msgspec

from analysis_service.core.lint_rules import explanation, number
from analysis_service.core.problem import Problem

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write(checked: list[tuple[str, bytes, tuple[Problem, ...]]]) -> str:
    every = [(name, problem) for name, _, problems in checked for problem in problems]
    codes = sorted({problem.code for _, problem in every}, key=number)
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tidegate",
                        "version": version("tidegate"),
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(name, problem, codes) for name, problem in every],
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rule(code: str) -> dict[str, object]:
    text = explanation(code)
    more = {"shortDescription": {"text": text}} if text else {}
    return {"id": number(code), "name": code, **more}


def _result(name: str, problem: Problem, codes: list[str]) -> dict[str, object]:
    region = {"startLine": problem.line or 1}
    if problem.line and problem.column:
        region |= {"startColumn": problem.column, "endColumn": problem.column + max(problem.length, 1)}
    uri = quote(name.replace("\\", "/"), safe="/-._~")
    return {
        "ruleId": number(problem.code),
        "ruleIndex": codes.index(problem.code),
        "level": problem.severity,
        "message": {"text": str(problem)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
    }
