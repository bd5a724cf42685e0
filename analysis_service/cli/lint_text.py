"""Findings for people: place, message, source line with a caret, remedy."""

from analysis_service.core.problem import Problem, render


def write(checked: list[tuple[str, bytes, tuple[Problem, ...]]]) -> str:
    texts = [
        f"{render(problem, data.decode('utf-8', 'replace'), name)}  [{problem.code}]\n"
        for name, data, problems in checked
        for problem in problems
    ]
    return "\n".join(texts)
