"""Tokens to tree, by operator precedence (Pratt). Grammar and binding powers are expr-lang 1.17's."""

import math
from collections.abc import Callable
from typing import NoReturn

from .errors import ExpressionError
from .functions import BUILTINS, PREDICATES
from .limits import DEPTH, HEIGHT, INT_MAX, NODES, SOURCE_BYTES
from .tokens import BRACKET, END, IDENTIFIER, NUMBER, OPERATOR, TEXT, Token, is_letter, is_word, tokenize
from .tree import (
    Binary,
    Block,
    Builtin,
    Call,
    Chain,
    Choice,
    Let,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Member,
    Name,
    Node,
    Pointer,
    Predicate,
    Slice,
    Unary,
    children,
)  # fmt: skip

_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_BINARY = {
    "|": 0,
    "or": 10, "||": 10,
    "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25,
    "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60,
    "**": 100, "^": 100,
    "??": 500,
}  # fmt: skip
_RIGHT = frozenset({"**", "^"})
_COMPARISON = frozenset({"<", ">", ">=", "<="})
_NEGATABLE = frozenset({"contains", "matches", "startsWith", "endsWith", "in"})
_LOGIC = {"or": "||", "||": "||", "and": "&&", "&&": "&&"}
_HINTS = {"=": "use == to compare", "&": "use && for and", "|": "use || for or", "=>": "use >=", "<>": "use !="}


