"""What a JSONPath template is made of, and reading one. Errors are Kubernetes' own sentences, with a column."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PATH = 4096
MAX_NESTING = 16  # templates within filters within unions

_TERMINATORS = " \t\r\n.,[]$@{}"
_DICT_KEY = re.compile(r"'([^']*)'\Z")
_SLICE = re.compile(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?\Z")
_FILTER = re.compile(r"([^!<>=]+)([!<>=]+)(.+)\Z")


class JsonPathError(ValueError):
    """The template is wrong or does not fit the data. column: where in the template, from 1; 0 if it is the data."""

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.column = column


class TooMuchWork(JsonPathError):
    """The template visits more values than allowed."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a boolean written in the template."""

    value: float | bool


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    pass


@dataclass(frozen=True, slots=True)
class Recursive:
    pass


@dataclass(frozen=True, slots=True)
class Slice:
    """end_derived: only an index was written, and `end` is one more."""

    start: int
    end: int | None
    step: int | None
    end_derived: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """operator "exists" has no right side."""

    left: "Action"
    operator: str
    right: "Action"


@dataclass(frozen=True, slots=True)
class Union:
    actions: "tuple[Action, ...]"


@dataclass(frozen=True, slots=True)
class Identifier:
    name: str


@dataclass(frozen=True, slots=True)
class Action:
    """What stands in one pair of braces: nodes, each fed with what the one before it found."""

    nodes: "tuple[Node, ...]"


Node = Text | Literal | Field | Wildcard | Recursive | Slice | Filter | Union | Identifier


def read(text: str) -> tuple[Text | Action, ...]:
    """The parts of a template, in order. Raises JsonPathError with a column."""
    if len(text) > MAX_PATH:
        raise JsonPathError(f"longer than {MAX_PATH} characters", MAX_PATH)
    return tuple(_Parser(text, 0, 0).parts())


