"""`{{ ... }}` in text: finding the tags and filling them in, as Argo does (`utils/template/template.go`)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

OPEN, CLOSE = "{{", "}}"
MAX_FILLED = 1 << 20  # characters of values in one text: a long value in a thousand places is an attack
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class ArgumentError(ValueError):
    """A tag, an argument or a secret that cannot be filled in. The message is Argo's."""


@dataclass(frozen=True, slots=True)
class Tag:
    inside: str  # what stands between the braces, untrimmed
    start: int  # of the opening braces
    end: int  # behind the closing braces

    @property
    def name(self) -> str:
        return self.inside.strip()


def tags(text: str) -> Iterator[Tag]:
    """The tags of a text, in order. Raises ArgumentError for braces that are never closed."""
    at = text.find(OPEN)
    while at >= 0:
        close = text.find(CLOSE, at + len(OPEN))
        if close < 0:
            rest = text[at + len(OPEN) :]
            raise ArgumentError(
                f"Cannot find end tag={go_quote(CLOSE)} in the template={go_quote(text)} starting from {go_quote(rest)}"
            )
        yield Tag(text[at + len(OPEN) : close], at, close + len(CLOSE))
        at = text.find(OPEN, close + len(CLOSE))


def fill(text: str, value_of: Callable[[Tag], str | None]) -> str:
    """The text with every tag replaced; a tag without a value fails, the last one of them being named."""
    parts: list[str] = []
    done, unknown, length = 0, None, 0
    for tag in tags(text):
        value = value_of(tag)
        if value is None:
            unknown, value = tag, ""
        parts += (text[done : tag.start], value)
        done = tag.end
        length += len(value)
        if length > MAX_FILLED:
            raise ArgumentError(f"the arguments fill in more than {MAX_FILLED} characters")
    if unknown is not None:
        raise ArgumentError(f"failed to resolve {OPEN}{unknown.inside}{CLOSE}")
    return "".join(parts) + text[done:]


def go_quote(text: str) -> str:
    """The text as a Go string literal (`strconv.Quote`)."""
    return f'"{go_escape(text)}"'


def go_escape(text: str) -> str:
    """The inside of `strconv.Quote`: printable characters stay, others become escapes of Go."""
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
