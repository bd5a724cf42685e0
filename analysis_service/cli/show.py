"""Text from outside made fit for one line of a terminal, columns that align, and colours where there is a terminal."""

import os
from collections.abc import Callable, Sequence
from typing import IO

import click

MAX_CELL = 64  # characters of a cell in a table; reasons stand behind the last column and are not cut

Paint = Callable[[str, str], str]
"""(text, colour) -> text."""

_COLORS = {"green": 32, "red": 31, "yellow": 33, "magenta": 35, "dim": 2, "bold": 1}


def one_line(text: str, limit: int = 0) -> str:
    """The text on one line: line breaks, escapes and what hides are written out (`v1\\n`).

    limit: characters kept, 0 for all.
    """
    if limit and len(text) > limit:
        text = text[: limit - 1]
        return one_line(text) + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _written_out(c) for c in text)


def lines(text: str) -> str:
    """The same with its line breaks kept."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def _written_out(character: str) -> str:
    if character.isspace() and character not in "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "  # spaces of other widths
    return character.encode("unicode_escape").decode()


def width(text: str) -> int:
    """Columns that a terminal gives the text."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(0 if category(c) in ("Mn", "Me", "Cf") else 2 if east_asian_width(c) in ("W", "F") else 1 for c in text)


def columns(rows: Sequence[Sequence[str]], *, indent: str = "") -> list[str]:
    """Rows of cells as lines, every column as wide as its widest cell; the last one is left as it is."""
    if not rows:
        return []
    widths = [max(width(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    made = []
    for row in rows:
        cells = [cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=False)]
        made.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return made


class CannotWrite(click.ClickException):
    """A result has no place. Somebody relies on it: never a pass."""

    exit_code = 20


def put(text: str, *, nl: bool = False) -> None:
    """A result to standard output. Raises CannotWrite, or BrokenPipeError where the reader went away."""
    try:
        click.echo(text, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(f"standard output cannot be written: {error.strerror or error}") from None


def labelled(rows: Sequence[tuple[str, str]], *, wide: int = 0) -> list[str]:
    """Labels in a column (at least `wide`), texts beside it; the further lines of a text stand below its first."""
    wide = max([wide, *(width(label) for label, _ in rows)])
    made = []
    for label, text in rows:
        first, *rest = text.rstrip("\n").split("\n")
        made.append(f"  {label}{' ' * (wide - width(label))}  {first}".rstrip())
        made += [f"  {' ' * wide}  {line}".rstrip() for line in rest]
    return made


def colored(stream: IO[str] | None, no_color: bool) -> bool:
    """Whether this stream is a terminal that wants colours (https://no-color.org)."""
    if no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or stream is None:
        return False
    return stream.isatty()


def painter(color: bool) -> Paint:
    return _paint if color else _leave


def _paint(text: str, color: str) -> str:
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if color else text


def _leave(text: str, color: str) -> str:
    return text
