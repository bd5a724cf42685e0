"""JSON text -> node tree with positions. Strict: what another JSON reader would refuse is refused here, with its place.

Own reader because positions, duplicate keys and number ranges matter, and because a YAML reader would let trailing
commas and comments through.
"""

import math
import re
from bisect import bisect_right

from analysis_service.core.nodes import BrokenNode, Entry, ListNode, MapNode, Node, Position, ScalarNode
from analysis_service.core.problem import DocumentError, Problem, child, echo, grouped
from analysis_service.core.scalars import CONTROL, too_large

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*)"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][-+]?[0-9]+)?", re.ASCII)
_WORD = re.compile(r"-?[A-Za-z]+")
_ESCAPE = re.compile(r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_NOT_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity", "-NaN", "nan", "inf", "-inf"})


def parse(text: str, *, max_depth: int, max_nodes: int) -> tuple[Node, tuple[Problem, ...]]:
    """Read one JSON value. Raises DocumentError for text that is not JSON; lesser problems are returned."""
    reader = _Reader(text, max_depth, max_nodes)
    node = reader.value("", 1)
    reader.space()
    if reader.at < len(text):
        raise reader.syntax("text after the end of the document")
    return node, tuple(reader.problems)


class _Reader:
    """Recursive descent; recursion is bounded by `max_depth`."""

    def __init__(self, text: str, max_depth: int, max_nodes: int) -> None:
        self.text = text
        self.at = 0
        self.max_depth = max_depth
        self.max_nodes = max_nodes
        self.nodes = 0
        self.problems: list[Problem] = []
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self.lines, offset)
        return Position(line, offset - self.lines[line - 1] + 1)

    def report(self, code: str, path: str, message: str, offset: int, hint: str = "") -> None:
        where = self.position(offset)
        self.problems.append(Problem(code, path, message, where.line, where.column, hint))

    def syntax(self, message: str, hint: str = "", code: str = "Syntax", path: str = "") -> DocumentError:
        self.report(code, path, message, self.at, hint)
        return DocumentError(self.problems)

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        if self.text.startswith(("//", "/*", "#"), self.at):
            raise self.syntax("JSON has no comments", "Remove the comment, or write YAML.")

    def take(self, character: str) -> bool:
        self.space()
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def value(self, path: str, depth: int) -> Node:
        self.space()
        start = self.at
        at = self.position(start)
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise self.syntax(f"more than {grouped(self.max_nodes)} values", code="TooManyNodes", path=path)
        if self.text.startswith(("{", "["), start):
            if depth > self.max_depth:
                message = f"nesting deeper than {self.max_depth} at line {at.line} column {at.column}"
                raise self.syntax(message, code="TooDeep")
            self.at += 1
            return self.object(path, depth, at) if self.text[start] == "{" else self.array(path, depth, at)
        if self.text.startswith('"', start):
            return self.string(path, at)
        if match := _NUMBER.match(self.text, start):
            return self.number(match, path, at)
        return self.word(path, at)

    def object(self, path: str, depth: int, at: Position) -> MapNode:
        entries: list[Entry] = []
        seen: dict[str, int] = {}
        if self.take("}"):
            return MapNode((), at)
        while True:
            self.space()
            start = self.at
            key = self.key(path)
            where = self.position(start)
            if not self.take(":"):
                raise self.syntax("expected ':' after the key", path=child(path, key))
            node = self.value(child(path, key), depth + 1)
            if key in seen:
                message = f"{echo(key)} given at line {seen[key]} and {where.line}"
                self.report("DuplicateKey", child(path, key), message, start, "Keep one of them.")
            else:
                seen[key] = where.line
                entries.append(Entry(key, where, node))
            if self.end("}", path):
                return MapNode(tuple(entries), at)

    def key(self, path: str) -> str:
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise self.syntax("expected a key in double quotes", path=path)
        self.nodes += 1
        self.at = match.end()
        return self.unescape(match[1])

    def array(self, path: str, depth: int, at: Position) -> ListNode:
        items: list[Node] = []
        if self.take("]"):
            return ListNode((), at)
        while True:
            items.append(self.value(child(path, len(items)), depth + 1))
            if self.end("]", path):
                return ListNode(tuple(items), at)

    def end(self, closing: str, path: str) -> bool:
        """After a member: True at the closing bracket, False at a comma with another member behind it."""
        if self.take(closing):
            return True
        if not self.take(","):
            raise self.syntax(f"expected ',' or '{closing}'", path=path)
        comma = self.at - 1
        self.space()
        if self.text.startswith(closing, self.at):
            self.at = comma
            raise self.syntax(f"comma before '{closing}'", "Remove the comma.", path=path)
        return False

    def string(self, path: str, at: Position) -> Node:
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise self.syntax("text without its closing quote, or with a raw line break in it", path=path)
        value = self.unescape(match[1])
        if hidden := CONTROL.search(value):
            self.report("ControlCharacter", path, f"U+{ord(hidden[0]):04X} in the text", self.at)
            self.at = match.end()
            return BrokenNode(at)
        self.at = match.end()
        return ScalarNode(value, value, at)

    def unescape(self, raw: str) -> str:
        if "\\" not in raw:
            return raw
        return _ESCAPE.sub(self.escape, raw)

    def escape(self, match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 11:  # a surrogate pair
            high, low = int(code[1:5], 16), int(code[7:], 16)
            return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        if len(code) == 5:
            number = int(code[1:], 16)
            return "\N{REPLACEMENT CHARACTER}" if 0xD800 <= number <= 0xDFFF else chr(number)
        if code not in _ESCAPES:
            raise self.syntax(f"unknown escape \\{echo(code)}")
        return _ESCAPES[code]

    def number(self, match: re.Match[str], path: str, at: Position) -> Node:
        text, start = match[0], self.at
        self.at = match.end()
        if match["fraction"] or match["exponent"]:
            number = float(text)
            if not math.isinf(number):
                return ScalarNode(number, text, at)
            self.report("NotJsonNumber", path, f"{echo(text)} is too large for a number", start)
            return BrokenNode(at)
        complaint = too_large(text)
        if complaint is None and int(text).bit_length() <= 63:
            return ScalarNode(int(text), text, at)
        message = complaint.message if complaint else f"{text} does not fit 64 bits"
        self.report("NumberTooLarge", path, message, start)
        return BrokenNode(at)

    def word(self, path: str, at: Position) -> Node:
        match = _WORD.match(self.text, self.at)
        word = match[0] if match else ""
        if word in _WORDS:
            self.at += len(word)
            return ScalarNode(_WORDS[word], word, at)
        if word in _NOT_NUMBERS:
            self.report("NotJsonNumber", path, f"{word} is not a number JSON can hold", self.at)
            self.at += len(word)
            return BrokenNode(at)
        raise self.syntax(f"expected a value, got '{echo(word or self.text[self.at : self.at + 1])}'", path=path)