def parse(source: str) -> Node:
    """The tree of a condition.

    Raises ExpressionError: TooLong before anything is read, then Syntax, TooDeep or TooMuchWork with a place.
    """
    if len(source) > SOURCE_BYTES or len(source.encode("utf-8", "surrogatepass")) > SOURCE_BYTES:
        message = f"the expression is longer than {SOURCE_BYTES} bytes"
        raise ExpressionError("TooLong", message, hint="split it: several metrics, or a simpler query")
    try:
        return _Parser(source).whole()
    except ExpressionError as error:
        error.source = source
        raise


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = tokenize(source)
        self._index = 0
        self._current = self._tokens[0]
        self._end = 0  # where the last consumed token ended
        self._depth = 0
        self._predicates = 0
        self._heights: dict[int, tuple[Node, int]] = {}

    def whole(self) -> Node:
        node = self._sequence()
        if self._current.kind != END:
            self._unexpected()
        return node

    # -- tokens -----------------------------------------------------------------------------------------------

    def _next(self) -> Token:
        token = self._current
        self._end = token.end
        if token.kind != END:
            self._index += 1
            self._current = self._tokens[self._index]
        return token

    def _peek(self) -> Token:
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def _is(self, kind: str, value: str) -> bool:
        return self._current.kind == kind and self._current.value == value

    def _expect(self, kind: str, value: str = "") -> Token:
        if self._current.kind != kind or (value and self._current.value != value):
            self._unexpected(f"expected {value!r}" if value else f"expected {kind.lower()}")
        return self._next()

    def _unexpected(self, wanted: str = "") -> NoReturn:
        token = self._current
        hint = f"unexpected end at column {token.at + 1}" if token.kind == END else _HINTS.get(token.value, wanted)
        if token.kind == END and wanted:
            hint += f", {wanted}"
        self._fail(f"unexpected token {token}", token, hint)

    def _fail(self, message: str, token: Token, hint: str = "") -> NoReturn:
        raise ExpressionError("Syntax", message, hint=hint, at=token.at, end=max(token.end, token.at + 1))

    def _nested(self, token: Token, rule: Callable[[], Node]) -> Node:
        """Apply `rule` one level deeper."""
        self._depth += 1
        if self._depth > DEPTH:
            message = f"nesting deeper than {DEPTH} at column {token.at + 1}"
            raise ExpressionError("TooDeep", message, at=token.at, end=token.end)
        node = rule()
        self._depth -= 1
        return node

    def _made(self, node: Node) -> Node:
        """Count a node and its height: chains make deep trees without nesting."""
        below = max((self._heights[id(c)][1] for c in children(node)), default=0)
        self._heights[id(node)] = (node, below + 1)
        if len(self._heights) > NODES:
            message = f"the expression has more than {NODES} parts"
            raise ExpressionError("TooMuchWork", message, at=node.at, end=node.end)
        if below >= HEIGHT:
            message = f"a chain of more than {HEIGHT} operations"
            raise ExpressionError("TooDeep", message, at=node.at, end=node.end)
        return node

    # -- grammar ----------------------------------------------------------------------------------------------

    def _sequence(self) -> Node:
        start = self._current.at
        nodes = [self._expression(0)]
        while self._is(OPERATOR, ";"):
            self._next()
            if self._current.kind == END:
                break
            nodes.append(self._expression(0))
        return nodes[0] if len(nodes) == 1 else self._made(Block(start, self._end, tuple(nodes)))

    def _expression(self, power: int) -> Node:
        if power == 0 and self._is(OPERATOR, "let"):
            return self._let()
        if power == 0 and self._is(OPERATOR, "if"):
            return self._nested(self._current, self._if)
        start = self._current.at
        left = self._primary()
        previous = ""
        while self._current.kind == OPERATOR:
            operator, negated = self._current, False
            if operator.value == "not":
                following = self._peek()
                if following.kind != OPERATOR or following.value not in _NEGATABLE:
                    self._next()
                    self._unexpected()
                if _BINARY[following.value] < power:
                    break
                self._next()
                operator, negated = following, True
            binding = _BINARY.get(operator.value)
            if binding is None or binding < power:
                break
            self._next()
            if operator.value == "|":
                left = self._call(self._expect(IDENTIFIER), start, (left,))
            elif previous == "??" and operator.value != "??":
                self._fail(
                    f"Operator ({operator.value}) and coalesce expressions (??) cannot be mixed. "
                    "Wrap either by parentheses.",
                    operator,
                )
            elif operator.value in _COMPARISON:
                left = self._comparison(start, left, operator, binding)
            else:
                left = self._binary(start, left, operator.value, binding)
                if negated:
                    left = self._made(Unary(start, self._end, "not", left))
            previous = operator.value
        return self._conditional(start, left) if power == 0 else left

    def _binary(self, start: int, left: Node, operator: str, binding: int) -> Node:
        if operator in _RIGHT:
            right = self._nested(self._current, lambda: self._expression(binding))
        else:
            right = self._expression(binding + 1)
        return self._joined(start, left, operator, right)

    def _joined(self, start: int, left: Node, operator: str, right: Node) -> Node:
        sign = _LOGIC.get(operator)
        if sign is None:
            return self._made(Binary(start, self._end, operator, left, right))
        parts = left.parts if isinstance(left, Logic) and left.operator == sign else (left,)
        return self._made(Logic(start, self._end, sign, operator, (*parts, right)))

    def _comparison(self, start: int, left: Node, operator: Token, binding: int) -> Node:
        """a < b < c means a < b && b < c."""
        whole: Node | None = None
        while True:
            at = self._current.at
            right = self._expression(binding + 1)
            test = self._made(Binary(start, self._end, operator.value, left, right))
            whole = test if whole is None else self._joined(whole.at, whole, "&&", test)
            if self._current.kind != OPERATOR or self._current.value not in _COMPARISON:
                return whole
            left, start, operator = right, at, self._next()

    def _conditional(self, start: int, node: Node) -> Node:
        while self._is(OPERATOR, "?"):
            token = self._next()
            if self._is(OPERATOR, ":"):
                then = node
            else:
                then = self._nested(token, lambda: self._expression(0))
            self._expect(OPERATOR, ":")
            otherwise = self._nested(token, lambda: self._expression(0))
            node = self._made(Choice(start, self._end, node, then, otherwise))
        return node

    def _let(self) -> Node:
        bindings: list[tuple[Token, Node]] = []
        while self._is(OPERATOR, "let"):
            self._next()
            name = self._expect(IDENTIFIER)
            self._expect(OPERATOR, "=")
            value = self._nested(name, lambda: self._expression(0))
            bindings.append((name, value))
            self._expect(OPERATOR, ";")
        node = self._nested(name, self._sequence)
        for name, value in reversed(bindings):
            node = self._made(Let(name.at, self._end, name.value, value, node))
        return node

    def _if(self) -> Node:
        start = self._next().at
        condition = self._expression(0)
        then = self._braced()
        self._expect(OPERATOR, "else")
        otherwise = self._nested(self._current, self._if) if self._is(OPERATOR, "if") else self._braced()
        return self._made(Choice(start, self._end, condition, then, otherwise))

    def _braced(self) -> Node:
        self._expect(BRACKET, "{")
        node = self._sequence()
        self._expect(BRACKET, "}")
        return node

    def _primary(self) -> Node:
        token = self._current
        if token.kind == OPERATOR and token.value in _UNARY:
            self._next()
            operand = self._nested(token, lambda: self._expression(_UNARY[token.value]))
            return self._postfix(token.at, self._made(Unary(token.at, self._end, token.value, operand)))
        if token.kind == BRACKET and token.value == "(":
            self._next()
            inner = self._nested(token, self._sequence)
            self._expect(BRACKET, ")")
            return self._postfix(token.at, inner)
        if self._predicates and token.kind == OPERATOR and token.value in ("#", "."):
            name = ""
            if token.value == "#":
                self._next()
                if self._current.kind == IDENTIFIER:
                    name = self._next().value
            end = self._end if token.value == "#" else token.at
            return self._postfix(token.at, self._made(Pointer(token.at, end, name)))
        if token.kind == OPERATOR and token.value == "::":
            self._next()
            return self._postfix(token.at, self._call(self._expect(IDENTIFIER), token.at, ()))
        return self._secondary(token)

    def _secondary(self, token: Token) -> Node:
        node: Node
        if token.kind == IDENTIFIER:
            self._next()
            if token.value in ("true", "false", "nil"):
                value = {"true": True, "false": False, "nil": None}[token.value]
                return self._made(Literal(token.at, token.end, value))
            if self._is(BRACKET, "("):
                node = self._call(token, token.at, ())
            else:
                node = self._made(Name(token.at, token.end, token.value))
        elif token.kind == NUMBER:
            self._next()
            return self._made(Literal(token.at, token.end, self._numeral(token)))
        elif token.kind == TEXT:
            self._next()
            node = self._made(Literal(token.at, token.end, token.value))
        elif token.kind == BRACKET and token.value == "[":
            node = self._list()
        elif token.kind == BRACKET and token.value == "{":
            node = self._map()
        else:
            self._unexpected()
        return self._postfix(token.at, node)

    def _numeral(self, token: Token) -> int | float:
        text = token.value.replace("_", "")
        lower = text.lower()
        base = {"0x": 16, "0o": 8, "0b": 2}.get(lower[:2], 10)
        word = {16: "hex", 8: "octal", 2: "binary"}.get(base, "integer")
        if base != 16 and ("." in lower or "e" in lower):
            word = "float"
        try:
            value: int | float = float(text) if word == "float" else int(text, base)
        except ValueError:
            self._fail(f"invalid {word} literal: {text}", token)
        if value == math.inf or (value > INT_MAX and word != "float"):
            function = "ParseFloat" if word == "float" else "ParseInt"
            message = f'invalid {word} literal: strconv.{function}: parsing "{text}": value out of range'
            self._fail(message, token, "numbers have 64 bits")
        return value

    def _call(self, name: Token, start: int, piped: tuple[Node, ...]) -> Node:
        if name.value in PREDICATES:
            return self._predicate_call(name, start, piped)
        arguments = self._arguments(piped)
        if name.value in BUILTINS:
            return self._made(Builtin(start, self._end, name.value, arguments))
        callee = self._made(Name(name.at, name.end, name.value))
        return self._made(Call(start, self._end, callee, arguments))

    def _arguments(self, piped: tuple[Node, ...]) -> tuple[Node, ...]:
        arguments = list(piped)
        opening = self._expect(BRACKET, "(")
        while not self._is(BRACKET, ")"):
            if len(arguments) > len(piped):
                self._expect(OPERATOR, ",")
                if self._is(BRACKET, ")"):
                    break
            arguments.append(self._nested(opening, lambda: self._expression(0)))
        self._expect(BRACKET, ")")
        return tuple(arguments)

    def _predicate_call(self, name: Token, start: int, piped: tuple[Node, ...]) -> Node:
        arguments = list(piped)
        required, optional = PREDICATES[name.value]
        opening = self._expect(BRACKET, "(")
        wanted = range(len(piped), required + optional)
        for count, position in enumerate(wanted):
            if self._is(BRACKET, ")"):
                if position >= required:
                    break
                self._fail(f"expected at least {len(wanted)} arguments", self._current)
            if count > 0:
                self._expect(OPERATOR, ",")
                if position >= required and self._is(BRACKET, ")"):
                    break
            rule = self._predicate if position == 1 else lambda: self._expression(0)
            arguments.append(self._nested(opening, rule))
        if self._is(OPERATOR, ","):
            self._next()
        self._expect(BRACKET, ")")
        return self._made(Builtin(start, self._end, name.value, tuple(arguments)))

    def _predicate(self) -> Node:
        start = self._current.at
        self._predicates += 1
        if self._is(BRACKET, "{"):
            self._next()
            body = self._sequence()
            self._predicates -= 1
            self._expect(BRACKET, "}")
        else:
            body = self._expression(0)
            self._predicates -= 1
            if self._is(OPERATOR, ";"):
                self._fail("wrap predicate with brackets { and }", self._current)
        return self._made(Predicate(start, self._end, body))

    def _list(self) -> Node:
        opening = self._next()
        items: list[Node] = []
        while not self._is(BRACKET, "]"):
            if items:
                self._expect(OPERATOR, ",")
                if self._is(BRACKET, "]"):
                    break
            items.append(self._nested(opening, lambda: self._expression(0)))
        self._next()
        return self._made(ListOf(opening.at, self._end, tuple(items)))

    def _map(self) -> Node:
        opening = self._next()
        pairs: list[tuple[Node, Node]] = []
        while not self._is(BRACKET, "}"):
            if pairs:
                self._expect(OPERATOR, ",")
                if self._is(BRACKET, "}"):
                    break
            token = self._current
            if token.kind in (NUMBER, TEXT, IDENTIFIER):
                self._next()
                key = self._made(Literal(token.at, token.end, token.value))
            elif self._is(BRACKET, "("):
                key = self._nested(token, lambda: self._expression(0))
            else:
                self._fail(
                    "a map key must be a quoted string, a number, a identifier, or an expression enclosed in "
                    f"parentheses (unexpected token {token})",
                    token,
                )
            self._expect(OPERATOR, ":")
            pairs.append((key, self._nested(opening, lambda: self._expression(0))))
        self._next()
        return self._made(MapOf(opening.at, self._end, tuple(pairs)))

    def _postfix(self, start: int, node: Node) -> Node:
        while True:
            token = self._current
            if token.kind == OPERATOR and token.value in (".", "?."):
                self._next()
                if token.value == "?." and self._is(BRACKET, "["):
                    node = self._bracket(start, node, optional=True)
                else:
                    node = self._dot(start, node, optional=token.value == "?.")
            elif token.kind == BRACKET and token.value == "[":
                node = self._bracket(start, node, optional=False)
            else:
                return node

    def _dot(self, start: int, node: Node, *, optional: bool) -> Node:
        token = self._current
        word = token.value != "" and is_letter(token.value[0]) and all(is_word(c) for c in token.value)
        if token.kind != IDENTIFIER and not (token.kind == OPERATOR and word):
            self._fail("expected name" if token.kind != END else "unexpected end of expression", token)
        self._next()
        chained = isinstance(node, Chain)
        if isinstance(node, Chain):
            node = node.inner
        if token.value.startswith("__"):
            raise ExpressionError(
                "NotAllowed", f"names starting with _ are not allowed: {token.value}", at=token.at, end=token.end
            )
        if isinstance(node, Name) and node.name == "$env":
            return self._made(Name(start, self._end, token.value))
        key = self._made(Literal(token.at, token.end, token.value))
        node = self._made(Member(start, self._end, node, key, optional, True))
        if self._is(BRACKET, "("):
            node = self._made(Call(start, self._end, node, self._arguments(())))
        return self._made(Chain(start, self._end, node)) if chained or optional else node

    def _bracket(self, start: int, node: Node, *, optional: bool) -> Node:
        opening = self._next()
        low: Node | None = None
        if not self._is(OPERATOR, ":"):
            low = self._nested(opening, lambda: self._expression(0))
        if self._is(OPERATOR, ":"):
            self._next()
            high = None if self._is(BRACKET, "]") else self._nested(opening, lambda: self._expression(0))
            self._expect(BRACKET, "]")
            return self._made(Slice(start, self._end, node, low, high))
        self._expect(BRACKET, "]")
        assert low is not None
        member = self._made(Member(start, self._end, node, low, optional, False))
        return self._made(Chain(start, self._end, member)) if optional else member
