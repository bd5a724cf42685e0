"""What operators stand between: literals, names, calls, lists, maps, and what is read of them."""

from collections.abc import Callable

from .cursor import Cursor
from .errors import ExpressionError
from .functions import BUILTINS, PREDICATES
from .growth import Growth
from .tokens import BRACKET, END, IDENTIFIER, NUMBER, OPERATOR, TEXT, Token, is_letter, is_word, numeral
from .tree import (
    Builtin,
    Call,
    Chain,
    ListOf,
    Literal,
    MapOf,
    Member,
    Name,
    Node,
    Pointer,
    Predicate,
    Slice,
    Unary,
)  # fmt: skip

_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}


class Operands:
    """Reads operands. What stands inside of them is read by `sequence` and `expression` (given its lowest power)."""

    def __init__(
        self,
        tokens: Cursor,
        tree: Growth,
        sequence: Callable[[], Node],
        expression: Callable[[int], Node],
    ) -> None:
        self._tokens = tokens
        self._tree = tree
        self._sequence = sequence
        self._expression = expression
        self._predicates = 0  # how many we are inside of

    def read(self) -> Node:
        """One operand, with what is read or called of it."""
        token = self._tokens.current
        if token.kind == OPERATOR and token.value in _UNARY:
            self._tokens.next()
            operand = self._tokens.nested(token, lambda: self._expression(_UNARY[token.value]))
            return self._postfix(token.at, self._tree.made(Unary(token.at, self._tokens.end, token.value, operand)))
        if token.kind == BRACKET and token.value == "(":
            self._tokens.next()
            inner = self._tokens.nested(token, self._sequence)
            self._tokens.expect(BRACKET, ")")
            return self._postfix(token.at, inner)
        if self._predicates and token.kind == OPERATOR and token.value in ("#", "."):
            name = ""
            if token.value == "#":
                self._tokens.next()
                if self._tokens.current.kind == IDENTIFIER:
                    name = self._tokens.next().value
            end = self._tokens.end if token.value == "#" else token.at
            return self._postfix(token.at, self._tree.made(Pointer(token.at, end, name)))
        if token.kind == OPERATOR and token.value == "::":
            self._tokens.next()
            return self._postfix(token.at, self.call(self._tokens.expect(IDENTIFIER), token.at, ()))
        return self._secondary(token)

    def _secondary(self, token: Token) -> Node:
        node: Node
        if token.kind == IDENTIFIER:
            self._tokens.next()
            if token.value in ("true", "false", "nil"):
                value = {"true": True, "false": False, "nil": None}[token.value]
                return self._tree.made(Literal(token.at, token.end, value))
            if self._tokens.at(BRACKET, "("):
                node = self.call(token, token.at, ())
            else:
                node = self._tree.made(Name(token.at, token.end, token.value))
        elif token.kind == NUMBER:
            self._tokens.next()
            return self._tree.made(Literal(token.at, token.end, numeral(token)))
        elif token.kind == TEXT:
            self._tokens.next()
            node = self._tree.made(Literal(token.at, token.end, token.value))
        elif token.kind == BRACKET and token.value == "[":
            node = self._list()
        elif token.kind == BRACKET and token.value == "{":
            node = self._map()
        else:
            self._tokens.unexpected()
        return self._postfix(token.at, node)

    def call(self, name: Token, start: int, piped: tuple[Node, ...]) -> Node:
        """What `name` is called with; piped: arguments that stand before it."""
        if name.value in PREDICATES:
            return self._predicate_call(name, start, piped)
        arguments = self._arguments(piped)
        if name.value in BUILTINS:
            return self._tree.made(Builtin(start, self._tokens.end, name.value, arguments))
        callee = self._tree.made(Name(name.at, name.end, name.value))
        return self._tree.made(Call(start, self._tokens.end, callee, arguments))

    def _arguments(self, piped: tuple[Node, ...]) -> tuple[Node, ...]:
        arguments = list(piped)
        opening = self._tokens.expect(BRACKET, "(")
        while not self._tokens.at(BRACKET, ")"):
            if len(arguments) > len(piped):
                self._tokens.expect(OPERATOR, ",")
                if self._tokens.at(BRACKET, ")"):
                    break
            arguments.append(self._tokens.nested(opening, lambda: self._expression(0)))
        self._tokens.expect(BRACKET, ")")
        return tuple(arguments)

    def _predicate_call(self, name: Token, start: int, piped: tuple[Node, ...]) -> Node:
        arguments = list(piped)
        required, optional = PREDICATES[name.value]
        opening = self._tokens.expect(BRACKET, "(")
        wanted = range(len(piped), required + optional)
        for count, position in enumerate(wanted):
            if self._tokens.at(BRACKET, ")"):
                if position >= required:
                    break
                self._tokens.fail(f"expected at least {len(wanted)} arguments", self._tokens.current)
            if count > 0:
                self._tokens.expect(OPERATOR, ",")
                if position >= required and self._tokens.at(BRACKET, ")"):
                    break
            rule = self._predicate if position == 1 else lambda: self._expression(0)
            arguments.append(self._tokens.nested(opening, rule))
        if self._tokens.at(OPERATOR, ","):
            self._tokens.next()
        self._tokens.expect(BRACKET, ")")
        return self._tree.made(Builtin(start, self._tokens.end, name.value, tuple(arguments)))

    def _predicate(self) -> Node:
        start = self._tokens.current.at
        self._predicates += 1
        if self._tokens.at(BRACKET, "{"):
            self._tokens.next()
            body = self._sequence()
            self._predicates -= 1
            self._tokens.expect(BRACKET, "}")
        else:
            body = self._expression(0)
            self._predicates -= 1
            if self._tokens.at(OPERATOR, ";"):
                self._tokens.fail("wrap predicate with brackets { and }", self._tokens.current)
        return self._tree.made(Predicate(start, self._tokens.end, body))

    def _list(self) -> Node:
        opening = self._tokens.next()
        items: list[Node] = []
        while not self._tokens.at(BRACKET, "]"):
            if items:
                self._tokens.expect(OPERATOR, ",")
                if self._tokens.at(BRACKET, "]"):
                    break
            items.append(self._tokens.nested(opening, lambda: self._expression(0)))
        self._tokens.next()
        return self._tree.made(ListOf(opening.at, self._tokens.end, tuple(items)))

    def _map(self) -> Node:
        opening = self._tokens.next()
        pairs: list[tuple[Node, Node]] = []
        while not self._tokens.at(BRACKET, "}"):
            if pairs:
                self._tokens.expect(OPERATOR, ",")
                if self._tokens.at(BRACKET, "}"):
                    break
            token = self._tokens.current
            if token.kind in (NUMBER, TEXT, IDENTIFIER):
                self._tokens.next()
                key = self._tree.made(Literal(token.at, token.end, token.value))
            elif self._tokens.at(BRACKET, "("):
                key = self._tokens.nested(token, lambda: self._expression(0))
            else:
                self._tokens.fail(
                    "a map key must be a quoted string, a number, a identifier, or an expression enclosed in "
                    f"parentheses (unexpected token {token})",
                    token,
                )
            self._tokens.expect(OPERATOR, ":")
            pairs.append((key, self._tokens.nested(opening, lambda: self._expression(0))))
        self._tokens.next()
        return self._tree.made(MapOf(opening.at, self._tokens.end, tuple(pairs)))

    def _postfix(self, start: int, node: Node) -> Node:
        while True:
            token = self._tokens.current
            if token.kind == OPERATOR and token.value in (".", "?."):
                self._tokens.next()
                if token.value == "?." and self._tokens.at(BRACKET, "["):
                    node = self._bracket(start, node, optional=True)
                else:
                    node = self._dot(start, node, optional=token.value == "?.")
            elif token.kind == BRACKET and token.value == "[":
                node = self._bracket(start, node, optional=False)
            else:
                return node

    def _dot(self, start: int, node: Node, *, optional: bool) -> Node:
        token = self._tokens.current
        word = token.value != "" and is_letter(token.value[0]) and all(is_word(c) for c in token.value)
        if token.kind != IDENTIFIER and not (token.kind == OPERATOR and word):
            self._tokens.fail("expected name" if token.kind != END else "unexpected end of expression", token)
        self._tokens.next()
        chained = isinstance(node, Chain)
        if isinstance(node, Chain):
            node = node.inner
        if token.value.startswith("__"):
            raise ExpressionError(
                "NotAllowed", f"names starting with _ are not allowed: {token.value}", at=token.at, end=token.end
            )
        if isinstance(node, Name) and node.name == "$env":
            return self._tree.made(Name(start, self._tokens.end, token.value))
        key = self._tree.made(Literal(token.at, token.end, token.value))
        node = self._tree.made(Member(start, self._tokens.end, node, key, optional))
        if self._tokens.at(BRACKET, "("):
            node = self._tree.made(Call(start, self._tokens.end, node, self._arguments(())))
        return self._tree.made(Chain(start, self._tokens.end, node)) if chained or optional else node

    def _bracket(self, start: int, node: Node, *, optional: bool) -> Node:
        opening = self._tokens.next()
        low: Node | None = None
        if not self._tokens.at(OPERATOR, ":"):
            low = self._tokens.nested(opening, lambda: self._expression(0))
        if self._tokens.at(OPERATOR, ":"):
            self._tokens.next()
            high = None if self._tokens.at(BRACKET, "]") else self._tokens.nested(opening, lambda: self._expression(0))
            self._tokens.expect(BRACKET, "]")
            return self._tree.made(Slice(start, self._tokens.end, node, low, high))
        self._tokens.expect(BRACKET, "]")
        assert low is not None
        member = self._tree.made(Member(start, self._tokens.end, node, low, optional))
        return self._tree.made(Chain(start, self._tokens.end, member)) if optional else member
