"""Findings for people: place, message, source line with a caret, remedy."""

from analysis_service.cli.show import painter
from analysis_service.core.lint_rules import number
from analysis_service.core.problem import Problem, render


def write(checked: list[tuple[str, bytes, tuple[Problem, ...]]], *, color: bool = False) -> str:
    paint = painter(color)
    texts = []
    for name, data, problems in checked:
        source = data.decode("utf-8", "replace")
        for problem in problems:
            first, *rest = render(problem, source, name).split("\n")
            shade = "yellow" if problem.severity == "warning" else "red"
            head = f"{paint(first, shade)}  [{number(problem.code)} {problem.code}]"
            texts.append("\n".join([head, *rest]) + "\n")
    return "\n".join(texts)
