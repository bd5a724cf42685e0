"""Template files on the command line: read, checked, and refused with file, line and remedy."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from analysis_service.core.lint import Missing, lint, summary
from analysis_service.core.problem import Problem, render

MAX_BYTES = 8 << 20  # of one file; a document may have 256 KiB
STDIN = "<stdin>"

File = tuple[str, bytes]
"""(name, content)."""
Files = Sequence[File]


class BadDocuments(click.ClickException):
    """Everything that is wrong, already written out. short: how much that is."""

    exit_code = 2

    def __init__(self, message: str, short: str = "") -> None:
        super().__init__(message)
        self.short = short or message

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


class NotReadable(click.ClickException):
    exit_code = 2


def read_files(paths: tuple[Path, ...]) -> tuple[File, ...]:
    """(name, content) of each; `-` is standard input."""
    return tuple(read_file(path) for path in paths)


def read_file(path: Path) -> File:
    """Raises NotReadable with what would work."""
    if str(path) == "-":
        if sys.stdin is None:
            raise NotReadable("standard input is closed; name a file")
        return STDIN, sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        if path.is_dir():
            raise NotReadable(f"{path} is a folder; name its files, as {path}/*.yaml (lint takes folders)")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotReadable(f"{path} does not exist{_near(path)}") from None
    except OSError as error:
        raise NotReadable(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise NotReadable(f"{path} is larger than {MAX_BYTES >> 20} MiB; is it a template?")
    return str(path), data


def _near(path: Path) -> str:
    """`; did you mean x.yaml?` for a file of a similar name beside it."""
    from difflib import get_close_matches

    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f"; there is no folder {path.parent}" if not path.parent.exists() else ""
    near = get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""


def found(
    files: Files, *, strict: bool, gate: bool = False, missing: Missing | None = None
) -> list[tuple[str, bytes, tuple[Problem, ...]]]:
    """(name, content, findings) of each file."""
    return [(name, data, lint(data, strict=strict, gate=gate, missing=missing)) for name, data in files]


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
        names = ", ".join(name for name, _ in files)
        short = summary(wrong) if len(files) == 1 else f"{names}: {summary(wrong)}"  # a single file is the title
        raise BadDocuments("\n\n".join([*texts, summary(wrong)]), short)


def joined(files: Files) -> str:
    """All documents as one text, for a service. Several are YAML documents, also where each of them is JSON."""
    texts = [data.decode("utf-8-sig") for _, data in files]
    return texts[0] if len(texts) == 1 else "".join(f"---\n{text}\n" for text in texts)
