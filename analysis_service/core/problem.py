"""What is wrong with a document: where, what was found, what would work.

* DocumentError    a document (or its arguments, or its composition) cannot be used; carries every problem found
"""

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

MAX_PROBLEMS = 50  # of one document; more is noise
MAX_METRICS = 200  # of one run
_MAX_ECHO = 80
_MAX_SOURCE_LINE = 160
LINE_BREAK = re.compile(r"\r\n|\r|\n")  # what YAML takes for one; str.splitlines knows more
_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$-]*")

Severity = Literal["error", "warning"]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with a document, or worth a look.

    code: stable word or rule number (`UnknownField`, `TG101`). path: `spec.metrics[0].provider`, "" for the whole.
    line, column: 1-based, 0 if unknown. length: characters to underline. hint: what would work.
    """

    code: str
    path: str
    message: str
    line: int = 0
    column: int = 0
    hint: str = ""
    severity: Severity = "error"
    length: int = 1

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


class DocumentError(Exception):
    """A document that cannot be used. `problems` holds all that was found, warnings included, at most 50."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = limited(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems that forbid using the document."""
    return tuple(problem for problem in problems if problem.severity == "error")


class Collector:
    """Gathers problems, at most 50 errors and 50 warnings: a hostile document can hold ten thousand mistakes."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._left: dict[str, int] = {"error": MAX_PROBLEMS, "warning": MAX_PROBLEMS}

    def full(self, severity: Severity = "error") -> bool:
        """Whether more of this weight would be dropped: ask before working out an expensive hint."""
        return self._left[severity] <= 0

    def add(self, problem: Problem) -> None:
        if not self.full(problem.severity):
            self._left[problem.severity] -= 1
            self.found.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem)


def limited(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """At most 50 of them, in their order; warnings give way to errors, or a document could hide one behind them."""
    found = tuple(problems)
    if len(found) <= MAX_PROBLEMS:
        return found
    chosen = sorted(range(len(found)), key=lambda index: found[index].severity != "error")[:MAX_PROBLEMS]
    return tuple(found[index] for index in sorted(chosen))


def child(path: str, key: str | int) -> str:
    """The path of a field or list item: `spec.metrics[0]`, `metadata.labels['a/b']`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}['{echo(key)}']"
    return f"{path}.{key}" if path else key


def echo(text: str) -> str:
    """Text of the user, safe to show: escaped and cut at 80 characters."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_MAX_ECHO])
    return shown + "..." if len(text) > _MAX_ECHO else shown


def grouped(number: int) -> str:
    """A number for people: `262 144`."""
    return f"{number:,}".replace(",", " ")


def render(problem: Problem, source: str = "", filename: str = "") -> str:
    """One problem for a terminal: where and what, the source line, a caret under the place, what would work."""
    place = f"{filename}:{problem.line}: " if filename and problem.line else f"{filename}: " if filename else ""
    label = "warning: " if problem.severity == "warning" else ""
    path = f"{problem.path}: " if problem.path else ""
    lines = [f"{place}{label}{path}{problem.message}", *_excerpt(problem, source)]
    if problem.hint:
        lines.append(problem.hint)
    return "\n".join(lines)


def _excerpt(problem: Problem, source: str) -> list[str]:
    lines = LINE_BREAK.split(source)
    if not 0 < problem.line <= len(lines):
        return []
    line = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}"
                   for c in lines[problem.line - 1])  # fmt: skip
    indent = len(line) - len(line.lstrip())
    start = max(problem.column - 1 - indent, 0)
    shown = line.strip()
    if start > _MAX_SOURCE_LINE // 2:  # a long line: show the part around the place
        cut = start - _MAX_SOURCE_LINE // 2
        shown, start = "..." + shown[cut:], start - cut + 3
    shown = shown[:_MAX_SOURCE_LINE]
    if not problem.column:
        return ["    " + shown]
    carets = "^" * max(1, min(problem.length, len(shown) - start))
    return ["    " + shown, "    " + " " * start + carets]