class _Parser:
    """Reads one template; `base` is where it stands in the whole one, for columns."""

    def __init__(self, text: str, base: int, nesting: int) -> None:
        self._text = text
        self._base = base
        self._nesting = nesting
        self._at = 0

    def parts(self) -> Iterator[Text | Action]:
        while self._at < len(self._text):
            brace = self._text.find("{", self._at)
            if brace < 0:
                brace = len(self._text)
            if brace > self._at:
                yield Text(self._text[self._at : brace])
            self._at = brace + 1
            if brace < len(self._text):
                yield Action(tuple(self._action()))

    def _action(self) -> Iterator[Node]:
        """Nodes up to and with the closing brace."""
        after_recursive = False
        while True:
            began = self._at
            if self._skip("}"):
                return
            if self._skip("[?("):
                yield self._filter(began)
            elif self._skip(".."):
                if after_recursive:
                    raise self._error("invalid multiple recursive descent", began)
                yield Recursive()
                if _is_word(self._peek()):
                    yield self._field()
                else:
                    after_recursive = True
                    continue
            else:
                character = self._next()
                if not character or character in "\r\n":
                    raise self._error("unclosed action", began)
                if character in " @$":
                    continue  # the current object: nothing to do
                if character == "[":
                    yield from self._array(began)
                elif character in "\"'":
                    yield self._quoted(character, began)
                elif character == ".":
                    yield self._field()
                elif character in "+-" or character.isdigit():
                    self._at = began
                    yield self._number()
                elif _is_word(character):
                    self._at = began
                    yield self._word()
                else:
                    name = f"U+{ord(character):04X} '{character}'"
                    raise self._error(f"unrecognized character in action: {name}", began)
            after_recursive = False

    def _field(self) -> Node:
        began = self._at
        while (character := self._peek()) and character not in _TERMINATORS:
            self._at += 2 if character == "\\" else 1
        name = self._text[began : self._at]
        return Wildcard() if name == "*" else Field(name.replace("\\", ""))

    def _word(self) -> Node:
        word = self._take_until(_TERMINATORS)
        return Literal(word == "true") if word in ("true", "false") else Identifier(word)

    def _number(self) -> Node:
        began = self._at
        self._at += self._peek() in ("+", "-")
        while (character := self._peek()) and (character == "." or character.isdigit()):
            self._at += 1
        literal = self._text[began : self._at]
        try:
            return Literal(float(literal))
        except ValueError:
            raise self._error(f"cannot parse number {literal}", began) from None

    def _quoted(self, quote: str, began: int) -> Text:
        while True:
            character = self._next()
            if not character or character == "\n":
                raise self._error("unterminated quoted string", began)
            if character == quote and self._text[self._at - 2] != "\\":
                break
        quoted = self._text[began : self._at]
        try:
            return Text(_unquote(quoted))
        except ValueError:
            raise self._error(f"unquote string {quoted} error invalid syntax", began) from None

    def _array(self, began: int) -> Iterator[Node]:
        end = self._text.find("]", self._at)
        line_end = self._text.find("\n", self._at)
        if end < 0 or 0 <= line_end < end:
            raise self._error("unterminated array", began)
        inside = self._text[self._at : end]
        start = self._at
        self._at = end + 1
        if inside == "*":
            inside = ":"
        choices = inside.split(",")
        if len(choices) > 1:
            yield Union(tuple(self._inner(f"[{choice.strip(' ')}]", start) for choice in choices))
        elif key := _DICT_KEY.match(inside):
            yield from self._inner(f".{key[1]}", start).nodes
        else:
            yield self._slice(inside, start)

    def _slice(self, inside: str, start: int) -> Slice:
        match = _SLICE.match(inside)
        if match is None:
            raise self._error(f"invalid array index {inside}", start)
        first, second, third = match.groups()
        begin = self._index(first, start) or 0
        if second is None:
            return Slice(begin, begin + 1, None, end_derived=True)
        step = self._index(third[1:], start) if third else None
        return Slice(begin, self._index(second[1:], start), step, end_derived=False)

    def _index(self, text: str, start: int) -> int | None:
        if not text:
            return None
        if text == "-" or len(text) > 18:
            raise self._error(f"array index {text} is not a number", start)
        return int(text)

    def _filter(self, began: int) -> Filter:
        start = self._at
        quote = ""
        closed = False
        while True:
            character = self._next()
            if not character or character == "\n":
                raise self._error("unterminated filter", began)
            if character in "\"'":
                if not quote:
                    quote = character
                elif character == quote and self._text[self._at - 2] != "\\":
                    closed = True
            elif character == ")" and bool(quote) == closed:
                break
        text = self._text[start : self._at - 1]
        if self._next() != "]":
            raise self._error("unclosed array expect ]", self._at - 1)
        match = _FILTER.match(text)
        if match is None:
            return Filter(self._inner(text, start), "exists", Action(()))
        return Filter(self._inner(match[1], start), match[2], self._inner(match[3], start + match.start(3)))

    def _inner(self, text: str, start: int) -> Action:
        """A template within this one, as an action of its own."""
        if self._nesting >= MAX_NESTING:
            raise self._error(f"nested deeper than {MAX_NESTING}", start)
        parser = _Parser(f"{{{text}}}", self._base + start - 1, self._nesting + 1)
        part = next(parser.parts())
        assert isinstance(part, Action)  # it begins with a brace
        return part

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _skip(self, prefix: str) -> bool:
        if self._text.startswith(prefix, self._at):
            self._at += len(prefix)
            return True
        return False

    def _take_until(self, characters: str) -> str:
        began = self._at
        while (character := self._peek()) and character not in characters:
            self._at += 1
        return self._text[began : self._at]

    def _error(self, message: str, at: int) -> JsonPathError:
        return JsonPathError(message, self._base + at + 1)


def _is_word(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdigit()


_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtv\\\"'])|.?)", re.DOTALL
)


def _unquote(quoted: str) -> str:
    """What stands in Go quotes, either kind. Raises ValueError."""
    quote = quoted[0]

    def unescape(match: re.Match[str]) -> str:
        two, four, eight, octal, simple = match.groups()
        if simple:
            if simple in "\"'" and simple != quote:
                raise ValueError(match[0])
            return _SIMPLE_ESCAPES.get(simple, simple)
        digits = two or four or eight
        if not (digits or octal):
            raise ValueError(match[0])
        code = int(digits, 16) if digits else int(octal, 8)
        if code > (0xFF if octal else 0x10FFFF) or 0xD800 <= code < 0xE000:
            raise ValueError(match[0])
        return chr(code)

    return _ESCAPE.sub(unescape, quoted[1:-1])
