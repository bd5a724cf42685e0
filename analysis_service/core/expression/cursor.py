"""Where the parser stands among the tokens, and what it says when another one stands there."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

from .errors import ExpressionError
from .limits import DEPTH
from .tokens import END, Token, tokenize

T = TypeVar("T")

_HINTS = {
    "=": "use == to compare",
    "&": "use && for and",
    "|": "use || for or",
    "=>": "use >=",
    "<>": "use !=",
    "AND": "write and, or &&",
    "OR": "write or, or ||",
    "NOT": "write not, or !",
}


class Cursor:
    """The token that is next to be read is `current`; `end` is where the last one that was read ended."""

    def __init__(self, source: str) -> None:
        self._tokens = tokenize(source)
        self._index = 0
        self._depth = 0
        self.current = self._tokens[0]
        self.end = 0

    def next(self) -> Token:
        """Read the current token."""
        token = self.current
        self.end = token.end
        if token.kind != END:
            self._index += 1
            self.current = self._tokens[self._index]
        return token

    def peek(self) -> Token:
        """The token after the current one."""
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def at(self, kind: str, value: str) -> bool:
        return self.current.kind == kind and self.current.value == value

    def expect(self, kind: str, value: str = "") -> Token:
        """Read the current token, which must be this one. Raises ExpressionError."""
        if self.current.kind != kind or (value and self.current.value != value):
            self.unexpected(f"expected {value!r}" if value else f"expected {kind.lower()}")
        return self.next()

    def unexpected(self, wanted: str = "") -> NoReturn:
        token = self.current
        if token.kind == END:
            self.fail(
                f"unexpected token {token}", token, f"unexpected end at column {token.at + 1}, {wanted}".rstrip(", ")
            )
        before, after = self._tokens[max(self._index - 1, 0)], self.peek()
        pairs = (before.value + token.value, token.value + after.value)  # of another language, read as two tokens
        hint = next((_HINTS[word] for word in (*pairs, token.value) if word in _HINTS), wanted)
        self.fail(f"unexpected token {token}", token, hint)

    def fail(self, message: str, token: Token, hint: str = "") -> NoReturn:
        raise ExpressionError("Syntax", message, hint=hint, at=token.at, end=max(token.end, token.at + 1))

    def nested(self, token: Token, rule: Callable[[], T]) -> T:
        """Apply `rule` one level deeper. Raises ExpressionError when that is too deep."""
        self._depth += 1
        if self._depth > DEPTH:
            message = f"nesting deeper than {DEPTH} at column {token.at + 1}"
            raise ExpressionError("TooDeep", message, at=token.at, end=token.end)
        found = rule()
        self._depth -= 1
        return found
