"""Template files on the command line: read, checked, and refused with file, line and remedy."""

from collections.abc import Sequence

import click

from analysis_service.core.lint import lint, summary
from analysis_service.core.problem import Problem, render

Files = Sequence[tuple[str, bytes]]
"""(name, content) of each file."""


class BadDocuments(click.ClickException):
    """Everything that is wrong, already written out."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


def found(files: Files, *, strict: bool, gate: bool = False) -> list[tuple[str, bytes, tuple[Problem, ...]]]:
    """(name, content, findings) of each file."""
    return [(name, data, lint(data, strict=strict, gate=gate)) for name, data in files]


def refuse_bad_documents(files: Files, *, strict: bool, gate: bool = False) -> None:
    """Raises BadDocuments with all errors of all files. Warnings are left to who runs the template."""
    texts: list[str] = []
    wrong: list[Problem] = []
    for name, data, problems in found(files, strict=strict, gate=gate):
        source = data.decode("utf-8", "replace")
        for problem in problems:
            if problem.severity == "error":
                wrong.append(problem)
                texts.append(render(problem, source, name))
    if wrong:
        raise BadDocuments("\n\n".join([*texts, summary(wrong)]))


def joined(files: Files) -> str:
    """All documents as one text, for a service."""
    return "\n---\n".join(data.decode("utf-8-sig") for _, data in files)
